//! Batches of an import: what is sent together, what became of it, and how errors say where they are.

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{Atomicity, DatabaseId, Document, Error, ErrorCode, IfMissing, Operation, OperationResult};

use super::{Import, Imported, OnExisting};
use crate::backend::{Backend, DOCUMENT_BYTES_PER_REQUEST_MAX};
use crate::split::Place;

/// Errors that are said, a line each; further ones are only counted.
const ERRORS_SAID_MAX: u64 = 100;

/// Operations of one request: enough that the sync is shared, few enough that a failure is found soon.
const BATCH_OPERATIONS_MAX: usize = 256;

/// A batch being gathered, and what became of the ones before.
pub(super) struct Batches<'a> {
    pub(super) import: &'a Import<'a>,
    pub(super) backend: &'a mut dyn Backend,
    pub(super) database: Option<DatabaseId>,
    pub(super) operations: Vec<Operation>,
    pub(super) places: Vec<Place>,
    pub(super) bytes: usize,
    pub(super) imported: u64,
    pub(super) skipped: u64,
    pub(super) refused: u64,
    pub(super) say: &'a mut dyn FnMut(&Error),
}

impl Batches<'_> {
    pub(super) fn push(&mut self, operation: Operation, place: Place) -> Result<(), Error> {
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

    pub(super) fn send(&mut self) -> Result<(), Error> {
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
    pub(super) fn refuse(&mut self, error: &Error, place: &str) {
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

    pub(super) fn end(&self, interrupted: bool, is_without_end: bool) -> Imported {
        let (database, count, skipped, refused) = (self.database, self.imported, self.skipped, self.refused);
        Imported { database, count, skipped, refused, is_without_end, interrupted }
    }

    /// Stores what stood in front of a bad document, then says what was bad.
    pub(super) fn stop(&mut self, error: &Error, place: &str) -> Error {
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
    pub(super) fn ended(&self, error: &Error, place: &str) -> Error {
        let described = self.described(error, place);
        let detail = described.context().and_then(|context| context.detail.clone()).unwrap_or_default();
        let (imported, refused) = (self.imported, self.refused);
        let refused = if refused == 0 { String::new() } else { format!(", {refused} refused") };
        described.detail(format!("{detail}; {imported} imported{refused}"))
    }
}

/// Whether the error is about one document, so that the others can be stored.
pub(super) fn is_of_document(error: &Error) -> bool {
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
