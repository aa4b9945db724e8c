//! `.import`: the documents of a file, stored in batches.
//!
//! A document that cannot be stored is refused with an error that names its line, and counted; the rest of the file is stored.
//! What is wrong with the file or the database itself ends the import. Either way what is in stays, and is counted.
//!
//! A file holds exported documents, which have ids, or documents alone, which get them here; never both, lest a number
//! that is given here be an id that comes later.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, IfMissing,
    Operation, OperationResult,
};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;

use crate::backend::{Backend, DOCUMENT_BYTES_PER_REQUEST_MAX, Range};
use crate::entry::{self, End, Entry};
use crate::export::is_compressed;
use crate::interrupt::{Interrupt, Patient};
use crate::split::{Form, Piece, Place, Splitter, line_ends};

/// The file is read in pieces of this size.
const READ_BYTES: usize = 64 * 1024;

/// Errors that are said, a line each; further ones are only counted.
const ERRORS_SAID_MAX: u64 = 100;

/// Operations of one request: enough that the sync is shared, few enough that a failure is found soon.
const BATCH_OPERATIONS_MAX: usize = 256;

/// Ids of the file that are kept to say where one stood that comes again: some MiB. The database refuses those
/// beyond as well, and knows no lines.
const IDS_KEPT_MAX: usize = 100_000;

/// Where the ids of documents come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// With exported documents; documents alone count on.
    AsExported,
    /// From the highest id of the collection on, whatever the documents look like.
    CountOn,
    /// From a member of each document.
    InField(String),
}

/// What to import, and to where.
pub(crate) struct Import<'a> {
    pub(crate) file: &'a Path,
    /// `None` of a database that the first document makes.
    pub(crate) database: Option<DatabaseId>,
    pub(crate) name: &'a DatabaseName,
    /// Where documents go that do not say their collection.
    pub(crate) collection: &'a CollectionName,
    /// Whether the user named it, so that documents may not say another.
    pub(crate) is_named: bool,
    pub(crate) ids: &'a Ids,
    pub(crate) on_existing: OnExisting,
    pub(crate) ndjson: bool,
    pub(crate) watched: bool,
    pub(crate) interrupt: &'a Interrupt,
}

/// What becomes of a document whose id is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnExisting {
    /// It ends the import.
    #[default]
    Fail,
    /// The one that is there stays.
    Skip,
    /// It replaces the one that is there.
    Replace,
}

/// How an import ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Where they are; `None` when the database was new and nothing was stored.
    pub(crate) database: Option<DatabaseId>,
    /// Documents that were stored, and stay.
    pub(crate) count: u64,
    /// Documents that were not stored, because there were others under their ids.
    pub(crate) skipped: u64,
    /// Documents that could not be stored; errors were said of them.
    pub(crate) refused: u64,
    /// Whether the file should have said how much there is, and did not.
    pub(crate) is_without_end: bool,
    /// Whether there is more in the file.
    pub(crate) interrupted: bool,
}

/// Which of the two a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exported,
    Plain,
}

/// What the ids of the file so far say about the next one.
#[derive(Default)]
struct IdsSoFar {
    kind: Option<Kind>,
    next: NextId,
    seen: HashMap<(CollectionName, DocumentId), Place>,
    /// Since the beginning of the file, or the last line that says how much there was.
    counted: u64,
    checksum: crc32fast::Hasher,
}

/// What a document alone gets for an id.
#[derive(Clone, Copy, Debug, Default)]
enum NextId {
    /// The collection has not been asked yet.
    #[default]
    Unknown,
    Free(u64),
    NoneLeft,
}

/// A batch being gathered, and what became of the ones before.
struct Batches<'a> {
    import: &'a Import<'a>,
    backend: &'a mut dyn Backend,
    database: Option<DatabaseId>,
    operations: Vec<Operation>,
    places: Vec<Place>,
    bytes: usize,
    imported: u64,
    skipped: u64,
    refused: u64,
    say: &'a mut dyn FnMut(&Error),
}

