//! The engine's disk over real files.
//!
//! Owns the data directory's handle, the open files, and the queue of operations. [`Disk::submit`]
//! only queues, except that a read is answered at once where the page cache holds its bytes. Whoever
//! has time carries the queue out: [`FileDisk::take`] under the engine's lock, [`Task::run`] without
//! it, [`FileDisk::finish`] under it again.
//!
//! Operations on bytes run in any order, beside each other. Operations on names run one at a time and
//! in their order, because each has to see the names as the ones before left them.
//!
//! Never starts a thread, never waits, never retries what failed.

mod failure;
mod names;
mod task;
mod transfer;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use docdb_engine::{Completion, Disk, DiskError, DiskOp, FileId, OpId};
use rustix::fs::{Mode, OFlags};

pub use task::{Finished, Task};
use task::{TaskKind, Work};

/// A longer read is not tried within `submit`: copying it would hold the engine's lock for too long.
const READ_AT_ONCE_BYTES_MAX: u32 = 256 * 1024;

/// Filling more than this with zeros is left to the lanes.
const ALLOCATE_BRIEFLY_BYTES_MAX: u64 = 64 * 1024;

/// Who asks for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// A thread that waits for an answer of its own: gets no long operations.
    Caller,
    /// A thread that is there to carry operations out.
    Lane,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    /// Much was allocated since the last sync, so the next one has much to do.
    much_unsynced: bool,
}

/// All files below one directory.
#[derive(Debug)]
pub struct FileDisk {
    root: Arc<OwnedFd>,
    files: BTreeMap<FileId, OpenFile>,
    bytes: VecDeque<Task>,
    names: VecDeque<Task>,
    long: VecDeque<Task>,
    name_in_flight: bool,
    long_in_flight: bool,
    in_flight: usize,
    done: VecDeque<Completion>,
}

impl FileDisk {
    /// The disk below the directory `root`, which exists.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub fn open(root: &Path) -> Result<FileDisk, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty()).map_err(failure::disk_error)?;
        Ok(FileDisk {
            root: Arc::new(root),
            files: BTreeMap::new(),
            bytes: VecDeque::new(),
            names: VecDeque::new(),
            long: VecDeque::new(),
            name_in_flight: false,
            long_in_flight: false,
            in_flight: 0,
            done: VecDeque::new(),
        })
    }

    /// How many tasks this worker could take now.
    #[must_use]
    pub fn ready(&self, worker: Worker) -> usize {
        let name = usize::from(!self.name_in_flight && !self.names.is_empty());
        let long = usize::from(worker == Worker::Lane && !self.long_in_flight && !self.long.is_empty());
        self.bytes.len() + name + long
    }

    /// How many tasks were taken and not finished.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The next operation to carry out outside the lock.
    pub fn take(&mut self, worker: Worker) -> Option<Task> {
        let task = self.take_queued(worker)?;
        match task.kind {
            TaskKind::Bytes | TaskKind::DirectorySync => {}
            TaskKind::Name => self.name_in_flight = true,
            TaskKind::Long => self.long_in_flight = true,
        }
        self.in_flight += 1;
        Some(task)
    }

    fn take_queued(&mut self, worker: Worker) -> Option<Task> {
        if let Some(task) = self.bytes.pop_front() {
            return Some(task);
        }
        if !self.name_in_flight && !self.names.is_empty() {
            return self.names.pop_front();
        }
        if worker == Worker::Lane && !self.long_in_flight { self.long.pop_front() } else { None }
    }

    /// Takes a task back that was carried out. [`Disk::poll`] delivers its completion.
    pub fn finish(&mut self, finished: Finished) {
        match finished.kind {
            TaskKind::Bytes | TaskKind::DirectorySync => {}
            TaskKind::Name => self.name_in_flight = false,
            TaskKind::Long => self.long_in_flight = false,
        }
        if let Some((id, file)) = finished.opened {
            let earlier = self.files.insert(id, OpenFile { file: Arc::new(file), much_unsynced: false });
            assert!(earlier.is_none(), "the engine never uses a file id twice");
        }
        self.in_flight -= 1;
        self.done.push_back(finished.completion);
    }

    fn open_file(&mut self, file: FileId) -> &mut OpenFile {
        self.files.get_mut(&file).expect("the engine only uses files whose opening it saw succeed")
    }

    fn share(&mut self, file: FileId) -> Arc<File> {
        Arc::clone(&self.open_file(file).file)
    }

    fn push(&mut self, id: OpId, kind: TaskKind, work: Work) {
        let queue = match kind {
            TaskKind::Bytes => &mut self.bytes,
            TaskKind::Name | TaskKind::DirectorySync => &mut self.names,
            TaskKind::Long => &mut self.long,
        };
        queue.push_back(Task { id, kind, work });
    }

    fn submit_read(&mut self, id: OpId, file: FileId, offset: u64, bytes: u32) {
        let file = self.share(file);
        // Cached bytes must not pay for two changes of thread.
        if bytes <= READ_AT_ONCE_BYTES_MAX
            && let Ok(reply) = transfer::read_cached(&file, offset, bytes)
        {
            self.done.push_back(Completion { id, result: Ok(reply) });
        } else {
            // Whatever went wrong, the patient read meets it again and tells it.
            self.push(id, TaskKind::Bytes, Work::Read { file, offset, bytes });
        }
    }
}

