//! `replay`: one seed or one trace again.

use std::fs;
use std::path::PathBuf;

use docdb_sim::chronicle::Chronicle;
use docdb_sim::replay::{Origin, replay};
use docdb_sim::run::{Report, Setup};
use docdb_sim::timeline::{Subject, page};
use docdb_sim::trace::{Trace, words};
use serde_json::json;

use super::exit::Exit;
use super::origin;
use super::output::{Failure, complain, or_refuse, say};
use super::watchdog::Watch;

/// Runs one seed or one trace again, and tells what happens.
///
/// What it ran is recorded and run a second time, to see that both agree. A trace is what `shrink`
/// or `--save` wrote. It replays exactly as long as engine and simulator are those that it was recorded
/// with; afterwards it is run all the same, and what it comes to is told.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: origin::Subject,
    #[command(flatten)]
    watch: Watch,
    /// Tells on the error output everything that happens.
    #[arg(long)]
    tell: bool,
    /// Tells what happens up to this step, and nothing behind it.
    #[arg(long, value_name = "STEP")]
    until: Option<u64>,
    /// Writes the trace.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Writes a page that shows the run: a lane a file, what was written, what each crash left, what
    /// went wrong. With --until, up to that step.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    html: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    or_refuse(tried(arguments))
}

fn tried(arguments: &Arguments) -> Result<Exit, String> {
    let origin = arguments.subject.origin()?;
    let setup = origin.setup()?;
    let mut chronicle = Chronicle::default();
    if arguments.tell || (arguments.until.is_some() && arguments.html.is_none()) {
        chronicle.tell();
    }
    if arguments.html.is_some() {
        chronicle.keep();
    }
    if let Some(step) = arguments.until {
        chronicle.until(step);
    }
    let (name, again, json) = (arguments.subject.name(), arguments.subject.again(&setup), arguments.json);
    arguments.watch.begin(move |look, hangs_after| {
        let failure = Failure::of_hang(look, hangs_after).called(name, again);
        if json {
            say(&failure.json().to_string());
        } else {
            failure.show();
        }
        Exit::Violation
    });
    let (report, chronicle) = replay(&origin, chronicle)?;
    if let Some(path) = &arguments.save {
        let trace = Trace::of(&report, &setup);
        fs::write(path, trace.to_json()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &arguments.html {
        let page = page(&subject_of(arguments, &setup), &report, &chronicle);
        fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    show(&arguments.subject, &report, &setup, arguments.json);
    if let Origin::Trace(trace) = &origin
        && (trace.hash, &trace.verdict) != (report.hash, &report.verdict)
    {
        complain(&format!(
            "note: not as recorded ({} {:016x}): the engine or the simulator has changed since",
            words(&trace.verdict).0,
            trace.hash
        ));
    }
    Ok(Exit::of(&report.verdict))
}

fn subject_of(arguments: &Arguments, setup: &Setup) -> Subject {
    let (what, command) = (arguments.subject.what.clone(), arguments.subject.again(setup));
    #[cfg(feature = "planted-bugs")]
    let planted = setup.planted.map(|bug| (bug.name().to_owned(), bug.what().to_owned()));
    #[cfg(not(feature = "planted-bugs"))]
    let planted = None;
    Subject { what, command, planted, until: arguments.until }
}

fn show(subject: &origin::Subject, report: &Report, setup: &Setup, json: bool) {
    if json {
        let (kind, message) = words(&report.verdict);
        say(&json!({
            "seed": report.seed, "profile": report.profile.name(), "verdict": kind, "message": message,
            "hash": format!("{:016x}", report.hash), "choices": report.trace.len(), "steps": report.steps,
            "requests": report.tally.requests, "crashes": report.tally.crashes,
        })
        .to_string());
        return;
    }
    if let Some(failure) = Failure::of_run(report, subject.name(), subject.again(setup)) {
        failure.show();
    }
    say(&format!(
        "{}: trace {:016x}, {} choices, {} steps, {} requests, {} transactions, {} crashes",
        subject.name(),
        report.hash,
        report.trace.len(),
        report.steps,
        report.tally.requests,
        report.transactions,
        report.tally.crashes
    ));
}
