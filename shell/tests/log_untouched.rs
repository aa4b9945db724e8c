//! What is not JSON never reaches the log: a session with refused commands leaves the same bytes in
//! the log as one without them.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The log's bytes behind the segment's header, which holds the time of creation.
fn log_after(directory: &Path, commands: &[&str]) -> (Vec<u8>, i32) {
    let mut shell = Command::new(env!("CARGO_BIN_EXE_docdbsh"));
    shell.arg("--keep-going").arg(directory).args(commands.iter().flat_map(|command| ["-c", command]));
    let status = shell.output().expect("the shell runs").status;
    let log = fs::read(directory.join("db/a/a.wal")).expect("the active segment is there");
    (log[4096..].to_vec(), status.code().expect("it exits by itself"))
}

#[test]
fn refused_payloads_leave_the_log_byte_identical() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let good = [".open a", ".create 1 {\"n\":1}"];
    let (expected, code) = log_after(&directory.path().join("good"), &good);
    assert_eq!(code, 0);
    let refused = [
        ".create 2 {bad",
        ".create 2 [1,]",
        ".create 2 \"\\ud800\"",
        ".create 2 raw:abc",
        ".create 2 hex:7b7d",
        ".update 1 nope",
        ".create 1 {\"n\":2}",
        ".delete 9",
        ".create a.b/2 {}",
    ];
    let mixed: Vec<&str> = good.iter().chain(&refused).copied().collect();
    let (log, code) = log_after(&directory.path().join("mixed"), &mixed);
    assert_eq!(code, 3);
    assert!(log == expected, "the log changed");
}
