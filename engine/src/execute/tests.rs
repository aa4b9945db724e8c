//! What requests are answered, and what they make of a state.

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
    // A request that only reads waits for nothing, and sees what is durable.
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

/// A full disk withholds document 2^53 - 1, so nobody may hear that all numbers are used.
#[test]
fn a_database_for_reading_alone_refuses_an_insertion_for_that_reason() {
    let mut pending = View::empty(4);
    results(&mut pending, &[operation("c", DocumentId::NEXT_NUMBER_MAX, |id| Action::Create(id, document("1")))]);
    let bounds = Bounds { read_only: Some(Error::new(ErrorCode::DiskFull)), memory_bytes_free: 1 << 20 };
    let executed = execute(&mut pending, &View::empty(4), &[insert("c")], Atomicity::EachAlone, &bounds);
    let refused = executed.results.expect("each stands alone").remove(0).expect_err("it is for reading alone");
    assert_eq!((refused.code(), executed.rests_on_pending), (ErrorCode::DiskFull, false));
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

/// One client has read version 1 and writes; before that is durable, another that has read version 1 too writes.
#[test]
fn an_expectation_holds_in_the_state_that_the_writes_are_decided_against() {
    let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
    let empty = View::empty(4);
    let mut pending = empty.clone();
    let expect = |tx| operation("_default", 1, |id| Action::Expect(id, Expectation::Version(TxId(tx))));
    let put = operation("_default", 1, |id| Action::Put(id, document("1")));
    let absent = operation("_default", 1, |id| Action::Expect(id, Expectation::Absent));
    execute(&mut pending, &empty, &[absent.clone(), put.clone()], Atomicity::AllOrNothing, &bounds)
        .results
        .expect("there was none");
    let published = pending.clone();
    let mut run = |operations: &[Operation]| {
        let executed = execute(&mut pending, &published, operations, Atomicity::AllOrNothing, &bounds);
        (executed.results.map_err(|error| (error.code(), error.to_string())), executed.rests_on_pending)
    };
    let (first, _) = run(&[expect(1), put.clone()]);
    assert_eq!(first.unwrap(), [Ok(OperationReply::AsExpected), Ok(OperationReply::Written(TxId(2)))]);
    let (second, rests_on_pending) = run(&[expect(1), put.clone()]);
    let (code, text) = second.unwrap_err();
    assert_eq!(code, ErrorCode::Conflict);
    assert!(text.contains("expected the version of transaction 1, found the version of transaction 2"), "{text}");
    assert!(rests_on_pending, "it says what is not durable yet");
    assert_eq!(run(&[absent, put]).0.unwrap_err().0, ErrorCode::Conflict);
    // Alone it is a question about what is durable.
    assert_eq!(run(&[expect(1)]), (Ok(vec![Ok(OperationReply::AsExpected)]), false));
}

#[test]
fn a_collection_counts_its_documents() {
    let mut view = View::empty(4);
    let create = |id| operation("c", id, |id| Action::Create(id, document("1")));
    let put = |id| operation("c", id, |id| Action::Put(id, document("2")));
    results(&mut view, &[create(1), create(2), create(2), put(2), put(3), operation("c", 1, Action::Delete)]);
    assert_eq!((view.count("c"), view.count("_default"), view.count("none")), (2, 0, 0));
    // A transaction that is given up gives its counts up.
    let bounds = Bounds { read_only: None, memory_bytes_free: 1 << 20 };
    let published = view.clone();
    let operations = [create(7), create(2)];
    execute(&mut view, &published, &operations, Atomicity::AllOrNothing, &bounds).results.unwrap_err();
    assert_eq!((view.count("c"), view.documents()), (2, 2));
}
