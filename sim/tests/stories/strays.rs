//! Folders that the catalog does not name: what they tell is heard, what is in them stays, and they stop nobody.

use docdb_engine::{Disk, DiskErrorKind, DiskOp, DiskPath, FileId, OpId, OpenMode, Options};
use docdb_protocol::{Action, DatabaseId, ErrorCode, OperationReply};
use docdb_sim::disk::Profile;

use crate::catalog::without_catalog;
use crate::machine::{Machine, Refuse, nothing, small, text};

/// An epoch of the sixth start.
const LATE_EPOCH: u64 = 5_000_000_001;

/// More than one page of a listing.
const MANY: usize = 1030;

/// A header that is whole, by FORMAT.md's table.
fn header(version: u32, database: u64, epoch: u64) -> Vec<u8> {
    header_of(Options::default().new_directory.0, 0, version, database, epoch)
}

/// One of this data directory, which asks of a writer what `to_write` says.
fn header_of(directory: u128, to_write: u64, version: u32, database: u64, epoch: u64) -> Vec<u8> {
    let mut copy = b"DOCDBLOG".to_vec();
    copy.extend(84_u32.to_le_bytes());
    copy.extend(version.to_le_bytes());
    copy.extend([0; 8]);
    copy.extend(to_write.to_le_bytes());
    copy.extend(directory.to_le_bytes());
    for field in [database, epoch, 0, 1] {
        copy.extend(field.to_le_bytes());
    }
    copy.extend(crc32fast::hash(&copy).to_le_bytes());
    let mut bytes = copy.clone();
    bytes.resize(2048, 0);
    bytes.extend(copy);
    bytes.resize(4096, 0);
    bytes
}

fn carry_out(machine: &mut Machine, op: DiskOp) {
    machine.driver.disk.submit(OpId(u64::MAX), op);
    machine.driver.disk.poll().expect("it was carried out").result.expect("a calm disk fails nothing");
}

/// Somebody puts files into a folder of the databases.
fn put(machine: &mut Machine, folder: &str, files: &[(&str, Vec<u8>)]) {
    let path = DiskPath::root().join("db").join(folder);
    if !machine.driver.disk.disk.contents().contains_key(path.as_str()) {
        carry_out(machine, DiskOp::MakeDirectory { path: path.clone() });
    }
    for (name, bytes) in files {
        let file = FileId(u64::MAX - machine.driver.disk.seen.len() as u64);
        carry_out(machine, DiskOp::Open { file, path: path.join(name), mode: OpenMode::CreateNew });
        if !bytes.is_empty() {
            carry_out(machine, DiskOp::Write { file, offset: 0, buffers: vec![bytes.clone().into()] });
        }
        carry_out(machine, DiskOp::Close { file });
    }
}

/// A machine with one database, `a`, of id 1.
fn machine() -> Machine {
    let mut machine = Machine::new(small());
    let database = machine.open("a").expect("nothing fails yet");
    machine.one(database, 1, |id| Action::Create(id, text(100))).expect("nothing fails yet");
    machine
}

/// What the active segment of a database tells: its id and epoch.
fn told(machine: &Machine, name: &str) -> (u64, u64) {
    let path = format!("db/{name}/{name}.wal");
    let bytes = machine.driver.disk.disk.contents()[&path].clone().expect("it is a file");
    let field = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    (field(48), field(56))
}

/// Makes a database, and says what its first segment tells: its id and epoch.
fn make(machine: &mut Machine, name: &str) -> (u64, u64) {
    let given = machine.open(name).expect("it can be made");
    let (id, epoch) = told(machine, name);
    assert_eq!(DatabaseId::new(id), Some(given));
    (id, epoch)
}

