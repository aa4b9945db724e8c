//! Commands that move whole files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use docdb_protocol::Error;

use super::Command;
use super::words::{Word, Words, collection_name, not_understood, text, usage};
use crate::export::How;
use crate::import::{Ids, OnExisting};

pub(super) fn import(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let (mut file, mut collection, mut ndjson) = (None, None, false);
    let (mut id_field, mut plain, mut on_existing) = (None, false, OnExisting::Fail);
    while let Some(word) = words.next()? {
        match word.bytes.as_slice() {
            b"--collection" => collection = Some(collection_name(&words.value("--collection")?)?),
            b"--id-field" => id_field = Some(text(&words.value("--id-field")?.bytes)?.to_owned()),
            b"--on-existing" => on_existing = existing(&words.value("--on-existing")?.bytes)?,
            b"--plain" => plain = true,
            b"--ndjson" => ndjson = true,
            _ => set_file(&mut file, &word)?,
        }
    }
    let ids = match (id_field, plain) {
        (Some(field), _) => Ids::InField(field),
        (None, true) => Ids::CountOn,
        (None, false) => Ids::AsExported,
    };
    Ok(Command::Import { file: file_of(file)?, collection, ids, on_existing, ndjson })
}

pub(super) fn export(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let (mut file, mut collection, mut how) = (None, None, How::default());
    while let Some(word) = words.next()? {
        match word.bytes.as_slice() {
            b"--collection" => collection = Some(collection_name(&words.value("--collection")?)?),
            b"--array" => how.array = true,
            b"--plain" => how.plain = true,
            b"--force" => how.force = true,
            b"--skip-damaged" => how.skip_damaged = true,
            _ => set_file(&mut file, &word)?,
        }
    }
    Ok(Command::Export { file: file_of(file)?, collection, how })
}

fn existing(word: &[u8]) -> Result<OnExisting, Error> {
    match word {
        b"fail" => Ok(OnExisting::Fail),
        b"skip" => Ok(OnExisting::Skip),
        b"replace" => Ok(OnExisting::Replace),
        _ => Err(usage("--on-existing takes fail, skip or replace")),
    }
}

fn set_file(file: &mut Option<PathBuf>, word: &Word) -> Result<(), Error> {
    if word.bytes.starts_with(b"--") && !word.is_quoted || file.is_some() {
        return Err(not_understood(&word.bytes));
    }
    *file = Some(PathBuf::from(OsStr::from_bytes(&word.bytes)));
    Ok(())
}

fn file_of(file: Option<PathBuf>) -> Result<PathBuf, Error> {
    file.ok_or_else(|| usage("the name of a file is missing"))
}
