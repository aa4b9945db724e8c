//! How hostile the simulated device is: one profile a seed.
//!
//! Rates are in thousandths of the operations concerned; zero makes no choice at all, so switching a
//! fault off leaves the others where they were.

use crate::choice::Choices;

/// What a failed sync of a file does to the sectors it did not write. All return EIO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncFailure {
    /// ext4 ordered, xfs: the page is clean, the cache shows the new content, the disk has the old one;
    /// the next sync succeeds and writes nothing.
    CleanButLost,
    /// btrfs: the cache goes back to the old content; the next sync succeeds.
    Reverted,
    /// A false alarm: everything is durable.
    FalseAlarm,
}

/// Which pending changes of names a power loss may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    /// Any, as long as a change is only kept with all earlier ones of the same name.
    Posix,
    /// A prefix of them, across directories.
    Journal,
}

/// One device.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// What a failed sync leaves behind.
    pub sync_failure: SyncFailure,
    /// What a power loss does to names.
    pub name_order: NameOrder,
    /// Whether a power loss may tear the newest content of a sector.
    pub shorn_sectors: bool,
    /// Failed syncs of files.
    pub sync_fails: u64,
    /// Failed syncs of directories.
    pub directory_sync_fails: u64,
    /// Failed writes and allocations.
    pub write_fails: u64,
    /// Writes that take less than they were given.
    pub write_short: u64,
    /// Failed reads.
    pub read_fails: u64,
    /// Reads that give less than they were asked for.
    pub read_short: u64,
    /// Failed openings, listings, renames and other changes of names.
    pub name_fails: u64,
}

impl Profile {
    /// A device that only loses what was not synced.
    pub const CALM: Profile = Profile {
        sync_failure: SyncFailure::CleanButLost,
        name_order: NameOrder::Posix,
        shorn_sectors: false,
        sync_fails: 0,
        directory_sync_fails: 0,
        write_fails: 0,
        write_short: 0,
        read_fails: 0,
        read_short: 0,
        name_fails: 0,
    };

    /// The device of a seed.
    #[must_use]
    pub fn chosen(choices: &mut Choices) -> Profile {
        let mut profile = Profile {
            name_order: [NameOrder::Posix, NameOrder::Journal][index(choices, "profile/names", 2)],
            shorn_sectors: choices.choice("profile/shorn", 2) == 1,
            // A short read is no fault: every file system may answer so.
            read_short: [0, 0, 200][index(choices, "profile/read_short", 3)],
            ..Profile::CALM
        };
        let failures = [SyncFailure::CleanButLost, SyncFailure::Reverted, SyncFailure::FalseAlarm];
        profile.sync_failure = failures[[0, 0, 1, 2][index(choices, "profile/sync_failure", 4)]];
        // Half of the seeds are about crashes alone; the other half has one or more kinds of failure.
        if choices.choice("profile/failures", 2) == 1 {
            profile.sync_fails = [0, 20, 100][index(choices, "profile/sync", 3)];
            profile.directory_sync_fails = [0, 20, 100][index(choices, "profile/directory_sync", 3)];
            profile.write_fails = [0, 10, 50][index(choices, "profile/write", 3)];
            profile.write_short = [0, 10, 50][index(choices, "profile/write_short", 3)];
            profile.read_fails = [0, 0, 10][index(choices, "profile/read", 3)];
            profile.name_fails = [0, 0, 20][index(choices, "profile/name", 3)];
        }
        profile
    }
}

fn index(choices: &mut Choices, label: &'static str, bound: u64) -> usize {
    usize::try_from(choices.choice(label, bound)).expect("a small bound")
}
