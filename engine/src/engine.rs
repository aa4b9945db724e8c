//! The one door of the engine, and what concerns the data directory as a whole: the catalog, the
//! databases' comings and goings, and the bounds on what waits.
//!
//! What happens within one database is that database's. Nothing here touches a log.

mod keeper;
mod open;
mod tell;

use std::collections::{BTreeMap, VecDeque};

use docdb_protocol::limits::{DATABASES_MAX, OPERATIONS_PER_REQUEST_MAX, REQUEST_BYTES_MAX};
use docdb_protocol::{DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, IfMissing, Reply, Request};

use crate::alert::AlertKind;
use crate::batch::OPERATION_BYTES;
use crate::catalog::{CATALOG_BYTES_MAX, Catalog, Closed, Entry};
use crate::clock::Now;
use crate::database::{Arrival, Database, Room, Turn};
use crate::disk::Completion;
use crate::io::{DiskResult, Io, Owner, Progress};
use crate::jobs::catalog_sync::CatalogSync;
use crate::jobs::create::Create;
use crate::jobs::opening::Permit;
use crate::jobs::start::Start;
use crate::log::{Lsn, SEGMENT_HEADER_BYTES};
use crate::message::{Input, Output, RequestId};
use crate::options::Options;
use keeper::{Keeper, Waiter};
use open::OpenDatabases;

/// The engine of one data directory.
#[derive(Clone, Debug)]
pub struct Engine {
    options: Options,
    io: Io,
    phase: Phase,
    catalog: Catalog,
    keeper: Keeper,
    creating: BTreeMap<DatabaseName, Creating>,
    /// In their order. The first one is under way. One at a time: all of them sync the one folder, and the failure of a sync
    /// takes every name along that it was to make durable.
    creations: VecDeque<DatabaseName>,
    databases: OpenDatabases,
    /// Requests that came before the catalog was read, or that wait for it to be written.
    early: VecDeque<(RequestId, Request)>,
    /// Whether the catalog is one that was read whole.
    is_found: bool,
    /// While it is being synced, because it cannot be written.
    syncing: Option<CatalogSync>,
    /// Why this process could not write the catalog yet, where it is shown all the same: databases are opened for reading
    /// alone, and whatever needs more tries to write it first.
    unwritten: Option<Error>,
    /// What waits for its answer, with the bytes it takes up.
    waiting: BTreeMap<RequestId, usize>,
    waiting_bytes: usize,
    /// What readers alone keep in memory: [`Input::Pinned`].
    pinned_bytes: u64,
    /// Databases whose last closing could not be recorded, with those who ask for it again.
    unrecorded: BTreeMap<DatabaseId, Vec<RequestId>>,
}

#[derive(Clone, Debug)]
enum Phase {
    Starting(Box<Start>),
    /// The catalog is known, and nobody is told of it before it was written again. Where that fails, whoever waits is
    /// told, and the next request tries again.
    Unproven,
    Running,
    /// The catalog could not be read: every request gets this error.
    Failed(Error),
    /// With the start that the shutdown came before the end of.
    Stopping(Option<Box<Start>>),
    Stopped,
}

#[derive(Clone, Debug)]
struct Creating {
    id: DatabaseId,
    /// Once it is under way.
    job: Option<Create>,
    waiting: Vec<(RequestId, Request)>,
}

impl Engine {
    /// An engine that begins by reading the catalog, or writing the first one.
    #[must_use]
    pub fn new(mut options: Options) -> Engine {
        options.segment_bytes_min = options.segment_bytes_min.max(SEGMENT_HEADER_BYTES as u64);
        options.segment_bytes_max = options.segment_bytes_max.max(options.segment_bytes_min);
        options.catalog_journal_bytes_min = options.catalog_journal_bytes_min.min(CATALOG_BYTES_MAX / 2);
        options.listed_names_max = options.listed_names_max.max(1);
        let mut io = Io::default();
        let (start, first) = Start::new(&options, &mut io);
        io.submit(Owner::Start, first);
        Engine {
            options,
            io,
            phase: Phase::Starting(Box::new(start)),
            catalog: Catalog::empty(),
            keeper: Keeper::default(),
            creating: BTreeMap::new(),
            creations: VecDeque::new(),
            databases: OpenDatabases::default(),
            early: VecDeque::new(),
            is_found: false,
            syncing: None,
            unwritten: None,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            pinned_bytes: 0,
            unrecorded: BTreeMap::new(),
        }
    }

