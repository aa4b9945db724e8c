//! A fuzzer drives the simulator: its bytes are the choices, so coverage of the engine guides faults and workloads.
//!
//! Bounded under `cargo test`; under libFuzzer (README) the same runs without end. A package of its own, because a
//! fuzzer's runtime is linked into every target of the package that it is built for. It holds tests and nothing else.

#[cfg(test)]
mod tests {
    use docdb_sim::choice::Choices;
    use docdb_sim::run::{Setup, Verdict, run_with};

    /// About what the choices of one life take.
    const BYTES_MAX: usize = 32_768;

    /// As drawn; with the feature `planted-bugs`, with the mistake that `DOCDB_PLANTED` names, to see it found.
    fn setup() -> Setup {
        #[cfg(feature = "planted-bugs")]
        let setup = {
            let find = |name: String| {
                let found = docdb_engine::Bug::ALL.iter().find(|bug| bug.name() == name);
                *found.expect("DOCDB_PLANTED names a planted mistake")
            };
            Setup { planted: std::env::var("DOCDB_PLANTED").ok().map(find), ..Setup::default() }
        };
        #[cfg(not(feature = "planted-bugs"))]
        let setup = Setup::default();
        setup
    }

    #[test]
    fn any_bytes_keep_every_promise() {
        let setup = setup();
        bolero::check!().with_iterations(500).with_max_len(BYTES_MAX).for_each(|bytes: &[u8]| {
            let report = run_with(0, Choices::from_bytes(bytes), &setup);
            assert_eq!(report.verdict, Verdict::Kept);
        });
    }

    #[test]
    fn no_bytes_are_the_tamest_life() {
        let report = run_with(0, Choices::from_bytes(&[]), &Setup::default());
        assert_eq!((report.verdict, report.tally.crashes), (Verdict::Kept, 0), "a life that only ever stops in peace");
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
}
