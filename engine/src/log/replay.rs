//! Reading a log back: from the bytes of its segments to a state, and to where it ends.
//!
//! The one hard question is what a bad record means. If anything proves that the log was durable
//! beyond it (a later batch's watermark, a later segment's start, the end stored at closing), then
//! acknowledged data is damaged, and this says exactly what is lost. If nothing does, it is a torn
//! tail that was never acknowledged, and the log ends there.
//!
//! `walk` goes through the bytes of one segment, `damage` finds out what a missing part held. Here is the state that both
//! work on, and what is proven.
//!
//! Nothing here reads a file, and no bytes make it panic.

use std::collections::VecDeque;

use docdb_protocol::{DatabaseId, Error, TxId};

use super::batch::BatchHeader;
use super::damage::Gap;
use super::merge::{Merge, Read};
use super::walk::{Walk, Want};
use super::{Lsn, Payload, Record, RecordKind, Repetition, SegmentHeader, Tail};
use crate::disk::SECTOR_BYTES;
use crate::options::Options;
use crate::planted::planted;
use crate::view::{Content, Damage, Key, Version, View};

/// A replay in progress. Feed the segments in the order of their epochs, then [`Replay::finish`].
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub(super) database: DatabaseId,
    pub(super) view: View,
    /// Where the next batch is expected.
    pub(super) lsn: Lsn,
    /// Below this the log is proven to have been durable.
    proven: Lsn,
    /// The newest batch with operations that is wholly proven.
    pub(super) last_proven: Option<Repetition>,
    /// Batches that can be read and are not proven.
    unproven: VecDeque<Read>,
    /// The last of those that are.
    merge: Merge,
    /// The missing parts of which it is not known yet what they held.
    pub(super) gaps: Vec<Gap>,
    pub(super) damage: Damage,
    pub(super) first_damage: Option<Error>,
    slice_bytes: u32,
    /// The segment at hand.
    walk: Option<Box<Walk>>,
}

impl Replay {
    /// `end` is what the catalog stored at the last closing, or zero; `slice_bytes` is how much is read, and worked
    /// on, at a time.
    pub(crate) fn new(database: DatabaseId, end: Lsn, merge_bytes_max: u64, slice_bytes: u32) -> Replay {
        Replay {
            database,
            view: View::empty(Options::default().map_fanout),
            lsn: Lsn(0),
            proven: if planted!(StoredEndIgnored) { Lsn(0) } else { end },
            last_proven: None,
            unproven: VecDeque::new(),
            merge: Merge::new(merge_bytes_max),
            gaps: Vec::new(),
            damage: Damage::default(),
            first_damage: None,
            slice_bytes,
            walk: None,
        }
    }

    /// Replays into a map of this fan-out. Called before the first segment.
    pub(crate) fn with_fanout(mut self, map_fanout: usize) -> Replay {
        self.view = View::empty(map_fanout);
        self
    }

    /// Begins with one segment. `file` names it in errors; `bytes` is its length behind its header; `limit` is the
    /// smallest start of any later segment.
    pub(crate) fn begin(&mut self, header: SegmentHeader, file: &str, bytes: u64, limit: Option<Lsn>) -> Want {
        self.prove(header.start_lsn.max(limit.unwrap_or_default()));
        if self.lsn < header.start_lsn {
            // A segment before this one is missing.
            let (from, to) = (self.lsn, header.start_lsn);
            self.wait_for_name(Gap { file: file.to_owned(), file_offset: 0, from, to, salvaged: Vec::new() });
        }
        self.lsn = header.start_lsn;
        self.run(Box::new(Walk::new(header, file, bytes, limit, self.slice_bytes)))
    }

