//! Each test is a short story: what was asked, what was answered, what may be found afterwards.

use docdb_protocol::{
    Action, Atomicity, CollectionName, Document, DocumentId, Error, ErrorCode, Expectation, Operation,
};
use docdb_protocol::{OperationReply, OperationResult, Reply, Response, TxId};

use crate::{Allowance, Database, State};

const FAILED: Allowance =
    Allowance { device_failed: true, closing: false, damaged: false, memory_full: false, queue_full: false };

fn document(number: u64) -> Document {
    Document::parse(format!("{{\"n\":{number}}}").as_bytes()).unwrap()
}

fn operation(id: u64, action: impl FnOnce(DocumentId) -> Action) -> Operation {
    Operation { collection: CollectionName::default_collection(), action: action(DocumentId::Number(id)) }
}

fn create(id: u64, number: u64) -> Operation {
    operation(id, |id| Action::Create(id, document(number)))
}

fn written(tx: u64) -> OperationResult {
    Ok(OperationReply::Written(TxId(tx)))
}

fn executed(results: Vec<OperationResult>) -> Response {
    Ok(Reply::Executed(results))
}

fn failed(code: ErrorCode) -> OperationResult {
    Err(Error::new(code))
}

fn opened() -> Database {
    let mut database = Database::new();
    database.publish(0, &State::new()).unwrap();
    database
}

fn publish(database: &mut Database, tx: u64) {
    let state = database.state_after(tx).unwrap().clone();
    database.publish(tx, &state).unwrap();
}

#[test]
fn each_operation_alone_is_a_transaction_of_its_own() {
    let mut database = opened();
    let operations = vec![create(1, 10), create(1, 11), create(2, 12), operation(3, Action::Delete)];
    database.submit(1, operations, Atomicity::EachAlone);
    publish(&mut database, 2);
    let response = executed(vec![written(1), failed(ErrorCode::DocExists), written(2), failed(ErrorCode::DocNotFound)]);
    database.answer(1, &response, Allowance::default()).unwrap();
    assert_eq!((database.acknowledged(), database.newest()), (2, 2));
}

#[test]
fn all_or_nothing_is_one_transaction_and_names_the_operation_that_fails_it() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1), create(2, 2)], Atomicity::AllOrNothing);
    database.submit(2, vec![create(3, 3), create(2, 4)], Atomicity::AllOrNothing);
    publish(&mut database, 1);
    database.answer(1, &executed(vec![written(1), written(1)]), Allowance::default()).unwrap();
    let wrong = Err(Error::new(ErrorCode::DocExists).operation(0));
    database.clone().answer(2, &wrong, Allowance::default()).unwrap_err();
    let right = Err(Error::new(ErrorCode::DocExists).operation(1));
    database.answer(2, &right, Allowance::default()).unwrap();
    assert_eq!(database.newest(), 1);
}

#[test]
fn an_acknowledged_transaction_must_be_recovered_and_an_unanswered_one_may_be() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    database.submit(2, vec![create(2, 2)], Atomicity::EachAlone);
    database.answer(1, &executed(vec![written(1)]), Allowance::default()).unwrap();
    database.crash();
    let states: Vec<State> = (0..=2).map(|tx| database.state_after(tx).unwrap().clone()).collect();
    database.clone().publish(0, &states[0]).unwrap_err();
    database.clone().publish(2, &states[1]).unwrap_err();
    database.clone().publish(2, &states[2]).unwrap();
    database.publish(1, &states[1]).unwrap();
    assert_eq!(database.newest(), 1, "what was not recovered never happened");
}

#[test]
fn what_a_reader_was_shown_survives_the_next_crash() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    publish(&mut database, 1);
    database.crash();
    database.publish(0, &State::new()).unwrap_err();
}

#[test]
fn a_read_returns_no_state_that_was_not_published() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    database.submit(2, vec![operation(1, Action::Read)], Atomicity::EachAlone);
    let early = executed(vec![Ok(OperationReply::Document(document(1)))]);
    database.clone().answer(2, &early, Allowance::default()).unwrap_err();
    publish(&mut database, 1);
    database.clone().answer(2, &early, Allowance::default()).unwrap();
    let before = executed(vec![failed(ErrorCode::DocNotFound)]);
    database.answer(2, &before, Allowance::default()).unwrap();
    database.submit(3, vec![operation(1, Action::Read)], Atomicity::EachAlone);
    database.answer(3, &before, Allowance::default()).unwrap_err();
}

