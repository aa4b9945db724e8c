//! What `docdb-sim mutants` says and ends with, in builds with planted mistakes and without.

use std::process::{Command, Output};

fn mutants(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docdb-sim"));
    command.arg("mutants").args(arguments).output().expect("the program was built with this test")
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_build_without_mistakes_says_how_to_build_one_with_them() {
    for arguments in [&["--list"][..], &["--json"], &[]] {
        let output = mutants(arguments);
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("--features planted-bugs"));
    }
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use serde_json::Value;

    use super::mutants;

    /// The last line of the output.
    fn json(arguments: &[&str]) -> (Option<i32>, Value) {
        let output = mutants(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().expect("there is a line");
        (output.status.code(), serde_json::from_str(last).expect("the last line is one object"))
    }

    #[test]
    fn a_mistake_that_is_found_is_told_with_what_it_takes_to_find_it() {
        let (code, told) = json(&["--only", "IgnoreShortWrite", "--seeds", "200", "--json"]);
        assert_eq!(code, Some(0));
        assert_eq!((&told["mutants"], &told["killed"]), (&Value::from(1), &Value::from(1)));
        assert_eq!(told["survivors"], Value::Array(Vec::new()));
        assert_eq!(told["median_seeds_to_kill"], told["each"][0]["seeds_to_kill"]);
        let needed = told["each"][0]["not_without"].as_array().expect("a list");
        assert!(needed.contains(&Value::from("short-write")), "{needed:?}");
    }

    #[test]
    fn a_mistake_that_survives_is_named_and_the_code_is_one() {
        // One seed is too few for it.
        let (code, told) = json(&["--only", "LatchForgetsGathered", "--seeds", "1", "--json"]);
        assert_eq!(code, Some(1));
        assert_eq!(told["survivors"], Value::from(vec!["LatchForgetsGathered"]));
        assert_eq!(told["median_seeds_to_kill"], Value::Null);
    }

    #[test]
    fn the_list_names_what_can_be_tried() {
        let (code, told) = json(&["--list", "--json"]);
        assert_eq!(code, Some(0));
        assert!(told["mutants"].as_array().expect("a list").len() >= 40);
        let output = mutants(&["--only", "NoSuchMistake"]);
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&output.stderr).contains("mutants --list"));
    }
}
