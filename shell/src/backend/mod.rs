//! Where the databases are: behind one trait, opened here or served by a daemon.
//!
//! Both answer the same errors, by the same codes and with the same context. A backend never interprets a document.

mod embedded;
mod page;
mod socket;

pub use embedded::Embedded;
pub use page::{Missing, Page, Range};
pub use socket::Socket;

use docdb_client::CountedCollection;
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseInfo, DatabaseName, Document, DocumentId, Error, IfMissing,
    Operation, OperationResult, Patch, Stats, TxId,
};

/// The documents' bytes of one request of an import stay below this, unless one document is longer.
pub const DOCUMENT_BYTES_PER_REQUEST_MAX: usize = 4 * 1024 * 1024;

/// What the shell needs of a place with databases.
pub trait Backend {
    /// Refuses operations that are more than the place takes at once. Nothing is asked of it.
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::PayloadTooLarge`].
    fn check(&self, operations: &[Operation]) -> Result<(), Error>;

    /// The place in words, for a banner.
    fn place(&self) -> String;

    /// What is not there yet, and is made by the first write: a data directory.
    fn unmade(&self) -> Option<String>;

    /// The id of the database of this name.
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::DbNotFound`] when there is none and none is to be created; whatever keeps it from being opened.
    fn open(&mut self, name: &DatabaseName, if_missing: IfMissing) -> Result<DatabaseId, Error>;

    /// Closes a database; its id stays valid.
    ///
    /// # Errors
    /// Whatever keeps it from being closed in order.
    fn close(&mut self, database: DatabaseId) -> Result<(), Error>;

    /// All databases, by name.
    ///
    /// # Errors
    /// Of the backend.
    fn databases(&mut self) -> Result<Vec<DatabaseInfo>, Error>;

    /// Counts of all databases.
    ///
    /// # Errors
    /// Of the backend.
    fn stats(&mut self) -> Result<Stats, Error>;

    /// Whether a database is known to take no writes.
    fn is_read_only(&mut self, database: DatabaseId) -> bool {
        let databases = self.databases().unwrap_or_default();
        databases.iter().any(|listed| listed.id == database && listed.read_only)
    }

    /// The collections of a database, by name.
    ///
    /// # Errors
    /// Of the backend.
    fn collections(&mut self, database: DatabaseId) -> Result<Vec<CountedCollection>, Error>;

    /// How many documents a collection has.
    ///
    /// # Errors
    /// Of the backend.
    fn count(&mut self, database: DatabaseId, collection: &CollectionName) -> Result<u64, Error>;

    /// Runs operations in order; as many results as operations.
    ///
    /// # Errors
    /// Of the request as a whole.
    fn execute(
        &mut self,
        database: DatabaseId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
    ) -> Result<Vec<OperationResult>, Error>;

    /// A document and the transaction that wrote it, for a write that expects it.
    ///
    /// # Errors
    /// Of the backend.
    fn version(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Option<(Document, TxId)>, Error>;

    /// Changes a document by a patch, over no version but the one that the patch was applied to.
    ///
    /// # Errors
    /// Of the patch, and of the backend.
    fn patch(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
        patch: &Patch,
    ) -> Result<TxId, Error>;

    /// Documents of a collection, the first page of a range.
    ///
    /// # Errors
    /// Of the backend.
    fn scan(&mut self, database: DatabaseId, collection: &CollectionName, range: &Range) -> Result<Page, Error>;

    /// Ends in order.
    ///
    /// # Errors
    /// Whatever could not be closed.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}
