//! Checkpoints: the log is trimmed, an opening goes by tables, and either copy of what names them is enough.

use docdb_engine::table::BuilderOptions;
use docdb_engine::{AlertKind, DiskErrorKind, DiskOp, DiskPath, OpId, OpenMode, Options};
use docdb_protocol::{Action, DatabaseId, ErrorCode, OperationReply};

use crate::machine::{Machine, nothing, small, text};

/// A checkpoint every few documents, of tables as small as can be.
fn options() -> Options {
    Options { checkpoint_log_bytes: 4096, table: BuilderOptions::SMALL, merge_bytes_max: 0, ..small() }
}

/// A database with documents 1 to `last`, of which every third was deleted again.
fn written(options: Options, last: u64) -> (Machine, DatabaseId) {
    let mut machine = Machine::new(options);
    let database = machine.open("a").expect("all is well");
    for id in 1..=last {
        machine.one(database, id, |id| Action::Create(id, text(100))).expect("all is well");
        if id % 3 == 0 {
            machine.one(database, id, Action::Delete).expect("it is there");
        }
    }
    (machine, database)
}

/// What each document from 1 to `last` answers.
fn shown(machine: &mut Machine, database: DatabaseId, last: u64) -> Vec<Result<(), ErrorCode>> {
    (1..=last).map(|id| machine.one(database, id, Action::Read).map(|_| ())).collect()
}

fn expected(last: u64) -> Vec<Result<(), ErrorCode>> {
    (1..=last).map(|id| if id % 3 == 0 { Err(ErrorCode::DocNotFound) } else { Ok(()) }).collect()
}

fn tables(machine: &Machine) -> Vec<String> {
    machine.files().into_iter().filter(|file| file.contains(".data.")).collect()
}

fn segments(machine: &Machine) -> usize {
    machine.files().iter().filter(|file| file.contains(".wal")).count()
}

fn path(name: &str) -> DiskPath {
    name.split('/').fold(DiskPath::root(), |path, name| path.join(name))
}

fn carry_out(machine: &mut Machine, op: DiskOp) {
    use docdb_engine::Disk;
    machine.driver.disk.submit(OpId(u64::MAX), op);
    machine.driver.disk.poll().expect("everything is carried out at once").result.expect("a calm disk fails nothing");
}

#[test]
fn the_log_is_trimmed_and_tables_that_others_replace_are_removed() {
    let (mut machine, database) = written(options(), 400);
    // As much log as the tables take is written before the next checkpoint.
    assert!(segments(&machine) < 20, "{:?}", machine.files());
    let live = tables(&machine);
    assert!(!live.is_empty() && live.len() < 60, "{live:?}");
    assert_eq!(shown(&mut machine, database, 400), expected(400));
    machine.lose_power();
    let database = machine.open("a").unwrap();
    assert_eq!(shown(&mut machine, database, 400), expected(400));
    // What was used before stays used.
    let insert = |_| Action::Insert(text(20));
    assert!(matches!(machine.one(database, 0, insert), Ok(OperationReply::Inserted(401, _))));
}

#[test]
fn segments_are_kept_that_the_operator_wants_kept() {
    let (machine, _) = written(Options { segments_kept: 5, ..options() }, 400);
    let (others, _) = written(options(), 400);
    assert!(segments(&machine) >= segments(&others) + 4, "{:?}", machine.files());
}

#[test]
fn no_checkpoint_is_made_by_itself_where_that_is_not_wanted() {
    let (machine, _) = written(Options { checkpoints_automatic: false, ..options() }, 200);
    assert!(tables(&machine).is_empty() && segments(&machine) > 8, "{:?}", machine.files());
}

/// The log has the other copy of what it says.
#[test]
fn a_database_opens_without_its_manifest() {
    let (mut machine, _) = written(options(), 200);
    machine.restart();
    carry_out(&mut machine, DiskOp::Unlink { path: path("db/a/a.manifest") });
    let database = machine.open("a").unwrap();
    assert_eq!(shown(&mut machine, database, 200), expected(200));
    // The next write has it written again.
    machine.one(database, 201, |id| Action::Create(id, text(100))).unwrap();
    assert!(machine.files().contains(&"db/a/a.manifest".to_owned()), "{:?}", machine.files());
    assert!(machine.heard.alerts.is_empty(), "{:?}", machine.heard.alerts);
}

/// A manifest of an earlier checkpoint is put back: the record in the log is newer.
#[test]
fn an_older_manifest_is_not_believed() {
    let (mut machine, database) = written(options(), 100);
    let older = machine.driver.disk.disk.contents().remove("db/a/a.manifest").flatten().expect("one was written");
    for id in 101..=300 {
        machine.one(database, id, |id| Action::Create(id, text(100))).unwrap();
    }
    machine.restart();
    machine.overwrite("db/a/a.manifest", 0, older);
    let database = machine.open("a").unwrap();
    assert!((101..=300).all(|id| machine.one(database, id, Action::Read).is_ok()));
    assert_eq!(shown(&mut machine, database, 100), expected(100));
}

