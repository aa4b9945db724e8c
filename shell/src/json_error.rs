//! What a refused document says: the line it is wrong in, with a mark under the place, and why.
//!
//! The validator owns the decision and the offset; this only finds words for it. Nothing of the document reaches a terminal as it
//! is but letters: a control character is shown as a dot.

use docdb_protocol::{Error, ErrorCode};

/// So many characters of the line are shown on either side of the place.
const CHARACTERS_BESIDE: usize = 30;

/// The error of the validator for `json`, with what a person needs to find the mistake.
pub(crate) fn explained(error: Error, json: &[u8]) -> Error {
    let offset = error.context().and_then(|context| context.offset);
    let Some(offset) =
        offset.and_then(|offset| usize::try_from(offset).ok()).filter(|_| error.code() == ErrorCode::InvalidJson)
    else {
        return error;
    };
    let offset = offset.min(json.len());
    let reason = error.context().and_then(|context| context.detail.clone()).unwrap_or_else(|| why(json, offset));
    let line = json[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
    let at_line = if json.contains(&b'\n') { format!(" (line {line} of the document)") } else { String::new() };
    error.detail(format!("{reason}{at_line}\n{}", marked(json, offset)))
}

fn why(json: &[u8], offset: usize) -> String {
    let before = json[..offset].iter().rev().copied().find(|byte| !byte.is_ascii_whitespace());
    match json.get(offset) {
        None => "it ends too soon".to_owned(),
        Some(b'}' | b']') if before == Some(b',') => "a comma stands before the closing bracket".to_owned(),
        Some(b'\'') => "texts stand in double quotation marks".to_owned(),
        Some(b'0'..=b'9') if before == Some(b'0') => "a number does not begin with 0".to_owned(),
        Some(byte) if *byte < b' ' => format!("a control character within a text is written \\u{byte:04x}"),
        Some(byte) if byte.is_ascii_graphic() => format!("{} cannot stand here", char::from(*byte)),
        Some(byte) if *byte >= 0x80 && std::str::from_utf8(json).is_err() => "not valid UTF-8".to_owned(),
        Some(_) => "this cannot stand here".to_owned(),
    }
}

/// The line, or the part of it around the place, and a line with a mark below it.
fn marked(json: &[u8], offset: usize) -> String {
    let begin = json[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = json[offset..].iter().position(|byte| *byte == b'\n').map_or(json.len(), |at| offset + at);
    // At most four bytes a character.
    let near = begin.max(offset.saturating_sub(4 * CHARACTERS_BESIDE))..end.min(offset + 4 * CHARACTERS_BESIDE);
    let before: Vec<char> = shown(&json[near.start..offset]);
    let behind: Vec<char> = shown(&json[offset..near.end]);
    let is_cut = near.start > begin || before.len() > CHARACTERS_BESIDE;
    let before = &before[before.len().saturating_sub(CHARACTERS_BESIDE)..];
    let is_cut_behind = near.end < end || behind.len() > CHARACTERS_BESIDE;
    let behind = &behind[..behind.len().min(CHARACTERS_BESIDE)];
    let (head, tail) = (if is_cut { "..." } else { "" }, if is_cut_behind { "..." } else { "" });
    let text: String = before.iter().chain(behind).collect();
    format!("  {head}{text}{tail}\n  {:1$}^", "", head.len() + before.len())
}

fn shown(bytes: &[u8]) -> Vec<char> {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|character| if character.is_control() { '.' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use docdb_protocol::json::validate;

    use super::*;

    fn said(json: &str) -> String {
        explained(validate(json.as_bytes()).unwrap_err(), json.as_bytes()).context().unwrap().detail.clone().unwrap()
    }

    #[test]
    fn the_place_is_marked_and_the_reason_said() {
        for (json, expected) in [
            (r#"{"a":}"#, "} cannot stand here\n  {\"a\":}\n       ^"),
            (r#"{"a":1,}"#, "a comma stands before the closing bracket\n  {\"a\":1,}\n         ^"),
            ("[1", "it ends too soon\n  [1\n    ^"),
            ("{'a':1}", "texts stand in double quotation marks\n  {'a':1}\n   ^"),
            ("[01]", "a number does not begin with 0\n  [01]\n    ^"),
            (
                "{\n \"ä\": \"\u{1}\"\n}",
                "a control character within a text is written \\u0001 (line 2 of the document)\n   \"ä\": \".\"\n         ^",
            ),
        ] {
            assert_eq!(said(json), expected, "{json}");
        }
        let deep = "[".repeat(129);
        assert!(said(&deep).starts_with("nested more than 128 deep\n  ...[[["), "{}", said(&deep));
        let long = format!("[\"{}\", x]", "a".repeat(1000));
        assert!(said(&long).ends_with("\", x]\n                                   ^"), "{}", said(&long));
    }
}
