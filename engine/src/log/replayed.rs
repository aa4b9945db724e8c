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
use crate::buffer::Buffer;
use crate::metadata::{DecodedMetadata, Metadata};
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
    /// Of the metadata in the log's records that of the highest generation.
    pub(super) metadata: Option<Box<Metadata>>,
}

impl Replayed {
    /// `view` is the state at `from`, with what is lost of it; `end` is what the catalog stored at the last closing, or zero.
    pub(super) fn new(database: DatabaseId, view: View, from: Lsn, end: Lsn, merge_bytes_max: u64) -> Replayed {
        let first_damage = view.lost().next().cloned();
        Replayed {
            database,
            view,
            lsn: from,
            // A snapshot is taken of what is durable.
            proven: end.max(from),
            last_proven: None,
            unproven: VecDeque::new(),
            merge: Merge::new(merge_bytes_max),
            gaps: Vec::new(),
            damage: Damage::default(),
            first_damage,
            metadata: None,
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
        if batch.records.iter().any(|record| record.kind.is_operation()) {
            self.last_proven = Some(Repetition::of(batch.lsn, &batch.records));
        }
        self.merge.add(batch);
    }

    /// Carries one record into the state.
    pub(super) fn apply(&mut self, record: &Record) {
        match &record.payload {
            Payload::Metadata(body) => self.checkpoint(body),
            Payload::None | Payload::Document(_) | Payload::Name(_) => apply(&mut self.view, record),
        }
    }

    /// A copy of the metadata stands here. What another version wrote in it is none that can be used.
    fn checkpoint(&mut self, body: &Buffer) {
        match Metadata::decode(self.database, body.as_slice()) {
            DecodedMetadata::Whole { metadata, .. } => {
                let is_newer = self.metadata.as_ref().is_none_or(|known| known.generation < metadata.generation);
                if is_newer {
                    self.metadata = Some(metadata);
                }
            }
            DecodedMetadata::Newer | DecodedMetadata::Older { .. } | DecodedMetadata::Damaged => {}
        }
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
        (RecordKind::Commit | RecordKind::Checkpoint, _) => {}
        // Decoding gives each kind its own payload; other pairs do not occur.
        (RecordKind::Create | RecordKind::Update | RecordKind::CreateCollection, _) => {}
    }
    view.set_last_tx(view.last_tx().max(record.tx));
}
