//! The seam between the engine and storage: what it may ask of a disk, and what a disk may answer.
//!
//! The simulated disk and the real one both keep this contract, and a test compares them:
//!
//! - [`Disk::submit`] never blocks. Operations complete in any order.
//! - The submitter keeps operations that overlap on one range of one file from being in flight
//!   together, and does not close a file while another operation on it is in flight.
//! - A sync covers exactly the writes and allocations of its file whose completions were delivered
//!   (returned by [`Disk::poll`]) before it was submitted.
//! - Names change at once for every later operation, and durably only by [`DiskOp::SyncDirectory`]
//!   of their directory. Syncing a file does not make its name durable.
//! - Buffers do not change between submit and completion.
//! - A crash drops every completion that was not delivered; open files are gone.
//!
//! Paths are relative to the data directory, which is the empty path; their parts are separated by
//! `/`. The engine chooses file ids and never uses one for a second opening.

use std::fmt;
use std::sync::Arc;

use crate::buffer::Buffer;

/// The unit in which a disk may lose or keep bytes, and at which batches of the log start.
pub const SECTOR_BYTES: usize = 512;

/// Names an operation in flight. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Names an open file. Chosen by the engine, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// A path relative to the data directory; empty for the data directory itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskPath(Arc<str>);

impl DiskPath {
    /// The data directory itself.
    #[must_use]
    pub fn root() -> DiskPath {
        DiskPath("".into())
    }

    /// The entry `name` of this directory. The name is one part of a path: not empty, `.` or `..`,
    /// without `/` or NUL.
    ///
    /// # Panics
    /// When the name is not one part of a path: names from clients are parsed long before.
    #[must_use]
    pub fn join(&self, name: &str) -> DiskPath {
        let is_part = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        assert!(is_part, "{name:?} is one part of a path");
        if self.0.is_empty() { DiskPath(name.into()) } else { DiskPath(format!("{}/{name}", self.0).into()) }
    }

    /// The directory this entry is in; `None` for the data directory.
    #[must_use]
    pub fn parent(&self) -> Option<DiskPath> {
        if self.0.is_empty() {
            return None;
        }
        Some(DiskPath(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).into()))
    }

    /// The last part; empty for the data directory.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The whole path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DiskPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", &*self.0)
    }
}

impl fmt::Display for DiskPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How [`DiskOp::Open`] opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenMode {
    /// The file exists and is only read.
    Read,
    /// The file exists and may be written.
    Write,
    /// The file must not exist; it is made, empty, and may be written.
    CreateNew,
}

/// Everything the engine can ask of a disk. A closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskOp {
    /// Opens a file under an id of the engine's choice. Answers [`DiskReply::Done`].
    Open {
        /// The id that names the open file from now on.
        file: FileId,
        /// Where it is.
        path: DiskPath,
        /// Whether it is read, written or made.
        mode: OpenMode,
    },
    /// Forgets an open file. Promises nothing about its bytes. Answers [`DiskReply::Done`].
    Close {
        /// The open file.
        file: FileId,
    },
    /// Makes a directory; `Exists` when there is one. Answers [`DiskReply::Done`].
    MakeDirectory {
        /// Where.
        path: DiskPath,
    },
    /// Reads up to `bytes` bytes. Answers [`DiskReply::Data`]: at least one byte, and possibly fewer than asked,
    /// before the end of the file; none at or behind it.
    Read {
        /// The open file.
        file: FileId,
        /// The first byte.
        offset: u64,
        /// How many at most; not zero.
        bytes: u32,
        /// Whether it is one of many that follow one another: then it is never complete within [`Disk::submit`], where
        /// one would lead to the next and nobody else had a turn, and it does not stand before other operations.
        bulk: bool,
    },
    /// Writes buffers one behind the other, growing the file where needed; a gap reads as zeros.
    /// Answers [`DiskReply::Written`] with how many bytes were taken: fewer is a short write, and
    /// which of the rest arrived is unknown.
    Write {
        /// The open file.
        file: FileId,
        /// Where the first byte goes.
        offset: u64,
        /// The bytes, in order.
        buffers: Vec<Buffer>,
    },
    /// Fills a range with zeros, with space taken for it, growing the file where needed. Answers [`DiskReply::Done`].
    Allocate {
        /// The open file.
        file: FileId,
        /// The first byte.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Answers [`DiskReply::Length`].
    Length {
        /// The open file.
        file: FileId,
    },
    /// Makes the file's bytes and length durable, not its name. Answers [`DiskReply::Done`].
    Sync {
        /// The open file.
        file: FileId,
    },
    /// Lists a directory by name, bytewise. Answers [`DiskReply::Names`] with at most `limit` names greater than `after`.
    List {
        /// The directory.
        path: DiskPath,
        /// Continue behind this name; empty to begin.
        after: Arc<str>,
        /// How many at most; fewer means the end.
        limit: u32,
    },
    /// Renames a file or directory atomically; says nothing about its bytes. Answers [`DiskReply::Done`].
    Rename {
        /// The old name.
        from: DiskPath,
        /// The new name.
        to: DiskPath,
        /// Whether a file of the new name may be replaced; otherwise `Exists`.
        replace: bool,
    },
    /// Gives a file a second name; `Exists` when the name is taken. Answers [`DiskReply::Done`].
    Link {
        /// A name it has.
        from: DiskPath,
        /// The name it gets.
        to: DiskPath,
    },
    /// Removes the name of a file, or of a directory without names in it (else `Exists`). Open files stay
    /// usable. Answers [`DiskReply::Done`].
    Unlink {
        /// The name.
        path: DiskPath,
    },
    /// Makes the names in a directory durable, as they were when this was submitted. Answers [`DiskReply::Done`].
    SyncDirectory {
        /// The directory.
        path: DiskPath,
    },
    /// Answers [`DiskReply::Space`].
    FreeSpace,
}

