//! `docdbd`: parses the command line, runs the server, turns its end into an exit code.
#![expect(clippy::print_stderr, reason = "what is wrong before there is a log goes to standard error")]

mod operator;

use std::io::Write;
use std::process::ExitCode;

use docdbd::{Args, Config, Loaded, Log, Server, Task};
use operator::{Operator, Signals};
use tracing::{error, info, warn};

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
    match args.task {
        Task::Serve => {}
        Task::CheckConfig => {
            for note in &loaded.notes {
                eprintln!("{PROGRAM}: note: {note}");
            }
            return print(&format!("{PROGRAM}: the settings are right\n"));
        }
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
    let log = match Log::start(&loaded.settings.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{PROGRAM}: cannot start: {error}");
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("cannot start: {error}");
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let code = runtime.block_on(serve(args, loaded, log, config));
    // A closing that took too long must not hold the process up a second time.
    runtime.shutdown_background();
    code
}

/// Where nobody reads it any more, it need not be said.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn say_listening(server: &Server) {
    let (databases, connections) = (server.databases(), server.connections_max());
    let socket = server.socket_path().display();
    let listening = format!("{databases}, up to {connections} connections, listening on {socket}");
    if server.all_answer() {
        info!("{listening}");
    } else {
        warn!("{listening}");
    }
    docdbd::notify::ready(&listening);
}

async fn serve(args: Args, loaded: Loaded, log: Log, config: Config) -> ExitCode {
    let data_dir = config.data_dir.clone();
    let settings = loaded.file.as_ref().map_or(String::new(), |file| format!(", settings of {}", file.display()));
    info!("{PROGRAM} starts as process {}, data directory {}{settings}", std::process::id(), data_dir.display());
    for note in &loaded.notes {
        warn!("{note}");
    }
    // Before the directory is opened: a signal during a long opening is remembered, not fatal.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            error!("cannot listen for signals: {error}");
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    let (operator, orders) = Operator::new(args, loaded, log);
    let begun = operator.begun();
    tokio::spawn(operator.follow(signals));
    let server = match Server::open_until(config, orders.stop()).await {
        Ok(server) => server,
        Err(error) => {
            error!("cannot open {}: {}: {error}", data_dir.display(), error.code().name());
            return ExitCode::from(CANNOT_OPEN);
        }
    };
    begun.send_replace(Some(server.control()));
    if server.is_complete() {
        say_listening(&server);
    }
    if let Some(limit) = server.few_descriptors() {
        warn!("fewer connections than configured, for at most {limit} files may be open (ulimit -n)");
    }
    let stopped = server.run_until(orders.stop(), orders.force()).await;
    match stopped.closed {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            warn!("not closed in order: {}: {error}; what was acknowledged is safe", error.code().name());
            ExitCode::from(NOT_CLOSED)
        }
    }
}
