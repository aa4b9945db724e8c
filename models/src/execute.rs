//! Runs one request against the newest pending state and says what must be answered.
//!
//! The rules are the product's: `EachAlone` makes every write a transaction of its own, `AllOrNothing`
//! makes one of all or none. A read sees the writes before it in the same request. Beside them, the reads of a
//! transaction that writes see the state that its writes are decided against; all other reads see published
//! states, and which of these is not known here, so it is left open.

use std::collections::BTreeMap;
use std::sync::Arc;

use docdb_protocol::{Action, Atomicity, Document, DocumentId, ErrorCode, Expectation, Operation, TxId};

use crate::state::{Content, Key, State, Transaction, Write};

/// What one operation must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Written by this transaction.
    Written(u64),
    /// Written under this number, by this transaction.
    Inserted(u64, u64),
    /// This error, because of the document's state after the newest pending transaction.
    Fails(ErrorCode),
    /// The document as an earlier operation of the same request left it, or as the transaction before left it.
    Read(Option<Content>),
    /// The document in some published state.
    PublishedRead,
    /// It is as expected, in the state before the transaction that expects it.
    Holds,
    /// It is as expected, or is not, in some published state.
    PublishedExpectation,
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
    atomicity == Atomicity::AllOrNothing && operations.iter().any(|operation| !operation.action.is_read())
}

/// The key of an operation's document; `None` where the engine chooses the id.
pub(crate) fn key_of(operation: &Operation) -> Option<Key> {
    Some((Arc::from(operation.collection.as_str()), operation.action.document_id()?.clone()))
}

/// The highest number up to the largest that is counted which these transactions used in a collection; 0 when none.
pub(crate) fn highest_number(history: &[Transaction], collection: &str) -> u64 {
    let writes = history.iter().flatten().filter(|write| &*write.key.0 == collection && write.content.is_some());
    let numbers = writes.filter_map(|write| write.key.1.as_number());
    numbers.filter(|number| *number <= DocumentId::NEXT_NUMBER_MAX).max().unwrap_or(0)
}

/// The transaction that wrote the document that is there after the transactions of `history`; `None` when there is none.
pub(crate) fn version_of(history: &[Transaction], key: &Key) -> Option<u64> {
    let wrote = |transaction: &Transaction| transaction.iter().rev().find(|write| write.key == *key).cloned();
    let (before, write) = history.iter().enumerate().rev().find_map(|(before, each)| Some((before, wrote(each)?)))?;
    write.content.is_some().then_some(before as u64 + 1)
}

/// Runs `operations` on `newest`, the state after the transactions of `history`; those `refused` do nothing.
pub(crate) fn execute(
    newest: &State,
    history: &[Transaction],
    operations: &[Operation],
    atomicity: Atomicity,
    refused: &[bool],
) -> Outcome {
    let mut run = Run {
        newest,
        history,
        atomicity,
        reads_newest: is_transaction_that_writes(operations, atomicity),
        own: BTreeMap::new(),
        numbers: BTreeMap::new(),
        whole: Transaction::new(),
        outcome: Outcome::default(),
    };
    for (index, operation) in operations.iter().enumerate() {
        if refused[index] {
            run.outcome.expected.push(Expected::NotRun);
        } else if let Err(code) = run.one(operation) {
            run.outcome.failed = Some((index, code));
            break;
        }
    }
    let Run { mut outcome, whole, .. } = run;
    if outcome.failed.is_some() {
        outcome.expected = vec![Expected::NotRun; operations.len()];
    } else if !whole.is_empty() {
        outcome.transactions.push(whole);
    }
    outcome
}

/// A request being run.
struct Run<'run> {
    newest: &'run State,
    history: &'run [Transaction],
    atomicity: Atomicity,
    /// Whether reads see the newest state.
    reads_newest: bool,
    /// What this request made of documents.
    own: BTreeMap<Key, Option<Content>>,
    /// The highest number used in each collection, with what this request used.
    numbers: BTreeMap<Arc<str>, u64>,
    /// With `AllOrNothing`, what is written so far.
    whole: Transaction,
    outcome: Outcome,
}