/// What a successful operation answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskReply {
    /// It is done.
    Done,
    /// The bytes read; none at the end of the file.
    Data(Buffer),
    /// How many bytes were taken.
    Written(u64),
    /// The file's length in bytes.
    Length(u64),
    /// Names in a directory, sorted bytewise. Names that are not UTF-8 are left out: DocDB gives none.
    Names(Vec<Arc<str>>),
    /// Bytes free for this user.
    Space(u64),
}

/// Why an operation failed: the kinds on which the engine acts differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// The name is taken.
    Exists,
    /// No space, or the quota is used up.
    NoSpace,
    /// Not allowed, or the file system is mounted read-only.
    Permission,
    /// A busy device, a time-out: the same again may succeed.
    Transient,
    /// The process or the machine has no descriptor or no memory left for it. Nothing was begun, and nothing is wrong
    /// with the disk: what has not been written yet can be refused and leaves no doubt.
    Shortage,
    /// The path of the data directory, or of a database's folder, names another directory by now, or none: what is written is
    /// lost to everybody.
    Gone,
    /// The device failed, or anything else.
    Io,
}

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What the engine acts on.
    pub kind: DiskErrorKind,
    /// The operating system's error number, for people; zero when there is none.
    pub os_code: i32,
}

impl DiskError {
    /// An error without a number of the operating system's.
    #[must_use]
    pub const fn new(kind: DiskErrorKind) -> DiskError {
        DiskError { kind, os_code: 0 }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.kind {
            DiskErrorKind::NotFound => "not found",
            DiskErrorKind::Exists => "exists already",
            DiskErrorKind::NoSpace => "no space left",
            DiskErrorKind::Permission => "permission denied",
            DiskErrorKind::Transient => "temporarily unavailable",
            DiskErrorKind::Shortage => "too few descriptors or too little memory",
            DiskErrorKind::Gone => "the data directory, or the folder that the file is in, was removed or replaced",
            DiskErrorKind::Io => "input/output error",
        };
        if self.os_code == 0 {
            formatter.write_str(text)
        } else {
            write!(formatter, "{text} (os error {})", self.os_code)
        }
    }
}

/// A finished operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which.
    pub id: OpId,
    /// How it ended.
    pub result: Result<DiskReply, DiskError>,
}

/// A disk. See the module's contract.
pub trait Disk {
    /// Takes an operation and returns at once. It may already be complete when this returns.
    fn submit(&mut self, id: OpId, op: DiskOp);
    /// Delivers one completion, or `None` when none is ready.
    fn poll(&mut self) -> Option<Completion>;
}
