//! New segments: how long they are, when the next one is prepared, and what is tried again.

use docdb_engine::{AlertKind, DiskErrorKind, DiskOp, FileId, OpenMode, Options};
use docdb_protocol::{Action, DatabaseId, ErrorCode, OperationReply};

use crate::machine::{Machine, Refuse, execute, nothing, small, text};

/// What the header of a segment takes.
const HEADER_BYTES: u64 = 4096;

/// The file that a process which makes the first database makes for its log.
const FIRST_SEGMENT: FileId = FileId(3);

/// The first segment takes no more.
fn is_spoiled(op: &DiskOp) -> bool {
    matches!(op, DiskOp::Write { file: FIRST_SEGMENT, offset: HEADER_BYTES.., .. })
}

fn spoiled(op: &DiskOp) -> Option<DiskErrorKind> {
    is_spoiled(op).then_some(DiskErrorKind::Io)
}

fn length(machine: &Machine, name: &str) -> Option<u64> {
    machine.driver.disk.disk.listing().get(&format!("db/a/{name}")).copied()
}

fn has_latched(machine: &Machine) -> bool {
    machine.heard.alerts.iter().any(|alert| matches!(alert.kind, AlertKind::ReadOnly(_)))
}

/// Header and records of a batch that creates one document of `bytes` bytes, in whole sectors.
fn batch_bytes(bytes: u64) -> u64 {
    (72 + 64 + bytes + 64).next_multiple_of(512)
}

#[test]
fn a_segment_has_room_for_the_batch_that_it_is_made_for_and_its_proof_and_for_no_more() {
    let mut machine = Machine::new(Options { merge_bytes_max: 0, ..small() });
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = spoiled;
    machine.one(database, 1, |id| Action::Create(id, text(9000))).unwrap();
    machine.driver.disk.refuse = nothing;
    assert_eq!(length(&machine, "a.wal"), Some(HEADER_BYTES + batch_bytes(9000) + 512));
    // The next opening writes that batch again, since nothing proves it.
    machine.crash();
    machine.open("a").unwrap();
    assert_eq!(length(&machine, "a.wal"), Some(HEADER_BYTES + batch_bytes(9000) + 512));
    // And the one after that has nothing to write.
    machine.restart();
    machine.open("a").unwrap();
    assert_eq!(length(&machine, "a.wal"), Some(8192), "the least there is");
}

#[test]
fn the_next_segment_is_prepared_when_half_of_one_is_used_and_not_before() {
    let bytes = 65536;
    let mut machine = Machine::new(Options { segment_bytes_min: bytes, segment_bytes_max: bytes, ..small() });
    let database = machine.open("a").unwrap();
    let mut used = 0;
    for id in 1..=30 {
        // All but the first repeat one operation of the batch before.
        let batch = batch_bytes(6000 + u64::from(id > 1) * 32);
        machine.one(database, id, |id| Action::Create(id, text(6000))).unwrap();
        let fits = HEADER_BYTES + used + batch + 512 <= bytes;
        used = if fits { used + batch } else { batch };
        let is_prepared = length(&machine, "a.wal.spare").is_some();
        assert_eq!(is_prepared, used >= bytes / 2, "{used} bytes used after {id} documents");
    }
    assert!(length(&machine, "a.wal.1").is_some(), "more than one segment was filled");
}

#[test]
fn what_passes_by_itself_is_waited_for() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = |op| match op {
        DiskOp::Open { mode: OpenMode::CreateNew, .. } => Some(DiskErrorKind::Transient),
        op => spoiled(op),
    };
    let write = machine.ask(execute(database, 1, |id| Action::Create(id, text(100))));
    for _ in 0..4 {
        machine.settle();
        assert!(!machine.heard.answers.contains_key(&write), "nobody is told before it is known");
        machine.wait();
    }
    machine.driver.disk.refuse = nothing;
    machine.wait();
    assert!(machine.heard.answers[&write].is_ok());
    assert!(!has_latched(&machine));
}

#[test]
fn what_does_not_pass_is_not_waited_for_for_ever() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = |op| match op {
        DiskOp::Open { mode: OpenMode::CreateNew, .. } => Some(DiskErrorKind::Transient),
        op => spoiled(op),
    };
    let write = machine.ask(execute(database, 1, |id| Action::Create(id, text(100))));
    machine.settle();
    for _ in 0..5 {
        machine.wait();
    }
    assert!(machine.heard.answers.contains_key(&write));
    assert!(has_latched(&machine));
}

/// Once a header vouches for the batch, or names have changed, trying again would build on what is unknown.
#[test]
fn a_new_segment_that_fails_late_is_not_tried_again() {
    let refuses: [Refuse; 5] = [
        |op| match op {
            DiskOp::Write { offset: 0, .. } => Some(DiskErrorKind::Transient),
            op => spoiled(op),
        },
        |op| match op {
            DiskOp::Rename { from, .. } if from.as_str().ends_with(".wal") => Some(DiskErrorKind::Transient),
            op => spoiled(op),
        },
        |op| match op {
            DiskOp::Rename { to, .. } if to.as_str().ends_with(".wal") => Some(DiskErrorKind::Transient),
            op => spoiled(op),
        },
        |op| match op {
            DiskOp::Rename { to, .. } if to.as_str().ends_with(".wal") => Some(DiskErrorKind::NoSpace),
            op => spoiled(op),
        },
        // Early, but the write that failed may have left its batch in the old segment.
        |op| match op {
            DiskOp::Allocate { .. } => Some(DiskErrorKind::NoSpace),
            op => spoiled(op),
        },
    ];
    for refuse in refuses {
        let mut machine = Machine::new(small());
        let database = machine.open("a").unwrap();
        machine.driver.disk.refuse = refuse;
        assert_eq!(machine.one(database, 1, |id| Action::Create(id, text(100))), Err(ErrorCode::OutcomeUnknown));
        assert!(has_latched(&machine));
        machine.driver.disk.refuse = nothing;
        machine.restart();
        let database = machine.open("a").unwrap();
        machine.one(database, 2, |id| Action::Create(id, text(100))).unwrap();
    }
}

