//! Fuzzing the log's codec: what is encoded is decoded to the same, and no bytes make it panic.
//!
//! Bounded under `cargo test`; `cargo bolero test` runs the same without end. Small codecs are tried whole. A generator
//! that makes nothing would let everything pass, so each test counts what it was given.

use std::sync::atomic::{AtomicU32, Ordering};

use arbitrary::{Arbitrary, Unstructured};
use docdb_protocol::{CollectionId, CollectionName, DatabaseId, Document, DocumentId, TxId};

use super::batch_header::BatchHeader;
use super::record::Place;
use super::*;
use crate::buffer::Buffer;
use crate::clock::WallTime;
use crate::view::View;

/// A batch of any records, at any place that a log can reach.
#[derive(Debug)]
struct AnyBatch {
    place: BatchPlace,
    before: Option<Repetition>,
    records: Vec<Record>,
}

impl<'a> Arbitrary<'a> for AnyBatch {
    fn arbitrary(from: &mut Unstructured<'a>) -> arbitrary::Result<AnyBatch> {
        // Far below the numbers that no log reaches.
        let lsn = 512 * from.int_in_range(0..=1 << 40)?;
        let place = BatchPlace {
            database: DatabaseId::new(from.int_in_range(1..=u64::MAX)?).expect("not zero"),
            epoch: u64::arbitrary(from)?,
            start_lsn: Lsn(from.int_in_range(0..=lsn)?),
            lsn: Lsn(lsn),
            watermark: Lsn(from.int_in_range(0..=lsn)?),
        };
        let before = if lsn > 0 && bool::arbitrary(from)? {
            Some(Repetition::of(Lsn(from.int_in_range(0..=lsn - 1)?), &records(from)?))
        } else {
            None
        };
        Ok(AnyBatch { place, before, records: records(from)? })
    }
}

fn records(from: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Record>> {
    (0..from.int_in_range(0..=6)?).map(|_| record(from)).collect()
}

fn record(from: &mut Unstructured<'_>) -> arbitrary::Result<Record> {
    use RecordKind as K;
    let kind = *from.choose(&[K::Create, K::Update, K::Delete, K::Commit, K::CreateCollection, K::Checkpoint])?;
    let payload = match kind {
        K::Create | K::Update => {
            let text = quoted(<&str>::arbitrary(from)?);
            Payload::Document(Document::parse(text.as_bytes()).expect("a quoted text is JSON"))
        }
        K::CreateCollection => {
            Payload::Name(CollectionName::parse(from.choose(&["_default", "a", "notes"])?).expect("a name"))
        }
        K::Checkpoint => Payload::Metadata(Buffer::from(<Vec<u8>>::arbitrary(from)?)),
        K::Delete | K::Commit => Payload::None,
    };
    Ok(Record {
        kind,
        tx: TxId(from.int_in_range(1..=(1 << 63) - 1)?),
        collection: CollectionId(from.int_in_range(0..=u32::MAX - 1)?),
        document: DocumentId::Number(u64::arbitrary(from)?),
        payload,
    })
}

/// A text as a JSON string: what would need an escape is left out.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(|c: char| c.is_control() || c == '"' || c == '\\', ""))
}

/// Runs `check` on batches made of a fuzzer's bytes, each with the bytes that were left.
fn for_each_batch(check: impl Fn(&AnyBatch, &mut Unstructured<'_>) + std::panic::RefUnwindSafe) {
    let with_records = AtomicU32::new(0);
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let mut from = Unstructured::new(bytes);
        let Ok(any) = AnyBatch::arbitrary(&mut from) else { return };
        with_records.fetch_add(u32::from(!any.records.is_empty()), Ordering::Relaxed);
        check(&any, &mut from);
    });
    let with_records = with_records.into_inner();
    assert!(with_records > 500, "batches with records come up: {with_records}");
}

fn contiguous(encoded: &Encoded) -> Vec<u8> {
    encoded.buffers.iter().flat_map(|buffer| buffer.as_slice()).copied().collect()
}

