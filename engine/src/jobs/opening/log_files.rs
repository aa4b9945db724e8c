//! The files of a log as the survey found them: which of them count, and which a new segment makes superfluous.
//!
//! It reads nothing and changes no file.

use std::collections::BTreeSet;

use super::survey::Segment;
use crate::disk::DiskPath;
use crate::log::{Lsn, SegmentName};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct LogFiles {
    /// Those that are part of the log, or should be.
    pub(super) segments: Vec<Segment>,
    /// The largest epoch of any header in the folder, one that is no part of the log included.
    pub(super) epoch_max: u64,
}

/// A segment that has its last name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) epoch: u64,
    pub(crate) start_lsn: Lsn,
}

/// The segment that a new one follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) epoch: u64,
    /// Whether it is called `next` still.
    pub(super) is_next: bool,
}

impl LogFiles {
    pub(super) fn new(found: Vec<Segment>) -> LogFiles {
        let mut segments = found;
        let epochs = segments.iter().flat_map(|segment| match segment.name {
            SegmentName::Sealed(number) => [segment.header.map(|header| header.epoch), Some(number)],
            SegmentName::Active | SegmentName::Next | SegmentName::Spare => {
                [segment.header.map(|header| header.epoch), None]
            }
        });
        let epoch_max = epochs.flatten().max().unwrap_or(0);
        let is_active = |segment: &Segment| segment.name == SegmentName::Active;
        let next_counts = !segments.iter().any(is_active);
        if !next_counts {
            segments.retain(|segment| segment.name != SegmentName::Next);
        }
        LogFiles { segments, epoch_max }
    }

    /// Segments without a header that got their names after their headers were durable: what they held is lost. A next one
    /// gets its name before.
    /// Nothing is lost of one that lies wholly below `from`, where a replay begins.
    pub(super) fn unreadable(&self, from: Lsn) -> impl Iterator<Item = &DiskPath> {
        let is_below = move |segment: &&Segment| match segment.name {
            SegmentName::Sealed(number) => self
                .segments
                .iter()
                .filter_map(|other| other.header)
                .any(|header| header.epoch > number && header.start_lsn <= from && from > Lsn(0)),
            SegmentName::Active | SegmentName::Next | SegmentName::Spare => false,
        };
        let named_late = |segment: &&Segment| match segment.name {
            SegmentName::Active | SegmentName::Sealed(_) | SegmentName::Spare => true,
            SegmentName::Next => false,
        };
        let unread = self.segments.iter().filter(named_late).filter(|segment| segment.header.is_none());
        unread.filter(move |segment| !is_below(segment)).map(|segment| &segment.path)
    }

    /// The segment that the log was written to last.
    pub(super) fn live(&self) -> Option<Live> {
        self.segments
            .iter()
            .find_map(|segment| match segment.name {
                SegmentName::Active => Some((segment, false)),
                SegmentName::Next => Some((segment, true)),
                SegmentName::Sealed(_) | SegmentName::Spare => None,
            })
            .and_then(|(segment, is_next)| Some(Live { epoch: segment.header?.epoch, is_next }))
    }

    /// A segment that only a later version may write to.
    pub(super) fn unwritable(&self) -> Option<&DiskPath> {
        let is_unwritable = |segment: &&Segment| segment.header.is_some_and(|header| !header.is_writable);
        self.segments.iter().find(is_unwritable).map(|segment| &segment.path)
    }

    /// The newest segment that can be read.
    pub(super) fn newest(&self) -> Option<&DiskPath> {
        let read = self.segments.iter().filter_map(|segment| Some((segment.header?.epoch, &segment.path)));
        read.max_by_key(|(epoch, _)| *epoch).map(|(_, path)| path)
    }

    /// Those that stay when the new segment is there, which begins at `start_lsn`: by epoch.
    pub(super) fn sealed(&self, start_lsn: Lsn, said_again: &[DiskPath]) -> Vec<Sealed> {
        let stays = |segment: &&Segment| !said_again.contains(&segment.path);
        let header = |segment: &Segment| segment.header.filter(|header| header.start_lsn < start_lsn);
        let headers = self.segments.iter().filter(stays).filter_map(header);
        let mut sealed: Vec<Sealed> =
            headers.map(|header| Sealed { epoch: header.epoch, start_lsn: header.start_lsn }).collect();
        sealed.sort_by_key(|segment| segment.epoch);
        sealed
    }

    /// What a new segment from `start_lsn` on makes superfluous, besides `said_again`.
    pub(super) fn superseded(&self, start_lsn: Lsn, said_again: &[DiskPath]) -> Vec<DiskPath> {
        let known: BTreeSet<&DiskPath> = said_again.iter().collect();
        let mut superseded = said_again.to_vec();
        for segment in &self.segments {
            let wholly = segment.header.is_some_and(|header| header.start_lsn >= start_lsn);
            if wholly && !known.contains(&segment.path) {
                superseded.push(segment.path.clone());
            }
        }
        superseded
    }
}
