//! One entry of a block: a key and the version that the table has of it.
//!
//! ```text
//! 0   u8   kind: 1 value, 2 tombstone, 3 damaged document
//! 1   u8   zero
//! 2   u16  length of the key
//! 4   u32  length of the document; 0 of a tombstone, what it was of a damaged document
//! 8   u64  TxId
//! 16  u32  CRC32 of the document; 0 of a tombstone, what it was of a damaged document
//! 20       key, then of a value the document
//! ```

use docdb_protocol::TxId;
use docdb_protocol::limits::DOCUMENT_BYTES_MAX;

use super::key::KEY_BYTES_MAX;
use super::part::PartError;
use crate::log::{Fields, put_u32, put_u64};

/// What stands in front of the key.
pub(super) const ENTRY_HEADER_BYTES: usize = 20;

/// A key and its version, which borrow the bytes they lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'bytes> {
    /// The key, encoded.
    pub key: &'bytes [u8],
    /// The transaction that wrote the version.
    pub tx: TxId,
    /// What it wrote.
    pub version: Version<'bytes>,
}

/// What a table knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version<'bytes> {
    /// A document.
    Value {
        /// Its bytes as the client sent them.
        document: &'bytes [u8],
        /// Their checksum as the log had it.
        crc32: u32,
    },
    /// It was deleted.
    Tombstone,
    /// A document whose bytes are lost. It is present and counted.
    Damaged {
        /// How many they were.
        length: u32,
        /// Their checksum.
        crc32: u32,
    },
}

impl Entry<'_> {
    /// What it takes in a block, beside its place in the list of entries.
    pub(super) fn bytes(&self) -> usize {
        let document = match self.version {
            Version::Value { document, .. } => document.len(),
            Version::Tombstone | Version::Damaged { .. } => 0,
        };
        ENTRY_HEADER_BYTES + self.key.len() + document
    }

    pub(super) fn append(&self, out: &mut Vec<u8>) {
        assert!(self.key.len() <= KEY_BYTES_MAX, "a key is never longer");
        let [low, high] = u16::try_from(self.key.len()).expect("a key is short").to_le_bytes();
        let (kind, length, crc32) = match self.version {
            Version::Value { document, crc32 } => {
                (1, u32::try_from(document.len()).expect("a document is at most 16 MiB"), crc32)
            }
            Version::Tombstone => (2, 0, 0),
            Version::Damaged { length, crc32 } => (3, length, crc32),
        };
        out.extend_from_slice(&[kind, 0, low, high]);
        put_u32(out, length);
        put_u64(out, self.tx.0);
        put_u32(out, crc32);
        out.extend_from_slice(self.key);
        if let Version::Value { document, .. } = self.version {
            out.extend_from_slice(document);
        }
    }
}

/// The key of the entry at the front of `bytes`: all that a search looks at.
pub(super) fn key_at(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16::from_le_bytes(*bytes.get(2..)?.first_chunk()?);
    let key = bytes.get(ENTRY_HEADER_BYTES..)?.get(..usize::from(length))?;
    (key.len() <= KEY_BYTES_MAX).then_some(key)
}

/// The entry at the front of `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Result<Entry<'_>, PartError> {
    let key = key_at(bytes).ok_or(PartError::Damaged)?;
    let (kind, reserved, length, tx, crc32) = header(bytes).ok_or(PartError::Damaged)?;
    if reserved != 0 {
        return Err(PartError::Newer);
    }
    let version = match kind {
        1 => {
            let document = bytes[ENTRY_HEADER_BYTES + key.len()..].get(..length as usize).ok_or(PartError::Damaged)?;
            Version::Value { document, crc32 }
        }
        2 => Version::Tombstone,
        3 => Version::Damaged { length, crc32 },
        _ => return Err(PartError::Newer),
    };
    let fits = match version {
        Version::Value { .. } | Version::Damaged { .. } => length as usize <= DOCUMENT_BYTES_MAX,
        Version::Tombstone => length == 0 && crc32 == 0,
    };
    let is_given = (1..1 << 63).contains(&tx);
    if !fits || !is_given {
        return Err(PartError::Damaged);
    }
    Ok(Entry { key, tx: TxId(tx), version })
}

fn header(bytes: &[u8]) -> Option<(u8, u8, u32, u64, u32)> {
    let mut fields = Fields::new(bytes);
    let (kind, reserved) = (fields.u8()?, fields.u8()?);
    fields.bytes(2)?;
    Some((kind, reserved, fields.u32()?, fields.u64()?, fields.u32()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> [Entry<'static>; 4] {
        let long: &'static [u8] = &[7; KEY_BYTES_MAX];
        [
            Entry { key: b"a", tx: TxId(1), version: Version::Value { document: b"{}", crc32: 5 } },
            Entry { key: b"b", tx: TxId((1 << 63) - 1), version: Version::Tombstone },
            Entry { key: b"c", tx: TxId(3), version: Version::Damaged { length: 9, crc32: 6 } },
            Entry { key: long, tx: TxId(3), version: Version::Tombstone },
        ]
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        for entry in entries() {
            let mut out = Vec::new();
            entry.append(&mut out);
            assert_eq!(out.len(), entry.bytes());
            assert_eq!(decode(&out), Ok(entry));
            for cut in 0..out.len() {
                assert_eq!(decode(&out[..cut]), Err(PartError::Damaged));
            }
        }
    }

    #[test]
    fn what_this_version_does_not_write_is_refused() {
        let changed = |which: usize, at: usize, to: u8| {
            let mut out = Vec::new();
            entries()[which].append(&mut out);
            out[at] = to;
            decode(&out).map(drop)
        };
        assert_eq!(changed(0, 0, 4), Err(PartError::Newer), "a kind that there is not");
        assert_eq!(changed(0, 1, 1), Err(PartError::Newer), "a use for a reserved byte");
        assert_eq!(changed(1, 4, 1), Err(PartError::Damaged), "a tombstone with a length");
        assert_eq!(changed(0, 8, 0), Err(PartError::Damaged), "the transaction before the first");
        assert_eq!(changed(0, 15, 0x80), Err(PartError::Damaged), "a transaction beyond 2^63");
        assert_eq!(changed(2, 7, 2), Err(PartError::Damaged), "longer than a document may be");
    }
}
