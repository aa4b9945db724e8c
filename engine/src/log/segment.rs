//! The header of a log segment.
//!
//! It says whose the file is and which part of the log it holds. Two copies lie in different sectors,
//! so that one damaged sector does not lose a segment; it is written once, after all that it vouches for is durable.

use docdb_protocol::DatabaseId;

use super::{DirectoryId, Header, Lsn, file_header, put_u64};
use crate::clock::WallTime;
use crate::disk::SECTOR_BYTES;

/// Where the first batch begins: a whole page, so that batches do not share one with the header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"DOCDBLOG";
/// Each copy has so much room.
const SECOND_COPY_OFFSET: usize = SEGMENT_HEADER_BYTES / 2;
const COPY_OFFSETS: [usize; 2] = [0, SECOND_COPY_OFFSET];
const _: () = assert!(SECOND_COPY_OFFSET.is_multiple_of(SECTOR_BYTES));

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The data directory to which the file belongs.
    pub(crate) directory: DirectoryId,
    pub(crate) database: DatabaseId,
    /// Larger than that of every segment written before; orders segments.
    pub(crate) epoch: u64,
    /// Everything below was durable when this header was written.
    pub(crate) start_lsn: Lsn,
    /// When the database was created; kept here too, so that the catalog can be rebuilt.
    pub(crate) created_at: WallTime,
    /// Whether this version knows every feature that a writer of the segment must know.
    pub(crate) is_writable: bool,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        assert!(self.is_writable, "only what was read can need what is not known");
        let mut own = Vec::new();
        put_u64(&mut own, self.database.get());
        put_u64(&mut own, self.epoch);
        put_u64(&mut own, self.start_lsn.0);
        put_u64(&mut own, self.created_at.0);
        let copy = file_header::encode(MAGIC, self.directory, &own);
        assert!(copy.len() <= SECTOR_BYTES, "one damaged sector is to hit one copy");
        let mut bytes = copy.clone();
        bytes.resize(SECOND_COPY_OFFSET, 0);
        bytes.extend_from_slice(&copy);
        bytes.resize(SEGMENT_HEADER_BYTES, 0);
        bytes
    }

    /// The header of a segment that begins with `bytes`; `None` when neither copy is one that can be read.
    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        copies(bytes).find_map(|copy| match copy {
            Header::Readable { directory, is_writable, mut fields } => Some(SegmentHeader {
                directory,
                database: DatabaseId::new(fields.u64()?)?,
                epoch: fields.count()?,
                start_lsn: Lsn(fields.count()?),
                created_at: WallTime(fields.u64()?),
                is_writable,
            }),
            Header::Newer | Header::Nothing => None,
        })
    }

    /// Whether a later version wrote the segment, in a format that cannot be judged here.
    pub(crate) fn is_newer(bytes: &[u8]) -> bool {
        SegmentHeader::decode(bytes).is_none() && copies(bytes).any(|copy| matches!(copy, Header::Newer))
    }
}

fn copies(bytes: &[u8]) -> impl Iterator<Item = Header<'_>> {
    let copy = |offset: usize| bytes.get(offset..bytes.len().min(offset + SECOND_COPY_OFFSET));
    COPY_OFFSETS.into_iter().filter_map(copy).map(|copy| file_header::decode(MAGIC, copy))
}

#[cfg(test)]
mod tests {
    use super::super::file_header::tests::{TO_READ_AT, TO_WRITE_AT, VERSION_AT, change};
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            directory: DirectoryId(0xd1),
            database: DatabaseId::FIRST,
            epoch: 7,
            start_lsn: Lsn(512),
            created_at: WallTime(1_700_000_000_000_000_000),
            is_writable: true,
        }
    }

    #[test]
    fn one_damaged_sector_does_not_lose_a_header() {
        let bytes = header().encode();
        for sector in 0..SEGMENT_HEADER_BYTES / SECTOR_BYTES {
            let mut damaged = bytes.clone();
            damaged[sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(0xff);
            assert_eq!(SegmentHeader::decode(&damaged), Some(header()), "sector {sector}");
        }
        for at in 0..SECTOR_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), Some(header()), "byte {at}");
        }
        assert_eq!(SegmentHeader::decode(&[0; SEGMENT_HEADER_BYTES]), None);
        assert_eq!(SegmentHeader::decode(&bytes[..10]), None);
    }

    #[test]
    fn a_header_of_a_later_version_is_told_from_damage() {
        for at in [VERSION_AT, TO_READ_AT] {
            let mut bytes = header().encode();
            assert!(!SegmentHeader::is_newer(&bytes));
            change(&mut bytes, at);
            assert_eq!(SegmentHeader::decode(&bytes), Some(header()), "the other copy can be read");
            assert!(!SegmentHeader::is_newer(&bytes));
            change(&mut bytes[SECOND_COPY_OFFSET..], at);
            assert!(SegmentHeader::is_newer(&bytes) && SegmentHeader::decode(&bytes).is_none());
            bytes[SECOND_COPY_OFFSET] ^= 1;
            assert!(SegmentHeader::is_newer(&bytes), "one copy that is whole is enough");
            bytes[0] ^= 1;
            assert!(!SegmentHeader::is_newer(&bytes), "two that are not say nothing");
        }
        let mut bytes = header().encode();
        [0, SECOND_COPY_OFFSET].into_iter().for_each(|offset| change(&mut bytes[offset..], TO_WRITE_AT));
        assert_eq!(SegmentHeader::decode(&bytes), Some(SegmentHeader { is_writable: false, ..header() }));
        assert!(!SegmentHeader::is_newer(&bytes[..10]) && !SegmentHeader::is_newer(&[0; SEGMENT_HEADER_BYTES]));
    }
}
