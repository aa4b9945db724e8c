//! Commands: one line of bytes to one of a closed list.
//!
//! Owns the grammar. A document is the rest of the line, without the blanks around it, byte for byte;
//! it is not looked at here except for the two prefixes of the ancestor's shell that are refused by name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use docdb_protocol::{CollectionName, DatabaseName, Document, DocumentId, Error, ErrorCode};

use crate::export::How;
use crate::import::Ids;

/// The text of `.help`.
pub(crate) const HELP: &str = r#".open NAME                 open a database, creating it when there is none (also .use); when it
                           cannot be opened, no database is open
.close                     close the open database
.pwd                       print the name of the open database
.ls                        list the databases
.collections               list the collections of the open database
.create ID JSON            store a new document
.read ID                   print a document as it is stored
.update ID JSON            replace a document
.delete ID                 remove a document
.list [--collection NAME] [--from ID] [--limit N | --all]
                           print documents with their ids, in the order of ids, from an id on; 20 unless
                           another number is given
.import FILE [--collection NAME] [--id-field FIELD] [--plain] [--ndjson]
                           store the documents of a file: what .export wrote comes back under its ids; of
                           documents alone the ids are taken from FIELD, else count on from the highest id
                           there. Each begins on a line of its own, or the file is one JSON array; --plain
                           takes every value for a document, even {"id":7,"doc":...}; --ndjson takes a file
                           that begins with [ for one document after the other. What is in when an import ends
                           early stays
.export FILE [--collection NAME] [--array] [--plain] [--force] [--skip-damaged]
                           write all documents of a collection to a file, each as {"id":7,"doc":...} with
                           its bytes as they are stored, one after the other or as one JSON array; --plain
                           leaves out the ids; --force replaces an existing file; --skip-damaged leaves out
                           what is damaged, each with an error that names it, where else nothing is written
.help                      print this
.exit                      leave

ID is a number, or a text: isbn-3, or in quotation marks "a text with blanks", "7". In a collection other than
_default it stands behind its name: books/7, books/"a text".
Ctrl-C ends the running command or clears the line, Ctrl-D leaves. Pasted lines are run one by one."#;

/// Documents that `.list` prints unless it is asked for more.
const LIST_DOCUMENTS_DEFAULT: u64 = 20;

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Exit,
    Open(DatabaseName),
    Close,
    Ls,
    Collections,
    Pwd,
    Create(Target, Document),
    Read(Target),
    Update(Target, Document),
    Delete(Target),
    List { collection: CollectionName, from: Option<DocumentId>, limit: u64 },
    Import { file: PathBuf, collection: CollectionName, ids: Ids, ndjson: bool },
    Export { file: PathBuf, collection: CollectionName, how: How },
}

/// Which document.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) collection: CollectionName,
    pub(crate) id: DocumentId,
}

fn usage(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidRequest).detail(detail)
}

/// Reads one line; `None` when there is nothing on it.
pub(crate) fn parse(line: &[u8]) -> Result<Option<Command>, Error> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let (word, rest) = split_word(line);
    let command = match word {
        b".help" => alone(rest, Command::Help)?,
        b".exit" => alone(rest, Command::Exit)?,
        b".close" => alone(rest, Command::Close)?,
        b".ls" => alone(rest, Command::Ls)?,
        b".collections" => alone(rest, Command::Collections)?,
        b".pwd" => alone(rest, Command::Pwd)?,
        b".open" | b".use" => Command::Open(database_name(rest)?),
        b".create" => document(rest).map(|(target, document)| Command::Create(target, document))?,
        b".update" => document(rest).map(|(target, document)| Command::Update(target, document))?,
        b".read" => Command::Read(only_target(rest)?),
        b".delete" => Command::Delete(only_target(rest)?),
        b".list" => list(rest)?,
        b".import" => import(rest)?,
        b".export" => export(rest)?,
        other => return Err(usage(format!("unknown command {}, try .help", String::from_utf8_lossy(other)))),
    };
    Ok(Some(command))
}

