//! Going on in a new segment: at rotation, after a failed write or sync, and at every opening.
//!
//! ```text
//! NAME.wal.next := the spare, or a new zero-filled file
//! write the tail; sync        everything recovered or retried from start_lsn on, before a header vouches for it
//! write the header; sync      all below start_lsn is durable already
//! sync the directory          the name `next`, before the old active's name goes
//! rename NAME.wal to NAME.wal.N; sync the directory
//! rename NAME.wal.next to NAME.wal; sync the directory
//! ```
//!
//! Until the last step nothing that rests on the tail may be published, acknowledged or read. A
//! crash before the first rename leaves a `next` that is no part of the log; a crash after it leaves one
//! that is, and opening finishes the renames. No name is ever replaced. A failure before it removes `next`, and
//! the spare that was to become it.

use docdb_protocol::{DatabaseName, Error, ErrorCode};

use super::spare::Spare;
use super::undo::Undo;
use crate::buffer::Buffer;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Progress, disk_error};
use crate::log::{Encoded, SEGMENT_HEADER_BYTES, SegmentHeader, active, next, sealed, spare};
use crate::options::Options;

/// Something that there was too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Space on the device.
    Space,
    /// Descriptors, memory, or the device's time: it may pass by itself.
    Passing,
}

/// What to make.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) header: SegmentHeader,
    /// The batches to write behind the header, if any.
    pub(crate) tail: Option<Encoded>,
    /// The epoch of the segment that is `NAME.wal` now.
    pub(crate) seal: u64,
    /// A file prepared ahead of need.
    pub(crate) spare: Option<Spare>,
    /// An id for the file when there is no spare.
    pub(crate) file: FileId,
    /// The length of the file when there is no spare.
    pub(crate) file_bytes: u64,
    /// The file is at least as long, spare or not: header, tail, and what is to be written into it next. A write beyond
    /// its end could meet a full disk when its outcome can no longer be known.
    pub(crate) needed_bytes: u64,
}

/// The new active segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) file: FileId,
    pub(crate) file_bytes: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct NewSegment {
    pub(crate) plan: Plan,
    directory: DiskPath,
    database: DatabaseName,
    made: Made,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// The operation of this step is in flight.
    Making(Step),
    /// A step failed, and what the job has made is being removed.
    Undoing(Failure),
}

/// The failure whose traces are being removed.
#[derive(Clone, Debug)]
struct Failure {
    at: Step,
    kind: DiskErrorKind,
    undo: Undo,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A `next` without a valid header may be left of an attempt that failed.
    UnlinkStale,
    /// The spare becomes `next`; its name need not be durable before its header is.
    TakeSpare,
    Create,
    Allocate,
    WriteTail,
    /// The header vouches for the tail, so the tail comes first.
    SyncTail,
    WriteHeader,
    SyncHeader,
    /// `next` must be there for certain before the active segment loses its name.
    SyncNext,
    Seal,
    /// The sealed name must be there for certain before another file takes the active name.
    SyncSealed,
    Promote,
    /// The last one: what follows will be acknowledged on the strength of this name.
    SyncPromoted,
}

impl Step {
    /// Whether a header may have been written by now, even if the step failed.
    fn may_have_header(self) -> bool {
        match self {
            Step::UnlinkStale | Step::TakeSpare | Step::Create | Step::Allocate | Step::WriteTail | Step::SyncTail => {
                false
            }
            Step::WriteHeader
            | Step::SyncHeader
            | Step::SyncNext
            | Step::Seal
            | Step::SyncSealed
            | Step::Promote
            | Step::SyncPromoted => true,
        }
    }

    /// Whether the new file has been opened before this step.
    fn has_file(self) -> bool {
        match self {
            Step::UnlinkStale | Step::TakeSpare | Step::Create => false,
            Step::Allocate
            | Step::WriteTail
            | Step::SyncTail
            | Step::WriteHeader
            | Step::SyncHeader
            | Step::SyncNext
            | Step::Seal
            | Step::SyncSealed
            | Step::Promote
            | Step::SyncPromoted => true,
        }
    }

    /// Whether the spare may still have its own name when this step has failed.
    fn may_have_spare(self) -> bool {
        match self {
            Step::UnlinkStale | Step::TakeSpare => true,
            Step::Create
            | Step::Allocate
            | Step::WriteTail
            | Step::SyncTail
            | Step::WriteHeader
            | Step::SyncHeader
            | Step::SyncNext
            | Step::Seal
            | Step::SyncSealed
            | Step::Promote
            | Step::SyncPromoted => false,
        }
    }

