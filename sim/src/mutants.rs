//! The mutation score: which mistakes planted in the engine the simulator finds, and how soon.
//!
//! A mutant is the engine with one mistake of [`Bug`]. It is killed by the first seed whose run breaks a promise
//! with the mistake and keeps all without it. A seed that breaks one without it says nothing about the mistake.
//!
//! It never looks at how a mistake was made; only the verdict of a run counts.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use docdb_engine::Bug;

use crate::run::{Setup, Verdict, run_seed};

/// Seeds tried on each mutant, from 0 on. One that survives all of them is a hole in the simulator.
pub const SEEDS: u64 = 400;

/// How mutants are tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Seeds tried on each mutant.
    pub seeds: u64,
    /// Mutants tried at a time.
    pub jobs: usize,
}

/// How a mutant was found.
#[derive(Clone, Debug)]
pub struct Kill {
    /// The first seed that found it; `seed + 1` seeds were tried.
    pub seed: u64,
    /// What the judge said.
    pub message: String,
}

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The mistake.
    pub bug: Bug,
    /// `None` when it survived.
    pub kill: Option<Kill>,
}

/// The mistake of this name.
#[must_use]
pub fn find(name: &str) -> Option<Bug> {
    Bug::ALL.iter().copied().find(|bug| bug.name() == name)
}

/// Tries all `bugs`; the outcomes are in their order. `progress` is called once a mutant.
pub fn score(bugs: &[Bug], settings: Settings, progress: &(dyn Fn() + Sync)) -> Vec<Outcome> {
    let sound = Sound::of(settings.seeds);
    let outcomes: Vec<OnceLock<Outcome>> = bugs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..settings.jobs.max(1) {
            scope.spawn(|| {
                while let Some((bug, outcome)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    bugs.get(index).zip(outcomes.get(index))
                } {
                    outcome.get_or_init(|| Outcome { bug: *bug, kill: kill(*bug, &sound) });
                    progress();
                }
            });
        }
    });
    outcomes.into_iter().filter_map(OnceLock::into_inner).collect()
}

/// How many seeds the median mutant takes; a survivor takes more than any other.
#[must_use]
pub fn median_seeds_to_kill(outcomes: &[Outcome]) -> u64 {
    let mut seeds: Vec<u64> =
        outcomes.iter().map(|outcome| outcome.kill.as_ref().map_or(u64::MAX, |kill| kill.seed + 1)).collect();
    seeds.sort_unstable();
    // The larger one of the middle two, so that half of the mutants take no more.
    seeds.get(seeds.len() / 2).copied().unwrap_or(0)
}

fn kill(bug: Bug, sound: &Sound) -> Option<Kill> {
    (0..sound.0.len() as u64).find_map(|seed| {
        match run_seed(seed, false, &Setup { planted: Some(bug), ..Setup::default() }).verdict {
            Verdict::Violation(message) if sound.is_sound(seed) => Some(Kill { seed, message }),
            Verdict::Violation(_) | Verdict::Kept | Verdict::Harness(_) => None,
        }
    })
}

/// Which seeds are well without a mistake, found out when asked for the first time.
struct Sound(Vec<OnceLock<bool>>);

impl Sound {
    fn of(seeds: u64) -> Sound {
        Sound((0..seeds).map(|_| OnceLock::new()).collect())
    }

    fn is_sound(&self, seed: u64) -> bool {
        let known = &self.0[usize::try_from(seed).expect("a small number")];
        *known.get_or_init(|| run_seed(seed, false, &Setup::default()).verdict == Verdict::Kept)
    }
}
