//! The way of a batch: into the log, into readers' sight, into the answers.
//!
//! ```text
//! write -> sync -> publish -> acknowledge
//!     | failed, short or full        | the folder is not the one that was opened
//!     v                              v
//! new segment, with the batch as     for reading alone
//! its tail -> publish -> acknowledge
//! ```
//!
//! Invariants: after a failed write or sync, that file is never written or synced again (what it holds
//! is unknown); a batch begins where the durable log ends; a proof always fits where its batch went.

use docdb_protocol::{Error, ErrorCode};

use super::common::Common;
use super::giving_up::latch;
use super::open::{Open, Switch};
use super::state::{Arrival, DatabaseJob, State, Turn};
use crate::alert::AlertKind;
use crate::batch::Batch;
use crate::disk::{DiskError, DiskErrorKind, DiskOp};
use crate::io::disk_error;
use crate::jobs::new_segment::written;
use crate::jobs::slots::Slot;
use crate::log::{BatchPlace, Lsn, SEGMENT_HEADER_BYTES, active, encode};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Append {
    pub(super) batch: Batch,
    bytes: u64,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The batch is being written; nobody has been answered.
    Write,
    /// The batch is written and not durable; nobody has been answered.
    Sync,
}

impl Step {
    /// The error of a file on which it fails.
    fn code(self) -> ErrorCode {
        match self {
            Step::Write => ErrorCode::FileWrite,
            Step::Sync => ErrorCode::FileSync,
        }
    }
}

impl Append {
    /// Appends a batch to the active segment; one without records proves the last one.
    pub(super) fn begin(batch: Batch, open: &mut Open, common: &Common, turn: &mut Turn<'_>) -> Append {
        let log = &open.log;
        let place = BatchPlace {
            database: common.subject.id,
            epoch: log.epoch,
            start_lsn: log.start_lsn,
            lsn: log.end,
            watermark: log.end,
        };
        let encoded = encode(place, log.before.as_ref(), &batch.records);
        let offset = SEGMENT_HEADER_BYTES as u64 + log.used_bytes();
        let write = DiskOp::Write { file: log.segment.file, offset, buffers: encoded.buffers };
        turn.io.submit(common.owner(Slot::Log), write);
        open.pace.begins(turn.now.monotonic, batch.waiting.len());
        Append { batch, bytes: encoded.bytes, step: Step::Write }
    }

    /// The batch is written and synced.
    fn appended(self, open: &mut Open, common: &mut Common, turn: &mut Turn<'_>) {
        let (batch, now) = (self.batch, turn.now.monotonic);
        let lsn = open.log.end;
        open.log.end = Lsn(lsn.0 + self.bytes);
        open.log.ends_with(lsn, &batch, now.after(turn.options.watermark_delay_ns));
        let gathered = open.batches.front().map_or(0, |batch| batch.waiting.len());
        open.pace.ends(now, batch.waiting.len(), gathered, turn.options.gather_ns_max);
        open.durable(batch, common, turn.options, turn.io);
    }

    fn failed(self, code: ErrorCode, error: &DiskError, open: &mut Open, common: &Common, turn: &mut Turn<'_>) {
        turn.io.alert(Some(&common.subject.name), AlertKind::LogFailed(of_log(code, error, common)));
        open.log.is_spoiled = true;
        open.switch = Some(Switch::new(Some(self.batch), turn.options));
    }

    /// A new segment would be made in what took the folder's place, which may be a copy of it, and leave a gap in its log.
    fn gone(self, code: ErrorCode, error: &DiskError, state: &mut State, turn: &mut Turn<'_>) {
        latch(&of_log(code, error, &state.common), Some(self.batch), state, turn);
    }
}

/// What the active segment met, with the names of file and database.
fn of_log(code: ErrorCode, error: &DiskError, common: &Common) -> Error {
    let subject = &common.subject;
    disk_error(code, &subject.directory.join(&active(&subject.name)), error).database(subject.name.as_str())
}

impl DatabaseJob for Append {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Append> {
        let (open, common) = state.open();
        match (self.step, arrival.result) {
            (step, Err(error)) if error.kind == DiskErrorKind::Gone => self.gone(step.code(), &error, state, turn),
            (Step::Write, Ok(reply)) => match written(&reply, self.bytes) {
                Ok(()) => {
                    // The write is complete, so this sync covers it.
                    turn.io.submit(common.owner(Slot::Log), DiskOp::Sync { file: open.log.segment.file });
                    self.step = Step::Sync;
                    return Some(self);
                }
                Err(error) => self.failed(ErrorCode::FileWrite, &error, open, common, turn),
            },
            (Step::Write, Err(error)) => self.failed(ErrorCode::FileWrite, &error, open, common, turn),
            (Step::Sync, Ok(_)) => self.appended(open, common, turn),
            // Never synced again: what a failed sync covered is unknown for ever.
            (Step::Sync, Err(error)) => self.failed(ErrorCode::FileSync, &error, open, common, turn),
        }
        None
    }
}
