//! Reading a log back: from the bytes of its segments to a state, and to where it ends.
//!
//! The one hard question is what a bad record means. If anything proves that the log was durable
//! beyond it (a later batch's watermark, a later segment's start, the end stored at closing), then
//! acknowledged data is damaged, and this says exactly what is lost. If nothing does, it is a torn
//! tail that was never acknowledged, and the log ends there.
//!
//! Nothing here reads a file, and no bytes make it panic.

use std::collections::VecDeque;

use docdb_protocol::{DatabaseId, Error, ErrorCode, TxId};

use super::batch::{BatchHeader, Repeated, Repetition};
use super::merge::{Merge, Read};
use super::record::{Place, Record};
use super::{BatchPlace, Encoded, Lsn, Payload, RecordKind, SEGMENT_HEADER_BYTES, SegmentHeader, encode};
use crate::disk::SECTOR_BYTES;
use crate::options::Options;
use crate::planted::planted;
use crate::view::{Content, Damage, Key, Version, View};

/// A replay in progress. Feed the segments in the order of their epochs, then [`Replay::finish`].
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    database: DatabaseId,
    view: View,
    /// Where the next batch is expected.
    lsn: Lsn,
    /// Below this the log is proven to have been durable.
    proven: Lsn,
    /// The newest batch with operations that is wholly proven.
    last_proven: Option<Repetition>,
    /// Batches that can be read and are not proven.
    unproven: VecDeque<Read>,
    /// The last of those that are.
    merge: Merge,
    damage: Damage,
    first_damage: Option<Error>,
}

/// What a place without a whole batch turned out to be.
enum Gap {
    /// Nothing proves that anything was durable here: the log ends.
    Torn,
    /// Damage, with more of the log behind it in this segment.
    Passed,
    /// Damage up to the end of this segment, or of all that was proven.
    Ended,
}

/// The batches behind a gap. They are looked for once a segment, however many gaps it has.
#[derive(Debug, Default)]
struct Later {
    /// Offset, header, and the largest watermark of this and all that follow; by offset.
    found: Option<Vec<(usize, BatchHeader, Lsn)>>,
}

impl Later {
    /// The first batch behind `offset` and below `limit`, and the largest watermark of all there.
    fn behind(
        &mut self,
        database: DatabaseId,
        header: SegmentHeader,
        bytes: &[u8],
        offset: usize,
        limit: Option<Lsn>,
    ) -> (Option<(usize, BatchHeader)>, Lsn) {
        let found = self.found.get_or_insert_with(|| {
            let lsn_at = |offset: usize| Lsn(header.start_lsn.0 + offset as u64);
            let batch_at = |offset: usize| {
                BatchHeader::decode(database, header.epoch, header.start_lsn, lsn_at(offset), bytes.get(offset..)?)
            };
            let mut found: Vec<_> = (offset..bytes.len())
                .step_by(SECTOR_BYTES)
                .take_while(|offset| limit.is_none_or(|limit| lsn_at(*offset) < limit))
                .filter_map(|offset| batch_at(offset).map(|batch| (offset, batch, Lsn(0))))
                .collect();
            let mut largest = Lsn(0);
            for (_, batch, watermark) in found.iter_mut().rev() {
                largest = largest.max(batch.watermark);
                *watermark = largest;
            }
            found
        });
        let first = found.partition_point(|(at, _, _)| *at <= offset);
        match found.get(first) {
            Some((at, batch, watermark)) => (Some((*at, batch.clone())), *watermark),
            None => (None, Lsn(0)),
        }
    }
}

/// What a replay found.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// Everything that can be read, the unproven included.
    pub(crate) view: View,
    /// All below is durable.
    pub(crate) proven: Lsn,
    /// What has to be written again from `proven` on, as one batch.
    pub(crate) records: Vec<Record>,
    /// What that batch repeats.
    pub(crate) before: Option<Repetition>,
    /// Proven batches, up to `proven`, that the new segment takes over.
    pub(crate) merge: Merge,
    /// Set when acknowledged data is missing: the database opens read-only.
    pub(crate) damage: Option<Error>,
}

impl Tail {
    /// Where the new segment begins: all below is durable and stays where it is.
    pub(crate) fn start_lsn(&self) -> Lsn {
        self.merge.start().unwrap_or(self.proven)
    }

    /// What the new segment begins with, if anything.
    pub(crate) fn encode(&self, database: DatabaseId, epoch: u64) -> Option<Encoded> {
        let mut encoded = self.merge.encode(database, epoch);
        if !self.records.is_empty() {
            let (start_lsn, lsn) = (self.start_lsn(), self.proven);
            let place = BatchPlace { database, epoch, start_lsn, lsn, watermark: lsn };
            encoded.append(encode(place, self.before.as_ref(), &self.records));
        }
        (encoded.bytes > 0).then_some(encoded)
    }