#[test]
fn neither_an_id_nor_an_epoch_of_a_folder_is_given_again() {
    let late = format!("x.wal.{LATE_EPOCH}");
    let cases: [&[(&str, Vec<u8>)]; 5] = [
        &[("x.wal", header(1, 7, LATE_EPOCH))],
        &[("x.wal.next", header(1, 7, LATE_EPOCH))],
        &[(&late, header(1, 7, 1)), ("x.wal", vec![])],
        // The active one tells whose the folder is, each its epoch.
        &[("x.wal", header(1, 7, 1)), ("x.wal.next", header(1, 3, LATE_EPOCH))],
        &[("x.wal", header(1, 7, 1)), ("x.wal.1", header(1, 3, 1)), (&late, header(1, 3, 1))],
    ];
    for files in cases {
        let mut machine = machine();
        put(&mut machine, "x", files);
        // Its name comes after those of the files in the other.
        put(&mut machine, "z", &[]);
        let before = machine.files();
        machine.crash();
        let (id, epoch) = make(&mut machine, "c");
        assert_eq!(id, 8, "{files:?}");
        assert!(epoch > LATE_EPOCH, "{epoch} {files:?}");
        assert!(before.iter().all(|file| machine.files().contains(file)), "what is in it stays");
    }
}

/// The catalog of the time before `b` is put back.
#[test]
fn an_older_catalog_gives_nothing_of_a_younger_database_again() {
    let mut machine = machine();
    let older = machine.driver.disk.disk.contents()["catalog"].clone().expect("it is a file");
    let (id, _) = make(&mut machine, "b");
    for _ in 0..4 {
        machine.restart();
        machine.open("b").expect("nothing fails yet");
    }
    let (_, newest) = told(&machine, "b");
    machine.overwrite("catalog", 0, older);
    machine.crash();
    let (next_id, epoch) = make(&mut machine, "c");
    assert_eq!(next_id, id + 1);
    assert!(epoch > newest, "{epoch}, and {newest} was given");
}

#[test]
fn a_folder_and_a_segment_behind_many_others_are_heard() {
    let names: Vec<String> = (0..MANY).map(|number| format!("x.wa{number:04}")).collect();
    let others: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![])).collect();
    let mut machine = machine();
    put(&mut machine, "x", &others);
    put(&mut machine, "x", &[("x.wal", header(1, 7, 1))]);
    machine.crash();
    assert_eq!(make(&mut machine, "c").0, 8);

    for number in 0..MANY {
        put(&mut machine, &format!("d{number:04}"), &[]);
    }
    put(&mut machine, "y", &[("y.wal", header(1, 17, 1))]);
    machine.crash();
    assert_eq!(make(&mut machine, "e").0, 18);
}

#[test]
fn a_folder_behind_many_databases_is_heard() {
    let mut machine = Machine::new(small());
    for number in 0..MANY {
        machine.open(&format!("a{number:04}")).expect("it can be made");
    }
    put(&mut machine, "x", &[("x.wal", header(1, 7000, 1))]);
    machine.restart();
    assert_eq!(make(&mut machine, "c").0, 7001);
}

#[test]
fn numbers_far_beyond_ours_are_not_used_up_by_a_folder() {
    let last_epoch = (1 << 63) - 1;
    for (file, bytes) in [
        ("x.wal".to_owned(), header(1, u64::MAX, 1)),
        ("x.wal".to_owned(), header(1, 1 << 32, last_epoch)),
        (format!("x.wal.{last_epoch}"), vec![]),
    ] {
        let mut machine = machine();
        put(&mut machine, "x", &[(&file, bytes)]);
        let mut before = (1, 0);
        for name in ["c", "d", "e"] {
            machine.restart();
            let (id, epoch) = make(&mut machine, name);
            assert_eq!(id, before.0 + 1, "{file}");
            assert!((before.1 + 1..LATE_EPOCH).contains(&epoch), "{file}: {epoch} follows {}", before.1);
            before = (id, epoch);
        }
    }
}

