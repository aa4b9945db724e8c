//! Many clients at once: what some announce or hold must not stop the others.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

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
