//! What an engineer types and what the simulator says, held word for word.
//!
//! Each transcript runs in its own copy of `transcripts/NAME.in`. What a build with planted mistakes says stands in
//! `transcripts/planted`, what one without them says in `transcripts/released`. `TRYCMD=overwrite` writes the answers anew;
//! read the difference before it is committed, and put `[..]` back where figures stood that differ from one machine or
//! from one engine to the next: seconds, hashes, and what seeds come to.

use std::process::{Command, Stdio};

#[test]
fn transcripts() {
    let build = if cfg!(feature = "planted-bugs") { "planted" } else { "released" };
    trycmd::TestCases::new().case("tests/transcripts/*.trycmd").case(format!("tests/transcripts/{build}/*.trycmd"));
}

/// `docdb-sim ... | head -1` is no failure of anybody.
#[test]
fn a_reader_that_closes_the_pipe_makes_no_command_panic() {
    for arguments in [
        &["--help"][..],
        &["explain"],
        &["explain", "--json"],
        &["run", "--seeds", "0..20"],
        &["replay", "3"],
        &["determinism", "--seeds", "0..20"],
        &["exhaust", "--ops", "1", "--crash-depth", "1"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_docdb-sim"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the simulator was built for this test");
        // Long before it has anything to say.
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

/// Whoever collects the lines of a night hears that they are not kept.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    for arguments in [&["explain"][..], &["run", "--seeds", "0..3", "--json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has a full device");
        let mut command = Command::new(env!("CARGO_BIN_EXE_docdb-sim"));
        let output = command.args(arguments).stdout(full).output().expect("the simulator was built for this test");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("the output cannot be written"), "{arguments:?}");
    }
}

/// Scripts read the last line, whatever came before it.
#[test]
fn the_last_line_of_json_is_one_object_with_the_fields_that_scripts_rely_on() {
    let world = "violations,operations,acknowledged,disk_operations,crashes,recoveries,faults,marks_hit,marks_required";
    let search = "workloads,crash_points,images,recoveries,violations,complete,seconds";
    for (arguments, fields) in [
        (&["run", "--seeds", "0..3", "--json"][..], format!("seeds,{world},seconds,trace_hash")),
        (&["exhaust", "--ops", "1", "--crash-depth", "1", "--json"], search.to_owned()),
        (&["determinism", "--seeds", "0..3", "--json"], "seeds,differing,first_seed,first_step,seconds".to_owned()),
        (&["replay", "3", "--json"], "seed,profile,verdict,message,hash,choices,steps,requests,crashes".to_owned()),
        (&["explain", "--json"], "model,faults,profiles,oracles,failures".to_owned()),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docdb-sim"));
        let output = command.args(arguments).output().expect("the simulator was built for this test");
        let text = String::from_utf8(output.stdout).expect("the simulator prints text");
        let last = text.lines().last().expect("there is a line");
        let object: serde_json::Value = serde_json::from_str(last).expect("the last line is JSON");
        for field in fields.split(',') {
            assert!(object.get(field).is_some(), "{arguments:?}: {field} in {last}");
        }
    }
}
