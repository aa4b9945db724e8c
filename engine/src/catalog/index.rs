//! The entries of the catalog in memory, and the numbers that are never given twice.
//!
//! Invariants: an entry is found by its id and by its name; a number that was given stays given.

use std::collections::BTreeMap;

use docdb_protocol::{DatabaseId, DatabaseName};

use super::entry::{Change, Entry};
use crate::log::DirectoryId;

/// Each process numbers its segments in a range of its own. A removed segment leaves no trace of its epoch, but its bytes
/// may still be on the device, and show in another segment of the same epoch.
const EPOCHS_PER_START: u64 = 1_000_000_000;
/// So that no epoch comes near 2^63.
const STARTS_MAX: u64 = (1 << 62) / EPOCHS_PER_START;
/// So many starts may have left no segment: a rebuilt catalog counts them all as given.
const STARTS_UNSEEN: u64 = 1_000_000;
/// A catalog that is whole may be an older one by at most so many starts and databases. A folder whose numbers lie further
/// ahead is not of this data directory, and must not use up the numbers that are left.
const BEHIND_MAX: u64 = 1_000_000;
/// Each process numbers its snapshots in a range of its own too, and for the same reason.
const GENERATIONS_PER_START: u64 = 1 << 30;

/// Why the bytes of a catalog cannot be used as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A later version wrote it.
    Newer,
    /// Something of it is missing; with the entries that could be read, if any.
    Damaged(Option<Box<Catalog>>),
}

/// The largest numbers that an earlier process can have given without the catalog's knowledge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    starts: u64,
    databases: u64,
}

impl Reach {
    /// Where the catalog is lost, any number may have been given.
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
    /// The data directory's; none before the first start has given it one.
    pub(crate) directory: DirectoryId,
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
            directory: DirectoryId::NONE,
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

    /// How far ahead of this catalog the data directory can be: the catalog is whole, but may be an older one.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            starts: self.starts.saturating_add(BEHIND_MAX),
            databases: self.next_database.get().saturating_add(BEHIND_MAX),
        }
    }

    /// A segment of this directory was found. Where the catalog gives no directory, the first such segment decides.
    pub(crate) fn found_directory(&mut self, directory: DirectoryId) {
        if self.directory == DirectoryId::NONE {
            self.directory = directory;
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

    /// The catalog was rebuilt from the folders. There may have been starts that left nothing in any of them.
    pub(crate) fn allow_for_unseen_starts(&mut self) {
        self.starts = self.starts.saturating_add(STARTS_UNSEEN);
    }

    pub(crate) fn find(&self, name: &DatabaseName) -> Option<DatabaseId> {
        self.names.get(name).copied()
    }

    /// Whether a database has this name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
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

    /// Takes in what a journal says.
    pub(super) fn apply(&mut self, change: Change) {
        self.next_database = self.next_database.max(change.next_database);
        self.insert(change.id, change.entry);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::catalog::{Closed, Figures};
    use crate::clock::WallTime;
    use crate::log::Lsn;

    /// Forty databases, one of which was never closed.
    pub(in crate::catalog) fn forty() -> Catalog {
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
