//! The simulator's short budget: what every test run of the project, and every mutant of the engine, has to pass.

use docdb_sim::run::{Setup, Verdict, remember_panics, run_seed};

/// Seeds of the short budget.
const SEEDS: u64 = 600;

/// It ends after as many broken seeds: a mutant need not be killed more often.
const BROKEN_MAX: usize = 3;

#[test]
fn the_short_budget_is_kept() {
    remember_panics();
    let broken: Vec<(u64, Verdict)> = (0..SEEDS)
        .map(|seed| (seed, run_seed(seed, false, &Setup::default()).verdict))
        .filter(|(_, verdict)| *verdict != Verdict::Kept)
        .take(BROKEN_MAX)
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}
