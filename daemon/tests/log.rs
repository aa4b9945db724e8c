//! The log: a file that is opened again by its name, both forms of a line, and what an operator asks for by signals.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Child;

use common::{Client, Daemon, command, one, signal};
use docdb_protocol::wire::WireAction;
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

/// A pipe with a name: whoever opens it waits for the other end, so nobody has to look again and again.
fn pipe(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(log: &mut impl BufRead, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the log ends without {text:?}");
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn sighup_opens_the_log_again_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (log, old) = (dir.path().join("docdbd.log"), dir.path().join("docdbd.log.1"));
    pipe(&log);
    let mut child = Running(command(&dir.path().join("data")).arg("--log-file").arg(&log).spawn().unwrap());
    let mut first = BufReader::new(File::open(&log).unwrap());
    until(&mut first, "listening on");

    std::fs::rename(&log, &old).unwrap();
    pipe(&log);
    signal(&child.0, Signal::HUP);
    let mut second = BufReader::new(File::open(&log).unwrap());
    until(&mut second, "SIGHUP: the log goes on here");
    // Nobody writes into the old one any more.
    let mut rest = String::new();
    first.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("SIGHUP"), "{rest}");

    signal(&child.0, Signal::TERM);
    until(&mut second, "stopped");
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn a_log_that_cannot_be_opened_is_said_and_one_in_the_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (log, code, text) in [
        (dir.path().join("missing/log"), 2, "cannot open the log "),
        (data.join("docdbd.log"), 1, "it lies in the data directory"),
    ] {
        let output = command(&data).arg("--log-file").arg(&log).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(text), "{said}");
        assert!(!data.exists());
    }
}

#[test]
fn every_line_is_an_object_where_that_is_wanted_and_sigusr1_logs_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start_with(&dir.path().join("data"), &["--log-format", "json", "--max-connections", "1"]);
    let mut client = daemon.connect();
    let db = client.open("books");
    client.ask(&one(1, db, WireAction::Create, b"", 7, br#"{"secret":"cucumber"}"#));
    assert!(Client::connect(&daemon.socket).receive().text().starts_with("too many connections"));
    signal(&daemon.child, Signal::USR1);
    let mut said = daemon.said("open, 1 document,");
    said.push_str(&daemon.terminate().1);
    assert!(!said.contains("cucumber"), "no document is logged: {said}");

    let events: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = |text: &str| {
        let found = events.iter().find(|event| event["message"].as_str().unwrap().contains(text));
        found.unwrap_or_else(|| panic!("{text:?} is not in: {said}")).clone()
    };
    assert_eq!(event("a connection was refused: too many connections")["level"], "warning");
    let all = event("statistics: 1 database, 1 open");
    assert_eq!((&all["connections"], &all["connections_refused"]), (&1.into(), &1.into()), "{said}");
    let one = event("statistics: open, 1 document,");
    assert_eq!((&one["database"], &one["documents"]), (&"books".into(), &1.into()));
    assert_eq!(event("stopped")["level"], "info");
}

#[test]
fn less_important_events_are_left_out_and_sighup_changes_that() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("docdbd.toml");
    std::fs::write(&file, "").unwrap();
    let mut daemon = Daemon::start_with(&dir.path().join("data"), &["--config", file.to_str().unwrap()]);
    daemon.connect().open("a");
    std::fs::write(&file, "log_level = \"debug\"\n").unwrap();
    signal(&daemon.child, Signal::HUP);
    let said = daemon.said("SIGHUP: log_level = \"debug\"");
    assert!(!said.contains("has connected"), "{said}");
    daemon.connect().open("a");
    let said = daemon.said("has connected");
    assert!(said.contains(&format!("process {} of user", std::process::id())), "{said}");
}
