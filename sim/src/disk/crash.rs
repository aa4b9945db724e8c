//! What a crash leaves behind.
//!
//! Everything that is open is asked of the caller as one [`Unit`] with a number of answers: zero is the
//! oldest, nothing of it survived; the last is the newest, all of it did. So a random crash, the
//! complete list of images, and "everything but this one sector" are the same walk.

use std::sync::Arc;

use docdb_engine::{DiskOp, SECTOR_BYTES};

use super::inode::Sequence;
use super::names::{Entry, InodeId};
use super::{FaultKind, InFlight, NameOrder, OpenFile, SimDisk, contiguous};
use crate::choice::Choices;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// The process: the cache survives.
    Process,
    /// Power: only the disk survives.
    Power,
}

/// Something that a crash may keep or lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// An operation in flight: not done, done up to a sector, done.
    InFlight(u64),
    /// The versions of a sector.
    Sector(u64, usize),
    /// Where the newest version of a sector was torn; the last answer is: not at all.
    Shorn(u64, usize),
    /// What space shows that was taken and whose data was lost: what the device held before, or, as the last
    /// answer, zeros.
    Garbage(u64, usize),
    /// The lengths of a file.
    Size(u64),
    /// A change of names: lost or kept.
    Name(u64),
    /// How many of the pending changes of names the journal kept.
    Journal,
}

/// What a power loss did to the pending changes of names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names {
    /// These are durable now.
    pub kept: usize,
    /// These never happened.
    pub lost: usize,
}

/// Shorn sectors are cut at a multiple of this.
const SHORN_STEP_BYTES: usize = 64;

impl SimDisk {
    /// Crashes. `decide` answers for each unit with a number below the given bound.
    pub fn crash(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) -> Names {
        // Carried out, though nobody has heard of it: that is a state like any other.
        self.finished.clear();
        for in_flight in std::mem::take(&mut self.in_flight) {
            self.crash_in_flight(&in_flight, kind, decide);
        }
        for handle in std::mem::take(&mut self.open).into_values().filter(|handle| handle.is_owed_an_error) {
            if let Some(file) = self.files.get_mut(&handle.inode) {
                Arc::make_mut(file).is_error_untold = true;
            }
        }
        self.used_ids.clear();
        self.injected = 0;
        // The process that had taken what was short is dead.
        self.lasting[1] = 0;
        // The next one looks every folder up anew.
        self.gone.clear();
        self.starting = None;
        let names = if kind == CrashKind::Power { self.lose_power(decide) } else { Names::default() };
        self.forget_unreachable();
        self.hash.number(self.files.values().map(|file| file.space()).sum());
        names
    }

