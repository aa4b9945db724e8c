//! What the operator orders by signals.
//!
//! SIGTERM and SIGINT stop, the second of them at once; SIGHUP reads the settings and opens the log again; SIGUSR1 logs
//! statistics. Owns the signals, and what is logged of them.

use docdbd::{Args, Control, Difference, Loaded, Log, Statistics, notify};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;
use tracing::{error, info, warn};

/// More databases than this are summed up.
const DATABASES_LOGGED_MAX: usize = 100;

/// The signals that the daemon listens for.
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    user: unix::Signal,
}

enum Signal {
    /// To stop, and what it is called.
    Stop(&'static str),
    Reload,
    LogStatistics,
}

impl Signals {
    /// From now on signals are remembered until they are asked for.
    pub(crate) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
            user: unix::signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user.recv() => Signal::LogStatistics,
        }
    }
}

/// How often the operator has ordered to stop.
pub(crate) struct Orders(watch::Receiver<u32>);

impl Orders {
    /// Done when the operator wants the daemon to stop.
    pub(crate) fn stop(&self) -> impl Future<Output = ()> + use<> {
        ordered(self.0.clone(), 1)
    }

    /// Done when the operator wants no orderly end any more.
    pub(crate) fn force(&self) -> impl Future<Output = ()> + use<> {
        ordered(self.0.clone(), 2)
    }
}

async fn ordered(mut stops: watch::Receiver<u32>, times: u32) {
    if stops.wait_for(|stops| *stops >= times).await.is_err() {
        // Nobody can order it any more.
        std::future::pending::<()>().await;
    }
}

/// Follows the signals.
pub(crate) struct Operator {
    args: Args,
    loaded: Loaded,
    log: Log,
    /// The server, from when it has opened everything.
    control: watch::Sender<Option<Control>>,
    stops: watch::Sender<u32>,
}

impl Operator {
    pub(crate) fn new(args: Args, loaded: Loaded, log: Log) -> (Operator, Orders) {
        let (stops, orders) = watch::channel(0);
        (Operator { args, loaded, log, control: watch::Sender::new(None), stops }, Orders(orders))
    }

    /// Where the server is put when it has opened everything.
    pub(crate) fn begun(&self) -> watch::Sender<Option<Control>> {
        self.control.clone()
    }

    /// Does what each signal orders, for as long as the process lives.
    pub(crate) async fn follow(mut self, mut signals: Signals) {
        loop {
            match signals.next().await {
                Signal::Stop(name) => {
                    let again = *self.stops.borrow() > 0;
                    info!(
                        "{name}: {}",
                        if again { "again, so the end is forced" } else { "stopping; once more forces the end" }
                    );
                    self.stops.send_modify(|stops| *stops += 1);
                }
                Signal::Reload => {
                    let serves = self.control.borrow().is_some();
                    if serves {
                        notify::reloading();
                    }
                    self.reload();
                    if serves {
                        notify::reloaded();
                    }
                }
                Signal::LogStatistics => self.log_statistics().await,
            }
        }
    }

    async fn log_statistics(&self) {
        let control = self.control.borrow().clone();
        let Some(control) = control else {
            warn!("SIGUSR1: there are no statistics: databases are being opened");
            return;
        };
        match control.statistics().await {
            Ok(statistics) => log_statistics(&statistics),
            Err(error) => warn!("SIGUSR1: there are no statistics: {error}"),
        }
    }

    /// Reads the settings again and lets those count that can. Where there is a mistake in them, all stay as they are.
    fn reload(&mut self) {
        match self.log.reopen() {
            Ok(()) => info!("SIGHUP: the log goes on here"),
            Err(error) => error!("SIGHUP: {error}; it goes on in the old file"),
        }
        let Some(control) = self.control.borrow().clone() else {
            warn!("SIGHUP: databases are being opened; the settings stay as they are: send it again");
            return;
        };
        let new = match self.args.load() {
            Ok(new) => new,
            Err(errors) => {
                for error in errors.iter() {
                    error!("{error}");
                }
                error!("SIGHUP: the settings have mistakes and stay as they were");
                return;
            }
        };
        let Difference { counting, at_start } = self.loaded.difference(&new);
        control.change(new.settings.limits.clone(), new.settings.access.allowed.clone());
        self.log.set_level(new.settings.log.level);
        let counting = if counting.is_empty() { "nothing has changed".to_owned() } else { counting.join(", ") };
        info!("SIGHUP: {counting}");
        for change in at_start {
            warn!("SIGHUP: {change} counts from the next start on");
        }
        // What counts from the next start on is different until then.
        self.loaded = self.loaded.clone().with_reloaded(&new);
    }
}

/// One line of the whole, and one a database.
fn log_statistics(statistics: &Statistics) {
    let Statistics { stats, databases, .. } = statistics;
    info!(
        databases = stats.databases,
        databases_open = stats.databases_open,
        transactions = stats.transactions,
        log_bytes = stats.log_bytes,
        memory_bytes = stats.memory_bytes,
        connections = statistics.connections,
        connections_served = statistics.connections_served,
        connections_refused = statistics.connections_refused,
        requests_in_work = statistics.requests_in_work,
        "statistics: {}",
        statistics.sentence()
    );
    for database in databases.iter().take(DATABASES_LOGGED_MAX) {
        info!(
            database = database.name.as_str(),
            open = database.open,
            read_only = database.read_only,
            documents = database.documents,
            log_bytes = database.log_bytes,
            memory_bytes = database.memory_bytes,
            "statistics: {}",
            Statistics::sentence_of(database)
        );
    }
    if databases.len() > DATABASES_LOGGED_MAX {
        info!("statistics: and {} databases more", databases.len() - DATABASES_LOGGED_MAX);
    }
}
