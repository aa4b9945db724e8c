//! What the engine's parts want done, gathered for [`crate::Engine::poll_output`].
//!
//! It numbers operations, files and segments, and remembers which job each operation belongs to, so that a completion
//! finds its job. It decides nothing but these numbers.

use std::collections::{BTreeMap, VecDeque};

use docdb_protocol::{DatabaseId, DatabaseName, Error, ErrorCode, Response};

use crate::alert::{Alert, AlertKind};
use crate::clock::{Instant, WallTime};
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpId};
use crate::jobs::slots::Slot;
use crate::log::{DirectoryId, Lsn, SegmentHeader};
use crate::message::{Output, RequestId};

/// Whose operation it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The job in this slot of the data directory.
    Directory(Slot),
    /// The job in this slot of a database.
    Database(DatabaseId, Slot),
    /// Nobody waits: a file is closed.
    Nobody,
}

/// What a job wants after a step. The same for every job.
#[derive(Debug)]
pub(crate) enum Progress<T> {
    /// One more operation; the job waits for it.
    Submit(DiskOp),
    /// The job has ended well.
    Done(T),
    /// The job has ended badly.
    Failed(Error),
}

/// How an operation ended.
pub(crate) type DiskResult = Result<DiskReply, DiskError>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Io {
    outputs: VecDeque<Output>,
    owners: BTreeMap<OpId, Owner>,
    operations: u64,
    files: u64,
    /// The last epoch that was given, or may have been.
    epoch: u64,
    /// The data directory's.
    directory: DirectoryId,
    /// The earliest time for which the database at work asked.
    wish: Option<Instant>,
    /// The timer that is on its way.
    wake_at: Option<Instant>,
}

impl Io {
    pub(crate) fn submit(&mut self, owner: Owner, op: DiskOp) {
        let id = OpId(self.operations);
        self.operations += 1;
        self.owners.insert(id, owner);
        self.outputs.push_back(Output::Disk { id, op });
    }

    /// Forgets a file; nobody waits for it, and nothing rests on it.
    pub(crate) fn close(&mut self, file: FileId) {
        self.submit(Owner::Nobody, DiskOp::Close { file });
    }

    pub(crate) fn new_file(&mut self) -> FileId {
        self.files += 1;
        FileId(self.files)
    }

    /// The epoch of one more attempt at a segment: larger than `last`, and never given before, in this process or another.
    pub(crate) fn new_epoch(&mut self, last: u64) -> u64 {
        self.epoch = self.epoch.max(last) + 1;
        self.epoch
    }

    /// The id of the data directory, which every file that is written names.
    pub(crate) fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// The header of a segment that is to be written.
    pub(crate) fn segment_header(
        &self,
        database: DatabaseId,
        epoch: u64,
        start_lsn: Lsn,
        created_at: WallTime,
    ) -> SegmentHeader {
        SegmentHeader { directory: self.directory, database, epoch, start_lsn, created_at, is_writable: true }
    }

    /// The start has found, or given, the data directory's id.
    pub(crate) fn directory_is(&mut self, directory: DirectoryId) {
        self.directory = directory;
    }

    /// Epochs up to this one may have been given before.
    pub(crate) fn epochs_given(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// # Panics
    /// When the disk completes an operation twice, or one that was never submitted.
    pub(crate) fn owner(&mut self, id: OpId) -> Owner {
        self.owners.remove(&id).expect("a disk completes each operation exactly once")
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.owners.is_empty()
    }

    pub(crate) fn respond(&mut self, request: RequestId, response: Response) {
        self.outputs.push_back(Output::Respond { request, response });
    }

    pub(crate) fn alert(&mut self, database: Option<&DatabaseName>, kind: AlertKind) {
        self.outputs.push_back(Output::Alert(Alert { database: database.cloned(), kind }));
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The database at work asks to be visited at `time` or earlier. [`Io::take_wish`] gives it to the engine.
    pub(crate) fn wake_by(&mut self, time: Instant) {
        self.wish = Some(self.wish.map_or(time, |wish| wish.min(time)));
    }

    /// When the database that was at work just now asked to be visited.
    pub(crate) fn take_wish(&mut self) -> Option<Instant> {
        self.wish.take()
    }

    /// Asks for a timer at `time` or earlier.
    pub(crate) fn set_timer(&mut self, time: Instant) {
        if self.wake_at.is_none_or(|wake_at| time < wake_at) {
            self.wake_at = Some(time);
            self.outputs.push_back(Output::WakeAt(time));
        }
    }

    /// The timer has come; if anybody still waits, the next one is asked for.
    pub(crate) fn woken(&mut self) {
        self.wake_at = None;
    }
}

/// The frozen error for a file that a later version wrote: it is left as it is.
pub(crate) fn newer_format(path: &DiskPath) -> Error {
    let detail = "a later version wrote it; nothing was changed; use a newer program";
    Error::new(ErrorCode::NewerFormat).file(path.as_str()).detail(detail)
}

/// The frozen error for a failed operation: `code`, unless the disk says something more precise.
pub(crate) fn disk_error(code: ErrorCode, path: &DiskPath, error: &DiskError) -> Error {
    let code = match error.kind {
        DiskErrorKind::NoSpace => ErrorCode::DiskFull,
        DiskErrorKind::Shortage => ErrorCode::OutOfResources,
        DiskErrorKind::Permission => ErrorCode::PermissionDenied,
        DiskErrorKind::NotFound
        | DiskErrorKind::Exists
        | DiskErrorKind::Transient
        | DiskErrorKind::Gone
        | DiskErrorKind::Io => code,
    };
    let advice = match code {
        ErrorCode::DiskFull => "; make room and try again",
        ErrorCode::OutOfResources => "; raise the limit of open files (ulimit -n), or close connections, and try again",
        ErrorCode::PermissionDenied => "; give this user access and try again",
        _ => "",
    };
    Error::new(code).file(path.as_str()).detail(format!("{error}{advice}"))
}