    fn crash_in_flight(&mut self, in_flight: &InFlight, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        let InFlight { sequence, op, .. } = in_flight;
        let unit = Unit::InFlight(*sequence);
        match op {
            DiskOp::Write { file, offset, buffers } => {
                let Some(OpenFile { inode, .. }) = self.open.get(file).copied() else { return };
                let bytes = contiguous(buffers);
                let sectors = bytes.len().div_ceil(SECTOR_BYTES);
                let answers = sectors as u64 + 1;
                let mut done = index(decide(unit, answers)) * SECTOR_BYTES;
                if done > 0 && done < bytes.len() {
                    if self.profile.without.contains(FaultKind::TornInFlight) {
                        done = bytes.len();
                    } else {
                        self.strike(FaultKind::TornInFlight, Some(inode), Some(*offset), false);
                    }
                }
                self.file_mut(inode).write(*sequence, *offset, &bytes[..done.min(bytes.len())]);
            }
            DiskOp::Allocate { file, offset, bytes } => {
                let Some(OpenFile { inode, .. }) = self.open.get(file).copied() else { return };
                if decide(unit, 2) == 1 {
                    self.file_mut(inode).write(*sequence, *offset, &vec![0; index(*bytes)]);
                }
            }
            DiskOp::Sync { file } => {
                let Some(OpenFile { inode, .. }) = self.open.get(file).copied() else { return };
                // After a power loss an unfinished sync adds nothing to what is possible anyway.
                if kind == CrashKind::Process && decide(unit, 2) == 1 {
                    let uncovered = &in_flight.uncovered;
                    self.file_mut(inode).sync(&|earlier| earlier < *sequence && !uncovered.contains(&earlier));
                }
            }
            DiskOp::SyncDirectory { path } => {
                if kind == CrashKind::Process && decide(unit, 2) == 1 {
                    let Ok(directory) = self.names.directory(path) else { return };
                    let uncovered = &in_flight.uncovered;
                    self.names.sync(directory, &|earlier| earlier < *sequence && !uncovered.contains(&earlier));
                }
            }
            DiskOp::Open { .. }
            | DiskOp::MakeDirectory { .. }
            | DiskOp::Rename { .. }
            | DiskOp::Link { .. }
            | DiskOp::Unlink { .. } => {
                if super::changes(op) && decide(unit, 2) == 1 {
                    self.crash_name(*sequence, op);
                }
            }
            DiskOp::Close { .. }
            | DiskOp::Read { .. }
            | DiskOp::Length { .. }
            | DiskOp::List { .. }
            | DiskOp::FreeSpace => {}
        }
    }

    /// A change of names that was done although nobody heard of it; one that fails does nothing.
    fn crash_name(&mut self, sequence: Sequence, op: &DiskOp) {
        let done = match op {
            DiskOp::Open { path, .. } => {
                let id = self.new_inode();
                let created = self.names.create(sequence, path, Entry::File(id));
                if created.is_ok() {
                    self.files.insert(id, Arc::default());
                }
                created
            }
            DiskOp::MakeDirectory { path } => {
                let id = self.new_inode();
                self.names.create(sequence, path, Entry::Directory(id))
            }
            DiskOp::Rename { from, to, replace } => self.names.rename(sequence, from, to, *replace),
            DiskOp::Link { from, to } => self.names.link(sequence, from, to),
            DiskOp::Unlink { path } => self.names.unlink(sequence, path),
            _ => Ok(()),
        };
        // The process that could have heard of a failure is dead; it only counts for the hash.
        self.hash.number(u64::from(done.is_ok()));
    }

    fn lose_power(&mut self, decide: &mut dyn FnMut(Unit, u64) -> u64) -> Names {
        self.is_shut_down = false;
        let before = self.names.pending.len();
        let keeps_names = self.profile.without.contains(FaultKind::NamesLost);
        let mut kept_names = 0;
        match self.profile.name_order {
            order @ (NameOrder::Posix | NameOrder::Apart) => {
                self.names.lose_power(order == NameOrder::Apart, |change| {
                    let kept = keeps_names || decide(Unit::Name(change.sequence), 2) == 1;
                    kept_names += usize::from(kept);
                    kept
                });
            }
            NameOrder::Journal => {
                let mut left = if keeps_names { before as u64 } else { decide(Unit::Journal, before as u64 + 1) };
                self.names.lose_power(false, |_| {
                    let kept = left > 0;
                    left = left.saturating_sub(1);
                    kept_names += usize::from(kept);
                    kept
                });
            }
        }
        for _ in kept_names..before {
            self.strike(FaultKind::NamesLost, None, None, false);
        }
        // What has no name any more is not worth a decision.
        self.forget_unreachable();
        for inode in self.files.keys().copied().collect::<Vec<InodeId>>() {
            self.lose_power_of_file(inode, decide);
        }
        Names { kept: kept_names, lost: before - kept_names }
    }

