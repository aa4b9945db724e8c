//! CHECKS.md is read as carefully as code: its table and its sections agree, what it names exists, every command could run,
//! every mark is one that the simulator knows, and every planted bug is claimed. So is the matrix of MUTANTS.md.

use std::fs;
use std::path::{Path, PathBuf};

use docdb_sim::profile::ProfileName;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What CHECKS.md says of one promise: its section, field by field.
struct Row {
    number: String,
    promise: String,
    breaks: String,
    checks: String,
    command: String,
    scope: String,
    marks: String,
    /// Planted mistakes that the checks find.
    planted: String,
    /// Mistakes that an engineer put into the code and took out again.
    by_hand: String,
}

/// The fields of a section, in their order. The last two may be missing, one of them.
const FIELDS: [&str; 7] =
    ["How it could break", "Checks", "Command", "Scope and budget", "Marks", "Planted", "By hand"];

/// The sections of CHECKS.md that are headed by the number of a promise, in the order of the page.
fn rows() -> Vec<Row> {
    let text = read("CHECKS.md");
    let sections = text.split("\n## ").skip(1).filter(|section| {
        section.strip_prefix('P').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    });
    let rows: Vec<Row> = sections.map(row).collect();
    assert!(rows.len() >= 20, "the ledger has its promises");
    rows
}

/// Reads a section: its number, a paragraph with the promise, and an item a field.
fn row(section: &str) -> Row {
    let mut paragraphs = section.trim_end().split("\n\n");
    let number = paragraphs.next().expect("a split yields one part at least").to_owned();
    let promise = paragraphs.next().unwrap_or_else(|| panic!("{number}: a promise")).replace('\n', " ");
    let list = paragraphs.next().unwrap_or_else(|| panic!("{number}: a list of fields"));
    assert!(paragraphs.next().is_none(), "{number}: the promise, one list, and nothing behind it");

    let mut fields: [Option<String>; FIELDS.len()] = std::array::from_fn(|_| None);
    let mut last = None;
    for line in list.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            let (label, text) =
                item.split_once(':').unwrap_or_else(|| panic!("{number}: an item names its field: {line}"));
            let field = FIELDS.iter().position(|field| *field == label);
            let field = field.unwrap_or_else(|| panic!("{number}: no field is called {label}"));
            assert!(last < Some(field), "{number}: the field {label} stands once, in the order of the others");
            fields[field] = Some(text.trim().to_owned());
            last = Some(field);
        } else {
            let more = line.strip_prefix("  ").unwrap_or_else(|| panic!("{number}: a line of no item: {line}"));
            let field = last.unwrap_or_else(|| panic!("{number}: the list begins with an item"));
            fields[field].as_mut().expect("the last field has been read").push_str(&format!(" {}", more.trim()));
        }
    }
    let [breaks, checks, command, scope, marks, planted, by_hand] = fields;
    let required = |field: Option<String>, name: &str| {
        field.filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{number}: {name} is missing"))
    };
    Row {
        promise,
        breaks: required(breaks, "how it could break"),
        checks: required(checks, "a check"),
        command: required(command, "a command"),
        scope: required(scope, "a scope and a budget"),
        marks: required(marks, "a mark, or that there is none,"),
        planted: planted.unwrap_or_default(),
        by_hand: by_hand.unwrap_or_default(),
        number,
    }
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn promises_stand_in_the_order_of_their_numbers() {
    let number = |row: &Row| row.number.trim_start_matches('P').parse::<u32>().expect("P and a number");
    let numbers: Vec<u32> = rows().iter().map(number).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "a number names one promise, and they ascend: {numbers:?}");
}

#[test]
fn the_table_says_what_the_sections_say() {
    let text = read("CHECKS.md");
    let table: Vec<&str> = text.lines().filter(|line| line.starts_with("| [P") || line.starts_with("| P")).collect();
    let line =
        |row: &Row| format!("| [{}](#{}) | {} | {} |", row.number, row.number.to_lowercase(), row.promise, row.command);
    let sections: Vec<String> = rows().iter().map(line).collect();
    for section in &sections {
        assert!(table.contains(&section.as_str()), "the table lacks the line\n{section}");
    }
    assert_eq!(table, sections, "the table lists the promises that have a section, in their order");
}

