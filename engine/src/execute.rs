//! Running the operations of a request against a state: pure, and where every answer is decided.
//!
//! A request that writes is decided against the newest pending state, its reads too: two creates of one batch cannot
//! both succeed, and no transaction reads the state before another whose documents it overwrites. Its answer waits until
//! all that it rests on is durable. A request that only reads sees the published state and is answered at once:
//! nobody is shown what a power loss could take back.

use docdb_protocol::limits::COLLECTIONS_PER_DATABASE_MAX;
use docdb_protocol::{
    Action, Atomicity, CollectionName, Document, DocumentId, Error, ErrorCode, Operation, OperationReply,
    OperationResult, TxId,
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
                collection: docdb_protocol::CollectionId::DEFAULT,
                document: DocumentId::Number(operations as u64),
                payload: Payload::None,
            });
        }
    }

    fn one(&mut self, operation: &Operation, tx: TxId) -> OperationResult {
        let name = &operation.collection;
        match &operation.action {
            Action::Read(id) => self.read(name, id),
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
        if self.sees_pending {
            let key = self.key(name, id);
            let newest = key.as_ref().and_then(|key| self.pending.version(key)).map(|version| version.tx);
            self.rests_on(key.as_ref(), newest);
        }
        let view = if self.sees_pending { &*self.pending } else { self.published };
        match view.lookup(name.as_str(), id) {
            Lookup::Found(document) => Ok(OperationReply::Document(document.clone())),
            Lookup::Absent => Err(Error::new(ErrorCode::DocNotFound).document(id)),
            Lookup::Damaged(error) => Err(error),
        }
    }

    /// Notes that an answer says which version of a document is the newest: it waits when that is not durable.
    fn rests_on(&mut self, key: Option<&Key>, newest: Option<TxId>) {
        let durable = key.and_then(|key| self.published.version(key)).map(|version| version.tx);
        self.rests_on_pending |= newest != durable;
    }

    /// Notes what a refused transaction tells by the operation that it names: all before that one would have been done,
    /// so of what they would have written, `before` said whether it was there. A put is done either way; of an insertion,
    /// `before` said the number, which those behind it may name.
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
                Action::Put(..) | Action::Read(_) => continue,
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
        if let Some(error) = &self.bounds.read_only {
            return Err(error.clone());
        }
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
            let id_bytes = id_memory_bytes(id);
            let replaced = newest.map_or(0, |version| id_bytes + version.memory_bytes());
            let added = id_bytes + document_memory_bytes(document.len());
            let grown = self.pending.memory_bytes() - replaced + added;
            // What shrinks a document makes room, even beyond the limit.
            let is_full = grown > self.bounds.memory_bytes_free;
            if added > replaced && is_full {
                return Err(Error::new(ErrorCode::MemoryLimit).document(id));
            }
        }
        let collection = match self.pending.collection(name) {
            Some(collection) => collection,
            None if self.pending.collection_count() >= COLLECTIONS_PER_DATABASE_MAX => {
                return Err(Error::new(ErrorCode::LimitExceeded).collection(name.as_str()));
            }
            None => {
                let collection = self.pending.next_collection();
                self.pending.add_collection(name.clone(), collection);
                let (kind, payload) = (RecordKind::CreateCollection, Payload::Name(name.clone()));
                self.records.push(Record { kind, tx, collection, document: DocumentId::Number(0), payload });
                collection
            }
        };
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
mod tests {
    use docdb_protocol::CollectionId;

    use super::*;

    fn operation(collection: &str, id: u64, action: impl FnOnce(DocumentId) -> Action) -> Operation {
        Operation { collection: CollectionName::parse(collection).unwrap(), action: action(DocumentId::Number(id)) }
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
        let create = || operation("_default", 1, |id| Action::Create(id, document("12345")));
        // Counts, bytes and length in an allocation of 32, and an entry.
        assert_eq!(refused(&mut view, 103, create()), Some(full));
        assert_eq!(refused(&mut view, 104, create()), None);
        assert_eq!(view.memory_bytes(), 104);
        let grow = || operation("_default", 1, |id| Action::Update(id, document("123456789")));
        assert_eq!(refused(&mut view, 119, grow()), Some(full));
        assert_eq!(refused(&mut view, 120, grow()), None);
        assert_eq!(view.memory_bytes(), 120);
        // What does not grow is taken whatever is free.
        assert_eq!(refused(&mut view, 0, operation("_default", 1, |id| Action::Update(id, document("654321")))), None);
        assert_eq!(refused(&mut view, 0, operation("_default", 1, |id| Action::Update(id, document("1")))), None);
    }

    /// One transaction writes x and y; before it is durable, another overwrites y and reads x.
    #[test]
    fn a_transaction_reads_the_state_that_its_writes_are_decided_against() {
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let mut pending = View::empty(4);
        let both = [1, 2].map(|id| operation("_default", id, |id| Action::Create(id, document("1"))));
        execute(&mut pending, &View::empty(4), &both, Atomicity::AllOrNothing, &bounds);
        let published = pending.clone();
        let both = [1, 2].map(|id| operation("_default", id, |id| Action::Update(id, document("2"))));
        execute(&mut pending, &published, &both, Atomicity::AllOrNothing, &bounds);
        let read = operation("_default", 1, Action::Read);
        let overwrite = operation("_default", 2, |id| Action::Update(id, document("3")));
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
        let create = |id| operation("_default", id, |id| Action::Create(id, document("1")));
        execute(&mut pending, &empty, &[create(1)], Atomicity::EachAlone, &bounds);
        let published = pending.clone();
        execute(&mut pending, &published, &[create(2)], Atomicity::EachAlone, &bounds);
        let update = operation("_default", 2, |id| Action::Update(id, document("2")));
        let operations = [update, create(1)];
        let executed = execute(&mut pending, &published, &operations, Atomicity::AllOrNothing, &bounds);
        assert_eq!(executed.results.unwrap_err().code(), ErrorCode::DocExists);
        assert!(executed.rests_on_pending);
        let durable = pending.clone();
        let executed = execute(&mut pending, &durable, &operations, Atomicity::AllOrNothing, &bounds);
        assert!(executed.results.is_err() && !executed.rests_on_pending);
    }

