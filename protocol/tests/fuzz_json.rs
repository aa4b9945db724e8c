//! Fuzzing the JSON validator: it never panics, agrees with `serde_json::Value` but for the listed
//! differences, and names the first byte that cannot be.
//!
//! Bounded under `cargo test`; `cargo bolero test` runs the same without end.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

/// Pieces that random bytes would hardly ever put together.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\"",
    b"\"a\":",
    b"{\"k\":",
    b"\"x\"",
    b" ",
    b"\n",
    b"\t",
    b"0",
    b"1",
    b"9",
    b"-",
    b"+",
    b".",
    b"e",
    b"E",
    b"1e400",
    b"0.5",
    b"true",
    b"false",
    b"null",
    b"tru",
    b"\\",
    b"\\u",
    b"\\n",
    b"\\\"",
    b"\\uD83D",
    b"\\uDE00",
    b"\\u0000",
    b"\\ud8",
    b"dead",
    b"abcdefgh",
    b"\xC3\xA9",
    b"\xE2\x82\xAC",
    b"\xF0\x9F\x98\x80",
    b"\xED\xA0\x80",
    b"\xC0\xAF",
    b"\xF4\x90\x80\x80",
    b"\x80",
    b"\xFF",
    b"\xEF\xBB\xBF",
    b"\x00",
    b"\x1F",
    b"\x7F",
    b"/",
];

#[test]
fn any_bytes() {
    bolero::check!().with_iterations(100_000).for_each(|text: &[u8]| common::assert_agreement(text));
}

#[test]
fn any_bytes_within_a_string() {
    bolero::check!().with_iterations(100_000).for_each(|text: &[u8]| {
        common::assert_agreement(&[b"\"", text, b"\""].concat());
    });
}

#[test]
fn any_tokens() {
    bolero::check!().with_type::<Vec<u8>>().with_iterations(200_000).for_each(|choices| {
        let mut text = Vec::new();
        for &choice in choices {
            text.extend_from_slice(TOKENS[usize::from(choice) % TOKENS.len()]);
        }
        common::assert_agreement(&text);
    });
}

/// Follows the grammar where a byte allows it and strays where it does not, so that deep and long texts
/// come up that are valid or nearly so.
#[test]
fn nearly_valid_texts() {
    let (accepted, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    bolero::check!().with_type::<Vec<u8>>().with_iterations(100_000).for_each(|choices| {
        let text = grow(choices);
        common::assert_agreement(&text);
        let seen = if common::refusal(&text).is_none() { &accepted } else { &refused };
        seen.fetch_add(1, Ordering::Relaxed);
    });
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    assert!(accepted > 500 && refused > 500, "both answers come up: {accepted} accepted, {refused} refused");
}

/// A text in which every choice adds a value or closes a container, and one choice in 32 adds a token
/// at random.
fn grow(choices: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    let mut fresh = true;
    for &choice in choices {
        if !fresh && open.is_empty() {
            break;
        }
        if choice >= 0xf8 {
            text.extend_from_slice(TOKENS[usize::from(choice) * 7 % TOKENS.len()]);
            continue;
        }
        if choice % 8 == 0 && !open.is_empty() {
            text.extend(open.pop());
            fresh = false;
            continue;
        }
        if !fresh {
            text.push(b',');
        }
        if open.last() == Some(&b'}') {
            text.extend_from_slice(b"\"key\":");
        }
        fresh = choice % 8 >= 5;
        match choice % 8 {
            0 | 1 => text.extend_from_slice(b"-12.5e+3"),
            2 => text.extend_from_slice(b"\"\\uD83D\\uDE00 \xE2\x82\xAC plain text of some length\""),
            3 => text.extend_from_slice(b"null"),
            4 => text.extend_from_slice(b"\"\""),
            5 | 6 => {
                text.push(b'[');
                open.push(b']');
            }
            _ => {
                text.push(b'{');
                open.push(b'}');
            }
        }
    }
    text.extend(open.into_iter().rev());
    text
}
