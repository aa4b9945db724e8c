//! The socket file: where it is, who may use it, and whose it is.
//!
//! Owns the path from binding to removal. Called only while the lock of the data directory is held,
//! so a socket that nobody answers on is a leftover and may be replaced. It never removes anything that
//! is not a socket, nor a socket that someone listens on.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Owner and group may talk to the daemon; the group is how access is given.
const SOCKET_MODE: u32 = 0o660;

/// A bound socket. Dropping it removes the file if it is still this one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// `<DATA_DIR>.sock`, beside the data directory: the directory itself holds only what the engine put there.
///
/// # Errors
/// The data directory has no name to put `.sock` behind, or cannot be found.
pub(crate) fn default_path(data_dir: &Path) -> io::Result<PathBuf> {
    // `.` and `..` have no name of their own; the resolved path has.
    let resolved = fs::canonicalize(data_dir)?;
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

/// Binds `path` with mode 0660, replacing a leftover.
///
/// The socket is made under another name, given its mode, and renamed: nobody ever meets it with a
/// looser mode, and a leftover is replaced in one step.
///
/// # Errors
/// Something else is at `path`, someone listens there, or the operating system refuses.
pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    refuse_unless_replaceable(path)?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    refuse_unless_replaceable(&unfinished)?;
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    let installed = fs::set_permissions(&unfinished, fs::Permissions::from_mode(SOCKET_MODE))
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
    // This data directory is locked, so a live listener belongs to the daemon of another one.
    if UnixStream::connect(path).is_ok() {
        let text = format!("another process is listening on {}", path.display());
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
        let (_listener, file) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, SOCKET_MODE);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_socket_or_is_alive_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        fs::write(&path, "precious").unwrap();
        assert!(bind(&path).unwrap_err().to_string().contains("is not a socket"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let live = dir.path().join("live.sock");
        let (_listener, _file) = bind(&live).unwrap();
        assert_eq!(bind(&live).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&live).unwrap();
    }

    #[test]
    fn the_default_is_beside_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        assert_eq!(default_path(&data).unwrap(), dir.path().join("data.sock"));
        assert_eq!(default_path(&data.join("")).unwrap(), dir.path().join("data.sock"));
    }
}
