//! The exhaustive run in small: nothing is found, everything is visited, and the number of threads makes no difference.
//!
//! The whole scope (three operations, crashes within recoveries) is `docdb-sim exhaust --ops 3 --crash-depth 2`, which
//! the gate runs in a release build.

use docdb_sim::exhaust::{Case, Settings, Visited, exhaust, repeat};
use docdb_sim::run::{Verdict, remember_panics};

fn visit(operations: usize, crash_depth: u32, jobs: usize) -> Visited {
    exhaust(Settings { operations, crash_depth, jobs }, &|_, _| {})
}

#[test]
fn one_operation_keeps_every_promise_whatever_crashes() {
    remember_panics();
    let visited = visit(1, 2, 1);
    assert_eq!((visited.verdict, visited.violated_at), (Verdict::Kept, None));
    assert_eq!(visited.counts.workloads, 10, "the creation alone, and each operation");
    assert_eq!(visited.counts.chosen_points, 0, "every image was tried");
    assert!(visited.counts.images > 10_000 && visited.counts.recoveries > 500, "{:?}", visited.counts);
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    remember_panics();
    let (alone, together) = (visit(2, 1, 1), visit(2, 1, 3));
    assert_eq!((alone.verdict, alone.counts), (together.verdict, together.counts));
}

#[test]
fn a_place_can_be_visited_alone() {
    remember_panics();
    let case: Case = "c1+u1@24K0@3P1".parse().unwrap();
    let visited = repeat(&case, false);
    assert_eq!(visited.verdict, Verdict::Kept);
    assert_eq!(visited.counts.crash_points, 2, "one in the life and one in the recovery");
}
