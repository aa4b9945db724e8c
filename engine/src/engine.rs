//! The one door of the engine: takes one input to the room that it concerns, and gives out what follows from it.
//!
//! The rooms, one file each: `admission` takes requests in; `visit` carries requests, completions and timers into databases;
//! `starting`, `creation` and `recording` say what follows from the data directory's jobs, of which `job` has the table;
//! `closing` ends databases, and `stopping` the engine; `report` describes all of it. `open`, `keeper` and `create_queue` are
//! what those rooms work on.
//!
//! What happens within one database is that database's. Nothing here touches a log.

mod admission;
mod closing;
mod create_queue;
mod creation;
mod job;
mod keeper;
mod open;
mod recording;
mod report;
mod starting;
mod stopping;
mod visit;

use std::collections::{BTreeMap, VecDeque};

use docdb_protocol::{DatabaseId, Error, Request};

use crate::catalog::{CATALOG_BYTES_MAX, Catalog};
use crate::clock::Now;
use crate::disk::Completion;
use crate::io::{Io, Owner};
use crate::jobs::slots::{Slot, Slots};
use crate::jobs::start::Start;
use crate::log::SEGMENT_HEADER_BYTES;
use crate::message::{Input, Output, RequestId};
use crate::options::Options;
use create_queue::CreateQueue;
use job::Job;
use keeper::Keeper;
use open::OpenDatabases;

/// The engine of one data directory.
#[derive(Clone, Debug)]
pub struct Engine {
    options: Options,
    io: Io,
    phase: Phase,
    /// The data directory's jobs that run.
    slots: Slots<Job>,
    catalog: Catalog,
    keeper: Keeper,
    create_queue: CreateQueue,
    databases: OpenDatabases,
    /// Requests that came before the catalog was read, or that wait for it to be written.
    early: VecDeque<(RequestId, Request)>,
    /// Whether the start read a whole catalog, rather than rebuild one.
    is_found: bool,
    /// Why this process could not write the catalog yet, where it shows the databases all the same: it opens them for reading
    /// alone, and a request that needs more makes it try again to write the catalog.
    unwritten: Option<Error>,
    /// The requests that wait for their answers, with the bytes that each takes up.
    waiting: BTreeMap<RequestId, usize>,
    waiting_bytes: usize,
    /// What readers alone keep in memory: [`Input::Pinned`].
    pinned_bytes: u64,
    /// Databases whose last closing could not be recorded, with the requests that ask for it again.
    unrecorded: BTreeMap<DatabaseId, Vec<RequestId>>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// The start reads the catalog.
    Starting,
    /// The catalog is known, and no client is shown it before it was written again. Where writing it fails, the clients that
    /// wait get the error, and the next request makes the engine try again.
    Unproven,
    Running,
    /// The catalog could not be read: every request gets this error.
    Failed(Error),
    /// A shutdown was asked for; the start may still have its last operation in flight.
    Stopping,
    Stopped,
}

impl Engine {
    /// An engine that begins by reading the catalog, or writing the first one.
    #[must_use]
    pub fn new(mut options: Options) -> Engine {
        options.segment_bytes_min = options.segment_bytes_min.max(SEGMENT_HEADER_BYTES as u64);
        options.segment_bytes_max = options.segment_bytes_max.max(options.segment_bytes_min);
        options.catalog_journal_bytes_min = options.catalog_journal_bytes_min.min(CATALOG_BYTES_MAX / 2);
        options.listed_names_max = options.listed_names_max.max(1);
        let (mut io, mut slots) = (Io::default(), Slots::default());
        let (start, first) = Start::new(&options, &mut io);
        io.submit(Owner::Directory(Slot::Catalog), first);
        slots.begin(Job::Start(Box::new(start)));
        Engine {
            options,
            io,
            phase: Phase::Starting,
            slots,
            catalog: Catalog::empty(),
            keeper: Keeper::default(),
            create_queue: CreateQueue::default(),
            databases: OpenDatabases::default(),
            early: VecDeque::new(),
            is_found: false,
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

    /// Carries on with the job whose operation ended.
    fn completed(&mut self, now: Now, completion: Completion) {
        let result = completion.result;
        match self.io.owner(completion.id) {
            Owner::Directory(slot) => {
                if let Some(job) = self.slots.take(slot).completed(now, result, self) {
                    self.slots.resume(job);
                }
            }
            Owner::Database(id, slot) => self.database_completed(now, id, slot, result),
            Owner::Nobody => {}
        }
    }
}
