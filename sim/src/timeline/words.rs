//! Requests, answers, operations and faults in words for people: a few letters for a label, a sentence for the rest.
//!
//! It knows nothing of HTML: what it gives is text, whatever a document may contain.

use std::collections::BTreeMap;

use docdb_engine::{DiskErrorKind, DiskOp, DiskReply, OpenMode};
use docdb_protocol::{
    Action, Atomicity, DatabaseId, IfMissing, Operation, OperationReply, OperationResult, Reply, Request, Response,
};

/// What databases are called, by their ids.
pub(super) type DatabaseNames = BTreeMap<DatabaseId, String>;

/// Bytes of a document that are shown in a sentence.
const SHOWN_BYTES_MAX: usize = 60;

/// Operations of a request that are shown in a label.
const LABELLED_MAX: usize = 1;

/// A database's name, or its number while no answer has said the name.
pub(super) fn database(id: DatabaseId, names: &DatabaseNames) -> String {
    names.get(&id).cloned().unwrap_or_else(|| format!("database {id}"))
}

/// The first bytes of a document.
pub(super) fn content(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
    let more = if bytes.len() > SHOWN_BYTES_MAX { "…" } else { "" };
    format!("{text}{more} ({} bytes)", bytes.len())
}

fn verb(action: &Action) -> &'static str {
    match action {
        Action::Create(..) => "create",
        Action::Put(..) => "put",
        Action::Insert(_) => "insert",
        Action::Read(_) => "read",
        Action::Update(..) => "update",
        Action::Delete(_) => "delete",
        Action::Expect(..) => "expect",
    }
}

/// The id in words; of an insertion what stands for the number that it gets.
fn id(action: &Action) -> String {
    action.document_id().map_or("next".to_owned(), ToString::to_string)
}

fn document(operation: &Operation) -> String {
    format!("{}/{}", operation.collection.as_str(), id(&operation.action))
}

fn operation(operation: &Operation) -> String {
    let what = format!("{} {}", verb(&operation.action), document(operation));
    if let Action::Expect(_, expectation) = &operation.action {
        return format!("{what} = {expectation}");
    }
    operation.action.document().map_or(what.clone(), |document| format!("{what} = {}", content(document.bytes())))
}

/// A request: label and sentence. What is said of the operations in `first` comes first.
pub(super) fn request(request: &Request, names: &DatabaseNames, first: &[usize]) -> (String, String) {
    match request {
        Request::OpenDatabase { name, if_missing } => {
            let missing = match if_missing {
                IfMissing::Create => "; to be made when there is none",
                IfMissing::Fail => "; it must be there",
            };
            (format!("open {name}"), format!("open the database {name}{missing}"))
        }
        Request::CloseDatabase { database: id } => {
            let name = database(*id, names);
            (format!("close {name}"), format!("close the database {name}"))
        }
        Request::Execute { database: id, operations, atomicity } => {
            let name = database(*id, names);
            let operations: Vec<&Operation> = ordered(operations, first).collect();
            let mut label: Vec<String> = operations.iter().take(LABELLED_MAX).copied().map(short_operation).collect();
            if operations.len() > LABELLED_MAX {
                label.push(format!("+{}", operations.len() - LABELLED_MAX));
            }
            let how = match atomicity {
                Atomicity::AllOrNothing if operations.len() > 1 => ", all or nothing",
                Atomicity::AllOrNothing | Atomicity::EachAlone => "",
            };
            let all: Vec<String> = operations.into_iter().map(operation).collect();
            (label.join(" "), format!("in {name}{how}: {}", all.join("; ")))
        }
        Request::Stats => ("statistics".to_owned(), "statistics".to_owned()),
        Request::ListDatabases => ("list".to_owned(), "list the databases".to_owned()),
    }
}

