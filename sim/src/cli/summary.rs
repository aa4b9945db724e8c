//! `summary`: the table of what was run, from recorded results.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::exit::Exit;
use super::output::{refuse, say};

/// Prints the table of what was run, from recorded results.
///
/// Reads the last lines that `run --json`, `exhaust --json` and `determinism --json` printed (lines of
/// other kinds are passed over) and prints their sums as a table in Markdown:
///
///   docdb-sim run --time 8h --jobs 4 --json >> runs.jsonl
///   docdb-sim exhaust --json >> runs.jsonl
///   docdb-sim summary runs.jsonl
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
pub(crate) struct Arguments {
    /// Files of JSON lines.
    #[arg(value_name = "RUNS.jsonl", required = true)]
    files: Vec<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
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

impl Row {
    fn json(&self) -> Value {
        let Row { times, seeds, crashes, recoveries, violations, seconds } = self;
        json!({
            "times": times, "seeds_or_workloads": seeds, "crashes_or_images": crashes, "recoveries": recoveries,
            "violations": violations, "seconds": seconds,
        })
    }
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
    if arguments.json {
        let rows: Map<String, Value> = rows.iter().map(|(name, row)| ((*name).to_owned(), row.json())).collect();
        say(&Value::Object(rows).to_string());
        return Exit::Kept;
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
