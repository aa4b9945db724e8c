//! Situations that must have occurred, so that no check passes by doing nothing.
//!
//! A mark is set from what can be seen from outside: operations of the disk, answers, views, alerts, crashes. A range of
//! seeds in which a required mark was never set has shown nothing about that situation, however well it went.

use std::fmt;

macro_rules! marks {
    ($($mark:ident $name:literal $sentence:literal;)*) => {
        /// One situation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mark {
            $(#[doc = $sentence] $mark,)*
        }

        impl Mark {
            /// All of them, in the order of their declaration.
            pub const ALL: &[Mark] = &[$(Mark::$mark,)*];

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Mark::$mark => $name,)* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Mark::$mark => $sentence,)* }
            }
        }
    };
}

marks! {
    Acknowledged "acknowledged" "A write was acknowledged.";
    GroupCommitted "group-committed" "One sync made the writes of several requests durable.";
    Rotated "rotated" "An open database went on in a new segment without a failure.";
    SegmentAfterFailure "segment-after-failure" "An open database went on in a new segment after a failed write or sync.";
    SpareTaken "spare-taken" "A new segment was made of a spare.";
    SpareRemoved "spare-removed" "A spare that nobody needed was removed.";
    SegmentsMerged "segments-merged" "An opening wrote small segments again as one and removed them.";
    CheckpointMade "checkpoint-made" "A manifest named the tables of a checkpoint.";
    CheckpointFailed "checkpoint-failed" "A checkpoint failed, and the log grew on.";
    LogTrimmed "log-trimmed" "A segment was removed because a checkpoint has what it holds.";
    OpenedFromTables "opened-from-tables" "An opening read the tables of a checkpoint.";
    NextPromoted "next-promoted" "An opening finished the renames that a crash had cut short.";
    TailDropped "tail-dropped" "A recovery ended before something that had been submitted and not acknowledged.";
    TailKept "tail-kept" "A recovery kept something that had not been acknowledged.";
    TailRewritten "tail-rewritten" "An opening wrote again what it could read and what nothing proved.";
    LatchedReadOnly "latched-read-only" "A database took no more writes.";
    OutcomeUnknown "outcome-unknown" "A client was told that the outcome of its write is unknown.";
    BatchGivenUp "batch-given-up" "Writes behind a failed batch were refused.";
    AnswerDecidedAgain "answer-decided-again" "An answer that rested on a batch given up was decided again.";
    OpenedWithoutSpace "opened-without-space" "A database was opened for reading, because there was no space to go on writing.";
    PendingRead "pending-read" "A transaction that writes had read a document that was not published when it was asked.";
    DiskFullRefused "disk-full-refused" "A write was refused because the device is full.";
    MemoryRefused "memory-refused" "A write was refused because the memory allowed is full.";
    QueueFull "queue-full" "A request was refused because as many wait as may.";
    SpaceReturned "space-returned" "A write was accepted by a process that had refused one for want of space.";
    CatalogRebuilt "catalog-rebuilt" "The catalog was rebuilt from the databases' folders.";
    DamageNamed "damage-named" "Damage was reported by the documents it concerns.";
    DamageUnnamed "damage-unnamed" "Damage was reported that names a part of the log and no documents.";
    DamageHarmless "damage-harmless" "Durable bytes were damaged, and a recovery lost nothing.";
    LiarCaught "liar-caught" "A disk that lied was answered with an explicit error.";
    PrefixAfterLie "prefix-after-lie" "A disk that lied lost acknowledged writes, and what was recovered is a prefix.";
    ClosingStored "closing-stored" "A database was closed, and the end of its log stored.";
    Settled "settled" "A process that had met faults went on when they stopped, and everything was well again.";
    Probed "probed" "A bit turned in a copy of what a power loss had left, and the copy was opened.";
    Endured "endured" "Something went on lacking, and everybody was answered all the same.";
    StoppedAmongFaults "stopped-among-faults" "A shutdown ended while faults went on.";
    ShutDown "shut-down" "The engine shut down as it was asked to.";
    ProcessDied "process-died" "A process died with operations in flight.";
    PowerLost "power-lost" "Power went with something unsynced.";
    NestedCrash "nested-crash" "A recovery was cut short by another crash.";
    NestedTwice "nested-twice" "The recovery from a nested crash was cut short again.";
    EverythingLost "everything-lost" "A power loss took everything that was not synced.";
    EverythingKept "everything-kept" "A power loss took nothing.";
    ShornSurvived "shorn-survived" "A database was opened after a sector of its log was torn.";
    GarbageSurvived "garbage-survived" "A database was opened after stale garbage appeared in a file.";
    EvictionSeen "eviction-seen" "A page whose write had failed went back to its old content.";
    ReadFailedAtOpening "read-failed-at-opening" "An opening failed because a read did, and a later one went well.";
    SyncExt4Ordered "sync-ext4-ordered" "A sync failed as ext4 in ordered mode and xfs let it.";
    SyncExt4Data "sync-ext4-data" "A sync succeeded without writing, as ext4 in data mode lets it.";
    SyncBtrfs "sync-btrfs" "A sync failed as btrfs lets it.";
    SyncShutdown "sync-shutdown" "A sync failed and the file system shut down.";
    SyncFalseAlarm "sync-false-alarm" "A sync failed although everything was durable.";
    NamesPosix "names-posix" "A power loss kept some of the pending changes of names, in the order of each name alone.";
    NamesJournal "names-journal" "A power loss kept a prefix of the pending changes of names, and not all.";
}

const MARKS: usize = Mark::ALL.len();
const _: () = assert!(MARKS <= 64, "a set of them fits into 64 bits");

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The situations that occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// None.
    pub const EMPTY: Marks = Marks(0);

    /// It occurred.
    pub fn set(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u64;
    }

    /// Whether it occurred.
    #[must_use]
    pub const fn contains(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u64) != 0
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: Marks) {
        self.0 |= other.0;
    }

    /// How many occurred.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Those that occurred, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.iter().copied().filter(move |mark| self.contains(*mark))
    }

    /// Those of `required` that did not occur.
    #[must_use]
    pub fn missing(self, required: Marks) -> Marks {
        Marks(required.0 & !self.0)
    }
}

impl FromIterator<Mark> for Marks {
    fn from_iter<I: IntoIterator<Item = Mark>>(marks: I) -> Marks {
        let mut set = Marks::EMPTY;
        marks.into_iter().for_each(|mark| set.set(mark));
        set
    }
}
