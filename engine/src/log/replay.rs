//! Reading a log back: from the bytes of its segments to a state, and to where it ends.
//!
//! The one hard question is what a bad record means. If anything proves that the log was durable
//! beyond it (a later batch's watermark, a later segment's start, the end stored at closing), then
//! acknowledged data is damaged, and this says exactly what is lost. If nothing does, it is a torn
//! tail that was never acknowledged, and the log ends there.
//!
//! `walk` goes through the bytes of one segment, `damage` finds out what a missing part held, `replayed` is the state that
//! both work on. Here is the door.
//!
//! Nothing here reads a file, and no bytes make it panic.

use docdb_protocol::DatabaseId;

use super::gap::Gap;
use super::replayed::Replayed;
use super::walk::{Walk, Want};
use super::{Lsn, SegmentHeader, Tail};
use crate::view::View;

/// A replay in progress. Feed the segments in the order of their epochs, then [`Replay::finish`].
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(super) so_far: Replayed,
    /// Where it begins.
    from: Lsn,
    slice_bytes: u32,
    /// The segment at hand.
    walk: Option<Box<Walk>>,
}

impl Replay {
    /// Begins with `view`, the state at `from`: below that nothing is read. `end` is what the catalog stored at the last
    /// closing, or zero; `slice_bytes` is how much is read, and worked on, at a time.
    pub(crate) fn new(
        database: DatabaseId,
        view: View,
        from: Lsn,
        end: Lsn,
        merge_bytes_max: u64,
        slice_bytes: u32,
    ) -> Replay {
        let so_far = Replayed::new(database, view, from, end, merge_bytes_max);
        Replay { so_far, from, slice_bytes, walk: None }
    }

    /// Begins with one segment. `file` names it in errors; `bytes` is its length behind its header; `limit` is the
    /// smallest start of any later segment.
    pub(crate) fn begin(&mut self, header: SegmentHeader, file: &str, bytes: u64, limit: Option<Lsn>) -> Want {
        self.so_far.prove(header.start_lsn.max(limit.unwrap_or_default()));
        if self.so_far.lsn < header.start_lsn {
            // A segment before this one is missing.
            let (from, to) = (self.so_far.lsn, header.start_lsn);
            self.so_far.wait_for_name(Gap { file: file.to_owned(), file_offset: 0, from, to, salvaged: Vec::new() });
        }
        self.so_far.lsn = header.start_lsn.max(self.from);
        self.run(Box::new(Walk::new(header, file, bytes, limit, self.slice_bytes)))
    }

    /// Goes on with the bytes that were wanted, or some of them; with none where the file ends.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Want {
        let mut walk = self.walk.take().expect("bytes are given only while the replay wants some of a segment");
        walk.take(bytes);
        self.run(walk)
    }

    fn run(&mut self, mut walk: Box<Walk>) -> Want {
        let want = walk.run(&mut self.so_far);
        if matches!(want, Want::Bytes { .. }) {
            self.walk = Some(walk);
        }
        want
    }

    /// A segment whose header cannot be read: whatever it held is lost.
    pub(crate) fn unreadable(&mut self, file: &str) {
        self.so_far.lose(file, 0, self.so_far.lsn, self.so_far.lsn);
    }

    /// Bytes of memory that what was replayed so far takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.so_far.view.memory_bytes() + self.so_far.waiting_bytes()
    }

    /// What the log holds, once the last segment has been fed.
    pub(crate) fn finish(mut self) -> Tail {
        self.so_far.hear_no_more();
        if self.so_far.proven > self.so_far.lsn {
            let proven = self.so_far.proven;
            self.so_far.lose("", 0, self.so_far.lsn, proven);
        }
        let proven = self.so_far.proven;
        let mut view = self.so_far.view;
        view.set_damage(self.so_far.damage);
        Tail {
            view,
            proven,
            records: self.so_far.unproven.into_iter().flat_map(|batch| batch.records).collect(),
            before: self.so_far.last_proven,
            merge: self.so_far.merge.ending_at(proven),
            damage: self.so_far.first_damage,
            metadata: self.so_far.metadata,
        }
    }
}
