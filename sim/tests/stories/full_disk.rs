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
        machine.one(database, 1, |id| Action::Create(id, text(10))).unwrap();
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
        match machine.one(database, written + 1, |id| Action::Create(id, text(1000))) {
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
    machine.one(database, written + 1, |id| Action::Create(id, text(1000))).unwrap();
    machine.restart();
    let database = machine.open("a").unwrap();
    for id in 1..=written + 1 {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "{id}");
    }
}

/// The first batch of a segment once went beyond its end: on a full disk its outcome was unknown, and the database stayed
/// read-only for good.
#[test]
fn a_first_batch_longer_than_its_segment_is_refused_without_space_and_latches_nothing() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let used = machine.driver.disk.disk.used();
    machine.driver.disk.disk.set_quota(Some(used));
    assert_eq!(machine.one(database, 1, |id| Action::Create(id, text(50_000))), Err(ErrorCode::DiskFull));
    assert_eq!(machine.one(database, 1, Action::Read), Err(ErrorCode::DocNotFound));
    machine.one(database, 2, |id| Action::Create(id, text(10))).unwrap();
    machine.driver.disk.disk.set_quota(None);
    machine.one(database, 1, |id| Action::Create(id, text(50_000))).unwrap();
    machine.restart();
    assert_eq!(machine.open("a"), Ok(database));
    assert_eq!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(text(50_000))));
    assert_eq!(machine.one(database, 2, Action::Read), Ok(OperationReply::Document(text(10))));
    let failed = |alert: &Alert| matches!(alert.kind, AlertKind::LogFailed(_) | AlertKind::ReadOnly(_));
    assert!(!machine.heard.alerts.iter().any(failed), "{:?}", machine.heard.alerts);
}

#[test]
fn a_proof_without_space_is_tried_again_and_nothing_is_written_behind_a_failed_write() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.wait();
    assert!(machine.heard.alerts.iter().all(|alert| !matches!(alert.kind, AlertKind::ReadOnly(_))));
    let spoiled = machine.driver.disk.seen.iter().rev().find_map(|op| match op {
        DiskOp::Write { file, .. } => Some(*file),
        _ => None,
    });
    assert_eq!(machine.one(database, 2, |id| Action::Create(id, text(100))), Err(ErrorCode::DiskFull));
    machine.driver.disk.seen.clear();
    machine.wait();
    machine.driver.disk.refuse = nothing;
    machine.wait();
    machine.one(database, 2, |id| Action::Create(id, text(100))).unwrap();
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
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
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
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.wait();
    // The new segment that it needs is tried for while the closing is asked for.
    let write = machine.ask(execute(database, 2, |id| Action::Create(id, text(100))));
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
    machine.ask(execute(database, 1, |id| Action::Create(id, text(9000))));
    let is_spare = |op: &DiskOp| matches!(op, DiskOp::Unlink { path } if path.as_str().ends_with(".spare"));
    while !machine.driver.disk.seen.iter().any(is_spare) {
        assert!(machine.driver.deliver(&mut machine.heard), "half a segment is used, so a spare is begun");
    }
    machine.driver.disk.refuse = |op| matches!(op, DiskOp::Write { .. }).then_some(DiskErrorKind::Io);
    assert_eq!(machine.one(database, 2, |id| Action::Create(id, text(100))), Err(ErrorCode::OutcomeUnknown));
    assert_eq!(machine.one(database, 3, |id| Action::Create(id, text(100))), Err(ErrorCode::ReadOnly));
    assert!(machine.driver.disk.seen.iter().any(|op| matches!(op, DiskOp::Allocate { offset: 0, bytes: 32768, .. })));
    assert!(!machine.files().iter().any(|name| name.ends_with(".spare")), "{:?}", machine.files());
    machine.driver.disk.refuse = nothing;
    machine.restart();
    let database = machine.open("a").unwrap();
    machine.one(database, 3, |id| Action::Create(id, text(100))).unwrap();
}

#[test]
fn a_segment_filled_to_its_end_has_room_for_its_proof() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let used = machine.driver.disk.disk.used();
    machine.driver.disk.disk.set_quota(Some(used));
    let written = (1..).find(|id| machine.one(database, *id, |id| Action::Create(id, text(10))).is_err()).unwrap() - 1;
    assert_eq!(written, 7, "eight sectors, one of them for the proof");
    machine.wait();
    let failed = |alert: &Alert| matches!(alert.kind, AlertKind::LogFailed(_) | AlertKind::ReadOnly(_));
    assert!(!machine.heard.alerts.iter().any(failed), "{:?}", machine.heard.alerts);
}

