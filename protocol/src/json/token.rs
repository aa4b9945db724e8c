//! The parts of a JSON text that do not nest: whitespace, strings, numbers, literals.
//!
//! Each function starts at an offset and answers the offset behind what it has read, or, as an error,
//! the offset of the first byte that cannot be (the length when the text ends too soon). None looks
//! behind its start, none knows of containers.

/// A byte of ones in the lowest bit of each byte of a word.
const ONES: u64 = u64::from_le_bytes([0x01; 8]);
/// The highest bit of each byte of a word.
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);

/// Space, tab, line feed, carriage return.
#[inline]
pub(super) fn skip_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// One of the three words.
#[inline]
pub(super) fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, usize> {
    let rest = &bytes[at..];
    if rest.starts_with(word) {
        return Ok(at + word.len());
    }
    let agreeing = rest.iter().zip(word).take_while(|(have, want)| have == want).count();
    Err(at + agreeing)
}

/// A member's name and the colon behind it.
#[inline]
pub(super) fn key_and_colon(bytes: &[u8], at: usize) -> Result<usize, usize> {
    if bytes.get(at) != Some(&b'"') {
        return Err(at);
    }
    let at = skip_whitespace(bytes, string(bytes, at + 1)?);
    if bytes.get(at) == Some(&b':') { Ok(at + 1) } else { Err(at) }
}

/// `-`? (`0` | `1`-`9` digits) (`.` digits)? (`e` sign? digits)?
#[inline]
pub(super) fn number(bytes: &[u8], mut at: usize) -> Result<usize, usize> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    // A digit behind a leading zero is left to the caller, who finds that it cannot follow a value.
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(bytes, at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Ok(at)
}

/// At least one digit.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let mut at = start;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    if at == start { Err(at) } else { Ok(at) }
}

/// The rest of a string, from behind its opening quote to behind its closing one.
#[inline]
pub(super) fn string(bytes: &[u8], mut at: usize) -> Result<usize, usize> {
    loop {
        at = skip_plain(bytes, at);
        at = match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => escape(bytes, at + 1)?,
            Some(0x80..) => characters_beyond_ascii(bytes, at)?,
            Some(0x20..) => at + 1,
            Some(..0x20) | None => return Err(at),
        };
    }
}

/// Skips words of eight bytes that all stand for themselves, and stops at the first byte of the first
/// word that does not. Within the last seven bytes of the text it skips nothing.
#[inline]
fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        // A subtraction borrows out of a byte that is too small and so sets its highest bit. A borrow can
        // spoil only bytes above it, so the lowest mark, the first in the text, is always a true one.
        // Bytes with the highest bit set need no care: they are stopped at anyway.
        let control = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
        let marks = (control | quote | backslash | word) & HIGH_BITS;
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}

/// What follows a backslash.
fn escape(bytes: &[u8], at: usize) -> Result<usize, usize> {
    match bytes.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => unicode_escape(bytes, at + 1),
        _ => Err(at),
    }
}

/// The digits of a `\u` escape and, when they are a high surrogate, the escape of a low one behind them.
fn unicode_escape(bytes: &[u8], at: usize) -> Result<usize, usize> {
    // Surrogates are D800..DBFF (high) and DC00..DFFF (low): the first two digits decide.
    let first = hex_digit(bytes, at)?;
    let second = hex_digit(bytes, at + 1)?;
    let high = first == 0xd && (0x8..=0xb).contains(&second);
    let low = first == 0xd && second >= 0xc;
    if low {
        return Err(at + 1);
    }
    hex_digit(bytes, at + 2)?;
    hex_digit(bytes, at + 3)?;
    if high { low_surrogate(bytes, at + 4) } else { Ok(at + 4) }
}

/// `\uDC00` to `\uDFFF`.
fn low_surrogate(bytes: &[u8], at: usize) -> Result<usize, usize> {
    if bytes.get(at) != Some(&b'\\') {
        return Err(at);
    }
    if bytes.get(at + 1) != Some(&b'u') {
        return Err(at + 1);
    }
    if hex_digit(bytes, at + 2)? != 0xd {
        return Err(at + 2);
    }
    if hex_digit(bytes, at + 3)? < 0xc {
        return Err(at + 3);
    }
    hex_digit(bytes, at + 4)?;
    hex_digit(bytes, at + 5)?;
    Ok(at + 6)
}

fn hex_digit(bytes: &[u8], at: usize) -> Result<u8, usize> {
    match bytes.get(at) {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(at),
    }
}

/// One or more characters of several bytes each. They come in runs, so the run is read without going
/// back to the words between two of them.
fn characters_beyond_ascii(bytes: &[u8], mut at: usize) -> Result<usize, usize> {
    while let Some(&lead @ 0x80..) = bytes.get(at) {
        // The second byte's range shuts out overlong forms, surrogates and what is above U+10FFFF
        // (RFC 3629, section 4).
        let (second, length) = match lead {
            0xc2..=0xdf => (0x80..=0xbf, 2),
            0xe0 => (0xa0..=0xbf, 3),
            0xe1..=0xec | 0xee | 0xef => (0x80..=0xbf, 3),
            0xed => (0x80..=0x9f, 3),
            0xf0 => (0x90..=0xbf, 4),
            0xf1..=0xf3 => (0x80..=0xbf, 4),
            0xf4 => (0x80..=0x8f, 4),
            _ => return Err(at),
        };
        if !bytes.get(at + 1).is_some_and(|byte| second.contains(byte)) {
            return Err(at + 1);
        }
        for place in at + 2..at + length {
            if !bytes.get(place).is_some_and(|byte| (0x80..=0xbf).contains(byte)) {
                return Err(place);
            }
        }
        at += length;
    }
    Ok(at)
}
