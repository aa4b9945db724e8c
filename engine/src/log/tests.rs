//! Stories of the log: what is torn, what is damaged, and how a replay distinguishes them.

use std::ops::Bound;

use docdb_protocol::{CollectionId, DatabaseId, Document, DocumentId, ErrorCode, TxId};

use super::batch::BatchPlace;
use super::*;
use crate::clock::WallTime;
use crate::view::{Lookup, View};

pub(super) const FILE: &str = "db/a/a.wal";
pub(super) const MERGE_BYTES_MAX: u64 = 256 * 1024;

pub(super) fn header(epoch: u64, start_lsn: u64) -> SegmentHeader {
    SegmentHeader {
        directory: DirectoryId::NONE,
        database: DatabaseId::FIRST,
        epoch,
        start_lsn: Lsn(start_lsn),
        created_at: WallTime(0),
        is_writable: true,
    }
}

pub(super) fn create(tx: u64, id: u64, json: &str) -> Vec<Record> {
    let collection = CollectionId::DEFAULT;
    let document = Document::parse(json.as_bytes()).unwrap();
    let record = Record {
        kind: RecordKind::Create,
        tx: TxId(tx),
        collection,
        document: DocumentId::Number(id),
        payload: Payload::Document(document),
    };
    let commit = Record {
        kind: RecordKind::Commit,
        tx: TxId(tx),
        collection,
        document: DocumentId::Number(1),
        payload: Payload::None,
    };
    vec![record, commit]
}

/// Writes one segment, batch by batch, as the engine does.
pub(super) struct Writer {
    header: SegmentHeader,
    pub(super) bytes: Vec<u8>,
    pub(super) before: Option<Repetition>,
    pub(super) starts: Vec<usize>,
}

impl Writer {
    pub(super) fn new(header: SegmentHeader) -> Writer {
        Writer { header, bytes: Vec::new(), before: None, starts: Vec::new() }
    }

    pub(super) fn batch(&mut self, records: &[Record]) {
        let lsn = Lsn(self.header.start_lsn.0 + self.bytes.len() as u64);
        let place = BatchPlace {
            database: self.header.database,
            epoch: self.header.epoch,
            start_lsn: self.header.start_lsn,
            lsn,
            watermark: lsn,
        };
        let encoded = encode(place, self.before.as_ref(), records);
        assert_eq!(encoded.bytes, encoded_bytes(self.before.as_ref(), records));
        self.starts.push(self.bytes.len());
        for buffer in &encoded.buffers {
            self.bytes.extend_from_slice(buffer.as_slice());
        }
        if !records.is_empty() {
            self.before = Some(Repetition::of(lsn, records));
        }
    }

    /// Three documents in three batches, followed by zeros as a preallocated file is.
    fn three() -> Writer {
        let mut writer = Writer::new(header(1, 0));
        for number in 1..=3 {
            writer.batch(&create(number, number, &format!("{{\"n\":{number}}}")));
        }
        writer.bytes.resize(writer.bytes.len() + 4096, 0);
        writer
    }
}

/// How much is read at a time: every record goes on in another slice.
const SLICE_BYTES: u32 = 100;

impl Replay {
    /// Replays a whole segment, of which a disk gives now and then less than was wanted.
    pub(super) fn segment(&mut self, header: SegmentHeader, file: &str, bytes: &[u8], limit: Option<Lsn>) {
        let mut want = self.begin(header, file, bytes.len() as u64, limit);
        for read in 0.. {
            let Want::Bytes { offset, bytes: wanted } = want else { break };
            assert!(wanted > 0, "it gets on");
            let rest = &bytes[usize::try_from(offset).unwrap()..];
            let given = (wanted as usize).min(if read % 3 == 0 { 64 } else { usize::MAX });
            want = self.take(&rest[..given]);
        }
        assert_ne!(want, Want::Newer);
    }
}

fn replay(end: u64, bytes: &[u8]) -> Tail {
    let mut replay = new_replay(end, MERGE_BYTES_MAX);
    replay.segment(header(1, 0), FILE, bytes, None);
    replay.finish()
}

pub(super) fn new_replay(end: u64, merge_bytes_max: u64) -> Replay {
    Replay::new(DatabaseId::FIRST, View::empty(16), Lsn(0), Lsn(end), merge_bytes_max, SLICE_BYTES)
}

