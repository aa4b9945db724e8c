//! The bytes of a snapshot: a header twice, in the first two sectors, then the body twice, each in whole sectors.
//!
//! FORMAT.md has the table. Nothing here knows of the journal but where it begins.

use docdb_protocol::DatabaseId;
use docdb_protocol::limits::DATABASES_MAX;

use super::bounds::CATALOG_BYTES_MAX;
use super::entry::{put_entry, read_entry};
use super::index::{Catalog, Unreadable};
use crate::disk::SECTOR_BYTES;
use crate::log::{DirectoryId, Fields, Header, file_header, put_u32, put_u64};

/// The first bytes of the file. A host reads them to see whether a directory is a data directory.
pub const CATALOG_MAGIC: &[u8; 8] = b"DOCDBCAT";
/// Where the copies of the header begin in the file.
pub const CATALOG_HEADER_OFFSETS: [u64; 2] = [0, SECTOR_BYTES as u64];

/// Both copies of the header.
const HEADERS_BYTES: usize = CATALOG_HEADER_OFFSETS.len() * SECTOR_BYTES;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SnapshotHeader {
    directory: DirectoryId,
    generation: u64,
    body_bytes: u32,
    body_crc32: u32,
}

/// What a snapshot says.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) directory: DirectoryId,
    pub(super) generation: u64,
    pub(super) journal_offset: usize,
    /// `None` when no copy of the body is whole.
    pub(super) catalog: Option<Catalog>,
}

pub(super) fn encode(catalog: &Catalog) -> Vec<u8> {
    let mut body = Vec::new();
    put_u64(&mut body, catalog.starts);
    put_u64(&mut body, catalog.next_database.get());
    put_u32(&mut body, u32::try_from(catalog.entries.len()).expect("at most DATABASES_MAX"));
    for (id, entry) in &catalog.entries {
        put_entry(&mut body, *id, entry);
    }
    let header = SnapshotHeader {
        directory: catalog.directory,
        generation: catalog.generation,
        body_bytes: u32::try_from(body.len()).expect("DATABASES_MAX entries stay below 4 GiB"),
        body_crc32: crc32fast::hash(&body),
    };
    body.resize(body.len().next_multiple_of(SECTOR_BYTES), 0);
    let mut bytes = encode_header(header);
    bytes.extend(bytes.clone());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&body);
    bytes
}

/// # Errors
/// `Newer` when a whole header says so. `None` when no header is whole.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<Found>, Unreadable> {
    let (mut found, mut is_newer) = (None, None);
    for number in 0..2 {
        let Some(header) = bytes.get(number * SECTOR_BYTES..).and_then(|bytes| bytes.get(..SECTOR_BYTES)) else {
            continue;
        };
        let header = match decode_header(header) {
            Ok(Some(header)) => header,
            Ok(None) => continue,
            Err(newer) => {
                is_newer = Some(newer);
                continue;
            }
        };
        // A header that went astray has no body here; the other one has.
        let body_bytes = header.body_bytes as usize;
        let copy_bytes = body_bytes.next_multiple_of(SECTOR_BYTES);
        let body = |copy: usize| bytes.get(HEADERS_BYTES + copy * copy_bytes..)?.get(..body_bytes);
        let whole = |copy| body(copy).filter(|body| crc32fast::hash(body) == header.body_crc32).and_then(decode_body);
        let catalog = (0..2).find_map(whole);
        let journal_offset = HEADERS_BYTES + 2 * copy_bytes;
        let is_whole = catalog.is_some();
        found = Some(Found { directory: header.directory, generation: header.generation, journal_offset, catalog });
        if is_whole {
            break;
        }
    }
    match (found, is_newer) {
        (None, Some(newer)) => Err(newer),
        (found, _) => Ok(found),
    }
}

fn encode_header(header: SnapshotHeader) -> Vec<u8> {
    let mut own = Vec::new();
    put_u64(&mut own, header.generation);
    put_u32(&mut own, header.body_bytes);
    put_u32(&mut own, header.body_crc32);
    let mut bytes = file_header::encode(CATALOG_MAGIC, header.directory, &own);
    assert!(bytes.len() <= SECTOR_BYTES, "a header fits into its sector");
    bytes.resize(SECTOR_BYTES, 0);
    bytes
}

