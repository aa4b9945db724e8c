//! Whose directory is it, and is it free? None of these needs more of the engine than its start.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use docdb::{Collection, DocDb, Error, ErrorCode, Options};

/// No machine needs as long to look for a folder.
const PATIENCE: Duration = Duration::from_secs(60);

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it is listed").path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default())).collect()
}

fn refusal(path: &Path) -> (ErrorCode, String) {
    let error = DocDb::open(path).expect_err("the directory is refused");
    (error.code(), error.context().and_then(|context| context.detail.clone()).unwrap_or_default())
}

/// Creates documents until one is refused: the folder is looked for every few milliseconds.
fn refused_soon(collection: &Collection, first: u64) -> Error {
    let begun = Instant::now();
    let mut tries = (first..).take_while(|_| begun.elapsed() < PATIENCE);
    let refused = tries.find_map(|id| collection.create_bytes(id, b"{}").err());
    refused.expect("nobody would find what is written, and it is acknowledged")
}

#[test]
fn a_directory_that_is_not_ours_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("holiday.jpg"), "sea").unwrap();
    std::fs::write(directory.path().join("LOCK"), "somebody else's").unwrap();
    let before = contents(directory.path());
    let (code, detail) = refusal(directory.path());
    assert_eq!(code, ErrorCode::NotADataDirectory);
    assert!(detail.contains(&directory.path().display().to_string()) && detail.contains("holiday.jpg"), "{detail}");
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn a_file_is_no_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "text").unwrap();
    assert_eq!(refusal(&file).0, ErrorCode::NotADataDirectory);
    assert_eq!(std::fs::read(&file).unwrap(), b"text");
}

#[test]
fn a_second_opening_learns_who_holds_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/data");
    let options = Options { program: "the-first".to_owned(), ..Options::default() };
    let first = DocDb::open_with(&path, options.clone()).unwrap();
    let (code, detail) = refusal(&path);
    assert_eq!(code, ErrorCode::DirectoryLocked);
    assert!(detail.contains(&std::process::id().to_string()) && detail.contains("the-first"), "{detail}");
    first.close().unwrap();
    DocDb::open_with(&path, options).unwrap().close().unwrap();
}

#[test]
fn a_newer_catalog_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = [&b"DOCDBCAT"[..], &64_u32.to_le_bytes(), &7_u32.to_le_bytes(), b"what we cannot know"].concat();
    std::fs::write(directory.path().join("catalog"), &catalog).unwrap();
    let (code, detail) = refusal(directory.path());
    assert_eq!(code, ErrorCode::NewerFormat);
    assert!(detail.contains("version 7") && detail.contains("up to 1"), "{detail}");
    assert_eq!(std::fs::read(directory.path().join("catalog")).unwrap(), catalog);
    assert!(!directory.path().join("db").exists());
}

#[test]
fn a_directory_we_may_not_write_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Permissions do not bind the superuser; then there is nothing to see here.
    if std::fs::write(path.join("probe"), "").is_ok() {
        return;
    }
    assert_eq!(refusal(&path).0, ErrorCode::PermissionDenied);
}

#[test]
fn a_foreign_catalog_or_lock_is_not_taken_for_ours() {
    for name in ["catalog", "LOCK"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join(name);
        std::fs::write(&path, "hi").expect("a foreign file");
        let error = DocDb::open(directory.path()).expect_err("it is not ours");
        assert_eq!(error.code(), ErrorCode::NotADataDirectory, "{name}");
        assert_eq!(std::fs::read(&path).expect("still there"), b"hi");
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing was added");
    }
}

#[test]
fn a_pipe_by_one_of_our_names_is_refused_and_not_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    for name in ["catalog", "LOCK"] {
        let directory = tempfile::tempdir().unwrap();
        mknodat(CWD, directory.path().join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (code, detail) = refusal(directory.path());
        assert_eq!(code, ErrorCode::NotADataDirectory);
        assert!(detail.contains(name), "{detail}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was added");
    }
}

