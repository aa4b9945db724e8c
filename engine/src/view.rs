//! What readers of one database see: the published state, shared and immutable.
//!
//! The same type serves as the newest pending state inside the engine. A clone is cheap and never
//! changes under its holder. A view knows nothing of files: until tables exist, every document is in it.

mod checkpoint;
mod key;
mod lost;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use docdb_protocol::{CollectionId, CollectionName, Document, DocumentId, Error, ErrorCode, TxId};

use crate::log::{Record, RecordKind};
use crate::map::{Map, Shared};
pub(crate) use checkpoint::Snapshot;
use key::ENTRY_BYTES;
pub(crate) use key::{Key, document_memory_bytes, id_memory_bytes};
pub(crate) use lost::LostKeys;
pub use scan::Scanned;

/// What a write copies of the map at most, for accounting: the node that it changes, and a share of those above, which
/// the other writes of its batch change too.
const COPIED_BYTES: u64 = 1024;

/// What is known of a document.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The transaction that wrote it.
    pub(crate) tx: TxId,
    pub(crate) content: Content,
}

/// The shape that [`ENTRY_BYTES`] counts on.
const _: () = assert!(size_of::<Option<(Key, Version)>>() == 48);

impl Version {
    /// What it takes in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match &self.content {
            Content::Live(document) => document_memory_bytes(document.len()),
            Content::Damaged => ENTRY_BYTES,
        }
    }
}

impl Shared for Version {
    fn load_count(&self) -> usize {
        match &self.content {
            Content::Live(document) => Arc::strong_count(document.shared()),
            Content::Damaged => 0,
        }
    }
}

impl Shared for CollectionId {
    fn load_count(&self) -> usize {
        0
    }
}

/// What a view keeps of a collection beside its documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CollectionState {
    /// The highest number up to [`DocumentId::NEXT_NUMBER_MAX`] that was ever used; 0 where none was.
    highest_number: u64,
    /// Documents, damaged ones not counted.
    documents: u64,
}

impl Shared for CollectionState {
    fn load_count(&self) -> usize {
        0
    }
}

/// The stored bytes, or that they are lost.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Live(Document),
    /// The log proves that it was written, and its bytes are damaged.
    Damaged,
}

/// What the log lost without saying which documents were concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Damage {
    /// One error a lost part, naming file and offset.
    pub(crate) parts: Vec<Error>,
    /// Whatever is older than this transaction may have been replaced or deleted in a lost part.
    pub(crate) uncertain_below: TxId,
}

/// What the log holds beyond all that is proven, while no space is found to write it again: it can be read, and may be gone
/// after the next crash. So these documents are neither shown as they are there, nor as they were before.
#[derive(Clone, Debug)]
pub(crate) struct Withheld {
    documents: BTreeMap<CollectionName, BTreeSet<DocumentId>>,
    /// Why no space is found.
    error: Error,
}

/// A consistent state of one database, durable up to [`View::last_tx`]. Clones share everything; any
/// thread may hold one for as long as it likes.
#[derive(Clone, Debug)]
pub struct View {
    documents: Map<Key, Version>,
    collections: Map<CollectionName, CollectionId>,
    /// None of a collection in which nothing was ever written.
    states: Map<CollectionId, CollectionState>,
    /// One above the highest id that a collection ever had.
    next_collection: CollectionId,
    last_tx: TxId,
    memory_bytes: u64,
    /// Of everything that was replaced or deleted since the opening, what it took in memory.
    replaced_bytes: u64,
    /// Writes since the opening.
    changes: u64,
    damaged: u64,
    damage: Arc<Damage>,
    /// What tables have lost, in the order of keys.
    lost: Arc<Vec<LostKeys>>,
    withheld: Option<Arc<Withheld>>,
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Lookup<'view> {
    /// The document, and the transaction that wrote it.
    Found(&'view Document, TxId),
    /// There is none.
    Absent,
    /// The engine cannot say what was stored: `CorruptRecord`, with what is damaged; or, until the document can be made
    /// durable, what keeps the engine from it, mostly `DiskFull`.
    Damaged(Error),
}

impl View {
    /// The newest transaction in this state.
    #[must_use]
    pub fn last_tx(&self) -> TxId {
        self.last_tx
    }

