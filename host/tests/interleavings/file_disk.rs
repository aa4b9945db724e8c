//! A disk in memory with the interface of `host/src/file_disk.rs`: the same queues, the same order of names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docdb_engine::{Buffer, Completion, Disk, DiskError, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};

use crate::world::world;

const SPACE_BYTES: u64 = 1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    Caller,
    Lane,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bytes,
    Name,
    Long,
}

type Bytes = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct Tree {
    files: BTreeMap<String, Bytes>,
    directories: BTreeSet<String>,
    open: BTreeMap<FileId, Bytes>,
}

pub(crate) struct Task {
    id: OpId,
    kind: Kind,
    op: DiskOp,
    tree: Arc<Mutex<Tree>>,
}

pub(crate) struct Finished {
    completion: Completion,
    kind: Kind,
}

#[derive(Default)]
pub(crate) struct FileDisk {
    tree: Arc<Mutex<Tree>>,
    bytes: VecDeque<Task>,
    names: VecDeque<Task>,
    long: VecDeque<Task>,
    name_in_flight: bool,
    long_in_flight: bool,
    in_flight: usize,
    done: VecDeque<Completion>,
}

fn whole<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileDisk {
    pub(crate) fn ready(&self, worker: Worker) -> usize {
        let name = usize::from(!self.name_in_flight && !self.names.is_empty());
        let long = usize::from(worker == Worker::Lane && !self.long_in_flight && !self.long.is_empty());
        self.bytes.len() + name + long
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn take(&mut self, worker: Worker) -> Option<Task> {
        let name = if self.name_in_flight { None } else { self.names.pop_front() };
        let long = |disk: &mut FileDisk| {
            if worker == Worker::Lane && !disk.long_in_flight { disk.long.pop_front() } else { None }
        };
        let task = name.or_else(|| self.bytes.pop_front()).or_else(|| long(self))?;
        self.name_in_flight |= task.kind == Kind::Name;
        self.long_in_flight |= task.kind == Kind::Long;
        self.in_flight += 1;
        Some(task)
    }

    pub(crate) fn finish(&mut self, finished: Finished) {
        match finished.kind {
            Kind::Bytes => {}
            Kind::Name => self.name_in_flight = false,
            Kind::Long => self.long_in_flight = false,
        }
        self.in_flight -= 1;
        self.done.push_back(finished.completion);
    }
}

impl Disk for FileDisk {
    fn submit(&mut self, id: OpId, op: DiskOp) {
        let (kind, queue) = match &op {
            DiskOp::Allocate { .. } => (Kind::Long, &mut self.long),
            DiskOp::Open { .. }
            | DiskOp::MakeDirectory { .. }
            | DiskOp::List { .. }
            | DiskOp::Rename { .. }
            | DiskOp::Link { .. }
            | DiskOp::Unlink { .. }
            | DiskOp::SyncDirectory { .. } => (Kind::Name, &mut self.names),
            _ => (Kind::Bytes, &mut self.bytes),
        };
        queue.push_back(Task { id, kind, op, tree: Arc::clone(&self.tree) });
    }

    fn poll(&mut self) -> Option<Completion> {
        self.done.pop_front()
    }
}

impl Task {
    pub(crate) fn run(self) -> Finished {
        // Anything may happen before an operation takes effect, and between that and its completion.
        shuttle::thread::yield_now();
        if matches!(self.op, DiskOp::Sync { .. }) {
            world().wait_for_sync();
        }
        let result = whole(&self.tree).run(self.op);
        shuttle::thread::yield_now();
        Finished { completion: Completion { id: self.id, result }, kind: self.kind }
    }
}

fn fault() -> bool {
    let world = world();
    let faults = world.faults.get();
    world.faults.set(faults.saturating_sub(1));
    faults > 0
}

impl Tree {
    fn run(&mut self, op: DiskOp) -> Result<DiskReply, DiskError> {
        let error = |kind| Err(DiskError::new(kind));
        let index = |number: u64| usize::try_from(number).expect("files are small here");
        match op {
            DiskOp::Open { .. } | DiskOp::Write { .. } if fault() => return error(DiskErrorKind::Transient),
            DiskOp::Open { file, path, mode } => {
                let found = self.files.get(path.as_str()).cloned();
                let bytes = match (mode, found) {
                    (OpenMode::CreateNew, Some(_)) => return error(DiskErrorKind::Exists),
                    (OpenMode::CreateNew, None) => Arc::clone(self.files.entry(path.as_str().into()).or_default()),
                    (_, Some(bytes)) => bytes,
                    (_, None) => return error(DiskErrorKind::NotFound),
                };
                self.open.insert(file, bytes);
            }
            DiskOp::Close { file } => drop(self.open.remove(&file)),
            DiskOp::MakeDirectory { path } => {
                if !self.directories.insert(path.as_str().into()) {
                    return error(DiskErrorKind::Exists);
                }
            }
            DiskOp::Read { file, offset, bytes, bulk: _ } => {
                let content = whole(&self.open[&file]);
                let from = index(offset).min(content.len());
                let to = (from + bytes as usize).min(content.len());
                return Ok(DiskReply::Data(Buffer::from(content[from..to].to_vec())));
            }
            DiskOp::Write { file, offset, buffers } => {
                let mut content = whole(&self.open[&file]);
                let mut at = index(offset);
                for buffer in buffers {
                    let end = at + buffer.len();
                    if content.len() < end {
                        content.resize(end, 0);
                    }
                    content[at..end].copy_from_slice(buffer.as_slice());
                    at = end;
                }
                return Ok(DiskReply::Written(at as u64 - offset));
            }
            DiskOp::Allocate { file, offset, bytes } => {
                let mut content = whole(&self.open[&file]);
                let end = index(offset + bytes);
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[index(offset)..end].fill(0);
            }
            DiskOp::Length { file } => return Ok(DiskReply::Length(whole(&self.open[&file]).len() as u64)),
            DiskOp::List { path, after, limit } => {
                let within = |name: &String| {
                    let inner = match path.as_str() {
                        "" => Some(name.as_str()),
                        path => name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')),
                    };
                    inner.filter(|inner| !inner.contains('/')).map(Arc::from)
                };
                if !path.as_str().is_empty() && !self.directories.contains(path.as_str()) {
                    return error(DiskErrorKind::NotFound);
                }
                let all: BTreeSet<Arc<str>> = self.files.keys().chain(&self.directories).filter_map(within).collect();
                let names = all.into_iter().filter(|name| **name > *after).take(limit as usize).collect();
                return Ok(DiskReply::Names(names));
            }
            DiskOp::Rename { from, to, replace } => {
                if self.files.contains_key(to.as_str()) && !replace {
                    return error(DiskErrorKind::Exists);
                }
                let Some(bytes) = self.files.remove(from.as_str()) else { return error(DiskErrorKind::NotFound) };
                self.files.insert(to.as_str().into(), bytes);
            }
            DiskOp::Link { from, to } => {
                if self.files.contains_key(to.as_str()) {
                    return error(DiskErrorKind::Exists);
                }
                let Some(bytes) = self.files.get(from.as_str()) else { return error(DiskErrorKind::NotFound) };
                let bytes = Arc::clone(bytes);
                self.files.insert(to.as_str().into(), bytes);
            }
            DiskOp::Unlink { path } => {
                let is_there = self.files.remove(path.as_str()).is_some() || self.directories.remove(path.as_str());
                if !is_there {
                    return error(DiskErrorKind::NotFound);
                }
            }
            DiskOp::FreeSpace => return Ok(DiskReply::Space(SPACE_BYTES)),
            DiskOp::Sync { .. } | DiskOp::SyncDirectory { .. } => {}
        }
        Ok(DiskReply::Done)
    }
}
