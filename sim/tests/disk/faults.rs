//! How the disk fails: a story for each kind of fault that no loss of power is needed for. Each ends with what an engine may still
//! rely on.

use docdb_engine::{DiskErrorKind, DiskOp, DiskReply, FileId, OpenMode};
use docdb_sim::choice::{Choice, Choices};
use docdb_sim::disk::{CrashKind, FaultKind, Profile, Unit};

use crate::story::{FILE, Story, keep, lose, path, rename, write};

const SYNC: DiskOp = DiskOp::Sync { file: FILE };

/// A device on which `kind` always strikes.
fn always(kind: FaultKind) -> Profile {
    Profile::CALM.with(kind, 1000)
}

/// A story in which `file` holds `bytes`, durably, and every choice from now on is the first one.
fn holding(bytes: &[u8]) -> Story {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(write(0, bytes));
    story.done(SYNC);
    story.choices = Choices::odometer();
    story
}

/// The first answers to what a fault does; all others are zero.
fn answers(label: &'static str, values: &[u64]) -> Choices {
    let choices: Vec<Choice> = values.iter().map(|value| Choice { label, bound: u64::MAX, value: *value }).collect();
    Choices::replayed(&choices)
}

#[test]
fn on_ext4_with_data_the_sync_succeeds_and_the_next_one_tells() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.disk.set_profile(always(FaultKind::SyncExt4Data));
    story.done(SYNC);
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.attempt(SYNC), Err(DiskErrorKind::Io), "too late");
    story.done(SYNC);
    assert_eq!(story.read(), b"new", "the cache shows it");
    assert_eq!(story.read_after(CrashKind::Power, keep, "a"), b"old", "and it was never durable");
}

#[test]
fn a_file_system_that_shuts_down_changes_nothing_until_the_machine_starts_again() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.disk.set_profile(always(FaultKind::SyncShutdown));
    assert_eq!(story.attempt(SYNC), Err(DiskErrorKind::Io));
    story.disk.set_profile(Profile::CALM);
    for op in [write(0, b"x"), SYNC, rename("a", "b", false), DiskOp::Unlink { path: path("a") }] {
        assert_eq!(story.attempt(op), Err(DiskErrorKind::Io));
    }
    assert_eq!(story.read(), b"new", "reads go on");
    story.disk.crash(CrashKind::Power, &mut { lose });
    story.open("a", OpenMode::Write);
    assert_eq!(story.read(), b"old");
    story.done(write(0, b"now"));
}

#[test]
fn a_false_alarm_is_told_although_all_is_durable() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.disk.set_profile(always(FaultKind::SyncFalseAlarm));
    assert_eq!(story.attempt(SYNC), Err(DiskErrorKind::Io));
    assert_eq!(story.read_after(CrashKind::Power, lose, "a"), b"new");
}

#[test]
fn a_lying_sync_succeeds_and_writes_nothing() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.disk.set_profile(always(FaultKind::LyingSync));
    story.done(SYNC);
    story.disk.set_profile(Profile::CALM);
    story.done(SYNC);
    assert_eq!(story.read(), b"new");
    assert_eq!(story.read_after(CrashKind::Power, keep, "a"), b"old");
}

#[test]
fn a_page_whose_write_failed_may_leave_the_cache_at_any_time() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.disk.set_profile(always(FaultKind::SyncExt4Ordered));
    assert_eq!(story.attempt(SYNC), Err(DiskErrorKind::Io));
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.read(), b"new");
    story.disk.set_profile(always(FaultKind::Eviction));
    assert_eq!(story.read(), b"old", "what a reader was shown is gone");
}

#[test]
fn a_sync_may_find_no_space_that_a_write_was_promised() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.disk.set_profile(Profile::CALM.with(FaultKind::NoSpace, 1));
    let used = story.disk.used();
    story.disk.set_quota(Some(used));
    story.choices = answers("no-space/what", &[3]);
    assert_eq!(story.attempt(SYNC), Err(DiskErrorKind::NoSpace));
    story.disk.set_quota(None);
    story.done(SYNC);
    assert_eq!(story.read_after(CrashKind::Power, keep, "a"), b"old", "as lost as after any failed sync");
}

#[test]
fn a_failed_write_may_have_written_a_part() {
    let mut story = holding(b"oldold");
    story.disk.set_profile(always(FaultKind::WriteError));
    assert_eq!(story.attempt(write(0, b"newnew")), Err(DiskErrorKind::Io));
    assert_eq!(story.read(), b"oldold");
    story.choices = answers("write-error/what", &[1, 3]);
    assert_eq!(story.attempt(write(0, b"newnew")), Err(DiskErrorKind::Io));
    assert_eq!(story.read(), b"newold");
}

#[test]
fn a_short_write_says_what_it_took_and_may_have_written_more() {
    let mut story = holding(b"oldold");
    story.disk.set_profile(always(FaultKind::ShortWrite));
    story.choices = answers("short-write/what", &[2, 1]);
    assert_eq!(story.done(write(0, b"newnew")), DiskReply::Written(2));
    assert_eq!(story.read(), b"newold");
}

