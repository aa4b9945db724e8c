//! Commands about documents: one by its id, or those of a collection.
//!
//! A document is the rest of the line, without the blanks around it, byte for byte. It is not looked at here except for the
//! two prefixes of the ancestor's shell that are refused by name.

use docdb_protocol::{CollectionName, Document, DocumentId, Error, ErrorCode, Patch};

use super::words::{
    Words, collection_name, id, not_understood, number, only_collection, only_target, target, text, usage,
};
use super::{Command, Target};
use crate::json_error::explained;

/// Documents that `.list` prints unless it is asked for more.
const LIST_DOCUMENTS_DEFAULT: u64 = 20;

/// Which documents `.list` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// The current one where none is named.
    pub(crate) collection: Option<CollectionName>,
    /// The lowest id, itself included.
    pub(crate) from: Option<DocumentId>,
    /// The highest id, itself included.
    pub(crate) to: Option<DocumentId>,
    pub(crate) limit: u64,
    /// From the highest id down.
    pub(crate) reverse: bool,
    /// The ids without the documents.
    pub(crate) ids: bool,
}

pub(super) fn create(rest: &[u8]) -> Result<Command, Error> {
    // No id begins with a bracket, unless it stands in quotation marks.
    if rest.starts_with(b"{") || rest.starts_with(b"[") {
        return insert(rest);
    }
    document(rest).map(|(target, document)| Command::Create(target, document))
}

pub(super) fn put(rest: &[u8]) -> Result<Command, Error> {
    document(rest).map(|(target, document)| Command::Put(target, document))
}

pub(super) fn update(rest: &[u8]) -> Result<Command, Error> {
    document(rest).map(|(target, document)| Command::Update(target, document))
}

pub(super) fn patch(rest: &[u8]) -> Result<Command, Error> {
    let (target, json) = target(rest)?;
    if json.is_empty() {
        return Err(usage("the patch is missing"));
    }
    let patch = Patch::parse(json).map_err(|error| explained(error, json).document(&target.id))?;
    Ok(Command::Patch(target, patch))
}

pub(super) fn insert(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let mut collection = None;
    // No document begins with two dashes.
    if rest.starts_with(b"--") {
        match words.next()? {
            Some(word) if word.bytes == b"--collection" => {
                collection = Some(collection_name(&words.value("--collection")?)?);
            }
            other => return Err(not_understood(&other.map(|word| word.bytes).unwrap_or_default())),
        }
    }
    let document = json(words.0.trim_ascii_start())?;
    Ok(Command::Insert(collection, document))
}

pub(super) fn read(rest: &[u8]) -> Result<Command, Error> {
    only_target(rest).map(Command::Read)
}

pub(super) fn delete(rest: &[u8]) -> Result<Command, Error> {
    only_target(rest).map(Command::Delete)
}

pub(super) fn count(rest: &[u8]) -> Result<Command, Error> {
    only_collection(rest).map(Command::Count)
}

fn document(rest: &[u8]) -> Result<(Target, Document), Error> {
    let (target, rest) = target(rest)?;
    let document = json(rest).map_err(|error| error.document(&target.id))?;
    Ok((target, document))
}

fn json(json: &[u8]) -> Result<Document, Error> {
    if json.is_empty() {
        return Err(usage("the document is missing"));
    }
    for prefix in ["raw:", "hex:"] {
        if json.starts_with(prefix.as_bytes()) {
            let detail = format!("{prefix} payloads are not taken, a document is JSON");
            return Err(Error::new(ErrorCode::InvalidJson).detail(detail));
        }
    }
    Document::parse(json).map_err(|error| explained(error, json))
}

pub(super) fn list(rest: &[u8]) -> Result<Command, Error> {
    let mut words = Words(rest);
    let mut list =
        List { collection: None, from: None, to: None, limit: LIST_DOCUMENTS_DEFAULT, reverse: false, ids: false };
    while let Some(word) = words.next()? {
        match word.bytes.as_slice() {
            b"--collection" if !word.is_quoted => {
                list.collection = Some(collection_name(&words.value("--collection")?)?);
            }
            b"--from" => list.from = Some(id(text(&words.token("--from")?)?)?),
            b"--to" => list.to = Some(id(text(&words.token("--to")?)?)?),
            b"--limit" => {
                let value = words.value("--limit")?;
                let value = text(&value.bytes)?;
                list.limit = number(value).ok_or_else(|| usage(format!("{value:?} is not a number of documents")))?;
            }
            b"--all" => list.limit = u64::MAX,
            b"--reverse" => list.reverse = true,
            b"--ids" => list.ids = true,
            other if list.collection.is_some() || other.starts_with(b"-") && !word.is_quoted => {
                return Err(not_understood(other));
            }
            _ => list.collection = Some(collection_name(&word)?),
        }
    }
    Ok(Command::List(list))
}
