//! A mistake whose place is gone must not go on counting as planted: the copy of the engine is not made then.

#[path = "../planting.rs"]
mod planting;

use std::collections::BTreeMap;

use planting::{Mistake, planted};

const ENGINE: &str = "fn sync() {\n    write();\n    flush();\n    answer();\n    answer();\n}\n";

/// The engine's one file with these mistakes in it.
fn with(mistakes: &[(&str, &str)]) -> Result<String, String> {
    let head = "It goes wrong.\n\narea: Commit\nbreaks: P1\n\n--- engine/src/a.rs\n";
    let parse = |(name, place): &(&str, &str)| Mistake::parse(name, &format!("{head}{place}"));
    let mistakes = mistakes.iter().map(parse).collect::<Result<Vec<Mistake>, String>>()?;
    let sources = BTreeMap::from([("a.rs".to_owned(), ENGINE.to_owned())]);
    let (mut sources, errors) = planted(sources, &mistakes);
    if errors.is_empty() { Ok(sources.remove("a.rs").expect("the one file")) } else { Err(errors.join("\n")) }
}

#[test]
fn a_place_is_replaced_and_every_other_line_keeps_its_number() {
    let text =
        with(&[("Skip", "- flush();\n+ if !PLANTED {\n+     flush();\n+ }\n"), ("Early", "  write();\n+ PLANTED;\n")]);
    let active = |name| format!("crate::planted::is_planted(crate::planted::Bug::{name})");
    let flush = format!("if !{} {{ flush(); }} {}; ", active("Skip"), active("Early"));
    let expected = ENGINE.replace("    flush();", &flush);
    assert_eq!(text, Ok(expected));
}

#[test]
fn a_place_that_is_gone_names_the_mistake_and_the_file() {
    let error = with(&[("Skip", "- sync_all();\n+ PLANTED;\n")]).unwrap_err();
    assert_eq!(error, "sim/mistakes/Skip.diff: engine/src/a.rs: this is not there: sync_all();");
}

#[test]
fn a_place_that_is_there_twice_is_no_place() {
    let error = with(&[("Twice", "- answer();\n+ PLANTED;\n")]).unwrap_err();
    assert_eq!(error, "sim/mistakes/Twice.diff: engine/src/a.rs: this is there more than once: answer();");
}

#[test]
fn two_mistakes_do_not_replace_one_line() {
    let place = "- write();\n+ PLANTED;\n";
    let error = with(&[("One", place), ("Other", place)]).unwrap_err();
    assert_eq!(error, "sim/mistakes/Other.diff: engine/src/a.rs: One replaces this line too: write();");
}

#[test]
fn a_place_never_changes_the_engine_for_everybody() {
    assert!(with(&[("Always", "- write();\n+ flush();\n")]).unwrap_err().contains("without PLANTED"));
    assert!(
        with(&[("Comment", "+ PLANTED; // and all that follows\n  write();\n")]).unwrap_err().contains("a comment")
    );
    assert!(with(&[("Odd", "* write();\n")]).unwrap_err().contains("nor a line of one"));
}

/// So that a build without the feature notices too.
#[test]
fn every_mistake_has_its_place_in_the_engine() {
    let (mistakes, mut errors) = planting::mistakes().unwrap();
    errors.extend(planted(planting::sources().unwrap(), &mistakes).1);
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert!(mistakes.len() >= 100, "all of them were read");
    for Mistake { name, what, area, breaks, .. } in &mistakes {
        assert!(what.ends_with('.') && breaks.starts_with('P') && !area.is_empty(), "{name} says what it is");
    }
}