pub(super) fn read(view: &View, id: u64) -> Result<Option<String>, ErrorCode> {
    match view.lookup("_default", &DocumentId::Number(id)) {
        Lookup::Found(document, _) => Ok(Some(String::from_utf8(document.bytes().to_vec()).unwrap())),
        Lookup::Absent => Ok(None),
        Lookup::Damaged(error) => Err(error.code()),
    }
}

#[test]
fn a_whole_log_reads_back_and_its_unproven_tail_is_written_again() {
    let writer = Writer::three();
    let tail = replay(0, &writer.bytes);
    assert!(tail.damage.is_none());
    for number in 1..=3 {
        assert_eq!(read(&tail.view, number), Ok(Some(format!("{{\"n\":{number}}}"))));
    }
    // Nothing proves the last batch: it is the tail.
    assert_eq!(tail.proven, Lsn(writer.starts[2] as u64));
    assert_eq!(tail.records.len(), 2);
    assert_eq!(tail.last(), Some(Repetition::of(tail.proven, &tail.records)), "what the next batch repeats");
    assert_eq!(tail.view.last_tx(), TxId(3));
}

#[test]
fn a_torn_last_batch_is_dropped_wherever_it_is_torn() {
    let writer = Writer::three();
    let last = writer.starts[2];
    for torn in [last, last + 10, last + 80, last + 140, last + 200] {
        let mut bytes = writer.bytes.clone();
        bytes[torn..].fill(0);
        let tail = replay(0, &bytes);
        assert!(tail.damage.is_none(), "torn at {torn}");
        assert_eq!(read(&tail.view, 2), Ok(Some("{\"n\":2}".to_owned())));
        assert_eq!(read(&tail.view, 3), Ok(None));
        // Without the third batch nothing proves the second: it is written again.
        assert_eq!(tail.proven, Lsn(writer.starts[1] as u64));
        assert_eq!(tail.records.len(), 2);
    }
}

#[test]
fn damage_before_a_later_batch_is_named_and_nothing_else_is_lost() {
    let writer = Writer::three();
    let middle = writer.starts[1];
    for bit in 0..8 {
        for at in (middle..writer.starts[2]).step_by(7) {
            let mut bytes = writer.bytes.clone();
            bytes[at] ^= 1 << bit;
            let tail = replay(0, &bytes);
            assert_eq!(read(&tail.view, 1), Ok(Some("{\"n\":1}".to_owned())), "byte {at}");
            assert_eq!(read(&tail.view, 3), Ok(Some("{\"n\":3}".to_owned())), "byte {at}");
            match read(&tail.view, 2) {
                Ok(Some(json)) => assert_eq!(json, "{\"n\":2}", "byte {at}"),
                Ok(None) => panic!("byte {at}: lost without a word"),
                Err(code) => {
                    assert_eq!(code, ErrorCode::CorruptRecord);
                    assert!(tail.damage.is_some(), "byte {at}: damage makes the database read-only");
                }
            }
        }
    }
}

#[test]
fn an_end_stored_at_closing_proves_the_last_batch() {
    let writer = Writer::three();
    let end = writer.bytes.len() as u64 - 4096;
    let mut bytes = writer.bytes.clone();
    bytes[writer.starts[2] + 150] ^= 1;
    let tail = replay(end, &bytes);
    let damage = tail.damage.expect("the closing proves that it was durable");
    assert_eq!(damage.code(), ErrorCode::CorruptRecord);
    assert_eq!(damage.context().unwrap().file.as_deref(), Some(FILE));
    assert_ne!(read(&tail.view, 3), Ok(None), "never silence about a lost document");
}

#[test]
fn a_proof_names_the_batch_before_it() {
    let mut writer = Writer::new(header(1, 0));
    writer.batch(&create(1, 1, "1"));
    writer.batch(&create(2, 2, "2"));
    writer.batch(&[]);
    let whole = replay(0, &writer.bytes);
    assert!(whole.damage.is_none());
    assert_eq!(whole.proven, Lsn(writer.starts[2] as u64), "the proof leaves nothing to write again");
    assert!(whole.records.is_empty());
    let named = whole.last().expect("the last batch with operations");
    assert_eq!((named.lsn, named.operations.len()), (Lsn(writer.starts[1] as u64), 1));
    let mut bytes = writer.bytes.clone();
    let second = writer.starts[1];
    bytes[second..second + 512].fill(0);
    let tail = replay(0, &bytes);
    assert_eq!(read(&tail.view, 1), Ok(Some("1".to_owned())));
    assert_eq!(read(&tail.view, 2), Err(ErrorCode::CorruptRecord));
    let offset = tail.damage.expect("the proof shows it").context().unwrap().offset;
    assert_eq!(offset, Some((SEGMENT_HEADER_BYTES + second) as u64), "where in the file, not in the log");
}