    /// Takes one input. Drain [`Engine::poll_output`] afterwards.
    ///
    /// # Panics
    /// When the driver breaks its contract: an operation completed twice, a request id used twice at a time.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Request { id, request } => self.admit(now, id, request),
            Input::Completed(completion) => self.completed(now, completion),
            Input::Timer => {
                self.io.woken();
                self.visit_due(now);
            }
            Input::Pinned { bytes } => self.pinned_bytes = bytes,
            Input::Shutdown => self.shutdown(now),
        }
        if let Some(due) = self.databases.next_due() {
            self.io.set_timer(due);
        }
        self.maybe_stopped();
        if cfg!(debug_assertions) {
            self.databases.check();
        }
    }

    /// The next thing to do, or `None` when nothing is to be done before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.io.pop()?;
        if let Output::Respond { request, .. } = &output {
            let bytes = self.waiting.remove(request).expect("each request is answered exactly once");
            self.waiting_bytes -= bytes;
        }
        Some(output)
    }

    /// Lets every database go on whose time has come. None is visited twice: one that asks for no later time has to wait
    /// for the next timer.
    fn visit_due(&mut self, now: Now) {
        for _ in 0..self.databases.due_len() {
            let Some(id) = self.databases.pop_due(now.monotonic) else { return };
            self.advance(now, id);
        }
    }

    /// Bounds what waits, then runs the request or lets it wait.
    fn admit(&mut self, now: Now, id: RequestId, request: Request) {
        let (bytes, document_bytes) = request_bytes(&request);
        let previous = self.waiting.insert(id, bytes);
        assert!(previous.is_none(), "a request id is in use once at a time");
        self.waiting_bytes += bytes;
        let full = self.waiting.len() > self.options.pending_requests_max
            || self.waiting_bytes > self.options.pending_bytes_max;
        let refused = match (&self.phase, &request) {
            (Phase::Stopping(_) | Phase::Stopped, _) => Some(Error::new(ErrorCode::PoolStopped)),
            (Phase::Failed(error), _) => Some(error.clone()),
            (Phase::Starting(_) | Phase::Unproven | Phase::Running, _) if full => {
                Some(Error::new(ErrorCode::QueueFull))
            }
            (_, Request::Execute { operations, .. }) if operations.len() > OPERATIONS_PER_REQUEST_MAX => {
                let detail = format!("{} operations, at most {OPERATIONS_PER_REQUEST_MAX}", operations.len());
                Some(Error::new(ErrorCode::LimitExceeded).detail(detail))
            }
            (_, Request::Execute { .. }) if document_bytes > REQUEST_BYTES_MAX => {
                let detail = format!("{document_bytes} bytes of documents, at most {REQUEST_BYTES_MAX}");
                Some(Error::new(ErrorCode::PayloadTooLarge).detail(detail))
            }
            (Phase::Starting(_) | Phase::Unproven | Phase::Running, _) => None,
        };
        if let Some(error) = refused {
            return self.io.respond(id, Err(error));
        }
        match self.phase {
            Phase::Starting(_) => self.early.push_back((id, request)),
            Phase::Unproven => self.try_catalog(id, request),
            Phase::Running if self.unwritten.is_some() && self.needs_catalog(&request) => self.try_catalog(id, request),
            Phase::Running | Phase::Failed(_) | Phase::Stopping(_) | Phase::Stopped => self.run(now, id, request),
        }
    }

    /// Lets a request wait for the catalog to be written.
    fn try_catalog(&mut self, id: RequestId, request: Request) {
        self.early.push_back((id, request));
        // Whatever else is being written, somebody is bound to answer it.
        if !self.keeper.has(Waiter::Started) && self.syncing.is_none() {
            self.write_catalog(Waiter::Started);
        }
    }

    /// Whether a request may need more than what an unwritten catalog allows.
    fn needs_catalog(&self, request: &Request) -> bool {
        match request {
            Request::OpenDatabase { name, .. } => {
                self.catalog.find(name).is_none_or(|id| self.databases.get(id).is_none())
            }
            Request::Execute { operations, .. } => operations.iter().any(|operation| !operation.action.is_read()),
            Request::CloseDatabase { .. } | Request::Stats | Request::ListDatabases => false,
        }
    }

    fn run(&mut self, now: Now, id: RequestId, request: Request) {
        match &request {
            Request::Stats => {
                let stats = self.stats();
                self.io.respond(id, Ok(Reply::Stats(stats)));
            }
            Request::ListDatabases => {
                let databases = self.list();
                self.io.respond(id, Ok(Reply::Databases(databases)));
            }
            Request::OpenDatabase { name, if_missing } => match (self.catalog.find(name), if_missing) {
                (Some(database), _) => self.enter(now, database, id, request),
                (None, IfMissing::Fail) => {
                    let error = Error::new(ErrorCode::DbNotFound).database(name.as_str());
                    self.io.respond(id, Err(error));
                }
                (None, IfMissing::Create) => self.create(now, name.clone(), id, request),
            },
            Request::CloseDatabase { database } | Request::Execute { database, .. } => {
                let database = *database;
                if self.catalog.entries.contains_key(&database) {
                    self.enter(now, database, id, request);
                } else {
                    let detail = format!("id {database}");
                    self.io.respond(id, Err(Error::new(ErrorCode::DbNotFound).detail(detail)));
                }
            }
        }
    }

    /// Carries a request into its database, which is opened first where need be.
    fn enter(&mut self, now: Now, id: DatabaseId, request_id: RequestId, request: Request) {
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

    /// A database that is closed is to be closed: its end is recorded by now, unless that failed.
    fn close_again(&mut self, id: DatabaseId, request_id: RequestId) {
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

    /// A closing was recorded, or could not be.
    fn closing_recorded(&mut self, id: DatabaseId, outcome: &Result<(), Error>) {
        for request_id in self.unrecorded.remove(&id).into_iter().flatten() {
            self.io.respond(request_id, outcome.clone().map(|()| Reply::Closed));
        }
        if outcome.is_err() {
            self.unrecorded.insert(id, Vec::new());
        }
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

    /// Takes no more requests in a database, and closes it when all is durable.
    fn close(&mut self, id: DatabaseId) {
        self.databases.touch(id, &mut self.io, |database, _| database.close(None));
    }

    /// Lets a database go on, runs what waited for it, and ends its closing.
    fn advance(&mut self, now: Now, id: DatabaseId) {
        loop {
            let (options, is_settled) = (&self.options, self.databases.is_settled(id));
            let advanced = self.databases.touch(id, &mut self.io, |database, io| {
                database.advance(&mut Turn { now, options, io });
                let runs = database.is_open() && is_settled;
                (database.closed(), runs, if runs { database.queue.pop_front() } else { None })
            });
            match advanced {
                None => return,
                Some((Some(closed), _, _)) => return self.closed(now, id, closed),
                Some((None, _, Some((request_id, request)))) => self.run_in(now, id, request_id, request),
                // What came to be open while the engine is stopping is closed again.
                Some((None, true, None)) if matches!(self.phase, Phase::Stopping(_)) => self.close(id),
                Some((None, _, None)) => return,
            }
        }
    }

    fn create(&mut self, now: Now, name: DatabaseName, request_id: RequestId, request: Request) {
        if let Some(creating) = self.creating.get_mut(&name) {
            return creating.waiting.push((request_id, request));
        }
        if let Some(error) = &self.unwritten {
            return self.io.respond(request_id, Err(error.clone().database(name.as_str())));
        }
        let id = self.catalog.next_database;
        let after = id.next();
        let count = self.catalog.entries.len() + self.creating.len();
        let (Some(after), true) = (after, count < DATABASES_MAX) else {
            let detail = format!("at most {DATABASES_MAX} databases");
            return self.io.respond(request_id, Err(Error::new(ErrorCode::LimitExceeded).detail(detail)));
        };
        // Used up even if the creation fails: an id is never used again.
        self.catalog.next_database = after;
        self.creations.push_back(name.clone());
        self.creating.insert(name, Creating { id, job: None, waiting: vec![(request_id, request)] });
        self.create_next(now);
    }

    /// Begins with the first creation, unless it is under way.
    fn create_next(&mut self, now: Now) {
        let Some(name) = self.creations.front() else { return };
        let creating = self.creating.get_mut(name).expect("each that stands in the order is there");
        if creating.job.is_some() {
            return;
        }
        let epoch = self.io.new_epoch(0);
        let header = self.io.segment_header(creating.id, epoch, Lsn(0), now.wall);
        let files = [self.io.new_file(), self.io.new_file()];
        let (job, first) = Create::new(header, name.clone(), files, &self.options);
        self.io.submit(Owner::Create, first);
        creating.job = Some(job);
    }

    fn completed(&mut self, now: Now, completion: Completion) {
        let result = completion.result;
        match self.io.owner(completion.id) {
            Owner::Start => self.start_completed(result),
            Owner::Catalog => self.catalog_completed(now, result),
            Owner::CatalogSync => self.catalog_synced(now, result),
            Owner::Create => self.create_completed(now, result),
            Owner::Database(id, slot) => {
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
            Owner::Nobody => {}
        }
    }

    fn start_completed(&mut self, result: DiskResult) {
        let job = match &mut self.phase {
            Phase::Starting(job) => job,
            // A shutdown that came first: nothing was changed, nobody waits.
            Phase::Stopping(Some(job)) => return job.abandon(&result, &mut self.io),
            Phase::Unproven | Phase::Stopping(None) | Phase::Running | Phase::Failed(_) | Phase::Stopped => return,
        };
        match job.step(result, &mut self.io) {
            Progress::Submit(op) => self.io.submit(Owner::Start, op),
            Progress::Done(started) => {
                self.catalog = started.catalog;
                self.catalog.found_directory(self.options.new_directory);
                self.io.directory_is(self.catalog.directory);
                let given = self.catalog.start();
                self.io.epochs_given(given);
                self.is_found = started.rebuilt.is_none();
                if let Some(error) = started.rebuilt {
                    self.io.alert(None, AlertKind::CatalogRebuilt(error));
                }
                self.phase = Phase::Unproven;
                self.write_catalog(Waiter::Started);
            }
            Progress::Failed(error) => {
                self.refuse_early(&error);
                self.phase = Phase::Failed(error);
            }
        }
    }

    /// Answers everybody who waits for the start, or for the catalog to be written.
    fn started(&mut self, now: Now) {
        if !matches!(self.phase, Phase::Unproven | Phase::Running) {
            return;
        }
        self.phase = Phase::Running;
        while let Some((id, request)) = self.early.pop_front() {
            self.run(now, id, request);
        }
    }

    fn refuse_early(&mut self, error: &Error) {
        for (id, _) in std::mem::take(&mut self.early) {
            self.io.respond(id, Err(error.clone()));
        }
    }

    fn create_completed(&mut self, now: Now, result: DiskResult) {
        let name = self.creations.front().cloned().expect("its operation was in flight");
        let job = self.creating.get_mut(&name).and_then(|creating| creating.job.as_mut());
        let job = job.expect("the operation of the first one was in flight");
        let made = match job.step(result) {
            Progress::Submit(op) => return self.io.submit(Owner::Create, op),
            Progress::Done(segment) => Ok(segment),
            Progress::Failed(error) => Err(error),
        };
        let (header, opened) = (job.header, job.opened());
        self.creations.pop_front();
        let Creating { id, waiting, .. } = self.creating.remove(&name).expect("seen just now");
        match made {
            Ok(segment) => {
                let entry = Entry { name, created_at: header.created_at, closed: Closed::default() };
                let mut database = Database::created(id, &entry, segment, header.epoch, &self.options);
                database.publish(&mut self.io);
                database.queue.extend(waiting);
                // Nobody is told of it before a durable catalog names it.
                self.databases.insert(database, false, &mut self.io);
                self.catalog.insert(id, entry);
                self.write_catalog(Waiter::Created(id));
                self.advance(now, id);
            }
            Err(error) => {
                if let Some(file) = opened {
                    self.io.close(file);
                }
                let error = error.database(name.as_str());
                for (request_id, _) in waiting {
                    self.io.respond(request_id, Err(error.clone()));
                }
            }
        }
        self.create_next(now);
    }

    fn opening_failed(&mut self, id: DatabaseId, error: &Error) {
        let mut database = self.databases.remove(id).expect("its opening was in flight");
        let closers = database.take_closers().into_iter();
        let waiting = database.queue.into_iter().map(|(request_id, _)| request_id);
        for request_id in closers.chain(waiting) {
            self.io.respond(request_id, Err(error.clone()));
        }
    }

    /// A database has let go of its files: its end is recorded before anybody is told.
    fn closed(&mut self, now: Now, id: DatabaseId, closed: Closed) {
        if self.keeper.has(Waiter::Closed(id)) {
            return;
        }
        let entry = self.catalog.entries.get_mut(&id).expect("an open database is in the catalog");
        if closed.figures.is_some() {
            entry.closed = closed;
        }
        if self.unwritten.is_some() {
            // It was open for reading alone: there is nothing to record.
            return self.catalog_written(now, Waiter::Closed(id), &Ok(()));
        }
        self.write_catalog(Waiter::Closed(id));
    }

    /// A database that was opened for writing just now will have other figures than its last closing stored. Nobody waits
    /// for the catalog to say so: it is for whoever asks after a crash, and nothing else rests on it.
    fn forget_figures(&mut self, id: DatabaseId) {
        let entry = self.catalog.entries.get_mut(&id).expect("an open database is in the catalog");
        if entry.closed.figures.take().is_some() {
            self.keeper.note(id, &mut self.catalog, &mut self.io);
        }
    }

    /// Makes the catalog durable for `waiter`.
    fn write_catalog(&mut self, waiter: Waiter) {
        self.keeper.want(waiter, &mut self.catalog, &mut self.io);
    }

    fn catalog_completed(&mut self, now: Now, result: DiskResult) {
        let outcome = self.keeper.completed(result, &mut self.catalog, &self.options, &mut self.io);
        let Some(outcome) = outcome else { return };
        // Whoever wants the catalog written meanwhile waits for the next time, and finds who still waits for this one.
        while let Some(waiter) = self.keeper.pop_waiter() {
            self.catalog_written(now, waiter, &outcome);
        }
        self.keeper.begin(&mut self.catalog, &mut self.io);
    }

    /// The catalog that was read is as durable as it can be made without space; or even that failed.
    fn catalog_synced(&mut self, now: Now, result: DiskResult) {
        let mut job = self.syncing.take().expect("its operation was in flight");
        match job.step(result) {
            Progress::Submit(op) => {
                self.io.submit(Owner::CatalogSync, op);
                self.syncing = Some(job);
            }
            Progress::Done(()) => {
                let error = job.cause().clone();
                self.io.alert(None, AlertKind::NoSpace(error.clone()));
                self.unwritten = Some(error);
                self.started(now);
            }
            Progress::Failed(_) => {
                if let Some(file) = job.opened() {
                    self.io.close(file);
                }
                let error = job.cause().clone();
                self.refuse_early(&error);
            }
        }
    }

    fn catalog_written(&mut self, now: Now, waiter: Waiter, outcome: &Result<(), Error>) {
        match waiter {
            Waiter::Started => match outcome {
                Ok(()) => {
                    self.unwritten = None;
                    self.started(now);
                }
                Err(error) if self.unwritten.is_some() => {
                    self.unwritten = Some(error.clone());
                    self.started(now);
                }
                // Whoever only reads needs no space.
                Err(error)
                    if error.code() == ErrorCode::DiskFull
                        && self.is_found
                        && matches!(self.phase, Phase::Unproven) =>
                {
                    let (job, first) = CatalogSync::new(self.io.new_file(), error.clone());
                    self.io.submit(Owner::CatalogSync, first);
                    self.syncing = Some(job);
                }
                Err(error) => self.refuse_early(error),
            },
            Waiter::Created(id) => {
                match outcome {
                    Ok(()) => self.databases.settle(id, &mut self.io),
                    Err(error) => {
                        let queue =
                            self.databases.touch(id, &mut self.io, |database, _| std::mem::take(&mut database.queue));
                        for (request_id, _) in queue.expect("stays until it is closed") {
                            self.io.respond(request_id, Err(error.clone()));
                        }
                        // Nobody will ask for another catalog.
                        if matches!(self.phase, Phase::Stopping(_)) {
                            self.close(id);
                        }
                    }
                }
                self.advance(now, id);
            }
            Waiter::Recorded(id) => self.closing_recorded(id, outcome),
            Waiter::Closed(id) => {
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
                        Phase::Starting(_)
                        | Phase::Unproven
                        | Phase::Failed(_)
                        | Phase::Stopping(_)
                        | Phase::Stopped => {
                            self.io.respond(request_id, Err(Error::new(ErrorCode::PoolStopped)));
                        }
                    }
                }
            }
        }
    }

    fn shutdown(&mut self, now: Now) {
        self.refuse_early(&Error::new(ErrorCode::PoolStopped));
        self.phase = match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Stopped => Phase::Stopped,
            Phase::Starting(job) => Phase::Stopping(Some(job)),
            Phase::Stopping(job) => Phase::Stopping(job),
            Phase::Unproven | Phase::Running | Phase::Failed(_) => Phase::Stopping(None),
        };
        for name in self.creations.split_off(self.creations.len().min(1)) {
            for (id, _) in self.creating.remove(&name).into_iter().flat_map(|creating| creating.waiting) {
                self.io.respond(id, Err(Error::new(ErrorCode::PoolStopped)));
            }
        }
        for id in self.databases.ids() {
            self.close(id);
            self.advance(now, id);
        }
    }

    /// After a shutdown: closes what came to be open meanwhile, and ends when nothing is left.
    fn maybe_stopped(&mut self) {
        if !matches!(self.phase, Phase::Stopping(_)) {
            return;
        }
        let is_over = self.databases.is_empty() && self.creations.is_empty() && self.keeper.is_idle();
        if is_over && !self.keeper.let_go(&mut self.io) && self.io.is_idle() {
            self.phase = Phase::Stopped;
            self.io.push(Output::Stopped);
        }
    }
}

/// What a request takes up while it waits, roughly, and how much of that is documents.
fn request_bytes(request: &Request) -> (usize, usize) {
    match request {
        Request::Execute { operations, .. } => {
            let documents = operations.iter().filter_map(|operation| operation.action.document());
            let document_bytes = documents.map(Document::len).sum();
            let names: usize = operations.iter().map(|operation| operation.collection.as_str().len()).sum();
            let ids =
                operations.iter().filter_map(|operation| operation.action.document_id().and_then(DocumentId::as_text));
            let ids: usize = ids.map(str::len).sum();
            (operations.len() * OPERATION_BYTES + names + ids + document_bytes, document_bytes)
        }
        Request::OpenDatabase { .. } | Request::CloseDatabase { .. } | Request::Stats | Request::ListDatabases => {
            (OPERATION_BYTES, 0)
        }
    }
}
