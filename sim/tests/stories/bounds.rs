//! What is counted against the bounds.

use docdb_engine::{Options, RequestId};
use docdb_protocol::{Action, ErrorCode};

use crate::machine::{Machine, execute, small, text};

#[test]
fn at_the_memory_limit_a_document_may_shrink_or_go() {
    let mut machine = Machine::new(Options { memory_bytes_max: 3000, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(2000))).unwrap();
    assert_eq!(machine.one(database, 2, Action::Create(text(2500))), Err(ErrorCode::MemoryLimit));
    machine.one(database, 1, Action::Update(text(2500))).unwrap();
    assert_eq!(machine.one(database, 1, Action::Update(text(4000))), Err(ErrorCode::MemoryLimit));
    // Even far beyond the limit, when somebody has lowered it.
    machine.options.memory_bytes_max = 1000;
    machine.restart();
    let database = machine.open("a").unwrap();
    assert_eq!(machine.one(database, 1, Action::Update(text(2600))), Err(ErrorCode::MemoryLimit));
    machine.one(database, 1, Action::Update(text(2400))).unwrap();
    machine.one(database, 1, Action::Delete).unwrap();
    machine.one(database, 2, Action::Create(text(500))).unwrap();
}

#[test]
fn requests_without_documents_count_too() {
    let mut machine = Machine::new(Options { pending_bytes_max: 4096, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(10))).unwrap();
    // Nothing is delivered, so what writes waits.
    let asked: Vec<RequestId> =
        (0..100).map(|id| machine.ask(execute(database, 100 + id, Action::Create(text(2))))).collect();
    let refused = |id: &&RequestId| matches!(machine.heard.answers.get(id), Some(Err(error)) if error.code() == ErrorCode::QueueFull);
    let refused = asked.iter().filter(refused).count();
    assert!((50..80).contains(&refused), "{refused} of 100 were refused");
    machine.settle();
    assert!(asked.iter().all(|id| machine.heard.answers.contains_key(id)), "everything is answered");
}
