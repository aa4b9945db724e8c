//! One open database: its phases, what gathers in it, and when it opens and closes.
//!
//! `state` is what its jobs change, and `job` the table of them; `advance` begins them, and `requests` runs what clients ask.
//! `commit` writes a batch, and `rotation` goes on in a new segment; `pace` says when a batch waits for more requests, and
//! `giving_up` says what happens when no new segment can be made. `checkpoint` and its jobs write tables beside all that.
//!
//! Invariants: one batch is on its way to the log at a time, so all below its Lsn is durable; the
//! published state is durable; the pending state is the published one plus the batches in their order.

mod advance;
mod checkpoint;
mod checkpoint_jobs;
mod commit;
mod common;
mod giving_up;
mod job;
mod open;
mod opened;
mod pace;
mod requests;
mod rotation;
mod spare;
mod spare_jobs;
mod state;

use std::collections::VecDeque;

use docdb_protocol::{DatabaseId, DatabaseInfo, Error, Request};

use self::checkpoint::Checkpoint;
use self::common::Common;
use self::job::Job;
use self::open::{Log, Open};
pub(crate) use self::requests::Room;
use self::spare::SpareState;
pub(crate) use self::state::{Arrival, Turn};
use self::state::{DatabaseJob, Phase, State};
use crate::catalog::{Closed, Entry};
use crate::io::Io;
use crate::jobs::new_segment::Made;
use crate::jobs::opening::{Permit, Subject};
use crate::jobs::paths::databases_path;
use crate::jobs::slots::{Slot, Slots};
use crate::message::RequestId;
use crate::options::Options;
use crate::view::View;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    state: State,
    slots: Slots<Job>,
    /// Requests that wait for the opening, or for the closing to make way for one.
    pub(crate) queue: VecDeque<(RequestId, Request)>,
}

impl Database {
    /// A database to be opened; [`Database::completed`] carries it on.
    pub(crate) fn opening(id: DatabaseId, entry: &Entry, permit: Permit, turn: &mut Turn<'_>) -> Database {
        let mut database = Database::new(id, entry, Phase::Opening, turn.options);
        database.open(permit, turn);
        database
    }

    /// A database just created: its one segment is durable, empty and open.
    pub(crate) fn created(id: DatabaseId, entry: &Entry, segment: Made, epoch: u64, options: &Options) -> Database {
        Database::new(
            id,
            entry,
            Phase::Open(Open::new(Log::created(segment, epoch), Checkpoint::none(options))),
            options,
        )
    }

    fn new(id: DatabaseId, entry: &Entry, phase: Phase, options: &Options) -> Database {
        let empty = View::empty(options.map_fanout);
        let subject = Subject {
            id,
            name: entry.name.clone(),
            directory: databases_path().join(entry.name.as_str()),
            created_at: entry.created_at,
            log_end: entry.closed.log_end,
        };
        let common = Common {
            subject,
            is_shown: false,
            pending: empty.clone(),
            published: empty,
            spare: SpareState::None,
            read_only: None,
            closing: None,
        };
        Database { state: State { common, phase }, slots: Slots::default(), queue: VecDeque::new() }
    }

    pub(crate) fn id(&self) -> DatabaseId {
        self.state.common.subject.id
    }

    pub(crate) fn is_open(&self) -> bool {
        match self.state.phase {
            Phase::Open(_) | Phase::ReadOnly | Phase::Unwritten { .. } => !self.state.common.is_closing(),
            Phase::Opening | Phase::Closed(_) | Phase::Failed(_) => false,
        }
    }

    /// Whether its log may grow.
    pub(crate) fn takes_writes(&self) -> bool {
        matches!(self.state.phase, Phase::Open(_))
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        // While a database is opened again after an opening without space, readers still hold what that one showed.
        let opening = if let Some(Job::Opening(job)) = self.slots.get(Slot::Log) { job.memory_bytes() } else { 0 };
        opening + self.frozen_bytes() + self.state.common.pending.memory_bytes()
    }

    /// What a checkpoint keeps in memory beside the pending state, which it writes.
    pub(crate) fn frozen_bytes(&self) -> u64 {
        let pending = &self.state.common.pending;
        match self.slots.get(Slot::Checkpoint) {
            Some(Job::Writing(job)) => job.view().bytes_kept_beside(pending),
            Some(
                Job::Opening(_)
                | Job::Append(_)
                | Job::Rotation(_)
                | Job::MakeSpare(_)
                | Job::RemoveSpare(_)
                | Job::Installing(_)
                | Job::Trimming(_),
            )
            | None => 0,
        }
    }

    pub(crate) fn last_tx(&self) -> u64 {
        self.state.common.published.last_tx().0
    }

    /// Bytes of log that an opening has to replay.
    pub(crate) fn log_bytes(&self) -> u64 {
        match &self.state.phase {
            Phase::Open(open) => open.log_bytes(),
            Phase::Closed(closed) => closed.figures.map_or(0, |figures| figures.log_bytes),
            Phase::Opening | Phase::ReadOnly | Phase::Unwritten { .. } | Phase::Failed(_) => 0,
        }
    }

    pub(crate) fn describe(&self, info: &mut DatabaseInfo) {
        if self.is_open() {
            info.open = true;
            info.read_only = self.state.common.read_only.is_some();
            info.documents = Some(self.state.common.published.documents());
            info.memory_bytes = self.memory_bytes();
            if self.takes_writes() {
                info.log_bytes = Some(self.log_bytes());
            }
        }
    }

    /// Publishes the state readers see now.
    pub(crate) fn publish(&mut self, io: &mut Io) {
        self.state.common.publish(io);
    }

    /// Takes no more requests, and closes when all is durable.
    pub(crate) fn close(&mut self, request: Option<RequestId>) {
        self.state.common.closing.get_or_insert_default().extend(request);
    }

    /// Whom to answer when the closing is recorded.
    pub(crate) fn take_closers(&mut self) -> Vec<RequestId> {
        self.state.common.closing.take().unwrap_or_default()
    }

    /// What the closing stores, once everything is durable and no file is open: the engine records it.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match &self.state.phase {
            Phase::Closed(closed) => Some(*closed),
            Phase::Opening | Phase::Open(_) | Phase::ReadOnly | Phase::Unwritten { .. } | Phase::Failed(_) => None,
        }
    }

    /// Why it could not be opened: the engine answers those who wait, and forgets the database.
    pub(crate) fn failed(&self) -> Option<Error> {
        match &self.state.phase {
            Phase::Failed(error) => Some(error.clone()),
            Phase::Opening | Phase::Open(_) | Phase::ReadOnly | Phase::Unwritten { .. } | Phase::Closed(_) => None,
        }
    }

    /// Carries on with the job in this slot.
    pub(crate) fn completed(&mut self, slot: Slot, arrival: Arrival, turn: &mut Turn<'_>) {
        if let Some(job) = self.slots.take(slot).completed(arrival, &mut self.state, turn) {
            self.slots.resume(job);
        }
    }
}
