//! Puts the planted mistakes into the text of the engine's sources. The build script and the tests of this package use it.
//!
//! A mistake is one file of `sim/mistakes`, whose README says how to read it. Each of its places must be found exactly
//! once in its file of the engine, and no two mistakes replace one line: otherwise what is said is which mistake, which
//! file, and what was looked for. Every changed line says `PLANTED`, or the engine would be changed for everybody.
//!
//! The text keeps its line numbers: what is added stands on the line that it replaces, or in front of the next one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The engine's sources, seen from this package.
pub(crate) const ENGINE: &str = "../../engine/src";

/// The mistakes, seen from this package.
pub(crate) const MISTAKES: &str = "../mistakes";

/// How places name the engine's files.
const FILE_PREFIX: &str = "--- engine/src/";

/// What stands in a place for the question whether its mistake is the one that is planted.
const MARK: &str = "PLANTED";

/// One mistake, as its file says.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) name: String,
    /// What is done wrong, in one sentence.
    pub(crate) what: String,
    /// The part of the engine's work that it is a mistake in.
    pub(crate) area: String,
    /// The promise of CHECKS.md that is broken.
    pub(crate) breaks: String,
    places: Vec<Place>,
}

/// A few lines of one file, and what becomes of them.
#[derive(Debug)]
struct Place {
    file: String,
    rows: Vec<Row>,
}

/// A line of a place, without its indentation.
#[derive(Debug)]
enum Row {
    Kept(String),
    Removed(String),
    Added(String),
}

impl Mistake {
    /// Reads the file of the mistake called `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Mistake, String> {
        let wrong = |what: String| format!("sim/mistakes/{name}.diff: {what}");
        let mut lines = text.lines();
        let what = lines.next().unwrap_or_default().to_owned();
        let (mut area, mut breaks, mut places) = (String::new(), String::new(), Vec::<Place>::new());
        for line in lines {
            if let Some(file) = line.strip_prefix(FILE_PREFIX) {
                places.push(Place { file: file.to_owned(), rows: Vec::new() });
            } else if let Some(place) = places.last_mut().filter(|_| !line.is_empty()) {
                let (sign, code) = line.split_at_checked(1).ok_or_else(|| wrong(format!("an odd line: {line}")))?;
                let code = code.trim().to_owned();
                place.rows.push(match sign {
                    " " => Row::Kept(code),
                    "-" => Row::Removed(code),
                    // All that is added stands on one line in the end.
                    "+" if code.contains("//") => return Err(wrong(format!("a comment in what is added: {line}"))),
                    "+" => Row::Added(code),
                    _ => return Err(wrong(format!("neither a place nor a line of one: {line}"))),
                });
            } else if let Some(said) = line.strip_prefix("area: ") {
                area = said.to_owned();
            } else if let Some(said) = line.strip_prefix("breaks: ") {
                breaks = said.to_owned();
            } else if !line.is_empty() {
                return Err(wrong(format!("neither an area nor a promise: {line}")));
            }
        }
        if [&what, &area, &breaks].iter().any(|said| said.is_empty()) || places.is_empty() {
            return Err(wrong(
                "says what is done wrong, its area, the promise that it breaks, and its places".to_owned(),
            ));
        }
        for place in &places {
            if !place.rows.iter().any(|row| matches!(row, Row::Added(code) if code.contains(MARK))) {
                return Err(wrong(format!("a place of {} changes the engine without {MARK}", place.file)));
            }
        }
        Ok(Mistake { name: name.to_owned(), what, area, breaks, places })
    }
}

/// All mistakes, by area and name, and what is wrong with the files of others.
pub(crate) fn mistakes() -> io::Result<(Vec<Mistake>, Vec<String>)> {
    let (mut mistakes, mut errors) = (Vec::new(), Vec::new());
    for path in files(&package().join(MISTAKES), "diff")? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match Mistake::parse(&name, &fs::read_to_string(&path)?) {
            Ok(mistake) => mistakes.push(mistake),
            Err(error) => errors.push(error),
        }
    }
    mistakes.sort_by(|one, other| (&one.area, &one.name).cmp(&(&other.area, &other.name)));
    Ok((mistakes, errors))
}

