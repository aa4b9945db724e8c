//! Commands: one line of bytes to one of a closed list.
//!
//! Owns the grammar: `table` has the commands, `words` cuts the line, and the other files read what stands behind the names.
//! Nothing here asks a database: a line that is refused here has changed nothing.

mod documents;
mod files;
mod settings;
mod table;
mod words;

use std::path::PathBuf;

use docdb_protocol::{CollectionName, DatabaseName, Document, DocumentId, Error, Patch};

pub(crate) use documents::List;
pub(crate) use table::{Entry, help_of_all, names};

use crate::export::How;
use crate::import::{Ids, OnExisting};
use crate::output::Mode;

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help(Option<&'static Entry>),
    Exit,
    Open(DatabaseName),
    Close,
    Ls,
    Collections,
    Pwd,
    In(Option<CollectionName>),
    Create(Target, Document),
    Put(Target, Document),
    Insert(Option<CollectionName>, Document),
    Read(Target),
    Update(Target, Document),
    Patch(Target, Patch),
    Delete(Target),
    List(List),
    Count(Option<CollectionName>),
    Begin,
    Commit,
    Rollback,
    Source(PathBuf),
    Output { file: Option<PathBuf>, force: bool },
    Mode(Mode),
    Pretty(bool),
    Timer(bool),
    History,
    Stats,
    Mem,
    Import { file: PathBuf, collection: Option<CollectionName>, ids: Ids, on_existing: OnExisting, ndjson: bool },
    Export { file: PathBuf, collection: Option<CollectionName>, how: How },
}

/// Which document.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// The current one where none is named.
    pub(crate) collection: Option<CollectionName>,
    pub(crate) id: DocumentId,
}

/// Reads one line; `None` when there is nothing on it.
pub(crate) fn parse(line: &[u8]) -> Result<Option<Command>, Error> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let (word, rest) = words::split_word(line);
    let entry = table::find(word).ok_or_else(|| table::unknown(word))?;
    (entry.parse)(rest).map(Some)
}

/// Whether a line asks to open a database, however wrong its name is.
pub(crate) fn opens(line: &[u8]) -> bool {
    let (word, rest) = words::split_word(line.trim_ascii());
    matches!(word, b".open" | b".use") && !rest.is_empty()
}

/// Whether a line begins to store a document that does not end on it, so that another line may go on with it.
pub(crate) fn is_cut_short(line: &[u8]) -> bool {
    let Some(json) = document_of(line) else { return false };
    let Err(error) = docdb_protocol::json::validate(json) else { return false };
    error.context().and_then(|context| context.offset) == Some(json.len() as u64)
}

/// The document of a line that stores one, whether it is whole or not; `None` of any other line.
pub(crate) fn document_of(line: &[u8]) -> Option<&[u8]> {
    let (word, rest) = words::split_word(line.trim_ascii());
    let rest = match rest.strip_prefix(b"--collection ") {
        Some(flagged) if word == b".insert" => words::split_token(flagged.trim_ascii_start()).ok()?.1,
        Some(_) | None => rest,
    };
    let is_without_id = word == b".insert" || word == b".create" && (rest.starts_with(b"{") || rest.starts_with(b"["));
    match word {
        b".create" | b".insert" if is_without_id => Some(rest),
        b".create" | b".put" | b".update" | b".patch" => match words::split_token(rest) {
            Ok((id, json)) if !id.is_empty() => Some(json),
            Ok(_) | Err(_) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::ErrorCode;

    use super::*;

    #[test]
    fn a_document_is_the_rest_of_the_line_byte_for_byte() {
        let command = parse(b" .create  books/7   {\"a\" :  1.0e2}  ").unwrap().unwrap();
        let Command::Create(target, document) = command else { panic!("{command:?}") };
        assert_eq!(target, Target { collection: CollectionName::parse("books").ok(), id: DocumentId::Number(7) });
        assert_eq!(document.bytes(), b"{\"a\" :  1.0e2}");
    }

    #[test]
    fn an_id_is_a_number_or_a_text() {
        let text = |text: &str| DocumentId::text(text).unwrap();
        for (word, collection, id) in [
            ("7", "", DocumentId::Number(7)),
            ("b/7", "b", DocumentId::Number(7)),
            ("isbn-3", "", text("isbn-3")),
            ("b/x/y", "b", text("x/y")),
            ("\"7\"", "", text("7")),
            ("\"x/y z\"", "", text("x/y z")),
            ("b/\"a \\\" / b\"", "b", text("a \" / b")),
            ("\"b c\"/7", "b c", DocumentId::Number(7)),
            ("\"b c\"/\"a b\"", "b c", text("a b")),
            ("\"x\\\"/y\"", "", text("x\"/y")),
        ] {
            let parsed = parse(format!(".read {word}").as_bytes()).unwrap().unwrap();
            // Without a name it is the current one.
            let collection = CollectionName::parse(collection).ok();
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
            (b".list a b", ErrorCode::InvalidRequest),
            (b".list -a", ErrorCode::InvalidRequest),
            (b".list a.b", ErrorCode::InvalidCollectionName),
            (b".open a b", ErrorCode::InvalidRequest),
            (b".open a;", ErrorCode::InvalidRequest),
            (b".count a;", ErrorCode::InvalidRequest),
            (b".read a;/1", ErrorCode::InvalidRequest),
            (b".put 1", ErrorCode::InvalidRequest),
            (b".insert", ErrorCode::InvalidRequest),
            (b".insert --all {}", ErrorCode::InvalidRequest),
            (b".begin now", ErrorCode::InvalidRequest),
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
        let Command::Import { file, collection, ids, ndjson, .. } = command else { panic!("{command:?}") };
        assert_eq!(file, PathBuf::from("a b.json"));
        assert_eq!((collection.unwrap().as_str(), ids, ndjson), ("c", Ids::InField("n".to_owned()), false));
    }

    #[test]
    fn only_a_document_that_can_go_on_is_cut_short() {
        for line in [
            "  .create 1 {",
            ".update b/1 [1,",
            ".create 1",
            ".create 1 {\"a\":\n",
            ".create {",
            ".insert [",
            ".put a {",
            ".insert --collection films {",
        ] {
            assert!(is_cut_short(line.as_bytes()), "{line}");
        }
        for line in [".create 1 {}", ".create 1 {,", ".create", ".read 1", "{", ".ls", ""] {
            assert!(!is_cut_short(line.as_bytes()), "{line}");
        }
    }
}