/// A data directory with the database `a`, and in it one document.
fn with_a_document() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let docdb = DocDb::open(directory.path()).unwrap();
    docdb.database("a").unwrap().collection("_default").unwrap().create_bytes(1, b"{}").unwrap();
    docdb.close().unwrap();
    directory
}

/// Raises the version that a file's header names behind its magic of eight bytes, in the copies at these places.
fn raise_version(file: &Path, copies: &[usize]) {
    let mut bytes = std::fs::read(file).unwrap();
    for copy in copies {
        // The version; the checksum stands at the end that the header's length says.
        bytes[copy + 12] += 1;
        let length = u32::from_le_bytes(*bytes[copy + 8..].first_chunk().unwrap()) as usize;
        let crc32 = crc32fast::hash(&bytes[*copy..copy + length - 4]).to_le_bytes();
        bytes[copy + length - 4..][..4].copy_from_slice(&crc32);
    }
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_log_of_a_newer_version_is_refused_and_not_touched() {
    let directory = with_a_document();
    let path = directory.path();
    raise_version(&path.join("db/a/a.wal"), &[0, 2048]);
    let (catalog, log) = (contents(path), contents(&path.join("db/a")));
    let unchanged = |before: &BTreeMap<String, Vec<u8>>| {
        // The lock names its holder, and the catalog counts the starts.
        let others = |mut files: BTreeMap<String, Vec<u8>>| {
            files.retain(|name, _| !["LOCK", "catalog"].iter().any(|changing| name.ends_with(changing)));
            files
        };
        assert_eq!(others(contents(path)), others(before.clone()));
        assert_eq!(contents(&path.join("db/a")), log);
    };
    let docdb = DocDb::open(path).unwrap();
    let error = docdb.database("a").expect_err("what a later version wrote is not damage");
    assert_eq!(error.code(), ErrorCode::NewerFormat);
    assert!(error.to_string().contains("db/a/a.wal") && error.to_string().contains("newer program"), "{error}");
    docdb.close().unwrap();
    unchanged(&catalog);
    // A catalog that is rebuilt without it would give its id away.
    std::fs::remove_file(path.join("catalog")).unwrap();
    let without = contents(path);
    assert_eq!(refusal(path).0, ErrorCode::NewerFormat);
    unchanged(&without);
    assert!(!path.join("catalog").exists());
}

#[test]
fn a_damaged_version_in_one_copy_of_the_catalog_is_no_newer_format() {
    let directory = with_a_document();
    let catalog = directory.path().join("catalog");
    for copy in [0, 512] {
        raise_version(&catalog, &[copy]);
        let docdb = DocDb::open(directory.path()).unwrap();
        assert!(docdb.existing_database("a").unwrap().collection("_default").unwrap().get(1).unwrap().is_some());
        docdb.close().unwrap();
    }
}

/// What is acknowledged in a directory that nobody finds any more is lost: it went on unnoticed, and ended with success.
#[test]
fn a_directory_that_was_removed_or_replaced_acknowledges_nothing_more() {
    let moved = |data: &Path| std::fs::rename(data, data.with_extension("away")).unwrap();
    let removed = |data: &Path| std::fs::remove_dir_all(data).unwrap();
    let replaced = |data: &Path| {
        std::fs::rename(data, data.with_extension("away")).unwrap();
        std::fs::create_dir(data).unwrap();
    };
    let lock_replaced = |data: &Path| {
        std::fs::remove_file(data.join("LOCK")).unwrap();
        std::fs::write(data.join("LOCK"), "").unwrap();
    };
    let ways: [&dyn Fn(&Path); 4] = [&moved, &removed, &replaced, &lock_replaced];
    for (number, way) in ways.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let (tell, told) = std::sync::mpsc::channel();
        let on_alert: docdb::AlertHook = std::sync::Arc::new(move |alert| {
            let _ = tell.send(format!("{alert:?}"));
        });
        let docdb = DocDb::open_with(&data, Options { on_alert: Some(on_alert), ..Options::default() }).unwrap();
        let database = docdb.database("a").unwrap();
        database.collection("_default").unwrap().create_bytes(1, b"{}").unwrap();
        way(&data);
        // The directory is looked for every few milliseconds, and at each rotation.
        refused_soon(&database.collection("_default").unwrap(), 4);
        assert!(told.recv().unwrap().contains("was removed or replaced"), "way {number}");
        database.collection("_default").unwrap().create_bytes(3, b"{}").expect_err("and no other one");
        assert!(
            database.collection("_default").unwrap().get(1).unwrap().is_some(),
            "what is in memory can still be read"
        );
        assert_eq!(docdb.close().unwrap_err().code(), ErrorCode::FileOpen, "way {number}");
    }
}

