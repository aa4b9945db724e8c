//! The data directory's own files: operations on the catalog, as actions of the specification of closing.

use std::collections::BTreeMap;

use docdb_engine::{DiskErrorKind, DiskOp, DiskReply, FileId, OpenMode};
use docdb_models::spec::closing::Op;
use docdb_protocol::DatabaseId;

use super::{DiskOutcome, written};

/// What begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begins {
    /// This, for every database alike.
    Op(Op),
    /// The catalog is written anew, with [`Catalog::entries`].
    Write,
    /// Changes are appended to it, behind which it says [`Catalog::entries`].
    Append,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    /// `catalog.new`, while it is open.
    new: Option<FileId>,
    /// The file that was renamed into place, with its journal.
    journal: Option<FileId>,
    /// What was written into it, changes included: id and stored end, by name.
    entries: BTreeMap<String, (DatabaseId, u64)>,
    bytes: u64,
}

impl Catalog {
    /// What was written last.
    pub(super) fn entries(&self) -> &BTreeMap<String, (DatabaseId, u64)> {
        &self.entries
    }

    pub(super) fn crashed(&mut self) {
        (self.new, self.journal) = (None, None);
    }

    /// The action that an operation is, if it concerns the catalog.
    pub(super) fn action(&mut self, op: &DiskOp) -> Option<Begins> {
        let begins = match op {
            DiskOp::Unlink { path } if path.as_str() == "catalog.new" => Op::Unlink,
            DiskOp::Open { file, path, mode: OpenMode::CreateNew } if path.as_str() == "catalog.new" => {
                self.new = Some(*file);
                Op::Create
            }
            DiskOp::Write { file, buffers, .. } if self.new == Some(*file) => {
                let bytes = written::bytes_of(buffers);
                self.bytes = bytes.len() as u64;
                let entries = written::catalog(&bytes).unwrap_or_default();
                let known = entries.into_iter().filter_map(|(name, id, end)| Some((name, (DatabaseId::new(id)?, end))));
                self.entries = known.collect();
                return Some(Begins::Write);
            }
            DiskOp::Sync { file } if self.new == Some(*file) => Op::Sync,
            DiskOp::Rename { from, to, .. } if (from.as_str(), to.as_str()) == ("catalog.new", "catalog") => {
                self.journal = self.new.take();
                Op::Rename
            }
            DiskOp::Write { file, buffers, .. } if self.journal == Some(*file) => {
                let bytes = written::bytes_of(buffers);
                self.bytes = bytes.len() as u64;
                let changes = written::changes(&bytes).unwrap_or_default();
                let known = changes.into_iter().filter_map(|(name, id, end)| Some((name, (DatabaseId::new(id)?, end))));
                self.entries.extend(known);
                return Some(Begins::Append);
            }
            DiskOp::Sync { file } if self.journal == Some(*file) => Op::SyncAppended,
            DiskOp::SyncDirectory { path } if path.as_str().is_empty() => Op::SyncRoot,
            _ => return None,
        };
        Some(Begins::Op(begins))
    }

    /// Whether it did all that it was to do.
    pub(super) fn is_success(&self, op: Op, outcome: &DiskOutcome) -> bool {
        match (op, outcome) {
            (Op::Write(_) | Op::Append(_), Ok(DiskReply::Written(bytes))) => *bytes == self.bytes,
            (Op::Unlink, Err(DiskErrorKind::NotFound)) => true,
            (_, outcome) => outcome.is_ok(),
        }
    }
}
