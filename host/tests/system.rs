//! The calls behind the seam are made. What records calls stands above it, so nothing else would notice that `System` says
//! yes and does nothing: everything acknowledged would be in the cache alone.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

#[allow(dead_code, reason = "not every test needs all of it")]
mod support;

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use docdb::internals::{Kernel, System};
use docdb_engine::{Buffer, DiskOp, DiskReply, FileId, OpenMode};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use support::{Direct, path};

/// Linux refuses to sync what no device stores, so a call that is not refused has not been made.
#[test]
fn a_sync_asks_the_kernel() {
    let (pipe, _writer) = std::io::pipe().unwrap();
    assert_eq!(System.sync_file(pipe.as_fd()), Err(Errno::INVAL));
    assert_eq!(System.sync_directory(pipe.as_fd()), Err(Errno::INVAL));
    let folder = tempfile::tempdir().unwrap();
    let root = File::open(folder.path()).unwrap();
    assert_eq!(System.sync_directory(root.as_fd()), Ok(()));
    assert_eq!(System.sync_file(tempfile::tempfile().unwrap().as_fd()), Ok(()));
}

/// A call that replaces what it was not to replace, or makes what was to be there, loses somebody's file.
#[test]
fn names_are_changed_as_they_are_asked_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let root = File::open(folder.path()).unwrap();
    let at = root.as_fd();
    let (one, two) = (Path::new("one"), Path::new("two"));
    let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    System.open(at, one, new, Mode::RUSR).unwrap();
    assert_eq!(System.open(at, one, new, Mode::RUSR).map(drop), Err(Errno::EXIST));
    assert_eq!(System.link(at, one, two), Ok(()));
    assert_eq!(System.link(at, one, two), Err(Errno::EXIST));
    assert_eq!(System.rename(at, one, two, RenameFlags::NOREPLACE), Err(Errno::EXIST));
    assert_eq!(System.unlink(at, one, AtFlags::empty()), Ok(()));
    assert_eq!(System.rename(at, one, two, RenameFlags::empty()), Err(Errno::NOENT));
    assert_eq!(System.make_directory(at, one, Mode::RWXU), Ok(()));
    assert_eq!(System.make_directory(at, one, Mode::RWXU), Err(Errno::EXIST));
    assert_eq!(System.unlink(at, one, AtFlags::REMOVEDIR), Ok(()));
}

/// Takes half of the first write, and remembers how often it was asked.
#[derive(Debug, Default)]
struct Half(AtomicUsize);

impl Kernel for Half {
    fn write(&self, file: BorrowedFd<'_>, buffers: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
        let is_first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let taken = if is_first { &buffers[..buffers.len() / 2] } else { buffers };
        System.write(file, taken, offset)
    }
}

/// What comes behind a short write would stand behind a hole, and the engine would hear of a whole one.
#[test]
fn behind_a_short_write_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = Arc::new(Half::default());
    let over: Arc<dyn Kernel> = kernel.clone();
    let mut disk = Direct::over(folder.path(), over);
    let open = DiskOp::Open { file: FileId(1), path: path("a"), mode: OpenMode::CreateNew };
    disk.run(open).unwrap();
    let buffers: Vec<Buffer> = (0..3000).map(|_| Buffer::from(b"1234".to_vec())).collect();
    let written = disk.run(DiskOp::Write { file: FileId(1), offset: 0, buffers }).unwrap();
    assert_eq!(written, DiskReply::Written(4 * 512), "what the kernel took, and no more");
    assert_eq!(kernel.0.load(Ordering::SeqCst), 1);
    assert_eq!(disk.run(DiskOp::Length { file: FileId(1) }).unwrap(), DiskReply::Length(4 * 512));
}
