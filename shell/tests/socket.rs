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

/// A document that the embedded handle had stored could neither be read through a daemon nor be listed past.
#[test]
fn a_document_too_long_for_the_daemon_hides_no_other() {
    const LONGEST: usize = 16 * 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let (data, file, out) = (dir.path().join("data"), dir.path().join("in"), dir.path().join("out"));
    let long = format!("\"{}\"", "x".repeat(LONGEST - 2));
    std::fs::write(&file, format!("{{\"id\":1,\"doc\":1}}\n{{\"id\":2,\"doc\":{long}}}\n{{\"id\":3,\"doc\":3}}\n"))
        .unwrap();
    let imported = shell(&[data.to_str().unwrap()], &[".open a", &format!(".import {}", file.display())]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    with_daemon(&data, |socket| {
        let ask = |command: &str| {
            let ran = shell(&["--socket", socket.to_str().unwrap()], &[".open a", command]);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
        };
        let (code, _, said) = ask(".read 2");
        assert!(
            code == Some(3) && said.contains("response too large, document 2: ") && said.contains("docdbsh DIR"),
            "{said}"
        );
        let (code, listed, said) = ask(".list");
        assert_eq!((code, listed.as_str()), (Some(3), "1\t1\n3\t3\n"));
        assert!(said.contains("document 2") && said.contains("docdbsh DIR"), "{said}");
        let export = format!(".export {} --skip-damaged", out.display());
        assert_eq!(ask(&export).1, "2 exported\n");
        let exported = std::fs::read_to_string(&out).unwrap();
        assert!(exported.starts_with("{\"id\":1,\"doc\":1}\n{\"id\":3,\"doc\":3}\n{\"exported\":"), "{exported}");
    });
    // Nothing is lost, and the shell without a daemon shows it.
    assert!(shell(&[data.to_str().unwrap()], &[".open a", ".read 2"]).stdout == format!("{long}\n").as_bytes());
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

/// What the daemon's older protocol has no word for is refused before anything is made.
#[test]
fn what_the_daemon_cannot_be_asked_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let commands = [
        ".open a",
        ".put 1 1",
        ".insert 1",
        ".begin",
        ".ls",
        ".create 1 1",
        ".list --reverse",
        ".list --to 0",
        ".collections",
    ];
    with_daemon(&dir.path().join("data"), |socket| {
        let ran = shell(&["--socket", socket.to_str().unwrap()], &commands);
        let (results, said) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        for what in ["put", "insert", "transactions", "descending order"] {
            let error = format!("the daemon's protocol has no word for {what}");
            assert!(said.contains(&error), "{what}: {said}");
        }
        assert_eq!(said.lines().filter(|line| line.ends_with("while no daemon runs")).count(), 4, "{said}");
        let databases = results.lines().take_while(|line| !line.starts_with("_default")).count();
        assert_eq!(databases, 1, "no database was made for what was refused: {results}");
        assert!(results.ends_with("_default\t?\n"), "{results}");
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
