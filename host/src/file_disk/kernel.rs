//! The system calls that change the disk, or take a descriptor: the one seam under the adapter.
//!
//! Every such call of [`FileDisk`](super::FileDisk), and of taking the data directory, goes through here; looking
//! at things does not. [`System`] makes the calls and nothing else. A test puts another one in its place,
//! which records what is asked, or leaves something out to see that it is missed.
//!
//! A call that a signal interrupted is made again: it did not get to its end, so nothing of it failed.

use std::fmt::Debug;
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

/// What is asked of the operating system. Each method makes its call unless it is overridden.
pub trait Kernel: Debug + Send + Sync {
    /// Opens or makes a file, or opens a directory.
    ///
    /// # Errors
    /// As `openat`.
    fn open(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        retry_on_intr(|| rustix::fs::openat(at, path, flags, mode))
    }

    /// Takes one more descriptor, which is good for nothing but to be given back.
    ///
    /// # Errors
    /// As `fcntl(F_DUPFD_CLOEXEC)`.
    fn duplicate(&self, of: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(of, 0)
    }

    /// Writes buffers one behind the other; says how many bytes were taken.
    ///
    /// # Errors
    /// As `pwritev`.
    fn write(&self, file: BorrowedFd<'_>, buffers: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
        retry_on_intr(|| rustix::io::pwritev(file, buffers, offset))
    }

    /// Makes a file's bytes and length durable.
    ///
    /// # Errors
    /// As `fdatasync`.
    fn sync_file(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::fdatasync(file))
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As `fsync`.
    fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::fsync(directory))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As `mkdirat`.
    fn make_directory(&self, at: BorrowedFd<'_>, path: &Path, mode: Mode) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::mkdirat(at, path, mode))
    }

    /// Renames.
    ///
    /// # Errors
    /// As `renameat2`.
    fn rename(&self, at: BorrowedFd<'_>, from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
        retry_on_intr(|| {
            if flags.is_empty() {
                rustix::fs::renameat(at, from, at, to)
            } else {
                rustix::fs::renameat_with(at, from, at, to, flags)
            }
        })
    }

    /// Gives a file a second name.
    ///
    /// # Errors
    /// As `linkat`.
    fn link(&self, at: BorrowedFd<'_>, from: &Path, to: &Path) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::linkat(at, from, at, to, AtFlags::empty()))
    }

    /// Removes a name.
    ///
    /// # Errors
    /// As `unlinkat`.
    fn unlink(&self, at: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> Result<(), Errno> {
        retry_on_intr(|| rustix::fs::unlinkat(at, path, flags))
    }
}

/// The operating system itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Kernel for System {}
