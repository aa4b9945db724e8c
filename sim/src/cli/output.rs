//! Lines on the output and a bar on the terminal.

use std::io::{IsTerminal, Write, stderr, stdout};

use docdb_sim::run::{Report, Verdict};
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line. A reader that closed the pipe wants no more; that is no failure of ours.
pub(crate) fn say(line: &str) {
    drop(writeln!(stdout(), "{line}"));
}

/// Prints a line on the error output.
pub(crate) fn complain(line: &str) {
    drop(writeln!(stderr(), "{line}"));
}

/// A bar on the error output, when that is a terminal.
pub(crate) fn bar(length: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}");
    ProgressBar::new(length).with_style(style.expect("the template is valid"))
}

/// What went wrong and the command that shows it again; nothing when all was well.
pub(crate) fn show_failure(report: &Report) {
    let (kind, message) = match &report.verdict {
        Verdict::Kept => return,
        Verdict::Violation(message) => ("violation", message),
        Verdict::Harness(message) => ("the simulator failed", message),
    };
    say(&format!("seed {}: {kind}: {message}", report.seed));
    say(&format!("  cargo run --release --bin docdb-sim -- replay {}", report.seed));
}
