//! Stretches of keys: what a scan goes through, and what of it is damaged.

use docdb_protocol::CollectionId;

use super::lookup::Damage;
use crate::table::{Key, PartPlace};

/// Which keys a scan goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// No key below this one.
    pub from: Key,
    /// Only keys below this one, if there is one.
    pub before: Option<Key>,
}

impl Bounds {
    /// Everything.
    #[must_use]
    pub fn all() -> Bounds {
        Bounds { from: Key::first_of(CollectionId::DEFAULT), before: None }
    }

    /// The documents of one collection.
    #[must_use]
    pub fn of_collection(collection: CollectionId) -> Bounds {
        let next = collection.0.checked_add(1).map(CollectionId);
        Bounds { from: Key::first_of(collection), before: next.map(Key::first_of) }
    }

    pub(super) fn is_past(&self, key: &[u8]) -> bool {
        self.before.as_deref().is_some_and(|before| key >= before)
    }
}

/// The order in which a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key on.
    Forward,
    /// From the largest key on.
    Backward,
}

/// Keys of which it cannot be said what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedKeys {
    /// The first that may be meant.
    pub from: Key,
    /// Where they end.
    pub before: End,
    /// What is damaged, and which transactions it hides.
    pub damage: Damage,
    /// The filter part of what was there: a key that it denies is not meant.
    pub filter: Option<PartPlace>,
}

/// The end of a stretch of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The last key that may be meant.
    With(Key),
    /// The first key that is not meant.
    Before(Key),
}

impl DamagedKeys {
    /// Whether a key may be meant, its filter aside.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        *self.from <= *key
            && match self.before {
                End::With(last) => *key <= *last,
                End::Before(end) => *key < *end,
            }
    }
}
