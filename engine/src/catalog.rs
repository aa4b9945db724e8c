//! The catalog: which databases there are. Its entries in memory; `catalog/` has their bytes in the file `catalog`.
//!
//! The file begins with a snapshot of all entries, and behind it stands a journal of the entries that changed since. Both hold
//! everything twice, in different sectors, so that one damaged sector loses nothing. A snapshot is always written anew under
//! another name and renamed into place; what is in the file is never overwritten. If both copies of something are lost,
//! the databases' own headers name themselves and the catalog is rebuilt from them.
//!
//! Invariants: an entry is found by its id and by its name; a change says all of an entry, so that what a later one says
//! is all that counts.

mod journal;
mod snapshot;

use std::collections::BTreeMap;

use docdb_protocol::limits::DATABASES_MAX;
use docdb_protocol::{DatabaseId, DatabaseName};

pub(crate) use self::journal::{CHANGE_BYTES, encode_changes};
pub use self::snapshot::{CATALOG_HEADER_OFFSETS, CATALOG_MAGIC, FORMAT_VERSION};

use crate::clock::WallTime;
use crate::log::{Fields, Lsn, put_u64};

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
/// Each process numbers its snapshots in a range of its own, for the reason that holds for segments.
const GENERATIONS_PER_START: u64 = 1 << 30;
/// A name is at most 64 bytes.
const ENTRY_BYTES_MAX: u64 = 42 + 64;

/// Changes that are written together.
pub(crate) const CHANGES_PER_WRITE_MAX: usize = 256;
/// A catalog is no longer than this: all databases in a snapshot, and a journal as long as that again. What is longer is not
/// read; it is damaged.
pub(crate) const CATALOG_BYTES_MAX: u64 =
    2 * (2 * DATABASES_MAX as u64 * ENTRY_BYTES_MAX + 64 * 1024) + CHANGES_PER_WRITE_MAX as u64 * CHANGE_BYTES;

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: DatabaseName,
    pub(crate) created_at: WallTime,
    /// What the last closing stored.
    pub(crate) closed: Closed,
}

/// What a closing stores; of a database that was never closed, the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The log reaches at least to here: one that ends earlier is damaged.
    pub(crate) log_end: Lsn,
    /// `None` from the next opening for writing on, until it is closed again: then nobody knows without opening it.
    pub(crate) figures: Option<Figures>,
}

/// What is told of a database that is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) log_bytes: u64,
    pub(crate) documents: u64,
}

/// One entry as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) next_database: DatabaseId,
    pub(crate) id: DatabaseId,
    pub(crate) entry: Entry,
}

/// Why a catalog cannot be taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A later version wrote it.
    Newer,
    /// Something of it is missing. What could be read of it, if anything.
    Damaged(Option<Box<Catalog>>),
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
    /// The number of the last snapshot. No two have the same, so that no change is taken for one behind another of them.
    pub(crate) generation: u64,
    /// The id for the next database; larger than every id ever given.
    pub(crate) next_database: DatabaseId,
    pub(crate) entries: BTreeMap<DatabaseId, Entry>,
    /// Which entry has this name.
    names: BTreeMap<DatabaseName, DatabaseId>,
}