    fn lose_power_of_file(&mut self, inode: InodeId, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        if self.files[&inode].is_clean() {
            return;
        }
        let mut file = std::mem::take(self.file_mut(inode));
        let without = self.profile.without;
        let shorn = self.profile.rate(FaultKind::ShornSector) > 0;
        let garbage = self.profile.rate(FaultKind::StaleGarbage) > 0;
        let place = |number: usize| Some((number * SECTOR_BYTES) as u64);
        for (number, sector) in file.sectors.iter_mut().enumerate() {
            let versions = sector.dirty.len();
            let kept = if versions == 0 || without.contains(FaultKind::SectorLost) {
                versions
            } else {
                index(decide(Unit::Sector(inode, number), versions as u64 + 1))
            };
            if kept < versions {
                self.strike(FaultKind::SectorLost, Some(inode), place(number), false);
            }
            if kept == 0 {
                let was_written = versions > 0 || sector.lost.is_some();
                if garbage && sector.is_raw && was_written && !self.remains.is_empty() {
                    let held = decide(Unit::Garbage(inode, number), self.remains.len() as u64 + 1);
                    if let Some(content) = self.remains.len().checked_sub(index(held) + 1).map(|at| &self.remains[at]) {
                        sector.store(Arc::clone(content));
                        self.strike(FaultKind::StaleGarbage, Some(inode), place(number), false);
                    }
                }
                continue;
            }
            let mut content = Arc::clone(&sector.dirty[kept - 1].1);
            if shorn && kept == versions {
                let before = if kept == 1 { &sector.durable } else { &sector.dirty[kept - 2].1 };
                let steps = (SECTOR_BYTES / SHORN_STEP_BYTES) as u64;
                let cut = decide(Unit::Shorn(inode, number), steps);
                if cut + 1 < steps {
                    let cut = index(cut) * SHORN_STEP_BYTES;
                    Arc::make_mut(&mut content)[cut..].copy_from_slice(&before[cut..]);
                    self.strike(FaultKind::ShornSector, Some(inode), place(number), false);
                }
            }
            sector.store(content);
        }
        let sizes = file.sizes.len();
        let kept = if sizes == 0 || without.contains(FaultKind::SizeLost) {
            sizes
        } else {
            index(decide(Unit::Size(inode), sizes as u64 + 1))
        };
        if kept < sizes {
            self.strike(FaultKind::SizeLost, Some(inode), None, false);
        }
        let bytes = if kept == 0 { file.durable_bytes } else { file.sizes[kept - 1].1 };
        file.restart_at(bytes);
        *self.file_mut(inode) = file;
    }
}

/// What a crash is like as a whole: about one in ten keeps everything, one in ten loses everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Everything that could survive does.
    KeepsAll,
    /// Nothing does that need not.
    LosesAll,
    /// Each unit is decided alone.
    Mixed,
}

impl Mood {
    /// Draws one.
    pub fn chosen(choices: &mut Choices) -> Mood {
        match choices.choice("crash/mood", 10) {
            0 => Mood::KeepsAll,
            1 => Mood::LosesAll,
            _ => Mood::Mixed,
        }
    }
}

/// Answers units from a source of choices, in a mood that is drawn first.
pub fn decide_by(choices: &mut Choices) -> impl FnMut(Unit, u64) -> u64 {
    let mood = Mood::chosen(choices);
    decide_in(mood, choices)
}

/// Answers units from a source of choices.
pub fn decide_in(mood: Mood, choices: &mut Choices) -> impl FnMut(Unit, u64) -> u64 {
    move |unit, bound| match mood {
        Mood::KeepsAll => bound - 1,
        Mood::LosesAll => 0,
        Mood::Mixed => {
            // Zero, the tame choice, keeps everything.
            let label = match unit {
                Unit::InFlight(_) => "crash/in_flight",
                Unit::Sector(..) => "crash/sector",
                Unit::Shorn(..) => FaultKind::ShornSector.what(),
                Unit::Garbage(..) => FaultKind::StaleGarbage.what(),
                Unit::Size(_) => "crash/size",
                Unit::Name(_) | Unit::Journal => FaultKind::NamesLost.what(),
            };
            bound - 1 - choices.choice(label, bound)
        }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a simulated file fits into memory")
}