impl Import<'_> {
    /// What is refused goes to `say`.
    pub(crate) fn run(&self, backend: &mut dyn Backend, say: &mut dyn FnMut(&Error)) -> Result<Imported, Error> {
        let failed =
            |error: io::Error| Error::new(ErrorCode::FileOpen).detail(format!("{}: {error}", self.file.display()));
        // A pipe that nobody writes to yet can be waited for, and the wait be interrupted.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag is a small number");
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(self.file).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let bar = self.bar(&file);
        let file = bar.wrap_read(Patient::new(file, self.interrupt));
        let imported = if is_compressed(self.file) {
            self.all(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(file)), backend, say)
        } else {
            self.all(BufReader::with_capacity(READ_BYTES, file), backend, say)
        };
        bar.finish_and_clear();
        imported
    }

    fn bar(&self, file: &File) -> ProgressBar {
        if !self.watched {
            return ProgressBar::hidden();
        }
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .expect("the template is a constant");
        ProgressBar::new(bytes).with_style(style)
    }

    fn all(
        &self,
        reader: BufReader<impl Read>,
        backend: &mut dyn Backend,
        say: &mut dyn FnMut(&Error),
    ) -> Result<Imported, Error> {
        let (operations, places) = (Vec::new(), Vec::new());
        let database = self.database;
        let mut batches = Batches {
            import: self,
            backend,
            database,
            operations,
            places,
            bytes: 0,
            imported: 0,
            skipped: 0,
            refused: 0,
            say,
        };
        let mut ids = IdsSoFar::default();
        let interrupted = |batches: &Batches<'_>| Ok(batches.end(true, false));
        let form = self.ndjson.then_some(Form::Values);
        let mut splitter = match Splitter::new(reader, form) {
            Ok(splitter) => splitter,
            Err(_) if self.interrupt.is_set() => return interrupted(&batches),
            Err(error) => return Err(batches.ended(&error, "the beginning")),
        };
        loop {
            let piece = match splitter.next() {
                // What was read but not sent is not stored; the file has it still.
                _ if self.interrupt.is_set() => return interrupted(&batches),
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return Err(batches.stop(&error, &splitter.place().to_string())),
            };
            let operation = match self.operation(&piece, &mut ids, &mut *batches.backend) {
                Ok(Some(operation)) => operation,
                Ok(None) => continue,
                // The file itself is not what it says.
                Err(error) if error.code() == ErrorCode::CrcMismatch => {
                    return Err(batches.stop(&error, &piece.place.to_string()));
                }
                Err(error) if is_of_document(&error) => {
                    let (error, place) = located(error, &piece);
                    batches.refuse(&error, &place);
                    continue;
                }
                Err(error) => return Err(batches.stop(&error, &piece.place.to_string())),
            };
            batches.push(operation, piece.place)?;
        }
        batches.send()?;
        let is_without_end = ids.kind == Some(Kind::Exported) && ids.counted > 0 && !splitter.is_array();
        Ok(batches.end(false, is_without_end))
    }

    /// What a piece asks for; nothing where it only says how much there was.
    fn operation(
        &self,
        piece: &Piece,
        ids: &mut IdsSoFar,
        backend: &mut dyn Backend,
    ) -> Result<Option<Operation>, Error> {
        let (collection, id, document) = match self.ids {
            Ids::InField(field) => {
                let document = Document::parse(&piece.bytes)?;
                (None, id_in(&piece.bytes, field)?, document)
            }
            Ids::CountOn => (None, self.count_on(ids, backend)?, Document::parse(&piece.bytes)?),
            Ids::AsExported => match entry::parse(&piece.bytes)? {
                Entry::Exported(collection, id, document) => {
                    ids.hold_to(Kind::Exported)?;
                    ids.count(&piece.bytes);
                    (collection, id, document)
                }
                Entry::Plain(document) => {
                    ids.hold_to(Kind::Plain)?;
                    (None, self.count_on(ids, backend)?, document)
                }
                Entry::End(end) => return ids.check(&end).map(|()| None),
            },
        };
        if self.is_named && collection.as_ref().is_some_and(|named| named != self.collection) {
            let detail = "the document says its collection; import the file without --collection";
            return Err(Error::new(ErrorCode::InvalidRequest).document(id).detail(detail));
        }
        let collection = collection.unwrap_or_else(|| self.collection.clone());
        if self.on_existing == OnExisting::Fail {
            ids.claim(&collection, &id, piece.place)?;
        }
        let action = match self.on_existing {
            OnExisting::Fail | OnExisting::Skip => Action::Create(id, document),
            OnExisting::Replace => Action::Put(id, document),
        };
        Ok(Some(Operation { collection, action }))
    }

    fn count_on(&self, ids: &mut IdsSoFar, backend: &mut dyn Backend) -> Result<DocumentId, Error> {
        let id = match ids.next {
            NextId::Unknown => match self.database {
                Some(database) => first_free_id(backend, database, self.collection)?,
                None => Some(0),
            },
            NextId::Free(id) => Some(id),
            NextId::NoneLeft => None,
        };
        let id = id.ok_or_else(|| Error::new(ErrorCode::LimitExceeded).detail("no document id is left"))?;
        ids.next = id.checked_add(1).map_or(NextId::NoneLeft, NextId::Free);
        Ok(DocumentId::Number(id))
    }
}

