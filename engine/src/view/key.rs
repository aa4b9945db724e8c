//! A document's key within its database, and the memory that a document and its key take.

use docdb_protocol::{CollectionId, DocumentId, TextId};

use crate::table::{self, KeyParts};

/// What the map takes for an entry: its slot, and its share of the nodes and of their empty slots. Nodes filled in
/// order take 54, nodes filled at random about 75; and some is lost between allocations.
pub(super) const ENTRY_BYTES: u64 = 72;

/// The two counts in front of a document's bytes.
const COUNTS_BYTES: u64 = 16;

/// What memory takes for one document of `len` bytes: its allocation as the system's allocator rounds it, and its entry.
/// The figure depends on nothing else, so that what one write takes the opposite one gives back.
pub(crate) fn document_memory_bytes(len: usize) -> u64 {
    allocation_bytes(COUNTS_BYTES + len as u64) + ENTRY_BYTES
}

/// What memory takes for an id beside its entry: of a text its bytes, and what points to them.
pub(crate) fn id_memory_bytes(id: &DocumentId) -> u64 {
    match id {
        DocumentId::Number(_) => 0,
        DocumentId::Text(text) => text_memory_bytes(text),
    }
}

fn text_memory_bytes(text: &TextId) -> u64 {
    allocation_bytes(COUNTS_BYTES + size_of::<Box<str>>() as u64) + allocation_bytes(text.as_str().len() as u64)
}

/// In front of every allocation stands its length, in eight bytes; all of them begin at multiples of sixteen.
fn allocation_bytes(bytes: u64) -> u64 {
    (bytes + 8).next_multiple_of(16).max(32)
}

/// A document within its database. One small shape for both kinds of ids, of which a store holds millions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Number(CollectionId, u64),
    Text(CollectionId, TextId),
}

impl Key {
    pub(crate) fn new(collection: CollectionId, id: &DocumentId) -> Key {
        match id {
            DocumentId::Number(number) => Key::Number(collection, *number),
            DocumentId::Text(text) => Key::Text(collection, text.clone()),
        }
    }

    /// The first that a collection may have.
    pub(super) fn first(collection: CollectionId) -> Key {
        Key::Number(collection, 0)
    }

    /// A bound behind all that a collection may have; `None` where there is no next collection.
    pub(super) fn behind(collection: CollectionId) -> Option<Key> {
        collection.0.checked_add(1).map(|next| Key::first(CollectionId(next)))
    }

    /// What a key of a table names; `None` where it is none.
    pub(crate) fn of_table(key: &[u8]) -> Option<Key> {
        let parts = KeyParts::decode(key)?;
        Some(Key::new(parts.collection, &parts.document_id()))
    }

    /// As tables have it.
    pub(crate) fn in_table(&self) -> table::Key {
        table::Key::new(self.collection(), &self.id())
    }

    pub(crate) fn collection(&self) -> CollectionId {
        match self {
            Key::Number(collection, _) | Key::Text(collection, _) => *collection,
        }
    }

    pub(crate) fn id(&self) -> DocumentId {
        match self {
            Key::Number(_, number) => DocumentId::Number(*number),
            Key::Text(_, text) => DocumentId::Text(text.clone()),
        }
    }

    /// What it takes in memory beside its entry.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match self {
            Key::Number(..) => 0,
            Key::Text(_, text) => text_memory_bytes(text),
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        // Two parts as one number order as they do and compare without a branch.
        let packed = |collection: CollectionId, number: u64| u128::from(collection.0) << 64 | u128::from(number);
        match (self, other) {
            (Key::Number(one, number), Key::Number(two, other)) => packed(*one, *number).cmp(&packed(*two, *other)),
            (Key::Text(one, text), Key::Text(two, other)) => one.cmp(two).then_with(|| text.cmp(other)),
            (Key::Number(one, _), Key::Text(two, _)) => one.cmp(two).then(std::cmp::Ordering::Less),
            (Key::Text(one, _), Key::Number(two, _)) => one.cmp(two).then(std::cmp::Ordering::Greater),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
