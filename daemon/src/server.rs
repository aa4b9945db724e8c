//! The server: one data directory, one socket, many connections, and an orderly end.
//!
//! Order at the start: what can be known to be wrong is looked for; then the data directory, which takes its lock; the
//! socket only with the lock held, and when every database was opened. Order at the end: see `shutdown`; the socket is removed last. It takes no more connections
//! than leave descriptors for the files of open databases. It never touches a frame.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use docdb_protocol::{Error, ErrorCode};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::accept::{Accepting, Counters, Rules};
use crate::config::Settings;
use crate::descriptors;
use crate::limits::Limits;
use crate::notify;
use crate::opening::{self, Opened};
use crate::peer::Allowed;
use crate::shutdown::{self, Stopped};
use crate::socket::{self, Access, SocketFile};
use crate::statistics::Statistics;
use crate::store::{EngineOptions, Store};

/// How much longer than all phases of its end a process may take to be gone.
const AFTER_CLOSE: Duration = Duration::from_secs(5);

/// What a server serves, where, and to whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; created when missing.
    pub data_dir: PathBuf,
    /// The socket; `<DATA_DIR>.sock` when not named.
    pub socket: Option<PathBuf>,
    /// Who may use it.
    pub access: Access,
    /// What it allows.
    pub limits: Limits,
    /// The settings of the engine.
    pub engine: EngineOptions,
}

impl Config {
    /// A data directory with everything else by default.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Config {
        Config {
            data_dir: data_dir.into(),
            socket: None,
            access: Access::default(),
            limits: Limits::default(),
            engine: EngineOptions::default(),
        }
    }

    /// What the settings say; `None` where they name no data directory.
    #[must_use]
    pub fn from_settings(settings: Settings) -> Option<Config> {
        let Settings { data_dir, socket, access, limits, engine, .. } = settings;
        Some(Config { data_dir: data_dir?, socket, access, limits, engine })
    }
}

/// A server that is open and listening, and not yet serving.
pub struct Server {
    store: Store,
    listener: UnixListener,
    socket: SocketFile,
    socket_path: PathBuf,
    opened: Opened,
    rules: watch::Sender<Rules>,
    counters: Arc<Counters>,
    few_descriptors: Option<u64>,
}

/// Changes a server that runs, and looks into it.
#[derive(Clone)]
pub struct Control {
    store: Store,
    rules: watch::Sender<Rules>,
    counters: Arc<Counters>,
}

impl Control {
    /// Serves by these from the next connection on. Connections that are open keep the limits that they began with.
    pub fn change(&self, limits: Limits, allowed: Allowed) {
        self.rules.send_replace(Rules::new(limits, allowed));
    }

    /// What the server does at this moment.
    ///
    /// # Errors
    /// [`ErrorCode::PoolStopped`] when it has ended.
    pub async fn statistics(&self) -> Result<Statistics, Error> {
        let requests_in_work = self.store.in_flight();
        let store = self.store.clone();
        let (stats, databases) =
            tokio::task::spawn_blocking(move || Ok::<_, Error>((store.stats()?, store.databases()?)))
                .await
                .map_err(|error| Error::new(ErrorCode::PoolStopped).detail(error.to_string()))??;
        Ok(Statistics {
            stats,
            databases,
            connections: self.counters.connections.load(Ordering::Relaxed),
            connections_served: self.counters.served.load(Ordering::Relaxed),
            connections_refused: self.counters.refused.load(Ordering::Relaxed),
            requests_in_work,
        })
    }
}

impl Server {
    /// As [`Server::open_until`], for however long it takes.
    ///
    /// # Errors
    /// See [`Server::open_until`].
    pub async fn open(config: Config) -> Result<Server, Error> {
        Server::open_until(config, std::future::pending()).await
    }