/// The operations of a request at these places, in words.
pub(super) fn part_of_request(request: &Request, places: &[usize]) -> Option<String> {
    let Request::Execute { operations, .. } = request else { return None };
    let words: Vec<String> = places.iter().filter_map(|place| operations.get(*place)).map(operation).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The same of an answer.
pub(super) fn part_of_response(response: &Response, places: &[usize]) -> Option<String> {
    let Ok(Reply::Executed(results)) = response else { return None };
    let words: Vec<String> = places.iter().filter_map(|place| results.get(*place)).map(result).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn result(result: &OperationResult) -> String {
    match result {
        Ok(OperationReply::Written(tx)) => format!("written and durable, by transaction {}", tx.0),
        Ok(OperationReply::Inserted(number, tx)) => {
            format!("written and durable as {number}, by transaction {}", tx.0)
        }
        Ok(OperationReply::Document(document)) => format!("the document is {}", content(document.bytes())),
        Ok(OperationReply::AsExpected) => "it is as expected".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

/// Those in `first`, then the others.
fn ordered<'all, T>(all: &'all [T], first: &'all [usize]) -> impl Iterator<Item = &'all T> {
    let others = all.iter().enumerate().filter(|(index, _)| !first.contains(index)).map(|(_, it)| it);
    first.iter().filter_map(|index| all.get(*index)).chain(others)
}

/// An operation in a label; of a document's long number the end.
fn short_operation(operation: &Operation) -> String {
    let id = id(&operation.action);
    let count = id.chars().count();
    let id = if count > 6 { format!("…{}", id.chars().skip(count - 5).collect::<String>()) } else { id };
    format!("{} {}/{id}", verb(&operation.action), operation.collection.as_str())
}

/// An answer: label, sentence, and whether it is what was asked for. What is said of the operations in `first` comes first.
pub(super) fn response(response: &Response, first: &[usize]) -> (String, String, bool) {
    match response {
        Ok(Reply::Database(id)) => ("open".to_owned(), format!("it is open, as database {id}"), true),
        Ok(Reply::Closed) => ("closed".to_owned(), "it is closed".to_owned(), true),
        Ok(Reply::Executed(results)) => executed(&ordered(results, first).collect::<Vec<_>>()),
        Ok(Reply::Stats(stats)) => ("counts".to_owned(), format!("{stats:?}"), true),
        Ok(Reply::Databases(infos)) => {
            let names: Vec<String> = infos.iter().map(|info| format!("{} (database {})", info.name, info.id)).collect();
            (format!("{} listed", infos.len()), format!("the databases are: {}", names.join(", ")), true)
        }
        Err(error) => (error.code().name().to_owned(), format!("error: {error}"), false),
    }
}

fn executed(results: &[&OperationResult]) -> (String, String, bool) {
    let short = |result: &OperationResult| match result {
        Ok(OperationReply::Written(tx) | OperationReply::Inserted(_, tx)) => format!("tx {}", tx.0),
        Ok(OperationReply::Document(_)) => "found".to_owned(),
        Ok(OperationReply::AsExpected) => "as expected".to_owned(),
        Err(error) => error.code().name().to_owned(),
    };
    let label = match results {
        [] => "nothing".to_owned(),
        [first] => short(first),
        [first, .., last] => match (short(first), short(last)) {
            (first, last) if first == last => first,
            (first, last) => format!("{first}…{last}"),
        },
    };
    let sentence: Vec<String> = results.iter().copied().map(result).collect();
    (label, sentence.join("; "), results.iter().all(|result| result.is_ok()))
}

/// Why an operation failed.
pub(super) fn error(kind: DiskErrorKind) -> &'static str {
    match kind {
        DiskErrorKind::NotFound => "none there",
        DiskErrorKind::Exists => "is there",
        DiskErrorKind::NoSpace => "no space",
        DiskErrorKind::Permission => "not allowed",
        DiskErrorKind::Transient => "not now",
        DiskErrorKind::Shortage => "too few descriptors",
        DiskErrorKind::Gone => "the directory is gone",
        DiskErrorKind::Io => "I/O error",
    }
}

/// What an operation wants, as a sentence; `file` is the file's name at that time.
pub(super) fn operation_on(op: &DiskOp, file: &str) -> String {
    let path = |path: &docdb_engine::DiskPath| match path.as_str() {
        "" => "the data directory".to_owned(),
        path => path.to_owned(),
    };
    match op {
        DiskOp::Open { path, mode: OpenMode::CreateNew, .. } => format!("create {path}"),
        DiskOp::Open { path, mode: OpenMode::Read, .. } => format!("open {path} for reading"),
        DiskOp::Open { path, mode: OpenMode::Write, .. } => format!("open {path} for writing"),
        DiskOp::Close { .. } => format!("close {file}"),
        DiskOp::MakeDirectory { path } => format!("make directory {path}"),
        DiskOp::Read { offset, bytes, .. } => format!("read {file}, bytes {}", range(*offset, u64::from(*bytes))),
        DiskOp::Write { offset, .. } => format!("write {file}, bytes {}", range(*offset, length(op))),
        DiskOp::Allocate { offset, bytes, .. } => format!("fill {file} with zeros, bytes {}", range(*offset, *bytes)),
        DiskOp::Length { .. } => format!("ask for the length of {file}"),
        DiskOp::Sync { .. } => format!("sync {file}"),
        DiskOp::List { path: directory, .. } => format!("list {}", path(directory)),
        DiskOp::Rename { from, to, replace: false } => format!("rename {from} to {to}"),
        DiskOp::Rename { from, to, replace: true } => format!("rename {from} to {to}, replacing it"),
        DiskOp::Link { from, to } => format!("give {from} the second name {to}"),
        DiskOp::Unlink { path } => format!("remove {path}"),
        DiskOp::SyncDirectory { path: directory } => format!("sync the names in {}", path(directory)),
        DiskOp::FreeSpace => "ask for free space".to_owned(),
    }
}

/// An operation in a few letters.
pub(super) fn label(op: &DiskOp) -> String {
    match op {
        DiskOp::Open { path, mode: OpenMode::CreateNew, .. } => format!("create {}", path.name()),
        DiskOp::Open { .. } => "open".to_owned(),
        DiskOp::Close { .. } => "close".to_owned(),
        DiskOp::MakeDirectory { path } => format!("mkdir {}", path.name()),
        DiskOp::Read { offset, bytes, .. } => format!("{offset}+{bytes}"),
        DiskOp::Write { offset, .. } => format!("{offset}+{}", length(op)),
        DiskOp::Allocate { offset, bytes, .. } => format!("{offset}+{bytes}"),
        DiskOp::Length { .. } => "length".to_owned(),
        DiskOp::Sync { .. } => "sync".to_owned(),
        DiskOp::List { .. } => "list".to_owned(),
        DiskOp::Rename { from, to, .. } => format!("{} → {}", from.name(), to.name()),
        DiskOp::Link { from, to } => format!("{} = {}", from.name(), to.name()),
        DiskOp::Unlink { path } => format!("remove {}", path.name()),
        DiskOp::SyncDirectory { path } if path.as_str().is_empty() => "sync /".to_owned(),
        DiskOp::SyncDirectory { path } => format!("sync {}/", path.name()),
        DiskOp::FreeSpace => "space".to_owned(),
    }
}

/// What an operation that was under way does, without the name of its file.
pub(super) fn under_way(op: &DiskOp) -> String {
    match op {
        DiskOp::Write { .. } => format!("write {}", label(op)),
        DiskOp::Allocate { .. } => format!("zeros {}", label(op)),
        op => label(op),
    }
}

/// How an operation ended, where that is worth saying.
pub(super) fn outcome(op: &DiskOp, result: &Result<DiskReply, DiskErrorKind>) -> Option<String> {
    match result {
        Err(kind) if is_news(*kind) => Some(format!("not done: {}", error(*kind))),
        Err(kind) => Some(format!("FAILED: {}", error(*kind))),
        Ok(DiskReply::Written(taken)) if *taken < length(op) => {
            Some(format!("SHORT: only {taken} of {} bytes were taken", length(op)))
        }
        Ok(_) => None,
    }
}

/// Whether an error only says what is there and what is not: no fault is needed for it.
pub(super) fn is_news(kind: DiskErrorKind) -> bool {
    match kind {
        DiskErrorKind::NotFound | DiskErrorKind::Exists => true,
        DiskErrorKind::NoSpace
        | DiskErrorKind::Permission
        | DiskErrorKind::Transient
        | DiskErrorKind::Shortage
        | DiskErrorKind::Gone
        | DiskErrorKind::Io => false,
    }
}

/// How many bytes an operation is about.
pub(super) fn length(op: &DiskOp) -> u64 {
    match op {
        DiskOp::Write { buffers, .. } => buffers.iter().map(|buffer| buffer.len() as u64).sum(),
        DiskOp::Allocate { bytes, .. } => *bytes,
        DiskOp::Read { bytes, .. } => u64::from(*bytes),
        _ => 0,
    }
}

fn range(offset: u64, bytes: u64) -> String {
    format!("{offset} to {} ({bytes})", offset + bytes)
}
