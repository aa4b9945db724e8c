//! The judge: compares every answer, every published view and every recovery with the models.
//!
//! It owns one model for each database and the list of requests that wait for an answer. It knows what
//! clients were answered and readers were shown, and nothing of the engine's inside.
//!
//! Invariants: a request is answered once, or never because of a crash; the id of a database, once
//! answered, stays; an error that blames the device needs a failure since the process started.

mod answers;
mod attempts;
mod catalog;
mod causes;
mod certain;
mod difference;
mod doubt;
mod due;
mod figures;
pub(crate) mod files;
mod format;
mod gone;
mod ids;
pub(crate) mod progress;
pub(crate) mod proofs;
mod published;
mod rebuilds;
mod reopening;
mod room;
pub(crate) mod settled;
pub(crate) mod space;
mod spares;
mod stopping;
mod touched;
mod views;
mod waits;
mod watch;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use docdb_engine::{Options, RequestId, View};
use docdb_models::{Database, Mismatch};
use docdb_protocol::{Atomicity, DatabaseId, DatabaseName, IfMissing, Operation, Request, TxId};

use crate::disk::SimDisk;
pub(crate) use answers::written;
use attempts::Attempts;
use catalog::CatalogFile;
pub use difference::{Differs, Place};
use doubt::Doubt;
use figures::Counts;
use files::Files;
use format::Format;
use rebuilds::Rebuilds;
use room::Room;
use watch::Watch;

/// What an operation may take up besides its document while it waits.
const OPERATION_BYTES_MAX: usize = 512;

/// The engine broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl From<Mismatch> for Violation {
    fn from(Mismatch(message): Mismatch) -> Violation {
        Violation(message)
    }
}

macro_rules! violation {
    ($($argument:tt)*) => { Err($crate::oracle::Violation(format!($($argument)*))) };
}
pub(crate) use violation;

/// What is known about one database.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// Its name.
    pub name: DatabaseName,
    /// Its id, once it was answered.
    pub id: Option<DatabaseId>,
    /// What it must contain.
    pub model: Database,
    /// What it was under ids that a disk in doubt has lost.
    former: Vec<Former>,
    /// Whether it was opened since the process started.
    pub opened: bool,
    /// Whether the engine said that there is none, for which a disk in doubt may be to blame. A catalog that was read wrong
    /// may be read right the next time, so nothing is forgotten before another takes its place.
    pub is_missing: bool,
    /// Whether what was opened is damaged: it is for reading alone.
    pub is_damaged: bool,
    /// The last transaction that readers see now.
    visible: TxId,
    /// What readers see now.
    shown: Option<View>,
    /// A state that readers were shown since it was opened, and may hold still.
    held: Option<View>,
    /// When it was created, once that was told.
    created_at_unix_ns: Option<u64>,
    /// Whether they see only what is proven, as long as there is no space to go on writing; and what that is.
    is_glimpsed: bool,
    glimpse: Option<View>,
    /// What a checkpoint may keep in memory: the state that it writes.
    frozen: Option<View>,
    /// Whether a checkpoint named tables.
    has_tables: bool,
    /// Whether it is closed and its closing was answered as recorded; and whether that answer is yet to come.
    closing_told: bool,
    closing_untold: bool,
    /// Whether it went without a closing that was answered.
    was_cut_off: bool,
    /// What the closings had to tell whose figures the catalog may tell after a crash.
    closings: Vec<Counts>,
    /// The most memory that its views said it takes, by the last transaction that they saw.
    memory_bytes: BTreeMap<u64, u64>,
    /// The last transaction of each batch, in their order.
    batches: Vec<u64>,
    /// Whether the log cannot be written any more.
    is_latched: bool,
    /// Whether its log failed, and nothing was shown since: it may be closed without a proof.
    is_spoiled: bool,
    /// The last transaction when it was let go of, if its log was whole and could be written: what closing stores.
    let_go: u64,
    /// The last transaction that a closing stored.
    stored: u64,
    /// How many sectors of its log had been damaged when that was last about to be read, and when it was last found to be whole.
    read_from: usize,
    whole_from: usize,
    /// How many sectors of the whole device had been damaged by then.
    damaged_from: usize,
    /// How many operations had failed when its log was last about to be read.
    errors_from: u64,
    /// What was last shown of it while it was damaged, and how many sectors were damaged by then.
    seen_damaged: Option<(u64, usize)>,
    /// The last transaction when its process last had nothing left to do: it is proven.
    rested: u64,
    /// New segments begun since then: an opening may take over what is proven, and prove it anew only later.
    begun_since_rest: u32,
    closes_asked: u64,
    closes_waiting: u64,
}

