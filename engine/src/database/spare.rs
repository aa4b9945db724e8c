//! The spare of one database: a segment prepared ahead of need, and removed when nobody needs it any more.
//!
//! It has a life beside the log's: one operation of its own may be in flight in any phase of the database, so
//! a database is not closed before its spare is gone. A spare that fails is reported, and tried again behind
//! the next rotation; nothing else depends on it.

use docdb_protocol::{DatabaseId, DatabaseName};

use crate::alert::AlertKind;
use crate::disk::{DiskOp, DiskPath};
use crate::io::{DiskResult, Io, Owner, Progress};
use crate::jobs::spare::{Spare, SpareJob};
use crate::log::spare;

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum SpareState {
    None,
    Making(SpareJob),
    Ready(Spare),
    /// Nobody needs it; its name is on the way out.
    Removing,
    /// Not tried again before the next segment.
    Failed,
}

impl SpareState {
    pub(super) fn is_being_made(&self) -> bool {
        matches!(self, SpareState::Making(_))
    }

    /// Hands a spare over that is ready.
    pub(super) fn take(&mut self) -> Option<Spare> {
        match self {
            SpareState::Ready(spare) => {
                let spare = *spare;
                *self = SpareState::None;
                Some(spare)
            }
            SpareState::None | SpareState::Making(_) | SpareState::Removing | SpareState::Failed => None,
        }
    }

    /// A new segment is in use, so the next one may be prepared.
    pub(super) fn segment_switched(&mut self) {
        if matches!(self, SpareState::Failed) {
            *self = SpareState::None;
        }
    }

    /// Begins one of `file_bytes`, unless there is one, or the last one failed.
    pub(super) fn prepare(
        &mut self,
        id: DatabaseId,
        name: &DatabaseName,
        directory: &DiskPath,
        file_bytes: u64,
        io: &mut Io,
    ) {
        if matches!(self, SpareState::None) {
            let (job, first) = SpareJob::new(directory, name, io.new_file(), file_bytes);
            io.submit(Owner::Spare(id), first);
            *self = SpareState::Making(job);
        }
    }

    /// Sees to it that no spare is left; whether none is. Call it again when the spare had a completion.
    pub(super) fn discard(&mut self, id: DatabaseId, name: &DatabaseName, directory: &DiskPath, io: &mut Io) -> bool {
        match self {
            SpareState::None | SpareState::Failed => true,
            // It ends by itself.
            SpareState::Making(_) | SpareState::Removing => false,
            SpareState::Ready(ready) => {
                io.close(ready.file);
                io.submit(Owner::Spare(id), DiskOp::Unlink { path: directory.join(&spare(name)) });
                *self = SpareState::Removing;
                false
            }
        }
    }

    /// Carries on with it.
    pub(super) fn completed(&mut self, id: DatabaseId, name: &DatabaseName, result: DiskResult, io: &mut Io) {
        match self {
            SpareState::Making(job) => match job.step(result) {
                Progress::Submit(op) => io.submit(Owner::Spare(id), op),
                Progress::Done(made) => *self = SpareState::Ready(made),
                Progress::Failed(error) => {
                    if let Some(file) = job.opened() {
                        io.close(file);
                    }
                    *self = SpareState::Failed;
                    io.alert(Some(name), AlertKind::PreparationFailed(error.database(name.as_str())));
                }
            },
            // One that could not be removed is removed at the next opening.
            SpareState::Removing => *self = SpareState::None,
            SpareState::None | SpareState::Ready(_) | SpareState::Failed => {
                unreachable!("nothing of the spare was in flight")
            }
        }
    }
}
