//! Appending changes to the catalog's journal.
//!
//! ```text
//! write them behind the last one
//! sync the file                 only now are they durable
//! ```
//!
//! A failure leaves the file as it is: it is never written or synced again, and the catalog is written anew for those
//! who wait.

use docdb_protocol::{Error, ErrorCode};

use super::new_segment::written;
use super::paths::catalog_path;
use crate::disk::{DiskError, DiskOp, FileId};
use crate::io::{DiskResult, Progress, disk_error};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct CatalogAppend {
    file: FileId,
    bytes: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    /// A write says nothing about what is durable.
    Sync,
}

impl CatalogAppend {
    pub(crate) fn new(file: FileId, offset: u64, bytes: Vec<u8>) -> (CatalogAppend, DiskOp) {
        let job = CatalogAppend { file, bytes: bytes.len() as u64, step: Step::Write };
        (job, DiskOp::Write { file, offset, buffers: vec![bytes.into()] })
    }

    /// How many bytes it appends.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<()> {
        match (self.step, result) {
            (Step::Write, Ok(reply)) => match written(&reply, self.bytes) {
                Ok(()) => self.sync(),
                Err(error) => failed(ErrorCode::FileWrite, &error),
            },
            (Step::Sync, Ok(_)) => Progress::Done(()),
            (Step::Write, Err(error)) => failed(ErrorCode::FileWrite, &error),
            (Step::Sync, Err(error)) => failed(ErrorCode::FileSync, &error),
        }
    }

    fn sync(&mut self) -> Progress<()> {
        self.step = Step::Sync;
        Progress::Submit(DiskOp::Sync { file: self.file })
    }
}

fn failed(code: ErrorCode, error: &DiskError) -> Progress<()> {
    let error: Error = disk_error(code, &catalog_path(), error);
    Progress::Failed(error)
}
