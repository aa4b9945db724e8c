//! Metadata: which tables are live and how the database stood at `tx_id`, as bytes, both ways.
//!
//! There are two copies: the manifest, a file of its own, and a record in the log. Both hold the same *body*, whole. (A
//! record that holds only the changes over the generation before, for compactions, does not exist yet.)
//!
//! Everything here is pure: it neither reads nor writes a file, and decides nothing about which copy counts or what is durable.
//! The jobs do. FORMAT.md has every byte.
//!
//! Invariants: a body is bounded and has a checksum of its own. Whatever is decoded keeps the rules that
//! [`Metadata::encode`] asserts: collections ascend by their ids and have different names, tables by their numbers. A body
//! of another database is damage.

mod body;
mod manifest;
mod names;
#[cfg(test)]
mod tests;

use docdb_protocol::{CollectionId, CollectionName, DatabaseId, TxId};

pub use manifest::{MANIFEST_HEADER_BYTES, MANIFEST_MAGIC, Manifest};
pub(crate) use names::{StoreName, manifest, new_manifest, table};

use crate::log::Lsn;
use crate::table::{Built, FooterPlace, TableIdentity};

/// No body is longer.
pub const METADATA_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Live tables of one database; a body that names more is damaged.
pub const TABLES_MAX: usize = 256 * 1024;

/// What a database is made of beside its log, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Whose it is.
    pub database: DatabaseId,
    /// Given to no other; the highest counts.
    pub generation: u64,
    /// All but the tables is the state after this transaction, and the tables hold nothing newer.
    pub tx: TxId,
    /// Replay begins here.
    pub snapshot_offset: Lsn,
    /// Whether the tables hold every version up to `tx`.
    pub index_consistent: bool,
    /// The id that the next collection gets.
    pub next_collection: CollectionId,
    /// In the order of their ids.
    pub collections: Vec<CollectionState>,
    /// In the order of their numbers.
    pub tables: Vec<LiveTable>,
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionState {
    /// Its id.
    pub id: CollectionId,
    /// Its name.
    pub name: CollectionName,
    /// One above the highest number up to 2^53 - 1 that was ever used in it.
    pub next_number: u64,
    /// Its live documents.
    pub documents: u64,
    /// The tombstones that its tables hold.
    pub tombstones: u64,
    /// Whether the number of its documents is exact.
    pub is_exact: bool,
}

/// A table that is part of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTable {
    /// 0 is where checkpoints put them.
    pub level: u8,
    /// The number in the name of its file.
    pub number: u64,
    /// What its checksums cover: of a copied database not its own id.
    pub identity: TableIdentity,
    /// The smallest key of its entries and damaged ranges.
    pub first_key: Box<[u8]>,
    /// The largest.
    pub last_key: Box<[u8]>,
    /// The oldest transaction in it.
    pub first_tx: TxId,
    /// The newest transaction in it.
    pub last_tx: TxId,
    /// How many entries it has: blocks that read as zeros are missed.
    pub entries: u64,
    /// The length of its file.
    pub file_bytes: u64,
    /// Its footer.
    pub footer: FooterPlace,
    /// Whether it has damaged ranges: a lost footer may be made again, but not they.
    pub has_damaged_ranges: bool,
}

impl LiveTable {
    /// A table that was just built.
    #[must_use]
    pub fn new(level: u8, built: &Built) -> LiveTable {
        let footer = &built.footer;
        LiveTable {
            level,
            number: footer.identity.number,
            identity: footer.identity,
            first_key: footer.first_key.clone(),
            last_key: footer.last_key.clone(),
            first_tx: footer.first_tx,
            last_tx: footer.last_tx,
            entries: footer.counts.values + footer.counts.tombstones + footer.counts.damaged,
            file_bytes: built.file_bytes,
            footer: built.footer_place,
            has_damaged_ranges: !footer.damaged_ranges.is_empty(),
        }
    }
}

/// What bytes turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodedMetadata {
    /// Metadata of this database.
    Whole {
        /// What it says.
        metadata: Box<Metadata>,
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
    /// It is damaged, or another database's.
    Damaged,
}
