//! `materialize`: the files after a crash, as real files.

use std::path::PathBuf;

use clap::ValueEnum;
use docdb_sim::chronicle::{Chronicle, Keep};
use docdb_sim::materialize;
use serde_json::json;

use super::exit::Exit;
use super::origin::Subject;
use super::output::{or_refuse, say};

/// Writes the files that a crash leaves, as real files.
///
/// The directory must be empty or not there; then `docdbsh DIR` opens it. Steps are those that
/// `replay --tell` prints.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// The step after which the crash comes.
    #[arg(long, value_name = "STEP")]
    at: u64,
    /// What survives of all that was written and never synced.
    #[arg(long, value_enum, default_value_t = Survives::Decided)]
    keep: Survives,
    /// The directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Survives {
    /// What the run itself decided; it must have crashed at this step.
    Decided,
    /// All of it, at any step.
    All,
    /// Nothing of it, at any step: power goes, and takes all that it can.
    None,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    or_refuse(tried(arguments))
}

fn tried(arguments: &Arguments) -> Result<Exit, String> {
    let origin = arguments.subject.origin()?;
    let keep = match arguments.keep {
        Survives::Decided => Keep::AsDecided,
        Survives::All => Keep::All,
        Survives::None => Keep::None,
    };
    let mut chronicle = Chronicle::default();
    chronicle.capture(arguments.at, keep);
    let (report, chronicle) = origin.run(chronicle)?;
    let Some(image) = chronicle.captured() else {
        let crashes: Vec<String> = chronicle.crashes().iter().map(u64::to_string).collect();
        return Err(match keep {
            Keep::AsDecided => format!(
                "the run does not crash at step {}; it does at {}. --keep all or none cuts the power at any step",
                arguments.at,
                if crashes.is_empty() { "none".to_owned() } else { crashes.join(", ") }
            ),
            Keep::All | Keep::None => format!("the run has {} steps", report.steps),
        });
    };
    let directory = arguments.dir.display();
    let files = materialize::write(image, &arguments.dir).map_err(|error| format!("{directory}: {error}"))?;
    if arguments.json {
        say(&json!({ "files": files, "step": arguments.at, "seed": report.seed }).to_string());
    } else {
        say(&format!("{files} files as after a crash at step {} in {directory}", arguments.at));
        say(&format!("  docdbsh {directory}"));
    }
    Ok(Exit::Kept)
}