/// A database's folder that was removed or replaced under an open database was not noticed: what it acknowledged was lost.
#[test]
fn a_folder_that_was_removed_or_replaced_acknowledges_nothing_more() {
    let moved = |folder: &Path| std::fs::rename(folder, folder.with_extension("away")).unwrap();
    let removed = |folder: &Path| std::fs::remove_dir_all(folder).unwrap();
    let replaced = |folder: &Path| {
        std::fs::rename(folder, folder.with_extension("away")).unwrap();
        std::fs::create_dir(folder).unwrap();
    };
    let ways: [&dyn Fn(&Path); 3] = [&moved, &removed, &replaced];
    for (number, way) in ways.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let (hears, alerts) = std::sync::mpsc::channel();
        let on_alert: docdb::AlertHook = std::sync::Arc::new(move |alert| {
            let _ = hears.send(alert.to_string());
        });
        let docdb = DocDb::open_with(&data, Options { on_alert: Some(on_alert), ..Options::default() }).unwrap();
        let [lost, other] = ["lost", "other"].map(|name| docdb.database(name).unwrap().collection("c").unwrap());
        lost.create_bytes(1, b"{}").unwrap();
        way(&data.join("db/lost"));
        // The folder is looked for every few milliseconds.
        let refused = refused_soon(&lost, 4);
        assert_eq!(refused.code(), ErrorCode::OutcomeUnknown, "way {number}: {refused}");
        let alert = alerts.recv().unwrap();
        assert!(alert.starts_with("database \"lost\": ") && alert.contains("removed or replaced"), "{alert}");
        lost.create_bytes(3, b"{}").expect_err("and no other one");
        assert!(lost.get(1).unwrap().is_some(), "what is in memory can still be read");
        // Other databases are not concerned.
        other.create_bytes(1, b"{}").unwrap();
        drop((lost, other));
        drop(docdb);
    }
}

/// An administrator puts a copy back under a running process. Going on in it would leave a gap in its log.
#[test]
fn a_copy_in_the_place_of_an_open_database_is_not_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let docdb = DocDb::open(&data).unwrap();
    let books = docdb.database("books").unwrap().collection("c").unwrap();
    books.create_bytes(0, b"{}").unwrap();
    let (folder, copy) = (data.join("db/books"), directory.path().join("copy"));
    std::fs::create_dir(&copy).unwrap();
    for (path, bytes) in contents(&folder) {
        std::fs::write(copy.join(Path::new(&path).file_name().unwrap()), bytes).unwrap();
    }
    books.create_bytes(1, b"{}").unwrap();
    std::fs::rename(&folder, directory.path().join("away")).unwrap();
    std::fs::rename(&copy, &folder).unwrap();
    let before = contents(&folder);
    let refused = refused_soon(&books, 2);
    assert_eq!(refused.code(), ErrorCode::OutcomeUnknown, "{refused}");
    let refused = books.create_bytes("more", b"{}").unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ReadOnly, "{refused}");
    assert!(refused.to_string().contains("was removed or replaced"), "{refused}");
    assert!(contents(&folder) == before, "the copy is as it was");
}

/// Another process has the same number where it has a namespace of its own, so the advice leaves both open.
#[test]
fn a_second_opening_in_one_process_is_advised_to_share_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let docdb = DocDb::open(directory.path()).unwrap();
    let (code, detail) = refusal(directory.path());
    assert_eq!(code, ErrorCode::DirectoryLocked);
    assert!(detail.contains("if that is this process, clone its DocDb"), "{detail}");
    drop(docdb);
}
