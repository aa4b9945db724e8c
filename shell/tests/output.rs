//! A result that cannot be printed is a command that failed: a script that filled its disk, or whose reader went
//! away, must not take silence for success.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn shell(data_dir: &Path, stdout: impl Into<Stdio>, commands: &[&str]) -> Output {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_docdbsh"));
    shell.arg("--keep-going").arg(data_dir).args(commands.iter().flat_map(|command| ["-c", command]));
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
fn a_result_that_does_not_fit_into_a_file_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let ran = shell(&dir.path().join("data"), Stdio::piped(), &[".open a", ".output /dev/full --force", ".pwd"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.starts_with("error: FileWrite: failed to write file: /dev/full: No space left"), "{said}");
}

/// A command may hold a document of many MiB.
#[test]
fn the_history_keeps_the_beginning_of_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let put = format!(".put 1 \"{}\"", "x".repeat(100_000));
    let ran = shell(&dir.path().join("data"), Stdio::piped(), &[".open a", &put, ".history"]);
    let printed = String::from_utf8(ran.stdout).unwrap();
    let kept = printed.lines().find(|line| line.contains(".put 1")).unwrap();
    assert!(kept.len() < 2_000 && kept.ends_with("xxx ..."), "{}", kept.len());
}

#[test]
fn a_reader_that_went_away_ends_the_run_in_silence_and_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = shell(&data, writer, &[".open a", ".create 1 {}", ".help", ".create 2 {}", ".help"]);
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "", "nobody is interested");
    assert_eq!(ran.status.code(), Some(3), "a script must see that something was not printed");
    let read = shell(&data, Stdio::piped(), &[".open a", ".read 1", ".read 2"]);
    assert_eq!((read.status.code(), read.stdout.as_slice()), (Some(3), &b"{}\n"[..]), "what was behind it did not run");
}

#[test]
fn a_list_whose_reader_has_seen_enough_ends() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let creates: Vec<String> = (1..=300).map(|id| format!(".create {id} {{}}")).collect();
    let commands: Vec<&str> = [".open a"].into_iter().chain(creates.iter().map(String::as_str)).collect();
    assert!(shell(&data, Stdio::piped(), &commands).status.success());
    let mut shell = Command::new(env!("CARGO_BIN_EXE_docdbsh"));
    shell.arg(&data).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut commands = shell.stdin.take().unwrap();
    commands.write_all(b".open a\n.list\n").unwrap();
    let mut results = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    results.read_line(&mut line).unwrap();
    assert_eq!(line, "1\t{}\n");
    drop(results);
    // Behind the reader's end, each in a line of its own: only the first is run. The shell may be gone before the others.
    let _ = commands.write_all(b".list --all\n.delete 1\n".repeat(100).as_slice());
    drop(commands);
    let ran = shell.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).replace("there are more: .list --from 21\n", "");
    assert_eq!((ran.status.code(), said.as_str()), (Some(3), ""));
}

/// It once panicked, or named a file where there was only too little of something.
#[test]
fn a_shell_without_descriptors_says_how_many_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    for (limit, code) in [(6, 2), (19, 2), (20, 0)] {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$1\" -c '.open a' -c '.create 1 {{}}'")]);
        let said = limited
            .args([env!("CARGO_BIN_EXE_docdbsh").as_ref(), dir.path().join("data").as_os_str()])
            .output()
            .unwrap();
        let text = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(code), "{limit}: {text}");
        assert_eq!(text.contains("docdbsh needs 20"), code == 2, "{limit}: {text}");
    }
}
