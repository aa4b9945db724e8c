//! What an application sees of the crate: the names of its public items, held by a file that a person reads.
//!
//! A reader of lines is enough: every public item of the crate begins a line with `pub`, and only modules that `lib.rs`
//! names in a `pub use` have any.

use std::fs;
use std::path::Path;

const GOLDEN: &str = include_str!("golden/api.txt");

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    fs::read_to_string(path).expect("the source is there")
}

/// `lib.rs` without the module that only the tests of this crate are built with.
fn library() -> String {
    let text = source("lib.rs");
    let mark = "#[cfg(feature = \"internals\")]";
    let (before, behind) = text.split_once(mark).expect("the inside is behind its feature");
    let end = behind.find("\n}\n").expect("the module has an end");
    let behind = &behind[end..];
    assert!(!behind.contains(mark) && !before.contains("doc(hidden)") && !behind.contains("doc(hidden)"));
    format!("{before}{behind}")
}

/// The public items of a file, one a line: what it is, and its name.
fn items(file: &str, text: &str) -> Vec<String> {
    let mut items = Vec::new();
    // A list of names may go on over lines.
    let joined = text.replace(",\n    ", ", ").replace("{\n    ", "{").replace(",\n}", "}");
    for line in joined.lines() {
        let Some(item) = line.trim_start().strip_prefix("pub ") else { continue };
        let item = item.strip_prefix("const ").filter(|rest| rest.starts_with("fn ")).unwrap_or(item);
        match item.strip_prefix("use ") {
            Some(path) => {
                let (from, names) = path.trim_end_matches(';').rsplit_once("::").expect("a path has parts");
                let names = names.trim_matches(['{', '}']);
                items.extend(names.split(',').map(|name| format!("{file}: use {from}::{}", name.trim())));
            }
            None => {
                let end = item.find(['(', '<', ';', '{', '=', ':']).unwrap_or(item.len());
                items.push(format!("{file}: {}", item[..end].trim()));
            }
        }
    }
    items
}

#[test]
fn the_public_items_are_those_of_the_golden_file() {
    let library = library();
    let mut listed = items("lib.rs", &library);
    let own: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .filter(|module| library.contains(&format!("pub use {module}::")))
        .collect();
    for module in own {
        let file = format!("{module}.rs");
        listed.extend(items(&file, &source(&file)));
    }
    let listed = listed.join("\n") + "\n";
    assert!(listed == GOLDEN, "the API changed; if that is meant, tests/golden/api.txt is to say:\n{listed}");
}
