//! The bytes of a segment, read as strictly as FORMAT.md says them: header, batches, records.
//!
//! It shares no code with the engine and knows nothing of what stood before: each checksum, length, place and zero is looked at.

use docdb_protocol::{CollectionName, DocumentId};

use super::fields::{Fields, file_header, has_crc32, is_zero};
use crate::oracle::{Violation, violation};
use crate::refine::written::SEGMENT_HEADER_BYTES;

const SECTOR_BYTES: usize = 512;
const HEADER_BYTES: usize = 84;
const SECOND_COPY_OFFSET: usize = 2048;
const BATCH_FIXED_BYTES: usize = 72;
const RECORD_BYTES: usize = 64;

pub(super) const CREATE: u8 = 1;
pub(super) const UPDATE: u8 = 3;
pub(super) const DELETE: u8 = 4;
pub(super) const COMMIT: u8 = 5;
pub(super) const NEW_COLLECTION: u8 = 6;
pub(super) const CHECKPOINT: u8 = 255;

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) directory: u128,
    pub(super) database: u64,
    pub(super) epoch: u64,
    pub(super) start_lsn: u64,
    pub(super) created_at: u64,
}

/// A batch.
#[derive(Clone, Debug)]
pub(super) struct Batch<'bytes> {
    pub(super) database: u64,
    pub(super) epoch: u64,
    pub(super) lsn: u64,
    pub(super) start_lsn: u64,
    pub(super) watermark: u64,
    /// The batch repeated, with its operations as they stand there.
    pub(super) before: u64,
    pub(super) repeated: (u32, &'bytes [u8]),
    pub(super) records: Vec<Record<'bytes>>,
    /// In whole sectors.
    pub(super) bytes: u64,
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Record<'bytes> {
    pub(super) kind: u8,
    pub(super) tx: u64,
    pub(super) collection: u32,
    pub(super) number: u64,
    pub(super) text: &'bytes str,
    pub(super) payload: &'bytes [u8],
    payload_crc32: u32,
}

impl Record<'_> {
    /// The document that it is about.
    pub(super) fn document(&self) -> Result<DocumentId, Violation> {
        if self.text.is_empty() {
            return Ok(DocumentId::Number(self.number));
        }
        let text = self.text;
        DocumentId::text(text).map_err(|error| Violation(format!("{text:?} is the id of a document: {error}")))
    }

    /// What it takes.
    pub(super) fn bytes(&self) -> usize {
        RECORD_BYTES + self.text.len() + self.payload.len()
    }

    /// What the next batch says of it, behind `out`.
    pub(super) fn repeat(&self, out: &mut Vec<u8>) {
        let text_bytes = u8::try_from(self.text.len()).expect("it was read from a byte");
        out.extend_from_slice(&self.collection.to_le_bytes());
        out.extend_from_slice(&[self.kind, text_bytes, 0, 0]);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.tx.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.payload.len()).expect("it was read from a u32").to_le_bytes());
        out.extend_from_slice(&self.payload_crc32.to_le_bytes());
        out.extend_from_slice(if self.kind == NEW_COLLECTION { self.payload } else { self.text.as_bytes() });
    }
}

/// All bytes of a segment's header.
pub(super) fn segment(bytes: &[u8]) -> Result<Segment, Violation> {
    if bytes.len() as u64 != SEGMENT_HEADER_BYTES {
        return violation!("the header of a segment has {} bytes", bytes.len());
    }
    let (first, second) = bytes.split_at(SECOND_COPY_OFFSET);
    if first != second {
        return violation!("the copies of a segment's header differ");
    }
    is_zero(&first[HEADER_BYTES..], "what stands behind a segment's header")?;
    let (directory, mut own) = file_header(first, b"DOCDBLOG", HEADER_BYTES)?;
    let (database, epoch, start_lsn, created_at) = (own.u64()?, own.u64()?, own.u64()?, own.u64()?);
    Ok(Segment { directory, database, epoch, start_lsn, created_at })
}

