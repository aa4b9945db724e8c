//! Running the operations of a request against a state: pure, and where every answer is decided.
//!
//! A request that writes is decided against the newest pending state, its reads too: two creates of one batch cannot
//! both succeed, and no transaction reads the state before another whose documents it overwrites. Its answer waits until
//! all that it rests on is durable. A request that only reads sees the published state and is answered at once:
//! nobody is shown what a power loss could take back.

use docdb_protocol::limits::COLLECTIONS_PER_DATABASE_MAX;
use docdb_protocol::{
    Action, Atomicity, CollectionId, CollectionName, Document, DocumentId, Error, ErrorCode, Expectation, Operation,
    OperationReply, OperationResult, TxId,
};

use crate::log::{Payload, Record, RecordKind};
use crate::view::{Content, Key, Lookup, Version, View, document_memory_bytes, id_memory_bytes};

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    /// One result an operation; a whole failure for a transaction that failed.
    pub(crate) results: Result<Vec<OperationResult>, Error>,
    /// What to write; already carried into the pending state.
    pub(crate) records: Vec<Record>,
    /// Whether an answer rests on a version that is not durable yet.
    pub(crate) rests_on_pending: bool,
}

/// What bounds a request.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// The error that every write gets, in a read-only database.
    pub(crate) read_only: Option<Error>,
    /// Bytes that this database may still take into memory.
    pub(crate) memory_bytes_free: u64,
}

/// Runs `operations` on `pending`, which afterwards holds what they wrote.
pub(crate) fn execute(
    pending: &mut View,
    published: &View,
    operations: &[Operation],
    atomicity: Atomicity,
    bounds: &Bounds,
) -> Executed {
    let is_write = |operation: &Operation| !operation.action.is_read();
    let sees_pending = operations.iter().any(is_write);
    let mut run = Run { pending, published, bounds, sees_pending, records: Vec::new(), rests_on_pending: false };
    let results = match atomicity {
        Atomicity::EachAlone => Ok(operations.iter().map(|operation| run.alone(operation)).collect()),
        Atomicity::AllOrNothing => run.together(operations),
    };
    Executed { results, records: run.records, rests_on_pending: run.rests_on_pending }
}

struct Run<'run> {
    pending: &'run mut View,
    published: &'run View,
    bounds: &'run Bounds,
    /// Whether its reads see the state that its writes are decided against, and its answer waits until that is durable.
    sees_pending: bool,
    records: Vec<Record>,
    rests_on_pending: bool,
}

