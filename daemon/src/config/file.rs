//! The file of settings: TOML with `KEY = VALUE` alone.
//!
//! Owns the way from bytes to values with the line of each. It never looks at what a value means.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::value::Raw;

/// One line of the file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) value: Raw,
}

/// Larger than any file of settings; what is larger is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the file at `path`, in the order of its lines.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let cannot = |why: String| ConfigError::new(path.display().to_string(), why);
    let metadata = std::fs::metadata(path).map_err(|error| cannot(format!("it cannot be read: {error}")))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(cannot("it is no file of settings; `docdbd --print-config` shows what one looks like".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(format!("it cannot be read: {error}")))?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let line =
        |offset: usize| 1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line(span.start));
        let message = error.message().replace('\n', "; ");
        ConfigError::new(format!("{}:{line}", path.display()), format!("it is not TOML: {message}"))
    })?;
    let mut entries: Vec<(usize, Entry)> = table
        .get_ref()
        .iter()
        .map(|(key, value)| {
            let start = key.span().start;
            let entry = Entry { key: key.get_ref().to_string(), line: line(start), value: raw(value.get_ref()) };
            (start, entry)
        })
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.as_ref().into()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) => Raw::Number { value, is_octal: integer.radix() == 8 },
            Err(_) => Raw::Other("a number beyond all bounds"),
        },
        DeValue::Array(elements) => Raw::List(elements.iter().map(|element| raw(element.get_ref())).collect()),
        DeValue::Float(_) => Raw::Other("a number with a fraction"),
        DeValue::Boolean(_) => Raw::Other("true or false"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a section"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_line() {
        let text = "# first\n\nsocket = \"s\"\nallowed_uids = [\n 1,\n \"root\" ]\nsocket_mode = 0o660\n";
        let entries = parse(text, Path::new("f")).unwrap();
        let lines: Vec<(&str, usize)> = entries.iter().map(|entry| (entry.key.as_str(), entry.line)).collect();
        assert_eq!(lines, [("socket", 3), ("allowed_uids", 4), ("socket_mode", 7)]);
        assert!(matches!(entries[2].value, Raw::Number { value: 0o660, is_octal: true }));
        let Raw::List(list) = &entries[1].value else { panic!("{entries:?}") };
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        for (text, line) in [("a = 1\na = 2\n", 2), ("a = 1\nb\n", 2), ("a = \"x\n", 1)] {
            let error = parse(text, Path::new("f.toml")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("f.toml:{line}: it is not TOML: ")), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
