//! The model's clock.

use docdb_engine::{Clock, Instant, WallTime};

use crate::world::world;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl SystemClock {
    pub(crate) fn new() -> SystemClock {
        SystemClock
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Instant {
        Instant(world().now.get())
    }

    fn wall(&self) -> WallTime {
        WallTime(world().now.get())
    }
}