impl Run<'_> {
    fn alone(&mut self, operation: &Operation) -> OperationResult {
        let tx = TxId(self.pending.last_tx().0 + 1);
        let before = self.records.len();
        let result = self.one(operation, tx);
        self.commit(before, tx);
        result
    }

    fn together(&mut self, operations: &[Operation]) -> Result<Vec<OperationResult>, Error> {
        let tx = TxId(self.pending.last_tx().0 + 1);
        // Nothing is changed by an operation that is refused, so one alone needs no way back. A copy of the state
        // would cost it a copy of every node that it changes.
        let restore = (operations.len() > 1).then(|| self.pending.clone());
        let mut results = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            match self.one(operation, tx) {
                Ok(reply) => results.push(Ok(reply)),
                Err(error) => {
                    if let Some(restore) = restore {
                        self.rests_on_writes(&operations[..index], &restore);
                        *self.pending = restore;
                    }
                    self.records.clear();
                    return Err(error.operation(index));
                }
            }
        }
        self.commit(0, tx);
        Ok(results)
    }

    /// Ends the transaction whose records begin at `from`, if it wrote anything.
    fn commit(&mut self, from: usize, tx: TxId) {
        let operations = self.records.len() - from;
        if operations > 0 {
            self.pending.set_last_tx(tx);
            self.records.push(Record {
                kind: RecordKind::Commit,
                tx,
                collection: CollectionId::DEFAULT,
                document: DocumentId::Number(operations as u64),
                payload: Payload::None,
            });
        }
    }

    fn one(&mut self, operation: &Operation, tx: TxId) -> OperationResult {
        let name = &operation.collection;
        // First of all: what else would refuse a write may rest on what a full disk withholds.
        if let Some(error) = self.bounds.read_only.as_ref().filter(|_| !operation.action.is_read()) {
            return Err(error.clone());
        }
        match &operation.action {
            Action::Read(id) => self.read(name, id),
            Action::Expect(id, expectation) => self.expect(name, id, *expectation),
            Action::Create(id, document) => self.write(name, id, Wanted::Create, Some(document), tx),
            Action::Put(id, document) => self.write(name, id, Wanted::Put, Some(document), tx),
            Action::Update(id, document) => self.write(name, id, Wanted::Update, Some(document), tx),
            Action::Delete(id) => self.write(name, id, Wanted::Delete, None, tx),
            Action::Insert(document) => {
                let number = self.next_number(name)?;
                self.write(name, &DocumentId::Number(number), Wanted::Create, Some(document), tx)?;
                Ok(OperationReply::Inserted(number, tx))
            }
        }
    }

    fn key(&self, name: &CollectionName, id: &DocumentId) -> Option<Key> {
        Some(Key::new(self.pending.collection(name)?, id))
    }

    /// The number that a document gets which comes without an id.
    fn next_number(&mut self, name: &CollectionName) -> Result<u64, Error> {
        let Some(collection) = self.pending.collection(name) else { return Ok(1) };
        self.pending.next_number(collection).ok_or_else(|| {
            // The last number may have been used by what is not durable yet.
            self.rests_on_pending |= self.published.next_number(collection).is_some();
            let detail = format!("all numbers up to {} are used", DocumentId::NEXT_NUMBER_MAX);
            Error::new(ErrorCode::LimitExceeded).collection(name.as_str()).detail(detail)
        })
    }

    fn read(&mut self, name: &CollectionName, id: &DocumentId) -> OperationResult {
        match self.look_up(name, id)? {
            Some((document, _)) => Ok(OperationReply::Document(document.clone())),
            None => Err(Error::new(ErrorCode::DocNotFound).document(id)),
        }
    }

    fn expect(&mut self, name: &CollectionName, id: &DocumentId, expectation: Expectation) -> OperationResult {
        let version = self.look_up(name, id)?.map(|(_, tx)| tx);
        if expectation.holds(version) {
            return Ok(OperationReply::AsExpected);
        }
        let found = version.map_or(Expectation::Absent, Expectation::Version);
        Err(Error::new(ErrorCode::Conflict).document(id).detail(format!("expected {expectation}, found {found}")))
    }

    /// A document as this request sees it, with the transaction that wrote it.
    fn look_up(&mut self, name: &CollectionName, id: &DocumentId) -> Result<Option<(&Document, TxId)>, Error> {
        if self.sees_pending {
            let key = self.key(name, id);
            let newest = key.as_ref().and_then(|key| self.pending.version(key)).map(|version| version.tx);
            self.rests_on(key.as_ref(), newest);
        }
        let view = if self.sees_pending { &*self.pending } else { self.published };
        match view.lookup(name.as_str(), id) {
            Lookup::Found(document, tx) => Ok(Some((document, tx))),
            Lookup::Absent => Ok(None),
            Lookup::Damaged(error) => Err(error),
        }
    }

    /// Notes that an answer says which version of a document is the newest: it waits when that is not durable.
    fn rests_on(&mut self, key: Option<&Key>, newest: Option<TxId>) {
        let durable = key.and_then(|key| self.published.version(key)).map(|version| version.tx);
        self.rests_on_pending |= newest != durable;
    }

    /// The error of a refused transaction names the operation that was refused, and so says that all before it would have been
    /// done: that what each of them writes was there, or was not, in the state `before`. The answer waits until that is
    /// durable. A put says nothing of it, since it is done either way; an insertion says which number `before` had next,
    /// which later operations may name.
    fn rests_on_writes(&mut self, operations: &[Operation], before: &View) {
        for operation in operations {
            let id = match &operation.action {
                Action::Create(id, _) | Action::Update(id, _) | Action::Delete(id) => id,
                Action::Insert(_) => {
                    let collection = before.collection(&operation.collection);
                    let next = |view: &View| collection.and_then(|collection| view.next_number(collection));
                    self.rests_on_pending |= next(before) != next(self.published);
                    continue;
                }
                // Looked up, and so noted, when they were run.
                Action::Put(..) | Action::Read(_) | Action::Expect(..) => continue,
            };
            let key = before.collection(&operation.collection).map(|collection| Key::new(collection, id));
            let newest = key.as_ref().and_then(|key| before.version(key)).map(|version| version.tx);
            self.rests_on(key.as_ref(), newest);
        }
    }

    fn write(
        &mut self,
        name: &CollectionName,
        id: &DocumentId,
        wanted: Wanted,
        document: Option<&Document>,
        tx: TxId,
    ) -> OperationResult {
        let key = self.key(name, id);
        let newest = key.as_ref().and_then(|key| self.pending.version(key));
        let decided = match (wanted, newest) {
            (Wanted::Create, Some(_)) => Err(ErrorCode::DocExists),
            (Wanted::Create | Wanted::Put, None) => Ok(RecordKind::Create),
            (Wanted::Put | Wanted::Update, Some(_)) => Ok(RecordKind::Update),
            (Wanted::Delete, Some(_)) => Ok(RecordKind::Delete),
            (Wanted::Update | Wanted::Delete, None) => Err(ErrorCode::DocNotFound),
        };
        let kind = match decided {
            Ok(kind) => kind,
            Err(code) => {
                let newest = newest.map(|version| version.tx);
                self.rests_on(key.as_ref(), newest);
                return Err(Error::new(code).document(id));
            }
        };
        if let Some(document) = document {
            self.fits_memory(id, document, newest)?;
        }
        let collection = self.collection(name, tx)?;
        let key = key.unwrap_or_else(|| Key::new(collection, id));
        let payload = match document {
            Some(document) => {
                let version = Version { tx, content: Content::Live(document.clone()) };
                self.pending.put(key, version);
                Payload::Document(document.clone())
            }
            None => {
                self.pending.delete(&key);
                Payload::None
            }
        };
        self.records.push(Record { kind, tx, collection, document: id.clone(), payload });
        Ok(OperationReply::Written(tx))
    }

    /// Refuses a document that takes more memory than is free; one that takes no more than what it replaces makes room, even
    /// beyond the limit.
    fn fits_memory(&self, id: &DocumentId, document: &Document, replaced: Option<&Version>) -> Result<(), Error> {
        let id_bytes = id_memory_bytes(id);
        let replaced = replaced.map_or(0, |version| id_bytes + version.memory_bytes());
        let added = id_bytes + document_memory_bytes(document.len());
        let grown = self.pending.memory_bytes() - replaced + added;
        let is_full = grown > self.bounds.memory_bytes_free;
        if added > replaced && is_full { Err(Error::new(ErrorCode::MemoryLimit).document(id)) } else { Ok(()) }
    }

    /// The collection of this name, which is made where it is missing.
    fn collection(&mut self, name: &CollectionName, tx: TxId) -> Result<CollectionId, Error> {
        if let Some(collection) = self.pending.collection(name) {
            return Ok(collection);
        }
        if self.pending.collection_count() >= COLLECTIONS_PER_DATABASE_MAX {
            return Err(Error::new(ErrorCode::LimitExceeded).collection(name.as_str()));
        }
        let collection = self.pending.next_collection();
        self.pending.add_collection(name.clone(), collection);
        let (kind, payload) = (RecordKind::CreateCollection, Payload::Name(name.clone()));
        self.records.push(Record { kind, tx, collection, document: DocumentId::Number(0), payload });
        Ok(collection)
    }
}

/// What a write asks of a document.
#[derive(Clone, Copy)]
enum Wanted {
    /// That it is not there yet.
    Create,
    /// Nothing.
    Put,
    /// That it is there.
    Update,
    /// That it is there, and then is not.
    Delete,
}

#[cfg(test)]
mod tests;