impl Catalog {
    pub(crate) fn empty() -> Catalog {
        Catalog {
            starts: 0,
            generation: 0,
            next_database: DatabaseId::FIRST,
            entries: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// One more process starts. Says up to where epochs may have been given by those before it.
    pub(crate) fn start(&mut self) -> u64 {
        let before = self.starts.min(STARTS_MAX);
        self.starts = before + 1;
        self.generation = self.generation.max(before * GENERATIONS_PER_START);
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
        let name = entry.name.clone();
        if let Some(before) = self.entries.insert(id, entry)
            && before.name != name
            && self.names.get(&before.name) == Some(&id)
        {
            self.names.remove(&before.name);
        }
    }

    /// What the journal says of this database from now on.
    pub(crate) fn change(&self, id: DatabaseId) -> Option<Change> {
        let entry = self.entries.get(&id)?.clone();
        Some(Change { next_database: self.next_database, id, entry })
    }

    fn apply(&mut self, change: Change) {
        self.next_database = self.next_database.max(change.next_database);
        self.insert(change.id, change.entry);
    }

    /// The bytes of a new file, whose journal is empty and begins behind them.
    pub(crate) fn encode(&mut self) -> Vec<u8> {
        self.generation += 1;
        snapshot::encode(self)
    }

    /// # Errors
    /// See [`Unreadable`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Catalog, Unreadable> {
        let Some(found) = snapshot::decode(bytes)? else { return Err(Unreadable::Damaged(None)) };
        let is_whole = found.catalog.is_some();
        let mut catalog = found.catalog.unwrap_or_else(Catalog::empty);
        catalog.generation = found.generation;
        let journal = journal::read(bytes, found.generation, found.journal_offset).ok_or(Unreadable::Newer)?;
        let is_whole = is_whole && !journal.is_damaged;
        journal.counted.into_iter().for_each(|change| catalog.apply(change));
        if is_whole {
            return Ok(catalog);
        }
        // Whether they count is not known, but that each was true once is.
        journal.behind.into_iter().for_each(|change| catalog.apply(change));
        Err(Unreadable::Damaged(Some(Box::new(catalog))))
    }
}

/// An entry as it stands in a snapshot and in a change.
fn put_entry(out: &mut Vec<u8>, id: DatabaseId, entry: &Entry) {
    let figures = entry.closed.figures.unwrap_or_default();
    put_u64(out, id.get());
    put_u64(out, entry.created_at.0);
    put_u64(out, entry.closed.log_end.0);
    put_u64(out, figures.log_bytes);
    put_u64(out, figures.documents);
    out.push(u8::from(entry.closed.figures.is_some()));
    out.push(u8::try_from(entry.name.as_str().len()).expect("a name is at most 64 bytes"));
    out.extend_from_slice(entry.name.as_str().as_bytes());
}

fn read_entry(fields: &mut Fields<'_>) -> Option<(DatabaseId, Entry)> {
    let id = DatabaseId::new(fields.u64()?)?;
    let created_at = WallTime(fields.u64()?);
    let log_end = Lsn(fields.count()?);
    let figures = Figures { log_bytes: fields.u64()?, documents: fields.u64()? };
    let figures = match fields.u8()? {
        0 => None,
        1 => Some(figures),
        _ => return None,
    };
    let name_bytes = fields.u8()? as usize;
    let name = DatabaseName::parse(std::str::from_utf8(fields.bytes(name_bytes)?).ok()?).ok()?;
    Some((id, Entry { name, created_at, closed: Closed { log_end, figures } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SECTOR_BYTES;

    /// Forty databases, one of which was never closed.
    pub(super) fn forty() -> Catalog {
        let mut catalog = Catalog::empty();
        for number in 1..=40 {
            let id = DatabaseId::new(number).unwrap();
            let name = DatabaseName::parse(&format!("database {number}")).unwrap();
            let figures = (number != 7).then_some(Figures { log_bytes: number, documents: 3 });
            let closed = Closed { log_end: Lsn(number * 512), figures };
            catalog.insert(id, Entry { name, created_at: WallTime(number), closed });
            catalog.next_database = id.next().unwrap();
        }
        catalog
    }

    /// A file whose journal holds three changes, of which the first two were synced before the third was written, and the
    /// catalog that it says.
    fn changed() -> (Vec<u8>, Catalog, usize) {
        let mut catalog = forty();
        catalog.start();
        let mut bytes = catalog.encode();
        let journal_offset = bytes.len();
        let change = |catalog: &mut Catalog, number: u64| {
            let id = DatabaseId::new(number).unwrap();
            let name = DatabaseName::parse(&format!("database {number}")).unwrap();
            let closed = Closed { log_end: Lsn(1 << 20), figures: None };
            catalog.insert(id, Entry { name, created_at: WallTime(9), closed });
            catalog.found_id(id);
            catalog.change(id).unwrap()
        };
        let changes = [change(&mut catalog, 3), change(&mut catalog, 41)];
        bytes.extend(encode_changes(&changes, catalog.generation, 0, bytes.len() as u64));
        let changes = [change(&mut catalog, 42)];
        bytes.extend(encode_changes(&changes, catalog.generation, 2, bytes.len() as u64));
        (bytes, catalog, journal_offset)
    }

    #[test]
    fn survives_any_one_damaged_sector() {
        let (bytes, catalog, _) = changed();
        assert_eq!(Catalog::decode(&bytes), Ok(catalog.clone()));
        for sector in 0..bytes.len() / SECTOR_BYTES {
            for garbage in [0, 0x5a] {
                let mut damaged = bytes.clone();
                damaged[sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(garbage);
                assert_eq!(Catalog::decode(&damaged), Ok(catalog.clone()), "sector {sector}");
            }
        }
        assert_eq!(Catalog::decode(&[]), Err(Unreadable::Damaged(None)));
    }

    /// Power failed while a group was being written: those before it count, and it was told to nobody.
    #[test]
    fn the_journal_ends_at_the_first_change_that_is_not_whole() {
        let (bytes, catalog, journal) = changed();
        let change_bytes = usize::try_from(CHANGE_BYTES).unwrap();
        for cut in journal..bytes.len() {
            let whole = (cut + SECTOR_BYTES - journal) / change_bytes;
            let read = Catalog::decode(&bytes[..cut]).unwrap();
            assert_eq!(read.entries.len(), 40 + whole.saturating_sub(1), "cut at {cut}");
        }
        // Both changes of the first group were under way, and the second one alone arrived.
        let mut torn = bytes[..journal + 2 * change_bytes].to_vec();
        torn[journal..journal + change_bytes].fill(0);
        assert_eq!(Catalog::decode(&torn).unwrap().entries, forty().entries);
        assert_ne!(catalog.entries, forty().entries);
    }

    #[test]
    fn a_hole_before_a_change_that_says_it_was_durable_is_damage() {
        let (bytes, mut catalog, journal) = changed();
        let mut damaged = bytes;
        damaged[journal..][..usize::try_from(CHANGE_BYTES).unwrap()].fill(0);
        catalog.insert(DatabaseId::new(3).unwrap(), forty().entries[&DatabaseId::new(3).unwrap()].clone());
        assert_eq!(
            Catalog::decode(&damaged),
            Err(Unreadable::Damaged(Some(Box::new(catalog)))),
            "what is left is used"
        );
    }

    /// Old bytes come to light where a file grew: changes behind another snapshot, at the same place.
    #[test]
    fn a_change_behind_another_snapshot_is_none() {
        let (bytes, catalog, journal) = changed();
        let mut again = catalog;
        // What a stale change would take back.
        let third = again.entries.get_mut(&DatabaseId::new(3).unwrap()).unwrap();
        third.closed = Closed { log_end: Lsn(2 << 20), figures: Some(Figures::default()) };
        let mut stale = again.encode();
        assert_eq!(stale.len(), journal, "the same place");
        stale.extend(&bytes[journal..]);
        assert_eq!(Catalog::decode(&stale), Ok(again));
        let mut elsewhere = bytes[..journal].to_vec();
        elsewhere.extend(vec![0; SECTOR_BYTES]);
        elsewhere.extend(&bytes[journal..]);
        assert_eq!(Catalog::decode(&elsewhere).unwrap().entries, forty().entries, "nor one that stands elsewhere");
    }

    #[test]
    fn a_database_is_found_by_its_name_alone() {
        let mut catalog = forty();
        let find =
            |catalog: &Catalog, name: &str| catalog.find(&DatabaseName::parse(name).unwrap()).map(DatabaseId::get);
        assert_eq!((find(&catalog, "database 17"), find(&catalog, "database")), (Some(17), None));
        // A folder that was copied: both say the same id.
        let mut entry = catalog.entries[&DatabaseId::new(17).unwrap()].clone();
        entry.name = DatabaseName::parse("copy").unwrap();
        catalog.insert(DatabaseId::new(17).unwrap(), entry);
        assert_eq!((find(&catalog, "copy"), find(&catalog, "database 17")), (Some(17), None));
    }

    #[test]
    fn each_start_gives_epochs_and_generations_that_none_before_it_gave() {
        let mut catalog = Catalog::empty();
        assert_eq!(catalog.start(), 0);
        let mut read = Catalog::decode(&catalog.encode()).unwrap();
        let generation = read.generation;
        assert_eq!(read.start(), EPOCHS_PER_START);
        read.encode();
        assert!(read.generation > generation && read.generation > GENERATIONS_PER_START);
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
        older.encode();
    }
}
