//! Every kind of misfortune that the simulated world knows: a closed list, its names, and sets and counts of it.
//!
//! Each kind draws its choices from a stream of its own, so that switching one off leaves the others where they were.

use std::fmt;

macro_rules! faults {
    ($($(#[$comment:meta])* $kind:ident $name:literal $sentence:literal;)*) => {
        /// One kind of misfortune. Each is counted when it strikes, not when it might have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind {
            $(#[doc = $sentence] $kind,)*
        }

        impl FaultKind {
            /// All kinds, in the order of their declaration.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind,)*];

            /// Its name on the command line and in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(FaultKind::$kind => $name,)* }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(FaultKind::$kind => $sentence,)* }
            }

            /// The label of the choice whether it strikes.
            pub(crate) const fn strikes(self) -> &'static str {
                match self { $(FaultKind::$kind => concat!($name, "/strikes"),)* }
            }

            /// The label of the choice how often it strikes.
            pub(crate) const fn often(self) -> &'static str {
                match self { $(FaultKind::$kind => concat!($name, "/often"),)* }
            }

            /// The label of the choice what it does.
            pub(crate) const fn what(self) -> &'static str {
                match self { $(FaultKind::$kind => concat!($name, "/what"),)* }
            }
        }
    };
}

faults! {
    ProcessCrash "process-crash" "The process dies: the cache survives, operations in flight are undone, done, or done in part.";
    PowerCrash "power-crash" "Power goes: only what was synced is certain.";
    NestedCrash "nested-crash" "A crash while the databases are still being opened after another.";
    TotalLoss "total-loss" "Of all that was not synced nothing survives a power loss.";
    SectorLost "sector-lost" "A sector goes back to an earlier content at a power loss.";
    SizeLost "size-lost" "A file goes back to an earlier length at a power loss, whatever became of its data.";
    NamesLost "names-lost" "A change of names that was not synced is gone after a power loss.";
    ShornSector "shorn-sector" "The newest content of a sector is torn by a power loss: a new beginning and an old end.";
    StaleGarbage "stale-garbage" "Space that a file got and whose data was lost reads as what the device held before, not as zeros.";
    TornInFlight "torn-in-flight" "A write that was in flight at a crash is done up to some sector.";
    SyncExt4Ordered "sync-ext4-ordered" "A sync fails; what it did not write is clean, shown by the cache, and never written by a later sync.";
    SyncExt4Data "sync-ext4-data" "A sync succeeds without writing; the next one fails once and writes nothing.";
    SyncBtrfs "sync-btrfs" "A sync fails, and the cache goes back to the old content and length.";
    SyncShutdown "sync-shutdown" "A sync fails, and every change fails from then on, until the machine starts again.";
    SyncFalseAlarm "sync-false-alarm" "A sync fails although everything is durable.";
    Eviction "eviction" "A page whose write failed leaves the cache, which shows the old content from then on.";
    DirectorySyncError "directory-sync-error" "A sync of a directory fails; its changes are durable, stay pending, or are lost to any later sync.";
    LyingSync "lying-sync" "A sync succeeds, and what it covered is never written.";
    NoSpace "no-space" "The device is full: for growth, and near that for new names, renames and syncs too; space may return.";
    WriteError "write-error" "A write or an allocation fails, and may have written a part.";
    ShortWrite "short-write" "A write takes less than it was given; which of the rest arrived is unknown.";
    MisdirectedWrite "misdirected-write" "A write succeeds, and lands at another place of the same alignment.";
    ReadError "read-error" "A read fails once.";
    StickyReadError "sticky-read-error" "A sector cannot be read until it is written again.";
    ShortRead "short-read" "A read gives less than it was asked for, as every file system may.";
    StaleRead "stale-read" "A read gives what a sector held before it was last written.";
    BitFlip "bit-flip" "A bit of durable data turns.";
    NameError "name-error" "Opening, listing, making, renaming or removing something fails and changes nothing.";
    Interrupted "interrupted" "An operation is refused for now, for want of something that comes back.";
    Busy "busy" "Operations are refused for now, one after the other, for a while that may outlast every retry.";
    Shortage "shortage" "For a while nothing is opened, made or listed, for want of descriptors or memory.";
    FileLost "file-lost" "A durable file, or the folder of a database with all in it, is gone after a crash.";
    FolderGone "folder-gone" "The folder of an open database is moved away or replaced: its syncs fail until it is looked up anew.";
    Denied "denied" "A name is refused for want of permission.";
    StartError "start-error" "What a start looks at in the databases' folders cannot be opened, listed or read just now.";
    WallStep "wall-step" "Somebody sets the wall clock, forwards or back.";
    Stall "stall" "Nothing happens for a long time.";
}

impl FaultKind {
    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What a failed sync may do; a device knows one of these.
    pub const SYNC_FAILURES: &[FaultKind] = &[
        FaultKind::SyncExt4Ordered,
        FaultKind::SyncExt4Data,
        FaultKind::SyncBtrfs,
        FaultKind::SyncShutdown,
        FaultKind::SyncFalseAlarm,
    ];

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// How many kinds there are.
pub(crate) const KINDS: usize = FaultKind::ALL.len();
const _: () = assert!(KINDS <= 64, "a set of them fits into 64 bits");

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Some kinds of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultSet(u64);

impl FaultSet {
    /// None.
    pub const EMPTY: FaultSet = FaultSet(0);

    /// This kind as well.
    #[must_use]
    pub const fn with(self, kind: FaultKind) -> FaultSet {
        FaultSet(self.0 | kind.bit())
    }

    /// Whether this kind is among them.
    #[must_use]
    pub const fn contains(self, kind: FaultKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The kinds, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL.iter().copied().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<FaultKind> for FaultSet {
    fn from_iter<I: IntoIterator<Item = FaultKind>>(kinds: I) -> FaultSet {
        kinds.into_iter().fold(FaultSet::EMPTY, FaultSet::with)
    }
}

/// How often each kind struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCounts([u64; KINDS]);

impl Default for FaultCounts {
    fn default() -> FaultCounts {
        FaultCounts([0; KINDS])
    }
}

impl FaultCounts {
    /// How often this kind struck.
    #[must_use]
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.0[kind as usize]
    }

    /// It struck once more.
    pub fn count(&mut self, kind: FaultKind) {
        self.0[kind as usize] += 1;
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &FaultCounts) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// Every kind with its count, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        FaultKind::ALL.iter().map(|kind| (*kind, self.of(*kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_place_of_its_own() {
        let mut all = FaultSet::EMPTY;
        for (index, kind) in FaultKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            assert_eq!(FaultKind::from_name(kind.name()), Some(*kind));
            assert!(!all.contains(*kind));
            all = all.with(*kind);
        }
        assert_eq!(all.iter().count(), FaultKind::ALL.len());
    }
}
