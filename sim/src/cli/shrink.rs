//! `shrink`: the smallest run that fails alike.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use docdb_sim::chronicle::Chronicle;
use docdb_sim::run::{Report, Verdict};
use docdb_sim::shrink::shrink;
use docdb_sim::trace::{Trace, words};
use serde_json::json;

use super::count;
use super::exit::Exit;
use super::origin::Subject;
use super::output::{bar, or_refuse, say};

/// Makes a failing run small.
///
/// Removes and lowers choices until none can go and the run still breaks the same promise, in the
/// same words but for names, numbers and contents. Ends with code 0 when the smaller trace was written,
/// and with 3 when the run does not fail.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Where the trace is written.
    #[arg(short, long, value_name = "TRACE.json")]
    output: PathBuf,
    /// Stops after so many seconds, with what was reached.
    #[arg(long, value_name = "N", default_value = "60", value_parser = count::parse::<u64>)]
    seconds: u64,
    /// What the trace shows or prevents, for people.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
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
    let unwritable = |error| format!("{}: {error}", arguments.output.display());
    let started = Instant::now();
    let (failing, _) = origin.run(Chronicle::default())?;
    if failing.verdict == Verdict::Kept {
        return Err(format!("{} keeps all promises: there is nothing to shrink", arguments.subject.name()));
    }
    // Found out before the work is done, not after it.
    fs::OpenOptions::new().append(true).create(true).open(&arguments.output).map_err(unwritable)?;
    let progress = bar(arguments.seconds);
    let limit = Duration::from_secs(arguments.seconds);
    let enough = |_| {
        progress.set_position(started.elapsed().as_secs());
        started.elapsed() >= limit
    };
    let told = |smaller: &Report| {
        progress.set_message(format!("{} requests, {} choices", smaller.tally.requests, smaller.trace.len()));
    };
    let shrunk = shrink(&failing, &setup, &enough, &told).ok_or("the run does not fail")?;
    progress.finish_and_clear();
    let mut trace = Trace::of(&shrunk.report, &setup);
    trace.comment.clone_from(&arguments.comment);
    fs::write(&arguments.output, trace.to_json()).map_err(unwritable)?;
    let (kind, message) = words(&trace.verdict);
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        say(&json!({
            "requests": shrunk.report.tally.requests, "crashes": shrunk.report.tally.crashes,
            "choices": trace.choices.len(), "steps": shrunk.report.steps, "complete": shrunk.complete,
            "runs": shrunk.runs, "kind": kind, "message": message, "seconds": seconds,
        })
        .to_string());
    } else {
        say(&format!("{kind}: {message}"));
        for (when, report) in [("before", &failing), ("now", &shrunk.report)] {
            let tally = report.tally;
            let set = report.trace.iter().filter(|choice| choice.value != 0).count();
            let steps = report.steps;
            say(&format!(
                "{when:<7}{:>5} requests {:>3} crashes {steps:>6} steps {set:>6} choices that are not zero",
                tally.requests, tally.crashes
            ));
        }
        let complete = if shrunk.complete { "nothing more can go" } else { "the time is over" };
        say(&format!("{complete}; {} runs, {seconds:.1} s; {}", shrunk.runs, arguments.output.display()));
    }
    Ok(Exit::Kept)
}
