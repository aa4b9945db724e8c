//! Refinement: every run is a run of the specifications too.
//!
//! What the engine does at its seams (disk, clients, readers) is read as actions of the specifications in
//! `docdb_models::spec`, and each is fed to the very function that the model checker walked. An action that is
//! not enabled is a violation, at the step where the protocol is broken, whether or not any data is
//! lost in this run.
//!
//! ```text
//! chronicle's events -> database (one each), catalog -> actions -> possible states -> none left: violation
//!                       written (bytes to batches)
//! ```
//!
//! What the world decided in secret (what survived a crash) is not looked up: the refinement keeps every state
//! that the specification could be in, and what the engine does next rules the wrong ones out. So it is
//! never stricter than the specification.
//!
//! Two things are weaker than they may sound. The search for all images visits equal disks with equal promises once, and
//! refines them behind the first way that led there. And a database's creation, up to the moment at which readers first see
//! it, is none of the specifications' yet; nor is which superseded segments are removed.
//!
//! Invariants: it is plain data, so a fork of the world forks it; it makes no choice and changes nothing,
//! so a run is the same with it and without it. It stops at the first violation, and at the first fault that
//! the specifications assume no device has ([`Refinement::is_on`]).

mod catalog;
mod database;
mod possible;
pub(crate) mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use docdb_engine::{AlertKind, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpId, OpenMode, RequestId, View};
use docdb_models::spec::closing::{self, Closing};
use docdb_models::spec::{Crash, Spec};
use docdb_protocol::{DatabaseId, OperationReply, Reply, Request, Response};

use crate::chronicle::Event;
use crate::disk::{CrashKind, FaultKind};
use crate::oracle::Violation;
use catalog::Catalog;
use database::{Database, Effect};
use possible::Possible;

/// How an operation ended.
type DiskOutcome = Result<DiskReply, DiskErrorKind>;

/// What is wrong, for the violation.
type Refused = String;

/// What a request was about.
#[derive(Clone, Debug)]
enum Asked {
    Open(String),
    Close(DatabaseId),
    Execute(DatabaseId),
}

/// Whose operation is in flight.
#[derive(Clone, Debug)]
enum Owner {
    Database(String, Effect),
    Catalog(closing::Op),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Refinement {
    is_on: bool,
    databases: BTreeMap<String, Database>,
    names: BTreeMap<DatabaseId, String>,
    catalog: Catalog,
    /// The catalog's history for a database that is not known yet.
    unborn: Possible<Closing>,
    in_flight: BTreeMap<OpId, (Owner, Option<DiskOutcome>)>,
    asked: BTreeMap<RequestId, Asked>,
    /// The database whose closers are being answered.
    just_shut: Option<String>,
    /// Databases whose last closing could not be recorded: who asks for it again is answered when it is.
    unrecorded: BTreeSet<String>,
    refused: Option<Refused>,
    /// Whether the catalog could not be written, and what was read of it is shown.
    is_unwritten: bool,
}

impl Default for Refinement {
    fn default() -> Refinement {
        Refinement {
            is_on: true,
            databases: BTreeMap::new(),
            names: BTreeMap::new(),
            catalog: Catalog::default(),
            unborn: Possible::new("closing", Closing::default()),
            in_flight: BTreeMap::new(),
            asked: BTreeMap::new(),
            just_shut: None,
            unrecorded: BTreeSet::new(),
            refused: None,
            is_unwritten: false,
        }
    }
}

impl Refinement {
    /// A fault struck the device. It watches no more when that is one of those that the specifications assume away:
    /// what was durable is destroyed or lied about. What the engine may do then is the judge's to say.
    pub(crate) fn struck(&mut self, kind: FaultKind) {
        let assumed_away = matches!(
            kind,
            FaultKind::SyncExt4Data
                | FaultKind::LyingSync
                | FaultKind::MisdirectedWrite
                | FaultKind::StaleRead
                | FaultKind::BitFlip
                | FaultKind::FileLost
        );
        self.is_on &= !assumed_away;
    }

    /// It watches no more: what the judge finds alone is to be seen.
    pub fn switch_off(&mut self) {
        self.is_on = false;
    }

    /// Whether it watches still.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether everything so far was a run of the specifications.
    ///
    /// # Errors
    /// The specification, the action that it does not allow, and its state.
    pub fn verdict(&self) -> Result<(), Violation> {
        match &self.refused {
            Some(refused) => Err(Violation(format!("refinement: {refused}"))),
            None => Ok(()),
        }
    }

