//! What a database contains, and how a transaction changes it.
//!
//! A state is a sorted map and nothing else. It never knows how it came to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use docdb_protocol::DocumentId;

/// A collection's name and a document's id.
pub type Key = (Arc<str>, DocumentId);

/// A document's bytes, shared between the states that contain it.
pub type Content = Arc<[u8]>;

/// All documents of a database.
pub type State = BTreeMap<Key, Content>;

/// One change of one document: its new content, or `None` when it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// Which document.
    pub key: Key,
    /// What it is from now on.
    pub content: Option<Content>,
}

/// The changes that become visible, and durable, together.
pub type Transaction = Vec<Write>;

/// The state after `transaction`.
pub(crate) fn apply(state: &State, transaction: &Transaction) -> State {
    let mut next = state.clone();
    for write in transaction {
        match &write.content {
            Some(content) => next.insert(write.key.clone(), Arc::clone(content)),
            None => next.remove(&write.key),
        };
    }
    next
}

/// The first bytes of a document, for messages.
pub(crate) fn text(content: &[u8]) -> String {
    let shown = &content[..content.len().min(40)];
    format!("{:?} ({} bytes)", String::from_utf8_lossy(shown), content.len())
}
