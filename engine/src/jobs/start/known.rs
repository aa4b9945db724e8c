//! What a start knows: the catalog, what is left of it, or what the folders say of a lost one.
//!
//! Invariant: a number that a folder shows to be given is never given again; one far beyond those that were given is passed
//! over, so that a folder that somebody put there does not use them up.

use std::collections::BTreeSet;

use docdb_protocol::{DatabaseId, DatabaseName, Error, ErrorCode};

use crate::catalog::{Catalog, Closed, Entry, Reach};
use crate::jobs::paths::catalog_path;
use crate::log::{DirectoryId, SegmentHeader};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) catalog: Catalog,
    /// Whether it is the catalog as it was read.
    pub(super) is_whole: bool,
    /// Why it is not, where one was there or has to have been.
    pub(super) lost: Option<Error>,
    /// Databases that are named by what is left of a damaged catalog.
    named: BTreeSet<DatabaseId>,
    /// How far what the catalog does not know of can go.
    reach: Reach,
}

impl Known {
    /// There is no catalog.
    pub(super) fn nothing() -> Known {
        let (catalog, named) = (Catalog::empty(), BTreeSet::new());
        Known { catalog, is_whole: false, lost: None, named, reach: Reach::UNKNOWN }
    }

    /// The catalog is whole.
    pub(super) fn whole(catalog: Catalog) -> Known {
        let reach = catalog.reach();
        Known { catalog, is_whole: true, reach, ..Known::nothing() }
    }

    /// The catalog is damaged; this is left of it, if anything.
    pub(super) fn damaged(left: Option<Catalog>) -> Known {
        let catalog = left.unwrap_or_else(Catalog::empty);
        let named = catalog.entries.keys().copied().collect();
        let mut known = Known { catalog, named, ..Known::nothing() };
        known.has_lost_a_catalog();
        known
    }

    /// A catalog must have been there.
    pub(super) fn has_lost_a_catalog(&mut self) {
        self.lost.get_or_insert_with(|| Error::new(ErrorCode::CatalogDamaged).file(catalog_path().as_str()));
    }

    pub(super) fn found_epoch(&mut self, epoch: u64) {
        if self.reach.has_epoch(epoch) {
            self.catalog.found_epoch(epoch);
        }
    }

    /// Whether this may be the data directory of a segment: nothing that is known says that it is another.
    pub(super) fn may_be(&self, directory: DirectoryId) -> bool {
        self.catalog.directory == DirectoryId::NONE || self.catalog.directory == directory
    }

    /// A segment of this directory has this epoch.
    pub(super) fn found_segment(&mut self, header: &SegmentHeader) {
        self.catalog.found_directory(header.directory);
        self.found_epoch(header.epoch);
    }

    /// The folder `name` holds the database that this header names.
    pub(super) fn found_database(&mut self, name: &DatabaseName, header: &SegmentHeader) {
        if self.reach.has_id(header.database) {
            self.catalog.found_id(header.database);
        }
        if !self.is_whole && !self.named.contains(&header.database) {
            let entry = Entry { name: name.clone(), created_at: header.created_at, closed: Closed::default() };
            self.catalog.insert(header.database, entry);
        }
    }
}
