//! Time, as the engine knows it: it arrives with every input and is never asked for.

use std::fmt;

/// Nanoseconds of a clock that never goes back, since a moment that means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `nanoseconds` later; the end of time when that overflows.
    #[must_use]
    pub const fn after(self, nanoseconds: u64) -> Instant {
        Instant(self.0.saturating_add(nanoseconds))
    }
}

/// Nanoseconds since 1970-01-01 UTC. May step both ways; never used to order anything.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

impl fmt::Debug for WallTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WallTime({} ns)", self.0)
    }
}

/// Both clocks, read together by the driver before each input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For delays.
    pub monotonic: Instant,
    /// For what people read.
    pub wall: WallTime,
}

/// Where the driver reads the time.
pub trait Clock {
    /// Never goes back.
    fn monotonic(&self) -> Instant;
    /// May step.
    fn wall(&self) -> WallTime;

    /// Both at once.
    fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: self.wall() }
    }
}
