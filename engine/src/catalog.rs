//! The catalog: which databases there are. Its entries, and their bytes in the file `catalog`.
//!
//! The file holds the same content twice, in different sectors, so that one damaged sector does not
//! lose it. It is always written anew under another name and renamed into place. If both copies are
//! lost, the databases' own headers name themselves and it is rebuilt from them.

use std::collections::BTreeMap;

use docdb_protocol::limits::DATABASES_MAX;
use docdb_protocol::{DatabaseId, DatabaseName, ErrorCode};

use crate::clock::WallTime;
use crate::disk::SECTOR_BYTES;
use crate::log::{Fields, Lsn, put_u32, put_u64};
use crate::planted::planted;

/// The first bytes of the file, read by whoever wants to know whether a directory is a data directory.
pub const CATALOG_MAGIC: &[u8; 8] = b"DOCDBCAT";
/// The version this build writes, and the newest it reads. It stands behind the magic, little-endian.
pub const FORMAT_VERSION: u32 = 2;
/// Before this one, starts were not counted.
const VERSION_WITH_STARTS: u32 = 2;

/// Each process numbers its segments in a range of its own. One that is gone left no trace of its epoch, but its bytes
/// may still be on the device, and come to light in another of the same epoch.
const EPOCHS_PER_START: u64 = 1_000_000_000;
/// So that no epoch comes near 2^63.
const STARTS_MAX: u64 = (1 << 62) / EPOCHS_PER_START;
/// How many starts a rebuilt catalog allows for that left no segment to tell of them.
const STARTS_UNSEEN: u64 = 1_000_000;
/// How many starts and databases a catalog that is whole may be behind. What tells of more is not of this data directory, and
/// must not use up the numbers that are left.
const BEHIND_MAX: u64 = 1_000_000;

/// Magic, version, length of the body, checksum of version, length and body.
const FIXED_BYTES: usize = 20;

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: DatabaseName,
    pub(crate) created_at: WallTime,
    /// What the last closing stored; zeros before the first.
    pub(crate) closed: Closed,
}

/// What a closing stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The log reaches at least to here: one that ends earlier is damaged.
    pub(crate) log_end: Lsn,
    pub(crate) log_bytes: u64,
    pub(crate) documents: u64,
}

/// Up to where numbers may have been given that a catalog does not know of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    starts: u64,
    databases: u64,
}

impl Reach {
    /// Of a catalog that is lost.
    pub(crate) const UNKNOWN: Reach = Reach { starts: u64::MAX, databases: u64::MAX };

    pub(crate) fn has_epoch(self, epoch: u64) -> bool {
        epoch / EPOCHS_PER_START < self.starts
    }

    pub(crate) fn has_id(self, id: DatabaseId) -> bool {
        id.get() < self.databases
    }
}

/// The catalog in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catalog {
    /// How many processes have started on this data directory, the one at hand included.
    pub(crate) starts: u64,
    /// The id for the next database; larger than every id ever given.
    pub(crate) next_database: DatabaseId,
    pub(crate) entries: BTreeMap<DatabaseId, Entry>,
    /// Which entry has this name.
    names: BTreeMap<DatabaseName, DatabaseId>,
}

impl Catalog {
    pub(crate) fn empty() -> Catalog {
        Catalog { starts: 0, next_database: DatabaseId::FIRST, entries: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// One more process starts. Says up to where epochs may have been given by those before it.
    pub(crate) fn start(&mut self) -> u64 {
        let before = self.starts.min(STARTS_MAX);
        self.starts = before + 1;
        before * EPOCHS_PER_START
    }

    /// It is whole, but may be an older one.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            starts: self.starts.saturating_add(BEHIND_MAX),
            databases: self.next_database.get().saturating_add(BEHIND_MAX),
        }
    }

    /// A segment of this epoch was found.
    pub(crate) fn found_epoch(&mut self, epoch: u64) {
        self.starts = self.starts.max(epoch / EPOCHS_PER_START + 1);
    }

