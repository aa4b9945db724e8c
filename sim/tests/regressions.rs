//! Failures that were mended must not come back: each trace in `sim/regressions` once showed a mistake of the engine, was
//! shrunk, and is replayed here for ever.
//!
//! A trace that names a planted mistake (`planted`) is replayed twice: without the mistake it keeps all promises, and, in
//! a build that contains it, the mistake is found again, so that a trace which exercises nothing any more is noticed.
//!
//! A new one: `docdb-sim shrink SEED -o sim/regressions/NAME.json --comment 'COMMIT: what went wrong'`, from the build
//! that fails, in the same commit as the mending.

use std::fs;
use std::path::Path;

use docdb_sim::run::{Setup, Verdict, remember_panics, run_with};
use docdb_sim::trace::Trace;

fn regressions() -> Vec<(String, Trace)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut found: Vec<(String, Trace)> = fs::read_dir(folder)
        .expect("the folder of regressions exists")
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a trace is text");
            let trace = Trace::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.display().to_string(), trace)
        })
        .collect();
    found.sort_by(|one, two| one.0.cmp(&two.0));
    assert!(!found.is_empty(), "there are regressions");
    found
}

#[test]
fn no_failure_of_the_past_comes_back() {
    remember_panics();
    for (name, trace) in regressions() {
        assert!(!trace.comment.is_empty(), "{name} says what it prevents");
        assert_ne!(trace.verdict, Verdict::Kept, "{name} once failed");
        let setup = Setup::of(trace.profile, trace.without);
        let report = run_with(trace.seed, trace.source(), &setup);
        assert_eq!(report.verdict, Verdict::Kept, "{name}: {}", trace.comment);
    }
}

#[cfg(feature = "planted-bugs")]
#[test]
fn each_still_finds_the_mistake_that_it_is_about() {
    remember_panics();
    for (name, trace) in regressions() {
        if trace.planted.is_none() {
            continue;
        }
        let setup = trace.setup().expect("the mistake is in this build");
        let report = run_with(trace.seed, trace.source(), &setup);
        let is_found = matches!(report.verdict, Verdict::Violation(_));
        assert!(is_found, "{name}: {:?}: find a seed that fails with the mistake, and record it anew", report.verdict);
    }
}
