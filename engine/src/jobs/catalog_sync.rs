//! Making the catalog that was read as durable as can be, where there is no space to write it again.
//!
//! ```text
//! open the catalog; sync it      it may stand in the cache alone
//! close it
//! sync the data directory        its name too
//! ```
//!
//! It takes no space. A sync that failed in an earlier process is not made good by it, which only writing the catalog
//! again would do; a client that only reads is better off with what can be read.

use docdb_protocol::{Error, ErrorCode};

use super::paths::catalog_path;
use crate::disk::{DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Progress, disk_error};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct CatalogSync {
    file: FileId,
    /// Why the catalog could not be written.
    cause: Error,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Sync,
    Close,
    SyncRoot,
}

impl CatalogSync {
    pub(crate) fn new(file: FileId, cause: Error) -> (CatalogSync, DiskOp) {
        let first = DiskOp::Open { file, path: catalog_path(), mode: OpenMode::Read };
        (CatalogSync { file, cause, step: Step::Open }, first)
    }

    /// Why the catalog could not be written.
    pub(crate) fn cause(&self) -> &Error {
        &self.cause
    }

    /// The file to close when the job has failed, if it is open.
    pub(crate) fn opened(&self) -> Option<FileId> {
        match self.step {
            Step::Open | Step::Close | Step::SyncRoot => None,
            Step::Sync => Some(self.file),
        }
    }

    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<()> {
        let file = self.file;
        match (self.step, result) {
            (Step::Open, Ok(_)) => self.go(Step::Sync, DiskOp::Sync { file }),
            (Step::Sync, Ok(_)) => self.go(Step::Close, DiskOp::Close { file }),
            (Step::Close, Ok(_)) => self.go(Step::SyncRoot, DiskOp::SyncDirectory { path: DiskPath::root() }),
            (Step::SyncRoot, Ok(_)) => Progress::Done(()),
            (Step::Open | Step::Close, Err(error)) => {
                Progress::Failed(disk_error(ErrorCode::FileOpen, &catalog_path(), &error))
            }
            (Step::Sync | Step::SyncRoot, Err(error)) => {
                Progress::Failed(disk_error(ErrorCode::FileSync, &catalog_path(), &error))
            }
        }
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<()> {
        self.step = step;
        Progress::Submit(op)
    }
}
