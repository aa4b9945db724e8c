//! `explain`: what is simulated, what is judged, and how to read a failure.

use docdb_sim::disk::FaultKind;
use docdb_sim::disk::MODEL;
use docdb_sim::explain::{FAILURES, ORACLES};
use docdb_sim::profile::ProfileName;
use serde_json::json;

use super::exit::Exit;
use super::output::say;

/// Prints the fault model, the kinds of faults, what is judged, and how to read a failure.
///
/// Also the profiles (mixtures of faults) that --profile takes.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    if arguments.json {
        let faults: Vec<_> =
            FaultKind::ALL.iter().map(|kind| json!({ "name": kind.name(), "what": kind.sentence() })).collect();
        let profiles: Vec<_> =
            ProfileName::ALL.iter().map(|name| json!({ "name": name.name(), "what": name.sentence() })).collect();
        say(&json!({ "model": MODEL, "faults": faults, "profiles": profiles, "oracles": ORACLES, "failures": FAILURES })
            .to_string());
        return Exit::Kept;
    }
    say("THE SIMULATED DISK\n");
    say(MODEL);
    say("\nKINDS OF FAULTS (--without KIND)\n");
    for kind in FaultKind::ALL {
        say(&format!("  {:<21} {}", kind.name(), kind.sentence()));
    }
    say("\nPROFILES (--profile NAME)\n");
    for profile in ProfileName::ALL {
        say(&format!("  {:<21} {}", profile.name(), profile.sentence()));
    }
    say(&format!("\nWHAT COUNTS AS A VIOLATION\n\n{ORACLES}"));
    say(&format!("HOW TO READ A FAILURE\n\n{FAILURES}"));
    Exit::Kept
}