#[test]
fn a_read_sees_the_earlier_writes_of_its_request() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1), operation(1, Action::Read)], Atomicity::AllOrNothing);
    publish(&mut database, 1);
    let stale = executed(vec![written(1), failed(ErrorCode::DocNotFound)]);
    database.clone().answer(1, &stale, Allowance::default()).unwrap_err();
    let own = executed(vec![written(1), Ok(OperationReply::Document(document(1)))]);
    database.answer(1, &own, Allowance::default()).unwrap();
}

fn read(id: u64) -> Operation {
    operation(id, Action::Read)
}

fn found(number: u64) -> OperationResult {
    Ok(OperationReply::Document(document(number)))
}

/// One writes both documents; before that is durable another overwrites the second and reads the first.
#[test]
fn a_transaction_has_read_the_state_after_the_one_before_it() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1), create(2, 1)], Atomicity::AllOrNothing);
    publish(&mut database, 1);
    database.submit(2, vec![operation(1, |id| Action::Update(id, document(2)))], Atomicity::EachAlone);
    database.submit(3, vec![read(1), operation(2, |id| Action::Update(id, document(3)))], Atomicity::AllOrNothing);
    publish(&mut database, 3);
    let stale = executed(vec![found(1), written(3)]);
    database.clone().answer(3, &stale, Allowance::default()).unwrap_err();
    database.answer(3, &executed(vec![found(2), written(3)]), Allowance::default()).unwrap();
    assert_eq!(database.pending_reads(), 1);
}

/// Two clients have read version 1, and both write.
#[test]
fn of_two_that_expect_one_version_the_second_is_refused() {
    let expect = |tx| operation(1, |id| Action::Expect(id, Expectation::Version(TxId(tx))));
    let update = |number| operation(1, |id| Action::Update(id, document(number)));
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    publish(&mut database, 1);
    database.answer(1, &executed(vec![written(1)]), Allowance::default()).unwrap();
    database.submit(2, vec![expect(1), update(2)], Atomicity::AllOrNothing);
    database.submit(3, vec![expect(1), update(3)], Atomicity::AllOrNothing);
    assert_eq!(database.newest(), 2);
    let conflict: Response = Err(Error::new(ErrorCode::Conflict).operation(0));
    let too_soon = database.clone().answer(3, &conflict, Allowance::default()).unwrap_err();
    assert!(too_soon.0.contains("rests on what nobody may see"), "{too_soon:?}");
    publish(&mut database, 2);
    let both = executed(vec![Ok(OperationReply::AsExpected), written(3)]);
    database.clone().answer(3, &both, Allowance::default()).unwrap_err();
    database.clone().answer(2, &conflict, Allowance::default()).unwrap_err();
    database.answer(2, &executed(vec![Ok(OperationReply::AsExpected), written(2)]), Allowance::default()).unwrap();
    database.answer(3, &conflict, Allowance::default()).unwrap();
    // Alone it is answered by what is published.
    database.submit(4, vec![expect(1), expect(2)], Atomicity::EachAlone);
    let answer = executed(vec![failed(ErrorCode::Conflict), Ok(OperationReply::AsExpected)]);
    database.clone().answer(4, &answer, Allowance::default()).unwrap();
    let wrong = executed(vec![Ok(OperationReply::AsExpected), Ok(OperationReply::AsExpected)]);
    database.answer(4, &wrong, Allowance::default()).unwrap_err();
}

#[test]
fn a_refusal_rests_on_what_is_published() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    publish(&mut database, 1);
    database.submit(2, vec![create(2, 2)], Atomicity::EachAlone);
    // That its last operation was reached says that document 2 is there.
    database.submit(3, vec![read(2), create(1, 3)], Atomicity::AllOrNothing);
    database.submit(4, vec![create(2, 3)], Atomicity::EachAlone);
    let third = Err(Error::new(ErrorCode::DocExists).operation(1));
    let fourth = executed(vec![failed(ErrorCode::DocExists)]);
    database.clone().answer(3, &third, Allowance::default()).unwrap_err();
    database.clone().answer(4, &fourth, Allowance::default()).unwrap_err();
    publish(&mut database, 2);
    database.answer(3, &third, Allowance::default()).unwrap();
    database.answer(4, &fourth, Allowance::default()).unwrap();
}

