//! Scans of a view: the documents of one collection between two bounds, in either direction.
//!
//! A damaged document stands in its place and says so. What is missing without a name is said once, by whoever scans, at the
//! end ([`View::loss`]): a scan that ended well would hide it. A scan never changes the view, and holds nothing but it.

use std::ops::Bound;

use docdb_protocol::{CollectionName, Document, DocumentId, Error};

use super::key::Key;
use super::{Content, Version, View, corrupt};

/// What a scan has at a place: a document with its id, or why it cannot be shown.
pub type Scanned<'view> = Result<(DocumentId, &'view Document), Error>;

impl View {
    /// The documents of a collection in the order of their ids, from `from` on. A damaged one is an `Err` that names it
    /// ([`Error::names_document`]); the rest follows. Where a part of the log is lost that names no documents, or
    /// documents are withheld for want of space, an `Err` that names none ends the scan.
    pub fn scan<'view>(
        &'view self,
        collection: &str,
        from: Bound<&DocumentId>,
    ) -> impl Iterator<Item = Scanned<'view>> + use<'view> {
        let loss = self.loss(collection, from, Bound::Unbounded);
        self.range(collection, from, Bound::Unbounded).chain(loss.map(Err))
    }

    /// The documents of a collection between two bounds in the order of their ids. A damaged one is an `Err` that names it.
    /// What is missing without a name is not said here: see [`View::loss`].
    pub fn range<'view>(
        &'view self,
        collection: &str,
        from: Bound<&DocumentId>,
        to: Bound<&DocumentId>,
    ) -> impl Iterator<Item = Scanned<'view>> + use<'view> {
        let found = self.collections.get_key_value(collection).map(|(name, collection)| {
            let key = |id: &DocumentId| Key::new(*collection, id);
            let first = match from {
                Bound::Unbounded => Key::first(*collection),
                Bound::Included(id) | Bound::Excluded(id) => key(id),
            };
            (name, *collection, first, from.map(key), to.map(key))
        });
        found.into_iter().flat_map(move |(name, collection, first, from, to)| {
            self.documents
                .range(&first)
                .take_while(move |(key, _)| key.collection() == collection && is_below(*key, to.as_ref()))
                .filter(move |(key, _)| is_above(*key, from.as_ref()))
                .map(move |(key, version)| self.scanned(name, key, version))
        })
    }

    /// As [`View::range`], in descending order.
    pub fn range_back<'view>(
        &'view self,
        collection: &str,
        from: Bound<&DocumentId>,
        to: Bound<&DocumentId>,
    ) -> impl Iterator<Item = Scanned<'view>> + use<'view> {
        let found = self.collections.get_key_value(collection).map(|(name, collection)| {
            let key = |id: &DocumentId| Key::new(*collection, id);
            let (included, end) = match to {
                Bound::Unbounded => (None, Key::behind(*collection)),
                Bound::Included(id) => (self.documents.get_key_value(&key(id)), Some(key(id))),
                Bound::Excluded(id) => (None, Some(key(id))),
            };
            (name, *collection, included, self.documents.descending(end.as_ref()), from.map(key))
        });
        found.into_iter().flat_map(move |(name, collection, included, below, from)| {
            included
                .into_iter()
                .chain(below)
                .take_while(move |(key, _)| key.collection() == collection && is_above(*key, from.as_ref()))
                .map(move |(key, version)| self.scanned(name, key, version))
        })
    }

    /// Why documents may be missing between two bounds that nothing names: a part of the log is lost, or they are withheld for
    /// want of space. A scan that ended well would hide it.
    #[must_use]
    pub fn loss(&self, collection: &str, from: Bound<&DocumentId>, to: Bound<&DocumentId>) -> Option<Error> {
        if let Some(lost) = self.damage.parts.first() {
            return Some(lost.clone());
        }
        if let Some(lost) = self.lost_between(collection, from, to) {
            return Some(lost.clone());
        }
        let withheld = self.withheld.as_ref()?;
        let first = withheld.documents.get(collection)?.range((from, Bound::Unbounded)).next()?;
        is_below(first, to).then(|| withheld.error.clone())
    }

    fn scanned<'view>(&self, name: &CollectionName, key: &Key, version: &'view Version) -> Scanned<'view> {
        match &version.content {
            Content::Live(document) if version.tx >= self.damage.uncertain_below => Ok((key.id(), document)),
            Content::Live(_) | Content::Damaged => Err(corrupt(name.as_str(), &key.id())),
        }
    }
}

pub(super) fn is_above<T: Ord>(key: &T, from: Bound<&T>) -> bool {
    match from {
        Bound::Unbounded => true,
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
    }
}

pub(super) fn is_below<T: Ord>(key: &T, to: Bound<&T>) -> bool {
    match to {
        Bound::Unbounded => true,
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
    }
}
