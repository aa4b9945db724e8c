//! The examples of both RFCs, and what is to keep its bytes.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::error::ErrorCode;

fn patched(document: &str, patch: &str) -> Result<String, Error> {
    let document = Document::parse(document.as_bytes()).expect("a document");
    let patched = Patch::parse(patch.as_bytes())?.apply(&document)?;
    Ok(String::from_utf8(patched.bytes().to_vec()).expect("a document is UTF-8"))
}

#[test]
fn the_examples_of_rfc_7396() {
    for (document, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        (r"[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(patched(document, patch).unwrap(), expected, "{document} {patch}");
    }
}

/// The appendix of the RFC, and what follows from its text.
#[test]
fn the_operations_of_rfc_6902() {
    for (document, patch, expected) in [
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux"}]"#, r#"{"foo":"bar","baz":"qux"}"#),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#"{"foo":["bar","qux","baz"]}"#,
        ),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#"{"foo":"bar"}"#),
        (r#"{"foo":["bar","qux","baz"]}"#, r#"[{"op":"remove","path":"/foo/1"}]"#, r#"{"foo":["bar","baz"]}"#),
        (r#"{"baz":"qux"}"#, r#"[{"op":"replace","path":"/baz","value":"boo"}]"#, r#"{"baz":"boo"}"#),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
        ),
        (
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            r#"{"foo":["all","cows","eat","grass"]}"#,
        ),
        (r#"{"a":1}"#, r#"[{"op":"copy","from":"","path":"/b"}]"#, r#"{"a":1,"b":{"a":1}}"#),
        (r#"{"foo":["bar"]}"#, r#"[{"op":"add","path":"/foo/-","value":["abc"]}]"#, r#"{"foo":["bar",["abc"]]}"#),
        (r#"{"foo":null}"#, r#"[{"op":"replace","path":"","value":3},{"op":"test","path":"","value":3.0}]"#, "3"),
        (
            r#"{"/":9,"~1":10}"#,
            r#"[{"op":"test","path":"/~01","value":10},{"op":"remove","path":"/~1","xyz":1}]"#,
            r#"{"~1":10}"#,
        ),
        (
            r#"{"a":[1.0e2,{"x":"\u0061","y":2}]}"#,
            r#"[{"op":"test","path":"/a","value":[100,{"y":2,"x":"a"}]}]"#,
            r#"{"a":[1.0e2,{"x":"\u0061","y":2}]}"#,
        ),
        // The ancestor's.
        (
            r#"{"a":[1]}"#,
            r#"[{"Op":"set","Path":"/b/c","Value":null},{"op":"insert","path":"/a/0","value":0},{"op":"set","path":"/a/1","value":2},{"op":"delete","path":"/b/c"}]"#,
            r#"{"a":[0,2],"b":{}}"#,
        ),
    ] {
        assert_eq!(patched(document, patch).unwrap(), expected, "{document} {patch}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_says_which_operation() {
    for (document, patch, code) in [
        (r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":"1"}]"#, ErrorCode::Conflict),
        (r#"{"a":{}}"#, r#"[{"op":"add","path":"/b/c","value":1}]"#, ErrorCode::InvalidPath),
        (r#"{"a":1}"#, r#"[{"op":"remove","path":"/b"}]"#, ErrorCode::InvalidPath),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"/b","value":1}]"#, ErrorCode::InvalidPath),
        (r"[1]", r#"[{"op":"add","path":"/2","value":1}]"#, ErrorCode::InvalidPath),
        (r"[1]", r#"[{"op":"remove","path":"/-"}]"#, ErrorCode::InvalidPath),
        (r"[1,2]", r#"[{"op":"remove","path":"/01"}]"#, ErrorCode::InvalidPath),
        (r"[1]", r#"[{"op":"add","path":"/0/x","value":1}]"#, ErrorCode::InvalidPath),
        (r#"{"a":1}"#, r#"[{"op":"insert","path":"/b","value":1}]"#, ErrorCode::InvalidPath),
        (r#"{"a":{}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, ErrorCode::InvalidPatch),
        (r"1", r#"[{"op":"remove","path":""}]"#, ErrorCode::InvalidPatch),
        (r"1", r#"[{"op":"spam","path":""}]"#, ErrorCode::UnknownOperation),
        (r"1", r#"[{"op":"add","path":""}]"#, ErrorCode::InvalidPatch),
        (r"1", r#"[{"path":"","value":1}]"#, ErrorCode::InvalidPatch),
        (r"1", r#"[{"op":"add","path":"a","value":1}]"#, ErrorCode::InvalidPath),
        (r"1", r#"[{"op":"add","path":"/~2","value":1}]"#, ErrorCode::InvalidPath),
        (r"1", r"[1]", ErrorCode::InvalidPatch),
        (r"1", r"{", ErrorCode::InvalidJson),
    ] {
        assert_eq!(patched(document, patch).unwrap_err().code(), code, "{document} {patch}");
    }
    let second = patched("[1]", r#"[{"op":"test","path":"/0","value":1},{"op":"remove","path":"/7"}]"#).unwrap_err();
    assert_eq!(second.context().unwrap().operation, Some(1));
}

#[test]
fn what_is_not_touched_keeps_its_bytes() {
    let document = "\n{\n  \"n\" : 123456789012345678901234567890.000e-1,\n  \"z\": [ 1 , 2.0 ],\n  \"\\u0061\": {\"x\":\t\"\\/\"}\n} ";
    for (patch, expected) in [
        (
            r#"{"z":null}"#,
            "\n{\n  \"n\" : 123456789012345678901234567890.000e-1,\n  \"\\u0061\": {\"x\":\t\"\\/\"}\n} ",
        ),
        (r#"{"n":null}"#, "\n{\n  \"z\": [ 1 , 2.0 ],\n  \"\\u0061\": {\"x\":\t\"\\/\"}\n} "),
        (
            r#"{"a":{"x":1e999},"new":[1, 2]}"#,
            "\n{\n  \"n\" : 123456789012345678901234567890.000e-1,\n  \"z\": [ 1 , 2.0 ],\n  \"\\u0061\": {\"x\":\t1e999},\n  \"new\": [1, 2]\n} ",
        ),
        (
            r#"[{"op":"add","path":"/z/-","value":3},{"op":"remove","path":"/a/x"},{"op":"remove","path":"/z/0"}]"#,
            "\n{\n  \"n\" : 123456789012345678901234567890.000e-1,\n  \"z\": [ 2.0, 3 ],\n  \"\\u0061\": {}\n} ",
        ),
    ] {
        assert_eq!(patched(document, patch).unwrap(), expected, "{patch}");
    }
    assert_eq!(
        patched(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":4}"#).unwrap(),
        r#"{"a":1,"b":2,"a":4}"#,
        "the last one counts"
    );
    assert_eq!(patched(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":null}"#).unwrap(), r#"{"b":2}"#);
}

#[test]
fn neither_copies_nor_long_paths_take_more_than_their_bounds() {
    let doubling = vec![r#"{"op":"copy","from":"","path":"/-"}"#; 40].join(",");
    assert_eq!(patched("[0]", &format!("[{doubling}]")).unwrap_err().code(), ErrorCode::PayloadTooLarge);
    let many = vec![r#"{"op":"test","path":"","value":0}"#; 1001].join(",");
    assert_eq!(patched("0", &format!("[{many}]")).unwrap_err().code(), ErrorCode::LimitExceeded);
    let long = "/0".repeat(129);
    let refused = patched("[0]", &format!(r#"[{{"op":"remove","path":"{long}"}}]"#)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidPath);
    let deep = format!("{}1{}", "[".repeat(128), "]".repeat(128));
    let nested = patched(&deep, r#"[{"op":"copy","from":"","path":"/0/0"}]"#).unwrap_err();
    assert_eq!(nested.code(), ErrorCode::InvalidJson, "too deep");
}

/// Objects one in another.
fn chain(depth: usize) -> String {
    r#"{"a":"#.repeat(depth - 1) + "{}" + &"}".repeat(depth - 1)
}

/// Each move puts a chain of 125 into the innermost object of the next one. On a stack that holds documents of any depth allowed,
/// and not what all moves together would nest.
#[test]
fn moves_do_not_nest_a_value_deeper_than_a_document_may() {
    let refused = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
        let chains: Vec<String> = (0..1000).map(|index| format!(r#""{index}":{}"#, chain(125))).collect();
        let mut operations = vec![format!(r#"{{"op":"add","path":"/t","value":{{{}}}}}"#, chains.join(","))];
        operations.extend((0..999).map(|index| {
            format!(r#"{{"op":"move","from":"/t/{index}","path":"/t/{}{}"}}"#, index + 1, "/a".repeat(125))
        }));
        patched("{}", &format!("[{}]", operations.join(","))).unwrap_err()
    });
    let refused = refused.unwrap().join().unwrap();
    let as_document = Document::parse(chain(129).as_bytes()).unwrap_err();
    assert_eq!(refused.code(), as_document.code());
    let (refused, as_document) = (refused.context().unwrap(), as_document.context().unwrap());
    assert_eq!((refused.operation, &refused.detail), (Some(1), &as_document.detail));
}

#[test]
fn each_operation_may_nest_as_deep_as_a_document_and_no_deeper() {
    // To the innermost object of a chain. What is moved there has brackets in a text too, which nest nothing.
    let way = format!("/d{}", "/a".repeat(119));
    let document = format!(r#"{{"v":{{"a":"[\"[["}},"d":{}}}"#, chain(120));
    for (name, operation, room) in [
        ("add", r#"{"op":"add","path":"WAY/n","value":CHAIN}"#, 7),
        ("set", r#"{"op":"set","path":"WAY/n","value":CHAIN}"#, 7),
        ("set, with objects on the way", r#"{"op":"set","path":"WAY/n/m","value":CHAIN}"#, 6),
        ("replace", r#"{"op":"replace","path":"WAY","value":CHAIN}"#, 8),
        ("insert", r#"{"op":"set","path":"WAY/n","value":[]},{"op":"insert","path":"WAY/n/0","value":CHAIN}"#, 6),
        ("copy", r#"{"op":"set","path":"/v","value":CHAIN},{"op":"copy","from":"/v","path":"WAY/n"}"#, 7),
        ("move", r#"{"op":"set","path":"/v","value":CHAIN},{"op":"move","from":"/v","path":"WAY/n"}"#, 7),
        ("move opened", r#"{"op":"set","path":"/v/b","value":CHAIN},{"op":"move","from":"/v","path":"WAY/n"}"#, 6),
        (
            "move what changed since it was moved",
            r#"{"op":"move","from":"/v","path":"WAY/n"},{"op":"move","from":"WAY/n","path":"/v"},{"op":"set","path":"/v/b/c","value":CHAIN},{"op":"move","from":"/v","path":"WAY/n"}"#,
            5,
        ),
        (
            "move what is no longer as deep",
            r#"{"op":"set","path":"/v/b","value":{"c":{"c":{}}}},{"op":"move","from":"/v","path":"WAY/n"},{"op":"move","from":"WAY/n","path":"/v"},{"op":"remove","path":"/v/b"},{"op":"set","path":"/v/a","value":CHAIN},{"op":"move","from":"/v","path":"WAY/n"}"#,
            6,
        ),
    ] {
        let with = |depth| {
            let operations = operation.replace("WAY", &way).replace("CHAIN", &chain(depth));
            patched(&document, &format!("[{operations}]"))
        };
        assert!(with(room).is_ok(), "{name}: {:?}", with(room));
        let refused = with(room + 1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidJson, "{name}");
        assert!(refused.context().unwrap().operation.is_some(), "{name}");
    }
}

#[test]
fn many_members_are_removed_at_once() {
    let list = |members: Vec<String>| format!("{{{}}}", members.join(","));
    let half = list((1..200_000).step_by(2).map(|index| format!(r#""{index}":1"#)).collect());
    let with_nulls = |other: &str| {
        let member = |index| format!(r#""{index}":{}"#, if index % 2 == 0 { other } else { "1" });
        list((0..200_000).map(member).collect())
    };
    let (all, patch) = (with_nulls("0"), with_nulls("null"));
    assert!(patched(&all, &patch).unwrap() == half, "from what is there");
    assert!(patched("{}", &format!(r#"{{"new":{patch}}}"#)).unwrap() == format!(r#"{{"new":{half}}}"#), "from the new");
    let same = [vec![r#""a":1"#; 100_000].join(","), vec![r#""b":2"#; 100_000].join(",")].join(",");
    let removed = patched(&format!("{{{same}}}"), r#"[{"op":"remove","path":"/a"},{"op":"remove","path":"/b"}]"#);
    assert_eq!(removed.unwrap(), "{}", "of one name");
    assert_eq!(patched("{ \"a\":1,  \"b\":2,\"c\":3 }", r#"{"a":null,"b":null}"#).unwrap(), "{ \"c\":3 }");
    assert_eq!(patched("{ \"a\":1,\n\"b\":2 }", r#"{"a":null,"b":null}"#).unwrap(), "{}");
}

#[test]
fn of_two_members_of_one_name_the_last_one_counts_wherever_it_is_merged() {
    for (patch, expected) in [
        (r#"{"b":1,"b":null}"#, "{}"),
        (r#"{"b":null,"b":1}"#, r#"{"b":1}"#),
        (r#"{"b":1,"c":2,"b":3}"#, r#"{"b":3,"c":2}"#),
        (r#"{"b":1,"c":2,"\u0062":null}"#, r#"{"c":2}"#),
        (r#"{"b":{"d":1},"b":{"e":1,"e":null,"f":{}}}"#, r#"{"b":{"f":{}}}"#),
        (r#"{"b":{"d":null},"b":[{"d":null}]}"#, r#"{"b":[{"d":null}]}"#),
    ] {
        for document in ["{}", r#"{"a":{}}"#, r#"{"a":1}"#] {
            let merged = patched(document, &format!(r#"{{"a":{patch}}}"#)).unwrap();
            assert_eq!(merged, format!(r#"{{"a":{expected}}}"#), "{document} {patch}");
        }
    }
}

#[test]
fn zero_is_zero_at_any_exponent() {
    let huge = "9".repeat(100);
    for zero in ["0", "-0", "0.0", "-0.00e-7", &format!("0e{huge}"), &format!("-0.0E-{huge}")] {
        for other in ["0", "-0", "0.0", "0e+1", &format!("0e{huge}"), &format!("0.00e-{huge}")] {
            let patch = format!(r#"[{{"op":"test","path":"","value":{other}}}]"#);
            assert_eq!(patched(zero, &patch).unwrap(), zero, "{other}");
        }
        let one = format!(r#"[{{"op":"test","path":"","value":1e{huge}}}]"#);
        assert_eq!(patched(zero, &one).unwrap_err().code(), ErrorCode::Conflict, "{zero}");
    }
}

#[test]
fn an_error_quotes_the_beginning_of_a_long_text() {
    let long = "\u{e4}".repeat(2_000_000);
    for (document, patch) in [
        ("{}", format!(r#"[{{"op":"{long}","path":""}}]"#)),
        ("{}", format!(r#"[{{"op":"remove","path":"{long}"}}]"#)),
        ("{}", format!(r#"[{{"op":"remove","path":"/{long}~2"}}]"#)),
        ("{}", format!(r#"[{{"op":"remove","path":"/{long}"}}]"#)),
        ("{}", format!(r#"[{{"op":"insert","path":"/{long}","value":1}}]"#)),
        ("{}", format!(r#"[{{"op":"replace","path":"/{long}","value":1}}]"#)),
        ("[]", format!(r#"[{{"op":"remove","path":"/{long}"}}]"#)),
        ("1", format!(r#"[{{"op":"add","path":"/{long}","value":1}}]"#)),
        ("1", format!(r#"[{{"op":"set","path":"/{long}/{long}","value":1}}]"#)),
        ("1", format!(r#"[{{"op":"test","path":"/{long}","value":1}}]"#)),
    ] {
        let detail = patched(document, &patch).unwrap_err().context().unwrap().detail.clone().unwrap();
        let quoted = detail.matches('\u{e4}').count();
        assert!(quoted == 100 && detail.chars().count() < 250, "{quoted} quoted of {}", detail.chars().count());
    }
    let short = patched("{}", r#"[{"op":"remove","path":"/short"}]"#).unwrap_err();
    assert_eq!(short.context().unwrap().detail.as_deref(), Some(r#"there is no member "short""#));
}

/// A merge as the RFC has it in pseudocode, over values.
fn merge_by_the_book(target: Option<Json>, patch: &Json) -> Json {
    let Json::Object(changes) = patch else { return patch.clone() };
    let mut members = match target {
        Some(Json::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            let merged = merge_by_the_book(members.remove(name), change);
            members.insert(name.clone(), merged);
        }
    }
    Json::Object(members)
}

fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..9).prop_map(Json::from),
        "[a\"\\\\]{0,2}".prop_map(Json::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-c\"\\\\]", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn a_merge_is_that_of_the_book(document in values(), patch in values(), pretty in any::<bool>()) {
        prop_assume!(!patch.is_array());
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let merged = patched(&text, &patch.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Json>(&merged).unwrap(), merge_by_the_book(Some(document), &patch));
    }
}