/// Whether a line asks to open a database, however wrong the rest of it is.
pub(crate) fn opens(line: &[u8]) -> bool {
    matches!(split_word(line.trim_ascii()).0, b".open" | b".use")
}

/// Whether a line begins to store a document that does not end on it, so that another line may go on with it.
pub(crate) fn is_cut_short(line: &[u8]) -> bool {
    let (word, rest) = split_word(line.trim_ascii());
    let Ok((id, json)) = split_token(rest) else { return false };
    if !matches!(word, b".create" | b".update") || id.is_empty() {
        return false;
    }
    let Err(error) = docdb_protocol::json::validate(json) else { return false };
    error.context().and_then(|context| context.offset) == Some(json.len() as u64)
}

/// The first word, and what follows the blanks behind it.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim_ascii_start())
}

fn alone(rest: &[u8], command: Command) -> Result<Command, Error> {
    if rest.is_empty() { Ok(command) } else { Err(usage("this command takes nothing behind it")) }
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| usage("not valid UTF-8"))
}

fn database_name(rest: &[u8]) -> Result<DatabaseName, Error> {
    if rest.is_empty() {
        return Err(usage("the name of a database is missing"));
    }
    DatabaseName::parse(text(rest).map_err(|_| Error::new(ErrorCode::InvalidDatabaseName))?)
}

/// The first word as an id, perhaps behind a collection, and what follows the blanks behind it. Within quotation marks a
/// blank is part of the id.
fn target(bytes: &[u8]) -> Result<(Target, &[u8]), Error> {
    let (word, rest) = split_token(bytes)?;
    let word = text(word)?;
    let (collection, word) = match collection_before(word) {
        Some((collection, word)) => (CollectionName::parse(collection)?, word),
        None => (CollectionName::default_collection(), word),
    };
    if word.is_empty() {
        return Err(usage("the document's id is missing"));
    }
    Ok((Target { collection, id: id(word)? }, rest))
}

/// The name of the collection and the id behind it, where a word has both. Quotation marks keep the blanks of a name, as they do
/// behind `--collection`; a name with such a mark in it cannot be written here. An id may have both signs.
fn collection_before(word: &str) -> Option<(&str, &str)> {
    match word.strip_prefix('"') {
        // An escaped mark is within a text.
        Some(quoted) => quoted.split_once("\"/").filter(|(collection, _)| !collection.ends_with('\\')),
        None => word.split_once('/').filter(|(collection, _)| !collection.contains('"')),
    }
}

/// As [`target`], with nothing behind it.
fn only_target(bytes: &[u8]) -> Result<Target, Error> {
    let (target, rest) = target(bytes)?;
    if rest.is_empty() { Ok(target) } else { Err(usage("this command takes an id, and nothing behind it")) }
}

