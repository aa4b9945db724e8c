//! `exhaust`: every crash of a short life.

use std::time::Instant;

use docdb_sim::exhaust::{Settings, exhaust};
use docdb_sim::run::Verdict;

use super::exit::Exit;
use super::output::{bar, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
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
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let Arguments { ops: operations, crash_depth, tell: telling, json } = *arguments;
    let started = Instant::now();
    let progress = bar(operations as u64 * 6);
    let settings = Settings { operations, crash_depth, telling };
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
    Exit::of([&visited.verdict])
}