#[test]
fn every_check_that_is_named_exists() {
    for row in rows() {
        let mut count = 0;
        for check in quoted(&row.checks) {
            let (path, test) = check.split_once("::").unwrap_or((check, ""));
            assert!(root().join(path).exists(), "{}: {path} does not exist", row.number);
            let text = if test.is_empty() { String::new() } else { read(path) };
            assert!(
                test.is_empty() || text.contains(&format!("fn {test}")),
                "{}: no test {test} in {path}",
                row.number
            );
            count += 1;
        }
        assert!(count > 0, "{}: no check", row.number);
        assert!(row.scope.len() > 2, "{}: a scope and a budget", row.number);
        assert!(row.breaks.len() > 2, "{}: how it could break", row.number);
    }
}

#[test]
fn every_command_could_run() {
    for row in rows() {
        assert!(quoted(&row.command).count() > 0, "{}: a command", row.number);
        for command in quoted(&row.command) {
            if let Err(why) = could_run(command) {
                panic!("{}: `{command}`: {why}", row.number);
            }
        }
    }
}

/// Whether a command names packages, tests and subcommands that are there.
fn could_run(command: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", "test", rest @ ..] => test_could_run(rest),
        ["cargo", "run", rest @ ..] => {
            let (before, after) = rest.split_at(rest.iter().position(|word| *word == "--").unwrap_or(rest.len()));
            let programs =
                before.iter().zip(before.iter().skip(1)).filter(|(flag, _)| **flag == "--bin" || **flag == "--example");
            for (flag, name) in programs {
                let example = flag.contains("example");
                let known =
                    if example { find_example(name) } else { ["docdb-sim", "docdbsh", "docdbd"].contains(name) };
                if !known {
                    return Err(format!("no program {name}"));
                }
            }
            match after.get(1) {
                Some(subcommand) if before.contains(&"docdb-sim") => {
                    let path = format!("sim/src/cli/{subcommand}.rs");
                    root().join(&path).exists().then_some(()).ok_or(format!("no command {subcommand}"))
                }
                _ => Ok(()),
            }
        }
        ["cargo", "mutants", ..] => Ok(()),
        _ => Err("neither a test nor a run".to_owned()),
    }
}

fn find_example(name: &str) -> bool {
    FOLDERS.iter().any(|(_, folder)| root().join(folder).join("examples").join(format!("{name}.rs")).exists())
}

/// Packages and where they are.
const FOLDERS: &[(&str, &str)] = &[
    ("docdb-protocol", "protocol"),
    ("docdb-engine", "engine"),
    ("docdb", "host"),
    ("docdb-models", "models"),
    ("docdb-sim", "sim"),
    ("docdb-simulated-engine", "sim/engine"),
    ("docdbd", "daemon"),
    ("docdb-client", "client"),
    ("docdbsh", "shell"),
    ("docdb-fuzz", "fuzz"),
    ("docdb-bench", "bench"),
];

fn test_could_run(words: &[&str]) -> Result<(), String> {
    let mut folders: Vec<&str> = Vec::new();
    let mut targets: Vec<&str> = Vec::new();
    let mut filters: Vec<&str> = Vec::new();
    let mut words = words.iter().copied().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        match word {
            "-p" => {
                let package = words.next().ok_or("-p names a package")?;
                let found = FOLDERS.iter().find(|(name, _)| *name == package);
                folders.push(found.ok_or(format!("no package {package}"))?.1);
            }
            "--test" => targets.push(words.next().ok_or("--test names a file")?),
            "--features" => drop(words.next().filter(|features| *features == "planted-bugs").ok_or("no such feature")?),
            "--workspace" | "--release" | "--lib" | "--doc" => {}
            flag if flag.starts_with('-') => return Err(format!("the flag {flag} is not one that this test knows")),
            filter => filters.push(filter),
        }
    }
    for target in targets {
        let file = |folder: &&str| {
            let tests = root().join(folder).join("tests");
            tests.join(format!("{target}.rs")).exists() || tests.join(target).join("main.rs").exists()
        };
        if !folders.iter().any(file) {
            return Err(format!("no test {target}"));
        }
    }
    for filter in filters {
        // The last part of a filter is a module or the beginning of a test's name.
        let last = filter.rsplit("::").find(|part| !part.is_empty()).unwrap_or(filter);
        if !folders.iter().any(|folder| mentions(&root().join(folder), last)) {
            return Err(format!("nothing is called {last}"));
        }
    }
    Ok(())
}