    /// Whether the active segment has its name for certain when this step has failed: then `next` is no part of the log.
    fn leaves_active(self) -> bool {
        match self {
            Step::UnlinkStale
            | Step::TakeSpare
            | Step::Create
            | Step::Allocate
            | Step::WriteTail
            | Step::SyncTail
            | Step::WriteHeader
            | Step::SyncHeader
            | Step::SyncNext
            | Step::Seal => true,
            Step::SyncSealed | Step::Promote | Step::SyncPromoted => false,
        }
    }
}

impl NewSegment {
    pub(crate) fn new(plan: Plan, directory: DiskPath, database: DatabaseName) -> (NewSegment, DiskOp) {
        let path = directory.join(&next(&database));
        let file_bytes = plan.file_bytes.max(plan.needed_bytes);
        let made = plan.spare.map_or(Made { file: plan.file, file_bytes }, |spare| Made {
            file: spare.file,
            file_bytes: spare.file_bytes,
        });
        let job = NewSegment { plan, directory, database, made, state: State::Making(Step::UnlinkStale) };
        (job, DiskOp::Unlink { path })
    }

    /// Of a job that failed: whether it came to writing a header.
    pub(crate) fn failed_before_header(&self) -> bool {
        self.failure().is_some_and(|failure| !failure.at.may_have_header())
    }

