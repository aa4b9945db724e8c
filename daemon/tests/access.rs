//! Who is served: by the credentials that the kernel has of a connected process, and as SIGHUP changes it.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use common::{Daemon, signal};
use docdb_protocol::wire::{Command, WireRequest};
use rustix::process::{Signal, getgid, getuid};

/// A user and a group that nobody is here.
const NOBODY: &str = "4294967000";

#[test]
fn only_the_users_and_groups_that_are_named_are_served() {
    let (uid, gid) = (getuid().as_raw().to_string(), getgid().as_raw().to_string());
    let served = [["--allowed-uids", &uid], ["--allowed-gids", &gid]];
    for flags in served {
        let dir = tempfile::tempdir().unwrap();
        Daemon::start_with(&dir.path().join("data"), &flags).connect().open("a");
    }
    for flags in [["--allowed-uids", NOBODY], ["--allowed-gids", NOBODY]] {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::start_with(&dir.path().join("data"), &flags);
        let answer = refused(&daemon);
        assert!(answer.contains(&format!("neither user {uid} nor group {gid} of process")), "{answer}");
    }
}

/// What a new connection is answered that is not served.
fn refused(daemon: &Daemon) -> String {
    let mut client = daemon.connect();
    // It may be closed already; where it is served, this has an answer, and the test an end.
    let _ = client.send(&WireRequest::new(7, Command::Stats, None));
    let answer = client.receive();
    assert_eq!((answer.request_id, answer.status), (0, 1), "{}", answer.text());
    assert!(client.is_closed());
    answer.text()
}

#[test]
fn sighup_reads_the_settings_again_and_a_mistake_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("docdbd.toml");
    std::fs::write(&file, "").unwrap();
    let mut daemon = Daemon::start_with(&data, &["--config", file.to_str().unwrap()]);
    let mut before = daemon.connect();
    before.open("a");

    std::fs::write(&file, format!("allowed_uids = [{NOBODY}]\nsocket_mode = \"0600\"\n")).unwrap();
    signal(&daemon.child, Signal::HUP);
    daemon.said(&format!("SIGHUP: allowed_uids = [{NOBODY}]"));
    daemon.said("socket_mode = \"0600\" counts from the next start on");
    assert!(refused(&daemon).contains("neither user"));
    // A connection that was let in stays.
    before.open("a");

    std::fs::write(&file, "allowed_uid = []\n").unwrap();
    signal(&daemon.child, Signal::HUP);
    daemon.said("docdbd.toml:1: allowed_uid: there is no such setting; did you mean allowed_uids?");
    daemon.said("the settings have mistakes and stay as they were");
    assert!(refused(&daemon).contains("neither user"));

    std::fs::write(&file, "").unwrap();
    signal(&daemon.child, Signal::HUP);
    daemon.said("SIGHUP: allowed_uids = []");
    daemon.connect().open("a");
}
