//! The engine's disk over real files.
//!
//! Owns the data directory's handle, the open files, and the queue of operations. [`Disk::submit`]
//! only queues, except that a read is answered at once where the page cache holds its bytes and it is not one of
//! many: those would follow one another without any other thread having a turn. Callers and lanes
//! carry the queue out: [`FileDisk::take`] under the engine's lock, [`Task::run`] without
//! it, [`FileDisk::finish`] under it again.
//!
//! Operations on bytes run in any order, beside each other. Operations on names run one at a time and
//! in their order, because each has to see the names as the ones before left them. Zero-filling runs in pieces, one
//! at a time over all databases, what is nearly done first.
//!
//! A sync that succeeds says that the bytes will be found: it fails when the path of the data directory, or of the folder
//! that the file is in, names another directory by then, or none. Each is looked for at most every few milliseconds.
//!
//! Never starts a thread, never waits, never retries what failed.

mod failure;
mod folders;
mod ground;
pub(crate) mod kernel;
mod names;
mod task;
mod transfer;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use docdb_engine::{Completion, Disk, DiskError, DiskOp, FileId, OpId};
use rustix::fs::{CWD, Mode, OFlags};

use folders::{Folder, Folders};
use ground::Ground;
pub(crate) use ground::Root;
use kernel::{Kernel, System};
use task::{Change, End, TaskKind, Work};
pub use task::{Finished, Task};

/// A longer read is not tried within `submit`: copying it would hold the engine's lock for too long.
const READ_AT_ONCE_BYTES_MAX: u32 = 256 * 1024;

/// Filling more than this with zeros is left to the lanes.
const ALLOCATE_BRIEFLY_BYTES_MAX: u64 = 64 * 1024;

/// A long operation lets no more shorter ones than this go first.
const PASSED_MAX: u32 = 8;

/// Who asks for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worker {
    /// A thread that waits for an answer of its own: gets no long operations.
    Caller,
    /// A thread that is there to carry operations out.
    Lane,
}

/// An open file, and the directory it is in, which stays open with it.
#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    folder: Option<Arc<Folder>>,
    /// How much was allocated since the last sync: the next one has as much to do.
    unsynced_bytes: u64,
}

/// All files below one directory.
#[derive(Debug)]
pub struct FileDisk {
    ground: Arc<Ground>,
    files: BTreeMap<FileId, OpenFile>,
    folders: Folders,
    bytes: VecDeque<Task>,
    names: VecDeque<Task>,
    long: VecDeque<Task>,
    bulk: VecDeque<Task>,
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
        FileDisk::over(root, Arc::new(System))
    }

    /// As [`FileDisk::open`], with other system calls.
    ///
    /// # Errors
    /// As [`FileDisk::open`].
    pub fn over(root: &Path, kernel: Arc<dyn Kernel>) -> Result<FileDisk, DiskError> {
        Ok(FileDisk::open_locked(root, None, kernel)?.0)
    }

    /// The disk below a directory that is locked by the file of this name, and what tells whether it is still in
    /// its place.
    pub(crate) fn open_locked(
        path: &Path,
        lock: Option<(&str, BorrowedFd<'_>)>,
        kernel: Arc<dyn Kernel>,
    ) -> Result<(FileDisk, Root), DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = kernel.open(CWD, path, flags, Mode::empty()).map_err(failure::disk_error)?;
        let place = Root::new(path, root.as_fd(), lock).map_err(failure::disk_error)?;
        let disk = FileDisk {
            ground: Arc::new(Ground::new(kernel, root, lock.is_some().then(|| place.clone()))),
            files: BTreeMap::new(),
            folders: Folders::default(),
            bytes: VecDeque::new(),
            names: VecDeque::new(),
            long: VecDeque::new(),
            bulk: VecDeque::new(),
            name_in_flight: false,
            long_in_flight: false,
            in_flight: 0,
            done: VecDeque::new(),
        };
        Ok((disk, place))
    }

    /// How many tasks this worker could take now.
    #[must_use]
    pub fn ready(&self, worker: Worker) -> usize {
        let name = usize::from(!self.name_in_flight && !self.names.is_empty());
        let long = usize::from(worker == Worker::Lane && !self.long_in_flight && !self.long.is_empty());
        self.bytes.len() + self.bulk.len() + name + long
    }

    /// How many tasks were taken and not finished.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The next operation to carry out outside the lock.
    pub fn take(&mut self, worker: Worker) -> Option<Task> {
        let mut task = self.take_queued(worker)?;
        match task.kind {
            TaskKind::Bytes | TaskKind::Bulk | TaskKind::DirectorySync => {}
            TaskKind::Name => self.name_in_flight = true,
            TaskKind::Long { .. } => self.long_in_flight = true,
        }
        match &mut task.work {
            Work::Open { path, folder, .. } => *folder = path.parent().and_then(|parent| self.folders.find(&parent)),
            Work::SyncDirectory { path, folder } => *folder = self.folders.find(path),
            _ => {}
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
        if let Some(task) = self.bulk.pop_front() {
            return Some(task);
        }
        if worker == Worker::Lane && !self.long_in_flight { self.take_long() } else { None }
    }

    /// The shortest one, unless that has happened too often to the first: a small database does not wait until
    /// a large one is done, and none waits for ever.
    fn take_long(&mut self) -> Option<Task> {
        let size = |task: &Task| match task.kind {
            TaskKind::Long { bytes, .. } => bytes,
            TaskKind::Bytes | TaskKind::Bulk | TaskKind::Name | TaskKind::DirectorySync => 0,
        };
        let shortest = (0..self.long.len()).min_by_key(|index| size(&self.long[*index]))?;
        let first = self.long.front_mut()?;
        match &mut first.kind {
            TaskKind::Long { passed, .. } if shortest > 0 && *passed < PASSED_MAX => *passed += 1,
            _ => return self.long.pop_front(),
        }
        self.long.remove(shortest)
    }

    /// Takes a task back that was carried out. [`Disk::poll`] delivers its completion.
    pub fn finish(&mut self, finished: Finished) {
        let Finished { kind, end, change } = finished;
        match kind {
            TaskKind::Bytes | TaskKind::Bulk | TaskKind::DirectorySync => {}
            TaskKind::Name => self.name_in_flight = false,
            TaskKind::Long { .. } => self.long_in_flight = false,
        }
        match change {
            Some(Change::Opened { id, file, path, folder }) => {
                if let (Some(folder), Some(parent)) = (&folder, path.parent()) {
                    self.folders.keep(parent, folder, self.files.len());
                }
                let open = OpenFile { file: Arc::new(file), folder, unsynced_bytes: 0 };
                let earlier = self.files.insert(id, open);
                assert!(earlier.is_none(), "the engine never uses a file id twice");
            }
            Some(Change::Found { path, folder }) => self.folders.keep(path, &folder, self.files.len()),
            Some(Change::Moved(paths)) => paths.iter().for_each(|path| self.folders.forget(path)),
            None => {}
        }
        self.in_flight -= 1;
        match end {
            End::Done(completion) => self.done.push_back(completion),
            End::Continues(task) => self.long.push_back(task),
        }
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
            TaskKind::Bulk => &mut self.bulk,
            TaskKind::Name | TaskKind::DirectorySync => &mut self.names,
            TaskKind::Long { .. } => &mut self.long,
        };
        queue.push_back(Task { id, kind, ground: Arc::clone(&self.ground), work });
    }

    fn submit_read(&mut self, id: OpId, file: FileId, offset: u64, bytes: u32, bulk: bool) {
        let file = self.share(file);
        if bulk {
            return self.push(id, TaskKind::Bulk, Work::Read { file, offset, bytes });
        }
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

    /// Much to do is left to the lanes.
    fn kind_of(bytes: u64) -> TaskKind {
        if bytes > ALLOCATE_BRIEFLY_BYTES_MAX { TaskKind::Long { bytes, passed: 0 } } else { TaskKind::Bytes }
    }
}

