//! What is exported comes back: each id, and each document byte for byte, whatever stands in it, by the shell alone and
//! through a daemon.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::path::Path;

use common::{shell, with_daemon};

/// Documents that a careless exporter changes: line ends and blanks within and around, braces in strings, an exported
/// line as a document, numbers that no machine word holds, the deepest nesting that is allowed.
fn documents() -> Vec<(u64, String)> {
    let deep = "[\n".repeat(128) + &"]".repeat(128);
    let long = format!("{{\"a\":[{}1]}}", "1,\n".repeat(5000));
    let texts = [
        "{\n  \"a\" : 1.0,\r\n\t\"a\": 2\n}",
        " {} \n",
        "\"}{[]\\\"\\\\\"",
        "{\"id\":7,\"doc\":{}}",
        "18446744073709551616.000e-1",
        deep.as_str(),
        long.as_str(),
        "[\n]",
    ];
    let ids = [0, 1, 5, 6, 20, (1 << 53) + 1, u64::MAX - 1, u64::MAX];
    ids.into_iter().zip(texts.map(str::to_owned)).collect()
}

fn round_trip(place: &[&str], dir: &Path) {
    let exported: String =
        documents().into_iter().map(|(id, text)| format!("{{\"id\":{id},\"doc\":{text}}}\n")).collect();
    let name = |name: &str| dir.join(name).display().to_string();
    std::fs::write(name("in"), &exported).unwrap();
    let file = |command: &str, file: &str| format!(".{command} {}", name(file));
    let ran = shell(
        place,
        &[
            ".open a",
            &file("import", "in"),
            &file("export", "out"),
            &(file("export", "array") + " --array"),
            ".open b",
            &file("import", "out"),
            &file("export", "again"),
            ".open c",
            &file("import", "array"),
            &file("export", "from_array"),
        ],
    );
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.starts_with("the file does not say how many") && said.lines().count() == 1, "of the first: {said}");
    assert_eq!(ran.status.code(), Some(0));
    for file in ["out", "again", "from_array"] {
        let bytes = std::fs::read(name(file)).unwrap();
        let end = bytes.strip_prefix(exported.as_bytes()).expect("it is what was imported, to the byte");
        assert!(end.starts_with(b"{\"exported\":{\"documents\":8,"), "{}", String::from_utf8_lossy(end));
    }
    for (id, text) in documents() {
        let read = shell(place, &[".open b", &format!(".read {id}")]);
        assert!(read.stdout == (text + "\n").as_bytes(), "{id}");
    }
}

#[test]
fn ids_and_bytes_survive_a_file() {
    let dir = tempfile::tempdir().unwrap();
    round_trip(&[dir.path().join("data").to_str().unwrap()], dir.path());
}

#[test]
fn ids_and_bytes_survive_a_file_through_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    with_daemon(&dir.path().join("data"), |socket| round_trip(&["--socket", socket.to_str().unwrap()], dir.path()));
}

#[test]
fn a_damaged_document_is_left_out_of_a_list_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    common::damaged(&data, 3..4);
    let commands = [".open a", ".list --from 2 --limit 3"];
    let embedded = shell(&[data.to_str().unwrap()], &commands);
    assert_eq!(String::from_utf8_lossy(&embedded.stdout), "2\t{\"document\":2}\n4\t{\"document\":4}\n");
    let expected = "error: CorruptRecord: corrupt record, collection \"_default\", document 3\n\
                    there are more: .list --from 5\n";
    assert_eq!(String::from_utf8_lossy(&embedded.stderr), expected);
    assert_eq!(embedded.status.code(), Some(3));
    with_daemon(&data, |socket| assert_eq!(shell(&["--socket", socket.to_str().unwrap()], &commands), embedded));
}
