//! Figures as people read them.
//!
//! Owns nothing.

use std::time::Duration;

/// `1 document`, `1,234 documents`: the noun in its singular, which takes an s.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", grouped(number))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `312 B`, `1.4 KiB`, `3.0 GiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    // Of the first kind that keeps four digits or fewer before the point; tenths are enough.
    let mut scaled = number as f64 / 1024.0;
    let mut units = UNITS.iter().peekable();
    let mut unit = units.next().expect("there are units");
    while scaled >= 1024.0 && units.peek().is_some() {
        scaled /= 1024.0;
        unit = units.next().expect("looked at above");
    }
    format!("{scaled:.1} {unit}")
}

/// `0.003 s`, `1.4 s`, `312 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 => format!("{seconds:.3} s"),
        1..=99 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [0, 1, 999, 1_000, 1_234_567].map(|n| count(n, "document")),
            ["0 documents", "1 document", "999 documents", "1,000 documents", "1,234,567 documents",]
        );
        assert_eq!(
            [0, 1023, 1024, 1_500_000, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "16777216.0 TiB"]
        );
        assert_eq!([3, 1_400, 312_400].map(|ms| seconds(Duration::from_millis(ms))), ["0.003 s", "1.4 s", "312 s"]);
    }
}
