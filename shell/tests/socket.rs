//! The shell over a daemon's socket: the same words as without one.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{shell, with_daemon};

#[test]
fn the_same_commands_give_the_same_results_with_a_daemon_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.ndjson");
    // More than one batch, more than one page.
    let line = format!("{{\"filling\": \"{}\"}}\n", "x".repeat(5000));
    std::fs::write(&file, line.repeat(600)).unwrap();
    let import = format!(".import {}", file.display());
    let commands = |out: &Path| {
        [".open a", ".create 1 {\"a\": 1.0}", ".read 1", ".create b/2 [ 2 ]", ".count b", ".pwd", ".read 9", &import]
            .map(str::to_owned)
            .into_iter()
            .chain([
                format!(".export {} --plain --collection _default", out.display()),
                ".create 1 {}".to_owned(),
                ".close".to_owned(),
            ])
            .collect::<Vec<String>>()
    };
    let run = |place: &[&str], out: &Path| {
        let commands = commands(out);
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        shell(place, &commands)
    };
    let (out_embedded, out_socket) = (dir.path().join("embedded.out"), dir.path().join("socket.out"));
    let embedded = run(&[dir.path().join("one").to_str().unwrap()], &out_embedded);
    let data_dir = dir.path().join("two");
    with_daemon(&data_dir, |socket| {
        let socket = run(&["--socket", socket.to_str().unwrap()], &out_socket);
        assert_eq!(String::from_utf8_lossy(&socket.stdout), String::from_utf8_lossy(&embedded.stdout));
        assert_eq!(socket.status.code(), embedded.status.code());
        // A directory that a daemon holds cannot be opened beside it.
        let refused = shell(&[data_dir.to_str().unwrap()], &[".ls"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).starts_with("error: DirectoryLocked: "));
    });
    assert_eq!(embedded.status.code(), Some(3), "{}", String::from_utf8_lossy(&embedded.stderr));
    let exported = std::fs::read(&out_embedded).unwrap();
    assert!(exported == std::fs::read(&out_socket).unwrap());
    assert!(exported == [b"{\"a\": 1.0}\n", line.repeat(600).as_bytes()].concat());
}

/// A document that the embedded handle had stored could once neither be read through a daemon nor be listed past.
#[test]
fn the_longest_document_comes_through_the_daemon_and_hides_no_other() {
    const LONGEST: usize = 16 * 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let (data, file, out) = (dir.path().join("data"), dir.path().join("in"), dir.path().join("out"));
    let long = format!("\"{}\"", "x".repeat(LONGEST - 2));
    let lines = format!("{{\"id\":1,\"doc\":1}}\n{{\"id\":2,\"doc\":{long}}}\n{{\"id\":3,\"doc\":3}}\n");
    std::fs::write(&file, &lines).unwrap();
    with_daemon(&data, |socket| {
        let ask = |command: &str| {
            let ran = shell(&["--socket", socket.to_str().unwrap()], &[".open a", command]);
            assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
            ran.stdout
        };
        ask(&format!(".import {}", file.display()));
        assert!(ask(".read 2") == format!("{long}\n").as_bytes());
        assert_eq!(ask(".list --ids"), b"1\n2\n3\n");
        assert_eq!(ask(".list").len(), "1\t1\n2\t\n3\t3\n".len() + LONGEST);
        assert_eq!(ask(&format!(".export {}", out.display())), b"3 exported\n");
    });
    assert!(std::fs::read_to_string(&out).unwrap().starts_with(&lines));
}

#[test]
fn one_plain_document_a_line_has_no_room_for_line_ends() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let array = dir.path().join("in.json");
    std::fs::write(&array, "[{\n\"a\": 1\n}]").unwrap();
    let out = dir.path().join("out");
    let (import, export) = (format!(".import {}", array.display()), format!(".export {} --plain", out.display()));
    let ran = shell(&[data.to_str().unwrap()], &[".open a", &import, &export]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("document 0") && said.contains("--array"), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left of the failed export");
    let as_array = format!("{export} --array");
    assert!(shell(&[data.to_str().unwrap()], &[".open a", &as_array]).status.success());
    assert_eq!(std::fs::read(&out).unwrap(), b"[\n{\n\"a\": 1\n}\n]\n");
}

