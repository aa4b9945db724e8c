//! Dependencies go one way, so that the engine stays free of files, sockets and clocks. This reads
//! the manifests and holds the arrows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Who may depend on whom, dev-dependencies aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("engine", &["docdb-protocol"]),
    ("host", &["docdb-protocol", "docdb-engine"]),
    ("models", &["docdb-protocol", "docdb-engine"]),
    // Its `docdb-engine` is the one below: the engine, or a copy of it with mistakes.
    ("sim", &["docdb-protocol", "docdb-engine", "docdb-models"]),
    ("sim/engine", &["docdb-protocol", "docdb-engine"]),
    ("daemon", &["docdb-protocol", "docdb"]),
    ("client", &["docdb-protocol"]),
    ("shell", &["docdb-protocol", "docdb", "docdb-client"]),
    ("bench", &["docdb-protocol", "docdb-engine", "docdb"]),
    ("fuzz", &[]),
];

/// What the engine may use besides: nothing that does IO, reads a clock or draws randomness.
const ENGINE_LIBRARIES: &[&str] = &["crc32fast", "lz4_flex", "rand_chacha", "thiserror", "hashbrown", "bytes"];

#[test]
fn dependencies_follow_the_arrows() {
    for (folder, allowed) in ARROWS {
        let ours = dependencies(folder).into_iter().filter(|name| name.starts_with("docdb")).collect::<BTreeSet<_>>();
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        let forbidden: Vec<_> = ours.difference(&allowed).collect();
        assert!(forbidden.is_empty(), "{folder} must not depend on {forbidden:?}");
    }
}

#[test]
fn the_engine_uses_only_pure_libraries() {
    for name in dependencies("engine") {
        let known = name == "docdb-protocol" || ENGINE_LIBRARIES.contains(&name.as_str());
        assert!(known, "the engine depends on {name}: does it do IO, read a clock or draw randomness?");
    }
}

#[test]
fn release_builds_contain_no_planted_bug() {
    assert!(read("sim").contains("planted-bugs = ["), "the feature exists");
    for (folder, _) in ARROWS {
        assert!(!read(folder).contains("default = "), "{folder} has no default features that could turn it on");
    }
}

/// Mistakes lie in `sim/mistakes`, and are put into a copy of the engine alone.
#[test]
fn the_engine_knows_nothing_of_planted_mistakes() {
    assert!(!read("engine").contains("[features]"), "the engine is the same in every build");
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the engine has sources") {
            let path = entry.expect("they can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("sources are text").to_lowercase();
            assert!(!text.contains("planted"), "{} speaks of planted mistakes", path.display());
        }
    }
}

fn read(folder: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("Cargo.toml");
    fs::read_to_string(&path).expect("every folder of the workspace has a manifest")
}

/// The names in `[dependencies]`.
fn dependencies(folder: &str) -> BTreeSet<String> {
    read(folder)
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split(['.', '=', ' ']).next()?.trim().to_owned()))
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}
