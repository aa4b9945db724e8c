//! A client of version 1 written from FORMAT.md alone, in another language: what the page says is enough.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::path::Path;
use std::process::Command;

use common::Daemon;

/// The client itself, without what is done with it.
const CLIENT_LINES_MAX: usize = 150;

#[test]
fn a_client_in_python_written_from_the_page_does_everything() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let lines = std::fs::read_to_string(folder.join("client.py")).unwrap().lines().count();
    assert!(lines <= CLIENT_LINES_MAX, "{lines} lines");
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3 on this machine");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data"));
    let toured = Command::new("python3").arg("-B").arg(folder.join("tour.py")).arg(&daemon.socket).output().unwrap();
    let said = String::from_utf8_lossy(&toured.stderr);
    assert_eq!((toured.status.code(), &*String::from_utf8_lossy(&toured.stdout)), (Some(0), "done\n"), "{said}");
}