/// As [`split_word`], but for a word with a JSON string in it, which may have blanks.
fn split_token(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
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

/// Digits are a number; a JSON string is a text, and so is any other word that could not be meant for a number.
fn id(word: &str) -> Result<DocumentId, Error> {
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

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a leading `+`.
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn document(rest: &[u8]) -> Result<(Target, Document), Error> {
    let (target, json) = target(rest)?;
    if json.is_empty() {
        return Err(usage("the document is missing"));
    }
    for prefix in ["raw:", "hex:"] {
        if json.starts_with(prefix.as_bytes()) {
            let detail = format!("{prefix} payloads are not taken, a document is JSON");
            return Err(Error::new(ErrorCode::InvalidJson).detail(detail));
        }
    }
    let document = Document::parse(json).map_err(|error| error.document(&target.id))?;
    Ok((target, document))
}

fn list(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let (mut collection, mut from, mut limit) = (None, None, LIST_DOCUMENTS_DEFAULT);
    while let Some(word) = words.next()? {
        match word.as_slice() {
            b"--collection" => collection = Some(words.value("--collection")?),
            b"--from" => from = Some(id(text(&words.token("--from")?)?)?),
            b"--limit" => {
                let value = words.value("--limit")?;
                let value = text(&value)?;
                limit = number(value).ok_or_else(|| usage(format!("{value:?} is not a number of documents")))?;
            }
            b"--all" => limit = u64::MAX,
            _ => return Err(not_understood(&word)),
        }
    }
    Ok(Command::List { collection: collection_of(collection)?, from, limit })
}

fn import(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let (mut file, mut collection, mut ndjson) = (None, None, false);
    let (mut id_field, mut plain) = (None, false);
    while let Some(word) = words.next()? {
        match word.as_slice() {
            b"--collection" => collection = Some(words.value("--collection")?),
            b"--id-field" => id_field = Some(text(&words.value("--id-field")?)?.to_owned()),
            b"--plain" => plain = true,
            b"--ndjson" => ndjson = true,
            _ => set_file(&mut file, &word)?,
        }
    }
    let ids = match (id_field, plain) {
        (Some(field), _) => Ids::InField(field),
        (None, true) => Ids::CountOn,
        (None, false) => Ids::AsExported,
    };
    Ok(Command::Import { file: file_of(file)?, collection: collection_of(collection)?, ids, ndjson })
}

fn export(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let (mut file, mut collection, mut how) = (None, None, How::default());
    while let Some(word) = words.next()? {
        match word.as_slice() {
            b"--collection" => collection = Some(words.value("--collection")?),
            b"--array" => how.array = true,
            b"--plain" => how.plain = true,
            b"--force" => how.force = true,
            b"--skip-damaged" => how.skip_damaged = true,
            _ => set_file(&mut file, &word)?,
        }
    }
    Ok(Command::Export { file: file_of(file)?, collection: collection_of(collection)?, how })
}

fn not_understood(word: &[u8]) -> Error {
    usage(format!("{} is not understood here, try .help", String::from_utf8_lossy(word)))
}

fn set_file(file: &mut Option<PathBuf>, word: &[u8]) -> Result<(), Error> {
    if word.starts_with(b"--") || file.is_some() {
        return Err(not_understood(word));
    }
    *file = Some(PathBuf::from(OsStr::from_bytes(word)));
    Ok(())
}

fn file_of(file: Option<PathBuf>) -> Result<PathBuf, Error> {
    file.ok_or_else(|| usage("the name of a file is missing"))
}

fn collection_of(name: Option<Vec<u8>>) -> Result<CollectionName, Error> {
    match name {
        Some(name) => CollectionName::parse(text(&name).map_err(|_| Error::new(ErrorCode::InvalidCollectionName))?),
        None => Ok(CollectionName::default_collection()),
    }
}

/// Words between blanks; `"` around a word keeps its blanks.
struct Words<'line>(&'line [u8]);

impl Words<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let rest = self.0.trim_ascii_start();
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let Some(end) = quoted.iter().position(|byte| *byte == b'"') else {
                return Err(usage("a quotation mark is missing"));
            };
            self.0 = &quoted[end + 1..];
            return Ok(Some(quoted[..end].to_vec()));
        }
        let (word, rest) = split_word(rest);
        self.0 = rest;
        Ok((!word.is_empty()).then(|| word.to_vec()))
    }

    /// The next word as it stands there, with its quotation marks.
    fn token(&mut self, flag: &str) -> Result<Vec<u8>, Error> {
        let (word, rest) = split_token(self.0.trim_ascii_start())?;
        self.0 = rest;
        if word.is_empty() { Err(usage(format!("{flag} needs a value"))) } else { Ok(word.to_vec()) }
    }

    fn value(&mut self, flag: &str) -> Result<Vec<u8>, Error> {
        self.next()?.ok_or_else(|| usage(format!("{flag} needs a value")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_rest_of_the_line_byte_for_byte() {
        let command = parse(b" .create  books/7   {\"a\" :  1.0e2}  ").unwrap().unwrap();
        let Command::Create(target, document) = command else { panic!("{command:?}") };
        assert_eq!((target.collection.as_str(), target.id), ("books", DocumentId::Number(7)));
        assert_eq!(document.bytes(), b"{\"a\" :  1.0e2}");
    }

    #[test]
    fn an_id_is_a_number_or_a_text() {
        let text = |text: &str| DocumentId::text(text).unwrap();
        for (word, collection, id) in [
            ("7", "_default", DocumentId::Number(7)),
            ("b/7", "b", DocumentId::Number(7)),
            ("isbn-3", "_default", text("isbn-3")),
            ("b/x/y", "b", text("x/y")),
            ("\"7\"", "_default", text("7")),
            ("\"x/y z\"", "_default", text("x/y z")),
            ("b/\"a \\\" / b\"", "b", text("a \" / b")),
            ("\"b c\"/7", "b c", DocumentId::Number(7)),
            ("\"b c\"/\"a b\"", "b c", text("a b")),
            ("\"x\\\"/y\"", "_default", text("x\"/y")),
        ] {
            let parsed = parse(format!(".read {word}").as_bytes()).unwrap().unwrap();
            let collection = CollectionName::parse(collection).unwrap();
            assert_eq!(parsed, Command::Read(Target { collection, id }), "{word}");
        }
        let command = parse(b".create b/\"a b\" {\"c\": 1}").unwrap().unwrap();
        let Command::Create(target, document) = command else { panic!("{command:?}") };
        assert_eq!((target.id, document.bytes()), (text("a b"), &b"{\"c\": 1}"[..]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, code) in [
            (&b"hello"[..], ErrorCode::InvalidRequest),
            (b".pwd x", ErrorCode::InvalidRequest),
            (b".open", ErrorCode::InvalidRequest),
            (b".open a/b", ErrorCode::InvalidDatabaseName),
            (b".read +1", ErrorCode::InvalidRequest),
            (b".read 18446744073709551616", ErrorCode::InvalidRequest),
            (b".read a.b/1", ErrorCode::InvalidCollectionName),
            (b".read 1 2", ErrorCode::InvalidRequest),
            (b".read \"\"", ErrorCode::InvalidDocumentId),
            (b".read \"a", ErrorCode::InvalidRequest),
            (b".read \"a\"b", ErrorCode::InvalidRequest),
            (b".read \"a\\u0007\"", ErrorCode::InvalidDocumentId),
            (b".create 1", ErrorCode::InvalidRequest),
            (b".create 1 {", ErrorCode::InvalidJson),
            (b".create 1 raw:x", ErrorCode::InvalidJson),
            (b".update 1 hex:00", ErrorCode::InvalidJson),
            (b".import", ErrorCode::InvalidRequest),
            (b".import a b", ErrorCode::InvalidRequest),
            (b".export a --what", ErrorCode::InvalidRequest),
            (b".list 1", ErrorCode::InvalidRequest),
            (b".list --from -1", ErrorCode::InvalidRequest),
            (b".list --limit many", ErrorCode::InvalidRequest),
            (b".list --limit", ErrorCode::InvalidRequest),
        ] {
            assert_eq!(parse(line).unwrap_err().code(), code, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_file_name_may_have_blanks_within_quotation_marks() {
        let command = parse(b".import \"a b.json\" --id-field n --collection c").unwrap().unwrap();
        let Command::Import { file, collection, ids, ndjson } = command else { panic!("{command:?}") };
        assert_eq!(file, PathBuf::from("a b.json"));
        assert_eq!((collection.as_str(), ids, ndjson), ("c", Ids::InField("n".to_owned()), false));
    }

    #[test]
    fn only_a_document_that_can_go_on_is_cut_short() {
        for line in ["  .create 1 {", ".update b/1 [1,", ".create 1", ".create 1 {\"a\":\n"] {
            assert!(is_cut_short(line.as_bytes()), "{line}");
        }
        for line in [".create 1 {}", ".create 1 {,", ".create", ".read 1", "{", ".ls", ""] {
            assert!(!is_cut_short(line.as_bytes()), "{line}");
        }
    }
}