    /// A database of this id was found.
    pub(crate) fn found_id(&mut self, id: DatabaseId) {
        self.next_database = self.next_database.max(id.next().unwrap_or(id));
    }

    /// It was rebuilt from what there is, and there may have been starts that nothing tells of.
    pub(crate) fn allow_for_unseen_starts(&mut self) {
        self.starts = self.starts.saturating_add(STARTS_UNSEEN);
    }

    pub(crate) fn find(&self, name: &DatabaseName) -> Option<DatabaseId> {
        self.names.get(name).copied()
    }

    /// Takes a database in. One of the same id makes way for it; one of the same name is not found by it any more.
    pub(crate) fn insert(&mut self, id: DatabaseId, entry: Entry) {
        self.names.insert(entry.name.clone(), id);
        if let Some(before) = self.entries.insert(id, entry.clone())
            && before.name != entry.name
            && self.names.get(&before.name) == Some(&id)
        {
            self.names.remove(&before.name);
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_u64(&mut body, self.starts);
        put_u64(&mut body, self.next_database.get());
        put_u32(&mut body, u32::try_from(self.entries.len()).expect("at most DATABASES_MAX"));
        for (id, entry) in &self.entries {
            put_u64(&mut body, id.get());
            put_u64(&mut body, entry.created_at.0);
            put_u64(&mut body, entry.closed.log_end.0);
            put_u64(&mut body, entry.closed.log_bytes);
            put_u64(&mut body, entry.closed.documents);
            body.push(u8::try_from(entry.name.as_str().len()).expect("a name is at most 64 bytes"));
            body.extend_from_slice(entry.name.as_str().as_bytes());
        }
        let mut covered = Vec::with_capacity(body.len() + 8);
        put_u32(&mut covered, FORMAT_VERSION);
        put_u32(&mut covered, u32::try_from(body.len()).expect("DATABASES_MAX entries stay below 4 GiB"));
        covered.extend_from_slice(&body);
        let mut bytes = Vec::new();
        for _ in 0..2 {
            bytes.extend_from_slice(CATALOG_MAGIC);
            bytes.extend_from_slice(&covered[..8]);
            put_u32(&mut bytes, crc32fast::hash(&covered));
            bytes.extend_from_slice(&body);
            bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES), 0);
        }
        bytes
    }

    /// # Errors
    /// `NewerFormat` when a whole copy says so; `CatalogDamaged` when neither copy is valid.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Catalog, ErrorCode> {
        let copies = [bytes, &bytes[bytes.len() / 2..]];
        let looked_at = if planted!(SecondCatalogCopyIgnored) { 1 } else { copies.len() };
        copies.into_iter().take(looked_at).find_map(decode_copy).unwrap_or(Err(ErrorCode::CatalogDamaged))
    }
}

fn decode_copy(bytes: &[u8]) -> Option<Result<Catalog, ErrorCode>> {
    let mut fields = Fields::new(bytes);
    let magic = fields.bytes(CATALOG_MAGIC.len())?;
    let (version, body_bytes, crc32) = (fields.u32()?, fields.u32()? as usize, fields.u32()?);
    let body = fields.bytes(body_bytes)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[8..16]);
    hasher.update(body);
    if magic != CATALOG_MAGIC || hasher.finalize() != crc32 {
        return None;
    }
    if version > FORMAT_VERSION {
        return Some(Err(ErrorCode::NewerFormat));
    }
    let mut fields = Fields::new(body);
    let starts = if version < VERSION_WITH_STARTS { 1 } else { fields.u64()? };
    let next_database = DatabaseId::new(fields.u64()?)?;
    let count = fields.u32()? as usize;
    let mut catalog = Catalog { starts, next_database, ..Catalog::empty() };
    for _ in 0..count.min(DATABASES_MAX) {
        let id = DatabaseId::new(fields.u64()?)?;
        let created_at = WallTime(fields.u64()?);
        let closed = Closed { log_end: Lsn(fields.count()?), log_bytes: fields.u64()?, documents: fields.u64()? };
        let name_bytes = fields.u8()? as usize;
        let name = DatabaseName::parse(std::str::from_utf8(fields.bytes(name_bytes)?).ok()?).ok()?;
        catalog.insert(id, Entry { name, created_at, closed });
    }
    Some(Ok(catalog))
}

