//! `run`: a range of seeds, several at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use docdb_sim::run::{Report, Setup, Verdict, run_seed};

use super::exit::Exit;
use super::output::{bar, say, show_failure};
use super::seeds::{self, Seeds};

/// Failures that are shown one by one.
const SHOWN_FAILURES_MAX: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The seeds, `A..B` without B.
    #[arg(long, value_parser = seeds::parse)]
    seeds: Seeds,
    /// How many at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let Arguments { seeds, jobs, json } = *arguments;
    let started = Instant::now();
    let next = AtomicU64::new(seeds.first);
    let reports: Mutex<Vec<Report>> = Mutex::new(Vec::new());
    let progress = bar(seeds.end - seeds.first);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run_seed(seed, false, &Setup::default());
                    progress.inc(1);
                    reports.lock().expect("no thread panics while it adds a report").push(report);
                }
            });
        }
    });
    progress.finish_and_clear();
    let mut reports = reports.into_inner().expect("no thread panics while it adds a report");
    reports.sort_by_key(|report| report.seed);
    let failures: Vec<&Report> = reports.iter().filter(|report| report.verdict != Verdict::Kept).collect();
    let sum = |of: &dyn Fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let seconds = started.elapsed().as_secs_f64();
    if json {
        let failed: Vec<serde_json::Value> = failures.iter().map(|report| failure_json(report)).collect();
        let summary = serde_json::json!({
            "seeds": reports.len(),
            "failed": failures.len(),
            "failures": failed,
            "steps": sum(&|report| report.steps),
            "transactions": sum(&|report| report.transactions),
            "crashes": sum(&|report| report.tally.crashes),
            "with_rotation": reports.iter().filter(|report| report.segments > 0).count(),
            "seconds": seconds,
        });
        say(&summary.to_string());
    } else {
        for report in failures.iter().take(SHOWN_FAILURES_MAX) {
            show_failure(report);
        }
        say(&format!(
            "{} seeds, {} failed; {} steps, {} transactions, {} crashes, {} seeds with sealed segments; {seconds:.1} s",
            reports.len(),
            failures.len(),
            sum(&|report| report.steps),
            sum(&|report| report.transactions),
            sum(&|report| report.tally.crashes),
            reports.iter().filter(|report| report.segments > 0).count(),
        ));
    }
    Exit::of(reports.iter().map(|report| &report.verdict))
}

fn failure_json(report: &Report) -> serde_json::Value {
    let (kind, message) = match &report.verdict {
        Verdict::Kept => ("kept", ""),
        Verdict::Violation(message) => ("violation", message.as_str()),
        Verdict::Harness(message) => ("harness", message.as_str()),
    };
    serde_json::json!({
        "seed": report.seed, "kind": kind, "message": message, "hash": format!("{:016x}", report.hash),
    })
}
