//! What an error number of the operating system means to the engine.

use docdb_engine::{DiskError, DiskErrorKind};
use rustix::io::Errno;

/// Sorts an error number into the kinds the engine acts on; the number travels along for people.
pub(super) fn disk_error(errno: Errno) -> DiskError {
    let kind = match errno {
        Errno::NOSPC | Errno::DQUOT => DiskErrorKind::NoSpace,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => DiskErrorKind::Permission,
        Errno::AGAIN | Errno::TIMEDOUT | Errno::BUSY => DiskErrorKind::Transient,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => DiskErrorKind::Shortage,
        Errno::NOENT => DiskErrorKind::NotFound,
        Errno::EXIST => DiskErrorKind::Exists,
        // Of the checks in `ground`, and of network file systems, for which it means the same.
        Errno::STALE => DiskErrorKind::Gone,
        _ => DiskErrorKind::Io,
    };
    DiskError { kind, os_code: errno.raw_os_error() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_fall_into_the_kinds_the_engine_acts_on() {
        for (errno, kind) in [
            (Errno::NOSPC, DiskErrorKind::NoSpace),
            (Errno::DQUOT, DiskErrorKind::NoSpace),
            (Errno::ACCESS, DiskErrorKind::Permission),
            (Errno::ROFS, DiskErrorKind::Permission),
            (Errno::BUSY, DiskErrorKind::Transient),
            (Errno::MFILE, DiskErrorKind::Shortage),
            (Errno::NFILE, DiskErrorKind::Shortage),
            (Errno::NOMEM, DiskErrorKind::Shortage),
            (Errno::NOENT, DiskErrorKind::NotFound),
            (Errno::EXIST, DiskErrorKind::Exists),
            (Errno::STALE, DiskErrorKind::Gone),
            (Errno::IO, DiskErrorKind::Io),
            (Errno::LOOP, DiskErrorKind::Io),
        ] {
            assert_eq!(disk_error(errno).kind, kind, "{errno:?}");
            assert_eq!(disk_error(errno).os_code, errno.raw_os_error());
        }
    }
}
