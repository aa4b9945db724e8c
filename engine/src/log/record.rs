//! One record of the log: an operation, a commit, a new collection, a checkpoint.
//!
//! A record says under its own checksum whose it is, when it was written (epoch) and where (Lsn), so
//! that it is recognised by itself and what an earlier use of the same bytes left is never taken for one.

use std::sync::Arc;

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{CollectionId, CollectionName, DatabaseId, Document, DocumentId, TxId};

use super::{Decoded, Fields, Lsn, put_u32, put_u64};
use crate::buffer::Buffer;
use crate::metadata::METADATA_BYTES_MAX;

/// The fixed part; the payload follows it.
pub(crate) const RECORD_HEADER_BYTES: usize = 64;

/// What a record says happened. The numbers are the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum RecordKind {
    Create = 1,
    Update = 3,
    Delete = 4,
    /// Ends a transaction; in place of a document's number it counts the transaction's other records.
    Commit = 5,
    /// The payload is the collection's name.
    CreateCollection = 6,
    /// The payload is a copy of the metadata. It belongs to no transaction, and stands between two.
    Checkpoint = 255,
}

impl RecordKind {
    pub(crate) fn from_number(number: u8) -> Option<RecordKind> {
        Some(match number {
            1 => RecordKind::Create,
            3 => RecordKind::Update,
            4 => RecordKind::Delete,
            5 => RecordKind::Commit,
            6 => RecordKind::CreateCollection,
            255 => RecordKind::Checkpoint,
            _ => return None,
        })
    }

    /// Whether a record of this kind may name a document by a text of this length.
    pub(super) fn may_have_text(self, text_bytes: u8) -> bool {
        match self {
            RecordKind::Create | RecordKind::Update | RecordKind::Delete => true,
            RecordKind::Commit | RecordKind::CreateCollection | RecordKind::Checkpoint => text_bytes == 0,
        }
    }

    /// Whether it is part of what a transaction did, so that the next batch repeats it.
    pub(crate) fn is_operation(self) -> bool {
        match self {
            RecordKind::Create | RecordKind::Update | RecordKind::Delete | RecordKind::CreateCollection => true,
            RecordKind::Commit | RecordKind::Checkpoint => false,
        }
    }

    /// The longest payload of such a record.
    fn payload_bytes_max(self) -> usize {
        match self {
            RecordKind::Create
            | RecordKind::Update
            | RecordKind::Delete
            | RecordKind::Commit
            | RecordKind::CreateCollection => DOCUMENT_BYTES_MAX,
            RecordKind::Checkpoint => METADATA_BYTES_MAX,
        }
    }
}

/// An id as the format has it: a number, and no text; or zero, and a text.
pub(super) fn id_fields(id: &DocumentId) -> (u64, &str) {
    match id {
        DocumentId::Number(number) => (*number, ""),
        DocumentId::Text(text) => (0, text.as_str()),
    }
}

/// The byte that says how long the text of an id is; zero stands for a number.
pub(super) fn text_length(text: &str) -> u8 {
    u8::try_from(text.len()).expect("a text of an id is at most 255 bytes long")
}

/// What the text of an id takes.
pub(super) fn text_bytes(id: &DocumentId) -> usize {
    id.as_text().map_or(0, str::len)
}

/// The id of these fields; `None` when the text breaks a rule.
pub(super) fn id_of(number: u64, text: &[u8]) -> Option<DocumentId> {
    if text.is_empty() {
        return Some(DocumentId::Number(number));
    }
    DocumentId::text(std::str::from_utf8(text).ok()?).ok()
}

/// What follows a record's header.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    None,
    Document(Document),
    Name(CollectionName),
    Metadata(Buffer),
}

impl Payload {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Payload::None => &[],
            Payload::Document(document) => document.bytes(),
            Payload::Name(name) => name.as_str().as_bytes(),
            Payload::Metadata(body) => body.as_slice(),
        }
    }

    pub(crate) fn crc32(&self) -> u32 {
        match self {
            Payload::None => 0,
            Payload::Document(document) => document.crc32(),
            Payload::Name(_) | Payload::Metadata(_) => crc32fast::hash(self.bytes()),
        }
    }
}

