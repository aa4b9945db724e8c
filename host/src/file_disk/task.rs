//! One queued operation with everything it needs, to be carried out outside the engine's lock.
//!
//! A task owns a share of its file, so nothing it uses can be closed under it. Running it blocks;
//! nobody may hold the engine's lock meanwhile. A long zero-fill runs in pieces: after each, the task goes back
//! into the queue.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use docdb_engine::{Buffer, Completion, DiskPath, DiskReply, FileId, OpId, OpenMode};
use rustix::io::{Errno, retry_on_intr};

use super::failure::disk_error;
use super::folders::Folder;
use super::ground::Ground;
use super::{OpenFile, names, transfer};

/// A task fills no more than this with zeros before others have their turn.
const ALLOCATE_PIECE_BYTES: u64 = 1024 * 1024;

/// A queued disk operation.
#[derive(Debug)]
pub struct Task {
    pub(super) id: OpId,
    pub(super) kind: TaskKind,
    pub(super) ground: Arc<Ground>,
    pub(super) work: Work,
}

/// What the queue has to know of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskKind {
    /// Bytes of a file; runs beside anything.
    Bytes,
    /// One of many reads that follow one another: whatever else there is goes first.
    Bulk,
    /// Sees or changes names; these run one at a time, in their order.
    Name,
    /// Syncs a directory: begins after the names before it, and holds none of those behind it up.
    DirectorySync,
    /// May take seconds: left to the lanes, and never more than one at a time.
    Long {
        /// How many bytes it is about.
        bytes: u64,
        /// How many others behind it went first.
        passed: u32,
    },
}

/// What a task does.
#[derive(Debug)]
pub(super) enum Work {
    Open { file: FileId, path: DiskPath, mode: OpenMode, folder: Option<Arc<Folder>> },
    Close { file: OpenFile },
    MakeDirectory { path: DiskPath },
    Read { file: Arc<File>, offset: u64, bytes: u32 },
    Write { file: Arc<File>, offset: u64, buffers: Vec<Buffer> },
    Allocate { file: Arc<File>, offset: u64, bytes: u64 },
    Length { file: Arc<File> },
    Sync { file: Arc<File>, folder: Option<Arc<Folder>> },
    List { path: DiskPath, after: Arc<str>, limit: u32 },
    Rename { from: DiskPath, to: DiskPath, replace: bool },
    Link { from: DiskPath, to: DiskPath },
    Unlink { path: DiskPath },
    SyncDirectory { path: DiskPath, folder: Option<Arc<Folder>> },
    FreeSpace,
}

/// A task that was carried out, on its way back under the lock.
#[derive(Debug)]
pub struct Finished {
    pub(super) kind: TaskKind,
    pub(super) end: End,
    pub(super) change: Option<Change>,
}

/// What the queue has to note of a task that was carried out.
#[derive(Debug)]
pub(super) enum Change {
    Opened {
        id: FileId,
        file: File,
        path: DiskPath,
        folder: Option<Arc<Folder>>,
    },
    /// A directory was opened.
    Found {
        path: DiskPath,
        folder: Arc<Folder>,
    },
    /// These paths name nothing, or something else.
    Moved(Vec<DiskPath>),
}

/// How far a task came.
#[derive(Debug)]
pub(super) enum End {
    Done(Completion),
    /// There is more to do.
    Continues(Task),
}

impl Task {
    /// Carries the operation out. Blocks; call it without the engine's lock.
    #[must_use]
    pub fn run(self) -> Finished {
        let Task { id, kind, ground, work } = self;
        let mut change = None;
        let result = match work {
            Work::Allocate { file, offset, bytes } => {
                let piece = bytes.min(ALLOCATE_PIECE_BYTES);
                let filled = transfer::write_zeros(&*ground.kernel, &file, offset, piece);
                if filled.is_ok() && piece < bytes {
                    let bytes = bytes - piece;
                    let work = Work::Allocate { file, offset: offset + piece, bytes };
                    let rest = Task { id, kind: TaskKind::Long { bytes, passed: 0 }, ground, work };
                    return Finished { kind, end: End::Continues(rest), change };
                }
                filled.map(|()| DiskReply::Done)
            }
            other => run(&ground, other, &mut change),
        };
        Finished { kind, end: End::Done(Completion { id, result: result.map_err(disk_error) }), change }
    }
}

fn run(ground: &Ground, work: Work, change: &mut Option<Change>) -> Result<DiskReply, Errno> {
    match work {
        Work::Open { file: id, path, mode, folder } => {
            let (file, folder) = names::open(ground, &path, mode, folder)?;
            *change = Some(Change::Opened { id, file, path, folder });
            Ok(DiskReply::Done)
        }
        // The last share of a removed file gives its space back, which takes time: so it happens here.
        Work::Close { file } => {
            drop(file);
            // The next operation that begins something tries again, and is refused where it cannot be filled.
            let _ = ground.fill_reserve();
            Ok(DiskReply::Done)
        }
        Work::MakeDirectory { path } => {
            let folder = names::make_directory(ground, &path)?;
            *change = Some(Change::Found { path, folder });
            Ok(DiskReply::Done)
        }
        Work::Read { file, offset, bytes } => transfer::read(&file, offset, bytes),
        Work::Write { file, offset, buffers } => transfer::write(&*ground.kernel, &file, offset, &buffers),
        Work::Allocate { file, offset, bytes } => {
            transfer::write_zeros(&*ground.kernel, &file, offset, bytes)?;
            Ok(DiskReply::Done)
        }
        Work::Length { file } => {
            let stat = retry_on_intr(|| rustix::fs::fstat(&file))?;
            Ok(DiskReply::Length(u64::try_from(stat.st_size).map_err(|_| Errno::IO)?))
        }
        Work::Sync { file, folder } => {
            // Not repeated when it fails: what a failed sync covered is unknown for ever.
            ground.kernel.sync_file(file.as_fd())?;
            ground.check_now_and_then(folder.as_deref())?;
            Ok(DiskReply::Done)
        }
        Work::List { path, after, limit } => names::list(ground, &path, &after, limit),
        Work::Rename { from, to, replace } => {
            let renamed = names::rename(ground, &from, &to, replace);
            *change = Some(Change::Moved(vec![from, to]));
            renamed
        }
        Work::Link { from, to } => names::link(ground, &from, &to),
        Work::Unlink { path } => {
            let removed = names::unlink(ground, &path);
            *change = Some(Change::Moved(vec![path]));
            removed
        }
        Work::SyncDirectory { path, folder } => {
            let found = names::sync_directory(ground, &path, folder.as_ref())?;
            *change = found.map(|folder| Change::Found { path, folder });
            ground.check()?;
            Ok(DiskReply::Done)
        }
        Work::FreeSpace => names::free_space(ground),
    }
}