#[test]
fn a_checkpoint_that_fails_loses_nothing_and_is_told_once() {
    let mut machine = Machine::new(options());
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = |op| match op {
        DiskOp::Open { path, mode: OpenMode::CreateNew, .. } if path.name().contains(".data.") => {
            Some(DiskErrorKind::NoSpace)
        }
        _ => None,
    };
    for id in 1..=30 {
        machine.one(database, id, |id| Action::Create(id, text(100))).unwrap();
    }
    let told = machine.heard.alerts.len();
    assert!((1..=5).contains(&told), "it is tried again when the log has grown by as much: {:?}", machine.heard.alerts);
    assert!(machine.heard.alerts.iter().all(|alert| matches!(alert.kind, AlertKind::CheckpointFailed(_))));
    assert!(tables(&machine).is_empty());
    machine.driver.disk.refuse = nothing;
    for id in 31..=90 {
        machine.one(database, id, |id| Action::Create(id, text(100))).unwrap();
    }
    assert_eq!(machine.heard.alerts.len(), told);
    assert!(!tables(&machine).is_empty());
}

/// Of a table of which one block is damaged every document is there that is not in that block.
#[test]
fn of_a_damaged_block_the_keys_between_its_neighbours_are_withheld_and_no_others() {
    let mut options = options();
    options.table = BuilderOptions { block_bytes: 500, frame_bytes: 4000, table_bytes: 1 << 20, ..options.table };
    let (mut machine, _) = written(options, 200);
    machine.restart();
    let table = tables(&machine).pop().expect("there is one");
    // Behind the header, in the middle of some block.
    machine.overwrite(&table, 2100, vec![0xff; 3]);
    let database = machine.open("a").unwrap();
    assert!(matches!(machine.heard.alerts.pop().map(|alert| alert.kind), Some(AlertKind::Damage(_))));
    let shown = shown(&mut machine, database, 200);
    let corrupt: Vec<u64> =
        (1..).zip(&shown).filter(|(_, shown)| **shown == Err(ErrorCode::CorruptRecord)).map(|(id, _)| id).collect();
    assert!((1..15).contains(&corrupt.len()), "{corrupt:?}");
    assert!(corrupt.windows(2).all(|pair| pair[0] + 1 == pair[1]), "they stand together: {corrupt:?}");
    let others = (1..).zip(shown.iter().zip(expected(200))).filter(|(id, _)| !corrupt.contains(id));
    for (id, (shown, expected)) in others {
        assert_eq!(*shown, expected, "{id}");
    }
    let refused = machine.one(database, 500, |id| Action::Create(id, text(10)));
    assert_eq!(refused, Err(ErrorCode::ReadOnly), "a damaged database is left as it is");
    assert_eq!(machine.one(database, 700, Action::Read).map(drop), Err(ErrorCode::DocNotFound), "nobody lost that");
}

#[test]
fn a_table_that_is_gone_withholds_its_keys() {
    let (mut machine, _) = written(options(), 200);
    machine.restart();
    let table = tables(&machine).remove(0);
    carry_out(&mut machine, DiskOp::Unlink { path: path(&table) });
    let database = machine.open("a").unwrap();
    let shown = shown(&mut machine, database, 200);
    let corrupt = shown.iter().filter(|shown| **shown == Err(ErrorCode::CorruptRecord)).count();
    assert!((1..60).contains(&corrupt), "{corrupt}");
    assert!(
        shown
            .iter()
            .zip(expected(200))
            .all(|(shown, expected)| *shown == expected || *shown == Err(ErrorCode::CorruptRecord))
    );
}

/// Nobody is kept waiting for tables that are being written.
#[test]
fn a_closing_leaves_a_checkpoint_and_what_it_made() {
    let (mut machine, database) = written(Options { checkpoint_log_bytes: 1 << 20, ..options() }, 50);
    machine.options.checkpoint_log_bytes = 1000;
    machine.restart();
    // The opening has a checkpoint due; the closing is asked for in the same moment.
    let opening = machine.ask(docdb_protocol::Request::OpenDatabase {
        name: docdb_protocol::DatabaseName::parse("a").unwrap(),
        if_missing: docdb_protocol::IfMissing::Fail,
    });
    let closing = machine.ask(docdb_protocol::Request::CloseDatabase { database });
    machine.settle();
    assert!(machine.heard.answers.remove(&opening).is_some() && machine.heard.answers.remove(&closing).is_some());
    let database = machine.open("a").unwrap();
    assert_eq!(shown(&mut machine, database, 50), expected(50));
    assert!(!machine.files().iter().any(|file| file.ends_with(".manifest.new")));
}
