//! When a batch that could be written waits for more.
//!
//! A client that was answered just now often asks again at once. Where several asked together, the next batch waits for them,
//! but only for a small part of what a batch takes: one sync then carries all of them, instead of every other one half.
//! A lone writer never waits, nobody waits twice, and where waiting has not paid the next batches do without.
//!
//! It owns the time at which the batch in flight began, and how many requests the next one waits for. It decides
//! nothing about what a batch holds.

use crate::clock::Instant;

/// A batch waits for at most this part of the time that the last one took.
const GATHER_FRACTION: u64 = 4;

/// However often waiting was in vain, at most so many batches in a row are written without waiting.
const SKIPPED_MAX: u32 = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// When the batch in flight was handed to the disk.
    begun: Instant,
    /// Until when the next one waits for this many requests.
    gather: Option<Gather>,
    /// How many batches do not wait, because waiting was in vain.
    skips: u32,
    /// How many batches did not wait after the last time that waiting was in vain.
    skipped: u32,
}

#[derive(Clone, Copy, Debug)]
struct Gather {
    requests: usize,
    until: Instant,
}

impl Pace {
    /// A batch of `gathered` requests is handed to the disk.
    pub(super) fn begins(&mut self, now: Instant, gathered: usize) {
        self.begun = now;
        let Some(gather) = self.gather.take() else { return };
        // Most of them is enough: one that takes its time must not keep the others from it.
        self.skipped = match gathered + gathered / 4 < gather.requests {
            true => (2 * self.skipped).clamp(1, SKIPPED_MAX),
            false => 0,
        };
        self.skips = self.skipped;
    }

    /// It has ended: `answered` requests are answered, while `gathered` others came. The next batch waits for at most
    /// `wait_ns_max` nanoseconds.
    pub(super) fn ends(&mut self, now: Instant, answered: usize, gathered: usize, wait_ns_max: u64) {
        let took_ns = now.0.saturating_sub(self.begun.0);
        let until = now.after((took_ns / GATHER_FRACTION).min(wait_ns_max));
        let requests = answered + gathered;
        if answered == 0 || requests < 2 || until == now {
            return;
        }
        if self.skips > 0 {
            self.skips -= 1;
        } else {
            self.gather = Some(Gather { requests, until });
        }
    }

    /// Until when a batch of `gathered` requests waits for more; `None` when it is written now.
    pub(super) fn waits(&self, now: Instant, gathered: usize) -> Option<Instant> {
        let gather = self.gather?;
        (gathered < gather.requests && now < gather.until).then_some(gather.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace after a batch from 1,000 to 2,000 ns that answered `answered` while `gathered` came.
    fn after(answered: usize, gathered: usize, wait_ns_max: u64) -> Pace {
        let mut pace = Pace::default();
        pace.begins(Instant(1_000), answered);
        pace.ends(Instant(2_000), answered, gathered, wait_ns_max);
        pace
    }

    #[test]
    fn a_lone_writer_never_waits() {
        assert_eq!(after(1, 0, 5_000).waits(Instant(2_000), 1), None);
        assert_eq!(Pace::default().waits(Instant(0), 1), None);
        // A proof answers nobody, so nobody comes back.
        assert_eq!(after(0, 7, 5_000).waits(Instant(2_000), 7), None);
    }

    #[test]
    fn several_are_waited_for_until_all_are_back_or_a_part_of_the_time_has_passed() {
        let pace = after(3, 2, 5_000);
        assert_eq!(pace.waits(Instant(2_000), 2), Some(Instant(2_250)));
        assert_eq!(pace.waits(Instant(2_249), 4), Some(Instant(2_250)));
        assert_eq!(pace.waits(Instant(2_249), 5), None);
        assert_eq!(pace.waits(Instant(2_250), 2), None);
        assert_eq!(after(3, 2, 100).waits(Instant(2_000), 2), Some(Instant(2_100)));
    }

    #[test]
    fn waiting_in_vain_is_not_repeated_at_once() {
        let mut pace = after(3, 2, 5_000);
        let mut waited = Vec::new();
        for batch in 0..20 {
            waited.push(pace.waits(Instant(2_000), 2).is_some());
            // Nobody came back, and in the last ones all did.
            pace.begins(Instant(1_000), if batch < 10 { 2 } else { 5 });
            pace.ends(Instant(2_000), 3, 2, 5_000);
        }
        let batches: Vec<usize> = (0..20).filter(|batch| waited[*batch]).collect();
        assert_eq!(batches, [0, 2, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn nobody_waits_twice() {
        let mut pace = after(3, 2, 5_000);
        pace.begins(Instant(2_100), 5);
        assert_eq!(pace.waits(Instant(2_100), 1), None);
        assert_eq!(after(3, 2, 0).waits(Instant(2_000), 2), None);
    }
}
