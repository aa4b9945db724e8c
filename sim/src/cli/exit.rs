//! The codes that a command ends with; scripts rely on them.

use std::process::ExitCode;

use docdb_sim::run::Verdict;

/// How a command ended. The larger code wins where several apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All promises were kept.
    Kept = 0,
    /// The engine broke a promise.
    Violation = 1,
    /// The simulator itself failed.
    Harness = 3,
}

impl Exit {
    /// How a command ends whose runs ended so.
    pub(crate) fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Exit {
        let exits = verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Kept => Exit::Kept,
            Verdict::Violation(_) => Exit::Violation,
            Verdict::Harness(_) => Exit::Harness,
        });
        exits.max().unwrap_or(Exit::Kept)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
