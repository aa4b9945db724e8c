//! Removing what a failed job has left, before the job reports its failure.
//!
//! On a full disk, half-made files would keep it full. What cannot be removed is removed by the next
//! job that makes the same file, so nothing is done about a removal that fails too.
//!
//! Only a job knows which of its files are no part of anything; it names them. Nothing else is removed.

use docdb_protocol::Error;

use crate::disk::{DiskOp, DiskPath};
use crate::io::Progress;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    error: Error,
    /// The last one goes first.
    paths: Vec<DiskPath>,
}

impl Undo {
    /// Nothing to do before the first failure. `paths` are removed from the last to the first.
    pub(crate) fn new(error: Error, paths: Vec<DiskPath>) -> Undo {
        Undo { error, paths }
    }

    /// The next removal, or the failure when all is removed.
    pub(crate) fn step<T>(&mut self) -> Progress<T> {
        match self.paths.pop() {
            Some(path) => Progress::Submit(DiskOp::Unlink { path }),
            None => Progress::Failed(self.error.clone()),
        }
    }
}
