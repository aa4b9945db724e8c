//! The public JSON parsing test suite (tests/data/json-parsing, MIT licence beside it) against our
//! validator: what must be accepted is, what must be refused is, and what a parser may decide is decided
//! here, case by case.

#![allow(clippy::unwrap_used, reason = "a helper of tests, like a test, fails where it stands")]

mod common;

/// A case a line: its name, a tab, its bytes with all but printable ASCII written as `\xNN`. The two
/// largest are built in a test below.
const CASES: &str = include_str!("data/json-parsing/cases.txt");

/// Of the cases that a parser may decide, those we accept: the grammar sets numbers no range. All others
/// are invalid UTF-8, UTF-16, lone surrogates, a byte order mark, or nesting beyond our limit.
const ACCEPTED_BY_OUR_CHOICE: &[&str] = &[
    "i_number_double_huge_neg_exp",
    "i_number_huge_exp",
    "i_number_neg_int_huge_exp",
    "i_number_pos_double_huge_exp",
    "i_number_real_neg_overflow",
    "i_number_real_pos_overflow",
    "i_number_real_underflow",
    "i_number_too_big_neg_int",
    "i_number_too_big_pos_int",
    "i_number_very_big_negative_int",
];

const REFUSED_BY_OUR_CHOICE: &[&str] = &[
    "i_object_key_lone_2nd_surrogate",
    "i_string_1st_surrogate_but_2nd_missing",
    "i_string_1st_valid_surrogate_2nd_invalid",
    "i_string_UTF-16LE_with_BOM",
    "i_string_UTF-8_invalid_sequence",
    "i_string_UTF8_surrogate_U+D800",
    "i_string_incomplete_surrogate_and_escape_valid",
    "i_string_incomplete_surrogate_pair",
    "i_string_incomplete_surrogates_escape_valid",
    "i_string_invalid_lonely_surrogate",
    "i_string_invalid_surrogate",
    "i_string_invalid_utf-8",
    "i_string_inverted_surrogates_U+1D11E",
    "i_string_iso_latin_1",
    "i_string_lone_second_surrogate",
    "i_string_lone_utf8_continuation_byte",
    "i_string_not_in_unicode_range",
    "i_string_overlong_sequence_2_bytes",
    "i_string_overlong_sequence_6_bytes",
    "i_string_overlong_sequence_6_bytes_null",
    "i_string_truncated-utf-8",
    "i_string_utf16BE_no_BOM",
    "i_string_utf16LE_no_BOM",
    "i_structure_500_nested_arrays",
    "i_structure_UTF-8_BOM_empty_object",
];

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(behind) = escape.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = behind;
        } else {
            bytes.push(u8::from_str_radix(&escape[1..3], 16).unwrap());
            rest = &escape[3..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn every_case_is_accepted_or_refused_as_it_must_be() {
    let (mut accepted, mut refused, mut ours_to_decide) = (0, 0, 0);
    for line in CASES.lines() {
        let (name, text) = line.split_once('\t').unwrap();
        let text = unescape(text);
        let expected = match &name[..2] {
            "y_" => {
                accepted += 1;
                true
            }
            "n_" => {
                refused += 1;
                false
            }
            _ => {
                ours_to_decide += 1;
                let accept = ACCEPTED_BY_OUR_CHOICE.contains(&name);
                assert_ne!(accept, REFUSED_BY_OUR_CHOICE.contains(&name), "{name} needs one decision");
                accept
            }
        };
        assert_eq!(common::refusal(&text).is_none(), expected, "{name}: {}", text.escape_ascii());
        common::assert_agreement(&text);
    }
    assert_eq!((accepted, refused, ours_to_decide), (95, 186, 35), "no case was lost");
}

#[test]
fn a_hundred_thousand_openings_are_refused_at_the_first_that_is_too_deep() {
    assert_eq!(common::refusal("[".repeat(100_000).as_bytes()), Some(128));
    assert_eq!(common::refusal(r#"[{"":"#.repeat(50_000).as_bytes()), Some(64 * 5));
}
