//! The state of a database that its jobs change: in which phase it is, with what exists in that phase alone.
//!
//! A job gets the whole state, never the other jobs: what it leaves to be done stands in the state, and the database begins it.

use docdb_protocol::Error;

use super::common::Common;
use super::open::Open;
use crate::catalog::Closed;
use crate::clock::Now;
use crate::io::{DiskResult, Io};
use crate::options::Options;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) common: Common,
    pub(super) phase: Phase,
}

/// A closed list.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every database is open, and each has one of these")]
pub(super) enum Phase {
    /// The job in the log's slot reads it.
    Opening,
    /// Open for writing.
    Open(Open),
    /// Open for reading alone: no file is open, nothing is in flight.
    ReadOnly,
    /// The same, for want of space: the next write opens it again.
    Unwritten {
        /// Set once an opening found no space: the writes that wait are refused with it.
        refusal: Option<Error>,
    },
    /// Nothing is open any more.
    Closed(Closed),
    /// It could not be opened.
    Failed(Error),
}

/// What a database acts with, at one moment.
pub(crate) struct Turn<'turn> {
    pub(crate) now: Now,
    pub(crate) options: &'turn Options,
    pub(crate) io: &'turn mut Io,
}

/// How an operation of a job ended.
pub(crate) struct Arrival {
    pub(crate) result: DiskResult,
    /// What all other databases leave of the limit at this moment.
    pub(crate) memory_bytes_free: u64,
}

/// A job of a database.
pub(super) trait DatabaseJob: Sized {
    /// Carries on with the operation that was in flight. `None` when the job has ended; the state says how.
    fn completed(self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Self>;
}

impl State {
    /// What a job of the open log works on.
    ///
    /// # Panics
    /// When the database is not open for writing: such a job runs in no other phase.
    pub(super) fn open(&mut self) -> (&mut Open, &mut Common) {
        match &mut self.phase {
            Phase::Open(open) => (open, &mut self.common),
            Phase::Opening | Phase::ReadOnly | Phase::Unwritten { .. } | Phase::Closed(_) | Phase::Failed(_) => {
                unreachable!("a job that writes the log runs only while the database is open for writing")
            }
        }
    }
}