#[test]
fn an_export_replaces_nothing_but_a_plain_file() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file, link) = (dir.path().join("data"), dir.path().join("file"), dir.path().join("link"));
    std::fs::write(&file, "precious").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let export = format!(".export {} --force", link.display());
    let ran = shell(&[data.to_str().unwrap()], &[".open a", ".create 1 1", &export]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.code() == Some(3) && said.contains("is no plain file"), "{said}");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

/// The older protocol had no words for most of this.
#[test]
fn whatever_is_asked_of_a_daemon_comes_to_the_same_as_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let commands = [
        ".open a",
        ".put 1 1",
        ".put momo {\"year\":1973}",
        ".insert [2]",
        ".create 1 0",
        ".update krabat 0",
        ".read \"momo\"",
        ".patch momo {\"title\":\"Momo\"}",
        ".patch momo [{\"op\":\"test\",\"path\":\"/year\",\"value\":1},{\"op\":\"remove\",\"path\":\"/year\"}]",
        ".patch 9 {}",
        ".begin",
        ".create films/krabat {\"year\":1973}",
        ".patch momo {\"year\":null}",
        ".read momo",
        ".commit",
        ".begin",
        ".put 5 5",
        ".create 1 0",
        ".commit",
        ".begin",
        ".delete 1",
        ".rollback",
        ".list",
        ".list --reverse --ids",
        ".list --from 2 --to \"n\" --reverse",
        ".list films --limit 0",
        ".count",
        ".count films",
        ".count nothing",
        ".collections",
        ".delete 1",
        ".delete 1",
        ".stats",
        ".close",
        ".open b",
        ".read 1",
    ];
    let embedded = shell(&[dir.path().join("one").to_str().unwrap()], &commands);
    let results = String::from_utf8_lossy(&embedded.stdout).into_owned();
    assert!(results.contains("{\"title\":\"Momo\"}") && results.contains("films\t1\n"), "{results}");
    with_daemon(&dir.path().join("two"), |socket| {
        let served = shell(&["--socket", socket.to_str().unwrap()], &commands);
        assert_eq!(String::from_utf8_lossy(&served.stderr), String::from_utf8_lossy(&embedded.stderr));
        assert_eq!(String::from_utf8_lossy(&served.stdout), results);
        assert_eq!(served.status.code(), embedded.status.code());
    });
}

/// Nothing is made for a transaction that a frame does not hold.
#[test]
fn a_transaction_that_a_frame_does_not_hold_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    let long = "x".repeat(9 * 1024 * 1024);
    std::fs::write(&script, format!(".open a\n.begin\n.put 1 \"{long}\"\n.put 2 \"{long}\"\n.commit\n.ls\n")).unwrap();
    with_daemon(&dir.path().join("data"), |socket| {
        let ran = shell(&["--socket", socket.to_str().unwrap()], &[&format!(".source {}", script.display())]);
        let (results, said) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(said.contains("PayloadTooLarge: ") && said.contains("a frame has at most 17825792"), "{said}");
        assert_eq!(results.lines().count(), 1, "no database was made: {results}");
    });
}

#[test]
fn commands_on_standard_input_need_no_utf8() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, b".open a\n.create 1 \"\xff\"\r\n\n.create 2 {}\r\n.read 2\n.exit\n.read 3").unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_docdbsh"))
        .arg("--keep-going")
        .arg(dir.path().join("data"))
        .stdin(std::fs::File::open(script).unwrap())
        .output()
        .unwrap();
    assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(3), &b"{}\n"[..]));
    assert!(String::from_utf8_lossy(&ran.stderr).starts_with("line 2: error: InvalidJson: "));
}
