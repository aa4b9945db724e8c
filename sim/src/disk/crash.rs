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
    /// The lengths of a file.
    Size(u64),
    /// A change of names: lost or kept.
    Name(u64),
    /// How many of the pending changes of names the journal kept.
    Journal,
}

/// Shorn sectors are cut at a multiple of this.
const SHORN_STEP_BYTES: usize = 64;

impl SimDisk {
    /// Crashes. `decide` answers for each unit with a number below the given bound.
    pub fn crash(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        // Carried out, though nobody has heard of it: that is a state like any other.
        self.finished.clear();
        for in_flight in std::mem::take(&mut self.in_flight) {
            self.crash_in_flight(&in_flight, kind, decide);
        }
        self.open.clear();
        self.used_ids.clear();
        self.injected = 0;
        if kind == CrashKind::Power {
            self.lose_power(decide);
        }
        self.forget_unreachable();
        self.hash.number(self.files.values().map(|file| file.space()).sum());
    }

    fn crash_in_flight(&mut self, in_flight: &InFlight, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        let InFlight { sequence, op, .. } = in_flight;
        let unit = Unit::InFlight(*sequence);
        match op {
            DiskOp::Write { file, offset, buffers } => {
                let Some(OpenFile { inode, .. }) = self.open.get(file).copied() else { return };
                let bytes = contiguous(buffers);
                let sectors = bytes.len().div_ceil(SECTOR_BYTES);
                let done = index(decide(unit, sectors as u64 + 1)) * SECTOR_BYTES;
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
        // The process that could have been told of a failure is dead; it only counts for the hash.
        self.hash.number(u64::from(done.is_ok()));
    }

    fn lose_power(&mut self, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        match self.profile.name_order {
            NameOrder::Posix => self.names.lose_power(|change| decide(Unit::Name(change.sequence), 2) == 1),
            NameOrder::Journal => {
                let mut left = decide(Unit::Journal, self.names.pending.len() as u64 + 1);
                self.names.lose_power(|_| {
                    let kept = left > 0;
                    left = left.saturating_sub(1);
                    kept
                });
            }
        }
        // What has no name any more is not worth a decision.
        self.forget_unreachable();
        for inode in self.files.keys().copied().collect::<Vec<InodeId>>() {
            self.lose_power_of_file(inode, decide);
        }
    }

    fn lose_power_of_file(&mut self, inode: InodeId, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        let shorn = self.profile.rate(FaultKind::ShornSector) > 0;
        let file = self.file_mut(inode);
        for (number, sector) in file.sectors.iter_mut().enumerate().filter(|(_, sector)| !sector.dirty.is_empty()) {
            let versions = sector.dirty.len() as u64 + 1;
            let kept = index(decide(Unit::Sector(inode, number), versions));
            if kept == 0 {
                continue;
            }
            let mut content = Arc::clone(&sector.dirty[kept - 1].1);
            if shorn && kept == sector.dirty.len() {
                let before = if kept == 1 { &sector.durable } else { &sector.dirty[kept - 2].1 };
                let steps = (SECTOR_BYTES / SHORN_STEP_BYTES) as u64;
                let cut = decide(Unit::Shorn(inode, number), steps);
                if cut + 1 < steps {
                    let cut = index(cut) * SHORN_STEP_BYTES;
                    Arc::make_mut(&mut content)[cut..].copy_from_slice(&before[cut..]);
                }
            }
            sector.durable = content;
        }
        let sizes = file.sizes.len() as u64 + 1;
        let kept = if sizes > 1 { index(decide(Unit::Size(inode), sizes)) } else { 0 };
        let bytes = if kept == 0 { file.durable_bytes } else { file.sizes[kept - 1].1 };
        file.restart_at(bytes);
    }
}

/// Answers units from a source of choices, in one of three moods: about one crash in ten keeps
/// everything, one in ten loses everything, the others decide each unit alone.
pub fn decide_by(choices: &mut Choices) -> impl FnMut(Unit, u64) -> u64 {
    let mood = choices.choice("crash/mood", 10);
    move |unit, bound| match mood {
        0 => bound - 1,
        1 => 0,
        _ => {
            // Zero, the tame choice, keeps everything.
            let label = match unit {
                Unit::InFlight(_) => "crash/in_flight",
                Unit::Sector(..) => "crash/sector",
                Unit::Shorn(..) => "crash/shorn",
                Unit::Size(_) => "crash/size",
                Unit::Name(_) => "crash/name",
                Unit::Journal => "crash/journal",
            };
            bound - 1 - choices.choice(label, bound)
        }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a simulated file fits into memory")
}
