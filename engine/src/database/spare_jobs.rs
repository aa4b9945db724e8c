//! The two jobs in a spare's slot: it is made (`jobs/spare.rs`), or its name is removed.
//!
//! Neither answers anybody.

use super::common::Common;
use super::spare::SpareState;
use super::state::{Arrival, DatabaseJob, State, Turn};
use crate::alert::AlertKind;
use crate::disk::DiskOp;
use crate::io::{Io, Progress};
use crate::jobs::slots::Slot;
use crate::jobs::spare::{Spare, SpareJob};
use crate::log::spare;

/// Begins to make one of `file_bytes`.
pub(super) fn make(file_bytes: u64, common: &Common, turn: &mut Turn<'_>) -> SpareJob {
    let (subject, io) = (&common.subject, &mut *turn.io);
    let (job, first) = SpareJob::new(&subject.directory, &subject.name, io.new_file(), file_bytes, turn.options);
    io.submit(common.owner(Slot::Spare), first);
    job
}

impl DatabaseJob for SpareJob {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<SpareJob> {
        let (common, io) = (&mut state.common, &mut *turn.io);
        match self.step(arrival.result) {
            Progress::Submit(op) => {
                io.submit(common.owner(Slot::Spare), op);
                return Some(self);
            }
            Progress::Done(made) => common.spare = SpareState::Ready(made),
            Progress::Failed(error) => {
                if let Some(file) = self.opened() {
                    io.close(file);
                }
                common.spare = SpareState::Failed;
                let name = &common.subject.name;
                io.alert(Some(name), AlertKind::PreparationFailed(error.database(name.as_str())));
            }
        }
        None
    }
}

/// Removing the name of a spare that nobody needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemoveSpare;

impl RemoveSpare {
    pub(super) fn begin(ready: Spare, common: &Common, io: &mut Io) -> RemoveSpare {
        io.close(ready.file);
        let path = common.subject.directory.join(&spare(&common.subject.name));
        io.submit(common.owner(Slot::Spare), DiskOp::Unlink { path });
        RemoveSpare
    }
}

impl DatabaseJob for RemoveSpare {
    /// One that could not be removed is removed at the next opening.
    fn completed(self, _: Arrival, _: &mut State, _: &mut Turn<'_>) -> Option<RemoveSpare> {
        None
    }
}
