//! Parts: what the frames of a table hold, one behind the other, each with a header of its own.
//!
//! ```text
//! 0   u32  CRC32 of the database's id, the table's number and this part's offset in the file (u64 each), then of all from byte 4 on
//! 4   u8   kind: 1 block, 2 index, 3 filter, 4 collections, 5 footer
//! 5   u8   codec: 0 none, 1 LZ4
//! 6   u16  zero
//! 8   u32  stored length, of what follows this header
//! 12  u32  raw length: what it is when it is no longer compressed
//! ```
//!
//! Invariants: what is covered by the checksum beside its bytes is not stored with them, so that a part of another table or
//! of another place is damage. No length is believed before the checksum.

use std::fmt;

use docdb_protocol::DatabaseId;
use docdb_protocol::limits::DOCUMENT_BYTES_MAX;

use super::codec::{self, Compression};
use crate::log::Fields;

/// What stands in front of every part.
pub const PART_HEADER_BYTES: usize = 16;

/// No part is longer, stored or raw: a document of the largest size, and what stands beside it.
pub const PART_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 1024 * 1024;

/// Which database and table number a file was written under. Metadata and the file's header name it, so that a copy of a
/// database, which has another id, may keep its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableIdentity {
    /// The database.
    pub database: DatabaseId,
    /// The table's number within it.
    pub number: u64,
}

impl TableIdentity {
    /// A checksum that has covered whose table it is and where in the file the bytes stand.
    pub(super) fn checksum_at(self, offset: u64) -> crc32fast::Hasher {
        let mut beside = [0; 24];
        beside[..8].copy_from_slice(&self.database.get().to_le_bytes());
        beside[8..16].copy_from_slice(&self.number.to_le_bytes());
        beside[16..].copy_from_slice(&offset.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&beside);
        hasher
    }

    pub(super) fn crc32_at(self, offset: u64, bytes: &[u8]) -> u32 {
        let mut hasher = self.checksum_at(offset);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// What a part is. The numbers are the format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PartKind {
    /// Entries, in the order of their keys.
    Block = 1,
    /// Where the blocks of a section stand, and which keys each may have.
    Index = 2,
    /// Which keys a section, or a damaged range, has not.
    Filter = 3,
    /// The collections of the database when the table was written.
    Collections = 4,
    /// What the table says of itself.
    Footer = 5,
}

impl PartKind {
    fn from_number(number: u8) -> Option<PartKind> {
        Some(match number {
            1 => PartKind::Block,
            2 => PartKind::Index,
            3 => PartKind::Filter,
            4 => PartKind::Collections,
            5 => PartKind::Footer,
            _ => return None,
        })
    }
}

/// Where a part stands in its file. Of one table, no two parts have the same kind and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartPlace {
    /// What stands there.
    pub kind: PartKind,
    /// The first byte, of its header.
    pub offset: u64,
    /// How much to read: the part with its header, and at most what stands between two frames besides.
    pub bytes: u32,
}

/// Why bytes are not the part that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartError {
    /// They are damaged, or of another place or table.
    Damaged,
    /// The checksum is right, and a later version wrote them.
    Newer,
}

impl fmt::Display for PartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            PartError::Damaged => "damaged part of a table",
            PartError::Newer => "part of a table that a later version wrote",
        })
    }
}

impl std::error::Error for PartError {}

/// Makes room for the header of a part that is appended next; answers where it is.
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; PART_HEADER_BYTES]);
    out.len() - PART_HEADER_BYTES
}

/// Writes the header of the part that began at `start` of `out`, which is at `offset` in the file and ends where `out` does.
pub(super) fn finish(
    identity: TableIdentity,
    kind: PartKind,
    codec: Compression,
    raw_bytes: usize,
    offset: u64,
    part: &mut [u8],
) -> PartPlace {
    let stored_bytes = part.len() - PART_HEADER_BYTES;
    assert!(stored_bytes.max(raw_bytes) <= PART_BYTES_MAX, "whoever makes a part bounds it");
    let length = |bytes: usize| u32::try_from(bytes).expect("bounded above");
    part[4] = kind as u8;
    part[5] = codec.number();
    part[8..12].copy_from_slice(&length(stored_bytes).to_le_bytes());
    part[12..16].copy_from_slice(&length(raw_bytes).to_le_bytes());
    let crc32 = identity.crc32_at(offset, &part[4..]);
    part[..4].copy_from_slice(&crc32.to_le_bytes());
    PartPlace { kind, offset, bytes: length(part.len()) }
}

/// The header of a part as it stands there; nothing of it is believed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartHeader {
    crc32: u32,
    kind: u8,
    codec: u8,
    reserved: u16,
    pub(super) stored_bytes: usize,
    raw_bytes: usize,
}

impl PartHeader {
    /// What may be a header at the front of `bytes`; `None` where a length is beyond all bounds.
    pub(super) fn read(bytes: &[u8]) -> Option<PartHeader> {
        let mut fields = Fields::new(bytes);
        let (crc32, kind, codec) = (fields.u32()?, fields.u8()?, fields.u8()?);
        let reserved = u16::from_le_bytes(*fields.bytes(2)?.first_chunk()?);
        let (stored_bytes, raw_bytes) = (fields.u32()? as usize, fields.u32()? as usize);
        let bounded = stored_bytes <= PART_BYTES_MAX && raw_bytes <= PART_BYTES_MAX;
        bounded.then_some(PartHeader { crc32, kind, codec, reserved, stored_bytes, raw_bytes })
    }

