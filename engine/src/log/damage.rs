//! Parts of a log that are missing, until it is known what they held.
//!
//! The batch behind a missing part repeats the operations of the batch before it. So a missing part waits for the next header
//! that can be read, in this segment or in a later one. That header says where the batch stood whose operations it repeats:
//!
//! | that batch stood | of the missing part |
//! |---|---|
//! | before it | nothing is lost: it held no operations |
//! | in it | what is before that batch has no name; of the batch, each operation is restored or marked |
//! | behind it, or nowhere | nothing has a name |
//!
//! Where a part is lost without names, any older document may have been replaced in it, and the view answers none of them.

use std::collections::BTreeMap;

use docdb_protocol::{CollectionId, DocumentId, Error, ErrorCode, TxId};

use super::gap::Gap;
use super::record::Record;
use super::replayed::Replayed;
use super::{Lsn, RecordKind, Repeated, Repetition};
use crate::view::{Content, Key, Version};

/// Parts that wait at a time, each with what was salvaged of at most one segment. More than one waits only where
/// damage goes on from the end of one segment to the beginning of the next.
const GAPS_MAX: usize = 2;

/// What a salvaged record and a repetition have in common when they are of one operation.
type Known = (TxId, CollectionId, DocumentId, RecordKind, u32);

impl Replayed {
    /// A part is missing. It waits for a batch behind it that repeats what it held.
    pub(super) fn wait_for_name(&mut self, gap: Gap) {
        self.note_damage(&gap.file, gap.file_offset, gap.from);
        if self.gaps.len() >= GAPS_MAX {
            let oldest = self.gaps.remove(0);
            self.lose_gap(&oldest, oldest.to);
        }
        self.gaps.push(gap);
    }

    /// Bytes of what was salvaged and waits.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.gaps.iter().map(Gap::salvaged_bytes).sum()
    }

    /// A batch was found that repeats `before`: settles the missing parts that end behind the place where that batch stood.
    pub(super) fn hear(&mut self, before: &Repetition) {
        let first = self.gaps.iter().position(|gap| before.lsn < gap.to).unwrap_or(self.gaps.len());
        let settled: Vec<Gap> = self.gaps.drain(first..).collect();
        // What the parts before these held, no header repeats any more.
        if !settled.is_empty() {
            self.hear_no_more();
        }
        for gap in settled {
            if before.lsn < gap.from {
                continue;
            }
            if before.lsn > gap.from {
                self.lose_gap(&gap, before.lsn);
            }
            self.restore(&gap, before);
            self.last_proven = Some(before.clone());
        }
    }

    /// No header will repeat what the missing parts held.
    pub(super) fn hear_no_more(&mut self) {
        for gap in std::mem::take(&mut self.gaps) {
            self.lose_gap(&gap, gap.to);
        }
    }

    /// Restores a damaged batch whose operations are named: what is whole is applied, what is not leaves its document
    /// marked.
    fn restore(&mut self, gap: &Gap, named: &Repetition) {
        let whole = gap.salvaged.iter().filter(|(lsn, _)| *lsn >= named.lsn);
        let whole: BTreeMap<Known, &Record> = whole.map(|(_, record)| (known(record), record)).collect();
        for operation in &named.operations {
            let Repeated { kind, collection, tx, payload_crc32, .. } = *operation;
            let key = Key::new(collection, &operation.document);
            match (whole.get(&(tx, collection, operation.document.clone(), kind, payload_crc32)), kind) {
                (Some(record), _) => self.apply(record),
                (None, RecordKind::Delete) => self.view.delete(&key),
                (None, RecordKind::Create | RecordKind::Update) => {
                    self.view.put(key, Version { tx, content: Content::Damaged });
                }
                (None, RecordKind::CreateCollection) => {
                    if let Some(name) = &operation.name {
                        self.view.add_collection(name.clone(), collection);
                    }
                }
                // Neither is repeated.
                (None, RecordKind::Commit | RecordKind::Checkpoint) => {}
            }
            self.view.set_last_tx(self.view.last_tx().max(tx));
        }
    }

    /// Nothing names what stood in the gap below `to`.
    fn lose_gap(&mut self, gap: &Gap, to: Lsn) {
        for (_, record) in gap.salvaged.iter().filter(|(lsn, _)| *lsn < to) {
            self.apply(record);
        }
        self.lose(&gap.file, gap.file_offset, gap.from, to);
    }

    /// A part of the log is lost and nothing names what it held.
    pub(super) fn lose(&mut self, file: &str, offset: u64, from: Lsn, to: Lsn) {
        self.note_damage(file, offset, from);
        let detail = format!("log bytes {} to {} are lost", from.0, to.0);
        self.damage.parts.push(Error::new(ErrorCode::CorruptRecord).file(file).offset(offset).detail(detail));
        // Whatever stands so far may have been replaced in the lost part, whose transactions have
        // larger numbers than any seen, and smaller ones than any that follow.
        self.damage.uncertain_below = TxId(self.view.last_tx().0 + 1);
    }

    fn note_damage(&mut self, file: &str, offset: u64, from: Lsn) {
        let detail = format!("acknowledged data is damaged from log byte {} on", from.0);
        let error = Error::new(ErrorCode::CorruptRecord).file(file).offset(offset).detail(detail);
        self.first_damage.get_or_insert(error);
    }
}