    /// Looks one document up. `collection` is a name as text; an unknown one holds nothing.
    #[must_use]
    pub fn lookup(&self, collection: &str, id: &DocumentId) -> Lookup<'_> {
        if let Some(withheld) = &self.withheld
            && withheld.documents.get(collection).is_some_and(|documents| documents.contains(id))
        {
            return Lookup::Damaged(withheld.error.clone().collection(collection).document(id));
        }
        let key = self.collections.get(collection).map(|&collection| Key::new(collection, id));
        let found = key.as_ref().and_then(|key| self.documents.get(key));
        match found {
            Some(Version { tx, content: Content::Live(document) }) if *tx >= self.damage.uncertain_below => {
                Lookup::Found(document, *tx)
            }
            None if self.damage.uncertain_below == TxId(0) && !key.is_some_and(|key| self.is_lost(&key)) => {
                Lookup::Absent
            }
            Some(_) | None => Lookup::Damaged(corrupt(collection, id)),
        }
    }

    /// The names of all collections, sorted; `_default` is always among them.
    pub fn collections(&self) -> impl Iterator<Item = &CollectionName> {
        self.collections.iter().map(|(name, _)| name)
    }

    /// How many documents a collection has, damaged ones not counted; none in an unknown one. Where a part of the log is lost
    /// that names no documents, those are counted too that may have been replaced in it and are not shown; documents that are
    /// withheld for want of space are not.
    #[must_use]
    pub fn count(&self, collection: &str) -> u64 {
        let state = self.collections.get(collection).and_then(|collection| self.states.get(collection));
        state.map_or(0, |state| state.documents)
    }

