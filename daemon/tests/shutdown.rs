//! The phases of the end: what is waited for, for how long, and what forces it.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use common::{Client, Daemon, one, signal};
use docdb_protocol::wire::WireAction;
use rustix::process::Signal;

/// A client that has asked for more than the socket takes at once, and does not take it.
fn untaken(daemon: &Daemon) -> Client {
    const ANSWERS: u64 = 16;
    let mut client = daemon.connect();
    let db = client.open("a");
    let document = format!("\"{}\"", "x".repeat(1024 * 1024));
    assert_eq!(client.ask(&one(1, db, WireAction::Create, b"", 1, document.as_bytes())).status, 0);
    for request in 0..ANSWERS {
        client.send(&one(request, db, WireAction::Read, b"", 1, b"")).unwrap();
    }
    // The first of them is on its way by now, and with it more than the socket holds.
    assert_eq!(client.receive().status, 0);
    client
}

#[test]
fn a_second_signal_forces_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--shutdown-drain-seconds=1h", "--shutdown-wait-seconds=2h", "--shutdown-close-seconds=3h"];
    let mut daemon = Daemon::start_with(&dir.path().join("data"), &flags);
    let _client = untaken(&daemon);
    signal(&daemon.child, Signal::TERM);
    daemon.said("shutdown: nothing new is taken; 1 connection may take the answers");
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("SIGTERM: again, so the end is forced"), "{said}");
    assert!(said.contains("shutdown: forced by a second signal"), "{said}");
    assert!(said.contains("what was acknowledged is safe"), "{said}");
}

#[test]
fn answers_that_nobody_takes_are_cut_once_nothing_is_in_work() {
    let dir = tempfile::tempdir().unwrap();
    // If it waited for the client, this test would not end today.
    let flags = ["--shutdown-drain-seconds=0", "--shutdown-wait-seconds=1d", "--shutdown-close-seconds=1d"];
    let daemon = Daemon::start_with(&dir.path().join("data"), &flags);
    let _client = untaken(&daemon);
    let (status, said) = daemon.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
    let phases =
        ["1 connection may take the answers", "0 requests in work", "1 busy connection cut", "closing all", "stopped"];
    let mut rest = said.as_str();
    for phase in phases {
        rest = rest.split_once(phase).unwrap_or_else(|| panic!("{phase:?} is not in its place in: {said}")).1;
    }
}

#[test]
fn a_client_that_takes_its_answers_gets_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--shutdown-drain-seconds=1h", "--shutdown-wait-seconds=2h", "--shutdown-close-seconds=3h"];
    let mut daemon = Daemon::start_with(&dir.path().join("data"), &flags);
    let mut client = untaken(&daemon);
    signal(&daemon.child, Signal::TERM);
    daemon.said("nothing new is taken");
    let mut answers = 0;
    while let Ok(answer) = client.try_receive() {
        // Those that were read before the signal; the others are refused.
        let refused = answer.text() == "pool is stopped";
        assert!(refused || answer.status == 0, "{}", answer.text());
        answers += u64::from(!refused);
    }
    assert!(answers > 0);
    let rest = daemon.said("stopped");
    assert!(!rest.contains("warning"), "{rest}");
    assert!(daemon.child.wait().unwrap().success());
}