    /// Runs operations in one request, each alone, and answers what each came to.
    fn results(view: &mut View, operations: &[Operation]) -> Vec<OperationResult> {
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let published = view.clone();
        execute(view, &published, operations, Atomicity::EachAlone, &bounds).results.expect("each stands alone")
    }

    fn insert(collection: &str) -> Operation {
        operation(collection, 0, |_| Action::Insert(document("1")))
    }

    #[test]
    fn an_insertion_gets_the_number_above_all_that_were_ever_used() {
        let mut view = View::empty(4);
        let number = |view: &mut View, collection: &str| match results(view, &[insert(collection)]).remove(0) {
            Ok(OperationReply::Inserted(number, _)) => Ok(number),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code()),
        };
        assert_eq!([number(&mut view, "c"), number(&mut view, "c"), number(&mut view, "d")], [Ok(1), Ok(2), Ok(1)]);
        let text = DocumentId::text("9").unwrap();
        let put = Operation { action: Action::Put(text, document("1")), ..insert("c") };
        let others = [operation("c", 7, |id| Action::Put(id, document("1"))), operation("c", 7, Action::Delete), put];
        results(&mut view, &others).into_iter().for_each(|result| drop(result.expect("nothing stands against it")));
        assert_eq!(number(&mut view, "c"), Ok(8), "a deleted number is not given again, and no text is a number");
        for beyond in [1 << 53, u64::MAX] {
            results(&mut view, &[operation("c", beyond, |id| Action::Create(id, document("1")))]);
        }
        assert_eq!(number(&mut view, "c"), Ok(9), "numbers from 2^53 on are not counted");
        results(&mut view, &[operation("c", DocumentId::NEXT_NUMBER_MAX - 1, |id| Action::Create(id, document("1")))]);
        assert_eq!(number(&mut view, "c"), Ok(DocumentId::NEXT_NUMBER_MAX));
        assert_eq!(number(&mut view, "c"), Err(ErrorCode::LimitExceeded));
    }

    #[test]
    fn a_put_creates_or_replaces_and_its_record_says_which() {
        let mut view = View::empty(4);
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let put = operation("_default", 1, |id| Action::Put(id, document("1")));
        let executed = execute(&mut view, &View::empty(4), &[put.clone(), put], Atomicity::AllOrNothing, &bounds);
        let kinds: Vec<RecordKind> = executed.records.iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [RecordKind::Create, RecordKind::Update, RecordKind::Commit]);
        assert!(!executed.rests_on_pending, "it says nothing of what was there");
    }

    /// While document 2 is not durable, an insertion would get number 3, and so document 1 would not be there; without
    /// document 2 it would get number 1.
    #[test]
    fn a_refused_transaction_waits_for_what_decided_the_number_of_its_insertion() {
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let published = View::empty(4);
        let mut pending = published.clone();
        results(&mut pending, &[operation("_default", 2, |id| Action::Create(id, document("1")))]);
        let operations = [insert("_default"), operation("_default", 1, Action::Read)];
        let executed = execute(&mut pending, &published, &operations, Atomicity::AllOrNothing, &bounds);
        assert!(executed.results.is_err() && executed.rests_on_pending);
        let durable = pending.clone();
        let executed = execute(&mut pending, &durable, &operations, Atomicity::AllOrNothing, &bounds);
        assert!(executed.results.is_err() && !executed.rests_on_pending);
    }

    #[test]
    fn a_transaction_that_is_refused_uses_no_number() {
        let mut view = View::empty(4);
        let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
        let operations = [insert("c"), operation("c", 5, Action::Delete)];
        execute(&mut view, &View::empty(4), &operations, Atomicity::AllOrNothing, &bounds).results.unwrap_err();
        let inserted = results(&mut view, &[insert("c")]).remove(0).expect("nothing stands against it");
        assert_eq!(inserted, OperationReply::Inserted(1, TxId(1)));
    }

    #[test]
    fn the_last_collection_is_taken_and_no_more() {
        let mut view = View::empty(4);
        for number in 1..COLLECTIONS_PER_DATABASE_MAX - 1 {
            let id = CollectionId(u32::try_from(number).unwrap());
            view.add_collection(CollectionName::parse(&format!("c{number}")).unwrap(), id);
        }
        let create = |name: &str| operation(name, 1, |id| Action::Create(id, document("1")));
        assert_eq!(refused(&mut view, 1 << 40, create("last")), None);
        assert_eq!(refused(&mut view, 1 << 40, create("more")), Some(ErrorCode::LimitExceeded));
        assert_eq!(refused(&mut view, 1 << 40, create("c1")), None, "one that is there takes documents");
    }
}