impl Payload {
    /// What belongs to a record of this kind, if the checksum is that of the bytes.
    fn decode(kind: RecordKind, bytes: &[u8], crc32: u32) -> Option<Payload> {
        match kind {
            RecordKind::Create | RecordKind::Update => {
                let document = Document::trusted(Arc::from(bytes));
                (document.crc32() == crc32).then_some(Payload::Document(document))
            }
            RecordKind::CreateCollection => {
                let name = CollectionName::parse(std::str::from_utf8(bytes).ok()?).ok()?;
                (crc32fast::hash(bytes) == crc32).then_some(Payload::Name(name))
            }
            RecordKind::Checkpoint => {
                (crc32fast::hash(bytes) == crc32).then(|| Payload::Metadata(Buffer::from(bytes.to_vec())))
            }
            RecordKind::Delete | RecordKind::Commit => bytes.is_empty().then_some(Payload::None),
        }
    }
}

/// A record, wherever it is written.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: RecordKind,
    pub(crate) tx: TxId,
    pub(crate) collection: CollectionId,
    pub(crate) document: DocumentId,
    pub(crate) payload: Payload,
}

/// Where a record stands and in whose log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) database: DatabaseId,
    pub(crate) epoch: u64,
    pub(crate) lsn: Lsn,
}

impl Record {
    pub(crate) fn bytes(&self) -> usize {
        self.header_bytes() + self.payload.bytes().len()
    }

    /// What it takes beside its fixed part.
    pub(crate) fn variable_bytes(&self) -> usize {
        self.bytes() - RECORD_HEADER_BYTES
    }

    /// All in front of the payload: the fixed part, and the document's id where it is a text.
    fn header_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + text_bytes(&self.document)
    }

    /// Appends the header alone; the payload goes to disk from the buffer it is in.
    pub(crate) fn encode_header(&self, place: Place, out: &mut Vec<u8>) {
        let start = out.len();
        put_u32(out, 0);
        let (number, text) = id_fields(&self.document);
        out.extend_from_slice(&[self.kind as u8, text_length(text), 0, 0]);
        put_u64(out, place.database.get());
        put_u64(out, place.epoch);
        put_u64(out, place.lsn.0);
        put_u64(out, self.tx.0);
        put_u64(out, number);
        put_u32(out, self.collection.0);
        let payload_bytes = u32::try_from(self.payload.bytes().len()).expect("documents and metadata are bounded");
        put_u32(out, payload_bytes);
        put_u32(out, self.payload.crc32());
        put_u32(out, 0);
        out.extend_from_slice(text.as_bytes());
        assert_eq!(out.len() - start, self.header_bytes(), "the layout is as FORMAT.md says");
        let crc32 = crc32fast::hash(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc32.to_le_bytes());
    }

    /// The database that a record at the front of `bytes` would name; `None` where there are too few bytes to say.
    pub(crate) fn database_of(bytes: &[u8]) -> Option<&[u8; 8]> {
        bytes.get(8..)?.first_chunk()
    }

    /// What stands at the front of `bytes`, which lie at `place`.
    pub(crate) fn decode(place: Place, bytes: &[u8]) -> Decoded<Record> {
        let Some(header) = bytes.get(..RECORD_HEADER_BYTES).and_then(Header::read) else {
            return Decoded::Begun(RECORD_HEADER_BYTES);
        };
        // The cheap comparison first: salvaging looks for records at every byte.
        let is_here = header.written == (place.database.get(), place.epoch, place.lsn.0);
        if !is_here {
            return Decoded::Nothing;
        }
        let header_bytes = RECORD_HEADER_BYTES + usize::from(header.text_bytes);
        let Some(covered) = bytes.get(4..header_bytes) else { return Decoded::Begun(header_bytes) };
        if header.crc32 != crc32fast::hash(covered) {
            return Decoded::Nothing;
        }
        let kind = match RecordKind::from_number(header.kind) {
            Some(kind) if header.reserved_is_zero && kind.may_have_text(header.text_bytes) => kind,
            Some(_) | None => return Decoded::Newer,
        };
        // Numbers that are never given: the largest collection's, so that there is always a next one, and transaction 0,
        // which is before the first one.
        let is_given = (1..1 << 63).contains(&header.tx) && header.collection < u32::MAX;
        if !is_given || header.payload_bytes > kind.payload_bytes_max() {
            return Decoded::Nothing;
        }
        let text = &bytes[RECORD_HEADER_BYTES..header_bytes];
        let Some(document) = id_of(header.number, text) else { return Decoded::Nothing };
        let bytes_in_all = header_bytes + header.payload_bytes;
        let Some(payload) = bytes.get(header_bytes..bytes_in_all) else {
            return Decoded::Begun(bytes_in_all);
        };
        let Some(payload) = Payload::decode(kind, payload, header.payload_crc32) else { return Decoded::Nothing };
        let (tx, collection) = (TxId(header.tx), CollectionId(header.collection));
        Decoded::Whole(Record { kind, tx, collection, document, payload })
    }
}