    /// How many actions the specifications have taken: of commit, rotation, opening and closing, in this order.
    #[must_use]
    pub fn taken(&self) -> [u64; 4] {
        let of = |count: &dyn Fn(&Database) -> u64| self.databases.values().map(count).sum();
        [
            of(&|database| database.taken()[0]),
            of(&|database| database.taken()[1]),
            of(&|database| database.taken()[2]),
            of(&|database| database.taken()[3]),
        ]
    }

    /// Something happened.
    pub(crate) fn hear(&mut self, event: &Event) {
        if !self.is_on || self.refused.is_some() {
            return;
        }
        self.refused = self.follow(event).err();
    }

    fn follow(&mut self, event: &Event) -> Result<(), Refused> {
        match event {
            Event::Answered { id, response } => return self.answered(*id, response),
            Event::Decided { .. } => return Ok(()),
            _ => self.just_shut = None,
        }
        match event {
            Event::Requested { id, request } => {
                let asked = match request {
                    Request::OpenDatabase { name, .. } => Asked::Open(name.as_str().to_owned()),
                    Request::CloseDatabase { database } => Asked::Close(*database),
                    Request::Execute { database, .. } => Asked::Execute(*database),
                    Request::Stats | Request::ListDatabases => return Ok(()),
                };
                self.asked.insert(*id, asked);
                Ok(())
            }
            Event::Submitted { id, op } => self.submitted(*id, op),
            Event::Performed { id, result } => {
                if let Some((_, outcome)) = self.in_flight.get_mut(id) {
                    *outcome = Some(result.clone());
                }
                Ok(())
            }
            Event::Delivered { id } => self.delivered(*id),
            Event::Published { database, view } => self.published(*database, view.as_ref()),
            Event::Alerted(alert) => {
                let name = alert.database.as_ref().map(|name| name.as_str());
                self.is_unwritten |= name.is_none() && matches!(alert.kind, AlertKind::NoSpace(_));
                let Some(database) = name.and_then(|name| self.databases.get_mut(name)) else { return Ok(()) };
                match alert.kind {
                    AlertKind::ReadOnly(_) => database.gave_up(),
                    AlertKind::Damage(_) => database.reported_damage(),
                    AlertKind::LogFailed(_)
                    | AlertKind::NoSpace(_)
                    | AlertKind::CatalogRebuilt(_)
                    | AlertKind::CheckpointFailed(_)
                    | AlertKind::PreparationFailed(_) => Ok(()),
                }
            }
            Event::Crashed(kind) => {
                self.crashed(match kind {
                    CrashKind::Process => Crash::Process,
                    CrashKind::Power => Crash::Power,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn submitted(&mut self, id: OpId, op: &DiskOp) -> Result<(), Refused> {
        if let Some(action) = self.catalog.action(op) {
            self.catalog_begins(action)?;
            let op = match action {
                catalog::Begins::Op(op) => op,
                catalog::Begins::Write => closing::Op::Write(None),
                catalog::Begins::Append => closing::Op::Append(None),
            };
            self.in_flight.insert(id, (Owner::Catalog(op), None));
            return Ok(());
        }
        let Some(name) = self.database_of(op) else { return Ok(()) };
        let unborn = &self.unborn;
        let database = self.databases.entry(name.clone()).or_insert_with(|| Database::new(&name, unborn.clone()));
        let effect = database.submitted(op)?;
        if let Some(id) = database.id() {
            self.names.insert(id, name.clone());
        }
        if let Some(effect) = effect {
            self.in_flight.insert(id, (Owner::Database(name, effect), None));
        }
        Ok(())
    }

    /// The database whose log an operation touches, by its names and open files.
    fn database_of(&self, op: &DiskOp) -> Option<String> {
        let of_path = |path: &DiskPath| {
            let mut parts = path.as_str().split('/');
            (parts.next() == Some("db")).then(|| parts.next().map(str::to_owned)).flatten()
        };
        let of_file = |file: &FileId| {
            self.databases.iter().find(|(_, database)| database.has(*file)).map(|(name, _)| name.clone())
        };
        match op {
            DiskOp::Open { path, mode, .. } if *mode != OpenMode::Read => of_path(path),
            DiskOp::Write { file, .. } | DiskOp::Sync { file } | DiskOp::Allocate { file, .. } => of_file(file),
            DiskOp::Rename { from, .. } => of_path(from),
            DiskOp::Unlink { path } | DiskOp::SyncDirectory { path } | DiskOp::List { path, .. } => of_path(path),
            DiskOp::Open { .. }
            | DiskOp::Close { .. }
            | DiskOp::MakeDirectory { .. }
            | DiskOp::Read { .. }
            | DiskOp::Length { .. }
            | DiskOp::Link { .. }
            | DiskOp::FreeSpace => None,
        }
    }

    fn delivered(&mut self, id: OpId) -> Result<(), Refused> {
        let Some((owner, Some(outcome))) = self.in_flight.remove(&id) else { return Ok(()) };
        match owner {
            Owner::Database(name, effect) => match self.databases.get_mut(&name) {
                Some(database) => database.delivered(effect, &outcome),
                None => Ok(()),
            },
            Owner::Catalog(op) => {
                let ok = self.catalog.is_success(op, &outcome);
                self.catalog_does(|_| closing::Action::End { ok })
            }
        }
    }

    /// The same operation on the catalog, as each database sees it.
    fn catalog_begins(&mut self, begins: catalog::Begins) -> Result<(), Refused> {
        match begins {
            catalog::Begins::Op(op) => self.catalog_does(|_| closing::Action::Begin(op)),
            catalog::Begins::Write | catalog::Begins::Append => {
                let entries = self.catalog.entries().clone();
                for (name, (id, _)) in &entries {
                    self.names.insert(*id, name.clone());
                }
                self.catalog_does(|name| {
                    let end = name.and_then(|name| entries.get(name)).map(|(_, end)| *end);
                    closing::Action::Begin(match begins {
                        catalog::Begins::Append => closing::Op::Append(end),
                        catalog::Begins::Write | catalog::Begins::Op(_) => closing::Op::Write(end),
                    })
                })
            }
        }
    }

    fn catalog_does(&mut self, action: impl Fn(Option<&str>) -> closing::Action) -> Result<(), Refused> {
        self.unborn.feed(&action(None))?;
        for (name, database) in &mut self.databases {
            database.closing.feed(&action(Some(name))).map_err(|refused| format!("{name}: {refused}"))?;
        }
        Ok(())
    }

    fn published(&mut self, id: DatabaseId, view: Option<&View>) -> Result<(), Refused> {
        let Some(name) = self.names.get(&id).cloned() else { return Ok(()) };
        let Some(database) = self.databases.get_mut(&name) else { return Ok(()) };
        match view {
            Some(view) if view.is_unwritten() => {
                self.unrecorded.remove(&name);
                database.glimpsed(view.last_tx().0)
            }
            Some(view) => {
                self.is_unwritten = false;
                self.unrecorded.remove(&name);
                database.published(view.last_tx().0)
            }
            None => {
                self.just_shut = Some(name);
                database.shut()
            }
        }
    }

    fn answered(&mut self, id: RequestId, response: &Response) -> Result<(), Refused> {
        let Some(asked) = self.asked.remove(&id) else { return Ok(()) };
        match (asked, response) {
            // It may have stood in the catalog before.
            (Asked::Open(_), Ok(Reply::Database(_))) if self.is_unwritten => Ok(()),
            (Asked::Open(name), Ok(Reply::Database(_))) => match self.databases.get_mut(&name) {
                Some(database) => database.told_exists(),
                None => Ok(()),
            },
            (Asked::Close(id), Ok(Reply::Closed)) => {
                let name = self.names.get(&id);
                let is_closer =
                    name == self.just_shut.as_ref() || name.is_some_and(|name| self.unrecorded.contains(name));
                match name.filter(|_| is_closer).and_then(|name| self.databases.get_mut(name)) {
                    Some(database) => database.told_closed(),
                    None => Ok(()),
                }
            }
            (Asked::Execute(id), Ok(Reply::Executed(results))) => {
                let written = results.iter().flatten().filter_map(OperationReply::written).map(|tx| tx.0);
                let database = self.names.get(&id).and_then(|name| self.databases.get_mut(name));
                match (written.max(), database) {
                    (Some(tx), Some(database)) => database.acknowledged(tx),
                    _ => Ok(()),
                }
            }
            (Asked::Close(_), Err(_)) => {
                // The closing could not be recorded, and says so.
                self.unrecorded.extend(self.just_shut.take());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn crashed(&mut self, kind: Crash) {
        self.in_flight.clear();
        self.asked.clear();
        self.is_unwritten = false;
        self.unrecorded.clear();
        self.catalog.crashed();
        self.unborn.crash(kind);
        // An id that no answer said may be given to another database.
        self.names.clear();
        for (name, database) in &mut self.databases {
            database.crashed(kind);
            if let Some(id) = database.id() {
                self.names.insert(id, name.clone());
            }
        }
    }
}

/// Says what the specification `name` does not allow, and where it was.
fn refusal<S: Spec>(name: &str, action: &impl Debug, states: &[S::State]) -> Refused {
    let of = if states.len() > 1 { format!(" (one of {})", states.len()) } else { String::new() };
    let state = states.first().map_or("no state".to_owned(), |state| format!("{state:?}"));
    format!("{name}: {action:?} is not enabled in {state}{of}")
}
