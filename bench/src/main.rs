//! Measures DocDB side by side with what the device gives without a database.
//!
//! Every round measures everything, one after the other, so that a slow minute of the machine slows
//! all of it; the figures are medians over the rounds. The raw writers append as many bytes a commit
//! as DocDB's log grew by for the same documents, measured in the same round.

mod embedded;
mod raw;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use embedded::{DOCUMENT_BYTES, Embedded};
use raw::RawLog;
use report::Report;

/// How many writers share a log.
pub(crate) const WRITERS: u64 = 64;

/// Rows of runs with fewer writers: rate, processor time, how many.
const FEWER_WRITERS: [(&str, &str, u64); 2] = [
    ("docdb, 4 writers", "docdb, processor us a commit, 4 writers", 4),
    ("docdb, 16 writers", "docdb, processor us a commit, 16 writers", 16),
];

/// Measures DocDB side by side with hand-written logs.
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
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "printing figures is what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let folder = arguments.dir.join(format!("docdb-bench-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let measured = measure(&arguments, &folder);
    std::fs::remove_dir_all(&folder)?;
    let report = measured?;
    if arguments.json {
        println!("{:#}", report.json());
    } else {
        println!("{DOCUMENT_BYTES}-byte documents, {} rounds; per second unless marked as a ratio", arguments.rounds);
        print!("{}", report.table());
    }
    Ok(())
}

fn measure(arguments: &Arguments, folder: &std::path::Path) -> Result<Report, Box<dyn Error>> {
    let duration = Duration::from_millis(arguments.milliseconds);
    let raw = RawLog::create(&folder.join("raw"))?;
    let mut report = Report::default();
    for round in 0..arguments.rounds {
        let data = folder.join(format!("data-{round}"));
        let mut docdb = Embedded::create(&data)?;

        let one = docdb.write(1, duration)?;
        let raw_one = raw.one_writer(one.log_bytes_per_commit, 1, duration)?;
        report.add("log bytes a commit, one writer", None, one.log_bytes_per_commit as f64);
        report.add("raw log, one writer", None, raw_one);
        report.add("docdb, one writer", None, one.per_second);
        report.add("ratio, one writer", Some(0.85), one.per_second / raw_one);

        report.add("docdb, processor us a commit, one writer", None, one.processor_us_per_commit);

        for (rate, processor, writers) in FEWER_WRITERS {
            let few = docdb.write(writers, duration)?;
            report.add(rate, None, few.per_second);
            report.add(processor, None, few.processor_us_per_commit);
        }

        let many = docdb.write(WRITERS, duration)?;
        let raw_many = raw.grouped(many.log_bytes_per_commit, duration)?;
        let group = usize::try_from(WRITERS)?;
        let raw_groups = raw.one_writer(many.log_bytes_per_commit, group, duration)?;
        report.add("log bytes a commit, 64 writers", None, many.log_bytes_per_commit as f64);
        report.add("raw grouped log, 64 writers", None, raw_many);
        report.add("raw log, groups of 64 by one thread", None, raw_groups);
        report.add("docdb, 64 writers", None, many.per_second);
        report.add("ratio, 64 writers", Some(0.6), many.per_second / raw_many);
        report.add("docdb, processor us a commit, 64 writers", None, many.processor_us_per_commit);

        let (one_reader, two_readers) = (docdb.read(1, duration)?, docdb.read(2, duration)?);
        report.add("docdb, point reads by one thread", Some(1e6), one_reader);
        report.add("docdb, point reads by two threads", None, two_readers);
        report.add("ratio, two reading threads", Some(1.8), two_readers / one_reader);
        docdb.close()?;
        std::fs::remove_dir_all(&data)?;
    }
    Ok(report)
}
