//! What a replay has come to so far: the state that a walk through the segments and the settling of damage work on, and
//! what is proven of it.
//!
//! Invariants: everything up to `lsn` is in the view or known to be lost; a batch is kept for good once it is proven, and
//! batches are proven in their order.

use std::collections::VecDeque;

use docdb_protocol::{DatabaseId, Error};

use super::batch_header::BatchHeader;
use super::gap::Gap;
use super::merge::{Merge, Read};
use super::{Lsn, Payload, Record, RecordKind, Repetition};
use crate::view::{Content, Damage, Key, Version, View};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Replayed {
    pub(super) database: DatabaseId,
    pub(super) view: View,
    /// Where the next batch is expected.
    pub(super) lsn: Lsn,
    /// Below this the log is proven to have been durable.
    pub(super) proven: Lsn,
    /// The newest batch with operations that is wholly proven.
    pub(super) last_proven: Option<Repetition>,
    /// Batches that can be read and are not proven.
    pub(super) unproven: VecDeque<Read>,
    /// The last batches that are proven.
    pub(super) merge: Merge,
    /// Missing parts that wait for a header that says what they held.
    pub(super) gaps: Vec<Gap>,
    pub(super) damage: Damage,
    pub(super) first_damage: Option<Error>,
}

impl Replayed {
    /// Nothing yet. `end` is what the catalog stored at the last closing, or zero.
    pub(super) fn new(database: DatabaseId, end: Lsn, merge_bytes_max: u64, map_fanout: usize) -> Replayed {
        Replayed {
            database,
            view: View::empty(map_fanout),
            lsn: Lsn(0),
            proven: end,
            last_proven: None,
            unproven: VecDeque::new(),
            merge: Merge::new(merge_bytes_max),
            gaps: Vec::new(),
            damage: Damage::default(),
            first_damage: None,
        }
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
fn apply(view: &mut View, record: &Record) {
    let key = Key::new(record.collection, &record.document);
    match (record.kind, &record.payload) {
        (RecordKind::Create | RecordKind::Update, Payload::Document(document)) => {
            view.put(key, Version { tx: record.tx, content: Content::Live(document.clone()) });
        }
        (RecordKind::Delete, _) => view.delete(&key),
        (RecordKind::CreateCollection, Payload::Name(name)) => view.add_collection(name.clone(), record.collection),
        (RecordKind::Commit, _) => {}
        // Decoding gives each kind its own payload; other pairs do not occur.
        (RecordKind::Create | RecordKind::Update | RecordKind::CreateCollection, _) => {}
    }
    view.set_last_tx(view.last_tx().max(record.tx));
}
