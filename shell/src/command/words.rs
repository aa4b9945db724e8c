//! How a line is cut: words, quotation marks, flags with their values, names, ids.
//!
//! Owns what stands between blanks. It knows no command, and it never looks into a document.

use docdb_protocol::{CollectionName, DatabaseName, DocumentId, Error, ErrorCode};

use super::Target;

/// A line that cannot be understood, and why.
pub(super) fn usage(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidRequest).detail(detail)
}

pub(super) fn not_understood(word: &[u8]) -> Error {
    usage(format!("{} is not understood here, try .help", String::from_utf8_lossy(word)))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| usage("not valid UTF-8"))
}

pub(super) fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a leading `+`.
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The first word, and what follows the blanks behind it.
pub(super) fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim_ascii_start())
}

/// As [`split_word`], but for a word with a JSON string in it, which may have blanks.
pub(super) fn split_token(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (mut in_text, mut escaped) = (false, false);
    let end = bytes.iter().position(|byte| {
        let ends = !in_text && byte.is_ascii_whitespace();
        in_text ^= *byte == b'"' && !escaped;
        escaped = in_text && *byte == b'\\' && !escaped;
        ends
    });
    if in_text {
        return Err(usage("a quotation mark is missing"));
    }
    let (word, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    Ok((word, rest.trim_ascii_start()))
}

/// A word, and whether it stood in quotation marks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bytes: Vec<u8>,
    pub(super) is_quoted: bool,
}

/// Words between blanks; `"` around a word keeps its blanks.
pub(super) struct Words<'line>(pub(super) &'line [u8]);

impl Words<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Word>, Error> {
        let rest = self.0.trim_ascii_start();
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let Some(end) = quoted.iter().position(|byte| *byte == b'"') else {
                return Err(usage("a quotation mark is missing"));
            };
            self.0 = &quoted[end + 1..];
            return Ok(Some(Word { bytes: quoted[..end].to_vec(), is_quoted: true }));
        }
        let (word, rest) = split_word(rest);
        self.0 = rest;
        Ok((!word.is_empty()).then(|| Word { bytes: word.to_vec(), is_quoted: false }))
    }

    /// The next word as it stands there, with its quotation marks.
    pub(super) fn token(&mut self, flag: &str) -> Result<Vec<u8>, Error> {
        let (word, rest) = split_token(self.0.trim_ascii_start())?;
        self.0 = rest;
        if word.is_empty() { Err(usage(format!("{flag} needs a value"))) } else { Ok(word.to_vec()) }
    }

    pub(super) fn value(&mut self, flag: &str) -> Result<Word, Error> {
        self.next()?.ok_or_else(|| usage(format!("{flag} needs a value")))
    }

    /// Nothing may be left.
    pub(super) fn end(mut self, takes: &str) -> Result<(), Error> {
        match self.next()? {
            None => Ok(()),
            Some(word) => {
                let word = String::from_utf8_lossy(&word.bytes).into_owned();
                Err(usage(format!("{word} is too much here: {takes}")))
            }
        }
    }
}

/// A habit from elsewhere must not make a database of that name.
fn refuse_semicolon(name: &str, is_quoted: bool) -> Result<(), Error> {
    if is_quoted || !name.contains(';') {
        return Ok(());
    }
    Err(usage(format!("a command does not end with ; and a name that has one stands in quotation marks: \"{name}\"")))
}

/// The one name of a database that a command takes.
pub(super) fn database_name(rest: &[u8]) -> Result<DatabaseName, Error> {
    let mut words = Words(rest);
    let name = words.next()?.ok_or_else(|| usage("the name of a database is missing"))?;
    words.end("a name with blanks stands in quotation marks")?;
    let text = text(&name.bytes).map_err(|_| Error::new(ErrorCode::InvalidDatabaseName).detail("not valid UTF-8"))?;
    refuse_semicolon(text, name.is_quoted)?;
    DatabaseName::parse(text)
}

pub(super) fn collection_name(word: &Word) -> Result<CollectionName, Error> {
    let name = text(&word.bytes).map_err(|_| Error::new(ErrorCode::InvalidCollectionName).detail("not valid UTF-8"))?;
    refuse_semicolon(name, word.is_quoted)?;
    CollectionName::parse(name)
}

/// The one collection that a command takes, or none.
pub(super) fn only_collection(rest: &[u8]) -> Result<Option<CollectionName>, Error> {
    let mut words = Words(rest);
    let Some(name) = words.next()? else { return Ok(None) };
    words.end("a name with blanks stands in quotation marks")?;
    collection_name(&name).map(Some)
}

/// The first word as an id, perhaps behind a collection, and what follows the blanks behind it. Within quotation marks a
/// blank is part of the id.
pub(super) fn target(bytes: &[u8]) -> Result<(Target, &[u8]), Error> {
    let (word, rest) = split_token(bytes)?;
    let word = text(word)?;
    let (collection, word) = match collection_before(word) {
        Some((collection, word)) => {
            refuse_semicolon(collection.name, collection.is_quoted)?;
            (Some(CollectionName::parse(collection.name)?), word)
        }
        None => (None, word),
    };
    if word.is_empty() {
        return Err(usage("the document's id is missing"));
    }
    Ok((Target { collection, id: id(word)? }, rest))
}

/// As [`target`], with nothing behind it.
pub(super) fn only_target(bytes: &[u8]) -> Result<Target, Error> {
    let (target, rest) = target(bytes)?;
    if rest.is_empty() { Ok(target) } else { Err(usage("this command takes an id, and nothing behind it")) }
}

/// A collection as it stands before an id.
struct Before<'word> {
    name: &'word str,
    is_quoted: bool,
}

/// The name of the collection and the id behind it, where a word has both. Quotation marks keep the blanks of a name, as they do
/// behind `--collection`; a name with such a mark in it cannot be written here. An id may have both signs.
fn collection_before(word: &str) -> Option<(Before<'_>, &str)> {
    let (is_quoted, split) = match word.strip_prefix('"') {
        // An escaped mark is within a text.
        Some(quoted) => (true, quoted.split_once("\"/").filter(|(collection, _)| !collection.ends_with('\\'))),
        None => (false, word.split_once('/').filter(|(collection, _)| !collection.contains('"'))),
    };
    split.map(|(name, id)| (Before { name, is_quoted }, id))
}

/// Digits are a number; a JSON string is a text, and so is any other word that could not be meant for a number.
pub(super) fn id(word: &str) -> Result<DocumentId, Error> {
    if let Some(number) = number(word) {
        return Ok(DocumentId::Number(number));
    }
    if word.starts_with('"') {
        let text: String = serde_json::from_str(word).map_err(|_| usage(format!("{word} is no JSON string")))?;
        return DocumentId::text(&text);
    }
    if word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        let rule = format!("{word:?} is not a document id: a number from 0 to {}, or a text", u64::MAX);
        return Err(usage(format!("{rule}; a text that looks like a number stands in quotation marks")));
    }
    DocumentId::text(word)
}
