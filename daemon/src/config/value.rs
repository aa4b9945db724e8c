//! Values of settings: from a text or an element of a file to what a setting holds, and back to a text.
//!
//! Owns units, bounds, and the words that say what a value may be. It never knows which setting it serves.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use super::error::nearest;
use crate::log::{LogFormat, LogLevel};

/// A value as its source has it.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    /// Of a flag, a variable, or a string of the file.
    Text(OsString),
    /// A number of the file, and whether it is written with `0o`.
    Number { value: i64, is_octal: bool },
    /// An array of the file.
    List(Vec<Raw>),
    /// What no setting takes, by its name.
    Other(&'static str),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Things,
    Bytes,
    Seconds,
}

/// A field of the settings that holds a number of some unit.
pub(crate) trait Quantity {
    fn number(&self) -> u64;
    /// `number` is within the bounds of the setting.
    fn set(&mut self, number: u64);
}

impl Quantity for u64 {
    fn number(&self) -> u64 {
        *self
    }

    fn set(&mut self, number: u64) {
        *self = number;
    }
}

impl Quantity for usize {
    fn number(&self) -> u64 {
        *self as u64
    }

    fn set(&mut self, number: u64) {
        *self = usize::try_from(number).unwrap_or(usize::MAX);
    }
}

/// In whole seconds.
impl Quantity for Duration {
    fn number(&self) -> u64 {
        self.as_secs()
    }

    fn set(&mut self, number: u64) {
        *self = Duration::from_secs(number);
    }
}

impl Unit {
    /// The suffixes that a number may have, and what each multiplies it with. The first is the unit itself.
    fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Unit::Things => &[],
            Unit::Bytes => &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)],
            Unit::Seconds => &[("s", 1), ("min", 60), ("h", 3600), ("d", 86_400)],
        }
    }

    /// What a value of this unit looks like.
    fn form(self) -> &'static str {
        match self {
            Unit::Things => "a number",
            Unit::Bytes => "a number of bytes, or one with KiB, MiB, GiB or TiB",
            Unit::Seconds => "a number of seconds, or one with s, min, h or d",
        }
    }

    /// The number with the largest suffix that divides it.
    pub(crate) fn show(self, number: u64) -> String {
        let divides = |(_, factor): &&(&str, u64)| *factor > 1 && number >= *factor && number.is_multiple_of(*factor);
        match self.suffixes().iter().rev().find(divides) {
            Some((suffix, factor)) => format!("{} {suffix}", number / factor),
            None => match self.suffixes().first() {
                Some((suffix, _)) => format!("{number} {suffix}"),
                None => number.to_string(),
            },
        }
    }

    /// As [`Unit::show`], as an element of a file.
    pub(crate) fn toml(self, number: u64) -> String {
        match self {
            Unit::Things => number.to_string(),
            Unit::Bytes | Unit::Seconds => format!("\"{}\"", self.show(number)),
        }
    }

    pub(crate) fn describe(self, range: &RangeInclusive<u64>) -> String {
        let comma = if self == Unit::Things { "" } else { "," };
        format!("{}{comma} from {} to {}", self.form(), self.show(*range.start()), self.show(*range.end()))
    }

    pub(crate) fn parse(self, raw: &Raw, range: &RangeInclusive<u64>) -> Result<u64, String> {
        let number = match raw {
            Raw::Number { value, .. } => u64::try_from(*value)
                .map_err(|_| format!("{value} is below zero; it takes {}", self.describe(range)))?,
            Raw::Text(text) => self.parse_text(text)?,
            Raw::List(_) => return Err(format!("it takes one value: {}", self.describe(range))),
            Raw::Other(what) => return Err(format!("it is {what}; it takes {}", self.describe(range))),
        };
        if number < *range.start() {
            return Err(format!("{} is too little; it takes {}", self.show(number), self.describe(range)));
        }
        if number > *range.end() {
            return Err(format!("{} is too much; it takes {}", self.show(number), self.describe(range)));
        }
        Ok(number)
    }

    fn parse_text(self, text: &OsStr) -> Result<u64, String> {
        let shown = text.to_string_lossy();
        let trimmed = shown.trim();
        let digits = trimmed.find(|character: char| !character.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, suffix) = trimmed.split_at(digits);
        let suffix = suffix.trim();
        let factor = if suffix.is_empty() { Some(1) } else { self.factor(suffix) };
        let (false, Some(factor)) = (number.is_empty(), factor) else {
            return Err(self.not_a_number(trimmed, number, suffix));
        };
        let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        value.ok_or_else(|| format!("{trimmed:?} is beyond all bounds; it takes {}", self.form()))
    }

    fn factor(self, suffix: &str) -> Option<u64> {
        self.suffixes().iter().find(|(name, _)| *name == suffix).map(|(_, factor)| *factor)
    }

    fn not_a_number(self, text: &str, number: &str, suffix: &str) -> String {
        let is_unit = !number.is_empty() && suffix.chars().all(char::is_alphabetic) && self != Unit::Things;
        match meant_suffix(suffix, self.suffixes()) {
            Some(meant) if is_unit => format!("no unit is called {suffix:?}; did you mean \"{number} {meant}\"?"),
            _ if is_unit => format!("no unit is called {suffix:?}; it takes {}", self.form()),
            _ => format!("{text:?} is no number; it takes {}", self.form()),
        }
    }
}

