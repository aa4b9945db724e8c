//! A catalog that is gone: rebuilt from the folders, and never without what could be read later.

use docdb_engine::{Disk, DiskErrorKind, DiskOp, DiskPath, Engine, OpId};
use docdb_protocol::{Action, DatabaseName, IfMissing, OperationReply, Request};
use docdb_sim::choice::Choices;
use docdb_sim::disk::{FaultKind, Profile, SimDisk};

use crate::machine::{Machine, Refuse, nothing, small, text};

/// A machine whose database `a` holds document 1, and whose catalog is gone.
pub(crate) fn without_catalog(profile: Profile) -> Machine {
    let mut machine = Machine::new(small());
    let database = machine.open("a").expect("nothing fails yet");
    machine.one(database, 1, |id| Action::Create(id, text(100))).expect("nothing fails yet");
    machine.restart();
    machine.driver.disk.disk.set_profile(profile);
    machine.driver.disk.submit(OpId(1 << 40), DiskOp::Unlink { path: DiskPath::root().join("catalog") });
    machine.driver.disk.disk.poll().expect("it was carried out").result.expect("the catalog was there");
    machine
}

#[test]
fn a_lost_catalog_is_rebuilt_however_short_the_reads_are() {
    for seed in 0..400 {
        let mut machine = without_catalog(Profile::CALM.with(FaultKind::ShortRead, 900));
        machine.driver.disk.choices = Choices::seeded(seed);
        machine.restart();
        let database = machine.open("a").unwrap();
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))), "seed {seed}");
    }
}

#[test]
fn a_rebuilt_catalog_leaves_out_nothing_that_may_be_read_later() {
    for refuse in [
        (|op| matches!(op, DiskOp::List { path, .. } if path.as_str() == "db/a").then_some(DiskErrorKind::Io))
            as Refuse,
        |op| {
            matches!(op, DiskOp::Open { path, .. } if path.as_str() == "db/a/a.wal")
                .then_some(DiskErrorKind::Permission)
        },
        |op| matches!(op, DiskOp::Read { offset: 0, bytes: 4096, .. }).then_some(DiskErrorKind::Io),
    ] {
        let mut machine = without_catalog(Profile::CALM);
        machine.driver.disk.refuse = refuse;
        let files = machine.files();
        machine.restart();
        assert!(machine.open("a").is_err());
        assert_eq!(machine.files(), files, "nothing was changed");
        machine.driver.disk.refuse = nothing;
        machine.restart();
        let database = machine.open("a").unwrap();
        assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    }
}

#[test]
fn a_shutdown_does_not_wait_for_a_catalog_that_cannot_be_written() {
    let mut machine = Machine::new(small());
    let name = DatabaseName::parse("a").expect("a name");
    let opening = machine.ask(Request::OpenDatabase { name, if_missing: IfMissing::Create });
    machine.stop();
    machine.driver.disk.refuse = |op| {
        let is_catalog = match op {
            DiskOp::Open { path, .. } => path.as_str() == "catalog.new",
            DiskOp::Write { buffers, .. } => buffers[0].as_slice().starts_with(b"DCHG"),
            _ => false,
        };
        is_catalog.then_some(DiskErrorKind::Io)
    };
    machine.settle();
    assert!(machine.heard.answers[&opening].is_err());
    assert!(machine.heard.stopped);
}

/// A mount point, or a folder with names in it that no listing shows.
#[test]
fn a_folder_of_databases_that_cannot_be_made_anew_is_used() {
    let mut machine = Machine::new(small());
    // The process dies before the first catalog has its name.
    machine.driver.disk.disk = SimDisk::new(Profile::CALM);
    machine.driver.engine = Engine::new(machine.options.clone());
    machine.driver.disk.refuse =
        |op| matches!(op, DiskOp::Open { path, .. } if path.as_str() == "catalog.new").then_some(DiskErrorKind::Io);
    machine.settle();
    machine.driver.disk.refuse =
        |op| matches!(op, DiskOp::Unlink { path } if path.as_str() == "db").then_some(DiskErrorKind::Exists);
    machine.crash();
    let database = machine.open("a").expect("it is somebody's folder, and usable");
    machine.one(database, 1, |id| Action::Create(id, text(100))).expect("nothing else fails");
}
