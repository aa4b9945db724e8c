//! What a service manager hears and gives: readiness, progress, the watchdog, the unit file and its settings.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use common::{Daemon, command, signal};
use docdbd::Args;
use rustix::process::Signal;

/// The manager's socket, and a daemon that knows it.
fn managed(dir: &Path, environment: &[(&str, &str)]) -> (UnixDatagram, Daemon) {
    let socket = dir.join("notify.sock");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let data = dir.join("data");
    let mut command = command(&data);
    command.env("NOTIFY_SOCKET", &socket).envs(environment.iter().copied());
    (manager, Daemon::start_as(command, &data))
}

/// The next message that contains `text`.
fn heard(manager: &UnixDatagram, text: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = manager.recv(&mut buffer).unwrap();
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.contains(text) {
            return message;
        }
    }
}

#[test]
fn the_manager_hears_when_the_daemon_is_ready_reloads_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, daemon) = managed(dir.path(), &[]);
    let ready = heard(&manager, "READY=1");
    assert!(ready.contains("STATUS=0 databases, up to ") && ready.contains("listening on"), "{ready}");
    signal(&daemon.child, Signal::HUP);
    let reloading = heard(&manager, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    heard(&manager, "READY=1");
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
    let stopping = heard(&manager, "STOPPING=1");
    // All phases, and somewhat more.
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=35000000"), "{stopping}");
}

#[test]
fn the_watchdog_hears_that_the_daemon_lives_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let (manager, daemon) = managed(dir.path(), &[("WATCHDOG_USEC", "20000")]);
    for _ in 0..3 {
        heard(&manager, "WATCHDOG=1");
    }
    drop(daemon);
}

fn shipped(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_unit_file_starts_a_daemon_that_knows_its_flags_and_leaves_it_time_to_end() {
    let unit = shipped("docdbd.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit has no {key}")).to_owned()
    };
    assert_eq!(value("Type"), "notify");
    Args::try_parse_from(value("ExecStart").split(' ')).unwrap();
    let close = docdbd::ShutdownTimes::default().close.as_secs();
    let stop: u64 = value("TimeoutStopSec").parse().unwrap();
    assert!(stop > close, "the manager kills after {stop} s, the daemon forces its end after {close} s");
}

#[test]
fn the_settings_that_are_shipped_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("docdbd.toml");
    std::fs::write(&file, shipped("docdbd.toml")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_docdbd"))
        .args(["--check-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
