//! Full disks and failed writes: nothing is left behind, nothing is lost, and writing goes on when it can.

use docdb_engine::{Alert, AlertKind, DiskErrorKind, DiskOp, Options};
use docdb_protocol::{Action, ErrorCode, OperationReply, Reply, Request};

use crate::machine::{Machine, Refuse, execute, no_files, no_space, nothing, small, text};

#[test]
fn a_database_that_could_not_be_made_leaves_nothing_and_can_be_made_later() {
    for refuse in [no_space as Refuse, no_files] {
        let mut machine = Machine::new(small());
        let before = machine.files();
        machine.driver.disk.refuse = refuse;
        assert_eq!(machine.open("a"), Err(ErrorCode::DiskFull));
        assert_eq!(machine.files(), before);
        machine.driver.disk.refuse = nothing;
        let database = machine.open("a").unwrap();
        machine.one(database, 1, Action::Create(text(10))).unwrap();
    }
}

#[test]
fn a_catalog_that_could_not_be_written_leaves_nothing() {
    let mut machine = Machine::new(small());
    let before = machine.files();
    machine.driver.disk.refuse = |op| {
        let DiskOp::Write { buffers, .. } = op else { return None };
        // Anew, and as a change in its journal.
        let is_catalog = [&b"DOCDBCAT"[..], b"DCHG"].iter().any(|magic| buffers[0].as_slice().starts_with(magic));
        is_catalog.then_some(DiskErrorKind::NoSpace)
    };
    assert_eq!(machine.open("a"), Err(ErrorCode::DiskFull));
    let left: Vec<String> = machine.files().into_iter().filter(|name| !name.starts_with("db/")).collect();
    assert_eq!(left, before);
    // Its folder is whole, and nobody is told of it before a catalog names it.
    match machine.answer(Request::ListDatabases) {
        Ok(Reply::Databases(databases)) => assert!(databases.is_empty()),
        other => panic!("{other:?}"),
    }
    match machine.answer(Request::Stats) {
        Ok(Reply::Stats(stats)) => assert_eq!((stats.databases, stats.databases_open), (0, 0)),
        other => panic!("{other:?}"),
    }
    machine.driver.disk.refuse = nothing;
    machine.open("a").unwrap();
}

#[test]
fn writes_are_refused_while_no_segment_can_be_made_and_go_on_when_space_returns() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = no_files;
    let mut written = 0;
    let refused = loop {
        match machine.one(database, written + 1, Action::Create(text(1000))) {
            Ok(_) => written += 1,
            Err(code) => break code,
        }
    };
    assert_eq!(refused, ErrorCode::DiskFull);
    assert!(written > 0, "the first segment has room");
    let files = machine.files();
    assert!(!files.iter().any(|name| name.ends_with(".next") || name.ends_with(".spare")), "{files:?}");
    assert!(machine.heard.alerts.iter().all(|alert| !matches!(alert.kind, AlertKind::ReadOnly(_))));
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    assert_eq!(machine.one(database, written + 1, Action::Read), Err(ErrorCode::DocNotFound));
    machine.driver.disk.refuse = nothing;
    machine.one(database, written + 1, Action::Create(text(1000))).unwrap();
    machine.restart();
    let database = machine.open("a").unwrap();
    for id in 1..=written + 1 {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "{id}");
    }
}

#[test]
fn a_proof_without_space_is_tried_again_and_nothing_is_written_behind_a_failed_write() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.wait();
    assert!(machine.heard.alerts.iter().all(|alert| !matches!(alert.kind, AlertKind::ReadOnly(_))));
    let spoiled = machine.driver.disk.seen.iter().rev().find_map(|op| match op {
        DiskOp::Write { file, .. } => Some(*file),
        _ => None,
    });
    assert_eq!(machine.one(database, 2, Action::Create(text(100))), Err(ErrorCode::DiskFull));
    machine.driver.disk.seen.clear();
    machine.wait();
    machine.driver.disk.refuse = nothing;
    machine.wait();
    machine.one(database, 2, Action::Create(text(100))).unwrap();
    let again =
        |op: &DiskOp| matches!(op, DiskOp::Write { file, .. } | DiskOp::Sync { file } if Some(*file) == spoiled);
    assert!(!machine.driver.disk.seen.iter().any(again), "what a failed write left is unknown");
    machine.restart();
    let database = machine.open("a").unwrap();
    assert!(matches!(machine.one(database, 2, Action::Read), Ok(OperationReply::Document(_))));
}