    /// Opens the data directory and every database in it, then binds the socket. Needs a tokio runtime around it. What can
    /// be known to be wrong is said before anything is made. When `stop` is done, no further database is waited for:
    /// then the server is not complete, and there is only its end to run.
    ///
    /// # Errors
    /// Of the host for the directory; [`ErrorCode::FileOpen`] naming the socket for the socket.
    pub async fn open_until(config: Config, stop: impl Future<Output = ()>) -> Result<Server, Error> {
        let Config { data_dir, socket, access, limits, engine } = config;
        let descriptors = descriptors::limit();
        let few_descriptors =
            (limits.connections_max > descriptors::connections_max(descriptors)).then_some(descriptors);
        let socket_path = match socket {
            Some(path) => path,
            None => socket::default_path(&data_dir).map_err(|error| cannot_listen(&data_dir, &error))?,
        };
        socket::check(&socket_path).map_err(|error| cannot_listen(&socket_path, &error))?;
        let (store, databases) = tokio::task::spawn_blocking(move || {
            let store = Store::open(&data_dir, engine)?;
            let databases = store.databases()?;
            Ok::<_, Error>((store, databases))
        })
        .await
        .map_err(|error| Error::new(ErrorCode::FileOpen).detail(error.to_string()))??;
        let opened = opening::open_all(&store, databases, stop).await;
        let (listener, socket) = match bind(&socket_path, &access) {
            Ok(bound) => bound,
            Err(error) => {
                // The reason to give is the socket's; the directory was only opened.
                let _ = tokio::task::spawn_blocking(move || store.close()).await;
                return Err(cannot_listen(&socket_path, &error));
            }
        };
        let rules = watch::Sender::new(Rules::new(limits, access.allowed));
        Ok(Server { store, listener, socket, socket_path, opened, rules, counters: Arc::default(), few_descriptors })
    }

    /// What changes this server while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { store: self.store.clone(), rules: self.rules.clone(), counters: Arc::clone(&self.counters) }
    }

    /// Where clients connect.
    #[must_use]
    pub fn socket_path(&self) -> &Path {
        &self.socket_path
    }

    /// How many databases there are, and which of them do not answer, in words.
    #[must_use]
    pub fn databases(&self) -> String {
        self.opened.sentence()
    }

    /// Whether every database answers.
    #[must_use]
    pub fn all_answer(&self) -> bool {
        self.opened.unanswered.is_empty() && self.is_complete()
    }

    /// Whether every database was waited for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.opened.left == 0
    }

    /// How many connections it takes at one time.
    #[must_use]
    pub fn connections_max(&self) -> usize {
        self.rules.borrow().limits.connections_max
    }

    /// The process's limit of descriptors, when fewer connections than configured are taken because of it.
    #[must_use]
    pub fn few_descriptors(&self) -> Option<u64> {
        self.few_descriptors
    }

    /// Serves until `stop` is done, then ends in order, within the time the limits allow.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Stopped {
        self.run_until(stop, std::future::pending()).await
    }

    /// As [`Server::run`]; the orderly end is given up when `force` is done too.
    pub async fn run_until(self, stop: impl Future<Output = ()>, force: impl Future<Output = ()>) -> Stopped {
        let Server { store, listener, socket, rules, counters, .. } = self;
        let (stopping, stopping_seen) = watch::channel(false);
        let accepting = Accepting { store: store.clone(), stopping: stopping_seen, rules: rules.subscribe(), counters };
        let watching = tokio::spawn(notify::watch(store.clone()));
        let connections = accepting.until(stop, &listener).await;
        drop(listener);
        stopping.send_replace(true);
        let times = rules.borrow().limits.shutdown;
        notify::stopping(times.close + AFTER_CLOSE);
        watching.abort();
        let stopped = shutdown::end(store, connections, times, force).await;
        drop(socket);
        stopped
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("socket", &self.socket_path).finish_non_exhaustive()
    }
}

fn cannot_listen(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::FileOpen).detail(format!("cannot listen on {}: {error}", path.display()))
}

fn bind(path: &Path, access: &Access) -> io::Result<(UnixListener, SocketFile)> {
    let (listener, file) = socket::bind(path, access)?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, file))
}