#[test]
fn nothing_in_a_folder_keeps_anybody_from_starting() {
    let refusals: [Refuse; 4] = [
        |op| matches!(op, DiskOp::List { path, .. } if path.as_str() == "db").then_some(DiskErrorKind::Permission),
        |op| matches!(op, DiskOp::List { path, .. } if path.as_str() == "db/x").then_some(DiskErrorKind::Io),
        |op| {
            let is_stray = |path: &DiskPath| path.as_str() == "db/x/x.wal";
            matches!(op, DiskOp::Open { path, .. } if is_stray(path)).then_some(DiskErrorKind::Permission)
        },
        |op| matches!(op, DiskOp::Read { offset: 0, bytes: 4096, .. }).then_some(DiskErrorKind::Io),
    ];
    for (number, refuse) in refusals.into_iter().enumerate() {
        let mut machine = machine();
        put(&mut machine, "x", &[("x.wal", header(1, 7, 1))]);
        machine.driver.disk.seen.clear();
        machine.driver.disk.refuse = refuse;
        machine.crash();
        let was_refused = machine.driver.disk.seen.iter().any(|op| refuse(op).is_some());
        assert!(was_refused, "refusal {number} was not met");
        machine.driver.disk.refuse = nothing;
        let database = machine.open("a").expect("the others can be used");
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    }
}

#[test]
fn a_folder_of_a_later_version_keeps_nobody_from_starting() {
    let mut machine = machine();
    put(&mut machine, "x", &[("x.wal", header(9, 7, 1))]);
    machine.restart();
    machine.open("a").expect("the others can be used");
}

#[test]
fn a_rebuild_finds_a_segment_behind_many_files_and_allows_for_starts_that_left_none() {
    let names: Vec<String> = (0..MANY).map(|number| format!("a.wa{number:04}")).collect();
    let others: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![])).collect();
    let mut machine = without_catalog(Profile::CALM);
    put(&mut machine, "a", &others);
    machine.restart();
    let (id, epoch) = make(&mut machine, "c");
    assert_eq!(id, 2, "a has the first");
    assert!(epoch > 1_000_000 * 1_000_000_000, "{epoch}");
}

/// Somebody puts the folder of another data directory in the place of `a`.
#[test]
fn a_log_of_another_data_directory_is_refused_and_left_as_it_is() {
    let mut machine = machine();
    machine.restart();
    let ours = machine.driver.disk.disk.contents()["db/a/a.wal"].clone().expect("it is a file");
    let theirs = header_of(77, 0, 1, 1, 1);
    machine.overwrite("db/a/a.wal", 0, theirs.clone());
    machine.crash();
    for _ in 0..2 {
        assert_eq!(machine.open("a"), Err(ErrorCode::CorruptRecord));
        let there = machine.driver.disk.disk.contents()["db/a/a.wal"].clone().expect("it is a file");
        assert_eq!(there[..4096], theirs[..], "nothing is changed");
    }
    machine.overwrite("db/a/a.wal", 0, ours[..4096].to_vec());
    let database = machine.open("a").expect("its own log is back");
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
}

/// A later version wrote something that this one can read and must not write to.
#[test]
fn a_log_that_only_a_later_version_may_write_to_is_read_only() {
    let mut machine = machine();
    machine.restart();
    let (id, epoch) = told(&machine, "a");
    machine.overwrite("db/a/a.wal", 0, header_of(Options::default().new_directory.0, 1, 1, id, epoch));
    machine.crash();
    let database = machine.open("a").expect("it can be read");
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    assert_eq!(machine.one(database, 2, |id| Action::Create(id, text(10))), Err(ErrorCode::ReadOnly));
}

/// The catalog is lost, and of two folders one was put there from elsewhere: choosing one would give the other's name and
/// id away.
#[test]
fn a_catalog_is_not_rebuilt_from_folders_of_two_data_directories() {
    for folder in ["0", "x"] {
        let mut machine = machine();
        put(&mut machine, folder, &[(&format!("{folder}.wal"), header_of(77, 0, 1, 1, 1))]);
        let files = machine.files();
        carry_out(&mut machine, DiskOp::Unlink { path: DiskPath::root().join("catalog") });
        machine.crash();
        assert_eq!(machine.open("a"), Err(ErrorCode::CatalogDamaged), "with {folder}");
        let left: Vec<String> = files.into_iter().filter(|file| file != "catalog").collect();
        assert_eq!(machine.files(), left, "nothing is changed");
        let path = DiskPath::root().join("db").join(folder);
        carry_out(&mut machine, DiskOp::Unlink { path: path.join(&format!("{folder}.wal")) });
        carry_out(&mut machine, DiskOp::Unlink { path });
        machine.crash();
        let database = machine.open("a").expect("it is alone again");
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    }
}