/// An update of a document that is `bytes` bytes long, so that its version can be told.
fn updated(machine: &mut Machine, database: DatabaseId, id: u64, bytes: usize) {
    let action = |id| if bytes == 700 { Action::Create(id, text(bytes)) } else { Action::Update(id, text(bytes)) };
    machine.one(database, id, action).expect("nothing fails on a calm disk");
}

/// A bit turns in the document of the first batch.
fn damage_first_batch(machine: &mut Machine) {
    let log = machine.driver.disk.disk.contents()["db/a/a.wal"].clone().expect("it can be read");
    let mut sector = log[4096..4608].to_vec();
    sector[72 + 64 + 10] ^= 1;
    machine.overwrite("db/a/a.wal", HEADER_BYTES, sector);
}

/// The first document is damaged, the second one whole.
fn is_shown_before_and_after_a_power_loss(mut machine: Machine) {
    for _ in 0..2 {
        let database = machine.open("a").expect("what is damaged is isolated, not refused");
        assert_eq!(machine.one(database, 1, Action::Read), Err(ErrorCode::CorruptRecord));
        assert!(matches!(machine.one(database, 2, Action::Read), Ok(OperationReply::Document(_))));
        machine.lose_power();
    }
}

/// A bit turns in the last batch that was acknowledged; the one behind it, which proves that it was, stands in the
/// cache alone.
#[test]
fn what_is_shown_of_a_damaged_log_and_what_proves_the_damage_outlive_a_power_loss() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
    damage_first_batch(&mut machine);
    // Written, and not synced when the process dies.
    machine.ask(execute(database, 2, |id| Action::Create(id, text(100))));
    machine.crash();
    is_shown_before_and_after_a_power_loss(machine);
}

/// The same, where what proves it is the header of a segment that took the place of the log's last one in the cache alone.
#[test]
fn the_names_that_a_damaged_log_is_shown_by_outlive_a_power_loss() {
    let mut machine = Machine::new(Options { merge_bytes_max: 0, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
    damage_first_batch(&mut machine);
    machine.driver.disk.refuse = spoiled;
    machine.ask(execute(database, 2, |id| Action::Create(id, text(100))));
    let is_sealed = |op: &DiskOp| matches!(op, DiskOp::Rename { from, .. } if from.as_str() == "db/a/a.wal");
    while !machine.driver.disk.seen.iter().any(is_sealed) {
        assert!(machine.driver.deliver(&mut machine.heard), "the new segment is on its way");
    }
    machine.driver.disk.refuse = nothing;
    machine.crash();
    is_shown_before_and_after_a_power_loss(machine);
}

#[test]
fn a_header_that_a_stray_write_put_into_another_segment_brings_no_older_version_back() {
    let segments = ["a.wal.1", "a.wal.2", "a.wal.3", "a.wal.4", "a.wal"];
    for (from, to) in segments.iter().flat_map(|from| segments.iter().map(move |to| (from, to))) {
        let mut machine = Machine::new(Options { merge_bytes_max: 0, ..small() });
        let database = machine.open("a").unwrap();
        for version in 0..4 {
            for id in 1..=5 {
                updated(&mut machine, database, id, 700 + version);
            }
        }
        machine.crash();
        let contents = machine.driver.disk.disk.contents();
        let header = contents[&format!("db/a/{from}")].as_ref().expect("so many segments were filled")[..4096].to_vec();
        machine.overwrite(&format!("db/a/{to}"), 0, header);
        let Ok(database) = machine.open("a") else { continue };
        for id in 1..=5 {
            match machine.one(database, id, Action::Read) {
                Ok(OperationReply::Document(document)) => {
                    assert_eq!(document.bytes().len(), 703, "{from} over {to}: document {id} is an older one");
                }
                Err(code) => assert_eq!(code, ErrorCode::CorruptRecord, "{from} over {to}: document {id}"),
                Ok(other) => panic!("a document is not answered by {other:?}"),
            }
        }
    }
}

/// A record whose checksum and place are right, of a kind that there is not yet, where the log ends: a torn tail it is not.
#[test]
fn a_record_of_a_later_version_is_refused_and_left_as_it_is() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, |id| Action::Create(id, text(100))).unwrap();
    machine.crash();
    let mut sector =
        machine.driver.disk.disk.contents()["db/a/a.wal"].clone().expect("it can be read")[4096..4608].to_vec();
    // The commit record, behind the header and the document's record.
    let at = 72 + 64 + 100;
    sector[at + 4] = 77;
    let crc32 = crc32fast::hash(&sector[at + 4..at + 64]);
    sector[at..at + 4].copy_from_slice(&crc32.to_le_bytes());
    machine.overwrite("db/a/a.wal", HEADER_BYTES, sector);
    let before = machine.driver.disk.disk.contents();
    assert_eq!(machine.open("a"), Err(ErrorCode::NewerFormat));
    assert_eq!(machine.driver.disk.disk.contents(), before);
}
