//! Whose directory is it, and is it free? None of these needs more of the engine than its start.

use std::collections::BTreeMap;
use std::path::Path;

use docdb::{DocDb, ErrorCode, Options};

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it is listed").path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap_or_default())).collect()
}

fn refusal(path: &Path) -> (ErrorCode, String) {
    let error = DocDb::open(path).expect_err("the directory is refused");
    (error.code(), error.context().and_then(|context| context.detail.clone()).unwrap_or_default())
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
    let catalog = [&b"DOCDBCAT"[..], &7_u32.to_le_bytes(), b"what we cannot know"].concat();
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
