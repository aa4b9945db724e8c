//! The machine's clocks, as the engine wants them: plain nanoseconds.
//!
//! Owns the moment that counts as zero. Never sleeps and never wakes anyone.

use docdb_engine::{Clock, Instant, WallTime};

/// The operating system's monotonic and wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic zero is now.
    #[must_use]
    pub(crate) fn new() -> SystemClock {
        SystemClock { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallTime {
        // A clock set before 1970 reads as 1970: wall time is shown to people and never ordered by.
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        WallTime(u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX))
    }
}