impl IdsSoFar {
    /// The first document decides what the file holds.
    fn hold_to(&mut self, kind: Kind) -> Result<(), Error> {
        let first = *self.kind.get_or_insert(kind);
        if first == kind {
            return Ok(());
        }
        let detail = match kind {
            Kind::Exported => "this has an id, the documents before have none",
            Kind::Plain => "this is no {\"id\":7,\"doc\":...}, as the documents before are",
        };
        let detail = format!("{detail}; import the two kinds from two files, or all as plain documents with --plain");
        Err(Error::new(ErrorCode::InvalidRequest).detail(detail))
    }

    fn count(&mut self, line: &[u8]) {
        self.counted += 1;
        self.checksum.update(line);
        self.checksum.update(b"\n");
    }

    /// Holds what was read against what the export says; what follows is counted anew, as of files that were put together.
    fn check(&mut self, end: &End) -> Result<(), Error> {
        let counted = std::mem::take(&mut self.counted);
        let checksum = std::mem::take(&mut self.checksum).finalize();
        if counted != end.documents {
            let detail = format!(
                "the last line says {} documents, and there are {counted}: the file is not whole",
                end.documents
            );
            return Err(Error::new(ErrorCode::CrcMismatch).detail(detail));
        }
        if checksum != end.crc32 {
            let detail = "the file is not as it was exported: it was damaged or changed; if that is meant, take out its last line";
            return Err(Error::new(ErrorCode::CrcMismatch).detail(detail));
        }
        Ok(())
    }

    /// Notes where an id stands, unless it stood before.
    fn claim(&mut self, collection: &CollectionName, id: &DocumentId, place: Place) -> Result<(), Error> {
        let key = (collection.clone(), id.clone());
        if let Some(first) = self.seen.get(&key) {
            let detail = format!("{first} has the same id; give one of the two another");
            return Err(Error::new(ErrorCode::DocExists).document(id).detail(detail));
        }
        if self.seen.len() < IDS_KEPT_MAX {
            self.seen.insert(key, place);
        }
        Ok(())
    }
}

/// Whether the error is about one document, so that the others can be stored.
fn is_of_document(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::InvalidJson
            | ErrorCode::DocExists
            | ErrorCode::InvalidDocumentId
            | ErrorCode::InvalidCollectionName
            | ErrorCode::InvalidRequest
            | ErrorCode::PayloadTooLarge
    )
}

/// Where within a piece something is wrong: a byte beyond its first line is counted within its own.
fn located(error: Error, piece: &Piece) -> (Error, String) {
    let offset = error.context().and_then(|context| context.offset);
    let before = offset.and_then(|offset| piece.bytes.get(..usize::try_from(offset).ok()?)).unwrap_or_default();
    let Some(line_end) = before.iter().rposition(|byte| *byte == b'\n') else {
        return (error, piece.place.to_string());
    };
    let line = piece.place.line + line_ends(before);
    (
        error.offset((before.len() - line_end - 1) as u64),
        format!("line {line}, in the document that begins at {},", piece.place),
    )
}

/// The id in a top-level member: a text, or the digits that stand there, never read as a floating-point number.
fn id_in(document: &[u8], field: &str) -> Result<DocumentId, Error> {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_slice(document).unwrap_or_default();
    let value = members.get(field).map(|value| value.get());
    if let Some(text) = value.and_then(|value| serde_json::from_str::<String>(value).ok()) {
        return DocumentId::text(&text);
    }
    let number = value.and_then(|value| value.parse().ok()).map(DocumentId::Number);
    number.ok_or_else(|| {
        Error::new(ErrorCode::InvalidRequest).detail(format!("no unsigned integer and no text in the field {field:?}"))
    })
}

/// One more than the highest number among the ids of a collection, 0 when it is empty, `None` when the highest is the last.
///
/// Found by halving: whether anything is there from an id on is one small question, and 64 of them
/// find the highest, however many documents there are.
fn first_free_id(
    backend: &mut dyn Backend,
    database: DatabaseId,
    collection: &CollectionName,
) -> Result<Option<u64>, Error> {
    let mut any_from = |id: u64| {
        let page = backend.scan(database, collection, &Range::from(Bound::Included(DocumentId::Number(id))))?;
        // A damaged document has an id as well.
        Ok::<_, Error>(page.documents.iter().rev().find_map(|(id, _)| id.as_number()))
    };
    // Every id from `free` on is free; `free` is one beyond the range at first.
    let (mut taken, mut free): (Option<u64>, u128) = (None, 1 << 64);
    loop {
        let low = taken.map_or(0, |id| u128::from(id) + 1);
        if low >= free {
            return Ok(u64::try_from(low).ok());
        }
        let middle = low + (free - low - 1) / 2;
        match any_from(u64::try_from(middle).expect("below 2^64"))? {
            Some(id) => taken = Some(id),
            None => free = middle,
        }
    }
}