    /// What the first batch behind all that repeats.
    pub(crate) fn last(&self) -> Option<Repetition> {
        if self.records.is_empty() { self.before.clone() } else { Some(Repetition::of(self.proven, &self.records)) }
    }
}

impl Replay {
    /// `end` is what the catalog stored at the last closing, or zero.
    pub(crate) fn new(database: DatabaseId, end: Lsn, merge_bytes_max: u64) -> Replay {
        Replay {
            database,
            view: View::empty(Options::default().map_fanout),
            lsn: Lsn(0),
            proven: if planted!(StoredEndIgnored) { Lsn(0) } else { end },
            last_proven: None,
            unproven: VecDeque::new(),
            merge: Merge::new(merge_bytes_max),
            damage: Damage::default(),
            first_damage: None,
        }
    }

    /// Replays into a map of this fan-out. Called before the first segment.
    pub(crate) fn with_fanout(mut self, map_fanout: usize) -> Replay {
        self.view = View::empty(map_fanout);
        self
    }

    /// Replays one segment. `file` names it in errors; `bytes` are those behind its header; `limit` is
    /// the smallest start of any later segment.
    pub(crate) fn segment(&mut self, header: SegmentHeader, file: &str, bytes: &[u8], limit: Option<Lsn>) {
        self.prove(header.start_lsn.max(limit.unwrap_or_default()));
        if self.lsn < header.start_lsn {
            // A segment before this one is missing or ends early.
            self.lose(file, 0, self.lsn, header.start_lsn);
        }
        self.lsn = header.start_lsn;
        let mut later = Later::default();
        while limit.is_none_or(|limit| self.lsn < limit) {
            let offset = usize::try_from(self.lsn.0 - header.start_lsn.0).unwrap_or(usize::MAX);
            let found = bytes.get(offset..).and_then(|rest| self.read_batch(header, rest));
            match found {
                Some((batch, records, true)) => {
                    self.prove(batch.watermark);
                    let (bytes, before) = (batch.bytes(), batch.before);
                    self.accept(Read { segment: header.start_lsn, lsn: self.lsn, bytes, before, records });
                    self.lsn = Lsn(self.lsn.0 + bytes);
                }
                torn => match self.pass_gap(header, file, bytes, offset, limit, &mut later) {
                    Gap::Passed => {}
                    Gap::Ended => break,
                    Gap::Torn => {
                        // Its first transactions may be whole, and may be kept.
                        let records = torn.map_or_else(Vec::new, |(_, records, _)| records);
                        self.accept(Read { segment: header.start_lsn, lsn: self.lsn, bytes: 0, before: None, records });
                        break;
                    }
                },
            }
        }
    }

    /// A segment whose header cannot be read: whatever it held is lost.
    pub(crate) fn unreadable(&mut self, file: &str) {
        self.lose(file, 0, self.lsn, self.lsn);
    }

