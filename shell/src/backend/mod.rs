//! Where the databases are: behind one trait, opened here or served by a daemon.
//!
//! Both answer the same errors by the same codes; a daemon's carry less context, because only a text crosses the wire. A
//! backend never interprets a document.

mod embedded;
mod socket;

pub use embedded::Embedded;
pub use socket::Socket;

use std::ops::Bound;

use docdb_protocol::wire::listing::ListedDatabase;
use docdb_protocol::{
    CollectionName, DatabaseId, DatabaseName, DocumentId, Error, ErrorCode, Operation, OperationResult,
};

/// The documents' bytes of one request from the shell stay below this, so that a frame holds them.
pub const DOCUMENT_BYTES_PER_REQUEST_MAX: usize = 4 * 1024 * 1024;

/// Part of a collection, in the order of ids.
#[derive(Debug, Default)]
pub struct Page {
    /// The documents, as stored, or why one cannot be shown: it is damaged, or too long for the daemon's protocol.
    pub documents: Vec<(DocumentId, Result<Vec<u8>, Error>)>,
    /// Whether there are documents behind the last one.
    pub more: bool,
    /// What keeps documents away that are not named, if anything does.
    pub missing: Vec<Missing>,
    /// Whether documents follow whose ids are texts, which cannot be shown here.
    pub texts: bool,
}

/// Why documents are missing from a collection without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A part of the log is lost.
    Lost,
    /// They are there, and nobody is shown them before there is space to make them durable.
    Withheld,
}

impl Missing {
    /// The error that says so.
    #[must_use]
    pub fn error(self) -> Error {
        match self {
            Missing::Lost => Error::new(ErrorCode::CorruptRecord)
                .detail("a part of the log is lost, and documents with it that nothing names"),
            Missing::Withheld => Error::new(ErrorCode::DiskFull)
                .detail("documents written last are withheld; nothing is lost, make room and open the database again"),
        }
    }
}

impl Page {
    /// Where the next page begins; `None` when this is the last. A page that says there is more always has a document; one
    /// that has none would go round for ever.
    #[must_use]
    pub fn next(&self) -> Option<Bound<DocumentId>> {
        self.documents.last().filter(|_| self.more).map(|(id, _)| Bound::Excluded(id.clone()))
    }
}

/// The error for documents that a page could not show.
#[must_use]
pub fn texts_not_shown() -> Error {
    let detail = "there are documents whose ids are texts, for which the daemon's protocol has no word; docdbsh DIR shows \
                  them while no daemon runs";
    Error::new(ErrorCode::InvalidDocumentId).detail(detail)
}

/// What the shell needs of a place with databases.
pub trait Backend {
    /// The id of the database of this name; it is created when there is none.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn open(&mut self, name: &DatabaseName) -> Result<DatabaseId, Error>;

    /// Closes a database; its id stays valid.
    ///
    /// # Errors
    /// Whatever keeps it from being closed in order.
    fn close(&mut self, database: DatabaseId) -> Result<(), Error>;

    /// All databases, by name.
    ///
    /// # Errors
    /// Of the backend.
    fn databases(&mut self) -> Result<Vec<ListedDatabase>, Error>;

    /// The names of the collections of a database.
    ///
    /// # Errors
    /// Of the backend.
    fn collections(&mut self, database: DatabaseId) -> Result<Vec<CollectionName>, Error>;

    /// Runs operations, each alone, in order; as many results as operations.
    ///
    /// # Errors
    /// Of the request as a whole.
    fn execute(&mut self, database: DatabaseId, operations: Vec<Operation>) -> Result<Vec<OperationResult>, Error>;

    /// Documents from `from` on.
    ///
    /// # Errors
    /// Of the backend.
    fn scan(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        from: Bound<&DocumentId>,
    ) -> Result<Page, Error>;

    /// Ends in order.
    ///
    /// # Errors
    /// Whatever could not be closed.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}
