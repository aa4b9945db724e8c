//! What an administrator gets out of a database with a damaged log: everything but what is damaged, which is named.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{damaged, shell, with_daemon};

/// Exports by itself and through a daemon, and holds that both say and write the same.
fn export(data_dir: &Path, out: &Path, flags: &str) -> (Output, Option<String>) {
    let command = format!(".export {} {flags}", out.display());
    let commands = [".open a", command.as_str()];
    let written = || {
        let text = fs::read_to_string(out).ok();
        let _ = fs::remove_file(out);
        text
    };
    let embedded = shell(&[data_dir.to_str().unwrap()], &commands);
    let embedded = (embedded, written());
    with_daemon(data_dir, |socket| {
        let served = shell(&["--socket", socket.to_str().unwrap()], &commands);
        assert_eq!((served, written()), embedded);
    });
    embedded
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_export_names_the_damaged_document_and_can_leave_it_out() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    damaged(&data, 3..4);
    let (refused, written) = export(&data, &out, "");
    assert_eq!((refused.status.code(), written), (Some(3), None));
    let expected = "error: CorruptRecord: corrupt record, collection \"_default\", document 3";
    assert_eq!(said(&refused), format!("{expected}: --skip-damaged writes the rest\n"));
    let (exported, written) = export(&data, &out, "--skip-damaged");
    assert_eq!(exported.status.code(), Some(3), "a script must see that something is missing");
    assert_eq!(said(&exported), format!("{expected}\n"));
    assert_eq!(exported.stdout, b"4 exported\n");
    let expected: String = [1, 2, 4, 5].map(|id| format!("{{\"id\":{id},\"doc\":{{\"document\":{id}}}}}\n")).concat();
    assert_eq!(documents_of(written), Some(expected));
}

#[test]
fn an_export_says_that_documents_may_be_missing_which_nothing_names() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    damaged(&data, 2..4);
    let (exported, written) = export(&data, &out, "--skip-damaged");
    assert_eq!(exported.status.code(), Some(3));
    assert!(said(&exported).contains("a part of the log is lost"), "{}", said(&exported));
    let expected: String = [4, 5].map(|id| format!("{{\"id\":{id},\"doc\":{{\"document\":{id}}}}}\n")).concat();
    assert_eq!(documents_of(written), Some(expected), "what is older may have been replaced in the lost part");
    assert_eq!(export(&data, &out, "").1, None);
}

/// Without the last line, which says how much there was.
fn documents_of(exported: Option<String>) -> Option<String> {
    exported?.split_once("{\"exported\":").map(|(documents, _)| documents.to_owned())
}
