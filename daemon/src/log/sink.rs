//! Where the lines of the log go.
//!
//! Owns the file. One line is one write, so that lines of several threads, or of a process that the file is shared with,
//! never mix. Never syncs: a log is no promise.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The owner writes, the group may read.
const FILE_MODE: u32 = 0o640;

/// Standard error, or a file.
#[derive(Debug)]
pub(crate) enum Sink {
    StandardError,
    File { path: PathBuf, file: Mutex<File> },
}

impl Sink {
    pub(crate) fn open(path: Option<PathBuf>) -> io::Result<Sink> {
        match path {
            None => Ok(Sink::StandardError),
            Some(path) => Ok(Sink::File { file: Mutex::new(append_to(&path)?), path }),
        }
    }

    pub(crate) fn reopen(&self) -> io::Result<()> {
        match self {
            Sink::StandardError => Ok(()),
            Sink::File { path, file } => {
                let opened = append_to(path)?;
                *file.lock().unwrap_or_else(PoisonError::into_inner) = opened;
                Ok(())
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(FILE_MODE).open(path).map_err(|error| {
        let text = format!("cannot open the log {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Sink::StandardError => io::stderr().write(line),
            Sink::File { file, .. } => file.lock().unwrap_or_else(PoisonError::into_inner).write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
