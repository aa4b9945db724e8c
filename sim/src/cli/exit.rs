//! The codes that a command ends with; scripts rely on them.

use std::process::ExitCode;

use docdb_sim::run::Verdict;

/// How a command ended. The later one wins where several apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All promises were kept.
    Kept,
    /// A situation that had to occur never did, so nothing was shown about it.
    Vacuous,
    /// The engine broke a promise.
    Violation,
    /// The same choices did not lead the same way.
    NotDeterministic,
    /// The simulator itself failed, or could not do what it was asked to.
    Harness,
}

/// What the help says about them.
pub(crate) const HELP: &str = "Exit codes:
  0  all promises were kept
  1  the engine broke a promise (mutants: a mistake was not found)
  2  the same seed went two ways
  3  the simulator failed, or was asked for something impossible
  4  vacuous: a situation that had to occur never did";

impl Exit {
    /// How a command ends whose run ended so.
    pub(crate) fn of(verdict: &Verdict) -> Exit {
        match verdict {
            Verdict::Kept => Exit::Kept,
            Verdict::Violation(_) => Exit::Violation,
            Verdict::Harness(_) => Exit::Harness,
        }
    }
}

impl Exit {
    /// The number of it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Kept => 0,
            Exit::Violation => 1,
            Exit::NotDeterministic => 2,
            Exit::Harness => 3,
            Exit::Vacuous => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
