//! Named mixtures of misfortune: which kinds a seed may draw from, and how it draws.
//!
//! Swarm style: a seed of a profile first draws which of the profile's kinds exist at all for it and how often each
//! strikes, so that some seeds know one kind alone and others many. What a seed draws for one kind disturbs no other.

use std::fmt;

use crate::choice::Choices;
use crate::disk::{FaultKind, FaultSet, NameOrder, Profile};
use crate::marks::{Mark, Marks};

/// A mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileName {
    /// Crashes alone, of both kinds and nested.
    Crashes,
    /// Syncs of files that fail.
    SyncFailures,
    /// Changes of names that fail or are lost.
    Names,
    /// A device that is nearly full now and then.
    Space,
    /// Reads that fail or give less.
    Reads,
    /// Writes that fail or take less, and interruptions.
    Writes,
    /// Durable bytes that change, and writes and reads that go astray.
    Damage,
    /// Syncs that succeed and are none.
    Lying,
    /// A wall clock that steps, and long stalls.
    Clock,
    /// Any of all that an engine can see through: everything but damage and lies.
    Swarm,
}

impl ProfileName {
    /// All of them.
    pub const ALL: &[ProfileName] = &[
        ProfileName::Crashes,
        ProfileName::SyncFailures,
        ProfileName::Names,
        ProfileName::Space,
        ProfileName::Reads,
        ProfileName::Writes,
        ProfileName::Damage,
        ProfileName::Lying,
        ProfileName::Clock,
        ProfileName::Swarm,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ProfileName::Crashes => "crashes",
            ProfileName::SyncFailures => "sync-failures",
            ProfileName::Names => "names",
            ProfileName::Space => "space",
            ProfileName::Reads => "reads",
            ProfileName::Writes => "writes",
            ProfileName::Damage => "damage",
            ProfileName::Lying => "lying",
            ProfileName::Clock => "clock",
            ProfileName::Swarm => "swarm",
        }
    }

    /// What it is about, in one sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            ProfileName::Crashes => "Crashes alone: processes die and power goes, also while recovering.",
            ProfileName::SyncFailures => "Syncs of files fail in one of four ways, and lost pages are evicted.",
            ProfileName::Names => "Changes of names and syncs of directories fail.",
            ProfileName::Space => "The device is nearly full now and then.",
            ProfileName::Reads => "Reads fail once or until rewritten, or give less than was asked.",
            ProfileName::Writes => "Writes fail, take less than they were given, or are interrupted.",
            ProfileName::Damage => {
                "Durable bytes turn, writes land elsewhere, reads give old content; other operations may fail openly."
            }
            ProfileName::Lying => "Syncs succeed and write nothing; other operations may fail openly.",
            ProfileName::Clock => "The wall clock steps both ways and nothing happens for hours.",
            ProfileName::Swarm => "Each seed draws from all kinds but damage and lies.",
        }
    }

    /// The mixture of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ProfileName> {
        ProfileName::ALL.iter().copied().find(|profile| profile.name() == name)
    }

    /// One of them for a seed that may be of any.
    pub(crate) fn chosen(choices: &mut Choices) -> ProfileName {
        use ProfileName as P;
        // Crashes and mixtures come most often; the tame answer is the plainest.
        let weighted = [
            (P::Crashes, 4),
            (P::SyncFailures, 3),
            (P::Names, 2),
            (P::Space, 2),
            (P::Reads, 1),
            (P::Writes, 1),
            (P::Damage, 2),
            (P::Lying, 1),
            (P::Clock, 1),
            (P::Swarm, 4),
        ];
        let mut drawn = choices.choice("profile/name", weighted.iter().map(|(_, weight)| weight).sum());
        for (profile, weight) in weighted {
            match drawn.checked_sub(weight) {
                Some(rest) => drawn = rest,
                None => return profile,
            }
        }
        unreachable!("what is drawn is below the sum of all weights")
    }

    /// Draws the device of a seed.
    pub(crate) fn device(self, choices: &mut Choices, without: FaultSet) -> Profile {
        use FaultKind as K;
        let mut device = Profile::CALM;
        device.without = without;
        device.name_order = [NameOrder::Posix, NameOrder::Journal][index(choices, "profile/order", 2)];
        // How a device loses power, and how it may answer reads, is its nature in every mixture.
        device.draw(choices, K::ShornSector, [0, 300]);
        device.draw(choices, K::StaleGarbage, [0, 1000]);
        device.draw(choices, K::ShortRead, [0, 0, 200]);
        device.draw(choices, K::NestedCrash, [0, 200, 500]);
        match self {
            ProfileName::Crashes => {}
            ProfileName::SyncFailures => {
                draw_sync_failures(&mut device, choices, [20, 100, 300]);
                device.draw(choices, K::Busy, [0, 0, 10]);
            }
            ProfileName::Names => {
                device.draw(choices, K::NameError, [0, 20, 60]);
                device.draw(choices, K::DirectorySyncError, [20, 100, 300]);
                device.draw(choices, K::Shortage, [0, 0, 10]);
                device.draw(choices, K::Denied, [0, 0, 20]);
                device.draw(choices, K::FolderGone, [0, 0, 10]);
                device.draw(choices, K::StartError, [0, 0, 100]);
            }
            ProfileName::Space => device.draw(choices, K::NoSpace, [300, 1000]),
            ProfileName::Reads => {
                device.draw(choices, K::ReadError, [10, 50]);
                device.draw(choices, K::StickyReadError, [0, 0, 2]);
                device.draw(choices, K::Shortage, [0, 0, 20]);
            }
            ProfileName::Writes => {
                device.draw(choices, K::WriteError, [0, 10, 50]);
                device.draw(choices, K::ShortWrite, [10, 50, 200]);
                device.draw(choices, K::Interrupted, [0, 10, 50]);
                device.draw(choices, K::Busy, [0, 10, 30]);
            }
            ProfileName::Damage => {
                device.draw(choices, K::BitFlip, [1, 1, 2, 5]);
                device.draw(choices, K::MisdirectedWrite, [0, 0, 0, 10]);
                device.draw(choices, K::StaleRead, [0, 0, 0, 10]);
                // No file is lost by itself: see CHECKS.md, what is known and not mended.
                draw_errors(&mut device, choices);
            }
            ProfileName::Lying => {
                let kinds = [K::LyingSync, K::LyingSync, K::SyncExt4Data];
                let kind = kinds[index(choices, "profile/lie", kinds.len() as u64)];
                device.draw(choices, kind, [20, 100, 500]);
                draw_errors(&mut device, choices);
            }
            ProfileName::Clock => {
                device.draw(choices, K::WallStep, [2, 20]);
                device.draw(choices, K::Stall, [1, 10]);
            }
            ProfileName::Swarm => {
                draw_sync_failures(&mut device, choices, [0, 20, 100]);
                device.draw(choices, K::NameError, [0, 0, 20]);
                device.draw(choices, K::DirectorySyncError, [0, 20, 100]);
                device.draw(choices, K::NoSpace, [0, 0, 300]);
                device.draw(choices, K::WriteError, [0, 10, 50]);
                device.draw(choices, K::ShortWrite, [0, 10, 50]);
                device.draw(choices, K::Interrupted, [0, 0, 20]);
                device.draw(choices, K::ReadError, [0, 0, 10]);
                device.draw(choices, K::StickyReadError, [0, 0, 0, 2]);
                device.draw(choices, K::WallStep, [0, 2]);
                device.draw(choices, K::Stall, [0, 1]);
                device.draw(choices, K::Busy, [0, 0, 10]);
                device.draw(choices, K::Shortage, [0, 0, 10]);
                device.draw(choices, K::Denied, [0, 0, 0, 10]);
                device.draw(choices, K::FolderGone, [0, 0, 0, 10]);
            }
        }
        device
    }

    /// The situations that enough seeds of this mixture must meet.
    #[must_use]
    pub fn required(self) -> Marks {
        use Mark as M;
        // Whatever else fails, every mixture lives through these.
        let mut marks: Marks = [
            M::Acknowledged,
            M::GroupCommitted,
            M::PendingRead,
            M::Rotated,
            M::SpareTaken,
            M::SpareRemoved,
            M::SegmentsMerged,
            M::CheckpointMade,
            M::LogTrimmed,
            M::OpenedFromTables,
            M::NextPromoted,
            M::TailDropped,
            M::TailKept,
            M::TailRewritten,
            M::MemoryRefused,
            M::ClosingStored,
            M::QueueFull,
            M::Settled,
            M::Probed,
            M::StoppedAmongFaults,
            M::ShutDown,
            M::ProcessDied,
            M::PowerLost,
            M::NestedCrash,
            M::NestedTwice,
            M::EverythingLost,
            M::EverythingKept,
            M::GarbageSurvived,
            M::NamesPosix,
            M::NamesJournal,
        ]
        .into_iter()
        .collect();
        let own: &[Mark] = match self {
            ProfileName::Crashes => &[M::ShornSurvived],
            ProfileName::Clock => &[],
            ProfileName::SyncFailures => &[
                M::SegmentAfterFailure,
                M::LatchedReadOnly,
                M::OutcomeUnknown,
                M::BatchGivenUp,
                M::EvictionSeen,
                M::SyncExt4Ordered,
                M::SyncBtrfs,
                M::SyncShutdown,
                M::SyncFalseAlarm,
            ],
            ProfileName::Names => &[M::LatchedReadOnly, M::CheckpointFailed],
            ProfileName::Space => {
                &[M::Endured, M::OpenedWithoutSpace, M::DiskFullRefused, M::SpaceReturned, M::SegmentAfterFailure]
            }
            ProfileName::Reads => &[M::ReadFailedAtOpening],
            ProfileName::Writes => &[M::SegmentAfterFailure, M::CheckpointFailed],
            ProfileName::Damage => &[M::DamageNamed, M::DamageUnnamed, M::DamageHarmless],
            ProfileName::Lying => &[M::CatalogRebuilt, M::LiarCaught, M::PrefixAfterLie, M::SyncExt4Data],
            ProfileName::Swarm => &[M::SegmentAfterFailure, M::OutcomeUnknown],
        };
        own.iter().for_each(|mark| marks.set(*mark));
        marks
    }

    /// The situations that enough seeds of all mixtures must meet.
    #[must_use]
    pub fn required_of_all() -> Marks {
        let mut marks = Marks::EMPTY;
        ProfileName::ALL.iter().for_each(|profile| marks.add(profile.required()));
        marks
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A device fails its syncs in one way.
fn draw_sync_failures(device: &mut Profile, choices: &mut Choices, rates: [u16; 3]) {
    use FaultKind as K;
    let kinds = [K::SyncExt4Ordered, K::SyncExt4Ordered, K::SyncBtrfs, K::SyncShutdown, K::SyncFalseAlarm];
    let kind = kinds[index(choices, "profile/sync_failure", kinds.len() as u64)];
    device.draw(choices, kind, rates);
    device.draw(choices, K::Eviction, [0, 5, 50]);
}

/// A device that damages or lies may fail openly too. Not its syncs, nor is it full, which fails them as well: what a damaged
/// log shows after a failed one is known not to hold.
fn draw_errors(device: &mut Profile, choices: &mut Choices) {
    use FaultKind as K;
    device.draw(choices, K::ReadError, [0, 0, 0, 10]);
    device.draw(choices, K::WriteError, [0, 0, 0, 20]);
    device.draw(choices, K::ShortWrite, [0, 0, 0, 20]);
    device.draw(choices, K::Interrupted, [0, 0, 0, 20]);
    device.draw(choices, K::NameError, [0, 0, 0, 20]);
    device.draw(choices, K::StartError, [0, 0, 100, 400]);
}

fn index(choices: &mut Choices, label: &'static str, bound: u64) -> usize {
    usize::try_from(choices.choice(label, bound)).expect("a small bound")
}
