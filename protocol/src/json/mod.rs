//! The JSON validator: one for shell, daemon and engine alike.
//!
//! [`validate`] owns the decision whether bytes are a document: one JSON value of RFC 8259, in valid
//! UTF-8 throughout, without lone surrogates in `\u` escapes, without a byte order mark, nested at most
//! [`JSON_DEPTH_MAX`] deep. It looks at every byte once, keeps the open containers as bits of one
//! integer, and so runs in constant space however the input nests.
//!
//! It never allocates on the way to a yes, never recurses, never panics, never builds a value and never
//! changes a byte. It never limits the length; [`crate::Document::parse`] does.
//!
//! # What a refusal says
//!
//! The offset is that of the *first byte that cannot be*: the bytes before it can still be completed
//! into a document, with it they cannot. Where the input merely ends too soon, it is the length.
//!
//! ```text
//! {"a":01}            6   a digit cannot follow a leading zero
//! "\uD800"            7   a high surrogate must be followed by the escape of a low one
//! "\uDC00"            4   only a high surrogate may come before a low one
//! [1,                 3   the end
//! ```
//!
//! # Differences from `serde_json::Value`
//!
//! Accepting and refusing agree with `serde_json::from_slice::<serde_json::Value>`, but for these:
//!
//! | text | here | `serde_json::Value` | why |
//! |---|---|---|---|
//! | a number beyond the range of `f64` (`1e400`, 400 digits) | accepted | refused: number out of range | the grammar sets no range, and DocDB stores text |
//! | exactly 128 open containers | accepted | refused: it stops at 127 | the limit is [`JSON_DEPTH_MAX`], its counter is spent on the 128th |
//!
//! Nothing that is refused here is accepted there. Both accept repeated keys, both refuse lone surrogates,
//! invalid UTF-8, control characters in strings, a byte order mark and trailing bytes.

mod token;

use crate::error::{Error, ErrorCode};
use crate::limits::JSON_DEPTH_MAX;

/// Checks that `bytes` are one JSON value by the rules of this module.
///
/// # Errors
/// [`ErrorCode::InvalidJson`] with the offset of the first byte that cannot be, or the length when the
/// text ends too soon.
pub fn validate(bytes: &[u8]) -> Result<(), Error> {
    scan(bytes).map_err(|offset| {
        let error = Error::new(ErrorCode::InvalidJson).offset(offset as u64);
        if is_too_deep(bytes, offset) { error.detail(format!("nested more than {JSON_DEPTH_MAX} deep")) } else { error }
    })
}

/// Behind the string that begins at `at` of a text that [`validate`] has let through; where that ends sooner, behind the text.
#[must_use]
pub fn string_end(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    loop {
        match text.get(end) {
            Some(b'"') => return end + 1,
            Some(b'\\') => end += 2,
            Some(_) => end += 1,
            None => return text.len(),
        }
    }
}

/// Whether what is refused at `offset` is one container more than may be open. All before it is valid.
fn is_too_deep(bytes: &[u8], offset: usize) -> bool {
    let (mut open, mut before, mut in_string, mut escaped) = (Vec::new(), None, false, false);
    for byte in &bytes[..offset] {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => open.push(*byte),
            b']' | b'}' if !in_string => drop(open.pop()),
            _ => {}
        }
        before = Some(*byte).filter(|byte| !byte.is_ascii_whitespace()).or(before);
    }
    // Where no value may stand, a bracket is wrong at any depth.
    let takes_value = match before {
        Some(b':' | b'[') => true,
        Some(b',') => open.last() == Some(&b'['),
        Some(_) | None => false,
    };
    let opens = matches!(bytes.get(offset), Some(b'[' | b'{'));
    !in_string && opens && takes_value && open.len() == JSON_DEPTH_MAX
}

