//! Running requests in a database: what is decided at once, and what joins the batch that gathers.

use docdb_protocol::{Atomicity, Error, ErrorCode, Operation, OperationResult, Reply, Request};

use super::Database;
use super::job::Job;
use super::opened;
use super::state::{Phase, Turn};
use crate::batch::{Batch, Waiting};
use crate::execute::{Bounds, Executed, execute};
use crate::jobs::opening::Permit;
use crate::jobs::slots::Slot;
use crate::message::RequestId;

/// How much a request may take into memory, and whether it may write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'error> {
    /// Bytes that this database may take into memory, all of its own included.
    pub(crate) memory_bytes_free: u64,
    /// Bytes that readers keep in memory by older states; they are not among those that are free.
    pub(crate) pinned_bytes: u64,
    /// Why nothing can be written now, if so.
    pub(crate) unwritten: Option<&'error Error>,
}

impl Database {
    /// Runs a request's operations; the answer comes at once, or with the batch it rests on.
    pub(crate) fn execute(
        &mut self,
        request: RequestId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
        room: Room<'_>,
        turn: &mut Turn<'_>,
    ) {
        let memory_bytes_free = room.memory_bytes_free.saturating_sub(self.frozen_bytes());
        let room = Room { memory_bytes_free, ..room };
        let writes = || operations.iter().any(|operation| !operation.action.is_read());
        if matches!(self.state.phase, Phase::Unwritten { .. }) && writes() && room.unwritten.is_none() {
            self.queue.push_back((request, Request::Execute { database: self.id(), operations, atomicity }));
            return self.open(Permit::WriteIfThereIsSpace, turn);
        }
        let common = &mut self.state.common;
        // While readers hold older states, a document that replaces another makes no room, however small it is.
        let adds = || operations.iter().any(|operation| operation.action.document().is_some());
        let is_over = room.pinned_bytes > 0 && common.pending.memory_bytes() > room.memory_bytes_free && adds();
        let full = is_over.then(|| readers_hold(Error::new(ErrorCode::MemoryLimit), room.pinned_bytes));
        let read_only = common.read_only.clone().or_else(|| room.unwritten.cloned()).or(full);
        let bounds = Bounds { read_only, memory_bytes_free: room.memory_bytes_free };
        let Executed { mut results, records, rests_on_pending } =
            execute(&mut common.pending, &common.published, &operations, atomicity, &bounds);
        if room.pinned_bytes > 0 {
            name_readers(&mut results, room.pinned_bytes);
        }
        if records.is_empty() && !rests_on_pending {
            return turn.io.respond(request, results.map(Reply::Executed));
        }
        let waiting = Waiting { request, operations, atomicity, results };
        if records.is_empty() {
            return match self.newest_batch() {
                Some(batch) => batch.waiting.push(waiting),
                // Nothing is pending after all, so nothing can be given up.
                None => turn.io.respond(request, waiting.durable()),
            };
        }
        let (open, common) = self.state.open();
        open.gather(waiting, records, &common.pending, turn.options);
    }

    /// Opens it, or opens it again.
    pub(super) fn open(&mut self, permit: Permit, turn: &mut Turn<'_>) {
        self.slots.begin(Job::Opening(opened::open(permit, &self.state.common, turn)));
        self.state.phase = Phase::Opening;
    }

    /// The newest batch that is not durable yet.
    fn newest_batch(&mut self) -> Option<&mut Batch> {
        let open = match &mut self.state.phase {
            Phase::Open(open) => open,
            Phase::Opening | Phase::ReadOnly | Phase::Unwritten { .. } | Phase::Closed(_) | Phase::Failed(_) => {
                return None;
            }
        };
        if let Some(batch) = open.batches.back_mut() {
            return Some(batch);
        }
        match self.slots.get_mut(Slot::Log) {
            Some(Job::Append(job)) => Some(&mut job.batch),
            Some(Job::Rotation(job)) => job.tail.as_mut(),
            Some(
                Job::Opening(_)
                | Job::MakeSpare(_)
                | Job::RemoveSpare(_)
                | Job::Writing(_)
                | Job::Installing(_)
                | Job::Trimming(_),
            )
            | None => open.switch.as_mut().and_then(|switch| switch.tail.as_mut()),
        }
    }

    /// There is no space to go on: answers what waits for it, writes with this error. The next write tries again.
    pub(super) fn refuse_writes(&mut self, error: &Error, turn: &mut Turn<'_>) {
        for (request_id, request) in std::mem::take(&mut self.queue) {
            match request {
                Request::OpenDatabase { .. } => turn.io.respond(request_id, Ok(Reply::Database(self.id()))),
                Request::CloseDatabase { .. } => self.close(Some(request_id)),
                Request::Execute { operations, atomicity, .. } => {
                    let room = Room { memory_bytes_free: 0, pinned_bytes: 0, unwritten: Some(error) };
                    self.execute(request_id, operations, atomicity, room, turn);
                }
                Request::Stats | Request::ListDatabases => unreachable!("answered without a database"),
            }
        }
    }
}

/// Adds to each refusal for want of memory that readers hold a part of it.
fn name_readers(results: &mut Result<Vec<OperationResult>, Error>, pinned_bytes: u64) {
    let errors: Vec<&mut Error> = match results {
        Ok(results) => results.iter_mut().filter_map(|result| result.as_mut().err()).collect(),
        Err(error) => vec![error],
    };
    for error in errors.into_iter().filter(|error| error.code() == ErrorCode::MemoryLimit) {
        *error = readers_hold(error.clone(), pinned_bytes);
    }
}

fn readers_hold(error: Error, pinned_bytes: u64) -> Error {
    error.detail(format!("readers hold older states, which keep {pinned_bytes} bytes in memory"))
}
