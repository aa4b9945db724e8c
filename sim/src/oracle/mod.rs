//! The judge: compares every answer, every published view and every recovery with the models.
//!
//! It owns one model for each database and the list of requests that wait for an answer. It knows what
//! clients and readers were told, and nothing of the engine's inside.
//!
//! Invariants: a request is answered once, or never because of a crash; the id of a database, once
//! told, stays; an error that blames the device needs a failure since the process started.

mod difference;
mod doubt;
pub(crate) mod progress;
pub(crate) mod space;
mod views;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use docdb_engine::{Alert, AlertKind, RequestId, View};
use docdb_models::{Allowance, Database, Doubtful, Mismatch};
use docdb_protocol::{DatabaseId, DatabaseName, ErrorCode, IfMissing, OperationReply, Reply, Request, Response, TxId};

use crate::disk::SimDisk;
pub use difference::{Differs, Place};
use doubt::Doubt;
use views::contents_of;

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
    /// Its id, once it was told.
    pub id: Option<DatabaseId>,
    /// What it must contain.
    pub model: Database,
    /// Whether it was opened since the process started.
    pub opened: bool,
    /// Whether the engine said that there is none, for which a disk in doubt may be to blame. A catalog that was read wrong
    /// may be read right the next time, so nothing is forgotten before another takes its place.
    pub is_missing: bool,
    /// Whether what was opened is damaged: it is for reading alone.
    pub is_damaged: bool,
    /// The last transaction that readers see now.
    visible: TxId,
    /// The last transaction of each batch, in their order.
    batches: Vec<u64>,
    /// Whether the log cannot be written any more.
    is_latched: bool,
    /// The last transaction when it was let go of, if its log was whole and could be written: what closing stores.
    let_go: u64,
    /// The last transaction that a closing stored.
    stored: u64,
    /// How many sectors had been damaged when its log was last about to be read, and when it was last found to be whole.
    read_from: usize,
    whole_from: usize,
    closes_asked: u64,
    closes_waiting: u64,
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
    Open {
        database: usize,
    },
    Close {
        database: usize,
    },
    Execute {
        database: usize,
        closes_before: u64,
        /// What it adds at most to the documents in memory.
        added_bytes: u64,
    },
    List,
}

/// All databases, and who waits for what.
#[derive(Clone, Debug)]
pub struct Checker {
    databases: Vec<Tracked>,
    asked: BTreeMap<RequestId, Asked>,
    next_request: u64,
    /// Views of databases whose id nobody was told yet.
    unclaimed: BTreeMap<DatabaseId, View>,
    /// The engine's bound for all documents in memory.
    memory_bytes_max: u64,
    stopping: bool,
    doubt: Doubt,
}

impl Checker {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(names: &[&str]) -> Checker {
        let tracked = |name: &&str| Tracked {
            name: DatabaseName::parse(name).expect("the simulator's names are valid"),
            id: None,
            model: Database::new(),
            opened: false,
            is_missing: false,
            closes_asked: 0,
            closes_waiting: 0,
            visible: TxId(0),
            is_damaged: false,
            batches: Vec::new(),
            is_latched: false,
            let_go: 0,
            stored: 0,
            read_from: 0,
            whole_from: 0,
        };
        Checker {
            databases: names.iter().map(tracked).collect(),
            asked: BTreeMap::new(),
            next_request: 1,
            unclaimed: BTreeMap::new(),
            memory_bytes_max: u64::MAX,
            stopping: false,
            doubt: Doubt::default(),
        }
    }

    /// The engine that runs from now on holds so many bytes of documents and no more.
    pub fn bound_memory(&mut self, memory_bytes_max: u64) {
        self.memory_bytes_max = memory_bytes_max;
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
        self.asked.iter().next().map_or("none".to_owned(), |(id, asked)| format!("{}: {asked:?}", id.0))
    }

    /// Whether somebody waits for `database` to be opened.
    #[must_use]
    pub fn is_opening(&self, database: usize) -> bool {
        self.asked.values().any(|asked| matches!(asked, Asked::Open { database: opening } if *opening == database))
    }

