//! Measures DocDB side by side with what the device gives without a database, and with SQLite.
//!
//! Every round measures everything, one after the other, so that a slow minute of the machine slows
//! all of it; the figures are medians over the rounds. The raw writers append as many bytes a commit
//! as DocDB's log grew by for the same documents, measured in the same round.

mod embedded;
mod grouping;
mod raw;
mod report;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use embedded::DOCUMENT_BYTES;
use grouping::Outcome;
use report::Report;
use rows::Rows;

/// Measures DocDB side by side with hand-written logs and SQLite.
#[derive(Parser)]
struct Arguments {
    /// Where to write; on the device that is to be measured. A folder of its own is made in it, and removed.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long each measurement lasts, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    milliseconds: u64,
    /// Measure these alone, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<Rows>,
    /// How many databases are open where it is many.
    #[arg(long, default_value_t = 4000)]
    databases: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "printing figures is what this program is for")]
fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let folder = arguments.dir.join(format!("docdb-bench-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let measured = measure(&arguments, &folder);
    std::fs::remove_dir_all(&folder)?;
    let report = measured?;
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        println!("{DOCUMENT_BYTES}-byte documents, medians of {} rounds", arguments.rounds);
        print!("{}", report.table());
    }
    Ok(())
}

fn measure(arguments: &Arguments, folder: &Path) -> Outcome<Report> {
    let duration = Duration::from_millis(arguments.milliseconds);
    let wanted = |rows: &Rows| arguments.only.is_empty() || arguments.only.contains(rows);
    let mut groups = Vec::new();
    for (index, rows) in Rows::value_variants().iter().filter(|rows| wanted(rows)).enumerate() {
        let name = rows.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        tell(&format!("preparing {name}"));
        groups.push((rows::prepare(*rows, &folder.join(index.to_string()), arguments.databases)?, name));
    }
    let mut report = Report::default();
    for round in 1..=arguments.rounds {
        for (group, name) in &mut groups {
            tell(&format!("round {round} of {}: {name}", arguments.rounds));
            group.measure(duration, &mut report)?;
        }
    }
    Ok(report)
}

/// Says how far it is, where somebody watches.
#[expect(clippy::print_stderr, reason = "progress is no figure")]
fn tell(what: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{what}");
    }
}

/// Processor time that this process has used, of all its threads, in microseconds.
fn processor_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
