//! The data directory's door: is it DocDB's, is it free, and does this version know its format?
//!
//! Owns the file `LOCK`, held exclusively while the process uses the directory. The order is: look,
//! changing nothing; make the directory if there is none; lock; read the catalog's version. Nothing
//! else in the directory is touched before the lock is held, and a directory that is not DocDB's never is.
//!
//! `LOCK` is never removed: a process that had it open would lock a file that nobody else can find.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use docdb_engine::{CATALOG_HEADER_OFFSETS, CATALOG_MAGIC, FORMAT_VERSION};
use docdb_protocol::{Error, ErrorCode};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::file_disk::kernel::Kernel;

/// The file that is locked.
const LOCK: &str = "LOCK";
/// Names the databases; only a data directory of DocDB has one.
const CATALOG: &str = "catalog";
/// What else may lie in a data directory that has no catalog yet, or none any more.
const NAMES: [&str; 5] = [CATALOG, "catalog.new", "catalog.damaged", "db", LOCK];

/// Behind the magic stand the length of the header and the version.
const CATALOG_VERSION_END: usize = CATALOG_MAGIC.len() + 2 * size_of::<u32>();

/// The owner changes things, the group may look.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o750);

/// The part of the holder's pid and program that is read back.
const HOLDER_BYTES_MAX: usize = 256;

/// The lock on a data directory; dropping it lets the next process in.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Looks at `path`, makes it if needed, locks it, and checks that this version knows its format.
    pub(crate) fn take(path: &Path, program: &str, kernel: &dyn Kernel) -> Result<DirectoryLock, Error> {
        look(path)?;
        check_format(path)?;
        if path.is_dir() {
            keep_name(path, kernel)?;
        } else {
            make(path, kernel)?;
        }
        let lock = lock(path, program)?;
        // Again, since another process may have been at work until this one had the lock.
        look(path)?;
        check_format(path)?;
        Ok(lock)
    }

    /// The file that is locked, and its name in the directory.
    pub(crate) fn file(&self) -> (&str, BorrowedFd<'_>) {
        (LOCK, self.file.as_fd())
    }
}

/// Changes nothing; refuses a directory in which anything lies that is not DocDB's.
fn look(path: &Path) -> Result<(), Error> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(foreign_directory(path, "it is not a directory"));
        }
        Err(error) => return Err(failed(path, "read the directory", &error)),
    };
    let mut foreign = None;
    for entry in entries {
        let name = entry.map_err(|error| failed(path, "read the directory", &error))?.file_name();
        if name == CATALOG {
            // One whose magic is damaged is still DocDB's when the databases' folder stands beside it.
            let catalog = path.join(CATALOG);
            return if is_file(&catalog)? && (is_catalog(&catalog)? || path.join("db").is_dir()) {
                Ok(())
            } else {
                Err(foreign_directory(path, "its file \"catalog\" is not DocDB's"))
            };
        }
        if name == LOCK && !is_lock(&path.join(LOCK))? {
            // An error that names another foreign file says more.
            foreign.get_or_insert(name);
            continue;
        }
        if !NAMES.iter().any(|own| name == *own) {
            foreign = Some(name);
        }
    }
    match foreign {
        None => Ok(()),
        Some(name) => Err(foreign_directory(path, &format!("it has no catalog, but holds {name:?}"))),
    }
}

/// Whether it is a plain file: opening a pipe would wait for ever for somebody to write into it.
fn is_file(path: &Path) -> Result<bool, Error> {
    let metadata = std::fs::symlink_metadata(path).map_err(|error| failed(path, "look at", &error))?;
    Ok(metadata.is_file())
}

/// Whether a catalog's magic stands in either copy of its header.
fn is_catalog(catalog: &Path) -> Result<bool, Error> {
    let read = || {
        let file = File::open(catalog)?;
        let mut magic = [0; CATALOG_MAGIC.len()];
        let is_at = |offset| file.read_exact_at(&mut magic, offset).is_ok() && magic == *CATALOG_MAGIC;
        Ok(CATALOG_HEADER_OFFSETS.into_iter().any(is_at))
    };
    read().map_err(|error| failed(catalog, "read the catalog", &error))
}

/// Whether a file `LOCK` may be DocDB's: empty, or beginning with a pid.
fn is_lock(lock: &Path) -> Result<bool, Error> {
    if !is_file(lock)? {
        return Ok(false);
    }
    let read = || {
        let file = File::open(lock)?;
        let mut first = [0];
        Ok(file.read_at(&mut first, 0)? == 0 || first[0].is_ascii_digit())
    };
    read().map_err(|error| failed(lock, "read the lock", &error))
}

fn foreign_directory(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::NotADataDirectory).detail(format!(
        "{}: {why}; nothing was changed; give an empty directory, or one that does not exist yet",
        path.display()
    ))
}