/// The unit that was probably meant: by its first letter, since units are short.
fn meant_suffix<'a>(suffix: &str, known: &'a [(&'a str, u64)]) -> Option<&'a str> {
    let mut known = known.iter().map(|(name, _)| *name);
    let first = suffix.chars().next()?.to_ascii_lowercase();
    // Milliseconds are nothing that a setting takes, and no minutes.
    if suffix.eq_ignore_ascii_case("ms") {
        return None;
    }
    let same_letter = |name: &&str| name.chars().next().is_some_and(|letter| letter.to_ascii_lowercase() == first);
    nearest(suffix, known.clone()).or_else(|| known.find(same_letter))
}

/// A field of the settings that holds one of several words.
pub(crate) trait Choice {
    fn words(&self) -> &'static [&'static str];
    /// The index of the word that holds.
    fn chosen(&self) -> usize;
    /// `index` is one of [`Choice::words`].
    fn choose(&mut self, index: usize);
}

impl Choice for LogFormat {
    fn words(&self) -> &'static [&'static str] {
        &["words", "json"]
    }

    fn chosen(&self) -> usize {
        *self as usize
    }

    fn choose(&mut self, index: usize) {
        *self = [LogFormat::Words, LogFormat::Json][index];
    }
}

impl Choice for LogLevel {
    fn words(&self) -> &'static [&'static str] {
        &["error", "warning", "info", "debug"]
    }

    fn chosen(&self) -> usize {
        *self as usize
    }

    fn choose(&mut self, index: usize) {
        *self = [LogLevel::Error, LogLevel::Warning, LogLevel::Info, LogLevel::Debug][index];
    }
}

/// Puts the word in its place.
pub(crate) fn choose(field: &mut dyn Choice, raw: &Raw) -> Result<(), String> {
    let words = field.words();
    let Raw::Text(text) = raw else { return Err(format!("it takes one of: {}", words.join(", "))) };
    let text = text.to_string_lossy();
    match words.iter().position(|word| *word == text) {
        Some(index) => {
            field.choose(index);
            Ok(())
        }
        None => Err(match nearest(&text, words.iter().copied()) {
            Some(meant) => format!("{text:?} is not known; did you mean \"{meant}\"?"),
            None => format!("{text:?} is not known; it takes one of: {}", words.join(", ")),
        }),
    }
}

/// A path, as it was given.
pub(crate) fn path(raw: &Raw) -> Result<PathBuf, String> {
    match raw {
        Raw::Text(text) if text.is_empty() => Err("it is empty; it takes a path".to_owned()),
        Raw::Text(text) => Ok(PathBuf::from(text)),
        Raw::Number { .. } | Raw::List(_) => Err("it takes one path, in quotation marks".to_owned()),
        Raw::Other(what) => Err(format!("it is {what}; it takes a path, in quotation marks")),
    }
}

/// The mode of a socket. A decimal number is refused: 660 is not 0660.
pub(crate) fn mode(raw: &Raw) -> Result<u32, String> {
    const FORM: &str = "four octal digits, such as \"0660\", that let the owner read and write";
    let mode = match raw {
        Raw::Text(text) => {
            let digits = text.to_str().map(|text| text.trim_start_matches("0o"));
            digits.and_then(|digits| u32::from_str_radix(digits, 8).ok())
        }
        Raw::Number { value, is_octal: true } => u32::try_from(*value).ok(),
        Raw::Number { is_octal: false, .. } | Raw::List(_) | Raw::Other(_) => None,
    };
    mode.filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600).ok_or_else(|| format!("it takes {FORM}"))
}

