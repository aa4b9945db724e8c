//! How many descriptors this process may have, and how many of them connections get.
//!
//! Owns nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Standard streams, the runtime's, the sockets that are listened on, `LOCK`, the data directory, what is kept back: with
/// fewer the daemon does not start.
pub const DESCRIPTORS_MIN: u64 = 24;

/// Raises the process's limit of descriptors to the highest that it may have, and says what it is.
pub fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // A limit that cannot be raised is one to live with.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum.or(current), maximum });
    limit()
}

/// How many descriptors this process may have now.
#[must_use]
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections leave enough descriptors for the files of open databases under this limit: half of what the
/// process does not need for itself, and at least one.
#[must_use]
pub(crate) fn connections_max(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(DESCRIPTORS_MIN) / 2).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_is_left_goes_to_connections() {
        assert_eq!(connections_max(1024), 500);
        assert_eq!(connections_max(64), 20);
        assert_eq!(connections_max(3), 1);
        assert_eq!(connections_max(u64::MAX), (usize::MAX - 24) / 2);
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert!(raise_descriptor_limit() == hard || limit() > 0, "{hard}");
        assert_eq!(limit(), raise_descriptor_limit());
    }
}
