//! `summary`: the table of what was run, from recorded results.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::exit::Exit;
use super::output::{refuse, say};

/// Reads the last lines that `run --json`, `exhaust --json` and `determinism --json` printed (other lines are passed over) and
/// prints their sums as a table in Markdown, for README.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files of JSON lines.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// The sums of one command.
#[derive(Default)]
struct Row {
    times: u64,
    seeds: u64,
    crashes: u64,
    recoveries: u64,
    violations: u64,
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let mut rows = [("run", Row::default()), ("exhaust", Row::default()), ("determinism", Row::default())];
    for path in &arguments.files {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return refuse(&format!("{}: {error}", path.display())),
        };
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<Value>(line) else {
                return refuse(&format!("{}: not JSON: {line}", path.display()));
            };
            add(&mut rows, &value);
        }
    }
    say("| command | times | seeds or workloads | crashes or images | recoveries | violations | hours |");
    say("|---|---|---|---|---|---|---|");
    for (name, row) in rows.iter().filter(|(_, row)| row.times > 0) {
        let Row { times, seeds, crashes, recoveries, violations, seconds } = row;
        let hours = seconds / 3600.0;
        say(&format!("| `{name}` | {times} | {seeds} | {crashes} | {recoveries} | {violations} | {hours:.2} |"));
    }
    Exit::Kept
}

fn add(rows: &mut [(&str, Row); 3], value: &Value) {
    let number = |key: &str| value[key].as_u64().unwrap_or(0);
    let has = |key: &str| value.get(key).is_some();
    let (index, seeds, crashes, violations) = if has("trace_hash") {
        (0, "seeds", "crashes", "violations")
    } else if has("images") {
        (1, "workloads", "images", "violations")
    } else if has("differing") {
        (2, "seeds", "crashes", "differing")
    } else {
        return;
    };
    let row = &mut rows[index].1;
    row.times += 1;
    row.seeds += number(seeds);
    row.crashes += number(crashes);
    row.recoveries += number("recoveries");
    row.violations += number(violations);
    row.seconds += value["seconds"].as_f64().unwrap_or(0.0);
}
