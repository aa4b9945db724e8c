//! What became of every change: durable, at risk, or what the crash made of it.
//!
//! Bytes are judged by what lies on the disk after the crash, compared sector by sector with what was written, and not by
//! what was decided about them: so damage and lies show as well. Whether something had been durable is judged by the
//! contract of the disk: a sync that succeeded covers the writes whose completions the engine had before it was submitted.

use std::ops::Range;

use docdb_engine::{Buffer, DiskOp, DiskPath, DiskReply, SECTOR_BYTES};

use super::gather::{Gathered, Left, Operation, changes_names};
use super::model::Fate;
use super::words::length;
use crate::disk::Unit;

impl Gathered<'_> {
    /// What became of the operation `index`, which changes bytes or names.
    pub(super) fn fate(&self, index: usize) -> Fate {
        let operation = &self.operations[index];
        let crash = self.left.get(operation.life);
        if changes_names(operation.op) { self.fate_of_names(index, crash) } else { self.fate_of_bytes(index, crash) }
    }

    fn fate_of_bytes(&self, index: usize, crash: Option<&Left>) -> Fate {
        let operation = &self.operations[index];
        let (Some(lane), Some((mut range, bytes))) = (operation.lane, bytes_of(operation.op)) else {
            return Fate::Untold;
        };
        // Of a short write only the beginning was taken; which of the rest arrived nobody knows.
        if let Some((_, Ok(DiskReply::Written(taken)))) = operation.performed {
            range.end = range.end.min(range.start + taken);
        }
        let is_refused = operation.performed.is_some() && !operation.is_done();
        if is_refused || range.is_empty() {
            return Fate::Untold;
        }
        let end = self.ends[operation.life];
        if !self.lanes[lane].is_named_at(end) {
            return Fate::Removed;
        }
        let later: Vec<&Operation<'_>> = self.later_on(index).filter(|later| later.performed.is_some()).collect();
        let covered = |sector: &Range<u64>, by: &[&Operation<'_>]| {
            by.iter().any(|later| bytes_of(later.op).is_some_and(|(theirs, _)| overlap(sector, &theirs)))
        };
        let sectors: Vec<_> = sectors(&range).filter(|sector| !covered(sector, &later)).collect();
        if sectors.is_empty() {
            return Fate::Replaced;
        }
        let is_synced = self.is_synced(operation);
        let Some(left) = crash else {
            return match (operation.is_done(), is_synced) {
                (true, true) => Fate::Synced,
                (true, false) => Fate::AtRisk,
                (false, _) => Fate::Untold,
            };
        };
        let after = left.contents.get(&self.lanes[lane].number);
        let in_flight: Vec<&Operation<'_>> = self.later_on(index).filter(|later| later.performed.is_none()).collect();
        let (mut kept, mut of) = (0, 0);
        for sector in sectors {
            let written = part(bytes.as_deref(), &range, &sector);
            let is_there = after.is_some_and(|after| is_at(after, &sector, written));
            if is_there || !covered(&sector, &in_flight) {
                (kept, of) = (kept + usize::from(is_there), of + 1);
            }
        }
        match (kept == of, is_synced && operation.is_done()) {
            (true, true) => Fate::Synced,
            (true, false) => Fate::Kept,
            (false, true) => Fate::Broken,
            (false, false) if kept == 0 => Fate::Lost,
            (false, false) => Fate::Partly { kept, of },
        }
    }

    /// Operations on the bytes of the same file that were carried out later in the same life, or were under way at its end.
    fn later_on(&self, index: usize) -> impl Iterator<Item = &Operation<'_>> {
        let operation = &self.operations[index];
        let when = |operation: &Operation<'_>| operation.performed.map_or(usize::MAX, |(moment, _)| moment.event);
        let mine = when(operation);
        self.of_life(operation.life).map(|(_, other)| other).filter(move |other| {
            other.lane == operation.lane && !std::ptr::eq(*other, operation) && when(other) >= mine
        })
    }

    /// Whether a sync that succeeded covers an operation.
    fn is_synced(&self, operation: &Operation<'_>) -> bool {
        let Some(told) = operation.delivered else { return false };
        let covers = |other: &Operation<'_>| other.submitted > told && other.is_done();
        if changes_names(operation.op) {
            // All directories that it touches.
            return directories(operation.op).iter().all(|directory| {
                self.of_life(operation.life).any(|(_, other)| {
                    matches!(other.op, DiskOp::SyncDirectory { path } if path == directory) && covers(other)
                })
            });
        }
        self.of_life(operation.life)
            .any(|(_, other)| matches!(other.op, DiskOp::Sync { .. }) && other.lane == operation.lane && covers(other))
    }

    fn fate_of_names(&self, index: usize, crash: Option<&Left>) -> Fate {
        let operation = &self.operations[index];
        if operation.performed.is_some() && !operation.is_done() {
            return Fate::Untold;
        }
        let is_synced = self.is_synced(operation);
        let Some(left) = crash else {
            return match (operation.performed.is_some(), is_synced) {
                (true, true) => Fate::Synced,
                (true, false) if self.is_changed_again(index) => Fate::Replaced,
                (true, false) => Fate::AtRisk,
                (false, _) => Fate::Untold,
            };
        };
        let sequence = index as u64 + 1;
        let decided = self.crashes[operation.life].units.iter().rev().find_map(|(unit, answer, bound)| match unit {
            Unit::InFlight(asked) | Unit::Name(asked) if *asked == sequence => Some(answer + 1 == *bound),
            _ => None,
        });
        if is_synced {
            return Fate::Synced;
        }
        let survived = match decided {
            Some(survived) => survived,
            None if self.is_changed_again(index) => return Fate::Replaced,
            None => {
                let target = target(operation.op).map_or("", DiskPath::as_str);
                left.before.get(target) == left.after.get(target)
            }
        };
        if survived { Fate::Kept } else { Fate::Lost }
    }

    /// Whether the name that an operation made or removed was changed again in the same life.
    fn is_changed_again(&self, index: usize) -> bool {
        let operation = &self.operations[index];
        let Some(target) = target(operation.op) else { return false };
        self.of_life(operation.life)
            .filter(|(other, _)| *other > index)
            .any(|(_, other)| other.is_done() && changes_names(other.op) && places(other.op).contains(&target))
    }
}

