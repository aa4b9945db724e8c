//! The socket file: where it is, who may use it, and whose it is.
//!
//! Owns the path from binding to removal. Binding is called only while the lock of the data directory is held,
//! so a socket that nobody answers on is a leftover and may be replaced. It never removes anything that
//! is not a socket, nor a socket that someone listens on. [`check`] says beforehand what would be wrong, and makes nothing.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Gid;

use crate::peer::Allowed;

/// The path of a socket has at most so many bytes, on Linux, besides the zero behind it.
const PATH_BYTES_MAX: usize = 107;

/// Behind the path while the socket is not ready.
const UNFINISHED: &str = ".new";

/// Who may use the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The mode of its file: whom it lets in.
    pub mode: u32,
    /// Its group; the process's own when `None`.
    pub group: Option<u32>,
    /// Of those, whom the daemon serves.
    pub allowed: Allowed,
}

impl Default for Access {
    /// Owner and group may talk to the daemon; the group is how access is given.
    fn default() -> Access {
        Access { mode: 0o660, group: None, allowed: Allowed::default() }
    }
}

/// A bound socket. Dropping it removes the file if it is still this one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// `<DATA_DIR>.sock`, beside the data directory: the directory itself holds only what the engine put there. The
/// directory need not be there yet.
///
/// # Errors
/// The data directory has no name to put `.sock` behind, or cannot be found.
pub(crate) fn default_path(data_dir: &Path) -> io::Result<PathBuf> {
    // `.` and `..` have no name of their own; the resolved path has.
    let resolved = match fs::canonicalize(data_dir) {
        Ok(resolved) => resolved,
        Err(error) if error.kind() == io::ErrorKind::NotFound && data_dir.file_name().is_some() => data_dir.to_owned(),
        Err(error) => return Err(error),
    };
    let Some(name) = resolved.file_name() else {
        return Err(io::Error::other("the data directory is the root; name a socket with --socket"));
    };
    let mut socket: OsString = name.to_owned();
    socket.push(".sock");
    // The user reads what the user typed, where that has a name.
    match data_dir.file_name() {
        Some(_) => Ok(data_dir.with_file_name(socket)),
        None => Ok(resolved.with_file_name(socket)),
    }
}

/// Whether `path` could be bound now. Changes nothing.
///
/// # Errors
/// As of [`bind`]. Between the two others may be at work, so both look.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    let bytes = path.as_os_str().len() + UNFINISHED.len();
    if bytes > PATH_BYTES_MAX {
        let most = PATH_BYTES_MAX - UNFINISHED.len();
        let text = format!(
            "its path has {} bytes and may have {most}; name a shorter one with --socket",
            path.as_os_str().len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    refuse_unless_replaceable(path)?;
    refuse_unless_replaceable(&unfinished(path))
}

/// Binds `path` with mode and group, replacing a leftover.
///
/// The socket is made under another name, given its mode, and renamed: nobody ever meets it with a
/// looser mode, and a leftover is replaced in one step.
///
/// # Errors
/// Something else is at `path`, someone listens there, or the operating system refuses.
pub(crate) fn bind(path: &Path, access: &Access) -> io::Result<(UnixListener, SocketFile)> {
    check(path)?;
    let unfinished = unfinished(path);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    let installed = give(&unfinished, access)
        .and_then(|()| fs::symlink_metadata(&unfinished))
        .and_then(|metadata| fs::rename(&unfinished, path).map(|()| (metadata.dev(), metadata.ino())));
    match installed {
        Ok(identity) => Ok((listener, SocketFile { path: path.to_owned(), identity })),
        Err(error) => {
            let _ = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    PathBuf::from(unfinished)
}

/// The group first: the mode may let a group in that is not to have it.
fn give(path: &Path, access: &Access) -> io::Result<()> {
    if let Some(group) = access.group {
        rustix::fs::chown(path, None, Some(Gid::from_raw(group))).map_err(|errno| {
            let text = format!("it cannot be given to group {group}: {errno}; the process has to be in that group");
            io::Error::new(errno.kind(), text)
        })?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode))
}

fn refuse_unless_replaceable(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let text = format!("{} exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    // The lock of the data directory says who has that; a live listener may be the daemon of another one.
    if let Ok(listener) = UnixStream::connect(path) {
        let who = match rustix::net::sockopt::socket_peercred(&listener) {
            Ok(credentials) => format!("process {}", credentials.pid.as_raw_nonzero()),
            Err(_) => "another process".to_owned(),
        };
        let text = format!("{who} is listening on {}; name another socket with --socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    Ok(())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own =
            fs::symlink_metadata(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_own {
            // A leftover does no harm: the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_is_replaced_and_the_mode_is_0660() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, file) = bind(&path, &Access::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_socket_or_is_alive_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        fs::write(&path, "precious").unwrap();
        assert!(bind(&path, &Access::default()).unwrap_err().to_string().contains("is not a socket"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let live = dir.path().join("live.sock");
        let (_listener, _file) = bind(&live, &Access::default()).unwrap();
        assert_eq!(check(&live).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let said = bind(&live, &Access::default()).unwrap_err().to_string();
        assert!(said.starts_with(&format!("process {} is listening on ", std::process::id())), "{said}");
        UnixStream::connect(&live).unwrap();
    }

    #[test]
    fn mode_and_group_are_those_that_are_configured() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let own = fs::metadata(dir.path()).unwrap().gid();
        let access = Access { mode: 0o600, group: Some(own), ..Access::default() };
        let (_listener, _file) = bind(&path, &access).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o7777, metadata.gid()), (0o600, own));
    }

    #[test]
    fn a_path_that_is_too_long_is_said_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(104));
        let said = check(&path).unwrap_err().to_string();
        assert!(said.contains("may have 103; name a shorter one"), "{said}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_default_is_beside_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        assert_eq!(default_path(&data).unwrap(), dir.path().join("data.sock"));
        assert_eq!(default_path(&data.join("")).unwrap(), dir.path().join("data.sock"));
        // Also before there is a directory.
        assert_eq!(default_path(&dir.path().join("new")).unwrap(), dir.path().join("new.sock"));
        default_path(&dir.path().join("new/..")).unwrap_err();
    }
}