    /// How many documents are held, damaged ones not counted, in all collections.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents.len() as u64 - self.damaged
    }

    /// Bytes that the documents and their index take in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// How many bytes this state keeps in memory at most that `newer`, a later state of the same opening, does without:
    /// documents that were replaced or deleted in between, and nodes of the map that were copied.
    #[must_use]
    pub fn bytes_kept_beside(&self, newer: &View) -> u64 {
        let nodes_bytes = self.documents.len() as u64 * ENTRY_BYTES;
        let copied_bytes = newer.changes.saturating_sub(self.changes).saturating_mul(COPIED_BYTES);
        let replaced_bytes = newer.replaced_bytes.saturating_sub(self.replaced_bytes);
        copied_bytes.min(nodes_bytes) + replaced_bytes.min(self.memory_bytes - nodes_bytes)
    }

    /// The parts of the log that are lost; empty in a healthy database.
    #[must_use]
    pub fn damage(&self) -> &[Error] {
        &self.damage.parts
    }

    /// Whether a document is withheld until there is space to make it durable.
    #[must_use]
    pub fn is_withheld(&self, collection: &str, id: &DocumentId) -> bool {
        let documents = self.withheld.as_ref().and_then(|withheld| withheld.documents.get(collection));
        documents.is_some_and(|documents| documents.contains(id))
    }

    /// Whether this is what is proven of a log that cannot be gone on with for want of space; the rest is withheld.
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        self.withheld.is_some()
    }

    /// Takes back what `records` did, the last ones of this state, and withholds the documents that they are about.
    pub(crate) fn withhold(&mut self, records: &[Record], error: Error) {
        let names: BTreeMap<CollectionId, CollectionName> =
            self.collections.iter().map(|(name, id)| (*id, name.clone())).collect();
        let mut documents: BTreeMap<CollectionName, BTreeSet<DocumentId>> = BTreeMap::new();
        for record in records {
            match record.kind {
                RecordKind::Create | RecordKind::Update | RecordKind::Delete => {
                    self.delete(&Key::new(record.collection, &record.document));
                    if let Some(name) = names.get(&record.collection) {
                        documents.entry(name.clone()).or_default().insert(record.document.clone());
                    }
                }
                RecordKind::CreateCollection => {
                    if let Some(name) = names.get(&record.collection) {
                        self.collections.remove(name);
                    }
                }
                RecordKind::Commit | RecordKind::Checkpoint => {}
            }
        }
        if let Some(first) = records.iter().find(|record| record.kind != RecordKind::Checkpoint) {
            self.last_tx = TxId(first.tx.0 - 1);
        }
        self.withheld = Some(Arc::new(Withheld { documents, error }));
    }

    /// The smallest fan-out that there may be.
    const FANOUT_MIN: usize = 4;

    /// `map_fanout` is [`crate::Options::map_fanout`].
    pub(crate) fn empty(map_fanout: usize) -> View {
        let mut collections = Map::new(map_fanout);
        collections.insert(CollectionName::default_collection(), CollectionId::DEFAULT);
        View {
            documents: Map::new(map_fanout),
            collections,
            states: Map::new(map_fanout),
            next_collection: CollectionId(CollectionId::DEFAULT.0 + 1),
            last_tx: TxId(0),
            memory_bytes: 0,
            replaced_bytes: 0,
            changes: 0,
            damaged: 0,
            damage: Arc::default(),
            lost: Arc::default(),
            withheld: None,
        }
    }

    pub(crate) fn collection(&self, name: &CollectionName) -> Option<CollectionId> {
        self.collections.get(name).copied()
    }

    pub(crate) fn collection_count(&self) -> usize {
        self.collections.len()
    }

    /// The id for the next collection; ids of this database are never used again.
    pub(crate) fn next_collection(&self) -> CollectionId {
        self.next_collection
    }

    pub(crate) fn version(&self, key: &Key) -> Option<&Version> {
        self.documents.get(key)
    }

    /// The number for the next document of a collection that is inserted; `None` when all are used up.
    pub(crate) fn next_number(&self, collection: CollectionId) -> Option<u64> {
        let highest = self.state(collection).highest_number;
        (highest < DocumentId::NEXT_NUMBER_MAX).then_some(highest + 1)
    }

    pub(crate) fn add_collection(&mut self, name: CollectionName, id: CollectionId) {
        self.collections.insert(name, id);
        self.next_collection = self.next_collection.max(CollectionId(id.0.saturating_add(1)));
    }

    pub(crate) fn put(&mut self, key: Key, version: Version) {
        self.changes += 1;
        let (collection, key_bytes) = (key.collection(), key.memory_bytes());
        self.memory_bytes += key_bytes + version.memory_bytes();
        let before = self.state(collection);
        let mut state = before;
        if let Key::Number(_, number) = key
            && number <= DocumentId::NEXT_NUMBER_MAX
        {
            // It is never given again, whatever becomes of its document.
            state.highest_number = state.highest_number.max(number);
        }
        let is_damaged = matches!(version.content, Content::Damaged);
        self.damaged += u64::from(is_damaged);
        state.documents += u64::from(!is_damaged);
        let replaced = self.documents.insert(key, version);
        state.documents -= u64::from(is_live(replaced.as_ref()));
        if state != before {
            self.states.insert(collection, state);
        }
        self.forget(key_bytes, replaced);
    }

    pub(crate) fn delete(&mut self, key: &Key) {
        self.changes += 1;
        let removed = self.documents.remove(key);
        if is_live(removed.as_ref()) {
            let mut state = self.state(key.collection());
            state.documents -= 1;
            self.states.insert(key.collection(), state);
        }
        self.forget(key.memory_bytes(), removed);
    }

    fn state(&self, collection: CollectionId) -> CollectionState {
        self.states.get(&collection).copied().unwrap_or_default()
    }

    pub(crate) fn set_last_tx(&mut self, tx: TxId) {
        self.last_tx = tx;
    }

    pub(crate) fn set_damage(&mut self, damage: Damage) {
        self.damage = Arc::new(damage);
    }

    fn forget(&mut self, key_bytes: u64, version: Option<Version>) {
        let Some(version) = version else { return };
        let bytes = key_bytes + version.memory_bytes();
        self.replaced_bytes += bytes;
        self.memory_bytes -= bytes;
        self.damaged -= u64::from(matches!(version.content, Content::Damaged));
    }
}

fn is_live(version: Option<&Version>) -> bool {
    version.is_some_and(|version| matches!(version.content, Content::Live(_)))
}

fn corrupt(collection: &str, id: &DocumentId) -> Error {
    Error::new(ErrorCode::CorruptRecord).collection(collection).document(id)
}
