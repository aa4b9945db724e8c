//! The catalog's journal: what is written when one database changes, and what is read back when something of it is missing.

use std::collections::BTreeSet;

use docdb_engine::{AlertKind, DiskErrorKind, DiskOp, OpenMode};
use docdb_protocol::{Action, DatabaseId, DatabaseInfo, OperationReply, Reply, Request};

use crate::machine::{Machine, nothing, small, text};

/// Where the journal begins behind the snapshot of no database: two headers and two bodies, each a sector.
const JOURNAL_OFFSET: u64 = 4 * 512;
/// A change with both its copies.
const CHANGE_BYTES: usize = 2 * 512;

fn list(machine: &mut Machine) -> Vec<DatabaseInfo> {
    match machine.answer(Request::ListDatabases) {
        Ok(Reply::Databases(databases)) => databases,
        other => panic!("a listing is not answered by {other:?}"),
    }
}

/// How many documents the first database is told to hold, and whether it is known how much of log.
fn told(machine: &mut Machine) -> (Option<u64>, bool) {
    let first = list(machine).remove(0);
    (first.documents, first.log_bytes.is_some())
}

fn close(machine: &mut Machine, database: DatabaseId) {
    machine.answer(Request::CloseDatabase { database }).expect("it is closed");
}

/// Bytes written into catalogs, whatever their name at the time.
fn catalog_bytes(machine: &Machine) -> usize {
    let mut files = BTreeSet::new();
    let mut bytes = 0;
    for op in &machine.driver.disk.seen {
        match op {
            DiskOp::Open { file, path, mode: OpenMode::CreateNew } if path.as_str().starts_with("catalog") => {
                files.insert(*file);
            }
            DiskOp::Write { file, buffers, .. } if files.contains(file) => {
                bytes += buffers.iter().map(docdb_engine::Buffer::len).sum::<usize>();
            }
            _ => {}
        }
    }
    bytes
}

fn no_changes(op: &DiskOp) -> Option<DiskErrorKind> {
    let is_change = matches!(op, DiskOp::Write { buffers, .. } if buffers[0].as_slice().starts_with(b"DCHG"));
    is_change.then_some(DiskErrorKind::Io)
}

/// The whole catalog at each creation and closing was 4.6 MB for the first three hundred databases.
#[test]
fn a_creation_or_closing_writes_no_more_however_many_databases_there_are() {
    let mut machine = Machine::new(small());
    let ids: Vec<DatabaseId> =
        (0..300).map(|number| machine.open(&format!("d{number}")).expect("nothing fails")).collect();
    let created = catalog_bytes(&machine);
    assert!(created < ids.len() * 3 * CHANGE_BYTES / 2, "{created} bytes for {} creations", ids.len());
    ids.iter().for_each(|id| close(&mut machine, *id));
    let closed = catalog_bytes(&machine) - created;
    assert!(closed < ids.len() * 3 * CHANGE_BYTES / 2, "{closed} bytes for {} closings", ids.len());
    machine.lose_power();
    assert_eq!(list(&mut machine).len(), ids.len());
    assert!(list(&mut machine).iter().all(|database| database.documents == Some(0)));
}

/// A listing said "0 documents" of a database that power had failed on.
#[test]
fn figures_are_told_while_they_are_known() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").expect("nothing fails");
    (1..=3).for_each(|id| {
        machine.one(database, id, |id| Action::Create(id, text(100))).expect("nothing fails");
    });
    assert_eq!(told(&mut machine), (Some(3), true), "it is open");
    machine.crash();
    assert_eq!(told(&mut machine), (None, false), "it was never closed");
    machine.open("a").expect("nothing fails");
    assert_eq!(told(&mut machine), (Some(3), true));
    close(&mut machine, database);
    assert_eq!(told(&mut machine), (Some(3), true), "it was closed properly");
    machine.lose_power();
    assert_eq!(told(&mut machine), (Some(3), true), "and not opened since");
    machine.open("a").expect("nothing fails");
    machine.lose_power();
    assert_eq!(told(&mut machine), (None, false), "and opened since");
    machine.open("a").expect("nothing fails");
    machine.restart();
    assert_eq!(told(&mut machine), (Some(3), true));
}

