//! Properties: our validator and `serde_json::Value` agree on texts that are JSON and on texts that
//! nearly are.

mod common;

use proptest::collection::vec;
use proptest::prelude::*;

fn whitespace() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ !#-\\[\\]-~]{0,20}",
        1 => "[\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]{1,4}",
        1 => prop::sample::select(vec!["\\n", "\\\\", "\\\"", "\\/", "\\b", "\\f", "\\r", "\\t"]).prop_map(String::from),
        1 => "\\\\u[0-9a-cA-CefEF][0-9a-fA-F]{3}",
        1 => "\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}",
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["true", "false", "null"]).prop_map(String::from),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        string(),
    ]
}

/// A text that is JSON, with whitespace wherever it may stand.
fn json_text() -> impl Strategy<Value = String> {
    let padded = (whitespace(), scalar(), whitespace()).prop_map(|(before, value, after)| before + &value + &after);
    padded.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            (whitespace(), vec(inner.clone(), 0..6), whitespace()).prop_map(|(before, values, after)| {
                let blank = if values.is_empty() { " " } else { "" };
                format!("{before}[{blank}{}]{after}", values.join(","))
            }),
            (whitespace(), vec((whitespace(), string(), whitespace(), inner), 0..6)).prop_map(|(after, members)| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(before, name, behind, value)| format!("{before}{name}{behind}:{value}"))
                    .collect();
                format!("{{{}}}{after}", members.join(","))
            }),
        ]
    })
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(u8),
    Insert(u8),
    Remove,
    Cut,
}

fn mutation() -> impl Strategy<Value = (prop::sample::Index, Mutation)> {
    let byte = || {
        prop_oneof![
            prop::sample::select(b"{}[]\",:\\u0e.-+ dD89aAcC\n\x1f\x7f\x80\xbf\xc0\xed\xa0\xf4\xff".to_vec()),
            any::<u8>()
        ]
    };
    let kind = prop_oneof![
        byte().prop_map(Mutation::Replace),
        byte().prop_map(Mutation::Insert),
        Just(Mutation::Remove),
        Just(Mutation::Cut),
    ];
    (any::<prop::sample::Index>(), kind)
}

fn mutate(text: &mut Vec<u8>, place: prop::sample::Index, mutation: &Mutation) {
    let place = place.index(text.len() + 1);
    match (mutation, place < text.len()) {
        (Mutation::Replace(byte), true) => text[place] = *byte,
        (Mutation::Remove, true) => drop(text.remove(place)),
        (Mutation::Insert(byte) | Mutation::Replace(byte), _) => text.insert(place, *byte),
        (Mutation::Cut | Mutation::Remove, _) => text.truncate(place),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_json_text_is_accepted(text in json_text()) {
        prop_assert_eq!(common::refusal(text.as_bytes()), None, "{}", text);
        common::assert_agreement(text.as_bytes());
    }

    #[test]
    fn a_spoilt_json_text_is_judged_alike(text in json_text(), mutations in vec(mutation(), 1..4)) {
        let mut text = text.into_bytes();
        for (place, mutation) in &mutations {
            mutate(&mut text, *place, mutation);
            common::assert_agreement(&text);
        }
    }
}

#[test]
fn nesting_around_the_limit_differs_only_at_exactly_128() {
    for depth in 120..=140 {
        for (opening, closing) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", opening.repeat(depth), closing.repeat(depth));
            let theirs = serde_json::from_slice::<serde_json::Value>(text.as_bytes()).is_ok();
            assert_eq!(common::refusal(text.as_bytes()).is_none(), depth <= 128);
            assert_eq!(theirs, depth <= 127, "the other parser's limit has moved; update the list in json/mod.rs");
        }
    }
}

#[test]
fn a_number_beyond_f64_is_accepted_by_us_alone() {
    for number in ["1e400", "-1e400", &"9".repeat(400)] {
        assert_eq!(common::refusal(number.as_bytes()), None);
        let error = serde_json::from_slice::<serde_json::Value>(number.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("number out of range"), "{error}");
    }
}