    /// What the log holds, once the last segment has been fed.
    pub(crate) fn finish(mut self) -> Tail {
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

    /// The batch at the front of `bytes`: its header, the records of its whole transactions, and
    /// whether that is all of it. `None` without a valid header.
    fn read_batch(&self, header: SegmentHeader, bytes: &[u8]) -> Option<(BatchHeader, Vec<Record>, bool)> {
        let batch = BatchHeader::decode(self.database, header.epoch, header.start_lsn, self.lsn, bytes)?;
        let mut records = Vec::new();
        let mut whole_transactions = 0;
        let mut at = batch.header_bytes;
        for _ in 0..batch.records {
            let place = self.place(header, at as u64);
            let Some(record) = bytes.get(at..).and_then(|rest| Record::decode(place, rest)) else { break };
            at += record.bytes();
            let is_commit = record.kind == RecordKind::Commit;
            let operations = record.document.0;
            records.push(record);
            if is_commit && operations == (records.len() - whole_transactions - 1) as u64 {
                whole_transactions = records.len();
            }
        }
        let whole = at == batch.header_bytes + batch.body_bytes || planted!(TornBatchIsWhole);
        if !planted!(ReplayWithoutCommit) {
            records.truncate(whole_transactions);
        }
        Some((batch, records, whole))
    }

    fn place(&self, header: SegmentHeader, offset: u64) -> Place {
        Place { database: self.database, epoch: header.epoch, lsn: Lsn(self.lsn.0 + offset) }
    }

    fn prove(&mut self, watermark: Lsn) {
        self.proven = self.proven.max(watermark);
        while let Some(batch) = self.unproven.pop_front_if(|batch| batch.lsn < self.proven) {
            self.keep(batch);
        }
    }

    /// Applies a batch and remembers it until it is proven.
    fn accept(&mut self, batch: Read) {
        for record in &batch.records {
            apply(&mut self.view, record);
        }
        if batch.lsn < self.proven { self.keep(batch) } else { self.unproven.push_back(batch) }
    }

    fn keep(&mut self, batch: Read) {
        if !batch.records.is_empty() {
            self.last_proven = Some(Repetition::of(batch.lsn, &batch.records));
        }
        self.merge.add(batch);
    }

    /// There is no whole batch at `self.lsn`: decides between damage and torn tail, and passes damage.
    fn pass_gap(
        &mut self,
        header: SegmentHeader,
        file: &str,
        bytes: &[u8],
        offset: usize,
        limit: Option<Lsn>,
        later: &mut Later,
    ) -> Gap {
        let lsn_at = |offset: usize| Lsn(header.start_lsn.0 + offset as u64);
        let (next, watermark) = later.behind(self.database, header, bytes, offset, limit);
        let proven = self.proven.max(watermark);
        if proven <= self.lsn && !planted!(TornTailIsDamage) {
            return Gap::Torn;
        }
        self.prove(proven);
        let (from, file_offset) = (self.lsn, SEGMENT_HEADER_BYTES as u64 + offset as u64);
        let to = next.as_ref().map_or(limit.unwrap_or(proven), |(offset, _)| lsn_at(*offset));
        let end = usize::try_from(to.0 - header.start_lsn.0).unwrap_or(usize::MAX).min(bytes.len());
        let salvaged = self.salvage(header, bytes.get(offset..end).unwrap_or_default());
        self.note_damage(file, file_offset, from);
        match next.as_ref().and_then(|(_, batch)| batch.before.as_ref()) {
            Some(before) if before.lsn == from => {
                self.restore_named(&before.operations, &salvaged, file, file_offset);
                self.last_proven = Some(before.clone());
            }
            // The batch before the next one was read whole, so what is missing held no operations.
            Some(before) if before.lsn < from => {}
            Some(_) | None => {
                for record in &salvaged {
                    apply(&mut self.view, record);
                }
                self.lose(file, file_offset, from, to);
            }
        }
        self.lsn = to;
        if next.is_some() { Gap::Passed } else { Gap::Ended }
    }

    /// The records that are whole within a gap. Each says where it stands, so it is known by itself.
    fn salvage(&self, header: SegmentHeader, gap: &[u8]) -> Vec<Record> {
        let mut salvaged = Vec::new();
        let mut at = 0;
        while at < gap.len() {
            match Record::decode(self.place(header, at as u64), &gap[at..]) {
                Some(record) => {
                    at += record.bytes();
                    salvaged.push(record);
                }
                None => at += 1,
            }
        }
        salvaged
    }

    /// Restores a damaged batch whose operations are named: what is whole is applied, what is not
    /// leaves its document marked.
    fn restore_named(&mut self, operations: &[Repeated], salvaged: &[Record], file: &str, offset: u64) {
        for operation in operations {
            let key = Key { collection: operation.collection, document: operation.document };
            let whole = salvaged.iter().find(|record| {
                (record.kind, record.tx, record.collection, record.document)
                    == (operation.kind, operation.tx, operation.collection, operation.document)
                    && record.payload.crc32() == operation.payload_crc32
            });
            match (whole, operation.kind) {
                (Some(record), _) => apply(&mut self.view, record),
                (None, _) if planted!(NamedDamageKeepsOld) => {}
                (None, RecordKind::Delete) => self.view.delete(key),
                (None, RecordKind::Create | RecordKind::Update) => {
                    self.view.put(key, Version { tx: operation.tx, content: Content::Damaged });
                }
                (None, RecordKind::CreateCollection | RecordKind::Commit) => {
                    self.lose(file, offset, self.lsn, self.lsn);
                }
            }
            self.view.set_last_tx(self.view.last_tx().max(operation.tx));
        }
    }

    /// A part of the log is lost and nothing names what it held.
    fn lose(&mut self, file: &str, offset: u64, from: Lsn, to: Lsn) {
        self.note_damage(file, offset, from);
        let detail = format!("log bytes {} to {} are lost", from.0, to.0);
        self.damage.parts.push(Error::new(ErrorCode::CorruptRecord).file(file).offset(offset).detail(detail));
        // Whatever stands so far may have been replaced in the lost part, whose transactions have
        // larger numbers than any seen, and smaller ones than any that follow.
        if !planted!(LostPartKeepsOld) {
            self.damage.uncertain_below = TxId(self.view.last_tx().0 + 1);
        }
    }

    fn note_damage(&mut self, file: &str, offset: u64, from: Lsn) {
        let detail = format!("acknowledged data is damaged from log byte {} on", from.0);
        let error = Error::new(ErrorCode::CorruptRecord).file(file).offset(offset).detail(detail);
        self.first_damage.get_or_insert(error);
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
