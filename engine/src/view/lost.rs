//! Keys whose versions a table has lost: between two of its blocks, or all that it held.
//!
//! A key within them that newer writes did not name may have been there, so it is never called absent. What stands in the map
//! was found elsewhere, and is as it says: a table has one version a key, and only what is newer comes from the log.
//!
//! Invariant: only an opening adds to them, and a database that has any takes no writes.

use std::ops::Bound;
use std::sync::Arc;

use docdb_protocol::{DocumentId, Error};

use super::View;
use super::key::Key;
use super::scan::{is_above, is_below};

/// Beyond so many they count as one, from the first of them to the end.
const LOST_MAX: usize = 1024;

/// A range of keys that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct LostKeys {
    pub(crate) from: Bound<Key>,
    pub(crate) to: Bound<Key>,
    /// Names the table, and where in it.
    pub(crate) error: Error,
}

impl LostKeys {
    fn has(&self, key: &Key) -> bool {
        is_above(key, self.from.as_ref()) && is_below(key, self.to.as_ref())
    }

    /// Whether it may share a key with the range between two others.
    fn overlaps(&self, from: &Bound<Key>, to: &Bound<Key>) -> bool {
        ends_before(&self.to, from).is_none() && ends_before(to, &self.from).is_none()
    }
}

/// `Some` where all below `to` is below all above `from`.
fn ends_before(to: &Bound<Key>, from: &Bound<Key>) -> Option<()> {
    let is_before = match (to, from) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(to), Bound::Included(from)) => to < from,
        (Bound::Included(to) | Bound::Excluded(to), Bound::Included(from) | Bound::Excluded(from)) => to <= from,
    };
    is_before.then_some(())
}

impl View {
    /// Keys that a table has lost, above all that were added before.
    pub(crate) fn add_lost(&mut self, lost: LostKeys) {
        let all = Arc::make_mut(&mut self.lost);
        if all.len() < LOST_MAX {
            all.push(lost);
        } else if let Some(last) = all.last_mut() {
            last.to = Bound::Unbounded;
        }
    }

    /// What tables have lost: one error each.
    pub(crate) fn lost(&self) -> impl Iterator<Item = &Error> {
        self.lost.iter().map(|lost| &lost.error)
    }

    /// Whether tables have lost anything.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Whether a table may have held this key in a part that is lost.
    pub(super) fn is_lost(&self, key: &Key) -> bool {
        self.lost.iter().any(|lost| lost.has(key))
    }

    /// Why a table's documents may be missing between two bounds of a collection.
    pub(super) fn lost_between(
        &self,
        collection: &str,
        from: Bound<&DocumentId>,
        to: Bound<&DocumentId>,
    ) -> Option<&Error> {
        if self.lost.is_empty() {
            return None;
        }
        let id = *self.collections.get(collection)?;
        let key = |bound: Bound<&DocumentId>| bound.map(|document| Key::new(id, document));
        let from = match from {
            Bound::Unbounded => Bound::Included(Key::first(id)),
            Bound::Included(_) | Bound::Excluded(_) => key(from),
        };
        let to = match to {
            Bound::Unbounded => Key::behind(id).map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Included(_) | Bound::Excluded(_) => key(to),
        };
        self.lost.iter().find(|lost| lost.overlaps(&from, &to)).map(|lost| &lost.error)
    }
}
