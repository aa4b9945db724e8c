//! Visits to one database: a request is carried in, a job's completion, or the time that the database asked for.
//!
//! A database that is visited goes on by itself with what it can begin; then the requests that waited for it run, and where
//! it has ended, its closing is recorded.

use docdb_protocol::{DatabaseId, Error, Reply, Request};

use super::keeper::Waiter;
use super::{Engine, Phase};
use crate::clock::Now;
use crate::database::{Arrival, Database, Room, Turn};
use crate::io::DiskResult;
use crate::jobs::opening::Permit;
use crate::jobs::slots::Slot;
use crate::message::RequestId;

impl Engine {
    /// Lets every database go on whose time has come. None is visited twice: one that asks for no later time has to wait
    /// for the next timer.
    pub(super) fn visit_due(&mut self, now: Now) {
        for _ in 0..self.databases.due_len() {
            let Some(id) = self.databases.pop_due(now.monotonic) else { return };
            self.advance(now, id);
        }
    }

    /// Carries a request into its database, which is opened first where need be.
    pub(super) fn enter(&mut self, now: Now, id: DatabaseId, request_id: RequestId, request: Request) {
        if self.databases.get(id).is_none() {
            if matches!(request, Request::CloseDatabase { .. }) {
                return self.close_again(id, request_id);
            }
            let entry = self.catalog.entries.get(&id).expect("the caller looked it up");
            let permit = self.unwritten.clone().map_or(Permit::Write, Permit::ReadAlone);
            let mut turn = Turn { now, options: &self.options, io: &mut self.io };
            let database = Database::opening(id, entry, permit, &mut turn);
            self.databases.insert(database, true, &mut self.io);
        }
        if !self.databases.is_settled(id) {
            self.queue(id, request_id, request);
            if !self.keeper.is_writing_for(Waiter::Created(id)) {
                self.write_catalog(Waiter::Created(id));
            }
            return;
        }
        if !self.databases.get(id).is_some_and(Database::is_open) {
            return self.queue(id, request_id, request);
        }
        self.run_in(now, id, request_id, request);
        self.advance(now, id);
    }

    /// Lets a request wait until its database is open, or closed.
    fn queue(&mut self, id: DatabaseId, request_id: RequestId, request: Request) {
        let queued = self.databases.touch(id, &mut self.io, |database, _| {
            database.queue.push_back((request_id, request));
        });
        queued.expect("the caller looked it up");
    }

    /// Runs a request in a database that is open.
    fn run_in(&mut self, now: Now, id: DatabaseId, request_id: RequestId, request: Request) {
        let (options, pinned_bytes) = (&self.options, self.pinned_bytes);
        let others = self.databases.memory_bytes_besides(id);
        let unwritten = self.unwritten.as_ref();
        let ran = self.databases.touch(id, &mut self.io, |database, io| match request {
            Request::OpenDatabase { .. } => io.respond(request_id, Ok(Reply::Database(id))),
            Request::CloseDatabase { .. } => database.close(Some(request_id)),
            Request::Execute { operations, atomicity, .. } => {
                let memory_bytes_free = options.memory_bytes_max.saturating_sub(others + pinned_bytes);
                let room = Room { memory_bytes_free, pinned_bytes, unwritten };
                database.execute(request_id, operations, atomicity, room, &mut Turn { now, options, io });
            }
            Request::Stats | Request::ListDatabases => unreachable!("answered without a database"),
        });
        ran.expect("the caller looked it up");
    }

    /// Lets a database go on, runs what waited for it, and ends its closing.
    pub(super) fn advance(&mut self, now: Now, id: DatabaseId) {
        loop {
            let (options, is_settled) = (&self.options, self.databases.is_settled(id));
            let advanced = self.databases.touch(id, &mut self.io, |database, io| {
                database.advance(&mut Turn { now, options, io });
                let runs = database.is_open() && is_settled;
                (database.closed(), runs, if runs { database.queue.pop_front() } else { None })
            });
            let (closed, runs, next) = advanced.expect("a database is visited until its closing is recorded");
            match (closed, next) {
                (Some(closed), _) => return self.closed(now, id, closed),
                (None, Some((request_id, request))) => self.run_in(now, id, request_id, request),
                // What came to be open while the engine is stopping is closed again.
                (None, None) if runs && matches!(self.phase, Phase::Stopping) => self.close(id),
                (None, None) => return,
            }
        }
    }

    /// Carries on with the job in a slot of a database.
    pub(super) fn database_completed(&mut self, now: Now, id: DatabaseId, slot: Slot, result: DiskResult) {
        let options = &self.options;
        let others = self.databases.memory_bytes_besides(id) + self.pinned_bytes;
        let memory_bytes_free = options.memory_bytes_max.saturating_sub(others);
        let completed = self.databases.touch(id, &mut self.io, |database, io| {
            let took_writes = database.takes_writes();
            database.completed(slot, Arrival { result, memory_bytes_free }, &mut Turn { now, options, io });
            (database.failed(), database.takes_writes() && !took_writes)
        });
        match completed.expect("stays while a job of it has something in flight") {
            (Some(error), _) => return self.opening_failed(id, &error),
            (None, true) => self.forget_figures(id),
            (None, false) => {}
        }
        self.advance(now, id);
    }

    fn opening_failed(&mut self, id: DatabaseId, error: &Error) {
        let mut database = self.databases.remove(id).expect("its opening was in flight");
        let closers = database.take_closers().into_iter();
        let waiting = database.queue.into_iter().map(|(request_id, _)| request_id);
        for request_id in closers.chain(waiting) {
            self.io.respond(request_id, Err(error.clone()));
        }
    }
}
