//! A check that has never failed is not yet a check: each planted bug must be found by some seed.
#![cfg(feature = "planted-bugs")]

use docdb_engine::{Bug, Options};
use docdb_sim::run::{Verdict, remember_panics, run_seed};

/// Seeds tried for each bug.
const SEEDS: u64 = 400;

#[test]
fn every_planted_bug_is_found() {
    remember_panics();
    let healthy = |seed: &u64| run_seed(*seed, false, &|_| {}).verdict == Verdict::Kept;
    let sound: Vec<u64> = (0..SEEDS).filter(healthy).collect();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let plant = |options: &mut Options| options.planted = Some(*bug);
        // Only a seed that is well without the bug can say anything about the bug.
        let found = sound.iter().find(|seed| matches!(run_seed(**seed, false, &plant).verdict, Verdict::Violation(_)));
        match found {
            Some(seed) => println!("{bug:?}: found by seed {seed}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found by {SEEDS} seeds: {missed:?}");
}

#[test]
fn without_a_bug_the_same_seeds_find_nothing() {
    for seed in 0..50 {
        let report = run_seed(seed, false, &|options| options.planted = None);
        assert_eq!(report.verdict, Verdict::Kept, "seed {seed}");
    }
}
