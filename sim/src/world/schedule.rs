//! In which order the device carries out what it was asked: drawn once a run, swarm style.
//!
//! A device is free in its order, so a run that draws it anew for each operation is legal, and shows little: no operation
//! is ever much later than another. So some runs carry out the newest operation first, some the oldest, and in some one
//! kind of operation, or all of one database, is slow: each is passed over for many steps.
//!
//! Invariants: whatever can be done is done in the end. An operation that is held back is carried out when nothing else
//! can happen, or when its steps are over. It never looks inside the engine: it sees the operations alone.

use std::collections::BTreeMap;

use docdb_engine::{DiskOp, FileId, OpId, OpenMode};

use super::small;
use crate::choice::Choices;
use crate::disk::{SimDisk, file_of};

/// Steps for which an operation is held back.
const HELD_STEPS: [u64; 3] = [12, 80, 400];

/// Of a device that prefers one end of its queue, so many in a thousand operations are any.
const STRAY_PER_MILLE: u64 = 60;

/// Of a device on which any operation may be slow, so many in a thousand are.
const STRAGGLERS_PER_MILLE: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Any,
    Newest,
    Oldest,
}

/// What is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    /// Syncs of files and directories.
    Sync,
    /// Changes of names, and listings.
    Names,
    /// Whatever writes bytes.
    Write,
    Read,
    Close,
    /// Everything about the catalog, and what is done in the data directory itself.
    Catalog,
    /// Everything about spares.
    Spare,
    /// Everything in the folder of one database.
    Database(&'static str),
    /// One operation now and then.
    Straggler,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    order: Order,
    slow: Option<Slow>,
    held_steps: u64,
    /// What the files are called that are open; only kept where something is slow.
    files: BTreeMap<FileId, String>,
    /// Until which step an operation in flight is held back.
    held: BTreeMap<OpId, u64>,
}

impl Schedule {
    /// Every order is as likely as any other.
    pub(crate) const ANY: Schedule =
        Schedule { order: Order::Any, slow: None, held_steps: 0, files: BTreeMap::new(), held: BTreeMap::new() };

    /// Draws the order of a run that uses these databases.
    pub(crate) fn chosen(choices: &mut Choices, databases: &'static [&'static str]) -> Schedule {
        let order = [Order::Any, Order::Newest, Order::Oldest][choices.weighted("order/end", &[5, 1, 1])];
        let slow = match choices.weighted("order/slow", &[8, 1, 1, 1, 1, 1, 1, 1, 2, 2]) {
            0 => None,
            1 => Some(Slow::Sync),
            2 => Some(Slow::Names),
            3 => Some(Slow::Write),
            4 => Some(Slow::Read),
            5 => Some(Slow::Close),
            6 => Some(Slow::Catalog),
            7 => Some(Slow::Spare),
            8 => Some(Slow::Database(databases[small(choices.choice("order/database", databases.len() as u64))])),
            _ => Some(Slow::Straggler),
        };
        let held_steps = if slow.is_some() { HELD_STEPS[small(choices.choice("order/steps", 3))] } else { 0 };
        Schedule { order, slow, held_steps, ..Schedule::ANY }
    }

    /// The engine, which is at `step`, asks for an operation.
    pub(super) fn submitted(&mut self, step: u64, id: OpId, op: &DiskOp, choices: &mut Choices) {
        let Some(slow) = self.slow else { return };
        if let DiskOp::Open { file, path, .. } = op {
            self.files.insert(*file, path.as_str().to_owned());
        }
        if self.is_slow(slow, op, choices) {
            self.held.insert(id, step + self.held_steps);
        }
    }

    /// The process has died; its successor numbers files and operations anew.
    pub(super) fn crashed(&mut self) {
        self.files.clear();
        self.held.clear();
    }

    /// How many operations the device can carry out at `step`; of those that are held back, none.
    pub(super) fn ready(&self, step: u64, disk: &SimDisk) -> usize {
        if self.held.is_empty() {
            return disk.ready();
        }
        disk.ids_in_flight().filter(|id| !self.is_held(step, *id)).count()
    }

    /// Which of the operations in flight comes next. Where all are held back, the oldest one.
    pub(super) fn next(&mut self, step: u64, disk: &SimDisk, choices: &mut Choices) -> usize {
        let ready: Vec<usize> = if self.held.is_empty() {
            (0..disk.ready()).collect()
        } else {
            let free = disk.ids_in_flight().enumerate().filter(|(_, id)| !self.is_held(step, *id));
            free.map(|(index, _)| index).collect()
        };
        let Some(last) = ready.len().checked_sub(1) else { return self.take(0, disk) };
        let is_stray = self.order == Order::Any || choices.chance("order/stray", STRAY_PER_MILLE);
        let which = match self.order {
            _ if is_stray => small(choices.choice("schedule/operation", ready.len() as u64)),
            Order::Newest => last,
            Order::Any | Order::Oldest => 0,
        };
        self.take(ready[which], disk)
    }

    fn take(&mut self, index: usize, disk: &SimDisk) -> usize {
        if let Some(id) = disk.ids_in_flight().nth(index) {
            self.held.remove(&id);
        }
        index
    }

    fn is_held(&self, step: u64, id: OpId) -> bool {
        self.held.get(&id).is_some_and(|until| step < *until)
    }

    fn is_slow(&self, slow: Slow, op: &DiskOp, choices: &mut Choices) -> bool {
        match slow {
            Slow::Sync => matches!(op, DiskOp::Sync { .. } | DiskOp::SyncDirectory { .. }),
            Slow::Names => {
                let creates = matches!(op, DiskOp::Open { mode: OpenMode::CreateNew, .. });
                let changes = matches!(op, DiskOp::Rename { .. } | DiskOp::Link { .. } | DiskOp::Unlink { .. });
                creates || changes || matches!(op, DiskOp::MakeDirectory { .. } | DiskOp::List { .. })
            }
            Slow::Write => matches!(op, DiskOp::Write { .. } | DiskOp::Allocate { .. }),
            Slow::Read => matches!(op, DiskOp::Read { .. } | DiskOp::Length { .. }),
            Slow::Close => matches!(op, DiskOp::Close { .. }),
            Slow::Catalog => self.path(op).is_some_and(|path| !path.contains('/')),
            Slow::Spare => self.path(op).is_some_and(|path| path.ends_with(".spare")),
            Slow::Database(name) => self.path(op).is_some_and(|path| path.split('/').nth(1) == Some(name)),
            Slow::Straggler => choices.chance("order/straggler", STRAGGLERS_PER_MILLE),
        }
    }

    /// What an operation is about.
    fn path<'a>(&'a self, op: &'a DiskOp) -> Option<&'a str> {
        match op {
            DiskOp::MakeDirectory { path }
            | DiskOp::List { path, .. }
            | DiskOp::Unlink { path }
            | DiskOp::SyncDirectory { path }
            | DiskOp::Open { path, .. } => Some(path.as_str()),
            DiskOp::Rename { from, .. } | DiskOp::Link { from, .. } => Some(from.as_str()),
            DiskOp::Close { .. }
            | DiskOp::Read { .. }
            | DiskOp::Write { .. }
            | DiskOp::Allocate { .. }
            | DiskOp::Length { .. }
            | DiskOp::Sync { .. }
            | DiskOp::FreeSpace => file_of(op).and_then(|file| self.files.get(&file)).map(String::as_str),
        }
    }
}
