//! The directories that are kept open, so that syncing one never needs a descriptor that is not there any more.
//!
//! A directory is open for as long as a file in it is; so are the ones right below the data directory, and the few
//! that were used last. A path may come to name another directory, so every use compares first: see
//! [`names::sync_directory`](super::names::sync_directory).

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use docdb_engine::DiskPath;
use rustix::io::{Errno, retry_on_intr};

use super::ground::{Identity, LookedAt};

/// Directories right below the data directory that stay open: there is one, `db`.
const TOP_MAX: usize = 4;

/// Directories that stay open for having been used last: a creation's, before its file is open.
const RECENT_MAX: usize = 4;

/// Entries of closed directories are dropped when there are this many more than directories could be open.
const CLOSED_MAX: usize = 64;

/// An open directory.
#[derive(Debug)]
pub(super) struct Folder {
    directory: OwnedFd,
    /// What it was opened as.
    pub(super) path: DiskPath,
    pub(super) identity: Identity,
    /// When its path was compared with it last.
    pub(super) looked_at: LookedAt,
    /// Whether the engine itself renamed or removed it: its path says nothing of it any more.
    moved: AtomicBool,
}

impl Folder {
    pub(super) fn new(directory: OwnedFd, path: DiskPath) -> Result<Folder, Errno> {
        let identity = retry_on_intr(|| rustix::fs::fstat(&directory))?.into();
        Ok(Folder { directory, path, identity, looked_at: LookedAt::default(), moved: AtomicBool::new(false) })
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved.load(Ordering::Relaxed)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Folders {
    known: BTreeMap<DiskPath, Weak<Folder>>,
    top: Vec<Arc<Folder>>,
    recent: VecDeque<Arc<Folder>>,
}

impl Folders {
    /// The directory that was open under this path when it was last used.
    pub(super) fn find(&self, path: &DiskPath) -> Option<Arc<Folder>> {
        self.known.get(path)?.upgrade()
    }

    /// Notes an open directory.
    pub(super) fn keep(&mut self, path: DiskPath, folder: &Arc<Folder>, files: usize) {
        if self.known.len() > files + CLOSED_MAX {
            self.known.retain(|_, folder| folder.strong_count() > 0);
        }
        let is_top = path.parent().is_some_and(|parent| parent == DiskPath::root());
        self.known.insert(path, Arc::downgrade(folder));
        if is_top && self.top.len() < TOP_MAX {
            self.top.push(Arc::clone(folder));
        }
        self.recent.push_back(Arc::clone(folder));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// The path, and what is below it, may name something else from now on.
    pub(super) fn forget(&mut self, path: &DiskPath) {
        let below = format!("{path}/");
        // Names that begin alike lie between the two, hence not one range.
        let gone: Vec<DiskPath> = self
            .known
            .range(path.clone()..)
            .map(|(known, _)| known)
            .take_while(|known| known.as_str().starts_with(path.as_str()))
            .filter(|known| *known == path || known.as_str().starts_with(&below))
            .cloned()
            .collect();
        for path in gone {
            let Some(folder) = self.known.remove(&path).and_then(|folder| folder.upgrade()) else { continue };
            folder.moved.store(true, Ordering::Relaxed);
            self.top.retain(|other| !Arc::ptr_eq(other, &folder));
            self.recent.retain(|other| !Arc::ptr_eq(other, &folder));
        }
    }
}
