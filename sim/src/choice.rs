//! The one source of every decision that is not the engine's.
//!
//! Workload, completion order, each fault, each sector that survives: one call of [`Choices::choice`].
//! A label is `class/what`; each class has its own ChaCha stream, derived from the seed and the class,
//! so a new kind of fault does not change the workload of an old seed.
//!
//! Zero is always the tame answer (no fault, nothing lost), which is what the odometer begins with and
//! a shrinker strives for. Nothing here reads a clock or randomness of the machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::hash::Hash;

/// One decision that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What was decided.
    pub label: &'static str,
    /// How many answers there were.
    pub bound: u64,
    /// Which it was, below `bound`.
    pub value: u64,
}

#[derive(Clone, Debug)]
enum Source {
    Seeded { seed: u64, streams: BTreeMap<&'static str, ChaCha8Rng> },
    Replayed { trace: Arc<[Choice]>, next: usize, diverged: bool },
    Odometer { digits: Vec<Choice>, next: usize },
    Bytes { bytes: Arc<[u8]>, next: usize },
}

/// Makes choices, hashes them, and records them when asked to.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    hash: Hash,
    recorded: Option<Vec<Choice>>,
}

impl Choices {
    fn from(source: Source) -> Choices {
        Choices { source, hash: Hash::default(), recorded: None }
    }

    /// Choices drawn from a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Choices {
        Choices::from(Source::Seeded { seed, streams: BTreeMap::new() })
    }

    /// The choices of a recorded run again. Where the run takes another way, zero is chosen.
    #[must_use]
    pub fn replayed(trace: Arc<[Choice]>) -> Choices {
        Choices::from(Source::Replayed { trace, next: 0, diverged: false })
    }

    /// The first of all combinations of choices; [`Choices::advance`] goes to the next.
    #[must_use]
    pub fn odometer() -> Choices {
        Choices::from(Source::Odometer { digits: Vec::new(), next: 0 })
    }

    /// Choices read off a fuzzer's bytes, as few for each as its bound needs, so that a change of one byte changes one
    /// choice. When they are used up, zero is chosen: a short input is a tame run.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Choices {
        Choices::from(Source::Bytes { bytes: bytes.into(), next: 0 })
    }

    /// Keeps every choice from now on, for [`Choices::recorded`].
    #[must_use]
    pub fn recording(mut self) -> Choices {
        self.recorded = Some(Vec::new());
        self
    }

    /// What was chosen so far, when recording.
    #[must_use]
    pub fn recorded(&self) -> &[Choice] {
        self.recorded.as_deref().unwrap_or(&[])
    }

    /// The hash of all choices so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// Whether a replay was asked for something else than its trace recorded.
    #[must_use]
    pub fn diverged(&self) -> bool {
        matches!(self.source, Source::Replayed { diverged: true, .. })
    }

    /// A number below `bound`, which is not zero.
    pub fn choice(&mut self, label: &'static str, bound: u64) -> u64 {
        assert!(bound > 0, "a choice ({label}) has at least one answer");
        if bound == 1 {
            return 0;
        }
        let value = match &mut self.source {
            Source::Seeded { seed, streams } => {
                let class = label.split('/').next().unwrap_or(label);
                let stream = streams.entry(class).or_insert_with(|| stream_of(*seed, class));
                // The high half of a wide product: even enough, and the same everywhere.
                u64::try_from((u128::from(stream.next_u64()) * u128::from(bound)) >> 64)
                    .expect("the high half of a product of two u64 fits into one")
            }
            Source::Replayed { trace, next, diverged } => {
                let recorded = trace.get(*next).filter(|choice| choice.label == label && choice.bound == bound);
                *next += 1;
                *diverged |= recorded.is_none();
                recorded.map_or(0, |choice| choice.value)
            }
            Source::Odometer { digits, next } => {
                if *next == digits.len() {
                    digits.push(Choice { label, bound, value: 0 });
                }
                let digit = digits[*next];
                assert!(digit.label == label && digit.bound == bound, "{label}: an exhaustive run is deterministic");
                *next += 1;
                digit.value
            }
            Source::Bytes { bytes, next } => {
                let count = usize::try_from((u64::BITS - (bound - 1).leading_zeros()).div_ceil(8)).expect("at most 8");
                let taken = bytes.get(*next..).unwrap_or(&[]);
                let taken = &taken[..count.min(taken.len())];
                *next += count;
                taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)) % bound
            }
        };
        self.hash.bytes(label.as_bytes());
        self.hash.number(value);
        if let Some(recorded) = &mut self.recorded {
            recorded.push(Choice { label, bound, value });
        }
        value
    }

    /// True in `per_mille` of a thousand cases; makes no choice when that is zero.
    pub fn chance(&mut self, label: &'static str, per_mille: u64) -> bool {
        per_mille > 0 && self.choice(label, 1000) >= 1000 - per_mille.min(1000)
    }

    /// Goes to the next combination; false when all were tried. Only for the odometer.
    pub fn advance(&mut self) -> bool {
        let Source::Odometer { digits, next } = &mut self.source else { return false };
        // What was not asked for this time hangs on a digit that is about to change.
        digits.truncate(*next);
        *next = 0;
        while let Some(digit) = digits.last_mut() {
            if digit.value + 1 < digit.bound {
                digit.value += 1;
                return true;
            }
            digits.pop();
        }
        false
    }
}

fn stream_of(seed: u64, class: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&Hash::of(class.as_bytes()).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_class_of_choices_does_not_disturb_an_old_one() {
        let mut plain = Choices::seeded(7);
        let mut mixed = Choices::seeded(7);
        for _ in 0..100 {
            mixed.choice("fault/write", 1000);
            assert_eq!(plain.choice("workload/what", 1 << 40), mixed.choice("workload/what", 1 << 40));
        }
    }

    #[test]
    fn a_recorded_run_replays() {
        let run = |choices: &mut Choices| (0..50).map(|_| choices.choice("a/b", 10)).collect::<Vec<u64>>();
        let mut first = Choices::seeded(1).recording();
        let values = run(&mut first);
        let mut again = Choices::replayed(first.recorded().into());
        assert_eq!(run(&mut again), values);
        assert_eq!((again.hash(), again.diverged()), (first.hash(), false));
    }

    #[test]
    fn bytes_are_read_as_the_bound_needs_and_run_out_tamely() {
        let mut choices = Choices::from_bytes(&[7, 1, 2, 255, 9]);
        assert_eq!(choices.choice("a/one", 256), 7);
        assert_eq!(choices.choice("a/none", 1), 0);
        assert_eq!(choices.choice("a/two", 257), 0x0201 % 257);
        assert_eq!(choices.choice("a/one", 10), 255 % 10);
        assert_eq!(choices.choice("a/rest", 1 << 40), 9);
        assert_eq!(choices.choice("a/nothing", 1 << 40), 0);
    }

    #[test]
    fn the_odometer_tries_every_combination_once() {
        let mut choices = Choices::odometer();
        let mut tried = Vec::new();
        loop {
            let first = choices.choice("a/first", 3);
            // The second question is only asked after some first answers.
            let second = if first == 1 { choices.choice("a/second", 2) } else { 0 };
            tried.push((first, second));
            if !choices.advance() {
                break;
            }
        }
        assert_eq!(tried, [(0, 0), (1, 0), (1, 1), (2, 0)]);
    }
}