    /// Of a job that failed: of what there was too little.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        match self.failure()?.kind {
            DiskErrorKind::NoSpace => Some(Shortage::Space),
            DiskErrorKind::Shortage | DiskErrorKind::Transient => Some(Shortage::Passing),
            DiskErrorKind::NotFound
            | DiskErrorKind::Exists
            | DiskErrorKind::Permission
            | DiskErrorKind::Gone
            | DiskErrorKind::Io => None,
        }
    }

    /// Of a job that failed for want of space: how long a file may be tried next; `None` when this one was the smallest.
    pub(crate) fn smaller(&self, options: &Options) -> Option<u64> {
        let smallest = options.segment_bytes_min.min(options.segment_bytes_smallest).max(self.plan.needed_bytes);
        let is_smallest = self.made.file_bytes <= smallest;
        (!is_smallest).then(|| (self.made.file_bytes / 2).max(smallest))
    }

    /// The file to close when the job has failed, if it came to be opened.
    pub(crate) fn opened(&self) -> Option<FileId> {
        let step = match &self.state {
            State::Making(step) => *step,
            State::Undoing(failure) => failure.at,
        };
        (self.plan.spare.is_some() || step.has_file()).then_some(self.made.file)
    }

    fn failure(&self) -> Option<&Failure> {
        match &self.state {
            State::Making(_) => None,
            State::Undoing(failure) => Some(failure),
        }
    }

    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<Made> {
        match (&mut self.state, result) {
            (State::Making(step), result) => {
                let step = *step;
                self.make(step, result)
            }
            (State::Undoing(failure), Ok(_) | Err(_)) => failure.undo.step(),
        }
    }

    /// Carries on when the operation of `step` has ended.
    fn make(&mut self, step: Step, result: DiskResult) -> Progress<Made> {
        match (step, result) {
            (Step::UnlinkStale, Err(error)) if error.kind != DiskErrorKind::NotFound => {
                self.failed(step, ErrorCode::FileOpen, &error)
            }
            (Step::UnlinkStale, Ok(_) | Err(_)) if self.plan.spare.is_some() => {
                let from = self.directory.join(&spare(&self.database));
                self.go(Step::TakeSpare, DiskOp::Rename { from, to: self.next(), replace: false })
            }
            (Step::UnlinkStale, Ok(_) | Err(_)) => {
                let open = DiskOp::Open { file: self.made.file, path: self.next(), mode: OpenMode::CreateNew };
                self.go(Step::Create, open)
            }
            (Step::TakeSpare, Ok(_)) if self.made.file_bytes < self.plan.needed_bytes => {
                let from = self.made.file_bytes;
                self.made.file_bytes = self.plan.needed_bytes;
                self.allocate(from)
            }
            (Step::TakeSpare | Step::Allocate, Ok(_)) => self.write_tail(),
            (Step::Create, Ok(_)) => self.allocate(0),
            (Step::WriteTail, Ok(reply)) => {
                let expected = self.plan.tail.as_ref().map_or(0, |tail| tail.bytes);
                match written(&reply, expected) {
                    Ok(()) => self.go(Step::SyncTail, DiskOp::Sync { file: self.made.file }),
                    Err(error) => self.failed(step, ErrorCode::FileWrite, &error),
                }
            }
            (Step::SyncTail, Ok(_)) => self.write_header(),
            (Step::WriteHeader, Ok(reply)) => match written(&reply, SEGMENT_HEADER_BYTES as u64) {
                Ok(()) => self.go(Step::SyncHeader, DiskOp::Sync { file: self.made.file }),
                Err(error) => self.failed(step, ErrorCode::FileWrite, &error),
            },
            (Step::SyncHeader, Ok(_)) => {
                self.go(Step::SyncNext, DiskOp::SyncDirectory { path: self.directory.clone() })
            }
            (Step::SyncNext, Ok(_)) => self.seal(),
            (Step::Seal, Ok(_)) => self.go(Step::SyncSealed, DiskOp::SyncDirectory { path: self.directory.clone() }),
            (Step::SyncSealed, Ok(_)) => self.promote(),
            (Step::Promote, Ok(_)) => {
                self.go(Step::SyncPromoted, DiskOp::SyncDirectory { path: self.directory.clone() })
            }
            (Step::SyncPromoted, Ok(_)) => Progress::Done(self.made),
            (Step::TakeSpare | Step::Create | Step::Seal | Step::Promote, Err(error)) => {
                self.failed(step, ErrorCode::FileOpen, &error)
            }
            (Step::Allocate | Step::WriteTail | Step::WriteHeader, Err(error)) => {
                self.failed(step, ErrorCode::FileWrite, &error)
            }
            (
                Step::SyncTail | Step::SyncHeader | Step::SyncNext | Step::SyncSealed | Step::SyncPromoted,
                Err(error),
            ) => self.failed(step, ErrorCode::FileSync, &error),
        }
    }

    fn next(&self) -> DiskPath {
        self.directory.join(&next(&self.database))
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Made> {
        self.state = State::Making(step);
        Progress::Submit(op)
    }

    fn allocate(&mut self, offset: u64) -> Progress<Made> {
        let bytes = self.made.file_bytes - offset;
        self.go(Step::Allocate, DiskOp::Allocate { file: self.made.file, offset, bytes })
    }

    fn write_tail(&mut self) -> Progress<Made> {
        let Some(tail) = &self.plan.tail else {
            // Nothing to vouch for; a fresh file's length is made durable with the header.
            return self.write_header();
        };
        let op =
            DiskOp::Write { file: self.made.file, offset: SEGMENT_HEADER_BYTES as u64, buffers: tail.buffers.clone() };
        self.go(Step::WriteTail, op)
    }

    fn write_header(&mut self) -> Progress<Made> {
        let buffers = vec![Buffer::from(self.plan.header.encode())];
        self.go(Step::WriteHeader, DiskOp::Write { file: self.made.file, offset: 0, buffers })
    }

    fn seal(&mut self) -> Progress<Made> {
        let from = self.directory.join(&active(&self.database));
        let to = self.directory.join(&sealed(&self.database, self.plan.seal));
        self.go(Step::Seal, DiskOp::Rename { from, to, replace: false })
    }

    fn promote(&mut self) -> Progress<Made> {
        let to = self.directory.join(&active(&self.database));
        self.go(Step::Promote, DiskOp::Rename { from: self.next(), to, replace: false })
    }

    fn failed(&mut self, at: Step, code: ErrorCode, error: &DiskError) -> Progress<Made> {
        let kind = error.kind;
        let error: Error = disk_error(code, &self.next(), error);
        let mut removed = if at.leaves_active() { vec![self.next()] } else { Vec::new() };
        if at.may_have_spare() && self.plan.spare.is_some() {
            // No job knows of it any more, and it may be the space that is wanted.
            removed.push(self.directory.join(&spare(&self.database)));
        }
        let mut undo = Undo::new(error, removed);
        let first = undo.step();
        self.state = State::Undoing(Failure { at, kind, undo });
        first
    }
}

/// Whether a write took everything. A short one counts as failed: which of the rest arrived is unknown.
pub(crate) fn written(reply: &crate::disk::DiskReply, expected: u64) -> Result<(), DiskError> {
    let crate::disk::DiskReply::Written(bytes) = reply else { return Err(DiskError::new(DiskErrorKind::Io)) };
    if *bytes == expected { Ok(()) } else { Err(DiskError::new(DiskErrorKind::Io)) }
}