/// # Errors
/// `Newer` when a later version wrote it: also when it asks for something that a writer must know, since every start writes the
/// catalog. `None` when it is not whole.
fn decode_header(sector: &[u8]) -> Result<Option<SnapshotHeader>, Unreadable> {
    let (directory, mut fields) = match file_header::decode(CATALOG_MAGIC, sector) {
        Header::Readable { directory, is_writable: true, fields } => (directory, fields),
        Header::Readable { .. } | Header::Newer => return Err(Unreadable::Newer),
        Header::Nothing => return Ok(None),
    };
    let mut read = || {
        let (generation, body_bytes, body_crc32) = (fields.count()?, fields.u32()?, fields.u32()?);
        Some(SnapshotHeader { directory, generation, body_bytes, body_crc32 })
    };
    Ok(read().filter(|header| u64::from(header.body_bytes) < CATALOG_BYTES_MAX))
}

fn decode_body(body: &[u8]) -> Option<Catalog> {
    let mut fields = Fields::new(body);
    let starts = fields.u64()?;
    let mut catalog = Catalog::empty();
    (catalog.starts, catalog.next_database) = (starts, DatabaseId::new(fields.u64()?)?);
    let count = fields.u32()? as usize;
    if count > DATABASES_MAX {
        return None;
    }
    for _ in 0..count {
        let (id, entry) = read_entry(&mut fields)?;
        catalog.insert(id, entry);
    }
    let is_all = fields.rest().is_empty() && catalog.entries.len() == count;
    is_all.then_some(catalog)
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::forty;
    use super::*;
    use crate::log::file_header::tests::{TO_READ_AT, TO_WRITE_AT, VERSION_AT, change};

    #[test]
    fn a_later_version_is_told_from_damage() {
        for at in [VERSION_AT, TO_READ_AT, TO_WRITE_AT] {
            let mut bytes = encode(&forty());
            [0, SECTOR_BYTES].into_iter().for_each(|copy| change(&mut bytes[copy..], at));
            assert_eq!(decode(&bytes).unwrap_err(), Unreadable::Newer);
            bytes[40] ^= 1;
            assert_eq!(decode(&bytes).unwrap_err(), Unreadable::Newer, "one copy that is whole is enough");
            bytes[SECTOR_BYTES + 40] ^= 1;
            assert!(decode(&bytes).unwrap().is_none(), "a checksum that is wrong says nothing");
        }
    }

    #[test]
    fn the_example_of_a_catalog_is_true() {
        use super::super::entry::{Closed, Entry, Figures};
        let mut catalog = Catalog::empty();
        catalog.found_directory(DirectoryId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100));
        catalog.start();
        let name = docdb_protocol::DatabaseName::parse("books").unwrap();
        let closed =
            Closed { log_end: crate::log::Lsn(1024), figures: Some(Figures { log_bytes: 1024, documents: 1 }) };
        catalog.found_id(DatabaseId::FIRST);
        catalog.insert(DatabaseId::FIRST, Entry { name, created_at: crate::clock::WallTime(1), closed });
        catalog.generation = 1;
        let bytes = encode(&catalog);
        let example = |name: &str, bytes: &[u8]| crate::log::tests::assert_example(name, bytes);
        example("example of a catalog's header", &bytes[..SECTOR_BYTES]);
        example("example of a catalog's body", &bytes[HEADERS_BYTES..][..SECTOR_BYTES]);
        assert_eq!(bytes[HEADERS_BYTES..][..SECTOR_BYTES], bytes[HEADERS_BYTES + SECTOR_BYTES..], "and again");
    }

    #[test]
    fn more_databases_than_there_may_be_are_damage() {
        let entry = forty().entries.into_values().next().unwrap();
        let body = |count: usize| {
            let mut body = Vec::new();
            put_u64(&mut body, 1);
            put_u64(&mut body, 2);
            put_u32(&mut body, u32::try_from(count).unwrap());
            for id in 1..=count {
                put_entry(&mut body, DatabaseId::new(id as u64).unwrap(), &entry);
            }
            body
        };
        assert!(decode_body(&body(DATABASES_MAX)).is_some());
        assert!(decode_body(&body(DATABASES_MAX + 1)).is_none());
        let mut longer = body(2);
        longer.push(0);
        assert!(decode_body(&longer).is_none(), "nothing stands behind the last one");
    }

    #[test]
    fn a_header_that_another_snapshot_left_is_passed_over() {
        let (mut catalog, mut older) = (forty(), Catalog::empty());
        (catalog.generation, older.generation) = (8, 7);
        let mut bytes = encode(&catalog);
        bytes[..SECTOR_BYTES].copy_from_slice(&encode(&older)[..SECTOR_BYTES]);
        let found = decode(&bytes).unwrap().unwrap();
        assert_eq!((found.generation, found.catalog.unwrap().entries.len()), (8, 40));
    }
}