impl Disk for FileDisk {
    fn submit(&mut self, id: OpId, op: DiskOp) {
        match op {
            DiskOp::Open { file, path, mode } => {
                self.push(id, TaskKind::Name, Work::Open { file, path, mode, folder: None });
            }
            DiskOp::Close { file } => {
                let file = self.files.remove(&file).expect("the engine closes files that are open");
                self.push(id, TaskKind::Bytes, Work::Close { file });
            }
            DiskOp::MakeDirectory { path } => self.push(id, TaskKind::Name, Work::MakeDirectory { path }),
            DiskOp::Read { file, offset, bytes, bulk } => self.submit_read(id, file, offset, bytes, bulk),
            DiskOp::Write { file, offset, buffers } => {
                let file = self.share(file);
                self.push(id, TaskKind::Bytes, Work::Write { file, offset, buffers });
            }
            DiskOp::Allocate { file, offset, bytes } => {
                let open = self.open_file(file);
                let file = Arc::clone(&open.file);
                open.unsynced_bytes += bytes;
                self.push(id, FileDisk::kind_of(bytes), Work::Allocate { file, offset, bytes });
            }
            DiskOp::Length { file } => {
                let file = self.share(file);
                self.push(id, TaskKind::Bytes, Work::Length { file });
            }
            DiskOp::Sync { file } => {
                let open = self.open_file(file);
                let file = Arc::clone(&open.file);
                let folder = open.folder.clone();
                let kind = FileDisk::kind_of(std::mem::take(&mut open.unsynced_bytes));
                self.push(id, kind, Work::Sync { file, folder });
            }
            DiskOp::List { path, after, limit } => {
                self.push(id, TaskKind::Name, Work::List { path, after, limit });
            }
            DiskOp::Rename { from, to, replace } => {
                self.push(id, TaskKind::Name, Work::Rename { from, to, replace });
            }
            DiskOp::Link { from, to } => self.push(id, TaskKind::Name, Work::Link { from, to }),
            DiskOp::Unlink { path } => self.push(id, TaskKind::Name, Work::Unlink { path }),
            DiskOp::SyncDirectory { path } => {
                self.push(id, TaskKind::DirectorySync, Work::SyncDirectory { path, folder: None });
            }
            DiskOp::FreeSpace => self.push(id, TaskKind::Bytes, Work::FreeSpace),
        }
    }

    fn poll(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }
}
