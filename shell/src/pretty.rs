//! A document laid out for people: a line a member. Its numbers and texts stay as they are; only blanks change.

use docdb_protocol::json::string_end;

/// Blanks of one level.
const INDENT: usize = 2;

/// Lays out a text that has passed the validator.
pub(crate) fn pretty(document: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(document.len() * 2);
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = document.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'"' => {
                let end = string_end(document, at);
                out.extend_from_slice(&document[at..end]);
                at = end;
                continue;
            }
            b'{' | b'[' => {
                let rest = document[at + 1..].trim_ascii_start();
                out.push(byte);
                if matches!(rest.first(), Some(b'}' | b']')) {
                    out.push(rest[0]);
                    at = document.len() - rest.len() + 1;
                    continue;
                }
                depth += 1;
                line_end(&mut out, depth);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line_end(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line_end(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            other => out.push(other),
        }
        at += 1;
    }
    out
}

/// On one line: between its parts a line end is a blank, and within a text there is none.
pub(crate) fn on_one_line(document: &[u8]) -> Vec<u8> {
    document.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

fn line_end(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + depth * INDENT, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_change() {
        let laid_out = pretty(b"{\"a\" : [1.0e2,{ }, [\n]],\t\"b\":\"x, {\\\"y\"}");
        let expected = "{\n  \"a\": [\n    1.0e2,\n    {},\n    []\n  ],\n  \"b\": \"x, {\\\"y\"\n}";
        assert_eq!(String::from_utf8(laid_out).unwrap(), expected);
        assert_eq!(pretty(b" 7 "), b"7");
        assert_eq!(on_one_line(b"{\r\n\"a\":1}"), b"{  \"a\":1}");
    }
}
