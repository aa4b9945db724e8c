//! The simulated clock: it moves when the scheduler says so, and only then.
//!
//! The monotonic clock never goes back; the wall clock may step both ways.

use docdb_engine::{Clock, Instant, WallTime};

/// Both clocks of the simulated machine.
#[derive(Clone, Copy, Debug)]
pub struct SimClock {
    monotonic: Instant,
    wall: WallTime,
}

impl Default for SimClock {
    fn default() -> SimClock {
        // Some day in 2023, so that a zero in a file stands out as a mistake.
        SimClock { monotonic: Instant(1_000_000_000), wall: WallTime(1_700_000_000_000_000_000) }
    }
}

impl SimClock {
    /// Time passes.
    pub fn pass(&mut self, nanoseconds: u64) {
        self.monotonic = self.monotonic.after(nanoseconds);
        self.wall = WallTime(self.wall.0.saturating_add(nanoseconds));
    }

    /// Time passes until `time`, if that is not over.
    pub fn pass_until(&mut self, time: Instant) {
        self.pass(time.0.saturating_sub(self.monotonic.0));
    }

    /// Somebody sets the wall clock.
    pub fn step_wall(&mut self, wall: WallTime) {
        self.wall = wall;
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Instant {
        self.monotonic
    }

    fn wall(&self) -> WallTime {
        self.wall
    }
}