/// What a database was whose id was lost.
#[derive(Clone, Debug)]
struct Former {
    id: DatabaseId,
    model: Database,
    batches: Vec<u64>,
    stored: u64,
    whole_from: usize,
}

/// What became of what had not been acknowledged when a database was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovered {
    /// Something that had been submitted is not there.
    pub dropped: bool,
    /// Something that had not been acknowledged is there.
    pub kept: bool,
    /// What the disk holds could be doubted.
    pub is_in_doubt: bool,
    /// The disk had lied.
    pub has_lied: bool,
    /// Documents are reported as damaged.
    pub is_named: bool,
    /// A part of the log is reported as lost.
    pub is_unnamed: bool,
    /// Acknowledged transactions are gone.
    pub is_shorter: bool,
}

#[derive(Clone, Debug)]
enum Asked {
    Open { database: usize },
    Close { database: usize },
    Execute { database: usize, closes_before: u64, operations: Vec<Operation>, room: Option<Room> },
    List,
}

impl Asked {
    /// The database that it is about.
    fn database(&self) -> Option<usize> {
        match self {
            Asked::Open { database } | Asked::Close { database } | Asked::Execute { database, .. } => Some(*database),
            Asked::List => None,
        }
    }
}

/// How much waited in the engine when a request came, that one included: requests, and bytes, at least and at most.
#[derive(Clone, Copy, Debug)]
struct Queue {
    requests: usize,
    bytes_min: usize,
    bytes_max: usize,
    /// Its own bytes alone.
    own: (usize, usize),
}

/// All databases, and who waits for what.
#[derive(Clone, Debug)]
pub struct Checker {
    databases: Vec<Tracked>,
    asked: BTreeMap<RequestId, (Asked, Queue)>,
    next_request: u64,
    /// Views of databases whose id no answer has said yet.
    unclaimed: BTreeMap<DatabaseId, View>,
    /// The engine's bound for all documents in memory.
    memory_bytes_max: u64,
    /// What readers alone keep in memory.
    pinned_bytes: u64,
    /// The engine's bounds for what waits: requests, and their bytes.
    queue_max: (usize, usize),
    stopping: bool,
    /// What the wall clock said so far, at least and at most.
    walls: (u64, u64),
    /// Whether the catalog could not be written, and what was read of it is shown: it is not durable for certain.
    is_unwritten: bool,
    doubt: Doubt,
    files: Files,
    attempts: Attempts,
    catalog: CatalogFile,
    rebuilds: Rebuilds,
    watch: Watch,
    format: Format,
    /// The engine's bound for the journal of its catalog.
    catalog_journal_bytes_min: u64,
}

impl Checker {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(names: &[&str]) -> Checker {
        let tracked = |name: &&str| Tracked {
            name: DatabaseName::parse(name).expect("the simulator's names are valid"),
            id: None,
            model: Database::new(),
            former: Vec::new(),
            opened: false,
            is_missing: false,
            closes_asked: 0,
            closes_waiting: 0,
            visible: TxId(0),
            shown: None,
            held: None,
            created_at_unix_ns: None,
            is_glimpsed: false,
            glimpse: None,
            frozen: None,
            has_tables: false,
            closing_told: false,
            closing_untold: false,
            was_cut_off: true,
            is_damaged: false,
            closings: vec![Counts::NEW],
            memory_bytes: BTreeMap::new(),
            batches: Vec::new(),
            is_latched: false,
            is_spoiled: false,
            let_go: 0,
            stored: 0,
            read_from: 0,
            whole_from: 0,
            damaged_from: 0,
            errors_from: 0,
            seen_damaged: None,
            rested: 0,
            begun_since_rest: 0,
        };
        Checker {
            databases: names.iter().map(tracked).collect(),
            asked: BTreeMap::new(),
            next_request: 1,
            unclaimed: BTreeMap::new(),
            memory_bytes_max: u64::MAX,
            pinned_bytes: 0,
            queue_max: (usize::MAX, usize::MAX),
            stopping: false,
            walls: (u64::MAX, 0),
            is_unwritten: false,
            doubt: Doubt::default(),
            files: Files::default(),
            attempts: Attempts::default(),
            catalog: CatalogFile::default(),
            rebuilds: Rebuilds::default(),
            watch: Watch::default(),
            format: Format::default(),
            catalog_journal_bytes_min: 0,
        }
    }

    /// The engine that runs from now on has these limits.
    pub fn bound(&mut self, options: &Options) {
        self.memory_bytes_max = options.memory_bytes_max;
        self.pinned_bytes = 0;
        self.catalog_journal_bytes_min = options.catalog_journal_bytes_min;
        self.queue_max = (options.pending_requests_max, options.pending_bytes_max);
        self.watch.bound(options);
        self.format.bound(options);
    }

