//! A batch: what one sync makes durable.
//!
//! It begins on a sector boundary with a header that says where it stands, up to where the log was
//! durable when it was written, and which operations the batch before it held, so that a replay can
//! name the documents of a batch that is damaged. Its records follow.

use docdb_protocol::{CollectionId, CollectionName, DatabaseId, DocumentId, TxId};

use super::record::{Payload, Place, Record, RecordKind, id_fields, text_bytes, text_length};
use super::{Lsn, put_u32, put_u64};
use crate::buffer::Buffer;
use crate::disk::SECTOR_BYTES;

pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"DBAT");
pub(super) const FIXED_BYTES: usize = 72;
pub(super) const REPEATED_BYTES: usize = 32;

/// One operation of the batch before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) kind: RecordKind,
    pub(crate) collection: CollectionId,
    pub(crate) document: DocumentId,
    pub(crate) tx: TxId,
    pub(crate) payload_bytes: u32,
    pub(crate) payload_crc32: u32,
    /// Of a new collection, its name: without it nothing in that collection could be found.
    pub(crate) name: Option<CollectionName>,
}

impl Repeated {
    fn of(record: &Record) -> Repeated {
        Repeated {
            kind: record.kind,
            collection: record.collection,
            document: record.document.clone(),
            tx: record.tx,
            payload_bytes: u32::try_from(record.payload.bytes().len()).expect("a document is at most 16 MiB"),
            payload_crc32: record.payload.crc32(),
            name: if let Payload::Name(name) = &record.payload { Some(name.clone()) } else { None },
        }
    }

    /// What stands behind its fixed part: the new collection's name, or the document's id where it is a text.
    fn behind(&self) -> &str {
        self.name.as_ref().map_or_else(|| id_fields(&self.document).1, CollectionName::as_str)
    }
}

/// The operations of the batch that stands at `lsn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repetition {
    pub(crate) lsn: Lsn,
    pub(crate) operations: Vec<Repeated>,
}

impl Repetition {
    /// What the next batch will say of a batch of `records` at `lsn`.
    pub(crate) fn of(lsn: Lsn, records: &[Record]) -> Repetition {
        let operations = records.iter().filter(|record| record.kind.is_operation()).map(Repeated::of);
        Repetition { lsn, operations: operations.collect() }
    }
}

/// A batch ready for the disk.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) buffers: Vec<Buffer>,
    /// Padded to whole sectors.
    pub(crate) bytes: u64,
}

impl Encoded {
    /// Puts the batch that follows behind this one.
    pub(crate) fn append(&mut self, mut next: Encoded) {
        self.buffers.append(&mut next.buffers);
        self.bytes += next.bytes;
    }
}

/// Where a batch goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchPlace {
    pub(crate) database: DatabaseId,
    pub(crate) epoch: u64,
    pub(crate) start_lsn: Lsn,
    pub(crate) lsn: Lsn,
    /// Below this the log was durable when the batch was written; at most `lsn`.
    pub(crate) watermark: Lsn,
}

/// The length of a batch on disk, in whole sectors.
pub(crate) fn encoded_bytes(before: Option<&Repetition>, records: &[Record]) -> u64 {
    let body: usize = records.iter().map(Record::bytes).sum();
    (header_bytes(before) + body).next_multiple_of(SECTOR_BYTES) as u64
}

/// The length on disk of the proof of a batch of `records`.
pub(crate) fn proof_bytes(records: &[Record]) -> u64 {
    let operations = records.iter().filter(|record| record.kind.is_operation());
    let repeated: usize = operations.map(repeated_bytes).sum();
    (FIXED_BYTES + repeated).next_multiple_of(SECTOR_BYTES) as u64
}

fn repeated_bytes(record: &Record) -> usize {
    REPEATED_BYTES
        + match &record.payload {
            Payload::None | Payload::Document(_) | Payload::Metadata(_) => text_bytes(&record.document),
            Payload::Name(name) => name.as_str().len(),
        }
}

fn header_bytes(before: Option<&Repetition>) -> usize {
    let repeated = before.map_or(&[][..], |before| &before.operations);
    FIXED_BYTES + repeated.iter().map(|operation| REPEATED_BYTES + operation.behind().len()).sum::<usize>()
}

