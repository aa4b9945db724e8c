//! A result that cannot be printed is a command that failed: a script that filled its disk, or whose reader went
//! away, must not take silence for success.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn shell(data_dir: &Path, stdout: impl Into<Stdio>, commands: &[&str]) -> Output {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_docdbsh"));
    shell.arg(data_dir).args(commands.iter().flat_map(|command| ["-c", command]));
    shell.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_result_that_does_not_fit_on_the_disk_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = shell(&dir.path().join("data"), full, &[".open a", ".create 1 {}", ".read 1"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.starts_with("error: FileWrite: failed to write file: standard output: No space left"), "{said}");
    assert_eq!(said.lines().count(), 1, "what prints nothing did not fail: {said}");
}

#[test]
fn a_reader_that_went_away_is_an_error_and_the_commands_behind_it_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = shell(&data, writer, &[".open a", ".help", ".create 1 {}"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.contains("standard output: Broken pipe"), "{said}");
    let read = shell(&data, Stdio::piped(), &[".open a", ".read 1"]);
    assert_eq!((read.status.code(), read.stdout.as_slice()), (Some(0), &b"{}\n"[..]));
}
