//! The bytes of a snapshot: a header twice, in the first two sectors, then the body twice, each in whole sectors.
//!
//! FORMAT.md has the table. Nothing here knows of the journal but where it begins.

use docdb_protocol::DatabaseId;
use docdb_protocol::limits::DATABASES_MAX;

use super::bounds::CATALOG_BYTES_MAX;
use super::entry::{put_entry, read_entry};
use super::index::{Catalog, Unreadable};
use crate::disk::SECTOR_BYTES;
use crate::log::{Fields, put_u32, put_u64};

/// The first bytes of the file, read by whoever wants to know whether a directory is a data directory.
pub const CATALOG_MAGIC: &[u8; 8] = b"DOCDBCAT";
/// The version this build writes, and the only one it reads. It stands behind the magic, little-endian.
pub const FORMAT_VERSION: u32 = 3;
/// Where the copies of the header begin in the file.
pub const CATALOG_HEADER_OFFSETS: [u64; 2] = [0, SECTOR_BYTES as u64];

/// Both copies of the header.
const HEADERS_BYTES: usize = CATALOG_HEADER_OFFSETS.len() * SECTOR_BYTES;
/// Where the checksum stands that covers the version and all behind the checksum.
const CRC_AT: usize = 12;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    generation: u64,
    body_bytes: u32,
    body_crc32: u32,
}

/// What a snapshot says.
#[derive(Clone, Debug)]
pub(super) struct Found {
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
    let header = Header {
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
    let mut found = None;
    for number in 0..2 {
        let Some(header) = bytes.get(number * SECTOR_BYTES..).and_then(decode_header) else { continue };
        let header = header?;
        // A header that went astray has no body here; the other one has.
        let body_bytes = header.body_bytes as usize;
        let copy_bytes = body_bytes.next_multiple_of(SECTOR_BYTES);
        let body = |copy: usize| bytes.get(HEADERS_BYTES + copy * copy_bytes..)?.get(..body_bytes);
        let whole = |copy| body(copy).filter(|body| crc32fast::hash(body) == header.body_crc32).and_then(decode_body);
        let catalog = (0..2).find_map(whole);
        let journal_offset = HEADERS_BYTES + 2 * copy_bytes;
        let is_whole = catalog.is_some();
        found = Some(Found { generation: header.generation, journal_offset, catalog });
        if is_whole {
            break;
        }
    }
    Ok(found)
}

fn encode_header(header: Header) -> Vec<u8> {
    let mut bytes = CATALOG_MAGIC.to_vec();
    put_u32(&mut bytes, FORMAT_VERSION);
    put_u32(&mut bytes, 0);
    put_u64(&mut bytes, header.generation);
    put_u32(&mut bytes, header.body_bytes);
    put_u32(&mut bytes, header.body_crc32);
    bytes.resize(SECTOR_BYTES, 0);
    let crc32 = header_crc32(&bytes).to_le_bytes();
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc32);
    bytes
}

fn header_crc32(sector: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&sector[CATALOG_MAGIC.len()..CRC_AT]);
    hasher.update(&sector[CRC_AT + 4..]);
    hasher.finalize()
}

/// `None` when there is no whole header. Of one that a later version wrote, the checksum stands where ours does.
fn decode_header(bytes: &[u8]) -> Option<Result<Header, Unreadable>> {
    let sector = bytes.get(..SECTOR_BYTES)?;
    let mut fields = Fields::new(sector);
    let magic = fields.bytes(CATALOG_MAGIC.len())?;
    let (version, crc32) = (fields.u32()?, fields.u32()?);
    if magic != CATALOG_MAGIC || crc32 != header_crc32(sector) {
        return None;
    }
    if version > FORMAT_VERSION {
        return Some(Err(Unreadable::Newer));
    }
    let header = Header { generation: fields.count()?, body_bytes: fields.u32()?, body_crc32: fields.u32()? };
    let is_zero = fields.rest().iter().all(|byte| *byte == 0);
    let is_ours = version == FORMAT_VERSION && is_zero && u64::from(header.body_bytes) < CATALOG_BYTES_MAX;
    is_ours.then_some(Ok(header))
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

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut bytes = encode(&forty());
        for copy in [0, SECTOR_BYTES] {
            bytes[copy + 8] += 1;
            let crc32 = header_crc32(&bytes[copy..][..SECTOR_BYTES]).to_le_bytes();
            bytes[copy + CRC_AT..][..4].copy_from_slice(&crc32);
        }
        assert_eq!(decode(&bytes).unwrap_err(), Unreadable::Newer);
        bytes[20] += 1;
        bytes[SECTOR_BYTES + 20] += 1;
        assert!(decode(&bytes).unwrap().is_none(), "a checksum that is wrong says nothing");
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