#[test]
fn a_lost_proof_loses_no_operation() {
    let mut writer = Writer::new(header(1, 0));
    writer.batch(&create(1, 1, "1"));
    writer.batch(&[]);
    writer.batch(&create(2, 2, "2"));
    let proof = writer.starts[1];
    writer.bytes[proof..proof + 512].fill(0);
    let tail = replay(0, &writer.bytes);
    assert!(tail.damage.is_some(), "the damage is reported");
    assert!(tail.view.damage().is_empty(), "what follows names the batch before the proof, which is there");
    assert_eq!(read(&tail.view, 1), Ok(Some("1".to_owned())));
    assert_eq!(read(&tail.view, 2), Ok(Some("2".to_owned())));
}

#[test]
fn every_record_behind_a_damaged_batch_header_is_found() {
    let mut writer = Writer::new(header(1, 0));
    // The first two have equal content, and are not to be taken for each other.
    writer.batch(&[create(1, 1, "0"), create(2, 2, "0"), create(3, 3, "3")].concat());
    writer.batch(&create(4, 4, "4"));
    writer.bytes[0] ^= 1;
    let tail = replay(0, &writer.bytes);
    assert!(tail.damage.is_some() && tail.view.damage().is_empty());
    for (number, json) in [(1, "0"), (2, "0"), (3, "3"), (4, "4")] {
        assert_eq!(read(&tail.view, number), Ok(Some(json.to_owned())), "document {number}");
    }
}

#[test]
fn of_two_batches_lost_in_a_row_one_has_no_name() {
    let mut first = Writer::new(header(1, 0));
    first.batch(&create(1, 1, "1"));
    let start = first.bytes.len() as u64;
    let mut second = Writer::new(header(2, start));
    second.before = first.before.clone();
    (2..=4).for_each(|number| second.batch(&create(number, number, "2")));
    second.bytes[..second.starts[2]].fill(0);
    let mut replay = new_replay(0, MERGE_BYTES_MAX);
    replay.segment(header(1, 0), "a.wal.1", &first.bytes, Some(Lsn(start)));
    replay.segment(header(2, start), FILE, &second.bytes, None);
    let view = replay.finish().view;
    assert_eq!(view.damage().len(), 1);
    for lost in [2, 3] {
        assert_eq!(read(&view, lost), Err(ErrorCode::CorruptRecord), "document {lost}");
    }
    assert_eq!(read(&view, 4), Ok(Some("2".to_owned())), "what is behind the lost part is certain");
}

/// Two segments of three batches each, the second with a proof at its end, replayed with `merge_bytes_max`.
fn two_segments(merge_bytes_max: u64) -> (Tail, u64) {
    let mut replay = new_replay(0, merge_bytes_max);
    let mut first = Writer::new(header(1, 0));
    (1..=3).for_each(|number| first.batch(&create(number, number, "1")));
    let start = first.bytes.len() as u64;
    let mut second = Writer::new(header(2, start));
    second.before = first.before.clone();
    (4..=6).for_each(|number| second.batch(&create(number, number, "2")));
    second.batch(&[]);
    replay.segment(header(1, 0), "a.wal.1", &first.bytes, Some(Lsn(start)));
    replay.segment(header(2, start), FILE, &second.bytes, None);
    (replay.finish(), start)
}

