//! Where the databases are: behind one trait, opened here or served by a daemon.
//!
//! Both answer the same errors by the same codes; a daemon's carry less context, because only the fixed
//! text crosses the wire. A backend never interprets a document.

mod embedded;
mod socket;

pub use embedded::Embedded;
pub use socket::Socket;

use docdb_protocol::wire::listing::ListedDatabase;
use docdb_protocol::{CollectionName, DatabaseId, DatabaseName, DocumentId, Error, Operation, OperationResult};

/// The documents' bytes of one request from the shell stay below this, so that a frame holds them.
pub const DOCUMENT_BYTES_PER_REQUEST_MAX: usize = 4 * 1024 * 1024;

/// Part of a collection, in the order of ids.
#[derive(Debug, Default)]
pub struct Page {
    /// The documents, as stored; `None` for one that is damaged.
    pub documents: Vec<(DocumentId, Option<Vec<u8>>)>,
    /// Whether there are documents behind the last one.
    pub more: bool,
    /// Whether documents may be missing that nothing names.
    pub lost: bool,
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

    /// Documents from `first` on, itself included.
    ///
    /// # Errors
    /// Of the backend.
    fn scan(&mut self, database: DatabaseId, collection: &CollectionName, first: DocumentId) -> Result<Page, Error>;

    /// Ends in order.
    ///
    /// # Errors
    /// Whatever could not be closed.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}
