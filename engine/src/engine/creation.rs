//! Creating databases, one after another: each gets its id, its folder and first segment, and then its entry in the catalog.
//!
//! No client is shown a database before a durable catalog names it.

use docdb_protocol::limits::DATABASES_MAX;
use docdb_protocol::{DatabaseId, DatabaseName, Error, ErrorCode, Request};

use super::create_queue::Wanted;
use super::job::{DirectoryJob, Job};
use super::keeper::Waiter;
use super::{Engine, Phase};
use crate::catalog::{Closed, Entry};
use crate::clock::Now;
use crate::database::Database;
use crate::io::{DiskResult, Owner, Progress};
use crate::jobs::create::Create;
use crate::jobs::new_segment::Made;
use crate::jobs::slots::Slot;
use crate::log::{Lsn, SegmentHeader};
use crate::message::RequestId;

impl Engine {
    /// Lets a request wait for a database that is to be created.
    pub(super) fn create(&mut self, now: Now, name: DatabaseName, request_id: RequestId, request: Request) {
        if let Some(waiting) = self.create_queue.waiting_for(&name) {
            return waiting.push((request_id, request));
        }
        if let Some(error) = &self.unwritten {
            return self.io.respond(request_id, Err(error.clone().database(name.as_str())));
        }
        let id = self.catalog.next_database;
        let after = id.next();
        let count = self.catalog.entries.len() + self.create_queue.len();
        let (Some(after), true) = (after, count < DATABASES_MAX) else {
            let detail = format!("at most {DATABASES_MAX} databases");
            return self.io.respond(request_id, Err(Error::new(ErrorCode::LimitExceeded).detail(detail)));
        };
        // Used up even if the creation fails: an id is never used again.
        self.catalog.next_database = after;
        self.create_queue.push(name, id, (request_id, request));
        self.create_next(now);
    }

    /// Begins with the creation at the front of the queue, unless it is under way.
    fn create_next(&mut self, now: Now) {
        if !self.slots.is_free(Slot::Creation) {
            return;
        }
        let Some((name, id)) = self.create_queue.front() else { return };
        let epoch = self.io.new_epoch(0);
        let header = self.io.segment_header(id, epoch, Lsn(0), now.wall);
        let files = [self.io.new_file(), self.io.new_file()];
        let (job, first) = Create::new(header, name.clone(), files, &self.options);
        self.io.submit(Owner::Directory(Slot::Creation), first);
        self.slots.begin(Job::Create(Box::new(job)));
    }

    /// The folder and its first segment are durable: the catalog is to name them.
    fn created(&mut self, now: Now, name: DatabaseName, wanted: Wanted, header: SegmentHeader, segment: Made) {
        let id = wanted.id;
        let entry = Entry { name, created_at: header.created_at, closed: Closed::default() };
        let mut database = Database::created(id, &entry, segment, header.epoch, &self.options);
        database.publish(&mut self.io);
        database.queue.extend(wanted.waiting);
        // No durable catalog names it yet.
        self.databases.insert(database, false, &mut self.io);
        self.catalog.insert(id, entry);
        self.write_catalog(Waiter::Created(id));
        self.advance(now, id);
    }

    /// The catalog that names a new database is durable, or could not be written.
    pub(super) fn creation_recorded(&mut self, now: Now, id: DatabaseId, outcome: &Result<(), Error>) {
        match outcome {
            Ok(()) => self.databases.settle(id, &mut self.io),
            Err(error) => {
                let queue = self.databases.touch(id, &mut self.io, |database, _| std::mem::take(&mut database.queue));
                for (request_id, _) in queue.expect("stays until it is closed") {
                    self.io.respond(request_id, Err(error.clone()));
                }
                // Nobody will ask for another catalog.
                if matches!(self.phase, Phase::Stopping) {
                    self.close(id);
                }
            }
        }
        self.advance(now, id);
    }
}

impl DirectoryJob<Engine> for Box<Create> {
    fn completed(mut self, now: Now, result: DiskResult, engine: &mut Engine) -> Option<Box<Create>> {
        let made = match self.step(result) {
            Progress::Submit(op) => {
                engine.io.submit(Owner::Directory(Slot::Creation), op);
                return Some(self);
            }
            Progress::Done(segment) => Ok(segment),
            Progress::Failed(error) => Err(error),
        };
        let (name, wanted) = engine.create_queue.pop().expect("the creation that runs stands at the front");
        match made {
            Ok(segment) => engine.created(now, name, wanted, self.header, segment),
            Err(error) => {
                if let Some(file) = self.opened() {
                    engine.io.close(file);
                }
                let error = error.database(name.as_str());
                for (request_id, _) in wanted.waiting {
                    engine.io.respond(request_id, Err(error.clone()));
                }
            }
        }
        engine.create_next(now);
        None
    }
}
