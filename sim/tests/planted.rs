//! The mutation score: a check that has never failed is not yet a check, so each mistake planted in the engine must be
//! found by some seed, and the median one soon.
#![cfg(feature = "planted-bugs")]

use docdb_engine::Bug;
use docdb_sim::mutants::{Finder, Outcome, SEEDS, SEEDS_BY_ORACLES, Settings, median_seeds_to_kill, score};
use docdb_sim::run::{Setup, Verdict, remember_panics, run_seed};

/// The median mistake takes at most as many seeds.
const MEDIAN_SEEDS_MAX: u64 = 50;

/// Of a hundred mistakes the oracles find at least so many with nobody beside them.
const BY_ORACLES_MIN: usize = 80;

/// Of a hundred mistakes at most so many are found by assertions alone.
const BY_ASSERTION_MAX: usize = 2;

#[test]
fn every_planted_bug_is_found_and_the_median_one_soon() {
    remember_panics();
    let settings = Settings { seeds: SEEDS, jobs: 2, without_faults: false, without_refinement: false, recorded: true };
    let outcomes = score(Bug::ALL, settings, &|| {});
    for outcome in &outcomes {
        let found =
            outcome.kill.as_ref().map_or("survived".to_owned(), |kill| format!("seed {}: {}", kill.seed, kill.message));
        println!("{:<10} {:<28} {:.120}", outcome.bug.area(), outcome.bug.name(), found);
    }
    let survivors: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.kill.is_none()).map(|outcome| outcome.bug.name()).collect();
    assert!(survivors.is_empty(), "not found by {SEEDS} seeds: {survivors:?}");
    let median = median_seeds_to_kill(&outcomes).expect("none survived");
    assert!(median <= MEDIAN_SEEDS_MAX, "the median mistake takes {median} seeds");
    the_oracles_alone_find_most(&outcomes);
    a_judge_finds_what_an_assertion_stops(&outcomes);
}

/// A release may be built without assertions, and users are promised more than that the process stops.
fn a_judge_finds_what_an_assertion_stops(outcomes: &[Outcome]) {
    let alone: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.finder() == Some(Finder::Assertion))
        .map(|outcome| outcome.bug.name())
        .collect();
    assert!(alone.len() * 100 <= outcomes.len() * BY_ASSERTION_MAX, "only assertions find {alone:?}");
}

/// The oracles know what users are promised, the specifications how the engine goes about it: too much must not rest on
/// these. Whatever an oracle found first it finds without them too.
fn the_oracles_alone_find_most(outcomes: &[Outcome]) {
    let is_by_specification =
        |outcome: &&Outcome| outcome.kill.as_ref().is_some_and(|kill| kill.finder() == Finder::Specification);
    let bugs: Vec<Bug> = outcomes.iter().filter(is_by_specification).map(|outcome| outcome.bug).collect();
    let settings =
        Settings { seeds: SEEDS_BY_ORACLES, jobs: 2, without_faults: false, without_refinement: true, recorded: true };
    let alone = score(&bugs, settings, &|| {});
    let missed: Vec<&str> =
        alone.iter().filter(|outcome| outcome.kill.is_none()).map(|outcome| outcome.bug.name()).collect();
    let found = outcomes.len() - missed.len();
    assert!(found * 100 >= outcomes.len() * BY_ORACLES_MIN, "the oracles alone do not find {missed:?}");
}

#[test]
fn without_a_bug_the_same_seeds_find_nothing() {
    for seed in 0..50 {
        let report = run_seed(seed, false, &Setup::default());
        assert_eq!(report.verdict, Verdict::Kept, "seed {seed}");
    }
}
