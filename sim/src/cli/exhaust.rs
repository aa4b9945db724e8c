//! `exhaust`: every crash of all short lives.

use std::time::Instant;

use docdb_sim::exhaust::{Case, Settings, exhaust, repeat};
use docdb_sim::run::Verdict;

use super::count;
use super::exit::Exit;
use super::output::{bar, refuse, say};

/// Crashes all short lives at every effect, in every way that matters.
///
/// Nothing is drawn: every workload of up to so many operations on two documents, a crash before every
/// operation of the disk that changes something, every image that it may leave, each recovered and
/// judged. A violation is told with the place that --case goes to again. Of a crash that may leave too
/// many images some are chosen (none, all, each prefix, each lost or kept alone, the last one torn);
/// whether that ever happened is said.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    /// The most operations of a workload.
    #[arg(long, value_name = "N", default_value = "3", value_parser = count::parse::<usize>)]
    ops: usize,
    /// 1: crashes; 2: crashes within recoveries as well; each more, one deeper, in many times the time.
    #[arg(long, value_name = "D", default_value = "2", value_parser = count::parse::<u32>)]
    crash_depth: u32,
    /// How many at a time, each on a core of its own.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count::parse::<usize>)]
    jobs: usize,
    /// Goes to one place again, as a violation named it, and tells on the error output what happens.
    #[arg(long, value_name = "PLACE")]
    case: Option<Case>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let started = Instant::now();
    let progress = bar(0);
    let visited = if let Some(case) = &arguments.case {
        let silent = repeat(case, false);
        if !case.crashes.is_empty() && silent.counts.recoveries == 0 && silent.verdict == Verdict::Kept {
            return refuse(&format!("{case}: this life has no such crash"));
        }
        repeat(case, true)
    } else {
        let settings = Settings { operations: arguments.ops, crash_depth: arguments.crash_depth, jobs: arguments.jobs };
        exhaust(settings, &|done, all| {
            progress.set_length(all as u64);
            progress.set_position(done as u64);
        })
    };
    progress.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let counts = visited.counts;
    let complete = counts.chosen_points == 0;
    let message = match &visited.verdict {
        Verdict::Kept => None,
        Verdict::Violation(message) | Verdict::Harness(message) => Some(message.as_str()),
    };
    let case = visited.violated_at.as_ref().map(Case::to_string);
    if arguments.json {
        let summary = serde_json::json!({
            "workloads": counts.workloads,
            "crash_points": counts.crash_points,
            "images": counts.images,
            "distinct_images": counts.distinct_images,
            "recoveries": counts.recoveries,
            "violations": u64::from(matches!(visited.verdict, Verdict::Violation(_))),
            "violation": message,
            "case": case,
            "complete": complete,
            "points_with_chosen_images": counts.chosen_points,
            "seconds": seconds,
        });
        say(&summary.to_string());
    } else {
        if let (Some(message), Some(case)) = (message, case) {
            say(&format!("violation at {case}: {message}"));
            say(&format!("  docdb-sim exhaust --case '{case}'"));
        }
        let tried = if complete {
            "every image was tried".to_owned()
        } else {
            format!("chosen images at {} points that have too many", counts.chosen_points)
        };
        say(&format!(
            "{} workloads crashed at {} points; {} images, {} of them distinct, {} recoveries; {tried}; {seconds:.1} s",
            counts.workloads, counts.crash_points, counts.images, counts.distinct_images, counts.recoveries,
        ));
    }
    Exit::of(&visited.verdict)
}
