//! Writing the catalog anew.
//!
//! ```text
//! unlink catalog.new            an earlier process may have left one
//! create it, write it, sync it  the rename says nothing about the bytes, so they come first
//! rename it over catalog        atomic: one or the other, never neither
//! sync the data directory       only now is the change durable
//! ```
//!
//! A failure before the rename removes `catalog.new`. The file stays open: from then on its journal takes what changes.

use docdb_protocol::{Error, ErrorCode};

use super::new_segment::written;
use super::paths::{catalog_path, new_catalog_path};
use super::undo::Undo;
use crate::buffer::Buffer;
use crate::catalog::Catalog;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Progress, disk_error};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct CatalogWrite {
    bytes: Buffer,
    generation: u64,
    file: FileId,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    UnlinkStale,
    Create,
    Write,
    /// The rename says nothing about the bytes.
    Sync,
    Rename,
    /// A rename is durable only with its directory.
    SyncRoot,
    /// After a failure, with the file still open if it ever was.
    Undo {
        undo: Undo,
        is_open: bool,
    },
}

impl CatalogWrite {
    pub(crate) fn new(catalog: &mut Catalog, file: FileId) -> (CatalogWrite, DiskOp) {
        let bytes = Buffer::from(catalog.encode());
        let job = CatalogWrite { bytes, generation: catalog.generation, file, step: Step::UnlinkStale };
        (job, DiskOp::Unlink { path: new_catalog_path() })
    }

    /// How many bytes it writes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The snapshot's number, which each change behind it repeats.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The file to close when the job has failed, if it is open.
    pub(crate) fn opened(&self) -> Option<FileId> {
        match self.step {
            Step::UnlinkStale | Step::Create | Step::Undo { is_open: false, .. } => None,
            Step::Write | Step::Sync | Step::Rename | Step::SyncRoot | Step::Undo { is_open: true, .. } => {
                Some(self.file)
            }
        }
    }

    /// Done with the file that has the journal.
    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<FileId> {
        let file = self.file;
        match (&mut self.step, result) {
            (Step::UnlinkStale, Err(error)) if error.kind != DiskErrorKind::NotFound => {
                self.failed(ErrorCode::FileOpen, &error)
            }
            (Step::UnlinkStale, Ok(_) | Err(_)) => {
                self.go(Step::Create, DiskOp::Open { file, path: new_catalog_path(), mode: OpenMode::CreateNew })
            }
            (Step::Create, Ok(_)) => {
                self.go(Step::Write, DiskOp::Write { file, offset: 0, buffers: vec![self.bytes.clone()] })
            }
            (Step::Write, Ok(reply)) => match written(&reply, self.bytes.len() as u64) {
                Ok(()) => self.go(Step::Sync, DiskOp::Sync { file }),
                Err(error) => self.failed(ErrorCode::FileWrite, &error),
            },
            (Step::Sync, Ok(_)) => self.rename(),
            (Step::Rename, Ok(_)) => self.go(Step::SyncRoot, DiskOp::SyncDirectory { path: DiskPath::root() }),
            (Step::SyncRoot, Ok(_)) => Progress::Done(file),
            (Step::Create | Step::Rename, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::Undo { undo, .. }, Ok(_) | Err(_)) => undo.step(),
            (Step::Write, Err(error)) => self.failed(ErrorCode::FileWrite, &error),
            (Step::Sync | Step::SyncRoot, Err(error)) => self.failed(ErrorCode::FileSync, &error),
        }
    }

    fn rename(&mut self) -> Progress<FileId> {
        self.go(Step::Rename, DiskOp::Rename { from: new_catalog_path(), to: catalog_path(), replace: true })
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<FileId> {
        self.step = step;
        Progress::Submit(op)
    }

    fn failed(&mut self, code: ErrorCode, error: &DiskError) -> Progress<FileId> {
        let error: Error = disk_error(code, &catalog_path(), error);
        let is_renamed = matches!(self.step, Step::SyncRoot);
        let mut undo = Undo::new(error, if is_renamed { Vec::new() } else { vec![new_catalog_path()] });
        let first = undo.step();
        self.step = Step::Undo { undo, is_open: self.opened().is_some() };
        first
    }
}