/// Lays a batch out. Headers go into one allocation; documents stay in the buffers they are in.
pub(crate) fn encode(place: BatchPlace, before: Option<&Repetition>, records: &[Record]) -> Encoded {
    let header_bytes = header_bytes(before);
    let body_bytes: usize = records.iter().map(Record::bytes).sum();
    let end = header_bytes + body_bytes;
    let padded = end.next_multiple_of(SECTOR_BYTES);
    let documents: usize = records.iter().map(|record| record.payload.bytes().len()).sum();
    let mut headers = Vec::with_capacity(padded - documents);
    encode_header(place, before, records.len(), body_bytes, &mut headers);

    // Where in `headers` each document has to be put in between.
    let mut lsn = place.lsn.0 + header_bytes as u64;
    let mut cuts = Vec::with_capacity(records.len());
    for record in records {
        record.encode_header(Place { database: place.database, epoch: place.epoch, lsn: Lsn(lsn) }, &mut headers);
        lsn += record.bytes() as u64;
        match &record.payload {
            Payload::None => {}
            Payload::Document(document) => cuts.push((headers.len(), Buffer::from(document))),
            Payload::Name(name) => cuts.push((headers.len(), Buffer::from(name.as_str().as_bytes().to_vec()))),
            Payload::Metadata(body) => cuts.push((headers.len(), body.clone())),
        }
    }
    headers.resize(headers.len() + (padded - end), 0);

    let headers = Buffer::from(headers);
    let mut buffers = Vec::with_capacity(2 * cuts.len() + 1);
    let mut from = 0;
    for (at, payload) in cuts {
        buffers.push(headers.slice(from..at));
        buffers.push(payload);
        from = at;
    }
    if from < headers.len() {
        buffers.push(headers.slice(from..headers.len()));
    }
    Encoded { buffers, bytes: padded as u64 }
}

