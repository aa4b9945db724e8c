//! Numbers that name things. Each is its own type, so that none can stand where another is meant.

use std::fmt;
use std::num::NonZeroU64;

/// Names one logical database for ever: an id is never used again, not even after a drop.
///
/// Zero is not an id; on the wire it means "no database".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseId(NonZeroU64);

impl DatabaseId {
    /// The id of the first database ever created in a data directory.
    pub const FIRST: DatabaseId = DatabaseId(NonZeroU64::MIN);

    /// `None` for zero, which means "no database".
    #[must_use]
    pub const fn new(id: u64) -> Option<DatabaseId> {
        match NonZeroU64::new(id) {
            Some(id) => Some(DatabaseId(id)),
            None => None,
        }
    }

    /// The number as it stands on disk and on the wire.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The id after this one; `None` when all are used up.
    #[must_use]
    pub const fn next(self) -> Option<DatabaseId> {
        match self.0.checked_add(1) {
            Some(id) => Some(DatabaseId(id)),
            None => None,
        }
    }
}

/// Names one life of a collection within its database: a collection created again gets a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(pub u32);

impl CollectionId {
    /// The id of `_default`, which always exists and needs no record in the log.
    pub const DEFAULT: CollectionId = CollectionId(0);
}

/// Numbers the transactions of one database in the order of their commits, one by one, from 1.
///
/// Zero stands for "before the first transaction".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId(pub u64);

impl fmt::Display for DatabaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for TxId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
