//! The shell as a process, and a daemon in this one.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part of this module")]

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Output};

use docdbd::{Config, Server};

/// Serves a data directory from within this process for as long as `work` runs.
pub fn with_daemon(data_dir: &Path, work: impl FnOnce(&Path)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config::new(data_dir);
    let server = runtime.block_on(Server::open(config)).unwrap();
    let socket = server.socket_path().to_owned();
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async {
        let _ = stopping.await;
    }));
    work(&socket);
    stop.send(()).unwrap();
    runtime.block_on(running).unwrap().closed.unwrap();
}

pub fn shell(place: &[&str], commands: &[&str]) -> Output {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_docdbsh"));
    shell.arg("--keep-going").args(place);
    for command in commands {
        shell.args(["-c", command]);
    }
    shell.output().unwrap()
}

/// Documents 1 to 5, each in a batch of its own, and then zeros from one document up to another.
pub fn damaged(data_dir: &Path, lost: Range<u64>) {
    let creates: Vec<String> = (1..=5).map(|id| format!(".create {id} {{\"document\":{id}}}")).collect();
    let commands: Vec<&str> = [".open a"].into_iter().chain(creates.iter().map(String::as_str)).collect();
    assert!(shell(&[data_dir.to_str().unwrap()], &commands).status.success());
    let log = data_dir.join("db/a/a.wal");
    let mut bytes = fs::read(&log).unwrap();
    let place = |id| {
        let document = format!("{{\"document\":{id}}}");
        bytes.windows(document.len()).position(|window| window == document.as_bytes()).unwrap()
    };
    let place = place(lost.start)..place(lost.end - 1) + 1;
    bytes[place].fill(0);
    fs::write(log, bytes).unwrap();
}
