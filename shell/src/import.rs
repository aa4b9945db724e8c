//! `.import`: the documents of a file, stored in batches.
//!
//! What is wrong with the file is found before the request that would hold it is sent, so everything in
//! front of a bad document is stored and nothing behind it. What the database refuses ends the import
//! after the batch it was in. Either way the error says where, and how many were imported.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{
    Action, CollectionName, DatabaseId, Document, DocumentId, Error, ErrorCode, Operation, OperationResult,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;

use crate::backend::{Backend, REQUEST_BYTES_MAX};
use crate::split::{Form, Piece, Splitter, detect};

/// Operations of one request: enough that the sync is shared, few enough that a failure is found soon.
const BATCH_OPERATIONS_MAX: usize = 256;

/// What to import, and to where.
pub(crate) struct Import<'a> {
    pub(crate) file: &'a Path,
    pub(crate) database: DatabaseId,
    pub(crate) collection: &'a CollectionName,
    pub(crate) id_field: Option<&'a str>,
    pub(crate) ndjson: bool,
    pub(crate) watched: bool,
}

/// A batch being gathered, and what became of the ones before.
struct Batches<'a> {
    import: &'a Import<'a>,
    backend: &'a mut dyn Backend,
    operations: Vec<Operation>,
    numbers: Vec<u64>,
    bytes: usize,
    imported: u64,
}

impl Import<'_> {
    /// How many documents were stored.
    pub(crate) fn run(&self, backend: &mut dyn Backend) -> Result<u64, Error> {
        let shown = self.file.display();
        let failed = |code, error: &io::Error| Error::new(code).detail(format!("{shown}: {error}"));
        let file = File::open(self.file).map_err(|error| failed(ErrorCode::FileOpen, &error))?;
        let bar = self.bar(&file);
        let mut reader = BufReader::with_capacity(64 * 1024, bar.wrap_read(file));
        let detected = detect(&mut reader).map_err(|error| failed(ErrorCode::FileRead, &error))?;
        let form = if self.ndjson { Form::Lines } else { detected };
        let imported = self.split(Splitter::new(reader, form), backend);
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

    fn split(&self, mut splitter: Splitter<BufReader<impl Read>>, backend: &mut dyn Backend) -> Result<u64, Error> {
        let mut next_id = match self.id_field {
            Some(_) => Some(0),
            None => first_free_id(backend, self.database, self.collection)?,
        };
        let (operations, numbers) = (Vec::new(), Vec::new());
        let mut batches = Batches { import: self, backend, operations, numbers, bytes: 0, imported: 0 };
        loop {
            let piece = match splitter.next() {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => return Err(batches.stop(&error, &splitter.place(splitter.current()))),
            };
            let number = piece.number;
            let operation = match self.operation(&piece, &mut next_id) {
                Ok(operation) => operation,
                Err(error) => return Err(batches.stop(&error, &splitter.place(number))),
            };
            batches.push(operation, number, |number| splitter.place(number))?;
        }
        batches.send(|number| splitter.place(number))?;
        Ok(batches.imported)
    }

    fn operation(&self, piece: &Piece, next_id: &mut Option<u64>) -> Result<Operation, Error> {
        let document = Document::parse(&piece.bytes)?;
        let id = match self.id_field {
            Some(field) => id_in(&piece.bytes, field)?,
            None => {
                let no_id = || Error::new(ErrorCode::LimitExceeded).detail("no document id is left");
                let id = next_id.ok_or_else(no_id)?;
                *next_id = id.checked_add(1);
                id
            }
        };
        let collection = self.collection.clone();
        Ok(Operation { collection, document_id: DocumentId(id), action: Action::Create(document) })
    }
}

/// The id in a top-level member, read as the digits that stand there: never as a floating-point number.
fn id_in(document: &[u8], field: &str) -> Result<u64, Error> {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_slice(document).unwrap_or_default();
    let id = members.get(field).and_then(|value| value.get().parse().ok());
    id.ok_or_else(|| {
        Error::new(ErrorCode::InvalidRequest).detail(format!("no unsigned integer in the field {field:?}"))
    })
}

/// One more than the highest id of a collection, 0 when it is empty, `None` when the highest is the last.
///
/// Found by halving: whether anything is there from an id on is one small question, and 64 of them
/// find the highest, however many documents there are.
fn first_free_id(
    backend: &mut dyn Backend,
    database: DatabaseId,
    collection: &CollectionName,
) -> Result<Option<u64>, Error> {
    let mut any_from = |id: u64| match backend.scan(database, collection, DocumentId(id)) {
        // A damaged document has an id as well.
        Ok(page) => Ok(page.documents.last().map(|(id, _)| id.0)),
        Err(error) => Err(error),
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
    fn push(&mut self, operation: Operation, number: u64, place: impl Fn(u64) -> String) -> Result<(), Error> {
        let bytes = operation.action.document().map_or(0, Document::len);
        debug_assert!(bytes <= DOCUMENT_BYTES_MAX, "the validator has seen it");
        if self.operations.len() == BATCH_OPERATIONS_MAX || self.bytes + bytes > REQUEST_BYTES_MAX {
            self.send(place)?;
        }
        self.bytes += bytes;
        self.operations.push(operation);
        self.numbers.push(number);
        Ok(())
    }

    fn send(&mut self, place: impl Fn(u64) -> String) -> Result<(), Error> {
        if self.operations.is_empty() {
            return Ok(());
        }
        let operations = std::mem::take(&mut self.operations);
        let numbers = std::mem::take(&mut self.numbers);
        self.bytes = 0;
        let first = numbers.first().copied().unwrap_or_default();
        let results: Vec<OperationResult> = match self.backend.execute(self.import.database, operations) {
            Ok(results) => results,
            Err(error) => return Err(self.told(&error, &format!("the batch from {} on", place(first)))),
        };
        self.imported += results.iter().filter(|result| result.is_ok()).count() as u64;
        match results.iter().zip(numbers).find_map(|(result, number)| Some((result.as_ref().err()?, number))) {
            Some((error, number)) => Err(self.told(error, &place(number))),
            None => Ok(()),
        }
    }

    /// Stores what stood in front of a bad document, then says what was bad.
    fn stop(&mut self, error: &Error, place: &str) -> Error {
        match self.send(|number| format!("document {number} of the file")) {
            Ok(()) => self.told(error, place),
            Err(first) => first,
        }
    }

    fn told(&self, error: &Error, place: &str) -> Error {
        let file = self.import.file.display();
        let context = error.context();
        let reason = context.and_then(|context| context.detail.as_deref());
        let reason = reason.map_or_else(String::new, |reason| format!("{reason}; "));
        let mut told = Error::new(error.code());
        if let Some(document) = context.and_then(|context| context.document) {
            told = told.document(document);
        }
        if let Some(offset) = context.and_then(|context| context.offset) {
            told = told.offset(offset);
        }
        told.detail(format!("{reason}{place} of {file}; {} imported", self.imported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_digits_that_stand_there() {
        assert_eq!(id_in(br#"{"n":18446744073709551615}"#, "n").unwrap(), u64::MAX);
        for without in [r#"{"n":-1}"#, r#"{"n":1.0}"#, r#"{"n":"1"}"#, r#"{"m":1}"#, "[1]", "1"] {
            assert_eq!(id_in(without.as_bytes(), "n").unwrap_err().code(), ErrorCode::InvalidRequest, "{without}");
        }
    }
}
