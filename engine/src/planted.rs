//! Mistakes planted on purpose, so that the simulator can show that it would notice them.
//!
//! Each is one realistic slip, marked in the code by `planted!` where it is made. A build without
//! the feature `planted-bugs`, as every release is, contains none of them.

/// One mistake. At most one is active in a run.
#[cfg(feature = "planted-bugs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// A commit is acknowledged when it is written, before it is synced.
    AckBeforeSync,
    /// Readers see a commit when it is written, before it is synced.
    PublishBeforeSync,
    /// A new segment's names are never made durable.
    NoDirectorySyncAfterRotation,
    /// A failed sync is tried again on the same file and believed.
    RetryFailedSync,
    /// Transactions are written without their commit record.
    CommitRecordLeftOut,
    /// Replay applies operations whose commit record is missing.
    ReplayWithoutCommit,
    /// Opening takes what it could read for durable and does not write it again.
    TailNotRewritten,
    /// Opening goes on writing behind the bad record instead of before it.
    ResumeBehindBadRecord,
    /// A new segment takes the place of the old one before its header is durable.
    SealBeforeHeaderSync,
    /// The catalog is renamed into place and its directory never synced.
    CatalogWithoutDirectorySync,
    /// The catalog is renamed into place before its bytes are synced.
    CatalogWithoutSync,
    /// A short write is taken for a whole one.
    IgnoreShortWrite,
    /// A new database's folder is never made durable in its parent.
    FolderNotSynced,
    /// An answer that rests on a pending version does not wait for it.
    AnswerWithoutWaiting,
    /// A batch that was given up stays in memory.
    GivenUpStaysVisible,
    /// A batch's watermark covers the batch itself.
    WatermarkAhead,
    /// A written batch is taken for durable without a sync.
    SkipSync,
    /// Whoever waits is answered before readers see the batch.
    AnswerBeforePublish,
    /// What is published with a batch includes what gathered behind it.
    PublishNewest,
    /// A new segment has the epoch of the one before.
    RotationSameEpoch,
    /// The batch whose sync failed is not written into the new segment.
    TailNotWritten,
    /// After a rotation the log goes on as if the segment began where the old one did.
    StartLsnKept,
    /// Closing does not wait for what has gathered.
    CloseForgetsGathered,
    /// Whoever waited for a batch that was given up is told that it was written.
    UnknownToldAsWritten,
    /// A transaction that is refused leaves its first operations in memory.
    TransactionNotRolledBack,
    /// A transaction that is refused leaves its first operations in the batch.
    RefusedRecordsKept,
    /// A read does not see what the same request wrote before it.
    OwnWritesUnseen,
    /// Reads see what is not durable yet.
    ReadsSeePending,
    /// Whether a document exists is decided against the published state.
    ExistenceAgainstPublished,
    /// The active segment loses its name before the name of the next one is durable.
    NextNotSynced,
    /// A rotation that fails late removes the next segment though the old one has lost its name.
    UndoAfterSeal,
    /// A segment being prepared counts as part of the log while the active one has its name.
    NextCountedBesideActive,
    /// Opening removes segments that the new one does not hold.
    SupersededTooMany,
    /// A header that cannot be read just now is taken for none.
    HeaderReadErrorIsNone,
    /// Segments are replayed in the order of their names.
    SegmentsUnsorted,
    /// A read that gave less than it was asked for is taken for the end of the file.
    ShortReadEndsSegment,
    /// A read that failed is taken for the end of the file.
    ReadErrorEndsSegment,
    /// What a segment says beyond the start of a later one counts.
    LimitIgnored,
    /// A torn tail is taken for damage.
    TornTailIsDamage,
    /// Opening counts transactions from the beginning again.
    LastTxNotRestored,
    /// A new database's first segment is never synced.
    CreationFileNotSynced,
    /// The name of a new database's first segment is never made durable.
    CreationFolderNotSynced,
    /// A new database is used before a durable catalog names it.
    CreatedBeforeCatalog,
    /// A database's id is given to the next one too.
    IdUsedAgain,
    /// Whoever needs another catalog is told when the one being written is durable.
    CatalogWaitersTooSoon,
    /// The first who waited for an opening that failed is never answered.
    OpeningQueueLost,
}

#[cfg(feature = "planted-bugs")]
impl Bug {
    /// All of them.
    pub const ALL: &'static [Bug] = &[
        Bug::AckBeforeSync,
        Bug::PublishBeforeSync,
        Bug::NoDirectorySyncAfterRotation,
        Bug::RetryFailedSync,
        Bug::CommitRecordLeftOut,
        Bug::ReplayWithoutCommit,
        Bug::TailNotRewritten,
        Bug::ResumeBehindBadRecord,
        Bug::SealBeforeHeaderSync,
        Bug::CatalogWithoutDirectorySync,
        Bug::CatalogWithoutSync,
        Bug::IgnoreShortWrite,
        Bug::FolderNotSynced,
        Bug::AnswerWithoutWaiting,
        Bug::GivenUpStaysVisible,
        Bug::WatermarkAhead,
        Bug::SkipSync,
        Bug::AnswerBeforePublish,
        Bug::PublishNewest,
        Bug::RotationSameEpoch,
        Bug::TailNotWritten,
        Bug::StartLsnKept,
        Bug::CloseForgetsGathered,
        Bug::UnknownToldAsWritten,
        Bug::TransactionNotRolledBack,
        Bug::RefusedRecordsKept,
        Bug::OwnWritesUnseen,
        Bug::ReadsSeePending,
        Bug::ExistenceAgainstPublished,
        Bug::NextNotSynced,
        Bug::UndoAfterSeal,
        Bug::NextCountedBesideActive,
        Bug::SupersededTooMany,
        Bug::HeaderReadErrorIsNone,
        Bug::SegmentsUnsorted,
        Bug::ShortReadEndsSegment,
        Bug::ReadErrorEndsSegment,
        Bug::LimitIgnored,
        Bug::TornTailIsDamage,
        Bug::LastTxNotRestored,
        Bug::CreationFileNotSynced,
        Bug::CreationFolderNotSynced,
        Bug::CreatedBeforeCatalog,
        Bug::IdUsedAgain,
        Bug::CatalogWaitersTooSoon,
        Bug::OpeningQueueLost,
    ];
}

/// Whether a mistake is active; `false`, and no code at all, without the feature.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($options:expr, $bug:ident) => {
        $options.planted == Some($crate::planted::Bug::$bug)
    };
}

#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($options:expr, $bug:ident) => {{
        let _ = &$options;
        false
    }};
}

pub(crate) use planted;