#[test]
fn a_batch_is_decoded_to_what_was_encoded() {
    for_each_batch(|any, _| {
        let AnyBatch { place, before, records } = any;
        let encoded = encode(*place, before.as_ref(), records);
        let bytes = contiguous(&encoded);
        assert_eq!((bytes.len() as u64, encoded.bytes), (encoded.bytes, encoded_bytes(before.as_ref(), records)));
        let header =
            BatchHeader::decode(place.database, place.epoch, place.start_lsn, place.lsn, &bytes).whole().unwrap();
        assert_eq!((header.watermark, &header.before), (place.watermark, before));
        assert_eq!((header.records as usize, header.bytes()), (records.len(), encoded.bytes));
        let mut at = header.header_bytes;
        for record in records {
            let lsn = Lsn(place.lsn.0 + at as u64);
            let place = Place { database: place.database, epoch: place.epoch, lsn };
            let decoded = Record::decode(place, &bytes[at..]).whole().unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{record:?}"));
            at += record.bytes();
        }
        assert_eq!(at, header.header_bytes + header.body_bytes);
        // Nowhere else: not in another database, segment or place.
        let elsewhere = Lsn(place.lsn.0 + 512);
        assert!(BatchHeader::decode(place.database, place.epoch, place.start_lsn, elsewhere, &bytes).whole().is_none());
        let later = place.epoch.wrapping_add(1);
        assert!(BatchHeader::decode(place.database, later, place.start_lsn, place.lsn, &bytes).whole().is_none());
    });
}

#[test]
fn one_changed_bit_of_a_header_is_noticed() {
    for_each_batch(|any, from| {
        let bit = u32::arbitrary(from).expect("a number can be made of no bytes");
        let AnyBatch { place, before, records } = any;
        let mut bytes = contiguous(&encode(*place, before.as_ref(), records));
        let header_bytes = u32::from_le_bytes(*bytes[8..].first_chunk().expect("a header")) as usize;
        let bit = bit as usize % (8 * header_bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let header = BatchHeader::decode(place.database, place.epoch, place.start_lsn, place.lsn, &bytes);
        assert!(header.whole().is_none(), "bit {bit}");
    });
}

#[test]
fn any_bytes_are_decoded_or_refused() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let place = Place { database: DatabaseId::FIRST, epoch: 1, lsn: Lsn(0) };
        let _ = Record::decode(place, bytes);
        let _ = BatchHeader::decode(DatabaseId::FIRST, 1, Lsn(0), Lsn(0), bytes);
        let _ = SegmentHeader::decode(bytes);
        replay(bytes);
    });
}

/// A whole batch that some bytes were written over, which is what leads deep into the decoder.
#[test]
fn any_bytes_over_a_batch_are_decoded_or_refused() {
    for_each_batch(|any, from| {
        let zero = Lsn(0);
        let first = BatchPlace { database: DatabaseId::FIRST, epoch: 1, start_lsn: zero, lsn: zero, watermark: zero };
        let mut bytes = contiguous(&encode(first, None, &any.records));
        let at = from.choose_index(bytes.len()).expect("a batch has bytes");
        let over = from.bytes(from.len().min(bytes.len() - at).min(8)).expect("no more than there are");
        bytes[at..at + over.len()].copy_from_slice(over);
        if let Some(header) = BatchHeader::decode(DatabaseId::FIRST, 1, zero, zero, &bytes).whole() {
            let lsn = Lsn(header.header_bytes as u64);
            let _ = Record::decode(Place { database: DatabaseId::FIRST, epoch: 1, lsn }, &bytes[header.header_bytes..]);
        }
        replay(&bytes);
    });
}

fn replay(bytes: &[u8]) {
    let header = SegmentHeader {
        directory: DirectoryId::NONE,
        database: DatabaseId::FIRST,
        epoch: 1,
        start_lsn: Lsn(0),
        created_at: WallTime(0),
        is_writable: true,
    };
    let mut replay = Replay::new(DatabaseId::FIRST, View::empty(16), Lsn(0), Lsn(0), 1 << 20, 64);
    replay.segment(header, "a.wal", bytes, None);
    drop(replay.finish());
}

/// Small enough to be tried whole: every number that a kind of record may have.
#[test]
fn every_number_of_a_kind_is_known_or_refused() {
    bolero::check!().with_type::<u8>().exhaustive().for_each(|number| match RecordKind::from_number(*number) {
        Some(kind) => assert_eq!(kind as u8, *number),
        None => assert!(![1, 3, 4, 5, 6, 255].contains(number)),
    });
}

/// Fields are read as they were written, and past the end there are none: every pair of bytes, every cut.
#[test]
fn every_pair_of_bytes_is_read_back_and_no_more() {
    bolero::check!().with_type::<[u8; 2]>().exhaustive().for_each(|bytes| {
        let mut fields = Fields::new(bytes);
        assert_eq!((fields.u32(), fields.u64(), fields.u8()), (None, None, Some(bytes[0])));
        assert_eq!((fields.bytes(2), fields.bytes(1), fields.u8()), (None, Some(&bytes[1..]), None));
    });
}