#[test]
fn a_short_read_gives_a_beginning_and_is_no_failure() {
    let mut story = holding(b"data");
    story.disk.set_profile(always(FaultKind::ShortRead));
    assert_eq!(story.read(), b"d");
    assert_eq!(story.disk.injected(), 0, "nobody may be blamed for it");
}

#[test]
fn a_read_fails_once() {
    let mut story = holding(b"data");
    let read = || DiskOp::Read { file: FILE, offset: 0, bytes: 4, bulk: false };
    story.disk.set_profile(always(FaultKind::ReadError));
    assert_eq!(story.attempt(read()), Err(DiskErrorKind::Io));
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.read(), b"data");
}

#[test]
fn a_bad_sector_cannot_be_read_until_it_is_written_again() {
    let mut story = holding(&[7; 1024]);
    let read = |offset| DiskOp::Read { file: FILE, offset, bytes: 512, bulk: false };
    story.disk.set_profile(always(FaultKind::StickyReadError));
    story.done(DiskOp::Length { file: FILE });
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.attempt(read(0)), Err(DiskErrorKind::Io));
    assert_eq!(story.attempt(read(0)), Err(DiskErrorKind::Io), "again and again");
    story.done(read(512));
    story.done(write(0, &[8; 512]));
    story.done(read(0));
    story.done(SYNC);
    story.done(read(0));
}

#[test]
fn a_stale_read_gives_what_a_sector_held_before() {
    let mut story = holding(b"old");
    story.done(write(0, b"new"));
    story.done(SYNC);
    story.disk.set_profile(always(FaultKind::StaleRead));
    assert_eq!(story.read(), b"old");
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.read(), b"new", "the next one may be right");
    assert_eq!(story.disk.damaged().len(), 1, "and it is written down");
}

#[test]
fn a_flipped_bit_is_written_down_with_what_stood_there() {
    let mut story = holding(b"data");
    story.disk.set_profile(always(FaultKind::BitFlip));
    story.done(DiskOp::Length { file: FILE });
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.read(), [b'd' ^ 1, b'a', b't', b'a']);
    let [damaged] = story.disk.damaged() else { panic!("one place is damaged") };
    assert_eq!((damaged.kind, damaged.range.clone()), (FaultKind::BitFlip, 0..1));
    assert_eq!(&damaged.before[..4], b"data");
}

#[test]
fn a_misdirected_write_is_shown_where_it_should_be_and_is_elsewhere() {
    let mut story = holding(&[1; 1024]);
    story.disk.set_profile(always(FaultKind::MisdirectedWrite));
    assert_eq!(story.done(write(512, &[2; 512])), DiskReply::Written(512));
    story.disk.set_profile(Profile::CALM);
    story.done(SYNC);
    let after = story.read_after(CrashKind::Power, keep, "a");
    assert_eq!((&after[..512], &after[512..]), (&[2; 512][..], &[1; 512][..]));
    let places: Vec<_> = story.disk.damaged().iter().map(|damaged| damaged.range.clone()).collect();
    assert_eq!(places, [512..1024, 0..512], "what is missing, and what was overwritten");
}

#[test]
fn space_that_is_given_out_again_may_show_what_a_removed_file_held() {
    let mut story = holding(&[9; 512]);
    story.done(DiskOp::Close { file: FILE });
    story.done(DiskOp::Unlink { path: path("a") });
    story.sync_names();
    story.disk.set_profile(always(FaultKind::StaleGarbage));
    story.done(DiskOp::Open { file: FileId(2), path: path("b"), mode: OpenMode::CreateNew });
    story.sync_names();
    story.done(DiskOp::Write { file: FileId(2), offset: 0, buffers: vec![vec![5; 512].into()] });
    fn garbage(unit: Unit, bound: u64) -> u64 {
        match unit {
            Unit::Size(_) => bound - 1,
            _ => 0,
        }
    }
    // Removed files are forgotten when space is counted, as it is at a crash.
    story.disk.used();
    assert_eq!(story.read_after(CrashKind::Power, garbage, "b"), [9; 512]);
}

#[test]
fn a_refused_call_changes_nothing_and_may_be_made_again() {
    let mut story = holding(b"old");
    let ops = || [write(0, b"new"), SYNC, rename("a", "b", false)];
    for (kind, error) in [(FaultKind::Interrupted, DiskErrorKind::Transient), (FaultKind::NameError, DiskErrorKind::Io)]
    {
        story.disk.set_profile(always(kind));
        assert_eq!(story.attempt(rename("a", "b", false)), Err(error));
    }
    story.disk.set_profile(always(FaultKind::Interrupted));
    for op in ops() {
        assert_eq!(story.attempt(op), Err(DiskErrorKind::Transient));
    }
    story.disk.set_profile(Profile::CALM);
    assert_eq!(story.read(), b"old");
    ops().into_iter().for_each(|op| drop(story.done(op)));
    assert_eq!(story.read_after(CrashKind::Power, keep, "b"), b"new");
}

