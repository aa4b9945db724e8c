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
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &DiskPath> {
        let named_late = |segment: &&Segment| match segment.name {
            SegmentName::Active | SegmentName::Sealed(_) | SegmentName::Spare => true,
            SegmentName::Next => false,
        };
        self.segments.iter().filter(named_late).filter(|segment| segment.header.is_none()).map(|segment| &segment.path)
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
