//! Lines on the output, a bar on the terminal, and the words for a failure.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use docdb_sim::profile::ProfileName;
use docdb_sim::pulse::Look;
use docdb_sim::run::{Report, Setup, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::exit::Exit;
use super::origin::arguments_of;

/// Prints a line. A reader that closed the pipe wants no more; that is no failure. A result that cannot be printed
/// for another reason is none, so the program ends.
pub(crate) fn say(line: &str) {
    if let Err(error) = writeln!(stdout(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        complain(&format!("error: the output cannot be written: {error}"));
        std::process::exit(3);
    }
}

/// Prints a line on the error output.
pub(crate) fn complain(line: &str) {
    drop(writeln!(stderr(), "{line}"));
}

/// Says why a command cannot be done.
pub(crate) fn refuse(why: &str) -> Exit {
    complain(&format!("error: {why}"));
    Exit::Harness
}

/// How a command ends that could be done, or says why it could not.
pub(crate) fn or_refuse(tried: Result<Exit, String>) -> Exit {
    tried.unwrap_or_else(|why| refuse(&why))
}

/// A bar on the error output, when that is a terminal.
pub(crate) fn bar(length: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta} {msg}");
    ProgressBar::new(length).with_style(style.expect("the template is valid"))
}

/// A failure as it is printed: the seed, what went wrong, and the one command that shows it again.
pub(crate) struct Failure {
    pub(crate) seed: u64,
    /// The seed, or the file of a trace.
    what: String,
    kind: &'static str,
    message: String,
    profile: &'static str,
    hash: u64,
    again: String,
}

impl Failure {
    /// The failure of a seed; `None` when all was well.
    pub(crate) fn of(report: &Report, setup: &Setup) -> Option<Failure> {
        let seed = report.seed;
        Failure::of_run(report, format!("seed {seed}"), format!("docdb-sim replay {seed}{}", arguments_of(setup)))
    }

    /// The failure of what is called `what` and is run by the command `again`; `None` when all was well.
    pub(crate) fn of_run(report: &Report, what: String, again: String) -> Option<Failure> {
        let (kind, message) = match &report.verdict {
            Verdict::Kept => return None,
            Verdict::Violation(message) => ("violation", message.clone()),
            Verdict::Harness(message) => ("harness", message.clone()),
        };
        let (seed, hash, profile) = (report.seed, report.hash, report.profile.name());
        Some(Failure { seed, what, kind, message, profile, hash, again })
    }

    /// The failure of a run that makes no step any more, whatever it would have come to.
    pub(crate) fn of_hang(look: &Look, hangs_after: Duration) -> Failure {
        let Look { seed, setup, steps: _ } = look;
        Failure {
            seed: *seed,
            what: format!("seed {seed}"),
            kind: "violation",
            message: format!("hangs: no step within {hangs_after:?}"),
            profile: setup.profile.map_or("all", ProfileName::name),
            hash: 0,
            again: format!("docdb-sim replay {seed}{}", arguments_of(setup)),
        }
    }

    /// The same failure, by the name and the command of who asked for the run.
    pub(crate) fn called(self, what: String, again: String) -> Failure {
        Failure { what, again, ..self }
    }

    pub(crate) fn show(&self) {
        let what = if self.kind == "violation" { "violation" } else { "the simulator failed" };
        say(&format!("{} (profile {}): {what}: {}", self.what, self.profile, self.message));
        say(&format!("  {}", self.again));
    }

    /// The same on the error output, at once.
    pub(crate) fn complain(&self) {
        complain(&format!("{} (profile {}): {}", self.what, self.profile, self.message));
        complain(&format!("  {}", self.again));
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "seed": self.seed, "profile": self.profile, "kind": self.kind, "message": self.message,
            "hash": format!("{:016x}", self.hash), "replay": self.again,
        })
    }
}
