//! Start and end of the process: one daemon a directory, an orderly stop under load.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::{Daemon, Either, command, one, signal_terminate};
use docdb_protocol::wire::WireAction;

#[test]
fn a_second_daemon_on_the_directory_is_refused_and_told_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data);
    let second = command(&data).arg("--socket").arg(dir.path().join("other.sock")).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("DirectoryLocked"), "{said}");
    assert!(said.contains(&daemon.child.id().to_string()), "names the process that holds it: {said}");
    assert!(!dir.path().join("other.sock").exists());
    // The first one was not disturbed: its socket is still its own.
    daemon.connect().open("a");
}

#[test]
fn what_is_not_a_socket_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let path = dir.path().join("data.sock");
    std::fs::write(&path, "precious").unwrap();
    let output = command(&data).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is not a socket"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn usage_errors_are_1_and_help_and_version_are_0() {
    let run = |flags: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_docdbd")).args(flags).output().unwrap().status.code()
    };
    assert_eq!(run(&[]), Some(1));
    assert_eq!(run(&["--what"]), Some(1));
    assert_eq!(run(&["--help"]), Some(0));
    assert_eq!(run(&["--version"]), Some(0));
}

#[test]
fn a_killed_daemon_leaves_a_socket_that_the_next_one_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Daemon::start(&data).kill();
    assert!(dir.path().join("data.sock").exists());
    let daemon = Daemon::start(&data);
    daemon.connect().open("a");
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
    assert!(!dir.path().join("data.sock").exists());
}

#[test]
fn a_stop_under_load_exits_0_and_keeps_all_that_was_acknowledged() {
    const WRITERS: u64 = 8;
    const ACKNOWLEDGED_BEFORE_STOP: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data);
    let db = daemon.connect().open("a");
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let count = Arc::new(AtomicU64::new(0));
    let (enough, is_enough) = std::sync::mpsc::channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (acknowledged, count, enough) = (Arc::clone(&acknowledged), Arc::clone(&count), enough.clone());
            let mut client = Either::connect(&daemon.socket, writer);
            std::thread::spawn(move || {
                for n in 0.. {
                    let id = writer << 32 | n;
                    let document = format!("{{\"id\":{id}}}");
                    match client.write(db, false, id, &document) {
                        Some(Ok(())) => acknowledged.lock().unwrap().push((id, document)),
                        Some(Err(text)) => {
                            assert_eq!(text, "pool is stopped");
                            return;
                        }
                        None => return,
                    }
                    if count.fetch_add(1, Ordering::SeqCst) + 1 == ACKNOWLEDGED_BEFORE_STOP {
                        enough.send(()).unwrap();
                    }
                }
            })
        })
        .collect();
    is_enough.recv().unwrap();
    // A connection that asks nothing must not hold the stop up.
    let _idle = daemon.connect();
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopped") && !said.contains("warning"), "{said}");
    for writer in writers {
        writer.join().unwrap();
    }
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    assert_eq!(client.open("a"), db);
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.len() as u64 >= ACKNOWLEDGED_BEFORE_STOP);
    for (id, document) in acknowledged.iter() {
        let answer = client.ask(&one(1, db, WireAction::Read, b"", *id, b""));
        assert_eq!(answer.parts(), [document.as_bytes()], "document {id}");
    }
}

#[test]
fn a_stop_with_nothing_to_do_is_orderly() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data"));
    signal_terminate(&daemon.child);
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
}

#[test]
fn a_data_directory_that_is_gone_ends_writes_and_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    assert_eq!(client.ask(&one(1, db, WireAction::Create, b"", 1, b"{}")).status, 0);
    std::fs::remove_dir_all(&data).unwrap();
    // The directory is looked for every few milliseconds.
    let mut answers = (2..).map(|id| client.ask(&one(id, db, WireAction::Create, b"", id, b"{}")));
    answers.find(|answer| answer.status != 0).expect("nobody would find what is written");
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("alert") && said.contains("was removed or replaced"), "{said}");
}

#[test]
fn a_socket_that_somebody_listens_on_is_said_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data"));
    let other = dir.path().join("other");
    let output = command(&other).arg("--socket").arg(&daemon.socket).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("process {} is listening on", daemon.child.id())), "{said}");
    assert!(!other.exists(), "nothing is made for a daemon that cannot listen");
    daemon.connect().open("a");
}

#[test]
fn listening_means_that_every_database_answers_or_says_which_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let (a, b) = (client.open("a"), client.open("b"));
    for db in [a, b] {
        assert_eq!(client.ask(&one(1, db, WireAction::Create, b"", 1, b"{}")).status, 0);
    }
    daemon.kill();
    std::fs::rename(data.join("db/b"), dir.path().join("b")).unwrap();
    let daemon = Daemon::start(&data);
    assert!(daemon.listening.contains("2 databases, not answering: b, up to"), "{}", daemon.listening);
    assert!(daemon.listening.contains(" warning "), "{}", daemon.listening);
    // The one that was read is open: it was not the first request that had to wait for it.
    let mut client = daemon.connect();
    assert_eq!(client.ask(&one(1, a, WireAction::Read, b"", 1, b"")).parts(), [b"{}"]);
    assert_ne!(client.ask(&one(1, b, WireAction::Read, b"", 1, b"")).status, 0);
    daemon.kill();
    std::fs::rename(dir.path().join("b"), data.join("db/b")).unwrap();
    let daemon = Daemon::start_with(&data, &["--log-level", "debug"]);
    assert!(daemon.listening.contains(" 2 databases, up to"), "{}", daemon.listening);
    for line in ["a: opened in ", "b: opened in ", "opened 2 databases in "] {
        assert!(daemon.before.contains(line), "{line:?} is not in: {}", daemon.before);
    }
}
