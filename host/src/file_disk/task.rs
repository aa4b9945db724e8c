//! One queued operation with everything it needs, to be carried out outside the engine's lock.
//!
//! A task owns a share of its file, so nothing it uses can be closed under it. Running it blocks;
//! nobody may hold the engine's lock meanwhile.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use docdb_engine::{Buffer, Completion, DiskPath, DiskReply, FileId, OpId, OpenMode};
use rustix::io::{Errno, retry_on_intr};

use super::failure::disk_error;
use super::{names, transfer};

/// A queued disk operation.
#[derive(Debug)]
pub struct Task {
    pub(super) id: OpId,
    pub(super) kind: TaskKind,
    pub(super) work: Work,
}

/// What the queue has to know of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskKind {
    /// Bytes of a file; runs beside anything.
    Bytes,
    /// Sees or changes names; these run one at a time, in their order.
    Name,
    /// Syncs a directory: begins after the names before it, and holds none of those behind it up.
    DirectorySync,
    /// May take seconds: left to the lanes, and never more than one at a time.
    Long,
}

/// What a task does.
#[derive(Debug)]
pub(super) enum Work {
    Open { root: Arc<OwnedFd>, file: FileId, path: DiskPath, mode: OpenMode },
    Close { file: Arc<File> },
    MakeDirectory { root: Arc<OwnedFd>, path: DiskPath },
    Read { file: Arc<File>, offset: u64, bytes: u32 },
    Write { file: Arc<File>, offset: u64, buffers: Vec<Buffer> },
    Allocate { file: Arc<File>, offset: u64, bytes: u64 },
    Length { file: Arc<File> },
    Sync { file: Arc<File> },
    List { root: Arc<OwnedFd>, path: DiskPath, after: Arc<str>, limit: u32 },
    Rename { root: Arc<OwnedFd>, from: DiskPath, to: DiskPath, replace: bool },
    Link { root: Arc<OwnedFd>, from: DiskPath, to: DiskPath },
    Unlink { root: Arc<OwnedFd>, path: DiskPath },
    SyncDirectory { root: Arc<OwnedFd>, path: DiskPath },
    FreeSpace { root: Arc<OwnedFd> },
}

/// A task that was carried out, on its way back under the lock.
#[derive(Debug)]
pub struct Finished {
    pub(super) completion: Completion,
    pub(super) kind: TaskKind,
    pub(super) opened: Option<(FileId, File)>,
}

impl Task {
    /// Carries the operation out. Blocks; call it without the engine's lock.
    #[must_use]
    pub fn run(self) -> Finished {
        let mut opened = None;
        let result = run(self.work, &mut opened).map_err(disk_error);
        Finished { completion: Completion { id: self.id, result }, kind: self.kind, opened }
    }
}

fn run(work: Work, opened: &mut Option<(FileId, File)>) -> Result<DiskReply, Errno> {
    match work {
        Work::Open { root, file, path, mode } => {
            *opened = Some((file, names::open(&root, &path, mode)?));
            Ok(DiskReply::Done)
        }
        // The last share of a removed file gives its space back, which takes time: so it happens here.
        Work::Close { file } => {
            drop(file);
            Ok(DiskReply::Done)
        }
        Work::MakeDirectory { root, path } => names::make_directory(&root, &path),
        Work::Read { file, offset, bytes } => transfer::read(&file, offset, bytes),
        Work::Write { file, offset, buffers } => transfer::write(&file, offset, &buffers),
        Work::Allocate { file, offset, bytes } => transfer::write_zeros(&file, offset, bytes),
        Work::Length { file } => {
            let stat = retry_on_intr(|| rustix::fs::fstat(&file))?;
            Ok(DiskReply::Length(u64::try_from(stat.st_size).map_err(|_| Errno::IO)?))
        }
        Work::Sync { file } => {
            // Not repeated when it fails: what a failed sync covered is unknown for ever. EINTR alone is
            // no failure, it means that the call did not get to its end.
            retry_on_intr(|| rustix::fs::fdatasync(&file))?;
            Ok(DiskReply::Done)
        }
        Work::List { root, path, after, limit } => names::list(&root, &path, &after, limit),
        Work::Rename { root, from, to, replace } => names::rename(&root, &from, &to, replace),
        Work::Link { root, from, to } => names::link(&root, &from, &to),
        Work::Unlink { root, path } => names::unlink(&root, &path),
        Work::SyncDirectory { root, path } => names::sync_directory(&root, &path),
        Work::FreeSpace { root } => names::free_space(&root),
    }
}
