//! What a database begins: its jobs, one after another, and its end.

use super::Database;
use super::checkpoint::Stage;
use super::checkpoint_jobs::{Installing, Trimming, Writing};
use super::commit::Append;
use super::job::Job;
use super::open::Switch;
use super::rotation::Rotation;
use super::spare::SpareState;
use super::spare_jobs::{self, RemoveSpare};
use super::state::{Phase, Turn};
use crate::batch::Batch;
use crate::catalog::{Closed, Figures};
use crate::jobs::slots::Slot;

impl Database {
    /// Begins whatever can begin now. Called after every input that touched this database.
    pub(crate) fn advance(&mut self, turn: &mut Turn<'_>) {
        match &mut self.state.phase {
            Phase::Open(_) => {
                self.prepare_spare(turn);
                self.advance_checkpoint(turn);
                self.advance_log(turn);
            }
            Phase::ReadOnly => self.maybe_closed(turn),
            Phase::Unwritten { refusal } => {
                if let Some(error) = refusal.take() {
                    self.refuse_writes(&error, turn);
                }
                self.maybe_closed(turn);
            }
            Phase::Opening | Phase::Closed(_) | Phase::Failed(_) => {}
        }
    }

    /// Once half of the active segment is used, the next one is prepared, twice as long up to the limit.
    fn prepare_spare(&mut self, turn: &mut Turn<'_>) {
        let (open, common) = self.state.open();
        let file_bytes = open.log.segment.file_bytes;
        let is_due = std::mem::take(&mut open.has_grown)
            && open.log.used_bytes() >= file_bytes / 2
            && !common.is_closing()
            && matches!(common.spare, SpareState::None)
            && self.slots.is_free(Slot::Spare);
        if is_due {
            let options = turn.options;
            let file_bytes = (2 * file_bytes).clamp(options.segment_bytes_min, options.segment_bytes_max);
            self.slots.begin(Job::MakeSpare(spare_jobs::make(file_bytes, common, turn)));
        }
    }

    /// Carries a checkpoint on, or begins one that is due. One that a closing meets goes no further.
    fn advance_checkpoint(&mut self, turn: &mut Turn<'_>) {
        let (open, common) = self.state.open();
        if common.is_closing() || !self.slots.is_free(Slot::Checkpoint) {
            return;
        }
        let now = turn.now.monotonic;
        match &open.checkpoint.stage {
            Stage::Idle => {
                let is_due = open.checkpoint.is_due(open.log.end, common.published.last_tx(), turn.options);
                if is_due {
                    match Writing::begin(open, common, turn) {
                        Some(job) => self.slots.begin(Job::Writing(job)),
                        None => self.install(turn),
                    }
                }
            }
            Stage::Written(_) => self.install(turn),
            Stage::Named(_, due) if *due > now => turn.io.wake_by(*due),
            Stage::Named(..) => {
                if let Some(record) = open.checkpoint.take_record(now) {
                    open.gather_checkpoint(record, &common.pending, turn.options);
                }
            }
            Stage::Gathered(_) => {}
            Stage::Proven => self.slots.begin(Job::Trimming(Trimming::begin(open, common, turn))),
            Stage::Writing | Stage::Installing | Stage::Trimming => unreachable!("its job is in the slot"),
        }
    }

