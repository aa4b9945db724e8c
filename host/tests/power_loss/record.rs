//! The seam that writes down what is asked of it.
//!
//! Owns the record: calls with their bytes, in the order in which they began and ended, and between them what
//! clients asked and were answered. Files and directories are nodes, known by device and inode, so that a call
//! on a wrong descriptor is seen as what it is. Syncs are written down and answered, not made.

use std::collections::HashMap;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use docdb::internals::{Kernel, System};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// A file or directory.
pub(crate) type Node = u64;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) directory: Node,
    pub(crate) name: String,
}

/// A change of names; it is done when it is written down.
#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    CreateFile(Place, Node),
    MakeDirectory(Place, Node),
    Rename(Place, Place),
    Link(Place, Place),
    Unlink(Place),
}

/// What clients asked and were answered.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    /// A transaction of one writer, who has no other one open.
    Asked { writer: usize, database: &'static str, changes: Vec<Changed> },
    /// That transaction is acknowledged.
    Answered { writer: usize },
    /// The database was opened, and was created if there was none.
    Created { database: &'static str },
    /// The data directory was closed.
    Closed,
}

/// A document's collection and id, and what it becomes.
pub(crate) type Changed = ((&'static str, u64), Option<Vec<u8>>);

/// One line of the record.
#[derive(Clone)]
pub(crate) enum Entry {
    WriteBegun {
        node: Node,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Of the write that began at this line; so many bytes were taken.
    WriteEnded {
        begun: usize,
        taken: usize,
    },
    SyncBegun {
        node: Node,
    },
    SyncEnded {
        begun: usize,
        succeeded: bool,
    },
    DirectorySyncBegun {
        node: Node,
    },
    DirectorySyncEnded {
        begun: usize,
    },
    Name(NameChange),
    Told(Word),
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entry::WriteBegun { node, offset, bytes } => {
                write!(formatter, "write of {} bytes at {offset} of {node}", bytes.len())
            }
            Entry::WriteEnded { begun, taken } => write!(formatter, "write {begun} took {taken}"),
            Entry::SyncBegun { node } => write!(formatter, "sync of {node}"),
            Entry::SyncEnded { begun, succeeded } => write!(formatter, "sync {begun} ended, {succeeded}"),
            Entry::DirectorySyncBegun { node } => write!(formatter, "directory sync of {node}"),
            Entry::DirectorySyncEnded { begun } => write!(formatter, "directory sync {begun} ended"),
            Entry::Name(change) => write!(formatter, "{change:?}"),
            Entry::Told(Word::Asked { writer, database, changes }) => {
                let keys: Vec<_> = changes.iter().map(|(key, _)| key).collect();
                write!(formatter, "{writer} asks {database} for {keys:?}")
            }
            Entry::Told(word) => write!(formatter, "{word:?}"),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    nodes: HashMap<(u64, u64), Node>,
    names: HashMap<Node, String>,
    nodes_made: Node,
    log_writes: u32,
    log_syncs: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<State>);

/// Each so manieth write of a batch is short: one alone might fall on a proof, which no answer rests on.
const SHORT_WRITE_EVERY: u32 = 11;
/// This sync of an active log fails. It falls on the commits of the first session.
const FAILED_SYNC: u32 = 31;

impl Recorder {
    /// What is below `base`, which is there and durable, is recorded; `base` is node 0.
    pub(crate) fn new(base: &Path) -> Recorder {
        let stat = rustix::fs::stat(base).unwrap();
        let state = State { nodes: HashMap::from([((stat.st_dev, stat.st_ino), 0)]), ..State::default() };
        Recorder(Mutex::new(state))
    }

    pub(crate) fn tell(&self, word: Word) {
        self.state().entries.push(Entry::Told(word));
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn push(&mut self, entry: Entry) -> usize {
        self.entries.push(entry);
        self.entries.len() - 1
    }

    fn name(&mut self, change: NameChange) {
        match &change {
            NameChange::CreateFile(place, node) | NameChange::MakeDirectory(place, node) => {
                self.names.insert(*node, place.name.clone());
            }
            NameChange::Rename(..) | NameChange::Link(..) | NameChange::Unlink(_) => {}
        }
        self.push(Entry::Name(change));
    }

    /// The node that this is; what was not made through here gets one of its own.
    fn node(&mut self, stat: Stat) -> Node {
        if let Some(node) = self.nodes.get(&(stat.st_dev, stat.st_ino)) {
            return *node;
        }
        self.made(stat)
    }

    /// A new node, whatever had its inode before.
    fn made(&mut self, stat: Stat) -> Node {
        self.nodes_made += 1;
        self.nodes.insert((stat.st_dev, stat.st_ino), self.nodes_made);
        self.nodes_made
    }

    fn place(&mut self, at: BorrowedFd<'_>, path: &Path) -> Place {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = self.node(rustix::fs::statat(at, parent, AtFlags::empty()).unwrap());
        Place { directory, name: path.file_name().unwrap().to_str().unwrap().to_owned() }
    }

    /// Whether it is the log in use: a spare is renamed twice before.
    fn is_log(&self, file: BorrowedFd<'_>, node: Node) -> bool {
        let target = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)));
        let is_active = target.is_ok_and(|target| target.extension().is_some_and(|extension| extension == "wal"));
        is_active && self.names.contains_key(&node)
    }
}

impl Kernel for Recorder {
    fn open(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let file = System.open(at, path, flags, mode)?;
        if flags.contains(OFlags::CREATE) {
            assert!(flags.contains(OFlags::EXCL), "otherwise nobody knows whether the name is new");
            let mut state = self.state();
            let place = state.place(at, path);
            let node = state.made(rustix::fs::fstat(&file)?);
            state.name(NameChange::CreateFile(place, node));
        }
        Ok(file)
    }

    fn write(&self, file: BorrowedFd<'_>, buffers: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
        let mut bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        let begun = {
            let mut state = self.state();
            let node = state.node(rustix::fs::fstat(file)?);
            // A batch: a header stands in front, and zero-filling begins with a zero. Of a creation neither may be short, which
            // refuses it.
            let is_batch = offset > 0 && bytes.first().is_some_and(|first| *first != 0);
            if is_batch && state.is_log(file, node) {
                state.log_writes += 1;
                if state.log_writes.is_multiple_of(SHORT_WRITE_EVERY) {
                    bytes.truncate(bytes.len() / 2);
                }
            }
            state.push(Entry::WriteBegun { node, offset, bytes: bytes.clone() })
        };
        let taken = System.write(file, &[IoSlice::new(&bytes)], offset)?;
        self.state().push(Entry::WriteEnded { begun, taken });
        Ok(taken)
    }

    fn sync_file(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut state = self.state();
        let node = state.node(rustix::fs::fstat(file)?);
        let begun = state.push(Entry::SyncBegun { node });
        let mut succeeded = true;
        if state.is_log(file, node) {
            state.log_syncs += 1;
            succeeded = state.log_syncs != FAILED_SYNC;
        }
        drop(state);
        // Others may write meanwhile: what they write is not covered.
        std::thread::yield_now();
        self.state().push(Entry::SyncEnded { begun, succeeded });
        if succeeded { Ok(()) } else { Err(Errno::IO) }
    }

    fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut state = self.state();
        let node = state.node(rustix::fs::fstat(directory)?);
        let begun = state.push(Entry::DirectorySyncBegun { node });
        drop(state);
        std::thread::yield_now();
        self.state().push(Entry::DirectorySyncEnded { begun });
        Ok(())
    }

    fn make_directory(&self, at: BorrowedFd<'_>, path: &Path, mode: Mode) -> Result<(), Errno> {
        System.make_directory(at, path, mode)?;
        let mut state = self.state();
        let place = state.place(at, path);
        let node = state.made(rustix::fs::statat(at, path, AtFlags::empty())?);
        state.name(NameChange::MakeDirectory(place, node));
        Ok(())
    }

    fn rename(&self, at: BorrowedFd<'_>, from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
        System.rename(at, from, to, flags)?;
        let mut state = self.state();
        let places = (state.place(at, from), state.place(at, to));
        state.name(NameChange::Rename(places.0, places.1));
        Ok(())
    }

    fn link(&self, at: BorrowedFd<'_>, from: &Path, to: &Path) -> Result<(), Errno> {
        System.link(at, from, to)?;
        let mut state = self.state();
        let places = (state.place(at, from), state.place(at, to));
        state.name(NameChange::Link(places.0, places.1));
        Ok(())
    }

    fn unlink(&self, at: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> Result<(), Errno> {
        System.unlink(at, path, flags)?;
        let mut state = self.state();
        let place = state.place(at, path);
        state.name(NameChange::Unlink(place));
        Ok(())
    }
}

/// The directory `path`, made through `kernel` as a user would make it: nobody syncs its name.
pub(crate) fn make_by_hand(kernel: &dyn Kernel, path: &Path) {
    kernel.make_directory(CWD.as_fd(), path, Mode::from_raw_mode(0o750)).unwrap();
}