fn encode_header(place: BatchPlace, before: Option<&Repetition>, records: usize, body_bytes: usize, out: &mut Vec<u8>) {
    let small = |value: usize| u32::try_from(value).expect("a batch stays far below 4 GiB");
    assert!(place.watermark <= place.lsn, "a batch is never durable before it is written");
    put_u32(out, MAGIC);
    put_u32(out, 0);
    put_u32(out, small(header_bytes(before)));
    put_u32(out, small(body_bytes));
    put_u64(out, place.database.get());
    put_u64(out, place.epoch);
    put_u64(out, place.lsn.0);
    put_u64(out, place.start_lsn.0);
    put_u64(out, place.watermark.0);
    put_u64(out, before.map_or(place.lsn.0, |before| before.lsn.0));
    put_u32(out, small(records));
    let operations = before.map_or(&[][..], |before| &before.operations);
    put_u32(out, small(operations.len()));
    assert_eq!(out.len(), FIXED_BYTES, "the layout is as FORMAT.md says");
    for operation in operations {
        let (number, text) = id_fields(&operation.document);
        put_u32(out, operation.collection.0);
        out.extend_from_slice(&[operation.kind as u8, text_length(text), 0, 0]);
        put_u64(out, number);
        put_u64(out, operation.tx.0);
        put_u32(out, operation.payload_bytes);
        put_u32(out, operation.payload_crc32);
        out.extend_from_slice(operation.behind().as_bytes());
    }
    let crc32 = crc32fast::hash(&out[8..]);
    out[4..8].copy_from_slice(&crc32.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use docdb_protocol::Document;

    use super::super::Decoded;
    use super::super::batch_header::BatchHeader;
    use super::*;

    fn record(kind: RecordKind, payload: Payload) -> Record {
        Record { kind, tx: TxId(1), collection: CollectionId::DEFAULT, document: DocumentId::Number(1), payload }
    }

    fn create(bytes: usize) -> Record {
        let text = format!("\"{}\"", "x".repeat(bytes - 2));
        record(RecordKind::Create, Payload::Document(Document::parse(text.as_bytes()).unwrap()))
    }

    fn commit() -> Record {
        record(RecordKind::Commit, Payload::None)
    }

    fn place(lsn: u64) -> BatchPlace {
        BatchPlace { database: DatabaseId::FIRST, epoch: 1, start_lsn: Lsn(0), lsn: Lsn(lsn), watermark: Lsn(lsn) }
    }

    fn bytes_of(encoded: &Encoded) -> Vec<u8> {
        encoded.buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect()
    }

    /// What stands at Lsn 512 of the first segment.
    fn decode(bytes: &[u8]) -> Decoded<BatchHeader> {
        BatchHeader::decode(DatabaseId::FIRST, 1, Lsn(0), Lsn(512), bytes)
    }

    /// A header that repeats two operations, a new collection among them, with `change` made to its bytes and a
    /// checksum that is right for the length that the header says.
    fn forged(change: impl Fn(&mut Vec<u8>)) -> Decoded<BatchHeader> {
        let name = record(RecordKind::CreateCollection, Payload::Name(CollectionName::parse("notes").unwrap()));
        let before = Repetition::of(Lsn(0), &[name, create(10)]);
        let mut bytes = bytes_of(&encode(place(512), Some(&before), &[commit()]));
        change(&mut bytes);
        let header_bytes = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap()) as usize;
        let covered = bytes.get(8..header_bytes).unwrap_or_default();
        let crc32 = crc32fast::hash(covered);
        bytes[4..8].copy_from_slice(&crc32.to_le_bytes());
        decode(&bytes)
    }

    #[test]
    fn a_header_whose_length_is_not_that_of_what_it_repeats_is_none() {
        let length = |length: u32| forged(move |bytes| bytes[8..12].copy_from_slice(&length.to_le_bytes()));
        let honest = 72 + 32 + 5 + 32;
        assert!(
            matches!(length(honest), Decoded::Whole(header) if header.before.as_ref().unwrap().operations.len() == 2)
        );
        for other in [0, 1, 7, 8, 12, 71, 72, 73, 104, honest - 1, honest + 1, 264, 265, 512, 647, u32::MAX] {
            assert!(matches!(length(other), Decoded::Nothing), "{other} bytes");
        }
        let repeated = |count: u32| forged(move |bytes| bytes[68..72].copy_from_slice(&count.to_le_bytes()));
        for other in [0, 1, 3, u32::MAX] {
            assert!(matches!(repeated(other), Decoded::Nothing), "{other} operations");
        }
    }

    #[test]
    fn what_only_a_later_version_repeats_is_told_from_damage() {
        assert!(matches!(forged(|bytes| bytes[72 + 4] = 2), Decoded::Newer), "a kind that there is not");
        for reserved in [5, 6, 7] {
            assert!(matches!(forged(|bytes| bytes[72 + reserved] = 1), Decoded::Newer), "byte {reserved}");
        }
        assert!(matches!(forged(|bytes| bytes[72 + 32 + 5 + 5] = 1), Decoded::Newer), "a number and a text");
        assert!(matches!(forged(|bytes| bytes[72 + 32] = b'/'), Decoded::Nothing), "no name of a collection");
    }

    #[test]
    fn a_repeated_transaction_before_the_first_is_none() {
        let tx = |tx: u64| forged(move |bytes| bytes[72 + 16..72 + 24].copy_from_slice(&tx.to_le_bytes()));
        assert!(matches!(tx(1), Decoded::Whole(_)));
        assert!(matches!(tx(0), Decoded::Nothing) && matches!(tx(1 << 63), Decoded::Nothing));
    }

    #[test]
    fn a_header_that_is_cut_says_how_much_of_it_is_missing() {
        let before = Repetition::of(Lsn(0), &[create(10), create(10)]);
        let bytes = bytes_of(&encode(place(512), Some(&before), &[commit()]));
        for at in 0..136 {
            assert!(matches!(decode(&bytes[..at]), Decoded::Begun(bytes) if at < bytes && bytes <= 136), "at {at}");
        }
        assert!(matches!(decode(&bytes[..136]), Decoded::Whole(_)));
    }

    /// The room that a batch leaves for its proof has to be what its proof takes.
    #[test]
    fn a_proof_takes_as_much_as_was_left_for_it() {
        for operations in [0, 1, 13, 14, 40] {
            let mut records: Vec<Record> = (0..operations).map(|_| create(10)).collect();
            records.push(record(RecordKind::CreateCollection, Payload::Name(CollectionName::parse("notes").unwrap())));
            let text = DocumentId::text(&"x".repeat(operations + 1)).unwrap();
            records.push(Record { document: text, ..record(RecordKind::Delete, Payload::None) });
            records.push(commit());
            let before = Repetition::of(Lsn(0), &records);
            assert_eq!(before.operations.len(), operations + 2, "a commit is not repeated");
            assert_eq!(proof_bytes(&records), encoded_bytes(Some(&before), &[]), "{operations} operations");
        }
    }

    /// Whatever way the sizes fall on sectors, what is written is as long as was said, and no buffer is empty.
    #[test]
    fn a_batch_is_as_long_as_it_says_wherever_it_ends() {
        let name = record(RecordKind::CreateCollection, Payload::Name(CollectionName::parse("notes").unwrap()));
        // With 312 and 307 the last byte of what is written is the last one of a sector.
        for bytes in [2, 307, 312, 313, 1000] {
            for records in [vec![create(bytes), commit()], vec![name.clone(), create(bytes)]] {
                let encoded = encode(place(512), None, &records);
                let written = bytes_of(&encoded);
                assert_eq!(written.len() as u64, encoded.bytes);
                assert_eq!(encoded.bytes, encoded_bytes(None, &records));
                assert!(encoded.buffers.iter().all(|buffer| !buffer.as_slice().is_empty()), "{bytes}");
                let header = decode(&written).whole().unwrap();
                assert_eq!(header.bytes(), encoded.bytes);
                assert!(header.before.is_none(), "nothing stood before");
            }
        }
    }

    #[test]
    fn the_largest_collection_number_is_never_read() {
        for (number, is_read) in [(u32::MAX - 1, true), (u32::MAX, false)] {
            let mut repeated = create(10);
            repeated.collection = CollectionId(number);
            let before = Repetition::of(Lsn(0), &[repeated]);
            let written = bytes_of(&encode(place(512), Some(&before), &[commit()]));
            assert_eq!(decode(&written).whole().is_some(), is_read, "{number}");
        }
    }
}