#[test]
fn a_shutdown_on_a_full_disk_ends_and_loses_nothing() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.restart();
    machine.driver.disk.refuse = nothing;
    let database = machine.open("a").unwrap();
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
}

#[test]
fn closing_on_a_full_disk_answers_what_gathered() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.wait();
    // The new segment that it needs is tried for while the closing is asked for.
    let write = machine.ask(execute(database, 2, Action::Create(text(100))));
    let close = machine.ask(Request::CloseDatabase { database });
    machine.settle();
    let refused = machine.heard.answers[&write].as_ref().map_err(|error| error.code());
    assert_eq!(refused, Err(ErrorCode::DiskFull));
    // The catalog has no space either.
    let unclosed = machine.heard.answers[&close].as_ref().map_err(|error| error.code());
    assert_eq!(unclosed, Err(ErrorCode::DiskFull));
    machine.driver.disk.refuse = nothing;
    assert_eq!(machine.open("a"), Ok(database));
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    assert_eq!(machine.one(database, 2, Action::Read), Err(ErrorCode::DocNotFound));
}

#[test]
fn a_database_that_latched_leaves_no_spare_and_closes() {
    let mut machine = Machine::new(Options { segment_bytes_min: 16384, segment_bytes_max: 1 << 20, ..small() });
    let database = machine.open("a").unwrap();
    machine.ask(execute(database, 1, Action::Create(text(9000))));
    let is_spare = |op: &DiskOp| matches!(op, DiskOp::Unlink { path } if path.as_str().ends_with(".spare"));
    while !machine.driver.disk.seen.iter().any(is_spare) {
        assert!(machine.driver.deliver(&mut machine.heard), "half a segment is used, so a spare is begun");
    }
    machine.driver.disk.refuse = |op| matches!(op, DiskOp::Write { .. }).then_some(DiskErrorKind::Io);
    assert_eq!(machine.one(database, 2, Action::Create(text(100))), Err(ErrorCode::OutcomeUnknown));
    assert_eq!(machine.one(database, 3, Action::Create(text(100))), Err(ErrorCode::ReadOnly));
    assert!(machine.driver.disk.seen.iter().any(|op| matches!(op, DiskOp::Allocate { offset: 0, bytes: 32768, .. })));
    assert!(!machine.files().iter().any(|name| name.ends_with(".spare")), "{:?}", machine.files());
    machine.driver.disk.refuse = nothing;
    machine.restart();
    let database = machine.open("a").unwrap();
    machine.one(database, 3, Action::Create(text(100))).unwrap();
}

#[test]
fn a_segment_filled_to_its_end_has_room_for_its_proof() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let used = machine.driver.disk.disk.used();
    machine.driver.disk.disk.set_quota(Some(used));
    let written = (1..).find(|id| machine.one(database, *id, Action::Create(text(10))).is_err()).unwrap() - 1;
    assert_eq!(written, 7, "eight sectors, one of them for the proof");
    machine.wait();
    let failed = |alert: &Alert| matches!(alert.kind, AlertKind::LogFailed(_) | AlertKind::ReadOnly(_));
    assert!(!machine.heard.alerts.iter().any(failed), "{:?}", machine.heard.alerts);
}

#[test]
fn a_start_on_a_full_disk_says_so_and_goes_on_when_space_returns() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.crash();
    // What was read of the catalog may not be durable, and it cannot be written again.
    for request in [Request::ListDatabases, Request::Stats] {
        assert_eq!(machine.answer(request).map_err(|error| error.code()), Err(ErrorCode::DiskFull));
    }
    assert_eq!(machine.open("a"), Err(ErrorCode::DiskFull));
    machine.driver.disk.refuse = nothing;
    let database = machine.open("a").unwrap();
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
}