/// Whose names a list of ids may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    User,
    Group,
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::User => "user",
            Who::Group => "group",
        }
    }

    /// The id of one user or group, by number or name.
    pub(crate) fn id(self, raw: &Raw) -> Result<u32, String> {
        let text = match raw {
            Raw::Text(text) => text.to_string_lossy().trim().to_owned(),
            Raw::Number { value, .. } => value.to_string(),
            Raw::List(_) | Raw::Other(_) => return Err(format!("it takes the name or number of a {}", self.name())),
        };
        // The highest number means "no id" to the system.
        if let Some(id) = text.parse::<u32>().ok().filter(|id| *id != u32::MAX) {
            return Ok(id);
        }
        let found = match self {
            Who::User => User::from_name(&text).map(|user| user.map(|user| Uid::as_raw(user.uid))),
            Who::Group => Group::from_name(&text).map(|group| group.map(|group| Gid::as_raw(group.gid))),
        };
        match found {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(format!("there is no {} {text:?}", self.name())),
            Err(errno) => Err(format!("the {} {text:?} cannot be looked up: {}", self.name(), errno.desc())),
        }
    }

    /// A list of them: an array, or a text with commas.
    pub(crate) fn ids(self, raw: &Raw) -> Result<Vec<u32>, String> {
        match raw {
            Raw::List(list) => list.iter().map(|one| self.id(one)).collect(),
            Raw::Text(text) => {
                let text = text.to_string_lossy();
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                names.map(|name| self.id(&Raw::Text(name.into()))).collect()
            }
            Raw::Number { .. } | Raw::Other(_) => Ok(vec![self.id(raw)?]),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn numbers_have_units_and_bounds() {
        let bytes = |value: &str| Unit::Bytes.parse(&text(value), &(1 << 20..=1 << 40));
        assert_eq!(bytes("4 GiB"), Ok(4 << 30));
        assert_eq!(bytes(" 16MiB "), Ok(16 << 20));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        assert_eq!(bytes("4 GB").unwrap_err(), "no unit is called \"GB\"; did you mean \"4 GiB\"?");
        assert_eq!(bytes("4 m").unwrap_err(), "no unit is called \"m\"; did you mean \"4 MiB\"?");
        assert!(
            bytes("1 KiB").unwrap_err().starts_with("1 KiB is too little; it takes a number of bytes, or one with")
        );
        assert!(bytes("2 TiB").unwrap_err().starts_with("2 TiB is too much"));
        assert!(bytes("99999999 TiB").unwrap_err().contains("beyond all bounds"));
        assert!(bytes("much").unwrap_err().starts_with("\"much\" is no number"));
        assert!(bytes("").unwrap_err().starts_with("\"\" is no number"));
        assert!(bytes("1.5 GiB").unwrap_err().starts_with("\"1.5 GiB\" is no number"));
        let seconds = |value: &str| Unit::Seconds.parse(&text(value), &(1..=86_400));
        assert_eq!(seconds("15 min"), Ok(900));
        assert_eq!(seconds("1 d"), Ok(86_400));
        assert_eq!(seconds("3 minutes").unwrap_err(), "no unit is called \"minutes\"; did you mean \"3 min\"?");
        assert!(seconds("500 ms").unwrap_err().starts_with("no unit is called \"ms\"; it takes a number of seconds"));
        assert_eq!(Unit::Things.parse(&text("7"), &(1..=9)), Ok(7));
        assert!(Unit::Things.parse(&text("7 s"), &(1..=9)).unwrap_err().starts_with("\"7 s\" is no number"));
        let negative = Raw::Number { value: -1, is_octal: false };
        assert!(Unit::Things.parse(&negative, &(1..=9)).unwrap_err().starts_with("-1 is below zero"));
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for (unit, number) in
            [(Unit::Bytes, 4 << 30), (Unit::Bytes, 1000), (Unit::Seconds, 900), (Unit::Seconds, 61), (Unit::Things, 7)]
        {
            assert_eq!(unit.parse(&text(&unit.show(number)), &(0..=u64::MAX)), Ok(number));
        }
        assert_eq!(Unit::Bytes.show(0), "0 B");
    }

    #[test]
    fn a_decimal_mode_is_refused() {
        let decimal = |value| Raw::Number { value, is_octal: false };
        assert_eq!(mode(&text("0660")), Ok(0o660));
        assert_eq!(mode(&Raw::Number { value: 0o600, is_octal: true }), Ok(0o600));
        for wrong in [text("0680"), text("0460"), text("7777"), decimal(660), decimal(0o660)] {
            assert!(mode(&wrong).unwrap_err().contains("octal"), "{wrong:?}");
        }
    }

    #[test]
    fn words_are_known_and_keep_their_places() {
        for field in [&mut LogFormat::default() as &mut dyn Choice, &mut LogLevel::default()] {
            for (index, word) in field.words().iter().enumerate() {
                choose(field, &text(word)).unwrap();
                assert_eq!(field.chosen(), index, "{word}");
            }
        }
        let level = &mut LogLevel::default();
        assert_eq!(choose(level, &text("warn")).unwrap_err(), "\"warn\" is not known; did you mean \"warning\"?");
        assert!(choose(level, &text("7")).unwrap_err().ends_with("it takes one of: error, warning, info, debug"));
    }

    #[test]
    fn users_and_groups_have_numbers_or_names() {
        assert_eq!(Who::User.ids(&text("0, 1000")), Ok(vec![0, 1000]));
        assert_eq!(Who::User.ids(&text("root")), Ok(vec![0]));
        assert_eq!(Who::Group.ids(&Raw::List(vec![text("root")])), Ok(vec![0]));
        assert_eq!(Who::Group.ids(&text("")), Ok(vec![]));
        assert_eq!(Who::Group.id(&text("no such group")).unwrap_err(), "there is no group \"no such group\"");
        assert!(Who::User.id(&text("4294967295")).is_err());
    }
}
