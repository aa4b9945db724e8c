//! Backing off after transient errors: 10 ms doubling to 1 s, with jitter, five times.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const FIRST_DELAY_NS: u64 = 10_000_000;
const DELAY_NS_MAX: u64 = 1_000_000_000;
const TRIES_MAX: u32 = 5;

/// How often something has been tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { tries: 0 }
    }

    /// How long to wait before the next try: between half the delay and all of it, so that jobs that
    /// failed together are not tried again together. `None` when it was tried often enough.
    pub(crate) fn next_delay_ns(&mut self, seed: u64) -> Option<u64> {
        if self.tries == TRIES_MAX {
            return None;
        }
        let delay_ns = (FIRST_DELAY_NS << self.tries).min(DELAY_NS_MAX);
        self.tries += 1;
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(u64::from(self.tries)));
        Some(delay_ns / 2 + random.next_u64() % (delay_ns / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_and_ends() {
        let mut backoff = Backoff::new();
        for delay_ns in [10_000_000, 20_000_000, 40_000_000, 80_000_000, 160_000_000] {
            let drawn = backoff.next_delay_ns(7).expect("five tries");
            assert!((delay_ns / 2..delay_ns).contains(&drawn), "{drawn} of {delay_ns}");
        }
        assert_eq!(backoff.next_delay_ns(7), None);
    }
}
