//! What readers of one database see: the published state, shared and immutable.

use docdb_protocol::{CollectionName, Document, DocumentId, Error, TxId};

/// A consistent state of one database, durable up to [`View::last_tx`]. Clones share everything; any
/// thread may hold one for as long as it likes.
#[derive(Clone, Debug)]
pub struct View {}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Lookup<'view> {
    /// The document.
    Found(&'view Document),
    /// There is none.
    Absent,
    /// What was stored cannot be told: `CorruptRecord`, with what is damaged.
    Damaged(Error),
}

impl View {
    /// The newest transaction in this state.
    #[must_use]
    pub fn last_tx(&self) -> TxId {
        todo!()
    }
    /// Looks one document up. `collection` is a name as text; an unknown one holds nothing.
    #[must_use]
    pub fn lookup(&self, _collection: &str, _id: DocumentId) -> Lookup<'_> {
        todo!()
    }
    /// The names of all collections, sorted; `_default` is always among them.
    pub fn collections(&self) -> impl Iterator<Item = &CollectionName> {
        [].iter()
    }
    /// The documents of a collection in the order of their ids, from `from` on (inclusive). A damaged one is an
    /// `Err` with its id and error; the rest follows.
    pub fn scan(
        &self,
        _collection: &str,
        _from: DocumentId,
    ) -> impl Iterator<Item = Result<(DocumentId, &Document), (DocumentId, Error)>> {
        [].into_iter()
    }
    /// How many documents can be read, in all collections.
    #[must_use]
    pub fn documents(&self) -> u64 {
        todo!()
    }
    /// What is damaged and not named by a document; empty in a healthy database.
    #[must_use]
    pub fn damage(&self) -> &[Error] {
        &[]
    }
}
