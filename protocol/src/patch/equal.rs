//! Whether two JSON texts are the same value (RFC 6902, section 4.6): numbers by what they are, texts by their characters, objects
//! without regard to order. Numbers of any size are compared exactly.

use std::collections::BTreeMap;

use super::tree::{elements, members, name_of};

/// Recurses as deep as both texts nest, no deeper than the one that nests less.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    if left == right {
        return true;
    }
    match (left.first(), right.first()) {
        (Some(b'{'), Some(b'{')) => {
            let object = |text| -> Option<BTreeMap<_, _>> { Some(members(text)?.into_iter().collect()) };
            let (left, right) = (object(left).unwrap_or_default(), object(right).unwrap_or_default());
            let mut pairs = left.iter().zip(&right);
            left.len() == right.len() && pairs.all(|((a, left), (b, right))| a == b && equal(left, right))
        }
        (Some(b'['), Some(b'[')) => {
            let (left, right) = (elements(left).unwrap_or_default(), elements(right).unwrap_or_default());
            left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| equal(left, right))
        }
        (Some(b'"'), Some(b'"')) => name_of(left) == name_of(right),
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => {
            matches!((Number::parse(left), Number::parse(right)), (Some(left), Some(right)) if left == right)
        }
        _ => false,
    }
}

/// Digits without zeros around them, times ten to an exponent; zero has no digits, no sign and no exponent.
#[derive(PartialEq, Eq)]
struct Number {
    is_negative: bool,
    digits: Vec<u8>,
    exponent: i128,
}

impl Number {
    /// `None` where the exponent of a number other than zero is beyond all measure; such numbers are equal when their texts are.
    fn parse(text: &[u8]) -> Option<Number> {
        let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(end);
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(|byte| *byte != b'.').collect();
        digits.drain(..digits.iter().take_while(|digit| **digit == b'0').count());
        // Before the exponent is read, since zero is zero at any exponent.
        if digits.is_empty() {
            return Some(Number { is_negative: false, digits, exponent: 0 });
        }
        let mut exponent: i128 = match exponent.get(1..) {
            Some(digits) => std::str::from_utf8(digits).ok()?.parse().ok()?,
            None => 0,
        };
        let point = mantissa.iter().position(|byte| *byte == b'.');
        let fraction = point.map_or(0, |point| mantissa.len() - point - 1);
        exponent = exponent.checked_sub(i128::try_from(fraction).ok()?)?;
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent = exponent.checked_add(1)?;
        }
        Some(Number { is_negative, digits, exponent })
    }
}