    /// Whether somebody waits for any database to be opened.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked, Asked::Open { .. }))
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
                let tracked = &mut self.databases[database];
                tracked.model.submit(id.0, operations.clone(), *atomicity);
                let closes_before = tracked.closes_asked - tracked.closes_waiting;
                Asked::Execute { database, closes_before, added_bytes: space::added_bytes(operations) }
            }
            Request::Stats | Request::ListDatabases => Asked::List,
        };
        self.asked.insert(id, asked);
        id
    }

    /// No request that comes now need be taken.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The engine answered. Says what was recovered when the answer tells whose a view was that readers see already.
    ///
    /// # Errors
    /// When it could not have answered so.
    pub fn answered(
        &mut self,
        id: RequestId,
        response: &Response,
        device_failed: bool,
    ) -> Result<Option<Recovered>, Violation> {
        let damaged = self.doubt.is_any();
        let device_failed = device_failed || damaged;
        let Some(asked) = self.asked.remove(&id) else {
            return violation!("request {} was answered, but nobody waits for it: {response:?}", id.0);
        };
        match asked {
            Asked::Open { database } => self.opened(database, response, device_failed),
            Asked::Close { database } => {
                let tracked = &mut self.databases[database];
                tracked.closes_waiting -= 1;
                let let_go = std::mem::take(&mut tracked.let_go);
                match response {
                    Ok(Reply::Closed) => {
                        tracked.stored = tracked.stored.max(let_go);
                        Ok(None)
                    }
                    Err(_) if device_failed || self.stopping => Ok(None),
                    Err(error) if error.code() == ErrorCode::DbNotOpen => Ok(None),
                    other => violation!("closing {} answered {other:?}", tracked.name),
                }
            }
            Asked::Execute { database, closes_before, added_bytes } => {
                let memory_full = space::memory_may_be_full(&self.databases, added_bytes, self.memory_bytes_max);
                let tracked = &mut self.databases[database];
                let closing = self.stopping || tracked.closes_asked > closes_before;
                let name = tracked.name.clone();
                let newest = written(response).max().unwrap_or(TxId(0));
                if newest > tracked.visible {
                    let seen = tracked.visible;
                    return violation!("database {name}: {newest} was acknowledged while readers saw {seen}");
                }
                tracked
                    .model
                    .answer(id.0, response, Allowance { device_failed, closing, damaged, memory_full })
                    .map_err(|Mismatch(why)| Violation(format!("database {name}: {why}")))?;
                // What failed may be there or not.
                if newest > TxId(0) && !device_failed {
                    space::memory_is_bounded(tracked, self.memory_bytes_max)?;
                }
                Ok(None)
            }
            Asked::List => self.listed(response, device_failed).map(|()| None),
        }
    }

    fn opened(
        &mut self,
        database: usize,
        response: &Response,
        device_failed: bool,
    ) -> Result<Option<Recovered>, Violation> {
        let name = self.databases[database].name.clone();
        let known = self.databases[database].id;
        match (response, known) {
            (Ok(Reply::Database(id)), None) => {
                if let Some(other) = self.databases.iter().position(|tracked| tracked.id == Some(*id)) {
                    if self.doubt.may_lose_a_database() {
                        // The other one is gone, and nobody has asked for it yet.
                        self.lose(other);
                        return self.opened(database, response, device_failed);
                    }
                    return violation!("{name} was given the id {id}, which another database has");
                }
                self.databases[database].id = Some(*id);
                self.is_there(database, *id)
            }
            (Ok(Reply::Database(id)), Some(known)) if *id == known => self.is_there(database, *id),
            (Ok(Reply::Database(_)), Some(_)) if self.doubt.may_lose_a_database() => {
                // The old one is gone, and whoever asked to have it made got another.
                self.lose(database);
                self.opened(database, response, device_failed)
            }
            (Ok(Reply::Database(id)), Some(known)) => violation!("{name} has the id {known}, and now {id}"),
            (Err(error), known) => {
                let excused = device_failed || self.stopping;
                let lost = known.is_some() && error.code() == ErrorCode::DbNotFound;
                let corrupt = matches!(error.code(), ErrorCode::CorruptRecord | ErrorCode::CatalogDamaged);
                if lost && self.doubt.may_lose_a_database() {
                    self.databases[database].is_missing = true;
                    return Ok(None);
                }
                if excused && !lost && (!corrupt || self.doubt.has_lied()) {
                    Ok(None)
                } else {
                    violation!("opening {name} failed: {error}")
                }
            }
            (other, _) => violation!("opening {name} answered {other:?}"),
        }
    }

    /// The database is open under this id, with the view that was published before anybody could know whose it is.
    fn is_there(&mut self, database: usize, id: DatabaseId) -> Result<Option<Recovered>, Violation> {
        self.databases[database].opened = true;
        self.databases[database].is_missing = false;
        match self.unclaimed.remove(&id) {
            Some(view) => self.published(id, Some(&view)),
            None => Ok(None),
        }
    }

    /// The database is gone as a whole: another has its id, or its name.
    fn lose(&mut self, database: usize) {
        let tracked = &mut self.databases[database];
        tracked.id = None;
        tracked.is_missing = false;
        tracked.opened = false;
        tracked.batches.clear();
        (tracked.let_go, tracked.stored) = (0, 0);
        tracked.model.forget();
    }

    fn listed(&self, response: &Response, device_failed: bool) -> Result<(), Violation> {
        let infos = match response {
            Ok(Reply::Databases(infos)) => infos,
            Ok(Reply::Stats(stats)) => {
                let known = self.databases.iter().filter(|tracked| tracked.id.is_some()).count() as u64;
                if stats.databases < known && !self.doubt.may_lose_a_database() {
                    return violation!("the statistics count {} databases; {known} exist", stats.databases);
                }
                return Ok(());
            }
            Err(_) if device_failed || self.stopping => return Ok(()),
            other => return violation!("listing the databases answered {other:?}"),
        };
        for tracked in self.databases.iter().filter(|tracked| tracked.id.is_some()) {
            let listed = infos.iter().find(|info| info.name == tracked.name).map(|info| info.id);
            // Whoever asks for one that a disk in doubt has lost gets another, which is listed before the answer is given.
            let may_differ = self.doubt.may_lose_a_database() && (listed.is_none() || !tracked.opened);
            if listed != tracked.id && !may_differ {
                return violation!("{} is listed with the id {listed:?}, expected {:?}", tracked.name, tracked.id);
            }
        }
        Ok(())
    }

    /// Readers see `view` from now on. Says what was recovered when they saw none before.
    ///
    /// # Errors
    /// When it is not a state that the database can have.
    pub fn published(&mut self, id: DatabaseId, view: Option<&View>) -> Result<Option<Recovered>, Violation> {
        // One that nobody has opened or used may have lost its id to another: whose the view is, the answer tells.
        let may_be_another = self.doubt.may_lose_a_database();
        let is_used = |database: usize| {
            let uses = |asked: &Asked| matches!(asked, Asked::Execute { database: used, .. } if *used == database);
            self.databases[database].model.is_open() || self.asked.values().any(uses)
        };
        let is_known = |database: &usize| {
            let tracked = &self.databases[*database];
            tracked.id == Some(id) && (tracked.opened || !may_be_another || is_used(*database))
        };
        let known = (0..self.databases.len()).find(is_known);
        let Some(tracked) = known.map(|database| &mut self.databases[database]) else {
            match view {
                Some(view) => drop(self.unclaimed.insert(id, view.clone())),
                None => drop(self.unclaimed.remove(&id)),
            }
            return Ok(None);
        };
        let name = tracked.name.clone();
        let Some(view) = view else {
            if !tracked.is_damaged && !tracked.is_latched {
                tracked.let_go = tracked.visible.0;
            }
            tracked.is_latched = false;
            tracked.read_from = self.doubt.sectors();
            tracked.model.close();
            tracked.is_damaged = false;
            return Ok(None);
        };
        tracked.visible = view.last_tx();
        let shown = contents_of(view).map_err(|Violation(why)| Violation(format!("database {name}: {why}")))?;
        let tx = view.last_tx().0;
        let (low, high) = (tracked.model.must_survive(), tracked.model.newest());
        let recovers = !tracked.model.is_open();
        let mut recovered =
            Recovered { dropped: tx < high, kept: tx > low, is_in_doubt: self.doubt.is_any(), ..Recovered::default() };
        let judged = if shown.is_damaged() && !tracked.is_damaged {
            return violation!("database {name}: damage is shown, and no alert told of it: {shown:?}");
        } else if recovers && self.doubt.may_lose_anything() {
            let may_be_damaged = |content: &docdb_models::Content| self.doubt.may_be_damaged(content);
            let doubtful = Doubtful {
                found: &shown.found,
                damaged: &shown.damaged,
                is_unnamed: shown.is_unnamed,
                // The alert comes before the view.
                is_read_only: tracked.is_damaged,
                low: self.doubt.low(low, &tracked.batches, tracked.stored, tracked.whole_from),
                may_be_damaged: &may_be_damaged,
            };
            recovered.is_named = !shown.damaged.is_empty() && !shown.is_unnamed;
            recovered.is_unnamed = shown.is_unnamed;
            recovered.has_lied = self.doubt.has_lied();
            tracked.model.recover_doubtful(tx, &doubtful).map(|is_shorter| recovered.is_shorter = is_shorter)
        } else {
            tracked.model.publish(tx, &shown.found)
        };
        judged.map_err(|Mismatch(why)| Violation(format!("database {name}: {why}")))?;
        if recovers && !tracked.is_damaged {
            tracked.whole_from = tracked.read_from;
        }
        let newest = tracked.model.newest();
        tracked.batches.retain(|last| *last <= newest);
        tracked.stored = tracked.stored.min(newest);
        if tracked.batches.last().is_none_or(|last| *last < tx) {
            tracked.batches.push(tx);
        }
        Ok(recovers.then_some(recovered))
    }

    /// Someone was told something.
    ///
    /// # Errors
    /// When the world has given no reason for it.
    pub fn alerted(&mut self, alert: &Alert, device_failed: bool) -> Result<(), Violation> {
        let device_failed = device_failed || self.doubt.is_any();
        let concerned = self.databases.iter_mut().find(|tracked| Some(&tracked.name) == alert.database.as_ref());
        match &alert.kind {
            AlertKind::Damage(_) if self.doubt.may_lose_anything() => {
                concerned.into_iter().for_each(|tracked| tracked.is_damaged = true);
                Ok(())
            }
            AlertKind::Damage(_) => violation!("damage was reported, but no byte was damaged: {alert:?}"),
            AlertKind::ReadOnly(_) if device_failed => {
                concerned.into_iter().for_each(|tracked| tracked.is_latched = true);
                Ok(())
            }
            AlertKind::CatalogRebuilt(_) if self.doubt.may_lose_a_database() => {
                // The logs do not say where they were closed.
                self.databases.iter_mut().for_each(|tracked| tracked.stored = 0);
                Ok(())
            }
            AlertKind::LogFailed(_) | AlertKind::PreparationFailed(_) if device_failed => Ok(()),
            other => violation!("an alert without a reason: {other:?}"),
        }
    }

    /// Folds in everything that a judgement after a crash depends on. Only asked when the process has just died: nobody
    /// waits, and of the numbers of requests only their order would matter.
    pub(crate) fn identify(&self, hasher: &mut impl Hasher) {
        let Checker { databases, asked, next_request: _, unclaimed, memory_bytes_max: _, stopping, doubt } = self;
        assert!(asked.is_empty() && unclaimed.is_empty() && !stopping, "the process has just died");
        assert!(!doubt.is_any(), "images are told apart on a disk that can be trusted");
        for tracked in databases {
            // Without doubt nobody asks for the batches.
            let Tracked {
                name,
                id,
                model,
                opened: _,
                visible: _,
                closes_asked: _,
                closes_waiting: _,
                is_damaged: _,
                is_missing: _,
                batches: _,
                is_latched: _,
                let_go: _,
                stored: _,
                read_from: _,
                whole_from: _,
            } = tracked;
            (name.as_str(), id.map(DatabaseId::get)).hash(hasher);
            model.identify(hasher);
        }
    }

    /// The process died.
    pub fn crashed(&mut self) {
        self.asked.clear();
        self.unclaimed.clear();
        self.stopping = false;
        for tracked in &mut self.databases {
            tracked.model.crash();
            tracked.opened = false;
            tracked.visible = TxId(0);
            tracked.is_damaged = false;
            (tracked.is_latched, tracked.let_go) = (false, 0);
            tracked.read_from = self.doubt.sectors();
            tracked.closes_waiting = 0;
        }
    }
}

/// The transactions that a response says were written.
pub(crate) fn written(response: &Response) -> impl Iterator<Item = TxId> {
    let results = match response {
        Ok(Reply::Executed(results)) => results.as_slice(),
        _ => &[],
    };
    results.iter().filter_map(|result| match result {
        Ok(OperationReply::Written(tx)) => Some(*tx),
        Ok(OperationReply::Document(_)) | Err(_) => None,
    })
}

/// What a database whose id is known must be opened with: it must be there.
#[must_use]
pub fn opening(tracked: &Tracked) -> Request {
    let is_there = tracked.id.is_some() && !tracked.is_missing;
    let if_missing = if is_there { IfMissing::Fail } else { IfMissing::Create };
    Request::OpenDatabase { name: tracked.name.clone(), if_missing }
}
