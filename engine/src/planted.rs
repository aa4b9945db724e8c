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
