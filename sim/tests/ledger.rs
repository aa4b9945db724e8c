//! CHECKS.md is read as carefully as code: what it names exists, and every planted bug is claimed.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

struct Row {
    number: String,
    checks: String,
    command: String,
    planted: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("CHECKS.md")).expect("CHECKS.md stands at the top");
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| P")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, _promise, _breaks, checks, command, planted] = cells.as_slice() else {
            panic!("a row has six cells: {line}");
        };
        rows.push(Row {
            number: (*number).to_owned(),
            checks: (*checks).to_owned(),
            command: (*command).to_owned(),
            planted: (*planted).to_owned(),
        });
    }
    assert!(rows.len() >= 10, "the ledger has its first rows");
    rows
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_check_that_is_named_exists() {
    for row in rows() {
        let mut count = 0;
        for check in quoted(&row.checks) {
            let (path, test) = check.split_once("::").unwrap_or((check, ""));
            let path = root().join(path);
            assert!(path.exists(), "{}: {} does not exist", row.number, path.display());
            if !test.is_empty() {
                let text = fs::read_to_string(&path).expect("a test stands in a file");
                assert!(text.contains(&format!("fn {test}")), "{}: no test {test} in {}", row.number, path.display());
            }
            count += 1;
        }
        assert!(count > 0, "{}: no check", row.number);
        assert!(quoted(&row.command).all(|command| command.starts_with("cargo ")), "{}: a command", row.number);
        assert!(quoted(&row.command).count() > 0, "{}: no command", row.number);
    }
}

#[test]
fn every_planted_bug_is_claimed_and_every_row_claims_one() {
    let source = fs::read_to_string(root().join("engine/src/planted.rs")).expect("the planted bugs stand there");
    let all = source.split("pub const ALL").nth(1).expect("the list of all");
    let all = all.split("];").next().expect("the list ends");
    let bugs: Vec<&str> =
        all.split("Bug::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next()).collect();
    assert!(bugs.len() >= 10);
    let rows = rows();
    for bug in &bugs {
        let claimed = rows.iter().any(|row| quoted(&row.planted).any(|claimed| claimed == *bug));
        assert!(claimed, "no row claims {bug}");
    }
    for row in &rows {
        let known = quoted(&row.planted).any(|claimed| bugs.contains(&claimed));
        let by_hand = row.planted.contains("by hand:");
        assert!(known || by_hand, "{}: a check that never failed is not yet a check", row.number);
    }
}
