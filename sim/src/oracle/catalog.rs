//! How the catalog is kept, judged as the engine writes it: what changes is appended to its journal, the journal has an end,
//! and the catalog is written anew only where it must be.
//!
//! So neither the file nor what is written of it grows beyond what its databases account for.

use std::collections::BTreeMap;

use docdb_engine::{Completion, DiskOp, DiskReply, FileId, OpId};

use super::{Violation, violation};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct CatalogFile {
    /// What was written anew last, by this process.
    written: Option<Written>,
    /// What is under way, and how many bytes a write has to take.
    in_flight: BTreeMap<OpId, Option<u64>>,
    /// Something about the catalog failed since it was written anew.
    has_failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    file: FileId,
    /// Where the journal begins, and where the next change goes.
    begins: u64,
    end: u64,
}

impl Written {
    /// Where no further change begins.
    fn limit(&self, journal_bytes_min: u64) -> u64 {
        self.begins + self.begins.max(journal_bytes_min)
    }
}

impl CatalogFile {
    /// The engine asks for an operation.
    ///
    /// # Errors
    /// When the journal goes on beyond its end, or the catalog is written anew although its journal has room.
    pub(super) fn submitted(&mut self, id: OpId, op: &DiskOp, journal_bytes_min: u64) -> Result<(), Violation> {
        let mut bytes_written = None;
        match op {
            DiskOp::Open { file, path, .. } if path.as_str() == "catalog.new" => {
                let is_due = |written: &Written| self.has_failed || written.end >= written.limit(journal_bytes_min);
                if let Some(written) = self.written.filter(|written| !is_due(written)) {
                    let (end, limit) = (written.end, written.limit(journal_bytes_min));
                    return violation!("the catalog is written anew, and its journal has room from {end} to {limit}");
                }
                self.written = Some(Written { file: *file, begins: 0, end: 0 });
                self.has_failed = false;
            }
            DiskOp::Write { file, offset, buffers } => {
                let Some(written) = self.written.as_mut().filter(|written| written.file == *file) else {
                    return Ok(());
                };
                let bytes: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
                if *offset == 0 {
                    (written.begins, written.end) = (bytes, bytes);
                } else {
                    let limit = written.limit(journal_bytes_min);
                    if *offset >= limit {
                        return violation!("the catalog's journal goes on at {offset}, and ends at {limit}");
                    }
                    written.end = offset + bytes;
                }
                bytes_written = Some(bytes);
            }
            DiskOp::Sync { file } if self.written.is_some_and(|written| written.file == *file) => {}
            DiskOp::Rename { to, .. } if to.as_str() == "catalog" => {}
            DiskOp::SyncDirectory { path } if path.as_str().is_empty() => {}
            _ => return Ok(()),
        }
        self.in_flight.insert(id, bytes_written);
        Ok(())
    }

    /// The engine hears of a completion.
    pub(super) fn delivered(&mut self, completion: &Completion) {
        let Some(bytes) = self.in_flight.remove(&completion.id) else { return };
        let is_well = match &completion.result {
            Ok(DiskReply::Written(written)) => bytes == Some(*written),
            Ok(_) => true,
            Err(_) => false,
        };
        self.has_failed |= !is_well;
    }
}
