//! What the disk keeps and what it loses. Each story opens with the loss that an engine suffers which forgets it.

use docdb_engine::{Disk, DiskErrorKind, DiskOp, DiskReply, FileId, OpenMode};
use docdb_sim::choice::Choices;
use docdb_sim::disk::{CrashKind, FaultKind, NameOrder, Profile, Unit, decide_by};

use crate::story::{FILE, Story, keep, lose, path, rename, write};

#[test]
fn what_was_not_synced_survives_the_process_but_not_the_power() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(write(0, b"old"));
    story.done(DiskOp::Sync { file: FILE });
    story.done(write(0, b"new"));
    assert_eq!(story.read_after(CrashKind::Process, lose, "a"), b"new");
    assert_eq!(story.read_after(CrashKind::Power, lose, "a"), b"old");
    assert_eq!(story.read_after(CrashKind::Power, keep, "a"), b"new");
}

#[test]
fn a_length_may_survive_without_its_data_and_reads_as_zeros() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(write(0, &[7; 600]));
    fn only_size(unit: Unit, bound: u64) -> u64 {
        if matches!(unit, Unit::Size(_)) { bound - 1 } else { 0 }
    }
    fn only_second(unit: Unit, bound: u64) -> u64 {
        if matches!(unit, Unit::Sector(_, 0)) { 0 } else { bound - 1 }
    }
    assert_eq!(story.read_after(CrashKind::Power, only_size, "a"), [0; 600]);
    let second = story.read_after(CrashKind::Power, only_second, "a");
    assert_eq!((&second[..512], &second[512..]), (&[0; 512][..], &[7; 88][..]));
}

#[test]
fn a_sector_may_survive_in_any_content_it_had_since_the_last_sync() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(write(0, b"1"));
    story.done(write(0, b"2"));
    story.done(write(0, b"3"));
    fn middle(unit: Unit, bound: u64) -> u64 {
        if matches!(unit, Unit::Sector(..)) { 2 } else { bound - 1 }
    }
    assert_eq!(story.read_after(CrashKind::Power, middle, "a"), b"2");
}

#[test]
fn a_name_is_lost_without_a_sync_of_its_directory_even_when_the_file_was_synced() {
    let mut story = Story::new(Profile::CALM);
    story.open("a", OpenMode::CreateNew);
    story.done(write(0, b"data"));
    story.done(DiskOp::Sync { file: FILE });
    assert!(story.names_after(CrashKind::Power, lose).is_empty());
    assert_eq!(story.names_after(CrashKind::Process, lose), ["a"]);
    story.sync_names();
    assert_eq!(story.names_after(CrashKind::Power, lose), ["a"]);
}

#[test]
fn the_bytes_of_an_unsynced_file_are_lost_although_its_name_is_durable() {
    let mut story = Story::new(Profile::CALM);
    story.open("next", OpenMode::CreateNew);
    story.done(write(0, b"data"));
    story.done(rename("next", "final", false));
    story.sync_names();
    assert_eq!(story.read_after(CrashKind::Power, lose, "final"), b"");
}

#[test]
fn a_rename_is_atomic_and_either_name_is_there() {
    let mut story = Story::new(Profile::CALM);
    story.file("old");
    story.done(rename("old", "new", false));
    assert_eq!(story.names_after(CrashKind::Power, lose), ["old"]);
    assert_eq!(story.names_after(CrashKind::Power, keep), ["new"]);
}

#[test]
fn a_rename_never_goes_over_a_name_unless_told_to() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(DiskOp::Close { file: FILE });
    story.done(DiskOp::Open { file: FileId(2), path: path("b"), mode: OpenMode::CreateNew });
    assert_eq!(story.attempt(rename("a", "b", false)), Err(DiskErrorKind::Exists));
    assert_eq!(story.attempt(rename("missing", "c", true)), Err(DiskErrorKind::NotFound));
    story.done(rename("a", "b", true));
}

/// The two disks once answered differently here, in one run of a hundred.
#[test]
fn a_rename_over_another_name_of_the_same_file_leaves_both() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(DiskOp::Link { from: path("a"), to: path("b") });
    story.done(rename("a", "b", true));
    assert_eq!(story.names_after(CrashKind::Process, keep), ["a", "b"]);
    assert_eq!(story.attempt(rename("a", "b", false)), Err(DiskErrorKind::Exists));
}

#[test]
fn a_change_of_a_name_never_survives_without_the_earlier_ones_of_that_name() {
    for order in [NameOrder::Posix, NameOrder::Journal] {
        let mut story = Story::new(Profile::CALM.ordering(order));
        story.file("a");
        story.done(DiskOp::Open { file: FileId(2), path: path("next"), mode: OpenMode::CreateNew });
        story.sync_names();
        story.done(rename("a", "a.1", false));
        story.done(rename("next", "a", false));
        let mut images = Vec::new();
        for seed in 0..100 {
            let mut disk = story.disk.clone();
            disk.crash(CrashKind::Power, &mut decide_by(&mut Choices::seeded(seed)));
            images.push(disk.listing().into_keys().collect::<Vec<String>>());
        }
        images.sort();
        images.dedup();
        assert_eq!(images, [["a", "a.1"], ["a", "next"], ["a.1", "next"]], "{order:?}");
    }
}