/// The range of a file that an operation changes, and with what; `None` for zeros.
pub(super) fn bytes_of(op: &DiskOp) -> Option<(Range<u64>, Option<Vec<u8>>)> {
    match op {
        DiskOp::Write { offset, buffers, .. } => {
            let bytes: Vec<u8> = buffers.iter().flat_map(Buffer::as_slice).copied().collect();
            Some((*offset..offset + length(op), Some(bytes)))
        }
        DiskOp::Allocate { offset, bytes, .. } => Some((*offset..offset + bytes, None)),
        _ => None,
    }
}

/// A range, cut where sectors begin.
fn sectors(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let size = SECTOR_BYTES as u64;
    let (start, end) = (range.start, range.end);
    (start / size..end.div_ceil(size)).map(move |sector| start.max(sector * size)..end.min((sector + 1) * size))
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

/// The bytes that were written to a sector of a range; `None` for zeros.
fn part<'bytes>(bytes: Option<&'bytes [u8]>, range: &Range<u64>, sector: &Range<u64>) -> Option<&'bytes [u8]> {
    bytes.map(|bytes| &bytes[small(sector.start - range.start)..small(sector.end - range.start)])
}

/// Whether a file holds this at a sector.
fn is_at(file: &[u8], sector: &Range<u64>, written: Option<&[u8]>) -> bool {
    let Some(found) = file.get(small(sector.start)..small(sector.end)) else { return false };
    written.map_or_else(|| found.iter().all(|byte| *byte == 0), |written| written == found)
}

/// The name that an operation makes, or removes.
fn target(op: &DiskOp) -> Option<&DiskPath> {
    match op {
        DiskOp::Rename { to, .. } | DiskOp::Link { to, .. } => Some(to),
        op => places(op).first().copied(),
    }
}

/// The names that an operation changes.
fn places(op: &DiskOp) -> Vec<&DiskPath> {
    match op {
        DiskOp::Open { path, .. } | DiskOp::MakeDirectory { path } | DiskOp::Unlink { path } => vec![path],
        DiskOp::Rename { from, to, .. } => vec![from, to],
        DiskOp::Link { to, .. } => vec![to],
        DiskOp::Close { .. }
        | DiskOp::Read { .. }
        | DiskOp::Write { .. }
        | DiskOp::Allocate { .. }
        | DiskOp::Length { .. }
        | DiskOp::List { .. }
        | DiskOp::Sync { .. }
        | DiskOp::SyncDirectory { .. }
        | DiskOp::FreeSpace => Vec::new(),
    }
}

/// The directories that must be synced before a change of names is durable.
fn directories(op: &DiskOp) -> Vec<DiskPath> {
    places(op).into_iter().filter_map(DiskPath::parent).collect()
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a simulated file fits into memory")
}