fn known(record: &Record) -> Known {
    (record.tx, record.collection, record.document.clone(), record.kind, record.payload.crc32())
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{CollectionName, DatabaseId, Document};

    use super::super::Payload;
    use super::super::tests::{FILE, MERGE_BYTES_MAX, Writer, create, header, new_replay, read};
    use super::super::{Replay, SegmentHeader, Tail, Want};
    use super::*;
    use crate::view::View;

    /// Segments of three batches each, one document a batch, numbered from 1; each goes on where the one before ended.
    fn segments(count: u64) -> Vec<Writer> {
        let mut all: Vec<Writer> = Vec::new();
        let mut start = 0;
        for number in 0..count {
            let mut writer = Writer::new(header(number + 1, start));
            writer.before = all.last().and_then(|last| last.before.clone());
            (1..=3).for_each(|batch| writer.batch(&create(3 * number + batch, 3 * number + batch, "7")));
            start += writer.bytes.len() as u64;
            all.push(writer);
        }
        all
    }

    fn replayed(all: &[Writer]) -> Tail {
        let mut replay = new_replay(0, MERGE_BYTES_MAX);
        let mut start = 0;
        for (number, writer) in all.iter().enumerate() {
            let epoch = number as u64 + 1;
            let end = start + writer.bytes.len() as u64;
            let limit = (number + 1 < all.len()).then_some(Lsn(end));
            replay.segment(header(epoch, start), FILE, &writer.bytes, limit);
            start = end;
        }
        replay.finish()
    }

    /// Of the documents up to `last`, those that do not answer what was stored.
    fn lost(tail: &Tail, last: u64) -> Vec<u64> {
        (1..=last).filter(|id| read(&tail.view, *id) != Ok(Some("7".to_owned()))).collect()
    }

    /// A byte of the document in a batch that holds one and repeats one.
    const PAYLOAD: usize = 72 + 32 + 64;

    #[test]
    fn the_next_segment_names_what_is_damaged_at_the_end_of_one() {
        for at in (0..512).step_by(3) {
            let mut all = segments(2);
            let last = all[0].starts[2];
            all[0].bytes[last + at] ^= 1;
            let tail = replayed(&all);
            assert!(tail.view.damage().is_empty(), "byte {at}: all that is lost has a name");
            assert!(lost(&tail, 6).iter().all(|id| *id == 3), "byte {at}: {:?}", lost(&tail, 6));
        }
        let mut all = segments(2);
        let last = all[0].starts[2];
        all[0].bytes[last + PAYLOAD] ^= 1;
        let tail = replayed(&all);
        assert_eq!(lost(&tail, 6), [3]);
        assert_eq!(read(&tail.view, 3), Err(ErrorCode::CorruptRecord));
        assert_eq!(read(&tail.view, 100), Ok(None), "nothing else is withheld");
    }

    #[test]
    fn damage_at_the_ends_of_segments_in_a_row_is_named_each() {
        let mut all = segments(4);
        for writer in &mut all[..3] {
            let last = writer.starts[2];
            writer.bytes[last + PAYLOAD] ^= 1;
        }
        let tail = replayed(&all);
        assert!(tail.view.damage().is_empty());
        assert_eq!(lost(&tail, 12), [3, 6, 9]);
    }

    /// The header that would have named the one is damaged too, and the other is named by the batch behind it.
    #[test]
    fn of_damage_across_two_segments_the_second_part_has_a_name() {
        let mut all = segments(2);
        let last = all[0].starts[2];
        all[0].bytes[last + PAYLOAD] ^= 1;
        all[1].bytes[10] ^= 1;
        let tail = replayed(&all);
        assert_eq!(tail.view.damage().len(), 1, "the last batch of the first segment has no name");
        assert_eq!(lost(&tail, 6), [1, 2, 3], "and may have replaced what is older");
        // A first batch that is damaged behind its header names what is before it all the same.
        let mut all = segments(2);
        all[0].bytes[last + PAYLOAD] ^= 1;
        all[1].bytes[PAYLOAD] ^= 1;
        let tail = replayed(&all);
        assert!(tail.view.damage().is_empty());
        assert_eq!(lost(&tail, 6), [3, 4]);
    }

    /// The proof stands where the next segment begins, which nothing was written to.
    #[test]
    fn a_proof_beyond_the_start_of_an_empty_segment_names_the_batch_before_it() {
        let mut writer = Writer::new(header(1, 0));
        (1..=3).for_each(|number| writer.batch(&create(number, number, "7")));
        let end = writer.bytes.len() as u64;
        writer.batch(&[]);
        let last = writer.starts[2];
        writer.bytes[last + PAYLOAD] ^= 1;
        let mut replay = new_replay(end, MERGE_BYTES_MAX);
        replay.segment(header(1, 0), FILE, &writer.bytes, Some(Lsn(end)));
        replay.segment(header(2, end), FILE, &[0; 4096], None);
        let tail = replay.finish();
        assert!(tail.damage.is_some() && tail.view.damage().is_empty());
        assert_eq!(lost(&tail, 3), [3]);
    }

    /// Of a missing segment with one batch that batch is named, of one with more the last.
    #[test]
    fn a_missing_segment_is_named_where_it_held_one_batch() {
        let mut first = Writer::new(header(1, 0));
        first.batch(&create(1, 1, "7"));
        let start = first.bytes.len() as u64;
        let mut gone = Writer::new(header(2, start));
        gone.before = first.before.clone();
        gone.batch(&create(2, 2, "7"));
        let end = start + gone.bytes.len() as u64;
        let mut third = Writer::new(header(3, end));
        third.before = gone.before.clone();
        third.batch(&create(3, 3, "7"));
        let mut replay = new_replay(0, MERGE_BYTES_MAX);
        replay.segment(header(1, 0), FILE, &first.bytes, Some(Lsn(end)));
        let with_gap = replay.clone();
        replay.segment(header(3, end), FILE, &third.bytes, None);
        let tail = replay.finish();
        assert!(tail.damage.is_some() && tail.view.damage().is_empty());
        assert_eq!(lost(&tail, 3), [2]);
        assert_eq!(with_gap.finish().view.damage().len(), 1, "when nothing follows, nothing names it");
    }

    /// What nobody names is lost in its order, however many parts wait.
    #[test]
    fn parts_that_nothing_names_withhold_what_is_older_and_do_not_gather() {
        let mut all = segments(6);
        for writer in &mut all[1..5] {
            writer.bytes.fill(0);
        }
        let mut replay = new_replay(0, MERGE_BYTES_MAX);
        let mut start = 0;
        for (number, writer) in all[..5].iter().enumerate() {
            let end = start + writer.bytes.len() as u64;
            replay.segment(header(number as u64 + 1, start), FILE, &writer.bytes, Some(Lsn(end)));
            assert!(replay.so_far.gaps.len() <= GAPS_MAX);
            start = end;
        }
        replay.segment(header(6, start), FILE, &all[5].bytes, None);
        let tail = replay.finish();
        assert_eq!(lost(&tail, 18), (1..=15).collect::<Vec<_>>(), "what follows is certain");
        assert_eq!(read(&tail.view, 15), Err(ErrorCode::CorruptRecord), "and names the last that is missing");
    }

    /// Without its name nothing in a collection could be found, so it is repeated whole.
    #[test]
    fn a_damaged_name_of_a_collection_is_restored() {
        let name = CollectionName::parse("notes").unwrap();
        let collection = CollectionId(1);
        let record = |kind, document, payload| Record { kind, tx: TxId(1), collection, document, payload };
        let document = Payload::Document(Document::parse(b"7").unwrap());
        let mut writer = Writer::new(header(1, 0));
        writer.batch(&[
            record(RecordKind::CreateCollection, DocumentId::Number(0), Payload::Name(name)),
            record(RecordKind::Create, DocumentId::Number(1), document),
            record(RecordKind::Commit, DocumentId::Number(2), Payload::None),
        ]);
        writer.batch(&create(2, 2, "7"));
        writer.bytes[72 + 64] ^= 1;
        let mut replay = new_replay(0, MERGE_BYTES_MAX);
        replay.segment(header(1, 0), FILE, &writer.bytes, None);
        let tail = replay.finish();
        assert!(tail.damage.is_some() && tail.view.damage().is_empty());
        assert!(matches!(tail.view.lookup("notes", &DocumentId::Number(1)), crate::view::Lookup::Found(..)));
        assert_eq!(read(&tail.view, 2), Ok(Some("7".to_owned())));
    }

    /// As many operations as a batch may have: when each looked at each, this took minutes.
    #[test]
    fn restoring_a_large_batch_takes_as_long_as_it_is() {
        let mut writer = Writer::new(header(1, 0));
        let records: Vec<Record> = (1..=65_535).flat_map(|number| create(number, number, "7")).collect();
        writer.batch(&records);
        writer.batch(&create(65_536, 65_536, "7"));
        writer.bytes[10] ^= 1;
        let mut replay = Replay::new(DatabaseId::FIRST, View::empty(16), Lsn(0), Lsn(0), MERGE_BYTES_MAX, 65_536);
        replay.segment(header(1, 0), FILE, &writer.bytes, None);
        let tail = replay.finish();
        assert!(tail.damage.is_some() && tail.view.damage().is_empty());
        assert_eq!(tail.view.documents(), 65_536);
    }

    /// `bytes` of one segment, with the kind of the record at `at` one that there is not, and its checksum right.
    fn with_unknown_kind(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
        bytes[at + 4] = 77;
        let crc32 = crc32fast::hash(&bytes[at + 4..at + 64]);
        bytes[at..at + 4].copy_from_slice(&crc32.to_le_bytes());
        bytes
    }

    /// How a replay of one segment ends.
    fn ends(bytes: &[u8]) -> Want {
        let header: SegmentHeader = header(1, 0);
        let mut replay = new_replay(0, MERGE_BYTES_MAX);
        let mut want = replay.begin(header, FILE, bytes.len() as u64, None);
        while let Want::Bytes { offset, bytes: wanted } = want {
            let from = usize::try_from(offset).unwrap();
            want = replay.take(&bytes[from..from + wanted as usize]);
        }
        want
    }

    #[test]
    fn a_whole_record_of_an_unknown_kind_is_of_a_later_version_wherever_it_stands() {
        let writer = segments(1).remove(0);
        assert_eq!(ends(&writer.bytes), Want::Nothing);
        for (batch, repeats) in [(0, 0), (1, 1), (2, 1)] {
            let at = writer.starts[batch] + 72 + 32 * repeats;
            let newer = with_unknown_kind(writer.bytes.clone(), at);
            assert_eq!(ends(&newer), Want::Newer, "batch {batch}");
            // Behind a damaged header too.
            let mut damaged = newer;
            damaged[writer.starts[batch]] ^= 1;
            let is_torn_tail = batch == 2;
            assert_eq!(ends(&damaged), if is_torn_tail { Want::Nothing } else { Want::Newer }, "batch {batch}");
        }
    }
}
