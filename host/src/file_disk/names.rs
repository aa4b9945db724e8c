//! Names below the data directory: opening, making, listing, renaming, linking, removing, syncing.
//!
//! Every path is resolved from the directory that was opened once, so that nothing done to the
//! directories above it can lead us elsewhere; a symbolic link in the last place is refused.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use docdb_engine::{DiskPath, DiskReply, OpenMode};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

/// The owner writes, the group reads, others see nothing.
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
/// As [`FILE_MODE`], for directories.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o750);

/// How the operating system wants the data directory itself spelled.
fn text(path: &DiskPath) -> &str {
    if path.as_str().is_empty() { "." } else { path.as_str() }
}

pub(super) fn open(root: &OwnedFd, path: &DiskPath, mode: OpenMode) -> Result<File, Errno> {
    let access = match mode {
        OpenMode::Read => OFlags::RDONLY,
        OpenMode::Write => OFlags::RDWR,
        OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
    };
    // Opening what is no file must not wait either, for example for a pipe's other end.
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = retry_on_intr(|| rustix::fs::openat(root, text(path), flags, FILE_MODE))?;
    let stat = retry_on_intr(|| rustix::fs::fstat(&file))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ISDIR);
    }
    Ok(file.into())
}

fn open_directory(root: &OwnedFd, path: &DiskPath) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    retry_on_intr(|| rustix::fs::openat(root, text(path), flags, Mode::empty()))
}

pub(super) fn make_directory(root: &OwnedFd, path: &DiskPath) -> Result<DiskReply, Errno> {
    retry_on_intr(|| rustix::fs::mkdirat(root, text(path), DIRECTORY_MODE))?;
    Ok(DiskReply::Done)
}

/// The `limit` smallest names greater than `after`; a directory of any size costs no more memory than that.
pub(super) fn list(root: &OwnedFd, path: &DiskPath, after: &str, limit: u32) -> Result<DiskReply, Errno> {
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    for entry in Dir::new(open_directory(root, path)?)? {
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
pub(super) fn rename(root: &OwnedFd, from: &DiskPath, to: &DiskPath, replace: bool) -> Result<DiskReply, Errno> {
    let flags = if replace && !is_directory(root, from) { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    match retry_on_intr(|| rustix::fs::renameat_with(root, text(from), root, text(to), flags)) {
        Ok(()) => Ok(DiskReply::Done),
        Err(Errno::ISDIR) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}

fn is_directory(root: &OwnedFd, path: &DiskPath) -> bool {
    let stat = rustix::fs::statat(root, text(path), AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

pub(super) fn link(root: &OwnedFd, from: &DiskPath, to: &DiskPath) -> Result<DiskReply, Errno> {
    // Said before the new name is looked at, as the simulated disk does.
    if is_directory(root, from) {
        return Err(Errno::PERM);
    }
    retry_on_intr(|| rustix::fs::linkat(root, text(from), root, text(to), AtFlags::empty()))?;
    Ok(DiskReply::Done)
}

pub(super) fn unlink(root: &OwnedFd, path: &DiskPath) -> Result<DiskReply, Errno> {
    let flags = if is_directory(root, path) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    match retry_on_intr(|| rustix::fs::unlinkat(root, text(path), flags)) {
        Ok(()) => Ok(DiskReply::Done),
        // A mount point is as little ours to remove as a folder with something in it.
        Err(Errno::NOTEMPTY | Errno::BUSY) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}

pub(super) fn sync_directory(root: &OwnedFd, path: &DiskPath) -> Result<DiskReply, Errno> {
    let directory = open_directory(root, path)?;
    retry_on_intr(|| rustix::fs::fsync(&directory))?;
    Ok(DiskReply::Done)
}

pub(super) fn free_space(root: &OwnedFd) -> Result<DiskReply, Errno> {
    let space = retry_on_intr(|| rustix::fs::fstatvfs(root))?;
    Ok(DiskReply::Space(space.f_bavail.saturating_mul(space.f_frsize)))
}
