//! What several test files share: the other parser, and the list of where we differ from it.

use docdb_protocol::{ErrorCode, json};

/// The offset of our refusal, `None` for a yes.
pub(crate) fn refusal(text: &[u8]) -> Option<usize> {
    let error = json::validate(text).err()?;
    assert_eq!(error.code(), ErrorCode::InvalidJson);
    let offset = error.context().and_then(|context| context.offset).expect("a refusal names its byte");
    Some(usize::try_from(offset).expect("an offset within the text"))
}

/// Asserts that our validator and `serde_json::Value` agree, but for the differences that the module
/// `json` lists; and that the offset of a refusal is what the module says it is.
pub(crate) fn assert_agreement(text: &[u8]) {
    let ours = refusal(text);
    let theirs = serde_json::from_slice::<serde_json::Value>(text).map_err(|error| error.to_string());
    match (ours, theirs) {
        (None, Ok(_)) | (Some(_), Err(_)) => {}
        (None, Err(reason)) => {
            let listed = reason.contains("number out of range")
                || (reason.contains("recursion limit exceeded") && deepest(text) == 128);
            assert!(listed, "only we accept {}: {reason}", text.escape_ascii());
        }
        (Some(offset), Ok(_)) => panic!("only we refuse {} at {offset}", text.escape_ascii()),
    }
    if let Some(offset) = ours {
        assert!(offset <= text.len());
        // What comes behind the byte at fault makes no difference.
        assert_eq!(refusal(&text[..text.len().min(offset + 1)]), Some(offset), "{}", text.escape_ascii());
        if offset < text.len() {
            assert_hopeless(&text[..=offset]);
        }
        // What comes before it is whole or merely ends too soon.
        assert!(refusal(&text[..offset]).is_none_or(|end| end == offset), "{}", text.escape_ascii());
    }
}

/// Asserts by the other parser that no text begins with `prefix`, so that its last byte cannot be.
fn assert_hopeless(prefix: &[u8]) {
    let reason = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).err();
    let error = reason(prefix).expect("what has a byte that cannot be is no text");
    // It looks at UTF-8 at a string's end and at the digits of an escape all at once: give it both.
    let within_string = error.to_string().starts_with("EOF while parsing a string");
    let error = if within_string { reason(&[prefix, b"000\""].concat()) } else { Some(error) };
    let hopeless = error.is_some_and(|error| !error.is_eof());
    assert!(hopeless, "{} could go on", prefix.escape_ascii());
}

/// How many containers are open at once, at most, in a text that is valid.
fn deepest(text: &[u8]) -> usize {
    let (mut open, mut deepest, mut within_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => within_string = !within_string,
            b'[' | b'{' if !within_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !within_string => open -= 1,
            _ => {}
        }
    }
    deepest
}
