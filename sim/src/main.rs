//! `docdb-sim`: runs seeds, replays one, or visits every crash of a short life.
//!
//! It owns the command line, the threads and the output, and decides nothing about a run. Exit codes:
//! 0 all promises kept, 1 a violation, 3 the simulator itself failed.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Parser, Subcommand};
use docdb_sim::exhaust::{Settings, exhaust};
use docdb_sim::replay::replay;
use docdb_sim::run::{Report, Verdict, remember_panics, run_seed};
use indicatif::{ProgressBar, ProgressStyle};

/// Failures that are shown one by one.
const SHOWN_FAILURES_MAX: usize = 10;

#[derive(Parser)]
#[command(name = "docdb-sim", about = "Runs DocDB's engine over a simulated disk and clock", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a range of seeds.
    Run {
        /// The seeds, `A..B` without B.
        #[arg(long, value_parser = parse_range)]
        seeds: Range,
        /// How many at a time.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Runs one seed again and prints the hash of its trace.
    Replay {
        /// The seed.
        seed: u64,
        /// Tells on the error output everything that happens.
        #[arg(long)]
        tell: bool,
    },
    /// Crashes a short life at every effect, in every way that matters.
    Exhaust {
        /// Requests in the short life.
        #[arg(long, default_value_t = 12)]
        ops: usize,
        /// 1: crashes; 2: crashes within recoveries as well.
        #[arg(long, default_value_t = 2)]
        crash_depth: u32,
        /// Tells on the error output everything that happens.
        #[arg(long)]
        tell: bool,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy)]
struct Range {
    first: u64,
    end: u64,
}

fn parse_range(text: &str) -> Result<Range, String> {
    let numbers = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match numbers {
        Some((first, end)) if first < end => Ok(Range { first, end }),
        _ => Err(format!("{text:?} is no range of seeds such as 0..1000")),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    remember_panics();
    match arguments.command {
        Command::Run { seeds, jobs, json } => run(seeds, jobs.max(1), json),
        Command::Replay { seed, tell } => replay_one(seed, tell),
        Command::Exhaust { ops, crash_depth, tell, json } => {
            exhaust_all(Settings { operations: ops, crash_depth, telling: tell }, json)
        }
    }
}

/// A reader that closed the pipe wants no more; that is no failure of ours.
fn say(line: &str) {
    drop(writeln!(stdout(), "{line}"));
}

fn bar(length: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}");
    ProgressBar::new(length).with_style(style.expect("the template is valid"))
}

fn exit_code<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> ExitCode {
    let codes = verdicts.map(|verdict| match verdict {
        Verdict::Kept => 0,
        Verdict::Violation(_) => 1,
        Verdict::Harness(_) => 3,
    });
    ExitCode::from(codes.max().unwrap_or(0))
}

fn run(seeds: Range, jobs: usize, json: bool) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(seeds.first);
    let reports: Mutex<Vec<Report>> = Mutex::new(Vec::new());
    let progress = bar(seeds.end - seeds.first);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run_seed(seed, false, &|_| {});
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
            "crashes": sum(&|report| report.crashes),
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
            sum(&|report| report.crashes),
            reports.iter().filter(|report| report.segments > 0).count(),
        ));
    }
    exit_code(reports.iter().map(|report| &report.verdict))
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

fn show_failure(report: &Report) {
    let (kind, message) = match &report.verdict {
        Verdict::Kept => return,
        Verdict::Violation(message) => ("violation", message),
        Verdict::Harness(message) => ("the simulator failed", message),
    };
    say(&format!("seed {}: {kind}: {message}", report.seed));
    say(&format!("  cargo run --release --bin docdb-sim -- replay {}", report.seed));
}

fn replay_one(seed: u64, telling: bool) -> ExitCode {
    let report = replay(seed, telling, &|_| {});
    show_failure(&report);
    say(&format!(
        "seed {seed}: trace {:016x}, {} choices, {} steps, {} transactions, {} crashes",
        report.hash,
        report.trace.len(),
        report.steps,
        report.transactions,
        report.crashes
    ));
    exit_code(std::iter::once(&report.verdict))
}

fn exhaust_all(settings: Settings, json: bool) -> ExitCode {
    let Settings { operations, crash_depth, .. } = settings;
    let started = Instant::now();
    let progress = bar(operations as u64 * 6);
    let visited = exhaust(settings, &|_| {}, &|point| progress.set_position(point));
    progress.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let message = match &visited.verdict {
        Verdict::Kept => None,
        Verdict::Violation(message) | Verdict::Harness(message) => Some(message.as_str()),
    };
    if json {
        let summary = serde_json::json!({
            "operations": operations, "crash_depth": crash_depth, "points": visited.points,
            "complete": visited.complete, "sampled": visited.sampled, "images": visited.images,
            "nested": visited.nested, "violation": message, "seconds": seconds,
        });
        say(&summary.to_string());
    } else {
        if let Some(message) = message {
            say(&format!("violation: {message}"));
            say(&format!(
                "  cargo run --release --bin docdb-sim -- exhaust --ops {operations} --crash-depth {crash_depth}"
            ));
        }
        say(&format!(
            "{} effects; {} crashes with all images, {} with chosen ones; {} images and {} within recoveries; {seconds:.1} s",
            visited.points, visited.complete, visited.sampled, visited.images, visited.nested
        ));
    }
    exit_code(std::iter::once(&visited.verdict))
}
