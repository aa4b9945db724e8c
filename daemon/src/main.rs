//! `docdbd`: parses the command line, runs the server, turns its end into an exit code.
#![expect(clippy::print_stderr, reason = "the daemon's own log goes to standard error")]

use std::io::Write;
use std::process::ExitCode;

use docdbd::{Args, Config, Control, Difference, Loaded, Server, Task};
use tokio::signal::unix::{self, SignalKind};

const USAGE: u8 = 1;
const CANNOT_OPEN: u8 = 2;
const NOT_CLOSED: u8 = 3;
const PROGRAM: &str = concat!("docdbd ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Where standard output and error are closed, nothing can be said.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            for error in errors.iter() {
                eprintln!("{PROGRAM}: {error}");
            }
            return ExitCode::from(USAGE);
        }
    };
    for note in &loaded.notes {
        eprintln!("{PROGRAM}: note: {note}");
    }
    match args.task {
        Task::Serve => {}
        Task::CheckConfig => return print(&format!("{PROGRAM}: the settings are right\n")),
        Task::PrintConfig => return print(&loaded.print()),
    }
    let Some(config) = Config::from_settings(loaded.settings.clone()) else {
        eprintln!(
            "{PROGRAM}: there is no data directory: give --data-dir DIR, DOCDB_DATA_DIR, or data_dir in the file of --config"
        );
        return ExitCode::from(USAGE);
    };
    // The runtime panics where it lacks a descriptor.
    let descriptors = docdbd::raise_descriptor_limit();
    if descriptors < docdbd::DESCRIPTORS_MIN {
        let needed = docdbd::DESCRIPTORS_MIN;
        eprintln!(
            "{PROGRAM}: cannot start: at most {descriptors} files may be open (ulimit -n); it needs {needed}, two for each open \
             database, and one for each connection"
        );
        return ExitCode::from(CANNOT_OPEN);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{PROGRAM}: cannot start: {error}");
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let code = runtime.block_on(serve(&args, loaded, config));
    // A closing that took too long must not hold the process up a second time.
    runtime.shutdown_background();
    code
}

/// Where nobody reads it any more, it need not be said.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

async fn serve(args: &Args, loaded: Loaded, config: Config) -> ExitCode {
    let data_dir = config.data_dir.clone();
    // Before the directory is opened: a signal during a long opening is remembered, not fatal.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("{PROGRAM}: cannot listen for signals: {error}");
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let server = match Server::open(config).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{PROGRAM}: cannot open {}: {}: {error}", data_dir.display(), error.code().name());
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let (databases, socket) = (server.databases(), server.socket_path().display().to_string());
    let connections = server.connections_max();
    eprintln!(
        "{PROGRAM}: data directory {}, {databases} databases, up to {connections} connections, listening on {socket}",
        data_dir.display()
    );
    if let Some(limit) = server.few_descriptors() {
        eprintln!(
            "{PROGRAM}: note: fewer connections than configured, for at most {limit} files may be open (ulimit -n)"
        );
    }
    let control = server.control();
    let stop = async {
        let mut loaded = loaded;
        loop {
            match signals.next().await {
                Signal::Stop(name) => {
                    eprintln!("{PROGRAM}: {name}, stopping");
                    return;
                }
                Signal::Reload => loaded = reload(args, loaded, &control),
            }
        }
    };
    let stopped = server.run(stop).await;
    if stopped.connections_cut > 0 {
        eprintln!("{PROGRAM}: warning: {} connections were still busy and were cut", stopped.connections_cut);
    }
    match stopped.closed {
        Ok(()) => {
            eprintln!("{PROGRAM}: stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{PROGRAM}: warning: not closed in order: {}: {error}", error.code().name());
            ExitCode::from(NOT_CLOSED)
        }
    }
}

/// Reads the settings again and lets those count that can. Where there is a mistake in them, all stay as they are.
fn reload(args: &Args, old: Loaded, control: &Control) -> Loaded {
    let new = match args.load() {
        Ok(new) => new,
        Err(errors) => {
            for error in errors.iter() {
                eprintln!("{PROGRAM}: {error}");
            }
            eprintln!("{PROGRAM}: warning: SIGHUP: the settings have mistakes and stay as they were");
            return old;
        }
    };
    let Difference { counting, at_start } = old.difference(&new);
    control.change(new.settings.limits.clone(), new.settings.access.allowed.clone());
    let counting = if counting.is_empty() { "nothing has changed".to_owned() } else { counting.join(", ") };
    eprintln!("{PROGRAM}: SIGHUP: {counting}");
    for change in at_start {
        eprintln!("{PROGRAM}: warning: {change} counts from the next start on");
    }
    // What counts from the next start on is different until then.
    old.with_reloaded(&new)
}

/// The signals that the daemon listens for.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

enum Signal {
    /// To stop, and what it is called.
    Stop(&'static str),
    /// To read the settings again.
    Reload,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