    /// Readers hold states that keep so many bytes in memory. Nobody waits: a request for statistics is answered with this figure.
    pub(crate) fn readers_hold(&mut self, pinned_bytes: u64) {
        assert_eq!(self.waiting(), 0, "the figure stays as it is while somebody waits");
        self.pinned_bytes = pinned_bytes;
    }

    /// What the databases may take in memory.
    fn memory_bytes_free(&self) -> u64 {
        self.memory_bytes_max.saturating_sub(self.pinned_bytes)
    }

    /// Takes note of what the disk did to what was durable.
    pub fn doubt(&mut self, disk: &SimDisk) {
        self.doubt.take_note(disk.damaged(), disk.faults());
    }

    /// Whether what the disk holds can be doubted.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_any()
    }

    /// What is known about all databases.
    #[must_use]
    pub fn databases(&self) -> &[Tracked] {
        &self.databases
    }

    /// How many requests wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// The first request that waits, for messages.
    #[must_use]
    pub fn first_waiting(&self) -> String {
        self.asked.iter().next().map_or("none".to_owned(), |(id, (asked, _))| format!("{}: {asked:?}", id.0))
    }

    /// Whether somebody waits for `database` to be opened.
    #[must_use]
    pub fn is_opening(&self, database: usize) -> bool {
        self.asked.values().any(|asked| matches!(asked, (Asked::Open { database: opening }, _) if *opening == database))
    }

    /// Whether somebody waits for any database to be opened.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked, (Asked::Open { .. }, _)))
    }

    /// A request is about to be sent; this is its id.
    pub fn ask(&mut self, request: &Request) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let with_id = |wanted: &DatabaseId| {
            let found = self.databases.iter().position(|tracked| tracked.id == Some(*wanted));
            found.expect("the workload only uses ids that it was told")
        };
        let asked = match request {
            Request::OpenDatabase { name, .. } => {
                let database = self.databases.iter().position(|tracked| tracked.name == *name);
                Asked::Open { database: database.expect("the workload only uses names that are tracked") }
            }
            Request::CloseDatabase { database } => {
                let database = with_id(database);
                self.databases[database].closes_asked += 1;
                self.databases[database].closes_waiting += 1;
                Asked::Close { database }
            }
            Request::Execute { database, operations, atomicity } => {
                let database = with_id(database);
                let is_one = operations.len() == 1 || *atomicity == Atomicity::AllOrNothing;
                let room = self.held_bytes().filter(|_| is_one).and_then(|held| self.room(database, operations, held));
                let tracked = &mut self.databases[database];
                tracked.model.submit(id.0, operations.clone(), *atomicity);
                let closes_before = tracked.closes_asked - tracked.closes_waiting;
                Asked::Execute { database, closes_before, operations: operations.clone(), room }
            }
            Request::Stats | Request::ListDatabases => Asked::List,
        };
        let (bytes_min, bytes_max) = request_bytes(request);
        let waiting = self.asked.values().map(|(_, queue)| queue);
        let queue =
            waiting.fold(Queue { requests: 1, bytes_min, bytes_max, own: (bytes_min, bytes_max) }, |sum, one| Queue {
                requests: sum.requests + 1,
                bytes_min: sum.bytes_min + one.own.0,
                bytes_max: sum.bytes_max + one.own.1,
                own: sum.own,
            });
        self.asked.insert(id, (asked, queue));
        id
    }

    /// What all databases take in memory, where that is certain: nobody waits for anything, and each of them is shown whole
    /// or is closed.
    fn held_bytes(&self) -> Option<u64> {
        let is_whole = |tracked: &Tracked| !tracked.is_glimpsed && tracked.frozen_bytes() == 0;
        let is_certain = self.asked.is_empty() && self.databases.iter().all(is_whole);
        let shown = self.databases.iter().filter_map(|tracked| tracked.shown.as_ref());
        (is_certain && self.unclaimed.is_empty()).then(|| shown.map(View::memory_bytes).sum())
    }

    /// Whether there is room for a request, where that is certain.
    fn room(&self, database: usize, operations: &[Operation], held_bytes: u64) -> Option<Room> {
        let tracked = &self.databases[database];
        // What was given up without anybody's knowing stays in the model until the next opening.
        let is_known = tracked.model.newest() == tracked.model.published();
        let is_whole = tracked.shown.is_some() && is_known && !tracked.is_damaged && !self.doubt.is_any();
        is_whole.then(|| Room::found(tracked, operations, held_bytes, self.memory_bytes_max, self.pinned_bytes))?
    }

    /// No request that comes now need be taken.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Folds in everything that a judgement after a crash depends on. Only asked when the process has just died: nobody
    /// waits, and of the numbers of requests only their order would matter.
    pub(crate) fn identify(&self, hasher: &mut impl Hasher) {
        let Checker {
            databases,
            asked,
            next_request: _,
            unclaimed,
            memory_bytes_max: _,
            pinned_bytes: _,
            queue_max: _,
            stopping,
            walls: _,
            is_unwritten,
            doubt,
            files: _,
            attempts: _,
            catalog: _,
            rebuilds: _,
            watch: _,
            format: _,
            catalog_journal_bytes_min: _,
        } = self;
        assert!(asked.is_empty() && unclaimed.is_empty() && !stopping && !is_unwritten, "the process has just died");
        assert!(!doubt.is_any(), "images are told apart on a disk that can be trusted");
        for tracked in databases {
            // Without doubt nobody asks for the batches.
            let Tracked {
                name,
                id,
                model,
                former: _,
                opened: _,
                visible: _,
                shown: _,
                held: _,
                created_at_unix_ns: _,
                is_glimpsed: _,
                glimpse: _,
                frozen: _,
                has_tables: _,
                closing_told: _,
                closing_untold: _,
                was_cut_off: _,
                closes_asked: _,
                closes_waiting: _,
                is_damaged: _,
                is_missing: _,
                closings: _,
                memory_bytes: _,
                batches: _,
                is_latched: _,
                is_spoiled: _,
                let_go: _,
                stored: _,
                read_from: _,
                whole_from: _,
                damaged_from: _,
                errors_from: _,
                seen_damaged: _,
                rested: _,
                begun_since_rest: _,
            } = tracked;
            (name.as_str(), id.map(DatabaseId::get)).hash(hasher);
            model.identify(hasher);
        }
    }

    /// The process has nothing left to do, and nothing fails: what it made durable is proven by now. Where nothing failed
    /// since it started, the catalog says of what is open that the figures of its last closing are over.
    pub(crate) fn rested(&mut self, has_failed: bool) {
        for tracked in
            self.databases.iter_mut().filter(|tracked| settled::takes_writes(tracked) && !tracked.is_glimpsed)
        {
            (tracked.rested, tracked.begun_since_rest) = (tracked.visible.0, 0);
            if !has_failed {
                tracked.closings.clear();
            }
        }
    }

    /// The process died.
    pub fn crashed(&mut self) {
        self.asked.clear();
        self.unclaimed.clear();
        let is_let_go = |tracked: &&mut Tracked| {
            let is_closing = self.stopping || tracked.closes_waiting > 0;
            is_closing && settled::takes_writes(tracked) && !tracked.is_glimpsed
        };
        // It may be recorded, and nobody heard of it.
        for tracked in self.databases.iter_mut().filter(is_let_go) {
            tracked.closings.push(Counts::of(tracked));
        }
        (self.stopping, self.is_unwritten) = (false, false);
        (self.files, self.attempts, self.catalog) = (Files::default(), Attempts::default(), CatalogFile::default());
        self.rebuilds.crashed();
        self.watch.crashed();
        self.format.crashed();
        for tracked in &mut self.databases {
            tracked.model.crash();
            tracked.opened = false;
            tracked.visible = TxId(0);
            (tracked.shown, tracked.held) = (None, None);
            (tracked.is_glimpsed, tracked.glimpse, tracked.frozen) = (false, None, None);
            tracked.was_cut_off |= !tracked.closing_told;
            tracked.closing_untold = false;
            tracked.is_damaged = false;
            (tracked.is_latched, tracked.is_spoiled, tracked.let_go) = (false, false, 0);
            (tracked.read_from, tracked.errors_from) =
                (self.doubt.sectors_of(tracked.name.as_str()), self.doubt.errors());
            tracked.damaged_from = self.doubt.sectors();
            tracked.closes_waiting = 0;
        }
    }
}

/// What the engine may count for a request that waits, at least and at most.
fn request_bytes(request: &Request) -> (usize, usize) {
    let Request::Execute { operations, .. } = request else { return (0, OPERATION_BYTES_MAX) };
    let documents = operations.iter().filter_map(|operation| operation.action.document());
    let bytes: usize = documents.map(docdb_protocol::Document::len).sum();
    (bytes, bytes + operations.len() * OPERATION_BYTES_MAX)
}

/// What a database whose id is known must be opened with: it must be there.
#[must_use]
pub fn opening(tracked: &Tracked) -> Request {
    let is_there = tracked.id.is_some() && !tracked.is_missing;
    let if_missing = if is_there { IfMissing::Fail } else { IfMissing::Create };
    Request::OpenDatabase { name: tracked.name.clone(), if_missing }
}