impl Run<'_> {
    /// Runs one operation; an error is what fails the whole.
    fn one(&mut self, operation: &Operation) -> Result<(), ErrorCode> {
        let content = |document: &Document| Some(Arc::clone(document.shared()));
        let key = || key_of(operation).expect("an operation names its document, but for an insertion");
        let exists =
            |run: &Self, key: &Key| run.own.get(key).map_or_else(|| run.newest.contains_key(key), Option::is_some);
        match &operation.action {
            Action::Read(_) => self.read(&key()),
            Action::Expect(_, expectation) => self.expect(&key(), *expectation),
            Action::Create(..) if exists(self, &key()) => self.fails(ErrorCode::DocExists),
            Action::Update(..) | Action::Delete(_) if !exists(self, &key()) => self.fails(ErrorCode::DocNotFound),
            Action::Create(_, document) | Action::Put(_, document) | Action::Update(_, document) => {
                let tx = self.write(key(), content(document));
                self.outcome.expected.push(Expected::Written(tx));
                Ok(())
            }
            Action::Delete(_) => {
                let tx = self.write(key(), None);
                self.outcome.expected.push(Expected::Written(tx));
                Ok(())
            }
            Action::Insert(document) => {
                let name: Arc<str> = operation.collection.as_str().into();
                let highest = self.highest(&name);
                if highest == DocumentId::NEXT_NUMBER_MAX {
                    return self.fails(ErrorCode::LimitExceeded);
                }
                let tx = self.write((name, DocumentId::Number(highest + 1)), content(document));
                self.outcome.expected.push(Expected::Inserted(highest + 1, tx));
                Ok(())
            }
        }
    }

    fn read(&mut self, key: &Key) -> Result<(), ErrorCode> {
        let expected = match self.own.get(key) {
            Some(own) => Expected::Read(own.clone()),
            None if self.reads_newest => Expected::Read(self.newest.get(key).cloned()),
            None => Expected::PublishedRead,
        };
        let absent = expected == Expected::Read(None);
        self.outcome.expected.push(expected);
        if absent && self.atomicity == Atomicity::AllOrNothing {
            return Err(ErrorCode::DocNotFound);
        }
        Ok(())
    }

    fn expect(&mut self, key: &Key, expectation: Expectation) -> Result<(), ErrorCode> {
        if !self.reads_newest && !self.own.contains_key(key) {
            self.outcome.expected.push(Expected::PublishedExpectation);
            return Ok(());
        }
        let version = match self.own.get(key) {
            Some(own) => own.is_some().then(|| self.own_tx(key)),
            None => version_of(self.history, key),
        };
        if !expectation.holds(version.map(TxId)) {
            return self.fails(ErrorCode::Conflict);
        }
        self.outcome.expected.push(Expected::Holds);
        Ok(())
    }

    /// The transaction of this request that wrote the document last.
    fn own_tx(&self, key: &Key) -> u64 {
        let newest_tx = self.history.len() as u64;
        match self.atomicity {
            Atomicity::EachAlone => newest_tx + version_of(&self.outcome.transactions, key).unwrap_or(0),
            Atomicity::AllOrNothing => newest_tx + 1,
        }
    }

    fn fails(&mut self, code: ErrorCode) -> Result<(), ErrorCode> {
        match self.atomicity {
            Atomicity::EachAlone => {
                self.outcome.expected.push(Expected::Fails(code));
                Ok(())
            }
            Atomicity::AllOrNothing => Err(code),
        }
    }

    fn highest(&mut self, collection: &Arc<str>) -> u64 {
        let history = self.history;
        *self.numbers.entry(Arc::clone(collection)).or_insert_with(|| highest_number(history, collection))
    }

    /// Writes, and says by which transaction.
    fn write(&mut self, key: Key, content: Option<Content>) -> u64 {
        if let Some(number) = key.1.as_number().filter(|number| *number <= DocumentId::NEXT_NUMBER_MAX)
            && content.is_some()
        {
            let highest = self.highest(&key.0).max(number);
            self.numbers.insert(Arc::clone(&key.0), highest);
        }
        self.own.insert(key.clone(), content.clone());
        let write = Write { key, content };
        let newest_tx = self.history.len() as u64;
        match self.atomicity {
            Atomicity::EachAlone => {
                self.outcome.transactions.push(vec![write]);
                newest_tx + self.outcome.transactions.len() as u64
            }
            Atomicity::AllOrNothing => {
                self.whole.push(write);
                newest_tx + 1
            }
        }
    }
}
