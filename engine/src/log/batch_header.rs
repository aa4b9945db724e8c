//! A batch's header, read back.
//!
//! No bytes make it panic, and it gathers nothing by a length that it has not checked.

use docdb_protocol::limits::{DOCUMENT_ID_BYTES_MAX, NAME_BYTES_MAX};
use docdb_protocol::{CollectionId, CollectionName, DatabaseId, TxId};

use super::batch::{FIXED_BYTES, MAGIC, REPEATED_BYTES, Repeated, Repetition};
use super::record::{RecordKind, id_of};
use super::{Decoded, Fields, Lsn};
use crate::disk::SECTOR_BYTES;

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
    /// What stands at the front of `bytes`, which lie at `lsn`.
    pub(crate) fn decode(
        database: DatabaseId,
        epoch: u64,
        start_lsn: Lsn,
        lsn: Lsn,
        bytes: &[u8],
    ) -> Decoded<BatchHeader> {
        let Some(fixed) = bytes.get(..FIXED_BYTES).and_then(Fixed::read) else { return Decoded::Begun(FIXED_BYTES) };
        let is_here = fixed.written == (database.get(), epoch, lsn.0, start_lsn.0);
        if fixed.magic != MAGIC || !is_here || !fixed.is_plausible() {
            return Decoded::Nothing;
        }
        let Some(covered) = bytes.get(8..fixed.header_bytes) else { return Decoded::Begun(fixed.header_bytes) };
        if crc32fast::hash(covered) != fixed.crc32 {
            return Decoded::Nothing;
        }
        let mut fields = Fields::new(&bytes[FIXED_BYTES..fixed.header_bytes]);
        let mut operations = Vec::new();
        for _ in 0..fixed.repeated {
            match Repeated::decode(&mut fields) {
                Decoded::Whole(operation) => operations.push(operation),
                Decoded::Newer => return Decoded::Newer,
                Decoded::Begun(_) | Decoded::Nothing => return Decoded::Nothing,
            }
        }
        if !fields.is_at_end() {
            return Decoded::Nothing;
        }
        Decoded::Whole(BatchHeader {
            watermark: fixed.watermark,
            header_bytes: fixed.header_bytes,
            body_bytes: fixed.body_bytes,
            records: fixed.records,
            before: (fixed.before < lsn).then_some(Repetition { lsn: fixed.before, operations }),
        })
    }

    /// The batch's length on disk, in whole sectors.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = self.header_bytes as u64 + self.body_bytes as u64;
        bytes.next_multiple_of(SECTOR_BYTES as u64)
    }
}

/// The fixed part of a header as it stands there.
struct Fixed {
    magic: u32,
    crc32: u32,
    header_bytes: usize,
    body_bytes: usize,
    written: (u64, u64, u64, u64),
    watermark: Lsn,
    before: Lsn,
    records: u32,
    repeated: u32,
}

impl Fixed {
    fn read(bytes: &[u8]) -> Option<Fixed> {
        let mut fields = Fields::new(bytes);
        Some(Fixed {
            magic: fields.u32()?,
            crc32: fields.u32()?,
            header_bytes: fields.u32()? as usize,
            body_bytes: fields.u32()? as usize,
            written: (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?),
            watermark: Lsn(fields.u64()?),
            before: Lsn(fields.u64()?),
            records: fields.u32()?,
            repeated: fields.u32()?,
        })
    }

    /// Whether the header can be as long as it says: nothing is gathered or hashed by a damaged length.
    /// No number that is counted on from comes near 2^63.
    fn is_plausible(&self) -> bool {
        let least = FIXED_BYTES as u64 + u64::from(self.repeated) * REPEATED_BYTES as u64;
        let most = least + u64::from(self.repeated) * NAME_BYTES_MAX.max(DOCUMENT_ID_BYTES_MAX) as u64;
        let are_counts = self.watermark.0 < 1 << 63 && self.before.0 < 1 << 63;
        are_counts && (least..=most).contains(&(self.header_bytes as u64))
    }
}

impl Repeated {
    /// The next one of a header whose checksum is right.
    fn decode(fields: &mut Fields<'_>) -> Decoded<Repeated> {
        let mut read = || {
            let (collection, kind, text_bytes, zeros) = (fields.u32()?, fields.u8()?, fields.u8()?, fields.bytes(2)?);
            let (number, tx) = (fields.u64()?, fields.u64()?);
            let reserved_is_zero = zeros == [0; 2] && (text_bytes == 0 || number == 0);
            Some((collection, kind, text_bytes, reserved_is_zero, number, tx, fields.u32()?, fields.u32()?))
        };
        let Some((collection, kind, text_bytes, reserved_is_zero, number, tx, payload_bytes, payload_crc32)) = read()
        else {
            return Decoded::Nothing;
        };
        let kind = match RecordKind::from_number(kind) {
            Some(kind) if reserved_is_zero && kind.may_have_text(text_bytes) => kind,
            Some(_) | None => return Decoded::Newer,
        };
        let text = fields.bytes(usize::from(text_bytes));
        let Some(document) = text.and_then(|text| id_of(number, text)) else { return Decoded::Nothing };
        let name = match kind {
            RecordKind::CreateCollection => {
                let bytes = fields.bytes(payload_bytes as usize);
                let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
                let Some(name) = text.and_then(|text| CollectionName::parse(text).ok()) else {
                    return Decoded::Nothing;
                };
                Some(name)
            }
            RecordKind::Create
            | RecordKind::Update
            | RecordKind::Delete
            | RecordKind::Commit
            | RecordKind::Checkpoint => None,
        };
        if !(1..1 << 63).contains(&tx) || collection == u32::MAX {
            return Decoded::Nothing;
        }
        let (collection, tx) = (CollectionId(collection), TxId(tx));
        Decoded::Whole(Repeated { kind, collection, document, tx, payload_bytes, payload_crc32, name })
    }
}
