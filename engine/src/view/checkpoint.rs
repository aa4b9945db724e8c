//! A view as a checkpoint writes it, and as an opening finds it again: all versions in the order of their keys, and what the
//! metadata says beside them.
//!
//! It reads and writes no file.

use std::sync::Arc;

use docdb_protocol::limits::COLLECTIONS_PER_DATABASE_MAX;
use docdb_protocol::{CollectionId, CollectionName, Document, DocumentId, TxId};

use super::{CollectionState, Content, Key, Version, View};
use crate::metadata::{self, Metadata};
use crate::table::{self, Builder, Entry, TableCollection};

/// A view of which a checkpoint writes all versions.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    view: View,
    /// The first key that is not written yet; `None` once all are.
    next: Option<Key>,
}

impl Snapshot {
    /// Nothing is written yet.
    pub(crate) fn new(view: View) -> Snapshot {
        let next = view.documents.iter().next().map(|(key, _)| key.clone());
        Snapshot { view, next }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Forgets the view: nobody wants it written any more.
    pub(crate) fn release(&mut self) {
        *self = Snapshot { view: View::empty(View::FANOUT_MIN), next: None };
    }

    /// Whether every version was given to a builder.
    pub(crate) fn is_written(&self) -> bool {
        self.next.is_none()
    }

    /// Gives the builder the versions that come next, until a piece of its file is whole, the builder is full, or none is
    /// left.
    pub(crate) fn write(&mut self, builder: &mut Builder) {
        let Some(next) = self.next.take() else { return };
        for (key, Version { tx, content }) in self.view.documents.range(&next) {
            if builder.has_piece() || builder.is_full() {
                self.next = Some(key.clone());
                return;
            }
            let version = match content {
                Content::Live(document) => {
                    table::Version::Value { document: document.bytes(), crc32: document.crc32() }
                }
                Content::Damaged => unreachable!("a database with damage takes no checkpoint"),
            };
            builder.push(&Entry { key: &key.in_table(), tx: *tx, version });
        }
    }

    /// The id that the next collection gets.
    pub(crate) fn next_collection(&self) -> CollectionId {
        self.view.next_collection
    }

    /// The collections, as the metadata has them, in the order of their ids.
    pub(crate) fn collections(&self) -> Vec<metadata::CollectionState> {
        let state_of = |(name, id): (&CollectionName, &CollectionId)| {
            let state = self.view.state(*id);
            metadata::CollectionState {
                id: *id,
                name: name.clone(),
                next_number: state.highest_number + 1,
                documents: state.documents,
                tombstones: 0,
                is_exact: true,
            }
        };
        let mut collections: Vec<metadata::CollectionState> = self.view.collections.iter().map(state_of).collect();
        collections.sort_unstable_by_key(|collection| collection.id);
        assert!(collections.len() <= COLLECTIONS_PER_DATABASE_MAX, "a database has no more");
        collections
    }

    /// The same, as each table lists them.
    pub(crate) fn table_collections(&self) -> Vec<TableCollection> {
        let of = |collection: metadata::CollectionState| TableCollection {
            id: collection.id,
            name: collection.name,
            next_number: collection.next_number,
        };
        self.collections().into_iter().map(of).collect()
    }
}

impl View {
    /// The state that metadata says, without the versions, which its tables hold: [`View::load`] adds them.
    pub(crate) fn of_metadata(metadata: &Metadata, map_fanout: usize) -> View {
        let mut view = View::empty(map_fanout);
        for collection in &metadata.collections {
            view.collections.insert(collection.name.clone(), collection.id);
            let highest_number = collection.next_number.saturating_sub(1);
            if highest_number > 0 {
                let state = CollectionState { highest_number, documents: 0 };
                view.states.insert(collection.id, state);
            }
        }
        view.next_collection = view.next_collection.max(metadata.next_collection);
        view.last_tx = metadata.tx;
        view
    }

    /// Adds a version that a table holds.
    pub(crate) fn load(&mut self, key: Key, tx: TxId, document: &[u8]) {
        let document = Document::trusted(Arc::from(document));
        self.put(key, Version { tx, content: Content::Live(document) });
    }

    /// Forgets what was counted while tables were loaded: readers have seen nothing yet.
    pub(crate) fn loaded(&mut self) {
        self.changes = 0;
        self.replaced_bytes = 0;
    }

    /// Whether tables have lost something that may concern a document which this view does not show.
    #[must_use]
    pub fn may_be_lost(&self, collection: &str, id: &DocumentId) -> bool {
        self.collections.get(collection).is_some_and(|collection| self.is_lost(&Key::new(*collection, id)))
    }
}
