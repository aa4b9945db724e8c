//! The header of a log segment.
//!
//! It says whose the file is and which part of the log it holds. Two copies lie in different sectors,
//! so that one damaged sector does not lose a segment; it is written once, after all that it vouches for is durable.

use docdb_protocol::DatabaseId;

use super::{Fields, Lsn, put_u32, put_u64};
use crate::clock::WallTime;
use crate::disk::SECTOR_BYTES;

/// Where the first batch begins: a whole page, so that batches do not share one with the header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"DOCDBLOG";
const VERSION: u32 = 1;
const COPY_BYTES: usize = 48;
const SECOND_COPY_OFFSET: usize = SEGMENT_HEADER_BYTES / 2;
const COPY_OFFSETS: [usize; 2] = [0, SECOND_COPY_OFFSET];
const _: () = assert!(COPY_BYTES <= SECTOR_BYTES && SECOND_COPY_OFFSET.is_multiple_of(SECTOR_BYTES));

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) database: DatabaseId,
    /// Larger than that of every segment written before; orders segments.
    pub(crate) epoch: u64,
    /// Everything below was durable when this header was written.
    pub(crate) start_lsn: Lsn,
    /// When the database was created; kept here too, so that the catalog can be rebuilt.
    pub(crate) created_at: WallTime,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        copy.extend_from_slice(MAGIC);
        put_u32(&mut copy, VERSION);
        put_u64(&mut copy, self.database.get());
        put_u64(&mut copy, self.epoch);
        put_u64(&mut copy, self.start_lsn.0);
        put_u64(&mut copy, self.created_at.0);
        let crc32 = crc32fast::hash(&copy);
        put_u32(&mut copy, crc32);
        assert_eq!(copy.len(), COPY_BYTES, "the layout is as FORMAT.md says");
        let mut bytes = copy.clone();
        bytes.resize(SECOND_COPY_OFFSET, 0);
        bytes.extend_from_slice(&copy);
        bytes.resize(SEGMENT_HEADER_BYTES, 0);
        bytes
    }

    /// The header of a segment that begins with `bytes`; `None` when neither copy is valid, or when both are and a
    /// later version put something behind them.
    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        if has_more(bytes) {
            return None;
        }
        COPY_OFFSETS.into_iter().find_map(|offset| decode_copy(bytes.get(offset..offset + COPY_BYTES)?))
    }

    /// Whether a later version wrote the segment, in a format that cannot be judged here: a header that is not valid
    /// names a higher version in both copies, or both say more than this version knows. One alone may be damage.
    pub(crate) fn is_newer(bytes: &[u8]) -> bool {
        has_more(bytes) || COPY_OFFSETS.into_iter().all(|offset| bytes.get(offset..).is_some_and(copy_is_newer))
    }
}

/// Whether the same bytes stand behind both copies, both valid, where this version has zeros. No checksum covers those,
/// so what stands behind one copy alone, or differs, is damage that hit nothing.
fn has_more(bytes: &[u8]) -> bool {
    let Some((first, second)) = bytes.get(..SEGMENT_HEADER_BYTES).map(|bytes| bytes.split_at(SECOND_COPY_OFFSET))
    else {
        return false;
    };
    let is_same = first[COPY_BYTES..] == second[COPY_BYTES..] && first[COPY_BYTES..].iter().any(|byte| *byte != 0);
    is_same && decode_copy(&first[..COPY_BYTES]).is_some() && decode_copy(&second[..COPY_BYTES]).is_some()
}

fn copy_is_newer(bytes: &[u8]) -> bool {
    let mut fields = Fields::new(bytes);
    fields.bytes(MAGIC.len()) == Some(MAGIC) && fields.u32().is_some_and(|version| version > VERSION)
}

fn decode_copy(bytes: &[u8]) -> Option<SegmentHeader> {
    let mut fields = Fields::new(bytes);
    let (magic, version) = (fields.bytes(MAGIC.len())?, fields.u32()?);
    let header = SegmentHeader {
        database: DatabaseId::new(fields.u64()?)?,
        epoch: fields.count()?,
        start_lsn: Lsn(fields.count()?),
        created_at: WallTime(fields.u64()?),
    };
    let valid = magic == MAGIC && version == VERSION && fields.u32()? == crc32fast::hash(&bytes[..COPY_BYTES - 4]);
    valid.then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_damaged_sector_does_not_lose_a_header() {
        let header = SegmentHeader {
            database: DatabaseId::FIRST,
            epoch: 7,
            start_lsn: Lsn(512),
            created_at: WallTime(1_700_000_000_000_000_000),
        };
        let bytes = header.encode();
        for sector in 0..SEGMENT_HEADER_BYTES / SECTOR_BYTES {
            let mut damaged = bytes.clone();
            damaged[sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(0xff);
            assert_eq!(SegmentHeader::decode(&damaged), Some(header), "sector {sector}");
        }
        for at in 0..COPY_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), Some(header), "byte {at}");
        }
        assert_eq!(SegmentHeader::decode(&[0; SEGMENT_HEADER_BYTES]), None);
        assert_eq!(SegmentHeader::decode(&bytes[..10]), None);
    }

    #[test]
    fn what_stands_behind_both_copies_is_of_a_later_version_and_behind_one_is_damage() {
        let header =
            SegmentHeader { database: DatabaseId::FIRST, epoch: 1, start_lsn: Lsn(0), created_at: WallTime(1) };
        for at in [COPY_BYTES, 512, SECOND_COPY_OFFSET - 1] {
            let mut bytes = header.encode();
            bytes[at] = 1;
            assert_eq!(SegmentHeader::decode(&bytes), Some(header), "byte {at} turned");
            bytes[SECOND_COPY_OFFSET + at] = 2;
            assert_eq!(SegmentHeader::decode(&bytes), Some(header), "two bytes turned");
            bytes[SECOND_COPY_OFFSET + at] = 1;
            assert!(SegmentHeader::decode(&bytes).is_none() && SegmentHeader::is_newer(&bytes), "a use for byte {at}");
        }
    }

    #[test]
    fn a_header_of_a_later_version_is_told_from_damage() {
        let header =
            SegmentHeader { database: DatabaseId::FIRST, epoch: 1, start_lsn: Lsn(0), created_at: WallTime(1) };
        let mut bytes = header.encode();
        assert!(!SegmentHeader::is_newer(&bytes));
        bytes[MAGIC.len()] += 1;
        assert!(!SegmentHeader::is_newer(&bytes), "one copy alone may be damage");
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        bytes[SECOND_COPY_OFFSET + MAGIC.len()] += 1;
        assert!(SegmentHeader::is_newer(&bytes));
        assert!(!SegmentHeader::is_newer(&bytes[..10]) && !SegmentHeader::is_newer(&[0; SEGMENT_HEADER_BYTES]));
    }
}
