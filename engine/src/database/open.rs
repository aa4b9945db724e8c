//! What exists only while a database is open for writing: the active segment of its log, and what gathers for it.
//!
//! Invariant: one job writes the log at a time, so everything below the end of the log is durable.

use std::collections::VecDeque;

use super::checkpoint::Checkpoint;
use super::common::Common;
use super::pace::Pace;
use crate::batch::{Batch, Waiting};
use crate::clock::{Instant, Now};
use crate::io::Io;
use crate::jobs::new_segment::Made;
use crate::jobs::opening::Sealed;
use crate::log::{Lsn, Record, Repetition, SEGMENT_HEADER_BYTES, encoded_bytes, proof_bytes};
use crate::options::Options;
use crate::retry::Backoff;
use crate::view::View;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) log: Log,
    /// What gathers; the front is the next to be written.
    pub(super) batches: VecDeque<Batch>,
    /// Whether the front waits for more.
    pub(super) pace: Pace,
    /// Set where writing has to go on in a new segment.
    pub(super) switch: Option<Switch>,
    /// Its tables.
    pub(super) checkpoint: Checkpoint,
    /// Whether the log took a batch since [`Database::advance`](super::Database::advance) last asked whether a spare is due.
    pub(super) has_grown: bool,
}

/// The active segment.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) segment: Made,
    pub(super) epoch: u64,
    pub(super) start_lsn: Lsn,
    /// Where the next batch goes; all below is durable.
    pub(super) end: Lsn,
    pub(super) before: Option<Repetition>,
    /// When to write the record that says that everything up to `end` is durable; `None` when one does.
    pub(super) proof_due: Option<Instant>,
    /// Where the last batch with operations ends: a proof may be left out of a later segment, so the
    /// end stored at closing does not count it.
    pub(super) proven_end: Lsn,
    /// A write or a sync of the segment failed: nothing is written to it any more.
    pub(super) is_spoiled: bool,
    /// The segments before this one that are still there, by epoch.
    pub(super) sealed: Vec<Sealed>,
}

/// Writing goes on in a new segment.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    /// The batch whose write or sync failed.
    pub(super) tail: Option<Batch>,
    pub(super) tries: Tries,
    /// Set where a transient error has to pass first.
    pub(super) until: Option<Instant>,
}

/// How a new segment is tried, after those that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    pub(super) backoff: Backoff,
    /// A longer file found no space.
    pub(super) file_bytes_max: u64,
}

impl Switch {
    /// For the first time.
    pub(super) fn new(tail: Option<Batch>, options: &Options) -> Switch {
        let tries = Tries { backoff: Backoff::new(), file_bytes_max: options.segment_bytes_max };
        Switch { tail, tries, until: None }
    }
}

impl Log {
    /// An empty segment, in which the log of a new database begins.
    pub(super) fn created(segment: Made, epoch: u64) -> Log {
        Log {
            segment,
            epoch,
            start_lsn: Lsn(0),
            end: Lsn(0),
            before: None,
            proof_due: None,
            proven_end: Lsn(0),
            is_spoiled: false,
            sealed: Vec::new(),
        }
    }

    /// The epochs of the segments that lie wholly below `floor`, less the last `kept` of them.
    pub(super) fn trimmable(&self, floor: Lsn, kept: usize) -> Vec<u64> {
        let mut next_start = self.start_lsn;
        let mut below = Vec::new();
        for segment in self.sealed.iter().rev() {
            if next_start <= floor {
                below.push(segment.epoch);
            }
            next_start = next_start.min(segment.start_lsn);
        }
        below.split_off(kept.min(below.len()))
    }

    /// These segments are gone.
    pub(super) fn trimmed(&mut self, epochs: &[u64]) {
        self.sealed.retain(|segment| !epochs.contains(&segment.epoch));
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.end.0 - self.start_lsn.0
    }

    /// Whether the batch fits the segment, with its proof.
    pub(super) fn has_room_for(&self, batch: &Batch) -> bool {
        let bytes = encoded_bytes(self.before.as_ref(), &batch.records) + proof_bytes(&batch.records);
        SEGMENT_HEADER_BYTES as u64 + self.used_bytes() + bytes <= self.segment.file_bytes
    }

    /// The log ends with `batch` now, which begins at `lsn` and is durable.
    pub(super) fn ends_with(&mut self, lsn: Lsn, batch: &Batch, proof_due: Instant) {
        if !batch.has_operations() {
            // A checkpoint's record proves the batch before it as a proof does.
            self.proof_due = None;
        } else {
            self.before = Some(Repetition::of(lsn, &batch.records));
            self.proven_end = self.end;
            self.proof_due = Some(proof_due);
        }
    }
}

impl Open {
    pub(super) fn new(log: Log, checkpoint: Checkpoint) -> Open {
        Open { log, batches: VecDeque::new(), pace: Pace::default(), switch: None, checkpoint, has_grown: false }
    }

    /// Bytes of log that an opening has to replay.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log.end.0 - self.checkpoint.floor().0
    }

    /// Takes a request's records into the batch that gathers.
    pub(super) fn gather(&mut self, waiting: Waiting, records: Vec<Record>, pending: &View, options: &Options) {
        let batch = self.gathering(options);
        batch.add(waiting, records);
        batch.freeze_when_full(pending, options);
    }

    /// Takes the record of a checkpoint into the batch that gathers. Nobody waits for it.
    pub(super) fn gather_checkpoint(&mut self, record: Record, pending: &View, options: &Options) {
        let batch = self.gathering(options);
        batch.add_checkpoint(record);
        batch.freeze_when_full(pending, options);
    }

    /// The batch that takes more records.
    fn gathering(&mut self, options: &Options) -> &mut Batch {
        if self.batches.back().is_none_or(|batch| batch.is_full(options)) {
            self.batches.push_back(Batch::default());
        }
        self.batches.back_mut().expect("one was pushed when there was none")
    }

    /// A batch is durable: readers see it, and who waits for it is answered.
    pub(super) fn durable(&mut self, batch: Batch, common: &mut Common, options: &Options, io: &mut Io) {
        if batch.has_checkpoint {
            self.checkpoint.recorded(options);
        }
        common.durable(batch, io);
        self.has_grown = true;
    }

    /// Until when the next batch waits for the clients that were answered just now; `None` when it is written now.
    pub(super) fn gathers_until(&self, now: Now, common: &Common) -> Option<Instant> {
        let batch = self.batches.front()?;
        // A batch that is frozen takes no more, and a closing waits for nobody.
        let may_grow = batch.after.is_none() && !common.is_closing();
        if may_grow { self.pace.waits(now.monotonic, batch.waiting.len()) } else { None }
    }
}