#[test]
fn a_change_that_cannot_be_appended_is_in_a_catalog_written_anew() {
    let mut machine = Machine::new(small());
    machine.driver.disk.refuse = no_changes;
    let database = machine.open("a").expect("the whole catalog can be written");
    machine.one(database, 1, |id| Action::Create(id, text(100))).expect("nothing else fails");
    let is_told =
        |machine: &Machine| machine.heard.alerts.iter().any(|alert| matches!(alert.kind, AlertKind::LogFailed(_)));
    assert!(is_told(&machine), "not in silence");
    let appends = |machine: &Machine| machine.driver.disk.seen.iter().filter(|op| no_changes(op).is_some()).count();
    assert_eq!(appends(&machine), 1);
    machine.driver.disk.refuse = nothing;
    close(&mut machine, database);
    assert_eq!(appends(&machine), 2, "the journal of the new one is used");
    machine.lose_power();
    assert_eq!(told(&mut machine), (Some(1), true));
}

#[test]
fn a_lost_change_that_was_durable_is_noticed_and_the_catalog_rebuilt() {
    let mut machine = Machine::new(small());
    for name in ["a", "b", "c"] {
        let database = machine.open(name).expect("nothing fails");
        machine.one(database, 1, |id| Action::Create(id, text(100))).expect("nothing fails");
    }
    machine.overwrite("catalog", JOURNAL_OFFSET, vec![0; CHANGE_BYTES]);
    machine.crash();
    assert!(
        machine.heard.alerts.iter().any(|alert| matches!(alert.kind, AlertKind::CatalogRebuilt(_))),
        "not in silence"
    );
    assert_eq!(list(&mut machine).len(), 3);
    for name in ["a", "b", "c"] {
        let database = machine.open(name).expect("it is found by its folder");
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    }
}

#[test]
fn one_damaged_sector_of_the_journal_loses_nothing() {
    for sector in 0..6 {
        let mut machine = Machine::new(small());
        for name in ["a", "b", "c"] {
            machine.open(name).expect("nothing fails");
        }
        machine.overwrite("catalog", JOURNAL_OFFSET + 512 * sector, vec![0; 512]);
        machine.crash();
        assert_eq!((list(&mut machine).len(), machine.heard.alerts.len()), (3, 0), "sector {sector}");
    }
}

/// Its bytes would all be held in memory.
#[test]
fn a_catalog_longer_than_any_may_be_is_damaged() {
    let mut machine = Machine::new(small());
    machine.open("a").expect("nothing fails");
    machine.restart();
    machine.overwrite("catalog", 29 << 20, vec![0; 512]);
    machine.crash();
    assert!(machine.heard.alerts.iter().any(|alert| matches!(alert.kind, AlertKind::CatalogRebuilt(_))));
    assert_eq!(list(&mut machine).len(), 1);
}

fn no_catalog(op: &DiskOp) -> Option<DiskErrorKind> {
    let makes_another =
        matches!(op, DiskOp::Open { path, mode: OpenMode::CreateNew, .. } if path.as_str().starts_with("catalog"));
    if makes_another { Some(DiskErrorKind::Io) } else { no_changes(op) }
}

/// The second one was answered at once, as for any database that is closed, and nothing had been recorded.
#[test]
fn a_closing_that_was_not_recorded_is_recorded_when_it_is_asked_for_again() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").expect("nothing fails yet");
    machine.one(database, 1, |id| Action::Create(id, text(100))).expect("nothing fails yet");
    machine.driver.disk.refuse = no_catalog;
    for _ in 0..3 {
        machine.answer(Request::CloseDatabase { database }).expect_err("nothing can be recorded");
    }
    machine.driver.disk.refuse = nothing;
    close(&mut machine, database);
    machine.lose_power();
    assert_eq!(told(&mut machine), (Some(1), true), "it was closed properly");
    let seen = machine.driver.disk.seen.len();
    close(&mut machine, database);
    assert_eq!(machine.driver.disk.seen.len(), seen, "what is recorded is not recorded again");
}