/// Whether some source file below has a function whose name contains `name`, or a module or file of that name.
fn mentions(folder: &Path, name: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return path.file_name().is_some_and(|own| own == name) || mentions(&path, name);
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            return false;
        }
        path.file_stem().is_some_and(|stem| stem == name)
            || fs::read_to_string(&path).is_ok_and(|text| {
                let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
                let modules = text.split("mod ").skip(1).filter_map(|rest| rest.split([' ', ';', '{']).next());
                names.chain(modules).any(|found| found.contains(name))
            })
    })
}

#[test]
fn every_mark_is_one_that_some_mixture_must_meet() {
    let mut named = 0;
    for row in rows() {
        for mark in quoted(&row.marks) {
            let known = ProfileName::required_of_all().iter().any(|required| required.name() == mark);
            assert!(known, "{}: no run has to meet a mark called {mark}", row.number);
            named += 1;
        }
    }
    assert!(named > 20, "the promises that the simulator checks name their marks");
}

/// The names of all planted bugs: each is a file.
fn bugs() -> Vec<String> {
    let folder = fs::read_dir(root().join("sim/mistakes")).expect("the folder of mistakes");
    let names = folder.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let bugs: Vec<String> = names.filter_map(|name| name.strip_suffix(".diff").map(str::to_owned)).collect();
    assert!(bugs.len() >= 40, "the ledger speaks of at least forty");
    bugs
}

/// The number of the promise that a planted bug breaks, as its file says.
fn broken_by(bug: &str) -> String {
    let file = read(&format!("sim/mistakes/{bug}.diff"));
    let breaks = file.lines().find_map(|line| line.strip_prefix("breaks: "));
    breaks.unwrap_or_else(|| panic!("{bug} says which promise it breaks")).to_owned()
}

#[test]
fn the_matrix_names_faults_and_bugs_that_exist() {
    let text = read("MUTANTS.md");
    let matrix = text.split("<!-- matrix -->").nth(1).expect("MUTANTS.md marks the matrix");
    let lines = matrix.lines().filter(|line| line.starts_with("| `"));
    let mut kinds: Vec<String> = Vec::new();
    for line in lines {
        let (without, survive) = line.trim_matches('|').split_once(" | ").expect("two cells");
        kinds.extend(quoted(without).map(str::to_owned));
        for bug in quoted(survive) {
            assert!(bugs().iter().any(|known| known == bug), "the matrix names {bug}, which is not planted");
        }
    }
    for kind in &kinds {
        assert!(docdb_sim::disk::FaultKind::from_name(kind).is_some(), "the matrix names {kind}, which is no fault");
        assert_eq!(kinds.iter().filter(|other| *other == kind).count(), 1, "{kind} is named once");
    }
    assert!(kinds.len() > 20, "the matrix is about all kinds");
}

#[test]
fn every_planted_bug_is_claimed_and_every_row_claims_one() {
    let bugs = bugs();
    let rows = rows();
    for bug in &bugs {
        let number = broken_by(bug);
        let row = rows.iter().find(|row| row.number == number);
        let claimed = row.is_some_and(|row| quoted(&row.planted).any(|claimed| claimed == *bug));
        assert!(claimed, "{bug} breaks {number}, whose section does not claim it");
    }
    for row in &rows {
        let known = quoted(&row.planted).any(|claimed| bugs.iter().any(|bug| bug == claimed));
        let by_hand = row.by_hand.len() > 2;
        assert!(known || by_hand, "{}: a check that never failed is not yet a check", row.number);
    }
}
