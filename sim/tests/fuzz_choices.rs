//! A fuzzer drives the simulator: its bytes are the choices, so coverage of the engine guides faults and workloads.
//!
//! Bounded under `cargo test`; `cargo bolero test -p docdb-sim --test fuzz_choices any_bytes_keep_every_promise` runs the
//! same under libFuzzer without end.

use docdb_sim::choice::Choices;
use docdb_sim::run::{Setup, Verdict, run_with};

/// About what the choices of one life take.
const BYTES_MAX: usize = 8192;

#[test]
fn any_bytes_keep_every_promise() {
    bolero::check!().with_iterations(500).with_max_len(BYTES_MAX).for_each(|bytes: &[u8]| {
        let report = run_with(0, Choices::from_bytes(bytes), &Setup::default());
        assert_eq!(report.verdict, Verdict::Kept);
    });
}

#[test]
fn no_bytes_are_the_tamest_life() {
    let report = run_with(0, Choices::from_bytes(&[]), &Setup::default());
    assert_eq!((report.verdict, report.tally.crashes), (Verdict::Kept, 0), "it is stopped and started again, twice");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn bytes_find_a_planted_bug() {
    use docdb_engine::Bug;
    use docdb_sim::hash::Hash;

    docdb_sim::run::remember_panics();
    let bytes = |input: u64| -> Vec<u8> {
        let word = |at: u64| Hash::of(&[input.to_le_bytes(), at.to_le_bytes()].concat()).to_le_bytes();
        (0..BYTES_MAX as u64 / 8).flat_map(word).collect()
    };
    for bug in [Bug::SkipSync, Bug::AnswerWithoutWaiting, Bug::TailNotRewritten] {
        let setup = Setup { planted: Some(bug), ..Setup::default() };
        let breaks = |input: &u64| {
            let report = run_with(0, Choices::from_bytes(&bytes(*input)), &setup);
            matches!(report.verdict, Verdict::Violation(_))
        };
        assert!((0..400).any(|input| breaks(&input)), "{bug:?} is not found");
    }
}
