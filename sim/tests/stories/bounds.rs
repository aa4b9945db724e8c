//! What is counted against the bounds.

use docdb_engine::{DiskOp, OpenMode, Options, RequestId};
use docdb_protocol::{Action, DatabaseName, ErrorCode, IfMissing, OperationReply, Request};

use crate::machine::{Machine, execute, small, text};

#[test]
fn at_the_memory_limit_a_document_may_shrink_or_go() {
    let mut machine = Machine::new(Options { memory_bytes_max: 3000, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(2000))).unwrap();
    assert_eq!(machine.one(database, 2, |id| Action::Create(id, text(2500))), Err(ErrorCode::MemoryLimit));
    machine.one(database, 1, |id| Action::Update(id, text(2500))).unwrap();
    assert_eq!(machine.one(database, 1, |id| Action::Update(id, text(4000))), Err(ErrorCode::MemoryLimit));
    machine.restart();
    let database = machine.open("a").unwrap();
    assert_eq!(machine.one(database, 1, |id| Action::Update(id, text(4000))), Err(ErrorCode::MemoryLimit));
    machine.one(database, 1, |id| Action::Update(id, text(2400))).unwrap();
    machine.one(database, 1, Action::Delete).unwrap();
    machine.one(database, 2, |id| Action::Create(id, text(500))).unwrap();
}

/// Two databases of six documents each, of which one fits the memory that is left.
#[test]
fn a_database_that_does_not_fit_is_refused_and_left_as_it_is() {
    let mut machine = Machine::new(Options { replay_slice_bytes: 1024, ..small() });
    for name in ["a", "b"] {
        let database = machine.open(name).unwrap();
        for id in 1..=6 {
            machine.one(database, id, |id| Action::Create(id, text(1000))).unwrap();
        }
    }
    machine.options.memory_bytes_max = 9000;
    machine.restart();
    let first = machine.open("a").unwrap();
    let before = machine.driver.disk.disk.contents();
    machine.driver.disk.seen.clear();
    let name = DatabaseName::parse("b").unwrap();
    let error = machine.answer(Request::OpenDatabase { name, if_missing: IfMissing::Fail }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::MemoryLimit);
    let detail = error.context().and_then(|context| context.detail.clone()).unwrap_or_default();
    assert!(detail.contains("at least 3") && detail.contains("nothing was changed"), "what it takes is said: {detail}");
    assert_eq!(machine.driver.disk.disk.contents(), before);
    let read: u64 = machine
        .driver
        .disk
        .seen
        .iter()
        .map(|op| if let DiskOp::Read { bytes, bulk: true, .. } = op { u64::from(*bytes) } else { 0 })
        .sum();
    assert!(read < 6000, "it is refused as soon as it shows: {read} bytes were read");
    // What is open goes on; and when it is closed there is room for the other.
    assert!(matches!(machine.one(first, 1, Action::Read), Ok(OperationReply::Document(_))));
    machine.answer(Request::CloseDatabase { database: first }).unwrap();
    let second = machine.open("b").unwrap();
    assert!(matches!(machine.one(second, 6, Action::Read), Ok(OperationReply::Document(_))));
    // Or when there is more of it.
    machine.options.memory_bytes_max = 20_000;
    machine.restart();
    for name in ["a", "b"] {
        let database = machine.open(name).unwrap();
        assert!(matches!(machine.one(database, 6, Action::Read), Ok(OperationReply::Document(_))));
    }
}

#[test]
fn an_opening_reads_one_slice_at_a_time() {
    let mut machine = Machine::new(Options { replay_slice_bytes: 1024, merge_bytes_max: 0, ..small() });
    let database = machine.open("a").unwrap();
    for id in 1..=20 {
        machine.one(database, id, |id| Action::Create(id, text(700))).unwrap();
    }
    machine.restart();
    machine.driver.disk.seen.clear();
    let database = machine.open("a").unwrap();
    let seen = &machine.driver.disk.seen;
    let slices: Vec<u32> = seen
        .iter()
        .filter_map(|op| if let DiskOp::Read { bytes, bulk: true, .. } = op { Some(*bytes) } else { None })
        .collect();
    let opened = seen.iter().filter(|op| matches!(op, DiskOp::Open { mode: OpenMode::Read, .. })).count();
    assert!(slices.len() > opened && slices.iter().all(|bytes| *bytes <= 1024), "{slices:?}");
    for id in 1..=20 {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "document {id}");
    }
}

#[test]
fn requests_without_documents_count_too() {
    let mut machine = Machine::new(Options { pending_bytes_max: 4096, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(10))).unwrap();
    // Nothing is delivered, so what writes waits.
    let asked: Vec<RequestId> =
        (0..100).map(|id| machine.ask(execute(database, 100 + id, |id| Action::Create(id, text(2))))).collect();
    let refused = |id: &&RequestId| matches!(machine.heard.answers.get(id), Some(Err(error)) if error.code() == ErrorCode::QueueFull);
    let refused = asked.iter().filter(refused).count();
    assert!((50..80).contains(&refused), "{refused} of 100 were refused");
    machine.settle();
    assert!(asked.iter().all(|id| machine.heard.answers.contains_key(id)), "everything is answered");
}
