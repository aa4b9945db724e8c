//! Bytes of others, as a terminal may have them: no control character of a document or of a name reaches it.
//!
//! Within a JSON text the escape that is shown means the same character, so what is copied from the screen is still the document.

use std::borrow::Cow;

/// The bytes with control characters as escapes; tabs and line ends stay.
pub(crate) fn shown(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b' '..=b'~')) {
        return bytes.into();
    }
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => match shown_text(text) {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        },
        Cow::Owned(text) => shown_text(&text).into_owned().into_bytes().into(),
    }
}

/// As [`shown`], of a text.
pub(crate) fn shown_text(text: &str) -> Cow<'_, str> {
    if !text.contains(is_dangerous) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_dangerous(character) {
            shown.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// What moves the cursor, changes colours, or turns the direction of writing.
fn is_dangerous(character: char) -> bool {
    let turns =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(character, '\u{2028}' | '\u{2029}');
    turns || ends_line || character.is_control() && character != '\t' && character != '\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_is_left() {
        for (bytes, expected) in [
            (&b"{\"a\":\t1}\n"[..], "{\"a\":\t1}\n"),
            ("\"ä\u{9b}31m\u{7f}\"".as_bytes(), "\"ä\\u009b31m\\u007f\""),
            (b"{\r}", "{\\u000d}"),
            ("\"\u{202e}\"".as_bytes(), "\"\\u202e\""),
            (b"\xff\x1b[2J", "\u{fffd}\\u001b[2J"),
        ] {
            assert_eq!(String::from_utf8_lossy(&shown(bytes)), expected);
        }
    }
}
