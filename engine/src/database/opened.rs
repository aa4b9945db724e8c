//! What an opening (`jobs/opening/`) makes of a database.
//!
//! It publishes what was found, or says why nothing was. The database answers the clients that wait.

use super::checkpoint::Checkpoint;
use super::common::Common;
use super::open::{Log, Open};
use super::state::{Arrival, DatabaseJob, Phase, State, Turn};
use crate::alert::AlertKind;
use crate::batch::read_only;
use crate::io::Progress;
use crate::jobs::opening::{Opened, Opening, Permit};
use crate::jobs::slots::Slot;

/// Begins to open a database, or to open it again.
pub(super) fn open(permit: Permit, common: &Common, turn: &mut Turn<'_>) -> Box<Opening> {
    let (job, first) = Opening::new(common.subject.clone(), permit, turn.options);
    turn.io.submit(common.owner(Slot::Log), first);
    Box::new(job)
}

impl DatabaseJob for Box<Opening> {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Box<Opening>> {
        match self.step(arrival.result, arrival.memory_bytes_free, turn.io) {
            Progress::Submit(op) => {
                turn.io.submit(state.common.owner(Slot::Log), op);
                return Some(self);
            }
            Progress::Done(opened) => state.opened(opened, turn),
            // Readers go on seeing what they see.
            Progress::Failed(error) if state.common.is_shown => state.phase = Phase::Unwritten { refusal: Some(error) },
            Progress::Failed(error) => state.phase = Phase::Failed(error),
        }
        None
    }
}

impl State {
    fn opened(&mut self, opened: Opened, turn: &mut Turn<'_>) {
        let common = &mut self.common;
        match opened {
            Opened::Writable(writable) => {
                common.found(writable.view);
                let checkpoint = Checkpoint::opened(writable.metadata, writable.is_proven, turn.options);
                let log = Log {
                    segment: writable.segment,
                    epoch: writable.epoch,
                    start_lsn: writable.start_lsn,
                    end: writable.end,
                    before: writable.before,
                    proof_due: (writable.end > writable.start_lsn).then_some(turn.now.monotonic),
                    proven_end: writable.end,
                    is_spoiled: false,
                    sealed: writable.sealed,
                };
                self.phase = Phase::Open(Open::new(log, checkpoint));
            }
            Opened::Damaged(view, error) => {
                turn.io.alert(Some(&common.subject.name), AlertKind::Damage(error.clone()));
                common.found(view);
                common.read_only = Some(read_only(&error));
                self.phase = Phase::ReadOnly;
            }
            Opened::Unwritten(view, error) => {
                // Each write tries again; the operator hears of it once.
                if !common.is_shown {
                    turn.io.alert(Some(&common.subject.name), AlertKind::NoSpace(error.clone()));
                }
                common.found(view);
                self.phase = Phase::Unwritten { refusal: Some(error) };
            }
        }
        common.publish(turn.io);
    }
}
