//! The mutation score: which mistakes planted in the engine the simulator finds, how soon, and thanks to which faults.
//!
//! A mutant is the engine with one mistake of [`Bug`]. It is killed by the first seed whose run breaks a promise
//! with the mistake and keeps all without it. A seed that breaks one without it says nothing about the mistake.
//! Seeds draw their mixture of faults, except for mistakes that need one of them: they are tried in that mixture.
//!
//! The simulator is mutated too: with a kind of fault switched off, the mutants that survive are those that it takes
//! this kind to find.
//!
//! An assertion that stops the process shows that the engine distrusts itself, not that its promises are judged: a mistake
//! that dies of one is tried on, until a judge finds it too.
//!
//! It never looks at how a mistake was made; only the verdict of a run counts.

mod recorded;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use docdb_engine::Bug;

use crate::disk::{FaultKind, FaultSet};
use crate::profile::ProfileName;
use crate::run::{Setup, Verdict, run_seed};
pub use recorded::lines;

/// Seeds tried on each mutant, from 0 on. One that survives all of them is a hole in the simulator.
pub const SEEDS: u64 = 3000;

/// Seeds tried on a mutant that a specification finds first, with the oracles alone.
pub const SEEDS_BY_ORACLES: u64 = 1000;

/// How mutants are tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Seeds tried on each mutant.
    pub seeds: u64,
    /// Mutants tried at a time.
    pub jobs: usize,
    /// Whether to try each without each kind of fault as well.
    pub without_faults: bool,
    /// Whether the specifications are left out: what the oracles find alone.
    pub without_refinement: bool,
    /// Whether the seeds that were recorded for a mistake are tried before all others.
    pub recorded: bool,
}

/// Seeds tried on a mutant after an assertion has found it.
const SEEDS_BEHIND_ASSERTION: u64 = 300;

/// What noticed that a promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finder {
    /// An oracle, which knows what users are promised, or the simulated disk, which holds the engine to its contract.
    Oracle,
    /// A specification, which knows how the engine goes about it.
    Specification,
    /// An assertion of the engine itself, which stopped the process.
    Assertion,
}

impl Finder {
    /// All, the one that says most first.
    pub const ALL: [Finder; 3] = [Finder::Oracle, Finder::Specification, Finder::Assertion];

    /// What found the violation that this message describes.
    #[must_use]
    pub fn of(message: &str) -> Finder {
        if message.starts_with("refinement:") {
            return Finder::Specification;
        }
        let is_panic = message.starts_with("panic at ");
        if is_panic && !message.contains("contract:") { Finder::Assertion } else { Finder::Oracle }
    }

    /// Its name in what the program prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Finder::Oracle => "oracle",
            Finder::Specification => "specification",
            Finder::Assertion => "assertion",
        }
    }
}

/// How a mutant was found.
#[derive(Clone, Debug)]
pub struct Kill {
    /// The first seed that found it; `seed + 1` seeds were tried.
    pub seed: u64,
    /// What the judge said.
    pub message: String,
}

impl Kill {
    /// What found it.
    #[must_use]
    pub fn finder(&self) -> Finder {
        Finder::of(&self.message)
    }
}

/// What became of one mutant.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The mistake.
    pub bug: Bug,
    /// `None` when it survived.
    pub kill: Option<Kill>,
    /// Where an assertion came first: the first seed whose run a judge found wrong.
    pub judged: Option<Kill>,
    /// The kinds of faults without which it survives; empty when that was not asked for.
    pub needs: Vec<FaultKind>,
}

impl Outcome {
    /// What finds it: an assertion only where nothing else does.
    #[must_use]
    pub fn finder(&self) -> Option<Finder> {
        self.judged.as_ref().or(self.kill.as_ref()).map(Kill::finder)
    }
}

/// The mistake of this name.
#[must_use]
pub fn find(name: &str) -> Option<Bug> {
    Bug::ALL.iter().copied().find(|bug| bug.name() == name)
}

/// The mixture of faults that a mistake is tried in; `None` where each seed draws one.
#[must_use]
pub fn mixture(bug: Bug) -> Option<ProfileName> {
    match bug.area() {
        "Damage" => Some(ProfileName::Damage),
        "Lies" => Some(ProfileName::Lying),
        "Names" => Some(ProfileName::Names),
        "Writes" => Some(ProfileName::Writes),
        "Crashes" => Some(ProfileName::Crashes),
        _ => None,
    }
}

/// A run in which a mistake is looked for.
#[must_use]
pub fn setup(bug: Bug) -> Setup {
    Setup { planted: Some(bug), profile: mixture(bug), ..Setup::default() }
}

/// Tries all `bugs`; the outcomes are in their order. `progress` is called once a mutant.
pub fn score(bugs: &[Bug], settings: Settings, progress: &(dyn Fn() + Sync)) -> Vec<Outcome> {
    let sound = Sound::of(settings);
    each(bugs, settings.jobs, &|bug| {
        let outcome = try_out(bug, settings, &sound);
        progress();
        outcome
    })
}

/// A seed that finds each of `bugs`, `jobs` at a time; what survives [`SEEDS`] is left out.
#[must_use]
pub fn first_seeds(bugs: &[Bug], jobs: usize) -> Vec<(Bug, u64)> {
    let settings = Settings { seeds: SEEDS, jobs, without_faults: false, without_refinement: false, recorded: true };
    let sound = Sound::of(settings);
    let found = each(bugs, jobs, &|bug| Some((bug, first_kill(bug, &sound)?.seed)));
    found.into_iter().flatten().collect()
}

