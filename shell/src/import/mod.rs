//! `.import`: the documents of a file, stored in batches.
//!
//! A document that cannot be stored is refused with an error that names its line, and counted; the rest of the file is stored.
//! What is wrong with the file or the database itself ends the import. Either way what is in stays, and is counted.
//!
//! A file holds exported documents, which have ids, or documents alone, which get them here; never both, lest a number
//! that is given here be an id that comes later.

mod batches;
mod ids;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use docdb_protocol::{
    Action, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, Operation,
};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};

use crate::backend::Backend;
use crate::entry::{self, Entry};
use crate::export::is_compressed;
use crate::interrupt::{Interrupt, Patient, open_to_read};
use crate::split::{Form, Piece, Splitter, line_ends};
use batches::{Batches, is_of_document};
use ids::{IdsSoFar, Kind, NextId, first_free_id, id_in};

/// The file is read in pieces of this size.
const READ_BYTES: usize = 64 * 1024;

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
    /// It is refused.
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

impl Import<'_> {
    /// What is refused goes to `say`.
    pub(crate) fn run(&self, backend: &mut dyn Backend, say: &mut dyn FnMut(&Error)) -> Result<Imported, Error> {
        let failed =
            |error: io::Error| Error::new(ErrorCode::FileOpen).detail(format!("{}: {error}", self.file.display()));
        let file = open_to_read(self.file).map_err(failed)?;
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