#[test]
fn small_segments_are_written_again_as_one_that_reads_the_same() {
    let (tail, start) = two_segments(1 << 20);
    assert!(tail.damage.is_none() && tail.records.is_empty());
    assert_eq!(tail.start_lsn(), Lsn(0), "both segments are superseded");
    let encoded = tail.encode(DatabaseId::FIRST, 7).expect("there is much to write");
    assert_eq!(encoded.bytes, tail.proven.0, "every batch keeps its place");
    let bytes: Vec<u8> = encoded.buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect();
    let mut again = new_replay(0, MERGE_BYTES_MAX);
    again.segment(header(7, 0), FILE, &bytes, None);
    let again = again.finish();
    assert!(again.damage.is_none());
    assert_eq!(again.view.last_tx(), TxId(6));
    assert_eq!((1..=6).filter(|id| read(&again.view, *id) == read(&tail.view, *id)).count(), 6);

    let (tail, _) = two_segments(start);
    assert_eq!(tail.start_lsn(), Lsn(start), "the second alone");
    let (tail, _) = two_segments(start - 1);
    assert_eq!(tail.start_lsn(), tail.proven, "whole segments alone");
    let (tail, _) = two_segments(0);
    assert_eq!(tail.start_lsn(), tail.proven);
    assert!(tail.encode(DatabaseId::FIRST, 7).is_none());
}

#[test]
fn a_missing_segment_is_damage_and_old_answers_are_withheld() {
    let mut replay = new_replay(0, MERGE_BYTES_MAX);
    let mut first = Writer::new(header(1, 0));
    first.batch(&create(1, 1, "1"));
    let start = first.bytes.len() as u64 + 1024;
    replay.segment(header(1, 0), "a.wal.1", &first.bytes, Some(Lsn(start)));
    let mut third = Writer::new(header(3, start));
    third.batch(&create(9, 9, "9"));
    replay.segment(header(3, start), FILE, &third.bytes, None);
    let tail = replay.finish();
    assert!(tail.damage.is_some());
    assert_eq!(read(&tail.view, 1), Err(ErrorCode::CorruptRecord), "it may have been replaced in the lost part");
    assert_eq!(read(&tail.view, 5), Err(ErrorCode::CorruptRecord), "it may have been created in the lost part");
    assert_eq!(read(&tail.view, 9), Ok(Some("9".to_owned())));
    // Nothing names what is missing, so a scan that came from behind it would look whole.
    for from in [0, 9, 10] {
        let last =
            tail.view.scan("_default", Bound::Included(&DocumentId::Number(from))).last().expect("at least the error");
        assert_eq!(last.unwrap_err().code(), ErrorCode::CorruptRecord, "from {from}");
    }
}

/// A later segment begins where the third batch stands: the first two are this one's, and it says nothing beyond.
#[test]
fn a_batch_beyond_the_start_of_a_later_segment_names_what_is_before_it_and_says_nothing() {
    let writer = Writer::three();
    let limit = Some(Lsn(writer.starts[2] as u64));
    let without = |at: usize| {
        let mut bytes = writer.bytes.clone();
        bytes[at..at + 512].fill(0);
        let mut replay = new_replay(0, MERGE_BYTES_MAX);
        replay.segment(header(1, 0), FILE, &bytes, limit);
        replay.finish()
    };
    let first = without(writer.starts[0]);
    assert_eq!(read(&first.view, 1), Err(ErrorCode::CorruptRecord), "the second batch names it");
    assert!(first.view.damage().is_empty(), "nothing is lost that has no name");
    assert_eq!(read(&first.view, 2), Ok(Some("{\"n\":2}".to_owned())));
    let second = without(writer.starts[1]);
    assert!(second.view.damage().is_empty(), "the third batch is no part of the log, and names it all the same");
    assert_eq!(read(&second.view, 2), Err(ErrorCode::CorruptRecord));
    assert_eq!(read(&second.view, 3), Ok(None), "what it says itself exists for nobody");
}

#[test]
fn a_segment_that_is_not_there_or_cannot_be_told_is_damage() {
    let mut replay = new_replay(0, MERGE_BYTES_MAX);
    let mut second = Writer::new(header(2, 1024));
    second.batch(&create(9, 9, "9"));
    replay.segment(header(2, 1024), FILE, &second.bytes, None);
    let tail = replay.finish();
    assert_eq!(tail.damage.expect("the first one is missing").context().unwrap().file.as_deref(), Some(FILE));
    assert_eq!(read(&tail.view, 1), Err(ErrorCode::CorruptRecord));
    assert_eq!(read(&tail.view, 9), Ok(Some("9".to_owned())));

    let mut replay = new_replay(0, MERGE_BYTES_MAX);
    replay.segment(header(1, 0), FILE, &Writer::three().bytes, None);
    replay.unreadable("a.wal.2");
    let tail = replay.finish();
    assert_eq!(tail.damage.expect("it has no header").context().unwrap().file.as_deref(), Some("a.wal.2"));
    assert_eq!(read(&tail.view, 1), Err(ErrorCode::CorruptRecord), "it may have been replaced there");
}

