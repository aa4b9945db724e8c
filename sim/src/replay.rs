//! Runs one seed again and says whether it went the same way.
//!
//! A replay records its choices and runs them a third time from the record, so that the seeded source
//! and the recorded one are known to agree.

use docdb_engine::Options;

use crate::choice::Choices;
use crate::run::{Report, Verdict, run_telling, run_with};

/// Runs the seed, saying what happens when `telling`, then its record. A difference between the two is the simulator's own failure.
#[must_use]
pub fn replay(seed: u64, telling: bool, adjust: &dyn Fn(&mut Options)) -> Report {
    let mut report = run_telling(seed, Choices::seeded(seed).recording(), adjust, telling);
    let again = run_with(seed, Choices::replayed(report.trace.as_slice().into()), adjust);
    if again.hash != report.hash || again.verdict != report.verdict {
        let (first, second) = (report.hash, again.hash);
        report.verdict = Verdict::Harness(format!(
            "not deterministic: {first:016x} {:?}, then {second:016x} {:?}",
            report.verdict, again.verdict
        ));
    }
    report
}