/// What was read of the catalog may not be durable, and it cannot be written again: it is synced, and shown.
#[test]
fn a_start_on_a_full_disk_shows_what_can_be_read_and_goes_on_when_space_returns() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
    machine.wait();
    machine.one(database, 2, |id| Action::Create(id, text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.crash();
    let files = machine.files();
    for _ in 0..2 {
        match machine.answer(Request::ListDatabases) {
            Ok(Reply::Databases(databases)) => assert_eq!(databases.len(), 1),
            other => panic!("{other:?}"),
        }
        assert_eq!(machine.open("a"), Ok(database));
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
        assert_eq!(machine.one(database, 2, Action::Read), Err(ErrorCode::DiskFull));
        assert_eq!(machine.one(database, 3, |id| Action::Create(id, text(100))), Err(ErrorCode::DiskFull));
        assert_eq!(machine.open("b"), Err(ErrorCode::DiskFull));
        machine.answer(Request::CloseDatabase { database }).unwrap();
        assert_eq!(machine.files(), files);
    }
    let alerts = machine.heard.alerts.iter();
    assert_eq!(
        alerts.filter(|alert| matches!(alert.kind, AlertKind::NoSpace(_)) && alert.database.is_none()).count(),
        1
    );
    assert_eq!(machine.open("a"), Ok(database));
    machine.driver.disk.refuse = nothing;
    machine.one(database, 3, |id| Action::Create(id, text(100))).unwrap();
    assert!((1..=3).all(|id| machine.one(database, id, Action::Read).is_ok()));
    machine.lose_power();
    let database = machine.open("a").unwrap();
    assert!((1..=3).all(|id| machine.one(database, id, Action::Read).is_ok()));
}

/// A fifth of a disk may be free, and still no room for a whole segment.
#[test]
fn a_disk_without_room_for_a_whole_segment_gets_smaller_ones() {
    let mut machine = Machine::new(Options { segment_bytes_min: 1 << 18, segment_bytes_max: 1 << 18, ..small() });
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = |op| match op {
        DiskOp::Allocate { bytes, .. } if *bytes > 100_000 => Some(DiskErrorKind::NoSpace),
        _ => None,
    };
    for id in 0..500 {
        machine.one(database, id, |id| Action::Create(id, text(1000))).unwrap();
    }
    let lengths = machine.driver.disk.seen.iter().filter_map(|op| match op {
        DiskOp::Allocate { bytes, .. } if *bytes <= 100_000 => Some(*bytes),
        _ => None,
    });
    assert!(lengths.clone().count() > 3 && lengths.clone().all(|bytes| bytes == 1 << 16), "{:?}", lengths.min());
    // One that holds a large document is as long as that takes.
    machine.driver.disk.refuse = |op| match op {
        DiskOp::Allocate { bytes, .. } if *bytes > 220_000 => Some(DiskErrorKind::NoSpace),
        _ => None,
    };
    machine.one(database, 1000, |id| Action::Create(id, text(200_000))).unwrap();
    machine.restart();
    let database = machine.open("a").unwrap();
    for id in (0..500).chain([1000]) {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "{id}");
    }
}

/// It passes by itself, nothing of the batch was written, and a database that is healthy stays so.
#[test]
fn running_out_of_descriptors_refuses_what_gathered_and_latches_nothing() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = |op| {
        let takes = matches!(op, DiskOp::Open { path, .. } if path.as_str().contains(".wal"));
        takes.then_some(DiskErrorKind::Shortage)
    };
    let mut refused = None;
    for id in 1..20 {
        let request = machine.ask(execute(database, id, |id| Action::Create(id, text(1000))));
        machine.settle();
        while !machine.heard.answers.contains_key(&request) {
            machine.wait();
        }
        match machine.heard.answers.remove(&request).expect("looked at just now") {
            Ok(_) => assert!(refused.is_none(), "no segment can be made"),
            Err(error) => refused = Some(refused.map_or((id, error.code()), |first| first)),
        }
    }
    let (first, code) = refused.expect("a segment holds less than twenty documents");
    assert_eq!(code, ErrorCode::OutOfResources);
    assert!(machine.heard.alerts.iter().all(|alert| !matches!(alert.kind, AlertKind::ReadOnly(_))));
    machine.driver.disk.refuse = nothing;
    machine.one(database, first, |id| Action::Create(id, text(1000))).unwrap();
    machine.restart();
    let database = machine.open("a").unwrap();
    assert!((1..=first).all(|id| machine.one(database, id, Action::Read).is_ok()));
}

/// What is proven is shown; what an opening would have to write again first is neither shown nor passed over.
#[test]
fn a_database_without_space_to_go_on_is_opened_for_reading() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(10))).unwrap();
    machine.one(database, 2, |id| Action::Create(id, text(10))).unwrap();
    machine.wait();
    machine.one(database, 2, |id| Action::Update(id, text(20))).unwrap();
    machine.driver.disk.refuse = |op| matches!(op, DiskOp::Allocate { .. }).then_some(DiskErrorKind::NoSpace);
    machine.crash();
    let files = machine.files();
    for _ in 0..2 {
        assert_eq!(machine.open("a"), Ok(database));
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
        assert_eq!(machine.one(database, 2, Action::Read), Err(ErrorCode::DiskFull), "not the older version");
        assert_eq!(machine.one(database, 3, Action::Read), Err(ErrorCode::DocNotFound));
        for action in [
            Action::Delete(1_u64.into()),
            Action::Update(2_u64.into(), text(30)),
            Action::Create(3_u64.into(), text(10)),
        ] {
            assert_eq!(machine.one(database, 0, |_| action), Err(ErrorCode::DiskFull));
        }
        assert!(machine.heard.alerts.iter().any(|alert| matches!(alert.kind, AlertKind::NoSpace(_))));
        assert_eq!(machine.files(), files, "nothing is left of it");
        machine.answer(Request::CloseDatabase { database }).unwrap();
    }
    assert_eq!(machine.open("a"), Ok(database));
    let alerts = machine.heard.alerts.iter().filter(|alert| matches!(alert.kind, AlertKind::NoSpace(_)));
    assert_eq!(alerts.count(), 3, "one an opening, however many writes were tried");
    machine.driver.disk.refuse = nothing;
    machine.one(database, 3, |id| Action::Create(id, text(10))).unwrap();
    assert_eq!(machine.one(database, 2, Action::Read), Ok(OperationReply::Document(text(20))));
    machine.restart();
    let database = machine.open("a").unwrap();
    assert_eq!(machine.one(database, 2, Action::Read), Ok(OperationReply::Document(text(20))));
    assert_eq!(machine.one(database, 3, Action::Read), Ok(OperationReply::Document(text(10))));
}
