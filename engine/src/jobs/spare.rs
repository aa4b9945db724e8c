//! Preparing a segment ahead of need: overwriting allocated, zero-filled space nearly doubles the
//! durable appends of a file that grows.
//!
//! ```text
//! unlink NAME.wal.spare          an earlier process may have left one
//! create NAME.wal.spare
//! zero-fill it, in pieces        so that no single operation takes long
//! sync it                        so that the first commits into it do not pay for it
//! ```
//!
//! A spare has no header, so it is no part of the log, and its name need not be durable. One that could
//! not be made whole is removed.

use docdb_protocol::{DatabaseName, Error, ErrorCode};

use super::undo::Undo;
use crate::disk::{DiskErrorKind, DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Progress, disk_error};
use crate::log::spare;
use crate::options::Options;

/// A prepared file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spare {
    pub(crate) file: FileId,
    /// The length of the file, header included.
    pub(crate) file_bytes: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct SpareJob {
    path: DiskPath,
    spare: Spare,
    /// One operation zero-fills at most so much.
    piece_bytes: u64,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Unlink,
    Create,
    Allocate {
        done_bytes: u64,
    },
    Sync,
    /// After a failure, with the file still open if it ever was.
    Undo {
        undo: Undo,
        is_open: bool,
    },
}

impl SpareJob {
    pub(crate) fn new(
        directory: &DiskPath,
        database: &DatabaseName,
        file: FileId,
        file_bytes: u64,
        options: &Options,
    ) -> (SpareJob, DiskOp) {
        let path = directory.join(&spare(database));
        let first = DiskOp::Unlink { path: path.clone() };
        let piece_bytes = options.spare_piece_bytes.max(1);
        (SpareJob { path, spare: Spare { file, file_bytes }, piece_bytes, step: Step::Unlink }, first)
    }

    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<Spare> {
        let file = self.spare.file;
        match (&mut self.step, result) {
            (Step::Unlink, Err(error)) if error.kind != DiskErrorKind::NotFound => {
                self.failed(ErrorCode::FileOpen, &error)
            }
            (Step::Unlink, Ok(_) | Err(_)) => {
                self.step = Step::Create;
                Progress::Submit(DiskOp::Open { file, path: self.path.clone(), mode: OpenMode::CreateNew })
            }
            (Step::Create, Ok(_)) => self.allocate(0),
            (Step::Allocate { done_bytes }, Ok(_)) if *done_bytes < self.spare.file_bytes => {
                let from = *done_bytes;
                self.allocate(from)
            }
            (Step::Allocate { .. }, Ok(_)) => {
                self.step = Step::Sync;
                Progress::Submit(DiskOp::Sync { file })
            }
            (Step::Sync, Ok(_)) => Progress::Done(self.spare),
            (Step::Create, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::Allocate { .. }, Err(error)) => self.failed(ErrorCode::FileWrite, &error),
            (Step::Sync, Err(error)) => self.failed(ErrorCode::FileSync, &error),
            (Step::Undo { undo, .. }, Ok(_) | Err(_)) => undo.step(),
        }
    }

    /// The file to close when the job has failed, if it came to be opened.
    pub(crate) fn opened(&self) -> Option<FileId> {
        match self.step {
            Step::Unlink | Step::Create | Step::Undo { is_open: false, .. } => None,
            Step::Allocate { .. } | Step::Sync | Step::Undo { is_open: true, .. } => Some(self.spare.file),
        }
    }

    fn allocate(&mut self, from: u64) -> Progress<Spare> {
        let bytes = self.piece_bytes.min(self.spare.file_bytes - from);
        self.step = Step::Allocate { done_bytes: from + bytes };
        Progress::Submit(DiskOp::Allocate { file: self.spare.file, offset: from, bytes })
    }

    fn failed(&mut self, code: ErrorCode, error: &crate::disk::DiskError) -> Progress<Spare> {
        let error: Error = disk_error(code, &self.path, error);
        let mut undo = Undo::new(error, vec![self.path.clone()]);
        let first = undo.step();
        self.step = Step::Undo { undo, is_open: self.opened().is_some() };
        first
    }
}
