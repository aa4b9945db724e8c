//! Runs a seed or a trace again, and says whether it went the same way.
//!
//! A replay records its choices and runs once more from the record, so that the source it came from and the recorded
//! one are known to agree. A difference is the simulator's own failure.

use crate::choice::Choices;
use crate::chronicle::Chronicle;
use crate::run::{Report, Setup, Verdict, run_watched, run_with};
use crate::trace::Trace;

/// What to run.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A seed, in this setup.
    Seed(u64, Setup),
    /// A recorded run.
    Trace(Trace),
}

impl Origin {
    /// Runs it, recording, while `chronicle` watches.
    ///
    /// # Errors
    /// When this build cannot run it.
    pub fn run(&self, chronicle: Chronicle) -> Result<(Report, Chronicle), String> {
        let setup = self.setup()?;
        let (seed, choices) = match self {
            Origin::Seed(seed, _) => (*seed, Choices::seeded(*seed).recording()),
            Origin::Trace(trace) => (trace.seed, trace.source()),
        };
        Ok(run_watched(seed, choices, &setup, chronicle))
    }

    /// What it is run with.
    ///
    /// # Errors
    /// When this build cannot run it.
    pub fn setup(&self) -> Result<Setup, String> {
        match self {
            Origin::Seed(_, setup) => Ok(*setup),
            Origin::Trace(trace) => trace.setup(),
        }
    }
}

/// Runs `origin` and then its record. What differs between the two, or from what a trace expects of a run that breaks a promise,
/// is the simulator's failure.
///
/// # Errors
/// When this build cannot run it.
pub fn replay(origin: &Origin, chronicle: Chronicle) -> Result<(Report, Chronicle), String> {
    let setup = origin.setup()?;
    let (mut report, chronicle) = origin.run(chronicle)?;
    let again = run_with(report.seed, Choices::replayed(&report.trace), &setup);
    if again.hash != report.hash || again.verdict != report.verdict {
        let (first, second) = (report.hash, again.hash);
        report.verdict = Verdict::Harness(format!(
            "not deterministic: {first:016x} {:?}, then {second:016x} {:?}",
            report.verdict, again.verdict
        ));
    }
    Ok((report, chronicle))
}
