//! The one source of every decision that is not the engine's.
//!
//! Workload, completion order, each fault, each sector that survives: one call of [`Choices::choice`].
//! A label is `class/what`; each class has its own ChaCha stream, derived from the seed and the class,
//! so a new kind of fault does not change the workload of an old seed.
//!
//! Zero is always the tame answer (no fault, nothing lost, nothing more), which is what the odometer begins
//! with and a shrinker strives for. What is recorded is the answer itself, never the number that was drawn
//! for it, so it means the same where other answers are possible. A replay answers each label from that
//! label's own record, in order: a choice that was taken out shifts no other label.
//!
//! Nothing here reads a clock or randomness of the machine.

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
    Replayed { answers: Arc<BTreeMap<&'static str, Vec<u64>>>, next: BTreeMap<&'static str, usize> },
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

    /// The choices of a recorded run again. What the record does not answer, or answers with something that
    /// is not possible here, is zero.
    #[must_use]
    pub fn replayed(trace: &[Choice]) -> Choices {
        let mut answers: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
        for choice in trace {
            answers.entry(choice.label).or_default().push(choice.value);
        }
        Choices::from(Source::Replayed { answers: Arc::new(answers), next: BTreeMap::new() })
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

    /// A number below `bound`, which is not zero.
    pub fn choice(&mut self, label: &'static str, bound: u64) -> u64 {
        assert!(bound > 0, "a choice ({label}) has at least one answer");
        if bound == 1 {
            return 0;
        }
        self.decide(label, bound, bound, 0, |drawn| drawn)
    }

    /// True in `per_mille` of a thousand cases; makes no choice when that is none or all. False is the tame answer.
    pub fn chance(&mut self, label: &'static str, per_mille: u64) -> bool {
        per_mille >= 1000
            || per_mille > 0 && self.decide(label, 2, 1000, 999, |drawn| u64::from(drawn < per_mille)) == 1
    }

    /// The index of one of `weights`, more often where the weight is larger, never where it is zero.
    pub fn weighted(&mut self, label: &'static str, weights: &[u64]) -> usize {
        let total: u64 = weights.iter().sum();
        assert!(total > 0, "a choice ({label}) has at least one answer");
        let index = self.decide(label, weights.len() as u64, total, 0, |mut drawn| {
            let falls_here = |weight: &u64| {
                let here = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                here
            };
            weights.iter().position(falls_here).expect("a number below the total falls on some weight") as u64
        });
        let index = usize::try_from(index).expect("an index of a slice");
        // A record, or a count through all answers, may name one that is not possible now.
        let possible = |index: &usize| weights[*index] > 0;
        (index..weights.len()).chain(0..index).find(possible).expect("some weight is not zero")
    }

    /// An answer below `bound`. Seeds and bytes draw a number below `spread` and shape it into one, so that both choose as
    /// often as was meant; `tame` is the number that becomes the tame answer, which bytes of zero and missing bytes give.
    fn decide(
        &mut self,
        label: &'static str,
        bound: u64,
        spread: u64,
        tame: u64,
        shape: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let value = match &mut self.source {
            Source::Seeded { seed, streams } => {
                let class = label.split('/').next().unwrap_or(label);
                let stream = streams.entry(class).or_insert_with(|| stream_of(*seed, class));
                // The high half of a wide product: even enough, and the same everywhere.
                let drawn = u64::try_from((u128::from(stream.next_u64()) * u128::from(spread)) >> 64)
                    .expect("the high half of a product of two u64 fits into one");
                shape(drawn)
            }
            Source::Replayed { answers, next } => {
                let next = next.entry(label).or_default();
                let value = answers.get(label).and_then(|answers| answers.get(*next)).copied();
                *next += 1;
                value.filter(|value| *value < bound).unwrap_or(0)
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
                let count = usize::try_from((u64::BITS - (spread - 1).leading_zeros()).div_ceil(8)).expect("at most 8");
                let taken = bytes.get(*next..).unwrap_or(&[]);
                let taken = &taken[..count.min(taken.len())];
                *next += count;
                let number = taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)) % spread;
                shape((number + tame) % spread)
            }
        };
        self.hash.bytes(label.as_bytes());
        self.hash.number(value);
        if let Some(recorded) = &mut self.recorded {
            recorded.push(Choice { label, bound, value });
        }
        value
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
        let mut again = Choices::replayed(first.recorded());
        assert_eq!(run(&mut again), values);
        assert_eq!(again.hash(), first.hash());
    }

    #[test]
    fn a_replay_answers_each_label_from_its_own_record_and_otherwise_zero() {
        let choice = |label, bound, value| Choice { label, bound, value };
        let trace = [choice("a/x", 9, 8), choice("a/y", 9, 7), choice("a/x", 9, 6), choice("a/x", 9, 5)];
        let mut choices = Choices::replayed(&trace);
        assert_eq!(choices.choice("a/y", 9), 7);
        assert_eq!(choices.choice("a/x", 9), 8);
        assert_eq!(choices.choice("a/x", 6), 0, "6 is no answer here");
        assert_eq!(choices.choice("a/x", 6), 5);
        assert_eq!((choices.choice("a/x", 9), choices.choice("a/y", 9), choices.choice("a/z", 9)), (0, 0, 0));
    }

    #[test]
    fn a_weight_of_zero_is_never_chosen() {
        let mut seeded = Choices::seeded(3);
        let mut seen = [0; 3];
        for _ in 0..1000 {
            seen[seeded.weighted("a/w", &[1, 0, 3])] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!(seen[0] > 150 && seen[2] > 600, "{seen:?}");
        let mut replayed = Choices::replayed(&[Choice { label: "a/w", bound: 3, value: 1 }]);
        assert_eq!(replayed.weighted("a/w", &[1, 0, 3]), 2);
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