#[test]
fn after_a_failed_sync_the_next_one_succeeds_and_the_data_is_lost_all_the_same() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(write(0, b"old"));
    story.done(DiskOp::Sync { file: FILE });
    story.done(write(0, b"new"));
    story.disk.set_profile(Profile::CALM.with(FaultKind::SyncExt4Ordered, 1000));
    // The odometer's first answer to "what becomes of this sector" is that it fails.
    story.choices = Choices::odometer();
    assert_eq!(story.attempt(DiskOp::Sync { file: FILE }), Err(DiskErrorKind::Io));
    story.disk.set_profile(Profile::CALM);
    story.done(DiskOp::Sync { file: FILE });
    assert_eq!(story.read(), b"new", "the cache shows it");
    assert_eq!(story.read_after(CrashKind::Process, keep, "a"), b"new", "a new process sees it too");
    assert_eq!(story.read_after(CrashKind::Power, keep, "a"), b"old", "and it was never durable");
}

#[test]
fn a_file_system_may_go_back_to_the_old_content_when_a_sync_fails() {
    let reverted = Profile::CALM.with(FaultKind::SyncBtrfs, 1000);
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.done(write(0, b"old"));
    story.done(DiskOp::Sync { file: FILE });
    story.disk.set_profile(reverted);
    // The odometer's first answer to "what becomes of this sector" is that it fails.
    story.choices = Choices::odometer();
    story.done(write(0, b"new"));
    assert_eq!(story.attempt(DiskOp::Sync { file: FILE }), Err(DiskErrorKind::Io));
    assert_eq!(story.read(), b"old");
}

#[test]
fn a_sync_covers_only_the_writes_whose_completions_were_delivered_before() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.submit(write(0, b"late"));
    story.submit(DiskOp::Sync { file: FILE });
    story.run(0);
    story.run(0);
    assert!(story.disk.poll().is_some() && story.disk.poll().is_some());
    assert_eq!(story.read_after(CrashKind::Power, lose, "a"), b"");
    story.done(DiskOp::Sync { file: FILE });
    assert_eq!(story.read_after(CrashKind::Power, lose, "a"), b"late");
}

#[test]
fn a_write_in_flight_is_undone_done_or_done_in_part() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.submit(write(0, &[1; 1024]));
    fn half(unit: Unit, bound: u64) -> u64 {
        if matches!(unit, Unit::InFlight(_)) { 1 } else { bound - 1 }
    }
    assert_eq!(story.read_after(CrashKind::Process, lose, "a"), b"");
    assert_eq!(story.read_after(CrashKind::Process, half, "a"), [1; 512]);
    assert_eq!(story.read_after(CrashKind::Process, keep, "a"), [1; 1024]);
}

#[test]
fn a_hostile_device_tears_the_newest_version_of_a_sector() {
    let mut story = Story::new(Profile::CALM.with(FaultKind::ShornSector, 1000));
    story.file("a");
    story.done(write(0, &[1; 512]));
    story.done(DiskOp::Sync { file: FILE });
    story.done(write(0, &[2; 512]));
    fn torn(unit: Unit, bound: u64) -> u64 {
        if matches!(unit, Unit::Shorn(..)) { 2 } else { bound - 1 }
    }
    let bytes = story.read_after(CrashKind::Power, torn, "a");
    assert_eq!((&bytes[..128], &bytes[128..]), (&[2; 128][..], &[1; 384][..]));
}

#[test]
fn a_full_device_refuses_growth_and_allows_overwriting() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.disk.set_quota(Some(1024));
    story.done(DiskOp::Allocate { file: FILE, offset: 0, bytes: 1024 });
    assert_eq!(story.attempt(write(1024, b"x")), Err(DiskErrorKind::NoSpace));
    story.done(write(0, &[3; 1024]));
    assert_eq!(story.done(DiskOp::FreeSpace), DiskReply::Space(0));
}

#[test]
#[should_panic(expected = "contract")]
fn overlapping_operations_in_flight_are_an_engine_bug() {
    let mut story = Story::new(Profile::CALM);
    story.file("a");
    story.submit(write(0, &[1; 600]));
    story.submit(write(512, &[1; 10]));
}

/// What a power loss leaves of two renames of one file of which only the second is kept.
fn after_the_second_of_two_renames(order: NameOrder) -> Vec<String> {
    let mut story = Story::new(Profile::CALM.ordering(order));
    story.file("a");
    story.done(rename("a", "b", false));
    story.done(rename("b", "c", false));
    let mut changes = 0;
    let mut disk = story.disk.clone();
    disk.crash(CrashKind::Power, &mut |unit, bound| {
        if !matches!(unit, Unit::Name(_)) {
            return bound - 1;
        }
        changes += 1;
        u64::from(changes == 2)
    });
    disk.listing().into_keys().collect()
}

#[test]
fn a_device_that_keeps_names_apart_keeps_a_later_change_without_an_earlier_one() {
    assert_eq!(after_the_second_of_two_renames(NameOrder::Apart), ["a", "c"]);
}