#[test]
fn a_transaction_that_only_reads_reads_one_state() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1), create(2, 1)], Atomicity::AllOrNothing);
    publish(&mut database, 1);
    database.submit(2, vec![read(1), read(2)], Atomicity::AllOrNothing);
    let update = |id| operation(id, |id| Action::Update(id, document(2)));
    database.submit(3, vec![update(1), update(2)], Atomicity::AllOrNothing);
    publish(&mut database, 2);
    let torn = executed(vec![found(1), found(2)]);
    database.clone().answer(2, &torn, Allowance::default()).unwrap_err();
    database.answer(2, &executed(vec![found(1), found(1)]), Allowance::default()).unwrap();
}

#[test]
fn a_collection_is_there_from_its_first_document_on() {
    let mut database = opened();
    let notes = Operation { collection: CollectionName::parse("notes").unwrap(), ..create(1, 1) };
    let delete = Operation { action: Action::Delete(DocumentId::Number(1)), ..notes.clone() };
    database.check_collections(&["_default"], false).unwrap();
    database.submit(1, vec![notes], Atomicity::EachAlone);
    database.check_collections(&["_default", "notes"], false).unwrap_err();
    publish(&mut database, 1);
    database.check_collections(&["_default"], false).unwrap_err();
    database.check_collections(&["_default"], true).unwrap();
    database.submit(2, vec![delete], Atomicity::EachAlone);
    publish(&mut database, 2);
    database.check_collections(&["_default", "notes"], false).unwrap();
}

#[test]
fn what_was_refused_is_taken_out_and_what_followed_is_predicted_again() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    database.submit(2, vec![create(1, 2)], Atomicity::EachAlone);
    let refused = Err(Error::new(ErrorCode::DiskFull));
    database.clone().answer(1, &refused, Allowance::default()).unwrap_err();
    database.answer(1, &refused, FAILED).unwrap();
    publish(&mut database, 1);
    database.answer(2, &executed(vec![written(1)]), FAILED).unwrap();
}

#[test]
fn an_unknown_outcome_is_decided_by_the_next_opening() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    database.submit(2, vec![create(2, 2)], Atomicity::EachAlone);
    database.answer(1, &Err(Error::new(ErrorCode::OutcomeUnknown)), FAILED).unwrap();
    database.answer(2, &executed(vec![failed(ErrorCode::ReadOnly)]), FAILED).unwrap();
    let with = database.state_after(1).unwrap().clone();
    assert_eq!(database.newest(), 1, "what was refused is not in the history");
    database.close();
    database.clone().publish(0, &State::new()).unwrap();
    database.publish(1, &with).unwrap();
    assert!(!database.has_unknown());
}

#[test]
fn nothing_is_answered_twice() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1)], Atomicity::EachAlone);
    database.answer(1, &executed(vec![written(1)]), Allowance::default()).unwrap();
    database.answer(1, &executed(vec![written(1)]), Allowance::default()).unwrap_err();
}

/// A request wrote a document and read it; its batch is given up, so nobody knows whether the document is there.
#[test]
fn what_a_request_read_of_a_batch_that_is_given_up_is_decided_again() {
    let mut database = opened();
    database.submit(1, vec![create(1, 1), read(1)], Atomicity::EachAlone);
    let kept = executed(vec![failed(ErrorCode::OutcomeUnknown), found(1)]);
    database.clone().answer(1, &kept, FAILED).unwrap_err();
    let again = executed(vec![failed(ErrorCode::OutcomeUnknown), failed(ErrorCode::DocNotFound)]);
    database.answer(1, &again, FAILED).unwrap();
}

#[test]
fn nobody_is_told_that_a_database_is_not_open() {
    let mut database = opened();
    database.submit(1, vec![read(1)], Atomicity::EachAlone);
    let closing = Allowance { closing: true, ..FAILED };
    database.answer(1, &Err(Error::new(ErrorCode::DbNotOpen)), closing).unwrap_err();
}
