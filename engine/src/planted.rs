//! Mistakes planted on purpose, so that the simulator can show that it would notice them.
//!
//! Each is one realistic slip, marked in the code by `planted!` where it is made. A build without
//! the feature `planted-bugs`, as every release is, contains none of them.
//!
//! Which mistake is active is a setting of the thread: the engine sets it from its options whenever it is
//! entered, so no function of the engine takes an argument for the sake of mistakes alone.

/// Makes the enum and what is told about its members from one list.
#[cfg(feature = "planted-bugs")]
macro_rules! bugs {
    ($($area:ident { $(#[doc = $what:literal] $bug:ident,)+ })+) => {
        /// One mistake. At most one is active in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $what] $bug,)+)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Bug] = &[$($(Bug::$bug,)+)+];

            /// Its name, which is how it is marked in the code.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $($(Bug::$bug => stringify!($bug),)+)+
                }
            }

            /// What is done wrong, in one sentence.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $($(Bug::$bug => $what.trim_ascii(),)+)+
                }
            }

            /// The part of the engine's work that it is a mistake in.
            #[must_use]
            pub fn area(self) -> &'static str {
                match self {
                    $($(Bug::$bug => stringify!($area),)+)+
                }
            }
        }
    };
}

#[cfg(feature = "planted-bugs")]
bugs! {
    Commit {
        /// A commit is acknowledged when it is written, before it is synced.
        AckBeforeSync,
        /// Readers see a commit when it is written, before it is synced.
        PublishBeforeSync,
        /// A written batch is taken for durable without a sync.
        SkipSync,
        /// A batch that waits for more requests does not ask to be woken when its time has passed.
        GatherNeverEnds,
        /// Whoever waits is answered before readers see the batch.
        AnswerBeforePublish,
        /// What is published with a batch includes what gathered behind it.
        PublishNewest,
        /// An answer that rests on a pending version does not wait for it.
        AnswerWithoutWaiting,
        /// A batch's watermark covers the batch itself.
        WatermarkAhead,
        /// Closing does not wait for what has gathered.
        CloseForgetsGathered,
        /// A transaction that is refused leaves its first operations in memory.
        TransactionNotRolledBack,
        /// A transaction that is refused leaves its first operations in the batch.
        RefusedRecordsKept,
        /// Reads of a request that writes see the published state, not the one that its writes are decided against.
        TransactionReadsPublished,
        /// An answer is given at once although a read of it saw what is not durable yet.
        PendingReadNotAwaited,
        /// Reads see what is not durable yet.
        ReadsSeePending,
        /// A refused transaction does not wait for what it would have overwritten.
        EarlierWritesNotAwaited,
        /// Whether a document exists is decided against the published state.
        ExistenceAgainstPublished,
        /// A batch behind which another one gathers is never published.
        FullBatchNotFrozen,
    }
    LogCodec {
        /// Transactions are written without their commit record.
        CommitRecordLeftOut,
        /// Replay applies operations whose commit record is missing.
        ReplayWithoutCommit,
        /// The next batch is looked for right behind the last record, not on the next sector.
        PaddingNotSkipped,
        /// A document's number is read as one of 32 bits.
        DocumentNumberTruncated,
        /// Replay passes deletions over.
        DeleteNotReplayed,
        /// Replay passes new collections over.
        CollectionNotReplayed,
    }
    Rotation {
        /// A new segment's names are never made durable.
        NoDirectorySyncAfterRotation,
        /// A new segment takes the place of the old one before its header is durable.
        SealBeforeHeaderSync,
        /// A new segment has the epoch of the one before.
        RotationSameEpoch,
        /// Segments are numbered on from those that are there, whatever earlier processes tried.
        StartsNotCounted,
        /// After a rotation the log goes on as if the segment began where the old one did.
        StartLsnKept,
        /// The active segment loses its name before the name of the next one is durable.
        NextNotSynced,
        /// A rotation that fails late removes the next segment though the old one has lost its name.
        UndoAfterSeal,
        /// A spare that was taken counts as there still.
        SpareTakenTwice,
        /// The segment before stays the one that is written.
        OldSegmentWritten,
        /// Whether a batch fits is asked without its proof.
        ProofRoomForgotten,
        /// A segment that an opening makes has no room for the proof of what it takes over.
        MergedProofRoomForgotten,
        /// What a spare that failed had made is left where it is.
        FailedSpareKept,
        /// A failed sync of a spare is passed over.
        SpareSyncErrorIgnored,
        /// A spare that nobody needs any more is closed, and its name kept.
        SpareKeptAtClosing,
        /// On a full disk a segment is tried without end that cannot be smaller.
        SmallerWithoutEnd,
    }
    Opening {
        /// Opening takes what it could read for durable and does not write it again.
        TailNotRewritten,
        /// Opening goes on writing behind the bad record instead of before it.
        ResumeBehindBadRecord,
        /// A segment being prepared counts as part of the log while the active one has its name.
        NextCountedBesideActive,
        /// A segment being prepared is no part of the log even when the active one has lost its name.
        NextNeverCounted,
        /// Opening removes segments that the new one does not hold.
        SupersededTooMany,
        /// A header that cannot be read just now is taken for none.
        HeaderReadErrorIsNone,
        /// Segments are replayed in the order of their names.
        SegmentsUnsorted,
        /// A read that gave less than it was asked for is taken for the end of the file.
        ShortReadEndsSegment,
        /// A record that goes on in the next slice is taken for a torn one.
        SliceLosesBatch,
        /// A read that failed is taken for the end of the file.
        ReadErrorEndsSegment,
        /// What a segment says beyond the start of a later one counts.
        LimitIgnored,
        /// A torn tail is taken for damage.
        TornTailIsDamage,
        /// Opening counts transactions from the beginning again.
        LastTxNotRestored,
        /// The new segment begins behind what it holds.
        OpeningEndTooEarly,
        /// Of a damaged log the first segment is synced before it is shown, not the last.
        FirstDamagedSynced,
        /// Segments that say nothing to any reader are never removed.
        SupersededKept,
        /// The first who waited for an opening that failed is never answered.
        OpeningQueueLost,
    }
    SyncFailure {
        /// A failed sync is tried again on the same file and believed.
        RetryFailedSync,
        /// A short write is taken for a whole one.
        IgnoreShortWrite,
        /// A batch that was given up stays in memory.
        GivenUpStaysVisible,
        /// The batch whose sync failed is not written into the new segment.
        TailNotWritten,
        /// A new segment vouches for the batch whose sync failed in the old one.
        FailedBatchVouchedFor,
        /// A new segment that failed after names changed is begun again.
        LateFailureRetried,
        /// A failed sync of a new segment is passed over.
        SegmentSyncErrorIgnored,
        /// A failed sync of the catalog is passed over.
        CatalogSyncErrorIgnored,
        /// A failed sync of the catalog's journal is tried again on the same file and believed.
        ChangeSyncRetried,
        /// The catalog's journal goes on behind a change whose write or sync failed.
        JournalGoesOn,
        /// A failed sync of a new database's names is passed over.
        CreationSyncErrorIgnored,
    }
    Names {
        /// The catalog is renamed into place and its directory never synced.
        CatalogWithoutDirectorySync,
        /// The catalog is renamed into place before its bytes are synced.
        CatalogWithoutSync,
        /// A new database's folder is never made durable in its parent.
        FolderNotSynced,
        /// A new database's first segment is never synced.
        CreationFileNotSynced,
        /// The name of a new database's first segment is never made durable.
        CreationFolderNotSynced,
        /// A new database is used before a durable catalog names it.
        CreatedBeforeCatalog,
        /// A database's id is given to the next one too.
        IdUsedAgain,
        /// A change in the catalog's journal is told before it is synced.
        ChangeNotSynced,
        /// Whoever needs another catalog is told when the one being written is durable.
        CatalogWaitersTooSoon,
        /// The bound for the documents in memory is not kept.
        MemoryLimitIgnored,
        /// An opening takes all the memory that it wants.
        OpeningIgnoresMemory,
        /// The id that a collection of the log has is given to the next one too.
        CollectionIdUsedAgain,
        /// What readers keep in memory is not counted.
        PinnedForgotten,
        /// What readers kept in memory once counts for ever.
        PinnedNeverGivenBack,
        /// A node of the map that is split loses an entry.
        SplitLosesEntry,
        /// Two nodes of the map that are joined lose an entry.
        MergeLosesEntry,
        /// The room that a deleted document took is not given back.
        MemoryNotGivenBack,
        /// The room that a database took is not given back when it is closed.
        ClosedMemoryKept,
        /// A folder that the catalog does not name is not asked for its id.
        UnnamedFolderNotAsked,
        /// A catalog that can be read is taken for durable.
        ReadCatalogIsDurable,
        /// The folder that a creation left behind is used by the next one.
        LeftoverFolderUsed,
        /// The folder of the databases that an earlier start made is used, though no catalog vouches for it.
        LeftoverRootUsed,
        /// The folder that a creation left behind makes every later one fail.
        LeftoverFolderRefused,
        /// A spare that a new segment failed to take is left where it is.
        SpareLeftBehind,
    }
    Errors {
        /// A database that no catalog came to name is left open by a shutdown, which never ends.
        UnsettledNeverCloses,
        /// Whoever waited for a batch that was given up is told that it was written.
        UnknownToldAsWritten,
        /// Whoever waited for a batch that was given up is told that it was refused.
        UnknownToldAsRefused,
        /// A catalog that could not be written is told as written.
        CatalogFailureIgnored,
        /// A database that latched goes on taking writes.
        LatchForgotten,
        /// The deletion of a document that does not exist succeeds.
        DeleteOfMissingSucceeds,
        /// The creation of a document that exists is told as not found.
        ExistsToldAsNotFound,
        /// A full disk is told as a failed write.
        FullDiskToldAsFailedWrite,
        /// An opening that finds no space shows what may be gone after the next crash.
        UnprovenShownWithoutSpace,
        /// A failed sync is told as a full disk.
        FailedSyncToldAsFullDisk,
        /// A read that failed is told as damage.
        ReadErrorToldAsDamage,
        /// A database whose log failed is not closed while space is short.
        SpoiledNeverCloses,
        /// What passes by itself is waited for without end.
        BackoffWithoutEnd,
        /// What is on its way to the log counts as durable while a new segment is made, or waited for.
        NewestForgotten,
        /// A proof that found no space is tried again without a pause.
        ProofRetriedAtOnce,
        /// Behind a creation that failed no other one begins.
        CreationsEndAtFailure,
        /// A database that was visited at its time is not visited at a later one.
        LaterTimeForgotten,
        /// A collection of which only withheld documents tell is listed.
        WithheldCollectionListed,
    }
    Damage {
        /// The checksum of a record's header is not compared.
        RecordChecksumIgnored,
        /// The checksum of a document is not compared.
        PayloadChecksumIgnored,
        /// The checksum of a batch's header is not compared.
        BatchChecksumIgnored,
        /// The watermarks of batches prove nothing.
        WatermarkIgnored,
        /// The end stored at the last closing proves nothing.
        StoredEndIgnored,
        /// A batch repeats the first one for ever.
        RepetitionKept,
        /// The first batch of a segment repeats nothing.
        RepetitionForgotten,
        /// The first batch after an opening repeats the last proof rather than the last batch with operations.
        ProofRepeated,
        /// Only the first copy of a segment's header is looked at.
        SecondHeaderCopyIgnored,
        /// Only the first copy of the catalog is looked at.
        SecondCatalogCopyIgnored,
        /// Only the first copy of a change in the catalog's journal is looked at.
        SecondChangeCopyIgnored,
        /// A damaged document answers what it was before.
        NamedDamageKeepsOld,
        /// Where a part of the log is lost, older versions go on answering.
        LostPartKeepsOld,
        /// A database that is damaged is opened for writing.
        DamageStaysWritable,
        /// A damaged document is told as not found.
        DamagedToldAsMissing,
        /// A scan ends well where a part of the log is lost.
        HoleEndsScanWell,
    }
    Lies {
        /// What batches and records say of where they stand is not compared.
        PlaceNotCompared,
        /// A batch of which a part is missing is taken for whole.
        TornBatchIsWhole,
    }
}

#[cfg(feature = "planted-bugs")]
std::thread_local! {
    #[expect(clippy::disallowed_types, reason = "which mistake this thread's run has is no state of an engine")]
    static ACTIVE: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// From now on this thread's engine makes this mistake.
#[cfg(feature = "planted-bugs")]
pub(crate) fn plant(bug: Option<Bug>) {
    ACTIVE.set(bug);
}

/// Whether this thread's engine makes a mistake.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(bug: Bug) -> bool {
    ACTIVE.get() == Some(bug)
}

/// Whether a mistake is active; `false`, and no code at all, without the feature.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_planted($crate::planted::Bug::$bug)
    };
}

#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

pub(crate) use planted;
