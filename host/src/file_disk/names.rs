//! Names below the data directory: opening, making, listing, renaming, linking, removing, syncing.
//!
//! Every path is resolved from the directory that was opened once, so that nothing done to the
//! directories above it leads elsewhere; a symbolic link in the last place is refused.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use docdb_engine::{DiskPath, DiskReply, OpenMode};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::folders::Folder;
use super::ground::{Ground, Identity};

/// The owner writes, the group reads, others see nothing.
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
/// As [`FILE_MODE`], for directories.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o750);

/// How the operating system wants the data directory itself spelled.
fn spelled(path: &DiskPath) -> &Path {
    Path::new(if path.as_str().is_empty() { "." } else { path.as_str() })
}

/// An open file, with the directory it is in when that is not the data directory.
pub(super) type Opened = (File, Option<Arc<Folder>>);

/// `folder` is the directory that the file is in, when it is open already.
pub(super) fn open(
    ground: &Ground,
    path: &DiskPath,
    mode: OpenMode,
    folder: Option<Arc<Folder>>,
) -> Result<Opened, Errno> {
    let access = match mode {
        OpenMode::Read => OFlags::RDONLY,
        OpenMode::Write => OFlags::RDWR,
        OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
    };
    let goes_on = mode != OpenMode::Read;
    if !goes_on {
        ground.fill_reserve()?;
    }
    // First, so that a file that is made can be made durable.
    let folder = match path.parent().filter(|parent| *parent != DiskPath::root()) {
        None => None,
        Some(parent) if folder.as_deref().is_some_and(|folder| is_at(ground, folder, &parent)) => folder,
        Some(parent) => match open_directory(ground, &parent, goes_on) {
            Ok(folder) => Some(Arc::new(Folder::new(folder, parent)?)),
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(errno),
            // The file's own opening says what is wrong.
            Err(_) => None,
        },
    };
    // Opening what is no file must not wait either, for example for a pipe's other end.
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = ground.open(spelled(path), flags, FILE_MODE, goes_on)?;
    let stat = retry_on_intr(|| rustix::fs::fstat(&file))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ISDIR);
    }
    Ok((file.into(), folder))
}

fn open_directory(ground: &Ground, path: &DiskPath, goes_on: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    ground.open(spelled(path), flags, Mode::empty(), goes_on)
}

/// The new directory is kept open: what is made in it has to be made durable.
pub(super) fn make_directory(ground: &Ground, path: &DiskPath) -> Result<Arc<Folder>, Errno> {
    ground.fill_reserve()?;
    ground.kernel.make_directory(ground.root(), spelled(path), DIRECTORY_MODE)?;
    match open_directory(ground, path, false) {
        Ok(folder) => Ok(Arc::new(Folder::new(folder, path.clone())?)),
        Err(errno) => {
            // As if nothing had been asked. One that stays is a leftover that the engine knows how to treat.
            let _ = ground.kernel.unlink(ground.root(), spelled(path), AtFlags::REMOVEDIR);
            Err(errno)
        }
    }
}

/// The `limit` smallest names greater than `after`; a directory of any size costs no more memory than that.
pub(super) fn list(ground: &Ground, path: &DiskPath, after: &str, limit: u32) -> Result<DiskReply, Errno> {
    ground.fill_reserve()?;
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    for entry in Dir::new(open_directory(ground, path, false)?)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." || name <= after {
            continue;
        }
        if names.len() >= limit as usize && names.last().is_none_or(|last| name >= &**last) {
            continue;
        }
        names.insert(name.into());
        if names.len() > limit as usize {
            names.pop_last();
        }
    }
    Ok(DiskReply::Names(names.into_iter().collect()))
}

/// Replaces files alone, and by files alone: directories are never replaced, not even empty ones.
pub(super) fn rename(ground: &Ground, from: &DiskPath, to: &DiskPath, replace: bool) -> Result<DiskReply, Errno> {
    let replaces = replace && !is_directory(ground, from);
    let renamed = if replaces {
        ground.kernel.rename(ground.root(), spelled(from), spelled(to), RenameFlags::empty())
    } else {
        rename_to_free(ground, spelled(from), spelled(to))
    };
    match renamed {
        Ok(()) => Ok(DiskReply::Done),
        Err(Errno::ISDIR) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}

/// Not every file system can refuse to replace a name in one step (EINVAL), nor every kernel (ENOSYS). Looking first
/// is as good there: nobody but this process changes names below the directory while it holds its lock, and
/// this process changes them one at a time. A second name and the removal of the first would be two changes, of
/// which a crash could leave one.
fn rename_to_free(ground: &Ground, from: &Path, to: &Path) -> Result<(), Errno> {
    match ground.kernel.rename(ground.root(), from, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        renamed => return renamed,
    }
    match stat(ground, to) {
        // What is to be renamed is missed first, as the one step does.
        Ok(_) if stat(ground, from).is_ok() => return Err(Errno::EXIST),
        Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(errno) => return Err(errno),
    }
    ground.kernel.rename(ground.root(), from, to, RenameFlags::empty())
}

fn stat(ground: &Ground, path: &Path) -> Result<Stat, Errno> {
    retry_on_intr(|| rustix::fs::statat(ground.root(), path, AtFlags::SYMLINK_NOFOLLOW))
}

fn is_directory(ground: &Ground, path: &DiskPath) -> bool {
    let stat = stat(ground, spelled(path));
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

pub(super) fn link(ground: &Ground, from: &DiskPath, to: &DiskPath) -> Result<DiskReply, Errno> {
    // Said before the new name is looked at, as the simulated disk does.
    if is_directory(ground, from) {
        return Err(Errno::PERM);
    }
    ground.kernel.link(ground.root(), spelled(from), spelled(to))?;
    Ok(DiskReply::Done)
}

pub(super) fn unlink(ground: &Ground, path: &DiskPath) -> Result<DiskReply, Errno> {
    let flags = if is_directory(ground, path) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match ground.kernel.unlink(ground.root(), spelled(path), flags) {
        Ok(()) => Ok(DiskReply::Done),
        // DocDB removes no mount point, as it removes no folder with something in it.
        Err(Errno::NOTEMPTY | Errno::BUSY) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}

/// Syncs the directory that the path names now. `folder` is the one that it named before, if it is open; another
/// one that had to be opened is returned.
pub(super) fn sync_directory(
    ground: &Ground,
    path: &DiskPath,
    folder: Option<&Arc<Folder>>,
) -> Result<Option<Arc<Folder>>, Errno> {
    if *path == DiskPath::root() {
        ground.kernel.sync_directory(ground.root())?;
        return Ok(None);
    }
    if let Some(folder) = folder.filter(|folder| is_at(ground, folder, path)) {
        ground.kernel.sync_directory(folder.as_fd())?;
        return Ok(None);
    }
    let folder = Arc::new(Folder::new(open_directory(ground, path, true)?, path.clone())?);
    ground.kernel.sync_directory(folder.as_fd())?;
    Ok(Some(folder))
}

/// Whether the path names this directory. Folders of databases are removed and made anew under the same name.
fn is_at(ground: &Ground, folder: &Folder, path: &DiskPath) -> bool {
    stat(ground, spelled(path)).is_ok_and(|named| Identity::from(named) == folder.identity)
}

pub(super) fn free_space(ground: &Ground) -> Result<DiskReply, Errno> {
    let space = retry_on_intr(|| rustix::fs::fstatvfs(ground.root()))?;
    Ok(DiskReply::Space(space.f_bavail.saturating_mul(space.f_frsize)))
}
