//! A failure must be small enough to be understood: the planted mistakes shrink to a few requests and a crash.
#![cfg(feature = "planted-bugs")]

use docdb_engine::Bug;
use docdb_sim::mutants::{SEEDS, Settings, score};
use docdb_sim::run::{Setup, remember_panics, run_seed, run_with};
use docdb_sim::shrink::{Kind, shrink};
use docdb_sim::trace::Trace;

/// The median failure takes at most as many requests of clients, and crashes.
const MEDIAN_REQUESTS_MAX: u64 = 12;
const MEDIAN_CRASHES_MAX: u64 = 1;

/// Runs tried on each mistake.
const RUNS_MAX: u64 = 1200;

#[test]
fn the_median_planted_mistake_shrinks_to_a_few_requests_and_one_crash() {
    remember_panics();
    let outcomes = score(Bug::ALL, Settings { seeds: SEEDS, jobs: 2, without_faults: false }, &|| {});
    let (mut requests, mut crashes) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let Some(kill) = outcome.kill else { continue };
        let setup = Setup { planted: Some(outcome.bug), ..Setup::default() };
        let failing = run_seed(kill.seed, true, &setup);
        let shrunk = shrink(&failing, &setup, &|runs| runs >= RUNS_MAX, &|_| {}).expect("this seed found the mistake");
        let report = &shrunk.report;
        println!(
            "{:<28} {:>4} requests {:>2} crashes, from {:>4} and {:>2}; {} runs{}",
            outcome.bug.name(),
            report.tally.requests,
            report.tally.crashes,
            failing.tally.requests,
            failing.tally.crashes,
            shrunk.runs,
            if shrunk.complete { "" } else { ", not at its end" },
        );
        assert_eq!(Kind::of(&report.verdict), Kind::of(&failing.verdict), "{:?}: another failure", outcome.bug);
        let trace = Trace::of(report, &setup);
        let again = run_with(trace.seed, trace.source(), &setup);
        assert_eq!((again.hash, &again.verdict), (report.hash, &report.verdict), "{:?}: replays exactly", outcome.bug);
        requests.push(report.tally.requests);
        crashes.push(report.tally.crashes);
    }
    let median = |mut numbers: Vec<u64>| {
        numbers.sort_unstable();
        numbers[numbers.len() / 2]
    };
    let (requests, crashes) = (median(requests), median(crashes));
    println!("median: {requests} requests, {crashes} crashes");
    assert!(requests <= MEDIAN_REQUESTS_MAX, "the median failure takes {requests} requests");
    assert!(crashes <= MEDIAN_CRASHES_MAX, "the median failure takes {crashes} crashes");
}
