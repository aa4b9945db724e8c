//! What is refused never reaches the log: at the engine's own door, the files stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use docdb::{DocDb, EngineOptions, Options};
use docdb_protocol::ErrorCode;

fn files(directory: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let bytes = fs::read(&path).expect("a file");
            found.insert(path, bytes);
        }
    }
}

fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    files(directory, &mut found);
    found
}

#[test]
fn refused_writes_leave_every_file_byte_identical() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // No proof is written meanwhile: it would be a change too.
    let engine = EngineOptions { watermark_delay_ns: u64::MAX, ..EngineOptions::default() };
    let options = Options { engine, ..Options::default() };
    let docdb = DocDb::open_with(directory.path(), options).expect("opens");
    let database = docdb.database("a").expect("is made");
    database.collection("_default").unwrap().create_bytes(1, b"{\"n\":1}").expect("is stored");
    let before = snapshot(directory.path());
    for bad in [&b"{bad"[..], b"", b"[1,]", b"\"\\ud800\"", b"\"\xff\"", b"{} {}", b"nul"] {
        assert_eq!(
            database.collection("_default").unwrap().create_bytes(2, bad).unwrap_err().code(),
            ErrorCode::InvalidJson
        );
        assert_eq!(
            database.collection("_default").unwrap().update_bytes(1, bad).unwrap_err().code(),
            ErrorCode::InvalidJson
        );
    }
    let large = vec![b' '; docdb_protocol::limits::DOCUMENT_BYTES_MAX + 1];
    assert_eq!(
        database.collection("_default").unwrap().create_bytes(2, &large).unwrap_err().code(),
        ErrorCode::PayloadTooLarge
    );
    assert_eq!(
        database.collection("_default").unwrap().create_bytes(1, b"{}").unwrap_err().code(),
        ErrorCode::DocExists
    );
    assert_eq!(database.collection("_default").unwrap().delete(9).unwrap_err().code(), ErrorCode::DocNotFound);
    assert_eq!(database.collection("a/b").unwrap_err().code(), ErrorCode::InvalidCollectionName);
    assert_eq!(docdb.database("../x").unwrap_err().code(), ErrorCode::InvalidDatabaseName);
    assert!(snapshot(directory.path()) == before, "a refused write changed a file");
    docdb.close().expect("closes");
}