#[test]
fn what_an_earlier_use_left_is_never_taken_for_a_record() {
    let old = Writer::three();
    // The same bytes under a header of another epoch.
    let mut replay = new_replay(0, MERGE_BYTES_MAX);
    replay.segment(header(2, 0), FILE, &old.bytes, None);
    let tail = replay.finish();
    assert!(tail.damage.is_none());
    assert_eq!(tail.view.documents(), 0);
    assert_eq!(tail.start_lsn(), Lsn(0));
}

#[test]
fn a_transaction_without_its_commit_record_never_happened() {
    let mut writer = Writer::new(header(1, 0));
    writer.batch(&create(1, 1, "1"));
    writer.batch(&create(2, 2, "2")[..1]);
    let tail = replay(0, &writer.bytes);
    assert_eq!(read(&tail.view, 2), Ok(None));
    assert_eq!(tail.view.last_tx(), TxId(1));
}

#[test]
fn no_bytes_make_a_replay_panic() {
    let writer = Writer::three();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2_000 {
        let mut bytes = writer.bytes.clone();
        for _ in 0..1 + state % 6 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap() % bytes.len();
            bytes[at] = (state >> 24) as u8;
        }
        bytes.truncate(usize::try_from(state >> 40).unwrap() % (bytes.len() + 1));
        let _ = replay(state % 2048, &bytes);
    }
}

/// The bytes of an example of FORMAT.md, which stands between two comments of this name.
pub(crate) fn example(name: &str) -> Vec<u8> {
    let text = include_str!("../../../FORMAT.md");
    let marked = text.split(&format!("<!-- {name} -->")).nth(1).expect("FORMAT.md marks its examples");
    let lines = marked.lines().filter_map(|line| line.strip_prefix("    ")?.split_once("  "));
    let bytes = lines.flat_map(|(_, hex)| {
        let hex = hex.split("  ").next().unwrap_or_default();
        hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<_>>()
    });
    bytes.collect()
}

/// The bytes begin with the example of FORMAT.md, and all behind it are zero.
pub(crate) fn assert_example(name: &str, written: &[u8]) {
    let bytes = example(name);
    let lines = written.chunks(16).enumerate();
    let lines: Vec<String> =
        lines.map(|(number, chunk)| format!("    {:04}  {}", number * 16, hex_line(chunk))).collect();
    assert!(!bytes.is_empty() && bytes[..] == written[..bytes.len()], "{name}, written now:\n{}", lines.join("\n"));
    assert!(written[bytes.len()..].iter().all(|byte| *byte == 0), "{name}: more is written than the example says");
}

/// FORMAT.md's worked example is what the code writes, byte for byte, and decodes to what it says.
#[test]
fn the_worked_example_of_the_format_is_true() {
    let mut writer = Writer::new(header(1, 0));
    writer.batch(&create(1, 7, "{\"a\":1}"));
    assert_example("worked example", &writer.bytes);
    let mut padded = example("worked example");
    padded.resize(512, 0);
    assert_eq!(read(&replay(0, &padded).view, 7), Ok(Some("{\"a\":1}".to_owned())));
}

/// The second batch of the same log: a proof, which repeats the deletion of a document whose id is a text.
#[test]
fn the_example_of_a_repetition_is_true() {
    let delete = Record {
        kind: RecordKind::Delete,
        tx: TxId(2),
        collection: CollectionId::DEFAULT,
        document: DocumentId::text("momo").unwrap(),
        payload: Payload::None,
    };
    let before = Repetition::of(Lsn(512), &[delete]);
    let lsn = Lsn(1024);
    let place = BatchPlace { database: DatabaseId::FIRST, epoch: 1, start_lsn: Lsn(0), lsn, watermark: lsn };
    let encoded = encode(place, Some(&before), &[]);
    let bytes: Vec<u8> = encoded.buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect();
    assert_example("example of a repetition", &bytes);
}

#[test]
fn the_example_of_a_segment_header_is_true() {
    let header = SegmentHeader { directory: DirectoryId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100), ..header(1, 0) };
    assert_example("example of a segment header", &header.encode()[..512]);
}

fn hex_line(chunk: &[u8]) -> String {
    chunk.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