impl Batches<'_> {
    fn push(&mut self, operation: Operation, place: Place) -> Result<(), Error> {
        let bytes = operation.action.document().map_or(0, Document::len);
        debug_assert!(bytes <= DOCUMENT_BYTES_MAX, "the validator has seen it");
        if self.operations.len() == BATCH_OPERATIONS_MAX || self.bytes + bytes > DOCUMENT_BYTES_PER_REQUEST_MAX {
            self.send()?;
        }
        self.bytes += bytes;
        self.operations.push(operation);
        self.places.push(place);
        Ok(())
    }

    fn send(&mut self) -> Result<(), Error> {
        let operations = std::mem::take(&mut self.operations);
        let places = std::mem::take(&mut self.places);
        self.bytes = 0;
        let Some(first) = places.first() else { return Ok(()) };
        let executed = self
            .made(&operations)
            .and_then(|database| self.backend.execute(database, operations, Atomicity::EachAlone));
        let results: Vec<OperationResult> = match executed {
            Ok(results) => results,
            Err(error) => return Err(self.ended(&error, &format!("the batch from {first} on"))),
        };
        self.imported += results.iter().filter(|result| result.is_ok()).count() as u64;
        let is_skipped =
            |error: &Error| self.import.on_existing == OnExisting::Skip && error.code() == ErrorCode::DocExists;
        self.skipped += results.iter().filter(|result| result.as_ref().is_err_and(is_skipped)).count() as u64;
        for (result, place) in results.iter().zip(places) {
            match result {
                Err(error) if is_skipped(error) => {}
                Err(error) if is_of_document(error) => self.refuse(error, &place.to_string()),
                Err(error) => return Err(self.ended(error, &place.to_string())),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// One document less; the rest goes on.
    fn refuse(&mut self, error: &Error, place: &str) {
        self.refused += 1;
        if self.refused <= ERRORS_SAID_MAX {
            let described = self.described(error, place);
            (self.say)(&described);
        }
    }

    /// The database, which is created for the first documents.
    fn made(&mut self, operations: &[Operation]) -> Result<DatabaseId, Error> {
        if let Some(database) = self.database {
            return Ok(database);
        }
        self.backend.check(operations)?;
        let database = self.backend.open(self.import.name, IfMissing::Create)?;
        Ok(*self.database.insert(database))
    }

    fn end(&self, interrupted: bool, is_without_end: bool) -> Imported {
        let (database, count, skipped, refused) = (self.database, self.imported, self.skipped, self.refused);
        Imported { database, count, skipped, refused, is_without_end, interrupted }
    }

    /// Stores what stood in front of a bad document, then says what was bad.
    fn stop(&mut self, error: &Error, place: &str) -> Error {
        match self.send() {
            Ok(()) => self.ended(error, place),
            Err(first) => first,
        }
    }

    fn described(&self, error: &Error, place: &str) -> Error {
        let file = self.import.file.display();
        let context = error.context();
        let taken = "the id is taken; --on-existing skip or replace goes on, --collection NAME stores to another place";
        let taken = Some(taken).filter(|_| error.code() == ErrorCode::DocExists);
        let reason = context.and_then(|context| context.detail.as_deref()).or(taken);
        let reason = reason.map_or_else(String::new, |reason| format!("{reason}; "));
        let mut described = Error::new(error.code());
        if let Some(document) = context.and_then(|context| context.document.as_ref()) {
            described = described.document(document);
        }
        if let Some(offset) = context.and_then(|context| context.offset) {
            described = described.offset(offset);
        }
        described.detail(format!("{reason}{place} of {file}"))
    }

    /// The error that ends the import, with what is in.
    fn ended(&self, error: &Error, place: &str) -> Error {
        let described = self.described(error, place);
        let detail = described.context().and_then(|context| context.detail.clone()).unwrap_or_default();
        let (imported, refused) = (self.imported, self.refused);
        let refused = if refused == 0 { String::new() } else { format!(", {refused} refused") };
        described.detail(format!("{detail}; {imported} imported{refused}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_digits_that_stand_there() {
        assert_eq!(id_in(br#"{"n":18446744073709551615}"#, "n").unwrap(), DocumentId::Number(u64::MAX));
        assert_eq!(id_in(br#"{"n":"1"}"#, "n").unwrap().as_text(), Some("1"));
        for without in [r#"{"n":-1}"#, r#"{"n":1.0}"#, r#"{"m":1}"#, "[1]", "1"] {
            assert_eq!(id_in(without.as_bytes(), "n").unwrap_err().code(), ErrorCode::InvalidRequest, "{without}");
        }
    }
}
