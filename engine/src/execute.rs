//! Running the operations of a request against a state: pure, and where every answer is decided.
//!
//! A request that writes is decided against the newest pending state, its reads too: two creates of one batch cannot
//! both succeed, and no transaction reads the state before another whose documents it overwrites. Its answer waits until
//! all that it rests on is durable. A request that only reads sees the published state and is answered at once:
//! nobody is shown what a power loss could take back.

use docdb_protocol::limits::COLLECTIONS_PER_DATABASE_MAX;
use docdb_protocol::{
    Action, Atomicity, Document, DocumentId, Error, ErrorCode, Operation, OperationReply, OperationResult, TxId,
};

use crate::log::{Payload, Record, RecordKind};
use crate::view::{Content, Key, Lookup, Version, View, document_memory_bytes};

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
    let is_write = |operation: &Operation| !matches!(operation.action, Action::Read);
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
                collection: docdb_protocol::CollectionId::DEFAULT,
                document: DocumentId(operations as u64),
                payload: Payload::None,
            });
        }
    }

    fn one(&mut self, operation: &Operation, tx: TxId) -> OperationResult {
        match &operation.action {
            Action::Read => self.read(operation),
            Action::Create(document) => self.write(operation, RecordKind::Create, Some(document), tx),
            Action::Update(document) => self.write(operation, RecordKind::Update, Some(document), tx),
            Action::Delete => self.write(operation, RecordKind::Delete, None, tx),
        }
    }

    fn key(&self, operation: &Operation) -> Option<Key> {
        let collection = self.pending.collection(&operation.collection)?;
        Some(Key { collection, document: operation.document_id })
    }

    fn read(&mut self, operation: &Operation) -> OperationResult {
        if self.sees_pending {
            let key = self.key(operation);
            let newest = key.and_then(|key| self.pending.version(key));
            self.rests_on(key, newest.map(|version| version.tx));
        }
        let view = if self.sees_pending { &*self.pending } else { self.published };
        match view.lookup(operation.collection.as_str(), operation.document_id) {
            Lookup::Found(document) => Ok(OperationReply::Document(document.clone())),
            Lookup::Absent => Err(Error::new(ErrorCode::DocNotFound).document(operation.document_id)),
            Lookup::Damaged(error) => Err(error),
        }
    }

    /// Notes that an answer says which version of a document is the newest: it waits when that is not durable.
    fn rests_on(&mut self, key: Option<Key>, newest: Option<TxId>) {
        let durable = key.and_then(|key| self.published.version(key)).map(|version| version.tx);
        self.rests_on_pending |= newest != durable;
    }

    /// Notes what a refused transaction tells by the operation that it names: all before that one would have been done,
    /// so of what they would have written, `before` said whether it was there.
    fn rests_on_writes(&mut self, operations: &[Operation], before: &View) {
        for operation in operations.iter().filter(|operation| !matches!(operation.action, Action::Read)) {
            let collection = before.collection(&operation.collection);
            let key = collection.map(|collection| Key { collection, document: operation.document_id });
            let newest = key.and_then(|key| before.version(key)).map(|version| version.tx);
            self.rests_on(key, newest);
        }
    }

    fn write(
        &mut self,
        operation: &Operation,
        kind: RecordKind,
        document: Option<&Document>,
        tx: TxId,
    ) -> OperationResult {
        if let Some(error) = &self.bounds.read_only {
            return Err(error.clone());
        }
        let key = self.key(operation);
        let newest = key.and_then(|key| self.pending.version(key));
        let refused = match (kind, newest) {
            (RecordKind::Create, Some(_)) => Some(ErrorCode::DocExists),
            (RecordKind::Update | RecordKind::Delete, None) => Some(ErrorCode::DocNotFound),
            _ => None,
        };
        if let Some(code) = refused {
            let newest = newest.map(|version| version.tx);
            self.rests_on(key, newest);
            return Err(Error::new(code).document(operation.document_id));
        }
        if let Some(document) = document {
            let replaced = newest.map_or(0, Version::memory_bytes);
            let added = document_memory_bytes(document.len());
            let grown = self.pending.memory_bytes() - replaced + added;
            // What shrinks a document makes room, even beyond the limit.
            let is_full = grown > self.bounds.memory_bytes_free;
            if added > replaced && is_full {
                return Err(Error::new(ErrorCode::MemoryLimit).document(operation.document_id));
            }
        }
        let collection = match key {
            Some(key) => key.collection,
            None if self.pending.collection_count() >= COLLECTIONS_PER_DATABASE_MAX => {
                return Err(Error::new(ErrorCode::LimitExceeded).collection(operation.collection.as_str()));
            }
            None => {
                let id = self.pending.next_collection();
                let name = operation.collection.clone();
                self.pending.add_collection(name.clone(), id);
                let payload = Payload::Name(name);
                let kind = RecordKind::CreateCollection;
                self.records.push(Record { kind, tx, collection: id, document: DocumentId(0), payload });
                id
            }
        };
        let key = Key { collection, document: operation.document_id };
        let payload = match document {
            Some(document) => {
                let version = Version { tx, content: Content::Live(document.clone()) };
                self.pending.put(key, version);
                Payload::Document(document.clone())
            }
            None => {
                self.pending.delete(key);
                Payload::None
            }
        };
        self.records.push(Record { kind, tx, collection, document: operation.document_id, payload });
        Ok(OperationReply::Written(tx))
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{CollectionId, CollectionName};

    use super::*;

    fn operation(collection: &str, id: u64, action: Action) -> Operation {
        let collection = CollectionName::parse(collection).unwrap();
        Operation { collection, document_id: DocumentId(id), action }
    }

    fn document(text: &str) -> Document {
        Document::parse(text.as_bytes()).unwrap()
    }

    /// Runs one operation and says with which error it was refused.
    fn refused(view: &mut View, memory_bytes_free: u64, operation: Operation) -> Option<ErrorCode> {
        let bounds = Bounds { read_only: None, memory_bytes_free };
        let published = view.clone();
        let executed = execute(view, &published, &[operation], Atomicity::EachAlone, &bounds);
        executed.results.unwrap().remove(0).err().map(|error| error.code())
    }

    #[test]
    fn a_document_may_fill_memory_to_the_last_byte_and_no_further() {
        let mut view = View::empty(4);
        let full = ErrorCode::MemoryLimit;
        let create = || operation("_default", 1, Action::Create(document("12345")));
        // Counts, bytes and length in an allocation of 32, and an entry.
        assert_eq!(refused(&mut view, 103, create()), Some(full));
        assert_eq!(refused(&mut view, 104, create()), None);
        assert_eq!(view.memory_bytes(), 104);
        let grow = || operation("_default", 1, Action::Update(document("123456789")));
        assert_eq!(refused(&mut view, 119, grow()), Some(full));
        assert_eq!(refused(&mut view, 120, grow()), None);
        assert_eq!(view.memory_bytes(), 120);
        // What does not grow is taken whatever is free.
        assert_eq!(refused(&mut view, 0, operation("_default", 1, Action::Update(document("654321")))), None);
        assert_eq!(refused(&mut view, 0, operation("_default", 1, Action::Update(document("1")))), None);
    }

    /// One transaction writes x and y; before it is durable, another overwrites y and reads x.
    #[test]
    fn a_transaction_reads_the_state_that_its_writes_are_decided_against() {
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let mut pending = View::empty(4);
        let both = [1, 2].map(|id| operation("_default", id, Action::Create(document("1"))));
        execute(&mut pending, &View::empty(4), &both, Atomicity::AllOrNothing, &bounds);
        let published = pending.clone();
        let both = [1, 2].map(|id| operation("_default", id, Action::Update(document("2"))));
        execute(&mut pending, &published, &both, Atomicity::AllOrNothing, &bounds);
        let read = operation("_default", 1, Action::Read);
        let overwrite = operation("_default", 2, Action::Update(document("3")));
        for atomicity in [Atomicity::AllOrNothing, Atomicity::EachAlone] {
            let operations = [read.clone(), overwrite.clone()];
            let executed = execute(&mut pending.clone(), &published, &operations, atomicity, &bounds);
            let read = executed.results.expect("nothing stands against it").remove(0);
            assert_eq!(read.expect("it is there"), OperationReply::Document(document("2")), "{atomicity:?}");
            assert!(executed.rests_on_pending, "what was read is not durable");
        }
        // A refused write leaves nothing to wait for but what was read before it.
        let refused = operation("_default", 3, Action::Delete);
        let operations = [read.clone(), refused];
        let executed = execute(&mut pending, &published, &operations, Atomicity::EachAlone, &bounds);
        assert!(executed.records.is_empty() && executed.rests_on_pending);
        // Whoever only reads waits for nothing, and sees what is durable.
        let executed = execute(&mut pending, &published, &[read], Atomicity::AllOrNothing, &bounds);
        let read = executed.results.expect("nothing stands against it").remove(0);
        assert_eq!(read.expect("it is there"), OperationReply::Document(document("1")));
        assert!(!executed.rests_on_pending);
    }

    /// Document 1 is durable, document 2 is not. A transaction that updates 2 and then creates 1 is refused for its second
    /// operation, which says that 2 is there.
    #[test]
    fn a_refused_transaction_waits_for_what_it_would_have_overwritten() {
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let empty = View::empty(4);
        let mut pending = empty.clone();
        let create = |id| operation("_default", id, Action::Create(document("1")));
        execute(&mut pending, &empty, &[create(1)], Atomicity::EachAlone, &bounds);
        let published = pending.clone();
        execute(&mut pending, &published, &[create(2)], Atomicity::EachAlone, &bounds);
        let update = operation("_default", 2, Action::Update(document("2")));
        let operations = [update, create(1)];
        let executed = execute(&mut pending, &published, &operations, Atomicity::AllOrNothing, &bounds);
        assert_eq!(executed.results.unwrap_err().code(), ErrorCode::DocExists);
        assert!(executed.rests_on_pending);
        let durable = pending.clone();
        let executed = execute(&mut pending, &durable, &operations, Atomicity::AllOrNothing, &bounds);
        assert!(executed.results.is_err() && !executed.rests_on_pending);
    }

    #[test]
    fn the_last_collection_is_taken_and_no_more() {
        let mut view = View::empty(4);
        for number in 1..COLLECTIONS_PER_DATABASE_MAX - 1 {
            let id = CollectionId(u32::try_from(number).unwrap());
            view.add_collection(CollectionName::parse(&format!("c{number}")).unwrap(), id);
        }
        let create = |name: &str| operation(name, 1, Action::Create(document("1")));
        assert_eq!(refused(&mut view, 1 << 40, create("last")), None);
        assert_eq!(refused(&mut view, 1 << 40, create("more")), Some(ErrorCode::LimitExceeded));
        assert_eq!(refused(&mut view, 1 << 40, create("c1")), None, "one that is there takes documents");
    }
}
