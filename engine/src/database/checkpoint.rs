//! Checkpoints of one database: when one is due, and how far the one on its way is.
//!
//! ```text
//! due -> Writing: tables of everything published, with the end of the durable log       (jobs/write_tables.rs)
//!     -> Written -> Installing: the manifest names them                                 (jobs/install.rs)
//!     -> Named -> Gathered: the record is in a batch of the log
//!     -> Proven: that batch is durable -> Trimming                                      (jobs/trim.rs)
//! ```
//!
//! Invariants: tables hold what was durable when the checkpoint began, and nothing newer. Nothing of the log is removed, and no
//! table that older metadata names, before both copies of the metadata are durable. A failure leaves the log as it is, and the
//! next checkpoint is due when the log has grown by as much again.
//!
//! It owns no file and submits nothing: the jobs do (`checkpoint_jobs`).

use std::collections::BTreeSet;

use crate::buffer::Buffer;
use crate::clock::Instant;
use crate::log::{Lsn, Payload, Record, RecordKind};
use crate::metadata::Metadata;
use crate::options::Options;
use docdb_protocol::{CollectionId, DocumentId};

/// A record that was given up with its batch is tried again after so long.
const RECORD_RETRY_NS: u64 = 1_000_000_000;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    /// The metadata of which both copies are durable, or that an opening went by; `None` before the first checkpoint.
    metadata: Option<Box<Metadata>>,
    /// Whether both copies of it are durable: else the next one is due, whatever was written since.
    is_proven: bool,
    /// The next one is due once the log ends here.
    due_at: Lsn,
    pub(super) stage: Stage,
}

/// How far the checkpoint on its way is. A closed list.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// There is none.
    Idle,
    /// A job writes the tables.
    Writing,
    /// They are durable, and nothing names them.
    Written(Written),
    /// A job makes the manifest name them.
    Installing,
    /// It does, durably. The record is to be gathered, at this time or later.
    Named(Box<Metadata>, Instant),
    /// It is in a batch that is not durable yet.
    Gathered(Box<Metadata>),
    /// Both copies are durable: what they make superfluous can go.
    Proven,
    /// A job removes it.
    Trimming,
}

/// Tables that nothing names yet.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) metadata: Box<Metadata>,
    /// Their files.
    pub(super) paths: Vec<crate::disk::DiskPath>,
}

impl Checkpoint {
    /// Of a database that has none.
    pub(super) fn none(options: &Options) -> Checkpoint {
        let due_at = Lsn(options.checkpoint_log_bytes);
        Checkpoint { metadata: None, is_proven: true, due_at, stage: Stage::Idle }
    }

    /// Of a database whose opening went by this metadata. Where both copies are there, what an earlier process left is removed;
    /// where one may be missing, nothing is, and the next checkpoint is due at once.
    pub(super) fn opened(metadata: Option<Box<Metadata>>, is_proven: bool, options: &Options) -> Checkpoint {
        let stage = if is_proven { Stage::Proven } else { Stage::Idle };
        let mut checkpoint = Checkpoint { metadata, is_proven, stage, ..Checkpoint::none(options) };
        let from = checkpoint.floor();
        checkpoint.due_at = if is_proven { checkpoint.due_behind(from, options) } else { from };
        checkpoint
    }

    /// Where a replay begins.
    pub(super) fn floor(&self) -> Lsn {
        self.metadata.as_ref().map_or(Lsn(0), |metadata| metadata.snapshot_offset)
    }

    /// The highest number that the metadata names: of its generation or of a table. A data directory that was put back from a
    /// copy may be about to give it again.
    pub(super) fn highest_given(&self) -> u64 {
        let numbers = self.metadata.iter().flat_map(|metadata| &metadata.tables).map(|table| table.number);
        numbers.chain(self.metadata.iter().map(|metadata| metadata.generation)).max().unwrap_or(0)
    }

    /// The tables that count.
    pub(super) fn live(&self) -> BTreeSet<u64> {
        self.metadata.iter().flat_map(|metadata| &metadata.tables).map(|table| table.number).collect()
    }

    /// Whether a checkpoint of this log is to be begun.
    pub(super) fn is_due(&self, end: Lsn, published: docdb_protocol::TxId, options: &Options) -> bool {
        let newest = self.metadata.as_ref().map_or(docdb_protocol::TxId(0), |metadata| metadata.tx);
        let is_wanted = published > newest || !self.is_proven;
        options.checkpoints_automatic && end >= self.due_at && is_wanted
    }

    /// An attempt has failed, of a log that ends here.
    pub(super) fn failed(&mut self, end: Lsn, options: &Options) {
        self.stage = Stage::Idle;
        self.due_at = Lsn(end.0.saturating_add(options.checkpoint_log_bytes));
    }

    /// The record, once it is to be gathered: it goes into a batch now.
    pub(super) fn take_record(&mut self, now: Instant) -> Option<Record> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Named(metadata, due) if due <= now => {
                let record = record(&metadata);
                self.stage = Stage::Gathered(metadata);
                Some(record)
            }
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// The batch that has the record is durable.
    pub(super) fn recorded(&mut self, options: &Options) {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Gathered(metadata) => {
                self.metadata = Some(metadata);
                self.is_proven = true;
                self.due_at = self.due_behind(self.floor(), options);
                self.stage = Stage::Proven;
            }
            other => unreachable!("a record is in a batch while it is gathered, not {other:?}"),
        }
    }

    /// What was gathered is given up, the record too if it was there.
    pub(super) fn given_up(&mut self, now: Instant) {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Gathered(metadata) => self.stage = Stage::Named(metadata, now.after(RECORD_RETRY_NS)),
            other => self.stage = other,
        }
    }

    /// So much more log than the tables take makes one due.
    fn due_behind(&self, from: Lsn, options: &Options) -> Lsn {
        let tables_bytes: u64 =
            self.metadata.iter().flat_map(|metadata| &metadata.tables).map(|table| table.file_bytes).sum();
        Lsn(from.0.saturating_add(options.checkpoint_log_bytes.max(tables_bytes)))
    }
}

/// The copy of the metadata that goes into the log.
fn record(metadata: &Metadata) -> Record {
    Record {
        kind: RecordKind::Checkpoint,
        tx: metadata.tx,
        collection: CollectionId::DEFAULT,
        document: DocumentId::Number(0),
        payload: Payload::Metadata(Buffer::from(metadata.encode())),
    }
}
