//! Mistakes that an adapter could make, put between it and the recorder.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};

use docdb::internals::Kernel;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::record::Recorder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    NoFileSync,
    NoDirectorySync,
    /// The first sync of each file is left out.
    NewFileNotSynced,
    /// The file that was synced before is synced once more.
    OtherFileSynced,
    /// The directory that was synced first is synced each time.
    OtherDirectorySynced,
    /// A write is answered before it is made, and made behind the next sync.
    AnsweredBeforeWritten,
    FailedSyncTriedAgain,
    ShortWriteToldWhole,
    /// Of several buffers the last is written only when it comes alone.
    LastBufferLeftOut,
    /// Only every second sync of a file is made.
    EverySecondSync,
}

impl Mistake {
    pub(crate) const ALL: [Mistake; 10] = [
        Mistake::NoFileSync,
        Mistake::NoDirectorySync,
        Mistake::NewFileNotSynced,
        Mistake::OtherFileSynced,
        Mistake::OtherDirectorySynced,
        Mistake::AnsweredBeforeWritten,
        Mistake::FailedSyncTriedAgain,
        Mistake::ShortWriteToldWhole,
        Mistake::LastBufferLeftOut,
        Mistake::EverySecondSync,
    ];
}

#[derive(Debug, Default)]
struct State {
    synced: Vec<u64>,
    other: Option<OwnedFd>,
    directory: Option<OwnedFd>,
    unwritten: Option<(OwnedFd, Vec<u8>, u64)>,
    syncs: u64,
}

/// A kernel whose adapter makes one mistake all the time.
#[derive(Debug)]
pub(crate) struct Mistaken {
    recorder: Arc<Recorder>,
    mistake: Mistake,
    state: Mutex<State>,
}

impl Mistaken {
    pub(crate) fn new(recorder: Arc<Recorder>, mistake: Mistake) -> Mistaken {
        Mistaken { recorder, mistake, state: Mutex::default() }
    }

    fn write_now(&self) -> Result<(), Errno> {
        let unwritten = self.state.lock().unwrap().unwritten.take();
        unwritten.map_or(Ok(()), |(file, bytes, offset)| {
            self.recorder.write(file.as_fd(), &[IoSlice::new(&bytes)], offset).map(drop)
        })
    }
}

impl Kernel for Mistaken {
    fn open(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        self.recorder.open(at, path, flags, mode)
    }

    fn write(&self, file: BorrowedFd<'_>, buffers: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
        let all: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        match self.mistake {
            Mistake::AnsweredBeforeWritten => {
                self.write_now()?;
                let bytes = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
                let file = file.try_clone_to_owned().map_err(|_| Errno::IO)?;
                self.state.lock().unwrap().unwritten = Some((file, bytes, offset));
                Ok(all)
            }
            Mistake::ShortWriteToldWhole => self.recorder.write(file, buffers, offset).map(|_| all),
            Mistake::LastBufferLeftOut if buffers.len() > 1 => {
                self.recorder.write(file, &buffers[..buffers.len() - 1], offset).map(|_| all)
            }
            _ => self.recorder.write(file, buffers, offset),
        }
    }

    fn sync_file(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.mistake {
            Mistake::NoFileSync => Ok(()),
            Mistake::NewFileNotSynced => {
                let inode = rustix::fs::fstat(file)?.st_ino;
                let is_first = {
                    let mut state = self.state.lock().unwrap();
                    let is_first = !state.synced.contains(&inode);
                    state.synced.push(inode);
                    is_first
                };
                if is_first { Ok(()) } else { self.recorder.sync_file(file) }
            }
            Mistake::OtherFileSynced => {
                let this = file.try_clone_to_owned().map_err(|_| Errno::IO)?;
                let before = self.state.lock().unwrap().other.replace(this);
                before.map_or(Ok(()), |before| self.recorder.sync_file(before.as_fd()))
            }
            Mistake::AnsweredBeforeWritten => {
                self.recorder.sync_file(file)?;
                self.write_now()
            }
            Mistake::FailedSyncTriedAgain => self.recorder.sync_file(file).or_else(|_| self.recorder.sync_file(file)),
            Mistake::EverySecondSync => {
                let count = {
                    let mut state = self.state.lock().unwrap();
                    state.syncs += 1;
                    state.syncs
                };
                if count.is_multiple_of(2) { Ok(()) } else { self.recorder.sync_file(file) }
            }
            _ => self.recorder.sync_file(file),
        }
    }

    fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.mistake {
            Mistake::NoDirectorySync => Ok(()),
            Mistake::OtherDirectorySynced => {
                let this = directory.try_clone_to_owned().map_err(|_| Errno::IO)?;
                let first = {
                    let mut state = self.state.lock().unwrap();
                    state.directory.get_or_insert(this).try_clone().map_err(|_| Errno::IO)?
                };
                self.recorder.sync_directory(first.as_fd())
            }
            _ => self.recorder.sync_directory(directory),
        }
    }

    fn make_directory(&self, at: BorrowedFd<'_>, path: &Path, mode: Mode) -> Result<(), Errno> {
        self.recorder.make_directory(at, path, mode)
    }

    fn rename(&self, at: BorrowedFd<'_>, from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
        self.recorder.rename(at, from, to, flags)
    }

    fn link(&self, at: BorrowedFd<'_>, from: &Path, to: &Path) -> Result<(), Errno> {
        self.recorder.link(at, from, to)
    }

    fn unlink(&self, at: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> Result<(), Errno> {
        self.recorder.unlink(at, path, flags)
    }
}
