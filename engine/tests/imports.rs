//! No circle among the files of the engine: each can be read with what it imports, and nothing that imports it.
//!
//! The test reads the sources. A file imports another when a path of its code leads to something that the other one
//! defines; a name that a folder's `mod.rs` only passes on leads to the file that defines it. A parent that declares a
//! module does not import it by that. Tests may import what they like.

#![expect(clippy::disallowed_methods, reason = "the test reads the sources; the engine itself does no IO")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module's path below the crate, without `crate`.
type Module = Vec<String>;

#[derive(Default)]
struct Source {
    /// Every path of its code, words in their order.
    paths: Vec<Vec<String>>,
    /// What it passes on: the name, and the path that it stands for.
    passes_on: BTreeMap<String, Vec<String>>,
}

type Sources = BTreeMap<Module, Source>;

fn read(folder: &Path, module: &[String], sources: &mut Sources) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("names are texts").to_owned();
        let mut child = module.to_vec();
        if path.is_dir() {
            child.push(name);
            read(&path, &child, sources);
            continue;
        }
        if name != "mod" && name != "lib" {
            child.push(name);
        }
        sources.insert(child, source(&std::fs::read_to_string(&path).expect("sources are texts")));
    }
}

/// The code without comments, texts and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let text = text.split("#[cfg(test)]\npub(super) mod tests {").next().unwrap_or_default();
    let mut code = String::new();
    for line in text.lines() {
        // A quote within a text hides the rest of a line at worst, and no path of this crate stands in one.
        let line = line.split("//").next().unwrap_or_default();
        code.extend(line.split('"').step_by(2));
        code.push('\n');
    }
    code
}

fn source(text: &str) -> Source {
    let (code, mut source) = (code(text), Source::default());
    let mut rest = code.as_str();
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rsplit('\n').next().unwrap_or_default().trim();
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        if line.is_empty() || line == "pub" || line.starts_with("pub(") {
            for path in tree(&rest[at + 4..end]) {
                let name = path.last().cloned().unwrap_or_default();
                if line.is_empty() {
                    source.paths.push(path);
                } else {
                    source.passes_on.insert(name, path);
                }
            }
            rest = &rest[end..];
        } else {
            rest = &rest[at + 4..];
        }
    }
    // Paths within the code; those of a `use` that passes something on are no use of it.
    let own: String = code
        .split_inclusive(';')
        .filter(|statement| !statement.trim_start().starts_with("pub") || !statement.contains(" use "))
        .collect();
    for word in own.split(|character: char| !(character.is_alphanumeric() || "_:".contains(character))) {
        let path: Vec<String> = word.split("::").map(str::to_owned).collect();
        if path.len() > 1 && path.iter().all(|part| !part.is_empty()) {
            source.paths.push(path);
        }
    }
    source
}

/// All paths of a `use`.
fn tree(text: &str) -> Vec<Vec<String>> {
    let text = text.trim();
    let Some((prefix, group)) = text.split_once('{') else {
        let path = text.split(" as ").next().unwrap_or_default();
        return vec![path.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let group = group.strip_suffix('}').expect("a group ends");
    let prefix: Vec<String> =
        prefix.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    let (mut depth, mut from, mut members) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.push(&group[from..]);
    let members = members.into_iter().filter(|member| !member.trim().is_empty());
    members.flat_map(tree).map(|path| prefix.iter().cloned().chain(path).collect()).collect()
}

/// The path from the crate on; `None` when it leads out of it.
fn absolute(sources: &Sources, module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut path = path;
    match path.first()?.as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "self" => path = &path[1..],
        "super" => {
            while path.first().is_some_and(|part| part == "super") {
                base.pop();
                path = &path[1..];
            }
        }
        first => {
            let mut child = base.clone();
            child.push(first.to_owned());
            if !sources.contains_key(&child) {
                return None;
            }
        }
    }
    Some(base.into_iter().chain(path.iter().cloned()).collect())
}

/// The file that a path leads to.
fn target(sources: &Sources, path: &[String]) -> Option<Module> {
    let mut module: Module = path.to_vec();
    while !sources.contains_key(&module) {
        module.pop()?;
    }
    let Some(item) = path.get(module.len()) else { return Some(module) };
    match sources[&module].passes_on.get(item) {
        Some(passed) => target(sources, &absolute(sources, &module, passed)?),
        None => Some(module),
    }
}

/// Which files each one imports.
fn imports(sources: &Sources) -> BTreeMap<&Module, BTreeSet<Module>> {
    let of = |module: &Module, source: &Source| {
        let absolute = source.paths.iter().filter_map(|path| absolute(sources, module, path));
        absolute.filter_map(|path| target(sources, &path)).filter(|target| target != module).collect()
    };
    sources.iter().map(|(module, source)| (module, of(module, source))).collect()
}

/// A way from a file through others back to it.
fn circle(imports: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    fn walk(
        at: &Module,
        imports: &BTreeMap<&Module, BTreeSet<Module>>,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> bool {
        if way.contains(at) {
            way.push(at.clone());
            return true;
        }
        if done.contains(at) {
            return false;
        }
        way.push(at.clone());
        if imports.get(at).into_iter().flatten().any(|next| walk(next, imports, way, done)) {
            return true;
        }
        way.pop();
        done.insert(at.clone());
        false
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| {
        let mut way = Vec::new();
        walk(module, imports, &mut way, &mut done).then(|| way.iter().map(|module| module.join("::")).collect())
    })
}

#[test]
fn no_circle_among_the_files_of_the_engine() {
    let mut sources = Sources::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut sources);
    // What is compiled for tests alone.
    sources.retain(|module, _| !module.last().is_some_and(|name| name == "tests" || name == "fuzz"));
    let imports = imports(&sources);
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 100, "the test reads what is imported");
    assert_eq!(circle(&imports), None);
}

#[test]
fn a_circle_is_found_and_a_name_that_is_passed_on_is_none() {
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
    let mut sources = Sources::from([
        (Module::new(), source("mod a;\nmod b;")),
        (module("a"), source("mod inner;\npub(crate) use inner::Thing;\nuse crate::b::{self, Other};")),
        (module("a::inner"), source("pub struct Thing;")),
        (module("b"), source("// use crate::a::Wanted;\nfn of(_: crate::a::Thing) {}")),
    ]);
    assert_eq!(circle(&imports(&sources)), None, "what `a` only passes on is not defined in it");
    sources.insert(module("a::inner"), source("use crate::b;\npub struct Thing;"));
    let way = circle(&imports(&sources)).expect("there is one");
    assert_eq!(way[way.len() - 3..], ["b", "a::inner", "b"].map(str::to_owned));
}
