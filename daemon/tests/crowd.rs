//! Many clients at once: what some announce or hold must not stop the others.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use common::{Client, Daemon, one};
use docdb_protocol::wire::WireAction;

/// A daemon once reserved the length that a client announced: seventeen idle ones stopped it for half a minute.
#[test]
fn large_frames_that_are_only_announced_keep_nobody_waiting() {
    const IDLE: usize = 40;
    const LARGEST: u32 = 16 * 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data"));
    let mut idle: Vec<Client> = (0..IDLE).map(|_| daemon.connect()).collect();
    for (number, client) in idle.iter_mut().enumerate() {
        client.send_raw(&LARGEST.to_le_bytes());
        // Some nothing, some a few bytes, some more than one read takes.
        client.send_raw(&vec![0; [0, 5, 200_000][number % 3]]);
    }
    let mut other = daemon.connect();
    let db = other.open("a");
    let large = [b"\"".to_vec(), vec![b'x'; 1024 * 1024], b"\"".to_vec()].concat();
    for (id, document) in [(1, &b"{}"[..]), (2, &large)] {
        assert_eq!(other.ask(&one(id, db, WireAction::Create, b"", id, document)).parts(), [b""]);
        assert!(other.ask(&one(id, db, WireAction::Read, b"", id, b"")).parts() == [document]);
    }
    // None of them was cut for it: each may still finish what it began. Command 0 is none, and is refused.
    for (client, sent) in idle.iter_mut().zip([0, 5, 200_000]) {
        client.send_raw(&vec![0; LARGEST as usize - sent]);
        let answer = client.receive();
        assert_eq!((answer.request_id, answer.status), (0, 1), "{}", answer.text());
    }
}

/// As above, in version 1.
#[test]
fn large_frames_of_version_1_that_are_only_announced_keep_nobody_waiting() {
    const IDLE: usize = 40;
    const LARGEST: u32 = 17 * 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data"));
    let mut idle: Vec<UnixStream> = (0..IDLE).map(|_| common::v1_stream(&daemon.socket)).collect();
    for (number, stream) in idle.iter_mut().enumerate() {
        common::send_all(stream, &LARGEST.to_le_bytes());
        common::send_all(stream, &vec![1; [0, 5, 200_000][number % 3]]);
    }
    let mut other = docdb_client::Client::connect(&daemon.socket).unwrap();
    let db = other.open_database("a", docdb_protocol::IfMissing::Create).unwrap();
    let large = [b"\"".to_vec(), vec![b'x'; 1024 * 1024], b"\"".to_vec()].concat();
    for (id, document) in [(1_u64, &b"{}"[..]), (2, &large)] {
        other.put(db, "books", id, docdb_protocol::Document::parse(document).unwrap()).unwrap();
        assert!(other.get(db, "books", id).unwrap().unwrap().0.bytes() == document);
    }
    // Each may still finish what it began: kind 1 is hello, which was said already.
    for (stream, sent) in idle.iter_mut().zip([0, 5, 200_000]) {
        common::send_all(stream, &vec![1; LARGEST as usize - sent]);
        let answered = common::v1_answer(stream);
        assert_eq!(answered.request_id, u64::from_le_bytes([1; 8]));
        assert_eq!(answered.outcome.unwrap_err().code(), docdb_protocol::ErrorCode::InvalidRequest);
    }
}

/// With few descriptors a daemon once latched a healthy database read-only, and hung.
#[test]
fn a_daemon_with_few_descriptors_takes_fewer_connections_and_goes_on() {
    const LIMIT: u32 = 64;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" --data-dir \"$1\""), env!("CARGO_BIN_EXE_docdbd")]);
    limited.arg(&data).stdin(Stdio::null()).stdout(Stdio::null());
    let daemon = Daemon::start_as(limited, &data);
    let up_to: usize = daemon.listening.split("up to ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(up_to < LIMIT as usize, "{}", daemon.listening);
    let mut writer = daemon.connect();
    let db = writer.open("a");
    // As many as there is room for, each of them served; one more is refused, again and again.
    let mut others: Vec<Client> = (1..up_to).map(|_| daemon.connect()).collect();
    for other in &mut others {
        assert_eq!(other.open("a"), db);
    }
    for _ in 0..up_to * 2 {
        assert_eq!(daemon.connect().receive().text(), "too many connections");
    }
    // Two rotations of the log of 64 MiB, and other databases while they find room.
    let document = [b"\"".to_vec(), vec![b'x'; 15 * 1024 * 1024], b"\"".to_vec()].concat();
    for id in 0..10 {
        assert_eq!(writer.ask(&one(id, db, WireAction::Create, b"", id, &document)).parts(), [b""], "document {id}");
        let name = docdb_protocol::DatabaseName::parse(&format!("other{id}")).unwrap();
        let answer = writer.ask(&docdb_protocol::wire::WireRequest::open_database(id, &name));
        if answer.status != 0 {
            assert!(!answer.text().is_empty());
        }
    }
    for other in &mut others {
        assert!(other.ask(&one(1, db, WireAction::Read, b"", 9, b"")).parts() == [document.clone()]);
    }
    drop(others);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("fewer connections than configured") && !said.contains("ReadOnly"), "{said}");
    drop(UnixStream::connect(dir.path().join("data.sock")).unwrap_err());
}

/// The runtime once panicked where it had no descriptor.
#[test]
fn a_daemon_without_descriptors_says_how_many_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    for limit in [6, 12, 23] {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" --data-dir \"$1\"")]);
        let said = limited
            .args([env!("CARGO_BIN_EXE_docdbd").as_ref(), dir.path().join("data").as_os_str()])
            .output()
            .unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{limit}: {text}");
        assert!(text.contains(&format!("at most {limit} files")) && text.contains("it needs 24"), "{limit}: {text}");
    }
}
