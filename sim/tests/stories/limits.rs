//! What one request, and one database, may hold: up to the bound it is taken, beyond it is refused with what it exceeds.

use docdb_protocol::limits::{
    COLLECTIONS_PER_DATABASE_MAX, DOCUMENT_BYTES_MAX, OPERATIONS_PER_REQUEST_MAX, REQUEST_BYTES_MAX,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DocumentId, ErrorCode, Expectation, Operation, Request, Response,
    TxId,
};

use crate::machine::{Machine, small, text};

fn operation(collection: &str, action: Action) -> Operation {
    Operation { collection: CollectionName::parse(collection).expect("a valid name"), action }
}

fn together(machine: &mut Machine, database: DatabaseId, operations: Vec<Operation>) -> Response {
    machine.answer(Request::Execute { database, operations, atomicity: Atomicity::AllOrNothing })
}

fn code(response: Response) -> Option<ErrorCode> {
    response.err().map(|error| error.code())
}

#[test]
fn a_request_has_no_more_operations_than_it_may() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let expect = || operation("_default", Action::Expect(DocumentId::Number(1), Expectation::Absent));
    let mut ask = |count| code(together(&mut machine, database, (0..count).map(|_| expect()).collect()));
    assert_eq!(ask(OPERATIONS_PER_REQUEST_MAX), None);
    assert_eq!(ask(OPERATIONS_PER_REQUEST_MAX + 1), Some(ErrorCode::LimitExceeded));
}

/// Nothing is written: the request expects a version that there is not.
#[test]
fn a_request_has_no_more_bytes_of_documents_than_it_may() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let expect = operation("_default", Action::Expect(DocumentId::Number(1), Expectation::Version(TxId(9))));
    let largest = text(DOCUMENT_BYTES_MAX);
    assert_eq!(REQUEST_BYTES_MAX % largest.len(), 0);
    let put = |document| operation("_default", Action::Put(DocumentId::Number(1), document));
    let full: Vec<Operation> =
        std::iter::once(expect).chain((0..REQUEST_BYTES_MAX / largest.len()).map(|_| put(largest.clone()))).collect();
    let more = full.iter().cloned().chain([put(text(2))]).collect();
    assert_eq!(code(together(&mut machine, database, full)), Some(ErrorCode::Conflict));
    assert_eq!(code(together(&mut machine, database, more)), Some(ErrorCode::PayloadTooLarge));
}

#[test]
fn a_database_has_no_more_collections_than_it_may() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let put = |number: usize| operation(&format!("c{number}"), Action::Put(DocumentId::Number(1), text(2)));
    // One is there without being made.
    let all = (1..COLLECTIONS_PER_DATABASE_MAX).map(put).collect();
    assert_eq!(code(together(&mut machine, database, all)), None);
    assert_eq!(code(together(&mut machine, database, vec![put(0)])), Some(ErrorCode::LimitExceeded));
    assert_eq!(code(together(&mut machine, database, vec![put(1)])), None);
}