impl Disk for FileDisk {
    fn submit(&mut self, id: OpId, op: DiskOp) {
        let root = Arc::clone(&self.root);
        match op {
            DiskOp::Open { file, path, mode } => self.push(id, TaskKind::Name, Work::Open { root, file, path, mode }),
            DiskOp::Close { file } => {
                let file = self.files.remove(&file).expect("the engine closes files that are open").file;
                self.push(id, TaskKind::Bytes, Work::Close { file });
            }
            DiskOp::MakeDirectory { path } => self.push(id, TaskKind::Name, Work::MakeDirectory { root, path }),
            DiskOp::Read { file, offset, bytes } => self.submit_read(id, file, offset, bytes),
            DiskOp::Write { file, offset, buffers } => {
                let file = self.share(file);
                self.push(id, TaskKind::Bytes, Work::Write { file, offset, buffers });
            }
            DiskOp::Allocate { file, offset, bytes } => {
                let open = self.open_file(file);
                let file = Arc::clone(&open.file);
                let long = bytes > ALLOCATE_BRIEFLY_BYTES_MAX;
                open.much_unsynced |= long;
                let kind = if long { TaskKind::Long } else { TaskKind::Bytes };
                self.push(id, kind, Work::Allocate { file, offset, bytes });
            }
            DiskOp::Length { file } => {
                let file = self.share(file);
                self.push(id, TaskKind::Bytes, Work::Length { file });
            }
            DiskOp::Sync { file } => {
                let open = self.open_file(file);
                let file = Arc::clone(&open.file);
                let kind = if std::mem::take(&mut open.much_unsynced) { TaskKind::Long } else { TaskKind::Bytes };
                self.push(id, kind, Work::Sync { file });
            }
            DiskOp::List { path, after, limit } => {
                self.push(id, TaskKind::Name, Work::List { root, path, after, limit });
            }
            DiskOp::Rename { from, to, replace } => {
                self.push(id, TaskKind::Name, Work::Rename { root, from, to, replace });
            }
            DiskOp::Link { from, to } => self.push(id, TaskKind::Name, Work::Link { root, from, to }),
            DiskOp::Unlink { path } => self.push(id, TaskKind::Name, Work::Unlink { root, path }),
            DiskOp::SyncDirectory { path } => {
                self.push(id, TaskKind::DirectorySync, Work::SyncDirectory { root, path });
            }
            DiskOp::FreeSpace => self.push(id, TaskKind::Bytes, Work::FreeSpace { root }),
        }
    }

    fn poll(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }
}
