//! `docdbd`: parses the command line, runs the server, turns its end into an exit code.
#![expect(clippy::print_stderr, reason = "the daemon's own log goes to standard error")]

use std::process::ExitCode;

use clap::Parser;
use docdbd::{Args, Server};
use tokio::signal::unix::{SignalKind, signal};

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
    let code = runtime.block_on(serve(args));
    // A closing that took too long must not hold the process up a second time.
    runtime.shutdown_background();
    code
}

async fn serve(args: Args) -> ExitCode {
    let config = args.config();
    let data_dir = config.data_dir.clone();
    // Before the directory is opened: a signal during a long opening is remembered, not fatal.
    let signals = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
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
    let stop = async {
        let name = tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
        eprintln!("{PROGRAM}: {name}, stopping");
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
