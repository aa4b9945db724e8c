//! Long lives of short sessions: the log stays in few files, and few are open.

use docdb_engine::{DiskOp, Options};
use docdb_protocol::{Action, OperationReply};

use crate::machine::{Machine, small, text};

#[test]
fn short_sessions_leave_few_files() {
    let mut machine = Machine::new(Options::default());
    for session in 1..=60 {
        let database = machine.open("a").unwrap();
        machine.one(database, session, |id| Action::Create(id, text(100))).unwrap();
        machine.restart();
        assert!(machine.files().len() <= 4, "after {session} sessions: {:?}", machine.files());
    }
    let database = machine.open("a").unwrap();
    assert_eq!(machine.files(), ["catalog", "db/a/a.wal"], "what the new segment holds too is gone at once");
    for id in 1..=60 {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "{id}");
    }
}

#[test]
fn one_file_of_a_long_log_is_open_at_a_time() {
    let mut machine = Machine::new(Options { merge_bytes_max: 0, ..small() });
    for session in 1..=30 {
        let database = machine.open("a").unwrap();
        machine.one(database, session, |id| Action::Create(id, text(100))).unwrap();
        machine.restart();
    }
    machine.driver.disk.seen.clear();
    machine.open("a").unwrap();
    let (mut open, mut most) = (0_u32, 0_u32);
    for op in &machine.driver.disk.seen {
        match op {
            DiskOp::Open { .. } => open += 1,
            DiskOp::Close { .. } => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    assert!(machine.files().len() > 30, "a long log");
    assert_eq!(most, 1);
}