/// Makes the directory and those above it, each one's name durable before anything is put into it.
fn make(path: &Path, kernel: &dyn Kernel) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(failed(path, "create the directory", &std::io::ErrorKind::NotFound.into())),
    };
    make(parent, kernel)?;
    match kernel.make_directory(CWD, path, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(path, "create the directory", &errno.into())),
    }
    sync(parent, kernel).map_err(|errno| failed(parent, "sync the directory", &errno.into()))
}

/// The name of a directory that is there already may not be durable: the process that made it may have died before it was.
fn keep_name(path: &Path, kernel: &dyn Kernel) -> Result<(), Error> {
    let parent = path.join("..");
    match sync(&parent, kernel) {
        // A process that may not read the directory above cannot sync it: its user has to make the name durable.
        Ok(()) | Err(Errno::ACCESS | Errno::PERM) => Ok(()),
        Err(errno) => Err(failed(&parent, "sync the directory", &errno.into())),
    }
}

fn sync(directory: &Path, kernel: &dyn Kernel) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = kernel.open(CWD, directory, flags, Mode::empty())?;
    kernel.sync_directory(directory.as_fd())
}

fn lock(path: &Path, program: &str) -> Result<DirectoryLock, Error> {
    let lock_path = path.join(LOCK);
    let flags = i32::try_from((OFlags::CLOEXEC | OFlags::NOFOLLOW).bits()).expect("the flags are small bits");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .custom_flags(flags)
        .open(&lock_path)
        .map_err(|error| failed(&lock_path, "open the lock", &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let holder = holder(&file);
            let advice = if holder.starts_with(&format!("process {} ", std::process::id())) {
                // In another container it may have the same number.
                "if that is this process, clone its DocDb; else stop it first"
            } else {
                "stop that process first"
            };
            return Err(Error::new(ErrorCode::DirectoryLocked)
                .detail(format!("{} is held by {holder}; {advice}", path.display())));
        }
        Err(errno) => return Err(failed(&lock_path, "lock", &errno.into())),
    }
    // For people alone: the lock itself is the kernel's, and ends with the process whatever the file says.
    let holder = format!("{} {program}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.write_all_at(holder.as_bytes(), 0));
    match written {
        // A full disk must not keep anyone from opening what can still be read.
        Err(error) if !is_shortage(&error) => Err(failed(&lock_path, "write the lock", &error)),
        _ => Ok(DirectoryLock { file }),
    }
}

/// Whether there was no space, of the device or of this user's share.
fn is_shortage(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn holder(file: &File) -> String {
    let mut bytes = [0; HOLDER_BYTES_MAX];
    let count = file.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    match text.trim().split_once(' ') {
        Some((pid, program)) => format!("process {pid} ({program})"),
        None => "another process".to_owned(),
    }
}

/// Refuses a catalog of a later version. Anything else that is wrong with it is the engine's to judge.
fn check_format(path: &Path) -> Result<(), Error> {
    let catalog_path = path.join(CATALOG);
    let file = match File::open(&catalog_path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(failed(&catalog_path, "open the catalog", &error));
        }
        Err(_) => return Ok(()),
    };
    let [first, second] = CATALOG_HEADER_OFFSETS;
    let Some(version) = version_at(&file, first).filter(|version| *version > FORMAT_VERSION) else { return Ok(()) };
    if version_at(&file, second).is_some_and(|version| version <= FORMAT_VERSION) {
        // Damage: the other copy, which lies elsewhere in a later format, is DocDB's.
        return Ok(());
    }
    Err(Error::new(ErrorCode::NewerFormat).detail(format!(
        "{} has format version {version}, this program reads versions up to {FORMAT_VERSION}; nothing was changed; \
         use a newer program",
        path.display()
    )))
}

/// The format version that a copy of the catalog names; `None` without its magic.
fn version_at(catalog: &File, offset: u64) -> Option<u32> {
    let mut header = [0; CATALOG_VERSION_END];
    catalog.read_exact_at(&mut header, offset).ok()?;
    let (_, version) = header.strip_prefix(CATALOG_MAGIC)?.split_last_chunk()?;
    Some(u32::from_le_bytes(*version))
}

fn failed(path: &Path, what: &str, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorCode::PermissionDenied,
        _ if is_shortage(error) => ErrorCode::DiskFull,
        _ => ErrorCode::FileOpen,
    };
    let advice = match code {
        ErrorCode::PermissionDenied => "; give this user access, or run it as the user who has it",
        ErrorCode::DiskFull => "; make room and try again",
        _ => "",
    };
    Error::new(code).detail(format!("cannot {what} {}: {error}{advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_that_is_used_up_is_a_full_disk() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert!(is_shortage(&errno.into()), "{errno:?}");
        }
        assert!(!is_shortage(&Errno::IO.into()));
    }
}