/// The engine's sources, by their names below `engine/src`.
pub(crate) fn sources() -> io::Result<BTreeMap<String, String>> {
    let engine = package().join(ENGINE);
    let mut sources = BTreeMap::new();
    for path in files(&engine, "rs")? {
        let below = path.strip_prefix(&engine).expect("found there");
        let name = below.to_string_lossy().replace('\\', "/");
        sources.insert(name, fs::read_to_string(&path)?);
    }
    Ok(sources)
}

fn package() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names it"))
}

/// All files below a folder with this extension, sorted.
fn files(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The sources with all mistakes in them, and what is wrong with some.
pub(crate) fn planted(
    mut sources: BTreeMap<String, String>,
    mistakes: &[Mistake],
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut errors = Vec::new();
    let mut changes: BTreeMap<&str, Vec<Change>> = BTreeMap::new();
    for mistake in mistakes {
        for place in &mistake.places {
            let known = changes.entry(&place.file).or_default();
            match Change::found(mistake, place, sources.get(&place.file).map_or("", String::as_str), known) {
                Ok(change) => known.push(change),
                Err(why) => {
                    errors.push(format!("sim/mistakes/{}.diff: engine/src/{}: {why}", mistake.name, place.file));
                }
            }
        }
    }
    for (file, changes) in changes {
        if let Some(text) = sources.get_mut(file) {
            *text = changed(text, &changes);
        }
    }
    (sources, errors)
}

/// What a place does to the lines of its file.
struct Change<'mistakes> {
    mistake: &'mistakes str,
    removed: Vec<usize>,
    /// In front of which line, and what.
    added: Vec<(usize, String)>,
}

impl Change<'_> {
    /// Finds the one place in the text, and changes no line that another mistake replaces.
    fn found<'mistakes>(
        mistake: &'mistakes Mistake,
        place: &Place,
        text: &str,
        known: &[Change<'_>],
    ) -> Result<Change<'mistakes>, String> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let there = |row: &Row| match row {
            Row::Kept(code) | Row::Removed(code) => Some(code.clone()),
            Row::Added(_) => None,
        };
        let wanted: Vec<String> = place.rows.iter().filter_map(there).collect();
        let starts: Vec<usize> = lines
            .windows(wanted.len().max(1))
            .enumerate()
            .filter(|(_, there)| *there == wanted)
            .map(|(at, _)| at)
            .collect();
        let [start] = starts.as_slice() else {
            let count = if starts.is_empty() { "is not there" } else { "is there more than once" };
            return Err(format!("this {count}: {}", wanted.join(" ")));
        };
        let mut change = Change { mistake: &mistake.name, removed: Vec::new(), added: Vec::new() };
        let mut at = *start;
        // What replaces a line stands where that was, what is added without replacing one in front of the next.
        let mut replaced = None;
        for row in &place.rows {
            match row {
                Row::Kept(_) => {
                    replaced = None;
                    at += 1;
                }
                Row::Removed(_) => {
                    if let Some(other) = known.iter().find(|other| other.removed.contains(&at)) {
                        return Err(format!("{} replaces this line too: {}", other.mistake, lines[at]));
                    }
                    change.removed.push(at);
                    replaced = Some(at);
                    at += 1;
                }
                Row::Added(code) => {
                    let active = format!("crate::planted::is_planted(crate::planted::Bug::{})", mistake.name);
                    change.added.push((replaced.unwrap_or(at), code.replace(MARK, &active)));
                }
            }
        }
        Ok(change)
    }
}

/// The text with these changes, on as many lines as before.
fn changed(text: &str, changes: &[Change<'_>]) -> String {
    let mut after = String::new();
    for (at, line) in text.lines().enumerate() {
        let added = changes.iter().flat_map(|change| &change.added).filter(|(place, _)| *place == at);
        for (_, code) in added {
            after += code;
            after.push(' ');
        }
        if !changes.iter().any(|change| change.removed.contains(&at)) {
            after += line;
        }
        after.push('\n');
    }
    after
}
