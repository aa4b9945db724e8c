//! Runs one seed again and says whether it went the same way.
//!
//! A replay records its choices and runs them a third time from the record, so that the seeded source
//! and the recorded one are known to agree.

use crate::choice::Choices;
use crate::chronicle::Chronicle;
use crate::run::{Report, Setup, Verdict, run_watched, run_with};

/// Runs the seed, saying what happens when `telling`, then its record. A difference between the two is the simulator's own failure.
#[must_use]
pub fn replay(seed: u64, telling: bool, setup: &Setup) -> Report {
    let mut chronicle = Chronicle::default();
    if telling {
        chronicle.tell();
    }
    let (mut report, _) = run_watched(seed, Choices::seeded(seed).recording(), setup, chronicle);
    let again = run_with(seed, Choices::replayed(&report.trace), setup);
    if again.hash != report.hash || again.verdict != report.verdict {
        let (first, second) = (report.hash, again.hash);
        report.verdict = Verdict::Harness(format!(
            "not deterministic: {first:016x} {:?}, then {second:016x} {:?}",
            report.verdict, again.verdict
        ));
    }
    report
}