const _: () = assert!(FIXED_BYTES == CATALOG_MAGIC.len() + 12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_any_one_damaged_sector() {
        let mut catalog = Catalog::empty();
        for number in 1..40 {
            let id = DatabaseId::new(number).unwrap();
            let name = DatabaseName::parse(&format!("database {number}")).unwrap();
            let closed = Closed { log_end: Lsn(number * 512), log_bytes: number, documents: 3 };
            catalog.insert(id, Entry { name, created_at: WallTime(number), closed });
            catalog.next_database = id.next().unwrap();
        }
        let bytes = catalog.encode();
        assert_eq!(Catalog::decode(&bytes), Ok(catalog.clone()));
        for sector in 0..bytes.len() / SECTOR_BYTES {
            let mut damaged = bytes.clone();
            damaged[sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
            assert_eq!(Catalog::decode(&damaged), Ok(catalog.clone()), "sector {sector}");
        }
        assert_eq!(Catalog::decode(&[]), Err(ErrorCode::CatalogDamaged));
    }

    /// Version 1 did not count starts: there was one at least.
    #[test]
    fn a_catalog_of_version_1_is_read() {
        let id = DatabaseId::new(7).unwrap();
        let (name, closed) =
            (DatabaseName::parse("a").unwrap(), Closed { log_end: Lsn(512), log_bytes: 5, documents: 3 });
        let mut catalog = Catalog { starts: 1, next_database: DatabaseId::new(8).unwrap(), ..Catalog::empty() };
        catalog.insert(id, Entry { name, created_at: WallTime(9), closed });
        let body: Vec<u8> = [8_u64.to_le_bytes().as_slice(), &[1, 0, 0, 0]]
            .into_iter()
            .chain([7_u64, 9, 512, 5, 3].map(u64::to_le_bytes).each_ref().map(<[u8; 8]>::as_slice))
            .chain([&[1, b'a'][..]])
            .flatten()
            .copied()
            .collect();
        let mut covered = vec![1, 0, 0, 0];
        put_u32(&mut covered, u32::try_from(body.len()).unwrap());
        covered.extend_from_slice(&body);
        let mut bytes = CATALOG_MAGIC.to_vec();
        bytes.extend_from_slice(&covered[..8]);
        put_u32(&mut bytes, crc32fast::hash(&covered));
        bytes.extend_from_slice(&body);
        bytes.resize(SECTOR_BYTES, 0);
        bytes.extend(bytes.clone());
        assert_eq!(Catalog::decode(&bytes), Ok(catalog.clone()));
        assert_eq!(Catalog::decode(&catalog.encode()), Ok(catalog), "and written in the format of today");
    }

    #[test]
    fn each_start_gives_epochs_that_none_before_it_gave() {
        let mut catalog = Catalog::empty();
        assert_eq!(catalog.start(), 0);
        let mut read = Catalog::decode(&catalog.encode()).unwrap();
        assert_eq!(read.start(), EPOCHS_PER_START);
        let mut older = Catalog::empty();
        for epoch in [3 * EPOCHS_PER_START + 5, 7] {
            older.found_epoch(epoch);
        }
        assert_eq!(older.start(), 4 * EPOCHS_PER_START);
        older.allow_for_unseen_starts();
        assert!(older.start() > 1000 * EPOCHS_PER_START, "there may have been more than the headers tell");
        older.starts = u64::MAX;
        older.allow_for_unseen_starts();
        assert!(older.start() < 1 << 62, "numbers that can be counted on from");
    }
}
