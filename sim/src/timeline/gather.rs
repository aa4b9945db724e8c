//! Reads a chronicle: which operations there were and what came of them, life by life.
//!
//! Invariant: operations stand in the order in which they were submitted, which is how [`Unit`] numbers them, from one on and
//! on through all crashes.

use std::collections::BTreeMap;

use docdb_engine::{DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};
use docdb_protocol::{Reply, Request};

use super::model::{Lane, LaneId, Moment};
use super::words::DatabaseNames;
use crate::chronicle::{Chronicle, Event, Sides};
use crate::disk::{CrashKind, SimDisk, Unit, file_of};

/// An operation of the disk, from its submission on.
#[derive(Clone, Debug)]
pub(super) struct Operation<'chronicle> {
    pub(super) op: &'chronicle DiskOp,
    pub(super) life: usize,
    pub(super) submitted: Moment,
    pub(super) performed: Option<(Moment, &'chronicle Result<DiskReply, DiskErrorKind>)>,
    pub(super) delivered: Option<Moment>,
    /// The file that it is about, where it has one.
    pub(super) lane: Option<LaneId>,
}

impl Operation<'_> {
    /// Whether it was carried out, and well.
    pub(super) fn is_done(&self) -> bool {
        self.performed.is_some_and(|(_, result)| result.is_ok())
    }
}

/// A crash, as it was decided.
#[derive(Clone, Debug)]
pub(super) struct Decisions {
    pub(super) moment: Moment,
    pub(super) kind: CrashKind,
    /// The process had stopped before.
    pub(super) is_after_stop: bool,
    /// Each unit, with its answer and how many answers there were.
    pub(super) units: Vec<(Unit, u64, u64)>,
}

/// What a crash left.
#[derive(Debug)]
pub(super) struct Left {
    /// Every name before it; a file with its number, a directory without.
    pub(super) before: BTreeMap<String, Option<u64>>,
    /// The same after it.
    pub(super) after: BTreeMap<String, Option<u64>>,
    /// The bytes of each file that has a name after it, by its number.
    pub(super) contents: BTreeMap<u64, Vec<u8>>,
}

impl Left {
    fn of(sides: &Sides) -> Left {
        let names = |disk: &SimDisk| {
            let numbers = disk.file_numbers();
            disk.contents().into_keys().map(|name| (name.clone(), numbers.get(&name).copied())).collect()
        };
        let numbers = sides.after.file_numbers();
        let bytes = |(name, bytes): (String, Option<Vec<u8>>)| Some((*numbers.get(&name)?, bytes?));
        let contents = sides.after.contents().into_iter().filter_map(bytes).collect();
        Left { before: names(&sides.before), after: names(&sides.after), contents }
    }
}

/// What a chronicle says.
#[derive(Debug)]
pub(super) struct Gathered<'chronicle> {
    pub(super) chronicle: &'chronicle Chronicle,
    pub(super) operations: Vec<Operation<'chronicle>>,
    /// One a crash; the life of the same number ended with it.
    pub(super) crashes: Vec<Decisions>,
    /// The same.
    pub(super) left: Vec<Left>,
    pub(super) lanes: Vec<Lane>,
    pub(super) databases: DatabaseNames,
    /// The last moment of each life.
    pub(super) ends: Vec<Moment>,
}

