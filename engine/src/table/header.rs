//! The first sector of a table's file: what every file begins with, and whose table it is.
//!
//! Invariants: metadata names the same identity, so that a damaged header costs nothing but the warning.

use docdb_protocol::DatabaseId;

use super::part::TableIdentity;
use crate::disk::SECTOR_BYTES;
use crate::log::{DirectoryId, Header, file_header, put_u64};

/// Every table begins with it.
pub const TABLE_MAGIC: &[u8; 8] = b"DOCDBTAB";

/// The header and the zeros behind it: where the first frame begins.
pub const TABLE_HEADER_BYTES: usize = SECTOR_BYTES;

/// What the front of a table's file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableHeader {
    /// This version reads the table.
    Readable {
        /// The data directory that the table was written in.
        directory: DirectoryId,
        /// What its checksums cover.
        identity: TableIdentity,
        /// Whether a later version asked for nothing that a writer must know.
        is_writable: bool,
    },
    /// A later version wrote it.
    Newer,
    /// An earlier version wrote it, which this one does not read.
    Older {
        /// The version.
        version: u32,
    },
    /// None is here, or it is damaged.
    Damaged,
}

impl TableHeader {
    /// Reads a header at the front of `bytes`, which are the file's first [`TABLE_HEADER_BYTES`] or fewer.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> TableHeader {
        match file_header::decode(TABLE_MAGIC, bytes) {
            Header::Newer => TableHeader::Newer,
            Header::Nothing => file_header::older_version(TABLE_MAGIC, bytes)
                .map_or(TableHeader::Damaged, |version| TableHeader::Older { version }),
            Header::Readable { directory, is_writable, mut fields } => {
                let identity = fields.u64().and_then(DatabaseId::new).zip(fields.count());
                identity.map_or(TableHeader::Damaged, |(database, number)| TableHeader::Readable {
                    directory,
                    identity: TableIdentity { database, number },
                    is_writable,
                })
            }
        }
    }
}

/// The header with its zeros.
pub(super) fn encode(directory: DirectoryId, identity: TableIdentity) -> Vec<u8> {
    let mut own = Vec::new();
    put_u64(&mut own, identity.database.get());
    put_u64(&mut own, identity.number);
    let mut sector = file_header::encode(TABLE_MAGIC, directory, &own);
    sector.resize(TABLE_HEADER_BYTES, 0);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::file_header::tests::{TO_READ_AT, TO_WRITE_AT, VERSION_AT, change, set};

    const IDENTITY: TableIdentity = TableIdentity { database: DatabaseId::FIRST, number: 3 };

    #[test]
    fn a_header_says_whose_table_it_is_and_which_version_wrote_it() {
        let changed = |at: usize| {
            let mut header = encode(DirectoryId(7), IDENTITY);
            change(&mut header, at);
            TableHeader::decode(&header)
        };
        let header = encode(DirectoryId(7), IDENTITY);
        let readable = TableHeader::Readable { directory: DirectoryId(7), identity: IDENTITY, is_writable: true };
        assert_eq!(TableHeader::decode(&header), readable);
        assert_eq!(changed(VERSION_AT), TableHeader::Newer);
        assert_eq!(changed(TO_READ_AT), TableHeader::Newer);
        assert!(matches!(changed(TO_WRITE_AT), TableHeader::Readable { is_writable: false, .. }));
        let mut older = header.clone();
        set(&mut older, VERSION_AT, 0);
        assert_eq!(TableHeader::decode(&older), TableHeader::Older { version: 0 });
        for at in 0..48 + 16 + 4 {
            let mut turned = header.clone();
            turned[at] ^= 1;
            assert_eq!(TableHeader::decode(&turned), TableHeader::Damaged, "byte {at}");
        }
    }
}