/// The fixed part as it stands there.
struct Header {
    crc32: u32,
    kind: u8,
    text_bytes: u8,
    written: (u64, u64, u64),
    tx: u64,
    number: u64,
    collection: u32,
    payload_bytes: usize,
    payload_crc32: u32,
    reserved_is_zero: bool,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let mut fields = Fields::new(bytes);
        let (crc32, kind, text_bytes, zeros) = (fields.u32()?, fields.u8()?, fields.u8()?, fields.bytes(2)?);
        let written = (fields.u64()?, fields.u64()?, fields.u64()?);
        let (tx, number, collection) = (fields.u64()?, fields.u64()?, fields.u32()?);
        let (payload_bytes, payload_crc32) = (fields.u32()? as usize, fields.u32()?);
        let reserved_is_zero = zeros == [0; 2] && fields.u32()? == 0 && (text_bytes == 0 || number == 0);
        Some(Header {
            crc32,
            kind,
            text_bytes,
            written,
            tx,
            number,
            collection,
            payload_bytes,
            payload_crc32,
            reserved_is_zero,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { database: DatabaseId::FIRST, epoch: 3, lsn: Lsn(512) };

    /// One of each kind, as its bytes stand in the log, with a few bytes of what follows.
    fn records() -> Vec<(Record, Vec<u8>)> {
        let payloads = [
            (RecordKind::Create, Payload::Document(Document::parse(b"{\"a\":1}").unwrap())),
            (RecordKind::Update, Payload::Document(Document::parse(b"2").unwrap())),
            (RecordKind::Delete, Payload::None),
            (RecordKind::Commit, Payload::None),
            (RecordKind::CreateCollection, Payload::Name(CollectionName::parse("notes").unwrap())),
            (RecordKind::Checkpoint, Payload::Metadata(Buffer::from(b"any bytes".to_vec()))),
        ];
        let ids = [DocumentId::Number(u64::MAX), DocumentId::text("ä/1").unwrap()];
        let written = payloads.into_iter().flat_map(|payload| ids.clone().map(|id| (payload.clone(), id)));
        let written = written.filter(|((kind, _), id)| kind.may_have_text(text_length(id_fields(id).1)));
        let written = written.map(|((kind, payload), document)| {
            let collection = CollectionId(7);
            let record = Record { kind, tx: TxId(9), collection, document, payload };
            let mut bytes = Vec::new();
            record.encode_header(PLACE, &mut bytes);
            bytes.extend_from_slice(record.payload.bytes());
            assert_eq!(bytes.len(), record.bytes());
            bytes.extend_from_slice(&[0xff; 5]);
            (record, bytes)
        });
        written.collect()
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        for (record, bytes) in records() {
            let read = Record::decode(PLACE, &bytes).whole().expect("it is whole");
            assert_eq!((read.kind, read.tx, read.collection, read.document), {
                (record.kind, record.tx, record.collection, record.document.clone())
            });
            assert_eq!(read.payload.bytes(), record.payload.bytes());
            assert_eq!(read.payload.crc32(), record.payload.crc32());
        }
    }

    #[test]
    fn a_record_with_any_bit_turned_or_any_byte_missing_is_none() {
        for (record, bytes) in records() {
            for at in 0..record.bytes() {
                assert!(
                    matches!(Record::decode(PLACE, &bytes[..at]), Decoded::Begun(bytes) if bytes > at),
                    "{:?} cut at {at}",
                    record.kind
                );
                for bit in 0..8 {
                    let mut turned = bytes.clone();
                    turned[at] ^= 1 << bit;
                    // With another length of its text the header may end beyond the bytes that are there.
                    let decoded = Record::decode(PLACE, &turned);
                    let is_none =
                        matches!(decoded, Decoded::Nothing) || (at == 5 && matches!(decoded, Decoded::Begun(_)));
                    assert!(is_none, "{:?}, byte {at}", record.kind);
                }
            }
        }
    }

    #[test]
    fn a_record_at_another_place_is_none() {
        let others = [
            Place { database: DatabaseId::FIRST.next().unwrap(), ..PLACE },
            Place { epoch: 2, ..PLACE },
            Place { lsn: Lsn(1024), ..PLACE },
        ];
        for (_, bytes) in records() {
            assert!(others.iter().all(|place| matches!(Record::decode(*place, &bytes), Decoded::Nothing)));
        }
    }

    /// A deletion, with `change` made to its bytes and a checksum that is right.
    fn forged(change: fn(&mut Vec<u8>)) -> Decoded<Record> {
        of_text(4, change)
    }

    /// One of [`records`], likewise.
    fn of_text(which: usize, change: fn(&mut Vec<u8>)) -> Decoded<Record> {
        let (record, mut bytes) = records().swap_remove(which);
        change(&mut bytes);
        let crc32 = crc32fast::hash(&bytes[4..record.header_bytes()]);
        bytes[..4].copy_from_slice(&crc32.to_le_bytes());
        Record::decode(PLACE, &bytes)
    }

    #[test]
    fn a_text_that_is_no_id_is_not_read() {
        assert!(matches!(of_text(5, |_| {}), Decoded::Whole(record) if record.document.as_text() == Some("ä/1")));
        assert!(matches!(of_text(5, |bytes| bytes[67] = 7), Decoded::Nothing), "a control character");
        assert!(matches!(of_text(5, |bytes| bytes[64] = 0xff), Decoded::Nothing), "no UTF-8");
        assert!(matches!(of_text(5, |bytes| bytes[40] = 1), Decoded::Newer), "a number beside a text");
    }

    #[test]
    fn numbers_that_are_never_given_are_not_read() {
        assert!(matches!(forged(|_| {}), Decoded::Whole(_)));
        assert!(matches!(forged(|bytes| bytes[48..52].fill(0xff)), Decoded::Nothing), "the largest collection");
        assert!(matches!(forged(|bytes| bytes[39] = 0x80), Decoded::Nothing), "a transaction beyond 2^63");
        assert!(matches!(forged(|bytes| bytes[32..40].fill(0)), Decoded::Nothing), "a transaction before the first");
        assert!(matches!(forged(|bytes| bytes[52] = 1), Decoded::Nothing), "a deletion with a payload");
        assert!(matches!(forged(|bytes| bytes[55] = 2), Decoded::Nothing), "more than a document may be long");
    }

    #[test]
    fn what_only_a_later_version_writes_is_told_from_damage() {
        assert!(matches!(forged(|bytes| bytes[4] = 2), Decoded::Newer), "a kind that there is not");
        for reserved in (6..8).chain(60..64) {
            let mut newer = records().swap_remove(0).1;
            newer[reserved] = 1;
            assert!(matches!(Record::decode(PLACE, &newer), Decoded::Nothing), "a bit turned in byte {reserved}");
            let crc32 = crc32fast::hash(&newer[4..RECORD_HEADER_BYTES]);
            newer[..4].copy_from_slice(&crc32.to_le_bytes());
            assert!(matches!(Record::decode(PLACE, &newer), Decoded::Newer), "a use for byte {reserved}");
        }
    }
}
