//! The end of a database: its files are let go of, then its end is recorded in the catalog, then its clients are answered.

use docdb_protocol::{DatabaseId, Error, ErrorCode, Reply};

use super::keeper::Waiter;
use super::{Engine, Phase};
use crate::catalog::Closed;
use crate::clock::Now;
use crate::message::{Output, RequestId};

impl Engine {
    /// Takes no more requests in a database, and closes it when all is durable.
    pub(super) fn close(&mut self, id: DatabaseId) {
        let closing = self.databases.touch(id, &mut self.io, |database, _| database.close(None));
        closing.expect("stays until its closing is recorded");
    }

    /// A client asks to close a database that is closed: its end is recorded by now, unless that failed.
    pub(super) fn close_again(&mut self, id: DatabaseId, request_id: RequestId) {
        match self.unrecorded.get_mut(&id) {
            Some(waiting) => {
                waiting.push(request_id);
                if !self.keeper.has(Waiter::Recorded(id)) {
                    self.write_catalog(Waiter::Recorded(id));
                }
            }
            None => self.io.respond(request_id, Ok(Reply::Closed)),
        }
    }

    /// A database has let go of its files: its end is recorded before any client is answered.
    pub(super) fn closed(&mut self, now: Now, id: DatabaseId, closed: Closed) {
        if self.keeper.has(Waiter::Closed(id)) {
            return;
        }
        let entry = self.catalog.entries.get_mut(&id).expect("an open database is in the catalog");
        if closed.figures.is_some() {
            entry.closed = closed;
        }
        if self.unwritten.is_some() {
            // It was open for reading alone: there is nothing to record.
            return self.end_recorded(now, id, &Ok(()));
        }
        self.write_catalog(Waiter::Closed(id));
    }

    /// A database's end is in the catalog, or could not be recorded: it is closed either way.
    pub(super) fn end_recorded(&mut self, now: Now, id: DatabaseId, outcome: &Result<(), Error>) {
        self.closing_recorded(id, outcome);
        let mut database = self.databases.remove(id).expect("stays until its closing is recorded");
        self.io.push(Output::Publish { database: id, view: None });
        let reply = outcome.clone().map(|()| Reply::Closed);
        for request_id in database.take_closers() {
            self.io.respond(request_id, reply.clone());
        }
        for (request_id, request) in std::mem::take(&mut database.queue) {
            match self.phase {
                Phase::Running => self.enter(now, id, request_id, request),
                Phase::Stopping => self.io.respond(request_id, Err(Error::new(ErrorCode::PoolStopped))),
                Phase::Starting | Phase::Unproven | Phase::Failed(_) | Phase::Stopped => {
                    unreachable!("no database is there in this phase")
                }
            }
        }
    }

    /// A closing was recorded, or could not be: answers those who asked for it again.
    pub(super) fn closing_recorded(&mut self, id: DatabaseId, outcome: &Result<(), Error>) {
        for request_id in self.unrecorded.remove(&id).into_iter().flatten() {
            self.io.respond(request_id, outcome.clone().map(|()| Reply::Closed));
        }
        if outcome.is_err() {
            self.unrecorded.insert(id, Vec::new());
        }
    }
}
