//! Where the databases are: behind one trait, opened here or served by a daemon.
//!
//! Both answer the same errors by the same codes; a daemon's carry less context, because only a text crosses the wire. A
//! backend never interprets a document. What a place has no word for it refuses before anything is asked of it.

mod embedded;
mod page;
mod socket;

pub use embedded::Embedded;
pub use page::{Missing, Page, Range, texts_not_shown};
pub use socket::Socket;

use docdb_protocol::wire::listing::ListedDatabase;
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, IfMissing, Operation,
    OperationResult, Patch, Stats, TxId,
};

/// The documents' bytes of one request from the shell stay below this, so that a frame holds them.
pub const DOCUMENT_BYTES_PER_REQUEST_MAX: usize = 4 * 1024 * 1024;

/// What not every place has a word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Several writes, all or nothing.
    Transactions,
    /// Documents in the descending order of ids.
    Descending,
    /// Patches.
    Patches,
}

/// A collection, and how many documents it has where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCollection {
    /// Its name.
    pub name: CollectionName,
    /// `None` where the place does not say.
    pub documents: Option<u64>,
}

/// What the shell needs of a place with databases.
pub trait Backend {
    /// Refuses what the place has no word for.
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::InvalidRequest`], with what to do instead.
    fn require(&self, feature: Feature) -> Result<(), Error>;

    /// Refuses operations that the place has no word for. Nothing is asked of it.
    ///
    /// # Errors
    /// As [`Backend::require`].
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
    fn databases(&mut self) -> Result<Vec<ListedDatabase>, Error>;

    /// Counts of all databases.
    ///
    /// # Errors
    /// Of the backend.
    fn stats(&mut self) -> Result<Stats, Error>;

    /// Whether a database is known to take no writes.
    fn is_read_only(&mut self, database: DatabaseId) -> bool;

    /// The collections of a database, by name.
    ///
    /// # Errors
    /// Of the backend.
    fn collections(&mut self, database: DatabaseId) -> Result<Vec<ListedCollection>, Error>;

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
    /// As [`Backend::require`], and of the backend.
    fn version(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Option<(Document, TxId)>, Error>;

    /// Changes a document by a patch, over no version but the one that the patch was applied to.
    ///
    /// # Errors
    /// As [`Backend::require`], of the patch, and of the backend.
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
