//! Whether there is room in memory for a request: decided here before the engine is asked, and compared with its answer.
//!
//! A write is refused when its document takes more than what it replaces, and all that is held then would be more than
//! may be; and, while readers hold older states and all that is held is more than they leave, whatever it takes. So nobody is
//! refused for want of memory while there is enough, and nothing is taken that does not fit.
//!
//! It decides only where all that is held is known: where nobody waits for anything.

use std::collections::BTreeMap;

use docdb_models::Key;
use docdb_protocol::{Action, DocumentId, ErrorCode, Operation, OperationResult, Reply, Response};

use super::{Tracked, Violation, violation};

/// What the map takes for an entry.
pub(super) const ENTRY_BYTES: u64 = 72;

/// The two counts in front of shared bytes.
const COUNTS_BYTES: u64 = 16;

/// A pointer to a text, with its length.
const POINTER_BYTES: u64 = 16;

/// In front of every allocation stands its length.
const LENGTH_BYTES: u64 = 8;

/// All allocations begin at multiples of this, and none is shorter than two of them.
const ALIGNED_BYTES: u64 = 16;

/// What memory takes for a document of `len` bytes and its id.
pub(super) fn document_bytes(id: &DocumentId, len: usize) -> u64 {
    let text_bytes = |text: &str| allocation_bytes(COUNTS_BYTES + POINTER_BYTES) + allocation_bytes(text.len() as u64);
    allocation_bytes(COUNTS_BYTES + len as u64) + ENTRY_BYTES + id.as_text().map_or(0, text_bytes)
}

fn allocation_bytes(bytes: u64) -> u64 {
    (bytes + LENGTH_BYTES).next_multiple_of(ALIGNED_BYTES).max(2 * ALIGNED_BYTES)
}

/// What has to become of a request as far as memory is concerned, whose other operations succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room for all of it.
    Enough,
    /// This operation is refused.
    Refused(usize),
}

impl Room {
    /// For a request that succeeds or fails as a whole. `None` where that is not certain.
    pub(super) fn found(
        tracked: &Tracked,
        operations: &[Operation],
        held_bytes: u64,
        memory_bytes_max: u64,
        pinned_bytes: u64,
    ) -> Option<Room> {
        let free = memory_bytes_max.saturating_sub(pinned_bytes);
        let adds = operations.iter().any(|operation| operation.action.document().is_some());
        if pinned_bytes > 0 && held_bytes > free && adds {
            let first = operations.iter().position(|operation| !operation.action.is_read());
            return first.map(Room::Refused);
        }
        let state = tracked.model.state_after(tracked.model.newest())?;
        let mut own: BTreeMap<Key, Option<usize>> = BTreeMap::new();
        let mut held = held_bytes;
        for (index, operation) in operations.iter().enumerate().filter(|(_, operation)| !operation.action.is_read()) {
            let id = match &operation.action {
                // Whatever number it gets, it is new.
                Action::Insert(_) => None,
                action => action.document_id().cloned(),
            };
            let key: Option<Key> = id.clone().map(|id| (operation.collection.as_str().into(), id));
            let stored = key.as_ref().and_then(|key| match own.get(key) {
                Some(own) => *own,
                None => state.get(key).map(|content| content.len()),
            });
            let id = id.unwrap_or(DocumentId::Number(0));
            let replaced = stored.map_or(0, |len| document_bytes(&id, len));
            let added = operation.action.document().map(|document| document_bytes(&id, document.len()));
            held = held - replaced + added.unwrap_or(0);
            if added.is_some_and(|added| added > replaced) && held > free {
                return Some(Room::Refused(index));
            }
            if let Some(key) = key {
                own.insert(key, operation.action.document().map(docdb_protocol::Document::len));
            }
        }
        Some(Room::Enough)
    }

    /// The engine answered as it has to.
    ///
    /// # Errors
    /// When it refused what there is room for, or took what there is none for.
    pub(super) fn is_as_answered(self, response: &Response) -> Result<(), Violation> {
        let refused = |result: &OperationResult| match result {
            Ok(_) => None,
            Err(error) => Some(error.code()),
        };
        let code = match response {
            Ok(Reply::Executed(results)) => results.iter().find_map(refused),
            Ok(_) => None,
            Err(error) => Some(error.code()),
        };
        match (self, code) {
            (Room::Enough, Some(ErrorCode::MemoryLimit)) => {
                violation!("refused for want of memory, where there is enough: {response:?}")
            }
            (Room::Refused(index), None) => {
                violation!("operation {index} was taken, and there is no room in memory for it")
            }
            (Room::Enough | Room::Refused(_), _) => Ok(()),
        }
    }
}
