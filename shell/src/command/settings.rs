//! Commands about the session itself: what its results look like, where they go, what was typed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use docdb_protocol::Error;

use super::Command;
use super::words::{Words, not_understood, usage};
use crate::output::Mode;

pub(super) fn mode(rest: &[u8]) -> Result<Command, Error> {
    let mode = match rest {
        b"json" => Mode::Json,
        b"ndjson" => Mode::Ndjson,
        b"table" => Mode::Table,
        b"line" => Mode::Line,
        _ => return Err(usage("a mode is json, ndjson, table or line")),
    };
    Ok(Command::Mode(mode))
}

pub(super) fn on_or_off(rest: &[u8]) -> Result<bool, Error> {
    match rest {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(usage("this command takes on or off")),
    }
}

pub(super) fn source(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let file = words.next()?.ok_or_else(|| usage("the name of a file is missing"))?;
    words.end("a name with blanks stands in quotation marks")?;
    Ok(Command::Source(PathBuf::from(OsStr::from_bytes(&file.bytes))))
}

pub(super) fn output(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let (mut file, mut force) = (None, false);
    while let Some(word) = words.next()? {
        match word.bytes.as_slice() {
            b"--force" if !word.is_quoted => force = true,
            other if file.is_some() || other.starts_with(b"--") && !word.is_quoted => {
                return Err(not_understood(other));
            }
            other => file = Some(PathBuf::from(OsStr::from_bytes(other))),
        }
    }
    Ok(Command::Output { file, force })
}
