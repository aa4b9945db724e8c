//! Going on in a new segment, at the place where the durable log ends.
//!
//! ```text
//! make it (`jobs/new_segment.rs`), with the batch whose write or sync failed as its tail
//! take it for the active one -> publish -> acknowledge
//!     | failed
//!     v
//! `giving_up`
//! ```

use super::common::Common;
use super::giving_up::Attempt;
use super::open::{Open, Switch, Tries};
use super::state::{Arrival, DatabaseJob, State, Turn};
use crate::batch::Batch;
use crate::io::Progress;
use crate::jobs::new_segment::{Made, NewSegment, Plan};
use crate::jobs::opening::Sealed;
use crate::jobs::slots::Slot;
use crate::log::{BatchPlace, Lsn, SEGMENT_HEADER_BYTES, encode, encoded_bytes, proof_bytes};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    job: Box<NewSegment>,
    /// The batch whose write or sync failed.
    pub(super) tail: Option<Batch>,
    tries: Tries,
}

impl Rotation {
    pub(super) fn begin(switch: Switch, open: &Open, common: &mut Common, turn: &mut Turn<'_>) -> Rotation {
        let Switch { tail, tries, until: _ } = switch;
        let (log, subject) = (&open.log, &common.subject);
        let epoch = turn.io.new_epoch(log.epoch);
        let place = BatchPlace { database: subject.id, epoch, start_lsn: log.end, lsn: log.end, watermark: log.end };
        let encoded = tail.as_ref().map(|batch| encode(place, log.before.as_ref(), &batch.records));
        let header = turn.io.segment_header(subject.id, epoch, log.end, subject.created_at);
        // After a failure a file is needed at once. A rotation for want of room has waited for a spare that was being made.
        let spare = common.spare.take();
        let file_bytes = log.segment.file_bytes.min(tries.file_bytes_max);
        // One batch never spans segments: the file has room for the tail, or else for what is written next, and its proof.
        let needed_bytes = SEGMENT_HEADER_BYTES as u64
            + match (&tail, open.batches.front()) {
                (Some(tail), _) => encoded.as_ref().map_or(0, |encoded| encoded.bytes) + proof_bytes(&tail.records),
                (None, Some(front)) => encoded_bytes(log.before.as_ref(), &front.records) + proof_bytes(&front.records),
                (None, None) => 0,
            };
        let file = turn.io.new_file();
        let plan = Plan { header, tail: encoded, seal: log.epoch, spare, file, file_bytes, needed_bytes };
        let (job, first) = NewSegment::new(plan, subject.directory.clone(), subject.name.clone());
        turn.io.submit(common.owner(Slot::Log), first);
        Rotation { job: Box::new(job), tail, tries }
    }

    /// The new segment is durable under its name.
    fn switched(self, made: Made, open: &mut Open, common: &mut Common, turn: &mut Turn<'_>) {
        let Rotation { job, tail, tries: _ } = self;
        let log = &mut open.log;
        log.sealed.push(Sealed { epoch: log.epoch, start_lsn: log.start_lsn });
        turn.io.close(log.segment.file);
        log.segment = made;
        log.epoch = job.plan.header.epoch;
        log.start_lsn = log.end;
        log.is_spoiled = false;
        // The header says that all below is durable.
        log.proof_due = None;
        common.spare.segment_switched();
        if let Some(batch) = tail {
            log.end = Lsn(log.end.0 + job.plan.tail.as_ref().map_or(0, |tail| tail.bytes));
            log.ends_with(log.start_lsn, &batch, turn.now.monotonic.after(turn.options.watermark_delay_ns));
            open.durable(batch, common, turn.options, turn.io);
        }
    }
}

impl DatabaseJob for Rotation {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Rotation> {
        match self.job.step(arrival.result) {
            Progress::Submit(op) => {
                turn.io.submit(state.common.owner(Slot::Log), op);
                return Some(self);
            }
            Progress::Done(made) => {
                let (open, common) = state.open();
                self.switched(made, open, common, turn);
            }
            Progress::Failed(error) => {
                Attempt { error, job: self.job, tail: self.tail, tries: self.tries }.give_up(state, turn);
            }
        }
        None
    }
}