    /// Begins to name tables, unless a rotation syncs the same folder: then once that has ended.
    fn install(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.slots.get(Slot::Log), Some(Job::Rotation(_))) {
            return;
        }
        let (open, common) = self.state.open();
        if let Stage::Written(written) = std::mem::replace(&mut open.checkpoint.stage, Stage::Installing) {
            self.slots.begin(Job::Installing(Installing::begin(written, common, turn)));
        }
    }

    /// Begins the next job of the log, unless one runs.
    fn advance_log(&mut self, turn: &mut Turn<'_>) {
        if !self.slots.is_free(Slot::Log) {
            return;
        }
        let (open, common) = self.state.open();
        let now = turn.now.monotonic;
        match (&open.switch, open.log.proof_due) {
            (Some(Switch { until: Some(until), .. }), _) if *until > now => turn.io.wake_by(*until),
            (Some(_), _) => self.switch(turn),
            (None, _) if !open.batches.is_empty() => match open.gathers_until(turn.now, common) {
                Some(until) => turn.io.wake_by(until),
                None => self.write_next(turn),
            },
            (None, None) if common.is_closing() => self.close_files(turn),
            (None, Some(due)) if common.is_closing() || due <= now => self.prove(turn),
            (None, Some(due)) => turn.io.wake_by(due),
            (None, None) => {}
        }
    }

    /// Begins a rotation: the one that waits in `switch` after a failure, or else a new one, at its first try.
    fn switch(&mut self, turn: &mut Turn<'_>) {
        // Both sync the folder. An installation takes a few operations.
        if matches!(self.slots.get(Slot::Checkpoint), Some(Job::Installing(_))) {
            return;
        }
        let (open, common) = self.state.open();
        let switch = open.switch.take().unwrap_or_else(|| Switch::new(None, turn.options));
        self.slots.begin(Job::Rotation(Rotation::begin(switch, open, common, turn)));
    }

    /// Writes the batch at the front, in a new segment when it does not fit this one.
    fn write_next(&mut self, turn: &mut Turn<'_>) {
        let (open, common) = self.state.open();
        let has_room = open.batches.front().is_none_or(|front| open.log.has_room_for(front));
        // One batch never spans segments, so a large one may exceed the limit alone in its own, which is made for it: a write
        // beyond the end of a file could meet a full disk when its outcome can no longer be known.
        if open.log.is_spoiled || !has_room {
            if open.log.used_bytes() == 0 && open.batches.len() == 1 {
                // The batch may have grown while an empty segment was made for it. From now on it takes no more requests, and so
                // fits the next segment.
                if let Some(batch) = open.batches.back_mut() {
                    batch.after.get_or_insert_with(|| common.pending.clone());
                }
            }
            // A spare being made will be ready sooner than another file.
            if self.slots.is_free(Slot::Spare) {
                self.switch(turn);
            }
            return;
        }
        let mut batch = open.batches.pop_front().expect("the caller found one");
        if open.batches.is_empty() {
            batch.after.get_or_insert_with(|| common.pending.clone());
        }
        self.slots.begin(Job::Append(Append::begin(batch, open, common, turn)));
    }

    /// Proves the last batch: by a batch without records, or by the header of another segment.
    fn prove(&mut self, turn: &mut Turn<'_>) {
        let (open, common) = self.state.open();
        if open.log.is_spoiled {
            self.switch(turn);
        } else {
            self.slots.begin(Job::Append(Append::begin(Batch::default(), open, common, turn)));
        }
    }

    /// Everything is durable and proven: lets go of the files.
    fn close_files(&mut self, turn: &mut Turn<'_>) {
        if !self.slots.is_free(Slot::Checkpoint) || !self.discard_spare(turn) {
            return;
        }
        let (open, common) = self.state.open();
        let log = &open.log;
        let log_bytes = open.log_bytes();
        let figures = Figures { log_bytes, documents: common.published.documents() };
        let closed = Closed { log_end: log.proven_end, figures: Some(figures) };
        turn.io.close(log.segment.file);
        self.state.phase = Phase::Closed(closed);
    }

    /// A database without an open log has only its spare to let go of before it is closed.
    fn maybe_closed(&mut self, turn: &mut Turn<'_>) {
        let is_alone = self.slots.is_free(Slot::Checkpoint) && self.discard_spare(turn);
        if is_alone && self.state.common.is_closing() {
            self.state.phase = Phase::Closed(Closed::default());
        }
    }

    /// Begins to remove the spare, if there is one, and says whether none is left. Called again when the spare's job has ended.
    fn discard_spare(&mut self, turn: &mut Turn<'_>) -> bool {
        if !self.slots.is_free(Slot::Spare) {
            // The job that makes or removes the spare ends by itself.
            return false;
        }
        let common = &mut self.state.common;
        match common.spare.take() {
            None => true,
            Some(ready) => {
                self.slots.begin(Job::RemoveSpare(RemoveSpare::begin(ready, common, turn.io)));
                false
            }
        }
    }
}