#[test]
fn a_device_that_is_busy_refuses_for_longer_than_one_call() {
    let mut story = holding(b"old");
    story.choices = answers("busy/what", &[2]);
    story.disk.set_profile(always(FaultKind::Busy));
    // The first refusal draws how many come.
    assert_eq!(story.attempt(write(0, b"new")), Err(DiskErrorKind::Transient));
    for op in [SYNC, rename("a", "b", false)] {
        assert_eq!(story.attempt(op), Err(DiskErrorKind::Transient));
    }
    assert_eq!(story.disk.faults().of(FaultKind::Busy), 3);
    story.disk.set_profile(Profile::CALM);
    story.done(write(0, b"new"));
}

#[test]
fn a_shortage_keeps_from_opening_making_and_listing_and_from_nothing_else() {
    let mut story = holding(b"old");
    story.choices = answers("shortage/what", &[9]);
    story.disk.set_profile(always(FaultKind::Shortage));
    let open = DiskOp::Open { file: FileId(2), path: path("b"), mode: OpenMode::CreateNew };
    let list = DiskOp::List { path: docdb_engine::DiskPath::root(), after: "".into(), limit: 9 };
    for op in [open, list, DiskOp::MakeDirectory { path: path("c") }] {
        assert_eq!(story.attempt(op), Err(DiskErrorKind::Shortage));
    }
    for op in [write(0, b"new"), SYNC, rename("a", "b", false)] {
        story.done(op);
    }
    assert_eq!(story.read(), b"new");
}

#[test]
fn who_has_no_permission_touches_no_name() {
    let mut story = holding(b"old");
    story.disk.set_profile(always(FaultKind::Denied));
    let list = DiskOp::List { path: docdb_engine::DiskPath::root(), after: "".into(), limit: 9 };
    for op in [rename("a", "b", false), list, DiskOp::MakeDirectory { path: path("c") }] {
        assert_eq!(story.attempt(op), Err(DiskErrorKind::Permission));
    }
    story.done(write(0, b"new"));
    story.done(SYNC);
    assert_eq!(story.read(), b"new");
}

#[test]
fn a_start_cannot_look_at_the_folders_until_it_has_written_a_catalog() {
    let mut story = Story::new(always(FaultKind::StartError));
    story.choices = answers("start-error/what", &[1, 2]);
    let list = || DiskOp::List { path: docdb_engine::DiskPath::root(), after: "".into(), limit: 9 };
    story.done(list());
    let open = |file, name: &str, mode| DiskOp::Open { file: FileId(file), path: path(name), mode };
    assert_eq!(story.attempt(open(1, "catalog", OpenMode::Read)), Err(DiskErrorKind::NotFound), "it is looked for");
    assert_eq!(story.attempt(list()), Err(DiskErrorKind::Shortage));
    assert_eq!(story.attempt(list()), Err(DiskErrorKind::Permission));
    story.done(open(2, "catalog.new", OpenMode::CreateNew));
    story.done(list());
}

/// A calm disk with the folder of a database, in which a log is open and written.
fn holding_a_log() -> (Story, docdb_engine::DiskPath) {
    let mut story = Story::new(Profile::CALM);
    let folder = path("db").join("a");
    for directory in [path("db"), folder.clone()] {
        story.done(DiskOp::MakeDirectory { path: directory });
    }
    story.done(DiskOp::Open { file: FILE, path: folder.join("a.wal"), mode: OpenMode::CreateNew });
    story.done(write(0, b"held"));
    (story, folder)
}

#[test]
fn a_folder_that_is_gone_fails_syncs_until_it_is_looked_up_anew() {
    let (mut story, folder) = holding_a_log();
    story.disk.set_profile(always(FaultKind::FolderGone));
    let sync_names = DiskOp::SyncDirectory { path: folder.clone() };
    story.done(sync_names.clone());
    for op in [SYNC, sync_names.clone(), SYNC] {
        assert_eq!(story.attempt(op), Err(DiskErrorKind::Gone));
    }
    story.done(DiskOp::List { path: folder, after: "".into(), limit: 9 });
    story.done(sync_names);
    story.disk.set_profile(Profile::CALM);
    story.done(SYNC);
}

#[test]
fn a_lost_file_is_gone_and_written_down_with_what_it_held() {
    let (mut story, folder) = holding_a_log();
    story.done(SYNC);
    let mut choices = Choices::odometer();
    story.disk.set_profile(always(FaultKind::FileLost));
    story.disk.lose_files(&mut choices);
    assert_eq!(story.disk.listing().len(), 1, "its name is not durable, so a crash may take it anyway");
    for directory in [folder, path("db"), docdb_engine::DiskPath::root()] {
        story.done(DiskOp::SyncDirectory { path: directory });
    }
    story.disk.lose_files(&mut choices);
    assert!(story.disk.listing().is_empty());
    let held: Vec<_> = story.disk.damaged().iter().map(|damaged| damaged.before[..4].to_vec()).collect();
    assert_eq!(held, [b"held".to_vec()]);
}