/// The batches that are written together, one behind the other.
pub(super) fn batches(bytes: &[u8]) -> Result<Vec<Batch<'_>>, Violation> {
    let (mut batches, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let batch = batch(rest)?;
        rest = &rest[usize::try_from(batch.bytes).expect("a batch in memory")..];
        batches.push(batch);
    }
    Ok(batches)
}

fn batch(bytes: &[u8]) -> Result<Batch<'_>, Violation> {
    let mut fields = Fields::new(bytes);
    let (magic, crc32) = (fields.bytes(4)?, fields.u32()?);
    let (header_bytes, body_bytes) = (fields.u32()? as usize, fields.u32()? as usize);
    let end = header_bytes + body_bytes;
    let padded = end.next_multiple_of(SECTOR_BYTES);
    if magic != b"DBAT" || header_bytes < BATCH_FIXED_BYTES || bytes.len() < padded {
        return violation!("a batch has a header of {header_bytes} bytes, {body_bytes} of records, in {}", bytes.len());
    }
    has_crc32(&bytes[8..header_bytes], crc32, "a batch's header")?;
    is_zero(&bytes[end..padded], "what stands behind a batch")?;
    let mut batch = Batch {
        database: fields.u64()?,
        epoch: fields.u64()?,
        lsn: fields.u64()?,
        start_lsn: fields.u64()?,
        watermark: fields.u64()?,
        before: fields.u64()?,
        repeated: (0, &bytes[BATCH_FIXED_BYTES..header_bytes]),
        records: Vec::new(),
        bytes: padded as u64,
    };
    let count = fields.u32()?;
    batch.repeated.0 = fields.u32()?;
    let mut at = header_bytes;
    for _ in 0..count {
        let record = record(&bytes[at..end], &batch, batch.lsn + at as u64)?;
        at += record.bytes();
        batch.records.push(record);
    }
    if at != end {
        return violation!("the records of a batch end at {at}, and it says {end}");
    }
    Ok(batch)
}

fn record<'bytes>(bytes: &'bytes [u8], batch: &Batch<'_>, lsn: u64) -> Result<Record<'bytes>, Violation> {
    let mut fields = Fields::new(bytes);
    let (crc32, kind, text_bytes) = (fields.u32()?, fields.u8()?, usize::from(fields.u8()?));
    is_zero(fields.bytes(2)?, "what a record keeps for later")?;
    let place = (fields.u64()?, fields.u64()?, fields.u64()?);
    if place != (batch.database, batch.epoch, lsn) {
        return violation!("a record at {lsn} says that it is at {place:?}");
    }
    let (tx, number, collection) = (fields.u64()?, fields.u64()?, fields.u32()?);
    let (payload_bytes, payload_crc32) = (fields.u32()? as usize, fields.u32()?);
    is_zero(fields.bytes(4)?, "what a record keeps for later")?;
    let Ok(text) = std::str::from_utf8(fields.bytes(text_bytes)?) else {
        return violation!("the text of a record is none");
    };
    has_crc32(&bytes[4..RECORD_BYTES + text_bytes], crc32, "a record")?;
    let payload = fields.bytes(payload_bytes)?;
    has_crc32(payload, payload_crc32, "a payload")?;
    let is_of_kind = match kind {
        CREATE | UPDATE => !payload.is_empty() && (text.is_empty() || number == 0),
        DELETE => payload.is_empty() && (text.is_empty() || number == 0),
        COMMIT => payload.is_empty() && text.is_empty() && collection == 0,
        CHECKPOINT => !payload.is_empty() && text.is_empty() && number == 0 && collection == 0,
        NEW_COLLECTION => {
            let name = std::str::from_utf8(payload).ok().filter(|name| CollectionName::parse(name).is_ok());
            name.is_some() && text.is_empty() && number == 0 && collection > 0
        }
        _ => false,
    };
    if !is_of_kind || tx == 0 {
        return violation!(
            "a record of kind {kind} of transaction {tx}: {number}, {text:?}, {collection}, {payload:?}"
        );
    }
    Ok(Record { kind, tx, collection, number, text, payload, payload_crc32 })
}