    /// Goes on with the bytes that were wanted, or some of them; with none where the file ends.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Want {
        let Some(mut walk) = self.walk.take() else { return Want::Nothing };
        walk.take(bytes);
        self.run(walk)
    }

    fn run(&mut self, mut walk: Box<Walk>) -> Want {
        let want = walk.run(self);
        if matches!(want, Want::Bytes { .. }) {
            self.walk = Some(walk);
        }
        want
    }

    /// A segment whose header cannot be read: whatever it held is lost.
    pub(crate) fn unreadable(&mut self, file: &str) {
        self.lose(file, 0, self.lsn, self.lsn);
    }

    /// What all that was replayed takes up in memory so far.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.view.memory_bytes() + self.waiting_bytes()
    }

    /// What the log holds, once the last segment has been fed.
    pub(crate) fn finish(mut self) -> Tail {
        self.hear_no_more();
        if self.proven > self.lsn {
            let proven = self.proven;
            self.lose("", 0, self.lsn, proven);
        }
        let mut proven = self.proven;
        if planted!(TailNotRewritten) {
            proven = self.lsn;
            self.unproven.clear();
        }
        if planted!(ResumeBehindBadRecord) && !self.unproven.is_empty() {
            proven = Lsn(self.lsn.0.saturating_add(SECTOR_BYTES as u64));
            self.unproven.clear();
        }
        let mut view = self.view;
        view.set_damage(self.damage);
        if planted!(LastTxNotRestored) {
            view.set_last_tx(TxId(0));
        }
        Tail {
            view,
            proven,
            records: self.unproven.into_iter().flat_map(|batch| batch.records).collect(),
            before: self.last_proven,
            merge: self.merge.ending_at(proven),
            damage: self.first_damage,
        }
    }

    pub(super) fn proven(&self) -> Lsn {
        self.proven
    }

    pub(super) fn prove(&mut self, watermark: Lsn) {
        self.proven = self.proven.max(watermark);
        while let Some(batch) = self.unproven.pop_front_if(|batch| batch.lsn < self.proven) {
            self.keep(batch);
        }
    }

    /// A whole batch stands here; the state has its records.
    pub(super) fn batch(&mut self, segment: Lsn, header: BatchHeader, records: Vec<Record>) {
        self.prove(header.watermark);
        let (bytes, before) = (header.bytes(), header.before);
        self.accept(Read { segment, lsn: self.lsn, bytes, before, records });
        self.lsn = Lsn(self.lsn.0 + bytes);
    }

    /// The log ends here, in a batch that begins with these records; the state has them.
    pub(super) fn torn(&mut self, segment: Lsn, records: Vec<Record>) {
        self.accept(Read { segment, lsn: self.lsn, bytes: 0, before: None, records });
    }

    /// Remembers a batch until it is proven.
    fn accept(&mut self, batch: Read) {
        if batch.lsn < self.proven { self.keep(batch) } else { self.unproven.push_back(batch) }
    }

    fn keep(&mut self, batch: Read) {
        if !batch.records.is_empty() {
            self.last_proven = Some(Repetition::of(batch.lsn, &batch.records));
        }
        self.merge.add(batch);
    }

    /// Carries one record into the state.
    pub(super) fn apply(&mut self, record: &Record) {
        apply(&mut self.view, record);
    }
}

/// Carries one record into a state.
pub(crate) fn apply(view: &mut View, record: &Record) {
    let key = Key { collection: record.collection, document: record.document };
    match (record.kind, &record.payload) {
        (RecordKind::Create | RecordKind::Update, Payload::Document(document)) => {
            view.put(key, Version { tx: record.tx, content: Content::Live(document.clone()) });
        }
        (RecordKind::Delete, _) if planted!(DeleteNotReplayed) => {}
        (RecordKind::Delete, _) => view.delete(key),
        (RecordKind::CreateCollection, _) if planted!(CollectionNotReplayed) => {}
        (RecordKind::CreateCollection, Payload::Name(name)) => view.add_collection(name.clone(), record.collection),
        (RecordKind::Commit, _) => {}
        // Decoding gives each kind its own payload; other pairs do not occur.
        (RecordKind::Create | RecordKind::Update | RecordKind::CreateCollection, _) => {}
    }
    view.set_last_tx(view.last_tx().max(record.tx));
}
