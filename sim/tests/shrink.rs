//! A failure must be small enough to be understood: the planted mistakes shrink to a few requests and a crash.
#![cfg(feature = "planted-bugs")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use docdb_engine::Bug;
use docdb_sim::mutants::{first_seeds, setup};
use docdb_sim::run::{remember_panics, run_seed, run_with};
use docdb_sim::shrink::{Kind, shrink};
use docdb_sim::trace::Trace;

/// The median failure takes at most as many requests of clients, and crashes.
const MEDIAN_REQUESTS_MAX: u64 = 12;
const MEDIAN_CRASHES_MAX: u64 = 1;

/// Runs tried on each mistake: enough for the median, while the slowest mistakes are left larger than they could be.
const RUNS_MAX: u64 = 200;

/// Of the mistakes, by name, each so-manieth is shrunk: a median needs no more, and those that run long cost minutes.
const SAMPLED_EACH: usize = 4;

/// Of each mistake what its smallest failing run takes.
struct Shrunk {
    requests: u64,
    crashes: u64,
    /// How it went, for people.
    told: String,
}

#[test]
fn the_median_planted_mistake_shrinks_to_a_few_requests_and_one_crash() {
    remember_panics();
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let sample: Vec<Bug> = Bug::ALL.iter().copied().step_by(SAMPLED_EACH).collect();
    let found = first_seeds(&sample, jobs);
    let next = AtomicUsize::new(0);
    let shrunk: Mutex<Vec<Shrunk>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((bug, seed)) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let small = shrink_one(*bug, *seed);
                    shrunk.lock().expect("no thread panics while it adds one").push(small);
                }
            });
        }
    });
    let shrunk = shrunk.into_inner().expect("no thread panics while it adds one");
    shrunk.iter().for_each(|small| println!("{}", small.told));
    let requests = median(shrunk.iter().map(|small| small.requests).collect());
    let crashes = median(shrunk.iter().map(|small| small.crashes).collect());
    println!("median of {}: {requests} requests, {crashes} crashes", shrunk.len());
    assert!(requests <= MEDIAN_REQUESTS_MAX, "the median failure takes {requests} requests");
    assert!(crashes <= MEDIAN_CRASHES_MAX, "the median failure takes {crashes} crashes");
}

/// Shrinks what `seed` shows of a mistake; what is left must fail alike, and replay exactly.
fn shrink_one(bug: Bug, seed: u64) -> Shrunk {
    let setup = setup(bug);
    let failing = run_seed(seed, true, &setup);
    let shrunk = shrink(&failing, &setup, &|runs| runs >= RUNS_MAX, &|_| {}).expect("this seed found the mistake");
    let report = &shrunk.report;
    let told = format!(
        "{:<28} {:>4} requests {:>2} crashes, from {:>4} and {:>2}; {} runs{}",
        bug.name(),
        report.tally.requests,
        report.tally.crashes,
        failing.tally.requests,
        failing.tally.crashes,
        shrunk.runs,
        if shrunk.complete { "" } else { ", not at its end" },
    );
    assert_eq!(Kind::of(&report.verdict), Kind::of(&failing.verdict), "{bug:?}: another failure");
    let trace = Trace::of(report, &setup);
    let again = run_with(trace.seed, trace.source(), &setup);
    assert_eq!((again.hash, &again.verdict), (report.hash, &report.verdict), "{bug:?}: replays exactly");
    Shrunk { requests: report.tally.requests, crashes: report.tally.crashes, told }
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}