    /// What this version could have written.
    pub(super) fn kind(&self) -> Option<PartKind> {
        PartKind::from_number(self.kind)
            .filter(|_| Compression::from_number(self.codec).is_some() && self.reserved == 0)
    }

    pub(super) fn part_bytes(&self) -> usize {
        PART_HEADER_BYTES + self.stored_bytes
    }
}

/// A part whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed<'bytes> {
    codec: Compression,
    raw_bytes: usize,
    stored: &'bytes [u8],
}

/// The part of this kind at the front of `bytes`, which were read at `offset`; what stands behind it is not looked at.
pub(super) fn open(
    identity: TableIdentity,
    kind: PartKind,
    offset: u64,
    bytes: &[u8],
) -> Result<Sealed<'_>, PartError> {
    let header = PartHeader::read(bytes).ok_or(PartError::Damaged)?;
    let part = bytes.get(..header.part_bytes()).ok_or(PartError::Damaged)?;
    if header.crc32 != identity.crc32_at(offset, &part[4..]) {
        return Err(PartError::Damaged);
    }
    let codec = Compression::from_number(header.codec).filter(|_| header.reserved == 0);
    let (Some(codec), Some(known)) = (codec, PartKind::from_number(header.kind)) else {
        return Err(PartError::Newer);
    };
    if known != kind {
        return Err(PartError::Damaged);
    }
    Ok(Sealed { codec, raw_bytes: header.raw_bytes, stored: &part[PART_HEADER_BYTES..] })
}

impl<'bytes> Sealed<'bytes> {
    /// What the part holds: the bytes themselves, or in `scratch` what they were before they were compressed.
    pub(super) fn raw(self, scratch: &'bytes mut Vec<u8>) -> Result<&'bytes [u8], PartError> {
        match self.codec {
            Compression::None if self.stored.len() == self.raw_bytes => Ok(self.stored),
            Compression::None => Err(PartError::Damaged),
            Compression::Lz4 => codec::decompress(self.stored, self.raw_bytes, scratch).ok_or(PartError::Damaged),
        }
    }

    pub(super) fn is_compressed(self) -> bool {
        self.codec != Compression::None
    }

    pub(super) fn part_bytes(self) -> usize {
        PART_HEADER_BYTES + self.stored.len()
    }

    /// Likewise, copied.
    pub(super) fn into_raw(self) -> Result<Box<[u8]>, PartError> {
        let mut scratch = Vec::new();
        if self.is_compressed() {
            self.raw(&mut scratch)?;
            return Ok(scratch.into());
        }
        Ok(self.raw(&mut scratch)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: TableIdentity = TableIdentity { database: DatabaseId::FIRST, number: 3 };

    fn part(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        begin(&mut out);
        out.extend_from_slice(body);
        finish(IDENTITY, PartKind::Index, Compression::None, body.len(), 512, &mut out);
        out
    }

    fn opened(identity: TableIdentity, offset: u64, bytes: &[u8]) -> Result<Vec<u8>, PartError> {
        open(identity, PartKind::Index, offset, bytes)?.into_raw().map(Vec::from)
    }

    #[test]
    fn a_part_is_read_at_its_place_alone() {
        let mut bytes = part(b"body");
        bytes.extend_from_slice(b"what follows");
        assert_eq!(opened(IDENTITY, 512, &bytes), Ok(b"body".to_vec()));
        assert_eq!(opened(IDENTITY, 1024, &bytes), Err(PartError::Damaged), "another place");
        let other = TableIdentity { number: 4, ..IDENTITY };
        assert_eq!(opened(other, 512, &bytes), Err(PartError::Damaged), "another table");
        let other = TableIdentity { database: DatabaseId::FIRST.next().unwrap(), ..IDENTITY };
        assert_eq!(opened(other, 512, &bytes), Err(PartError::Damaged), "another database");
        assert_eq!(open(IDENTITY, PartKind::Filter, 512, &bytes).unwrap_err(), PartError::Damaged, "another kind");
    }

    #[test]
    fn a_part_with_any_bit_turned_or_any_byte_missing_is_damaged() {
        let bytes = part(b"body");
        for at in 0..bytes.len() {
            assert_eq!(opened(IDENTITY, 512, &bytes[..at]), Err(PartError::Damaged), "cut at {at}");
            for bit in 0..8 {
                let mut turned = bytes.clone();
                turned[at] ^= 1 << bit;
                assert_eq!(opened(IDENTITY, 512, &turned), Err(PartError::Damaged), "byte {at}");
            }
        }
    }

    #[test]
    fn what_only_a_later_version_writes_is_told_from_damage() {
        for at in 4..8 {
            let mut newer = part(b"body");
            newer[at] = 9;
            let crc32 = IDENTITY.crc32_at(512, &newer[4..]);
            newer[..4].copy_from_slice(&crc32.to_le_bytes());
            assert_eq!(opened(IDENTITY, 512, &newer), Err(PartError::Newer), "byte {at}");
        }
    }
}