/// What `of` says of each, in their order, `jobs` at a time.
fn each<T: Send + Sync>(bugs: &[Bug], jobs: usize, of: &(dyn Fn(Bug) -> T + Sync)) -> Vec<T> {
    let said: Vec<OnceLock<T>> = bugs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some((bug, place)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    bugs.get(index).zip(said.get(index))
                } {
                    place.get_or_init(|| of(*bug));
                }
            });
        }
    });
    said.into_iter().filter_map(OnceLock::into_inner).collect()
}

/// How many seeds the median mutant takes; `None` when it survives.
#[must_use]
pub fn median_seeds_to_kill(outcomes: &[Outcome]) -> Option<u64> {
    let seeds = |outcome: &Outcome| outcome.kill.as_ref().map(|kill| kill.seed + 1);
    let mut seeds: Vec<Option<u64>> = outcomes.iter().map(seeds).collect();
    // Survivors take more than any other. Of the middle two the larger one, so that half of all take no more.
    seeds.sort_unstable_by_key(|seeds| seeds.unwrap_or(u64::MAX));
    seeds.get(seeds.len() / 2).copied().flatten()
}

/// Which mutants survive without a kind of fault, by kind; kinds that none needs are left out.
#[must_use]
pub fn matrix(outcomes: &[Outcome]) -> BTreeMap<FaultKind, Vec<Bug>> {
    let mut matrix: BTreeMap<FaultKind, Vec<Bug>> = BTreeMap::new();
    for outcome in outcomes {
        for kind in &outcome.needs {
            matrix.entry(*kind).or_default().push(outcome.bug);
        }
    }
    matrix
}

fn try_out(bug: Bug, settings: Settings, sound: &Sound) -> Outcome {
    let kill = first_kill(bug, sound);
    let by_assertion = kill.as_ref().filter(|found| found.finder() == Finder::Assertion);
    let judged = by_assertion.and_then(|found| judged(bug, found.seed, sound));
    let needs = match &kill {
        Some(found) if settings.without_faults => {
            let survives = |kind: &FaultKind| {
                let without = FaultSet::EMPTY.with(*kind);
                // The seed that found it is the likeliest to find it again.
                let mut seeds = std::iter::once(found.seed).chain(0..settings.seeds);
                !seeds.any(|seed| self::kill(bug, without, seed, sound).is_some())
            };
            FaultKind::ALL.iter().copied().filter(survives).collect()
        }
        Some(_) | None => Vec::new(),
    };
    Outcome { bug, kill, judged, needs }
}

fn first_kill(bug: Bug, sound: &Sound) -> Option<Kill> {
    sound.recorded(bug).chain(0..sound.seeds).find_map(|seed| kill(bug, FaultSet::EMPTY, seed, sound))
}

/// The first that a judge finds where an assertion stopped the process at the seed `stopped`.
fn judged(bug: Bug, stopped: u64, sound: &Sound) -> Option<Kill> {
    let seeds = stopped + 1..(stopped + SEEDS_BEHIND_ASSERTION).min(sound.seeds);
    let is_judged = |kill: &Kill| kill.finder() != Finder::Assertion;
    let mut kills = sound.recorded(bug).chain(seeds).filter_map(|seed| kill(bug, FaultSet::EMPTY, seed, sound));
    kills.find(is_judged)
}

fn kill(bug: Bug, without: FaultSet, seed: u64, sound: &Sound) -> Option<Kill> {
    let setup = Setup { without, without_refinement: sound.without_refinement, ..setup(bug) };
    match run_seed(seed, false, &setup).verdict {
        Verdict::Violation(message) if sound.is_sound(setup.profile, without, seed) => Some(Kill { seed, message }),
        Verdict::Violation(_) | Verdict::Kept | Verdict::Harness(_) => None,
    }
}

/// A run without a mistake: the mixture, none where the seed draws it; the kind of fault that is switched off; the seed.
type Life = (Option<ProfileName>, Option<FaultKind>, u64);

/// Which seeds are well without a mistake, found out when asked for the first time.
struct Sound {
    seeds: u64,
    without_refinement: bool,
    is_recorded: bool,
    known: Mutex<HashMap<Life, bool>>,
}

impl Sound {
    fn of(settings: Settings) -> Sound {
        Sound {
            seeds: settings.seeds,
            without_refinement: settings.without_refinement,
            is_recorded: settings.recorded,
            known: Mutex::default(),
        }
    }

    /// Where to look first.
    fn recorded(&self, bug: Bug) -> impl Iterator<Item = u64> {
        let (is_recorded, seeds) = (self.is_recorded, self.seeds);
        recorded::seeds(bug).filter(move |seed| is_recorded && *seed < seeds)
    }

    fn is_sound(&self, profile: Option<ProfileName>, without: FaultSet, seed: u64) -> bool {
        let place = (profile, without.iter().next(), seed);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known().get(&place).copied();
        // No lock is held while it runs: two may find it out at once, and find the same.
        is_known.unwrap_or_else(|| {
            let setup = Setup { without_refinement: self.without_refinement, ..Setup::of(profile, without) };
            let is_sound = run_seed(seed, false, &setup).verdict == Verdict::Kept;
            known().insert(place, is_sound);
            is_sound
        })
    }
}