impl<'chronicle> Gathered<'chronicle> {
    /// The names of all files after an event, with their lanes.
    fn numbers_after(&self, event: usize) -> Option<&'chronicle BTreeMap<String, u64>> {
        let names = self.chronicle.names();
        let later = names.partition_point(|names| names.entries <= event + 1);
        later.checked_sub(1).map(|index| &names[index].numbers)
    }

    /// The lane of the file that has a name after an event.
    pub(super) fn lane_named(&self, name: &str, event: usize) -> Option<LaneId> {
        self.lane_of(*self.numbers_after(event)?.get(name)?)
    }

    /// The lane of the file of this number.
    pub(super) fn lane_of(&self, number: u64) -> Option<LaneId> {
        self.lanes.iter().position(|lane| lane.number == number)
    }

    /// Reads it all.
    pub(super) fn of(chronicle: &'chronicle Chronicle) -> Gathered<'chronicle> {
        let mut gathered = Gathered {
            chronicle,
            operations: Vec::new(),
            crashes: Vec::new(),
            left: chronicle.crashed().iter().map(Left::of).collect(),
            lanes: lanes(chronicle),
            databases: databases(chronicle),
            ends: Vec::new(),
        };
        let mut by_id: BTreeMap<OpId, usize> = BTreeMap::new();
        let mut open: BTreeMap<FileId, LaneId> = BTreeMap::new();
        let mut last = Moment::default();
        let mut is_stopped = false;
        for (event, entry) in chronicle.entries().iter().enumerate() {
            let moment = Moment { event, step: entry.step };
            match &entry.event {
                Event::Submitted { id, op } => {
                    by_id.insert(*id, gathered.operations.len());
                    let lane = file_of(op).and_then(|file| open.get(&file).copied());
                    let life = gathered.crashes.len();
                    let (performed, delivered) = (None, None);
                    gathered.operations.push(Operation { op, life, submitted: moment, performed, delivered, lane });
                }
                Event::Performed { id, result } => {
                    let Some(index) = by_id.get(id).copied() else { continue };
                    gathered.operations[index].performed = Some((moment, result));
                    if let (DiskOp::Open { file, path, .. }, Ok(_)) = (gathered.operations[index].op, result) {
                        let lane = gathered.lane_named(path.as_str(), event);
                        gathered.operations[index].lane = lane;
                        open.extend(lane.map(|lane| (*file, lane)));
                    }
                }
                Event::Delivered { id } => {
                    if let Some(index) = by_id.get(id) {
                        gathered.operations[*index].delivered = Some(moment);
                    }
                }
                Event::Stopped => is_stopped = true,
                Event::Crashed(kind) => {
                    gathered.ends.push(last);
                    let units = Vec::new();
                    let decisions = Decisions { moment, kind: *kind, is_after_stop: is_stopped, units };
                    gathered.crashes.push(decisions);
                    (by_id, open, is_stopped) = (BTreeMap::new(), BTreeMap::new(), false);
                }
                Event::Decided { unit, answer, bound } => {
                    let crash = gathered.crashes.last_mut().expect("what a crash decides comes after it");
                    crash.units.push((*unit, *answer, *bound));
                }
                Event::Requested { .. }
                | Event::ShutdownAsked
                | Event::Timer
                | Event::Fault { .. }
                | Event::Answered { .. }
                | Event::Published { .. }
                | Event::Alerted(_)
                | Event::Restarted => {}
            }
            last = moment;
        }
        gathered.ends.push(last);
        // Crashes that nobody heard of are not shown.
        gathered.left.truncate(gathered.crashes.len());
        gathered
    }

    /// The operations of one life.
    pub(super) fn of_life(&self, life: usize) -> impl Iterator<Item = (usize, &Operation<'chronicle>)> {
        let start = self.operations.partition_point(|operation| operation.life < life);
        let operations = self.operations.iter().enumerate().skip(start);
        operations.take_while(move |(_, operation)| operation.life == life)
    }
}

/// Every file that ever had a name, and what it was called from when on.
fn lanes(chronicle: &Chronicle) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for names in chronicle.names() {
        // What changed names is the event before.
        let event = names.entries.saturating_sub(1);
        let step = chronicle.entries().get(event).map_or(0, |entry| entry.step);
        let moment = Moment { event, step };
        let mut called: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for (name, number) in &names.numbers {
            called.entry(*number).or_default().push(name);
        }
        for (number, names) in &called {
            let name = Some(names.join(" = "));
            match lanes.iter_mut().find(|lane| lane.number == *number) {
                None => lanes.push(Lane { number: *number, names: vec![(moment, name)] }),
                Some(lane) => lane.is_called(moment, name),
            }
        }
        let gone = lanes.iter_mut().filter(|lane| !called.contains_key(&lane.number));
        gone.for_each(|lane| lane.is_called(moment, None));
    }
    lanes
}

impl Lane {
    fn is_called(&mut self, moment: Moment, name: Option<String>) {
        if self.names.last().is_none_or(|(_, last)| *last != name) {
            self.names.push((moment, name));
        }
    }
}

/// What databases are called, from the answers to the clients that opened them.
pub(super) fn databases(chronicle: &Chronicle) -> DatabaseNames {
    let mut asked = BTreeMap::new();
    let mut names = DatabaseNames::new();
    for entry in chronicle.entries() {
        match &entry.event {
            Event::Requested { id, request: Request::OpenDatabase { name, .. } } => {
                asked.insert(*id, name.as_str().to_owned());
            }
            Event::Answered { id, response: Ok(Reply::Database(database)) } => {
                names.extend(asked.get(id).map(|name| (*database, name.clone())));
            }
            _ => {}
        }
    }
    names
}

/// Whether an operation changes names.
pub(super) fn changes_names(op: &DiskOp) -> bool {
    match op {
        DiskOp::Open { mode, .. } => *mode == OpenMode::CreateNew,
        DiskOp::MakeDirectory { .. } | DiskOp::Rename { .. } | DiskOp::Link { .. } | DiskOp::Unlink { .. } => true,
        DiskOp::Close { .. }
        | DiskOp::Read { .. }
        | DiskOp::Write { .. }
        | DiskOp::Allocate { .. }
        | DiskOp::Length { .. }
        | DiskOp::List { .. }
        | DiskOp::Sync { .. }
        | DiskOp::SyncDirectory { .. }
        | DiskOp::FreeSpace => false,
    }
}
