//! Runs one request against the newest pending state and says what must be answered.
//!
//! The rules are the product's: `EachAlone` makes every write a transaction of its own, `AllOrNothing`
//! makes one of all or none. A read sees the writes before it in the same request. Beside them, the reads of a
//! transaction that writes see the state that its writes are decided against; all other reads see published
//! states, and which of these is not known here, so it is left open.

use std::collections::BTreeMap;
use std::sync::Arc;

use docdb_protocol::{Action, Atomicity, ErrorCode, Operation};

use crate::state::{Content, Key, State, Transaction, Write};

/// What one operation must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Written by this transaction.
    Written(u64),
    /// This error, because of the document's state after the newest pending transaction.
    Fails(ErrorCode),
    /// The document as an earlier operation of the same request left it, or as the transaction before left it.
    Read(Option<Content>),
    /// The document in some published state.
    PublishedRead,
    /// Not run: the request was refused, or another operation of it failed.
    NotRun,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// One for each operation.
    pub(crate) expected: Vec<Expected>,
    /// What is committed, in order.
    pub(crate) transactions: Vec<Transaction>,
    /// With `AllOrNothing`: the operation that fails the request.
    pub(crate) failed: Option<(usize, ErrorCode)>,
}

/// Whether a request is one transaction that writes: then its reads see what its writes are decided against.
pub(crate) fn is_transaction_that_writes(operations: &[Operation], atomicity: Atomicity) -> bool {
    atomicity == Atomicity::AllOrNothing && operations.iter().any(|operation| operation.action != Action::Read)
}

/// The key of an operation's document.
pub(crate) fn key_of(operation: &Operation) -> Key {
    (Arc::from(operation.collection.as_str()), operation.document_id.0)
}

/// Runs `operations` on `newest`, the state after transaction `newest_tx`; those `refused` do nothing.
pub(crate) fn execute(
    newest: &State,
    newest_tx: u64,
    operations: &[Operation],
    atomicity: Atomicity,
    refused: &[bool],
) -> Outcome {
    let mut outcome = Outcome::default();
    let reads_newest = is_transaction_that_writes(operations, atomicity);
    let mut own: BTreeMap<Key, Option<Content>> = BTreeMap::new();
    let mut whole = Transaction::new();
    for (index, operation) in operations.iter().enumerate() {
        if refused[index] {
            outcome.expected.push(Expected::NotRun);
            continue;
        }
        let key = key_of(operation);
        let exists = own.get(&key).map_or_else(|| newest.contains_key(&key), Option::is_some);
        let content = match (&operation.action, exists) {
            (Action::Read, _) => {
                let expected = match own.get(&key) {
                    Some(own) => Expected::Read(own.clone()),
                    None if reads_newest => Expected::Read(newest.get(&key).cloned()),
                    None => Expected::PublishedRead,
                };
                let absent = expected == Expected::Read(None);
                outcome.expected.push(expected);
                if absent && atomicity == Atomicity::AllOrNothing {
                    outcome.failed = Some((index, ErrorCode::DocNotFound));
                    break;
                }
                continue;
            }
            (Action::Create(_), true) => Err(ErrorCode::DocExists),
            (Action::Update(_) | Action::Delete, false) => Err(ErrorCode::DocNotFound),
            (Action::Create(document) | Action::Update(document), _) => Ok(Some(Arc::clone(document.shared()))),
            (Action::Delete, true) => Ok(None),
        };
        match (content, atomicity) {
            (Err(code), Atomicity::EachAlone) => outcome.expected.push(Expected::Fails(code)),
            (Err(code), Atomicity::AllOrNothing) => {
                outcome.failed = Some((index, code));
                break;
            }
            (Ok(content), _) => {
                own.insert(key.clone(), content.clone());
                let write = Write { key, content };
                match atomicity {
                    Atomicity::EachAlone => outcome.transactions.push(vec![write]),
                    Atomicity::AllOrNothing => whole.push(write),
                }
                let ahead = if atomicity == Atomicity::EachAlone { outcome.transactions.len() as u64 } else { 1 };
                outcome.expected.push(Expected::Written(newest_tx + ahead));
            }
        }
    }
    if outcome.failed.is_some() {
        outcome.expected = vec![Expected::NotRun; operations.len()];
    } else if !whole.is_empty() {
        outcome.transactions.push(whole);
    }
    outcome
}