/// Either half returns with `at` behind what it has checked; an error is the offset of the byte at fault.
fn scan(bytes: &[u8]) -> Result<(), usize> {
    let mut open = OpenContainers::default();
    let mut at = 0;
    loop {
        // A value has to begin here.
        at = token::skip_whitespace(bytes, at);
        at = match bytes.get(at) {
            Some(b'"') => token::string(bytes, at + 1)?,
            Some(b'-' | b'0'..=b'9') => token::number(bytes, at)?,
            Some(b'{') => {
                open.push(Container::Object).ok_or(at)?;
                at = token::skip_whitespace(bytes, at + 1);
                if bytes.get(at) != Some(&b'}') {
                    at = token::key_and_colon(bytes, at)?;
                    continue;
                }
                open.pop();
                at + 1
            }
            Some(b'[') => {
                open.push(Container::Array).ok_or(at)?;
                at = token::skip_whitespace(bytes, at + 1);
                if bytes.get(at) != Some(&b']') {
                    continue;
                }
                open.pop();
                at + 1
            }
            Some(b't') => token::literal(bytes, at, b"true")?,
            Some(b'f') => token::literal(bytes, at, b"false")?,
            Some(b'n') => token::literal(bytes, at, b"null")?,
            _ => return Err(at),
        };
        // A value has ended: close what ends here too, until another value has to follow.
        loop {
            at = token::skip_whitespace(bytes, at);
            match (open.innermost(), bytes.get(at)) {
                (None, None) => return Ok(()),
                (Some(Container::Object), Some(b',')) => {
                    at = token::skip_whitespace(bytes, at + 1);
                    at = token::key_and_colon(bytes, at)?;
                    break;
                }
                (Some(Container::Array), Some(b',')) => {
                    at += 1;
                    break;
                }
                (Some(Container::Object), Some(b'}')) | (Some(Container::Array), Some(b']')) => {
                    open.pop();
                    at += 1;
                }
                _ => return Err(at),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// The kinds of the open containers, one bit each, the innermost lowest.
#[derive(Default)]
struct OpenContainers {
    objects: u128,
    count: u32,
}

const _: () = assert!(JSON_DEPTH_MAX == u128::BITS as usize, "one bit a container, and no bit to spare");

impl OpenContainers {
    /// `None` when the limit is reached.
    #[inline]
    fn push(&mut self, container: Container) -> Option<()> {
        if self.count as usize == JSON_DEPTH_MAX {
            return None;
        }
        self.objects = (self.objects << 1) | u128::from(container == Container::Object);
        self.count += 1;
        Some(())
    }

    /// Only after [`OpenContainers::innermost`] or a push has shown that one is open.
    #[inline]
    fn pop(&mut self) {
        debug_assert!(self.count > 0, "only an open container is closed");
        self.objects >>= 1;
        self.count -= 1;
    }

    #[inline]
    fn innermost(&self) -> Option<Container> {
        match (self.count, self.objects & 1) {
            (0, _) => None,
            (_, 1) => Some(Container::Object),
            (_, _) => Some(Container::Array),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_of_refusal(text: &[u8]) -> Option<u64> {
        let error = validate(text).err()?;
        assert_eq!(error.code(), ErrorCode::InvalidJson);
        Some(error.context().unwrap().offset.unwrap())
    }

    #[test]
    fn a_refusal_names_the_first_byte_that_cannot_be() {
        let cases: &[(&[u8], u64)] = &[
            (b"", 0),
            (b"   ", 3),
            (b"\xEF\xBB\xBF{}", 0),
            (b"{\"a\":01}", 6),
            (b"[1,", 3),
            (b"[1,]", 3),
            (b"[1}", 2),
            (b"{}x", 2),
            (b"{} {}", 3),
            (b"{\"a\" 1}", 5),
            (b"{a:1}", 1),
            (b"{\"a\":1,}", 7),
            (b"trux", 3),
            (b"tru", 3),
            (b"nulll", 4),
            (b"-", 1),
            (b"-x", 1),
            (b"1.", 2),
            (b"1.e1", 2),
            (b"1e+", 3),
            (b"1ex", 2),
            (b"\"a", 2),
            (b"\"a\nb\"", 2),
            (b"\"\\x\"", 2),
            (b"\"\\u12G4\"", 5),
        ];
        for &(text, offset) in cases {
            assert_eq!(offset_of_refusal(text), Some(offset), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn lone_surrogates_are_refused_and_pairs_accepted() {
        for good in [r#""\uD83D\uDE00""#, r#""\ud83d\ude00""#, r#""\uD7FF\uE000""#, r#""\uDBFF\uDFFF""#] {
            assert_eq!(offset_of_refusal(good.as_bytes()), None, "{good}");
        }
        let cases: &[(&str, u64)] = &[
            (r#""\uD800""#, 7),
            (r#""\uD800x""#, 7),
            (r#""\uD800\n""#, 8),
            (r#""\uD800\u0041""#, 9),
            (r#""\uD800\uD800""#, 10),
            (r#""\uDC00""#, 4),
            (r#""\udfff""#, 4),
        ];
        for &(text, offset) in cases {
            assert_eq!(offset_of_refusal(text.as_bytes()), Some(offset), "{text}");
        }
    }

    #[test]
    fn invalid_utf8_is_refused_at_its_byte() {
        let cases: &[(&[u8], u64)] = &[
            (b"\"\x80\"", 1),
            (b"\"\xC0\xAF\"", 1),
            (b"\"\xC1\xBF\"", 1),
            (b"\"\xC2\"", 2),
            (b"\"\xE0\x9F\xBF\"", 2),
            (b"\"\xE2\x82\"", 3),
            (b"\"\xED\xA0\x80\"", 2),
            (b"\"\xF0\x8F\xBF\xBF\"", 2),
            (b"\"\xF4\x90\x80\x80\"", 2),
            (b"\"\xF5\x80\x80\x80\"", 1),
            (b"\"\xFF\"", 1),
            (b"{\"\xE9\":1}", 3),
        ];
        for &(text, offset) in cases {
            // At every place within a word, and in the tail behind the last whole word.
            for shift in 0..9 {
                for tail in [0, 20] {
                    let mut shifted = vec![b'"'];
                    let quote = text.iter().position(|&byte| byte == b'"').unwrap();
                    shifted.splice(0..0, text[..quote].iter().copied());
                    shifted.extend(std::iter::repeat_n(b'x', shift));
                    shifted.extend_from_slice(&text[quote + 1..]);
                    shifted.extend(std::iter::repeat_n(b' ', tail));
                    let expected = offset + shift as u64;
                    assert_eq!(offset_of_refusal(&shifted), Some(expected), "{}", shifted.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn exactly_128_open_containers_are_accepted() {
        for (opening, closing) in [("[", "]"), ("{\"\":", "}")] {
            let text = |depth: usize| format!("{}0{}", opening.repeat(depth), closing.repeat(depth));
            assert_eq!(offset_of_refusal(text(JSON_DEPTH_MAX).as_bytes()), None);
            let first_too_deep = (opening.len() * JSON_DEPTH_MAX) as u64;
            assert_eq!(offset_of_refusal(text(JSON_DEPTH_MAX + 1).as_bytes()), Some(first_too_deep));
            let error = validate(text(JSON_DEPTH_MAX + 1).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("nested more than 128 deep"), "{error}");
            let bad = format!("{}0{opening}", opening.repeat(JSON_DEPTH_MAX));
            assert!(!validate(bad.as_bytes()).unwrap_err().to_string().contains("deep"), "it is another mistake");
        }
        // The 128th container itself remembers its kind, and so do those below it.
        let mixed = format!("{}1{}", "[{\"k\":".repeat(64), "}]".repeat(64));
        assert_eq!(offset_of_refusal(mixed.as_bytes()), None);
        let crossed = format!("{}1{}", "[{\"k\":".repeat(64), "}]".repeat(63) + "]}");
        assert_eq!(offset_of_refusal(crossed.as_bytes()), Some(crossed.len() as u64 - 2));
    }

    #[test]
    fn control_characters_quotes_and_backslashes_are_found_anywhere_in_a_word() {
        for place in 0..24 {
            for byte in 0..=0x7f_u8 {
                let mut text = vec![b'x'; 24];
                text[place] = byte;
                text.insert(0, b'"');
                text.push(b'"');
                let expected = match byte {
                    0..0x20 => Some(place as u64 + 1),
                    // The quote ends the string, and an `x`, or the last quote, comes behind it.
                    b'"' => Some(place as u64 + 2),
                    // `\x` is no escape, and `\"` leaves the string open.
                    b'\\' if place == 23 => Some(26),
                    b'\\' => Some(place as u64 + 2),
                    _ => None,
                };
                assert_eq!(offset_of_refusal(&text), expected, "{}", text.escape_ascii());
            }
        }
    }
}
