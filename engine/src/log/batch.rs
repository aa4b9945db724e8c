//! A batch: what one sync makes durable.
//!
//! It begins on a sector boundary with a header that says where it stands, up to where the log was
//! durable when it was written, and which operations the batch before it held, so that damage to
//! that one names its documents. Its records follow.

use docdb_protocol::{CollectionId, DatabaseId, DocumentId, TxId};

use super::record::{Place, Record};
use super::{Fields, Lsn, Payload, RecordKind, put_u32, put_u64};
use crate::buffer::Buffer;
use crate::disk::SECTOR_BYTES;
use crate::planted::planted;

const MAGIC: u32 = u32::from_le_bytes(*b"DBAT");
const FIXED_BYTES: usize = 72;
const REPEATED_BYTES: usize = 32;

/// One operation of the batch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) kind: RecordKind,
    pub(crate) collection: CollectionId,
    pub(crate) document: DocumentId,
    pub(crate) tx: TxId,
    pub(crate) payload_bytes: u32,
    pub(crate) payload_crc32: u32,
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
        let operations = records.iter().filter(|record| record.kind != RecordKind::Commit).map(|record| Repeated {
            kind: record.kind,
            collection: record.collection,
            document: record.document,
            tx: record.tx,
            payload_bytes: u32::try_from(record.payload.bytes().len()).expect("a document is at most 16 MiB"),
            payload_crc32: record.payload.crc32(),
        });
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
    let operations = records.iter().filter(|record| record.kind != RecordKind::Commit).count();
    (FIXED_BYTES + operations * REPEATED_BYTES).next_multiple_of(SECTOR_BYTES) as u64
}

fn header_bytes(before: Option<&Repetition>) -> usize {
    FIXED_BYTES + before.map_or(0, |before| before.operations.len()) * REPEATED_BYTES
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
        put_u32(out, operation.collection.0);
        out.extend_from_slice(&[operation.kind as u8, 0, 0, 0]);
        put_u64(out, operation.document.0);
        put_u64(out, operation.tx.0);
        put_u32(out, operation.payload_bytes);
        put_u32(out, operation.payload_crc32);
    }
    let crc32 = crc32fast::hash(&out[8..]);
    out[4..8].copy_from_slice(&crc32.to_le_bytes());
}

/// A batch header read back.
#[derive(Clone, Debug)]
pub(crate) struct BatchHeader {
    pub(crate) watermark: Lsn,
    pub(crate) header_bytes: usize,
    pub(crate) body_bytes: usize,
    pub(crate) records: u32,
    /// The batch before; `None` when nothing stood before.
    pub(crate) before: Option<Repetition>,
}

impl BatchHeader {
    /// The header at the front of `bytes`, if it is whole and stands where it says.
    pub(crate) fn decode(
        database: DatabaseId,
        epoch: u64,
        start_lsn: Lsn,
        lsn: Lsn,
        bytes: &[u8],
    ) -> Option<BatchHeader> {
        let mut fields = Fields::new(bytes);
        let (magic, crc32) = (fields.u32()?, fields.u32()?);
        if magic != MAGIC {
            return None;
        }
        let (header_bytes, body_bytes) = (fields.u32()? as usize, fields.u32()? as usize);
        let written = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
        if written != (database.get(), epoch, lsn.0, start_lsn.0) && !planted!(PlaceNotCompared) {
            return None;
        }
        if crc32fast::hash(bytes.get(8..header_bytes)?) != crc32 && !planted!(BatchChecksumIgnored) {
            return None;
        }
        let (watermark, before_lsn) = (Lsn(fields.count()?), Lsn(fields.count()?));
        let watermark = if planted!(WatermarkIgnored) { Lsn(0) } else { watermark };
        let (records, repeated) = (fields.u32()?, fields.u32()?);
        let mut operations = Vec::new();
        for _ in 0..repeated {
            let collection = CollectionId(fields.u32().filter(|id| *id < u32::MAX)?);
            let kind = RecordKind::from_number(fields.u8()?)?;
            fields.bytes(3)?;
            operations.push(Repeated {
                kind,
                collection,
                document: DocumentId(fields.u64()?),
                tx: TxId(fields.count()?),
                payload_bytes: fields.u32()?,
                payload_crc32: fields.u32()?,
            });
        }
        let before = (before_lsn < lsn).then_some(Repetition { lsn: before_lsn, operations });
        Some(BatchHeader { watermark, header_bytes, body_bytes, records, before })
    }

    /// The batch's length on disk, in whole sectors.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = self.header_bytes as u64 + self.body_bytes as u64;
        if planted!(PaddingNotSkipped) { bytes } else { bytes.next_multiple_of(SECTOR_BYTES as u64) }
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{CollectionName, Document};

    use super::*;

    fn record(kind: RecordKind, payload: Payload) -> Record {
        Record { kind, tx: TxId(1), collection: CollectionId::DEFAULT, document: DocumentId(1), payload }
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

    /// The room that a batch leaves for its proof has to be what its proof takes.
    #[test]
    fn a_proof_takes_as_much_as_was_left_for_it() {
        for operations in [0, 1, 13, 14, 40] {
            let mut records: Vec<Record> = (0..operations).map(|_| create(10)).collect();
            records.push(commit());
            let before = Repetition::of(Lsn(0), &records);
            assert_eq!(before.operations.len(), operations, "a commit is not repeated");
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
                let header = BatchHeader::decode(DatabaseId::FIRST, 1, Lsn(0), Lsn(512), &written).unwrap();
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
            let header = BatchHeader::decode(DatabaseId::FIRST, 1, Lsn(0), Lsn(512), &written);
            assert_eq!(header.is_some(), is_read, "{number}");
        }
    }
}
