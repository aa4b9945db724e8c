//! What every operation of one disk stands on: the system's calls, the data directory, and descriptors kept back.
//!
//! Owns the data directory's descriptor and what it is known by. A descriptor to finish what was begun is taken
//! beforehand: an operation that begins something is refused while the reserve is not full, one that goes on with
//! something may use it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::folders::Folder;
use super::kernel::Kernel;

/// Descriptors kept back: the file of a next segment, its folder, a catalog, and one more.
const DESCRIPTORS_RESERVED: usize = 4;

/// While files are synced one after the other, the data directory and a file's folder are looked for this often: looking
/// takes longer than all else that DocDB does for a commit.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(20);

/// Which file it is, among all that exist at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl From<Stat> for Identity {
    fn from(stat: Stat) -> Identity {
        Identity { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// The data directory as it was found, and the file in it that is locked.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    /// Absolute, since the process may go elsewhere.
    path: PathBuf,
    directory: Identity,
    lock: Option<(PathBuf, Identity)>,
}

impl Root {
    /// The directory at `path`, which is open as `directory`, with the file `lock` in it.
    pub(crate) fn new(
        path: &Path,
        directory: BorrowedFd<'_>,
        lock: Option<(&str, BorrowedFd<'_>)>,
    ) -> Result<Root, Errno> {
        let path = std::path::absolute(path).map_err(|_| Errno::NOENT)?;
        let directory = rustix::fs::fstat(directory)?.into();
        let lock = match lock {
            Some((name, file)) => Some((path.join(name), rustix::fs::fstat(file)?.into())),
            None => None,
        };
        Ok(Root { path, directory, lock })
    }

    /// `STALE` when the path names another directory by now, or none, or its lock is another file: what is written
    /// here then, nobody will ever find, or two processes write it.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        names(&self.path, self.directory)?;
        self.lock.as_ref().map_or(Ok(()), |(path, identity)| names(path, *identity))
    }
}

fn names(path: &Path, expected: Identity) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::fs::statat(CWD, path, AtFlags::empty())) {
        Ok(stat) if Identity::from(stat) == expected => Ok(()),
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Err(Errno::STALE),
        // That it cannot be looked at says nothing about it.
        Err(_) => Ok(()),
    }
}

/// When a directory was looked for last, in nanoseconds since the [`Ground`] was made; zero for never.
#[derive(Debug, Default)]
pub(super) struct LookedAt(AtomicU64);

/// See the module.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) kernel: Arc<dyn Kernel>,
    root: OwnedFd,
    place: Option<Root>,
    /// The beginning of the time that [`LookedAt`] counts.
    began: Instant,
    looked_at: LookedAt,
    reserve: Mutex<Vec<OwnedFd>>,
}

impl Ground {
    pub(super) fn new(kernel: Arc<dyn Kernel>, root: OwnedFd, place: Option<Root>) -> Ground {
        let (began, looked_at) = (Instant::now(), LookedAt::default());
        let ground = Ground { kernel, root, place, began, looked_at, reserve: Mutex::default() };
        // Where there are none, the first operation that needs them is refused and says so.
        let _ = ground.fill_reserve();
        ground
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Whether what is durable here will be found where it is looked for. See [`Root::check`].
    pub(super) fn check(&self) -> Result<(), Errno> {
        self.place.as_ref().map_or(Ok(()), Root::check)
    }

    /// As [`Ground::check`], and the same of the folder that the synced file is in, unless that was done
    /// [a moment ago](LOOKED_FOR_EVERY). In a folder that was removed or replaced nobody will find the file.
    pub(super) fn check_now_and_then(&self, folder: Option<&Folder>) -> Result<(), Errno> {
        let Some(root) = &self.place else { return Ok(()) };
        self.now_and_then(&self.looked_at, || root.check())?;
        // What the engine moved itself is where the engine knows it to be.
        let Some(folder) = folder.filter(|folder| !folder.has_moved()) else { return Ok(()) };
        self.now_and_then(&folder.looked_at, || names(&root.path.join(folder.path.as_str()), folder.identity))
    }

    fn now_and_then(&self, looked_at: &LookedAt, look: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let now_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let looked_at_ns = looked_at.0.load(Ordering::Relaxed);
        if looked_at_ns != 0 && Duration::from_nanos(now_ns.saturating_sub(looked_at_ns)) < LOOKED_FOR_EVERY {
            return Ok(());
        }
        look()?;
        looked_at.0.store(now_ns.max(1), Ordering::Relaxed);
        Ok(())
    }

    /// Fills the reserve, or fails as the system does. An operation that begins something calls this first.
    pub(super) fn fill_reserve(&self) -> Result<(), Errno> {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        while reserve.len() < DESCRIPTORS_RESERVED {
            reserve.push(self.kernel.duplicate(self.root.as_fd())?);
        }
        Ok(())
    }

    /// Opens below the data directory, with a descriptor of the reserve when `goes_on` and there is no other.
    pub(super) fn open(&self, path: &Path, flags: OFlags, mode: Mode, goes_on: bool) -> Result<OwnedFd, Errno> {
        loop {
            let opened = self.kernel.open(self.root.as_fd(), path, flags, mode);
            match opened {
                Err(Errno::MFILE) if goes_on && self.give_back_one() => {}
                _ => return opened,
            }
        }
    }

    fn give_back_one(&self) -> bool {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner).pop().is_some()
    }
}
