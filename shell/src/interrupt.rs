//! Ctrl-C while a command runs: noticed here, and asked about by whatever takes long.
//!
//! Nobody is interrupted before [`Interrupt::watch`] was called, which only a session at a terminal does: in a script
//! the signal ends the process, as it ends others.
//!
//! Waiting for a file or a socket goes through [`Patient`], which looks at the flag while it waits. It never gives up
//! for any other reason, and it never takes the signal for an answer: what was asked may have happened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long a wait may last before the flag is looked at again. A signal ends the wait at once; this is for the one that
/// arrives between the look and the wait.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Whether the person at the terminal wants the running command to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C sets the flag and does nothing else.
    pub(crate) fn watch(&self) -> io::Result<()> {
        signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&self.0)).map(|_| ())
    }

    /// Forgets what was asked for before this command.
    pub(crate) fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the running command is to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Opens a file for [`Patient`]: a pipe that nobody writes to yet can be waited for, and the wait be interrupted.
///
/// # Errors
/// Of the system, and of a directory.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag is a small number");
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
}

/// A file or socket in non-blocking mode, read and written as if it blocked, until there is an interrupt.
#[derive(Debug)]
pub(crate) struct Patient<F> {
    file: F,
    interrupt: Interrupt,
}

impl<F: AsFd> Patient<F> {
    pub(crate) fn new(file: F, interrupt: &Interrupt) -> Patient<F> {
        Patient { file, interrupt: interrupt.clone() }
    }

    pub(crate) fn get_ref(&self) -> &F {
        &self.file
    }

    fn wait(&self, event: PollFlags) -> io::Result<()> {
        loop {
            if self.interrupt.is_set() {
                return Err(io::Error::other("interrupted"));
            }
            match poll(&mut [PollFd::new(&self.file, event)], Some(&LOOK_AGAIN)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn retried(
        &mut self,
        event: PollFlags,
        mut transfer: impl FnMut(&mut F) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.wait(event)?;
            match transfer(&mut self.file) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                transferred => return transferred,
            }
        }
    }
}

impl<F: AsFd + Read> Read for Patient<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retried(PollFlags::IN, |file| file.read(buffer))
    }
}

impl<F: AsFd + Write> Write for Patient<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retried(PollFlags::OUT, |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
