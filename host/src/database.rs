//! One logical database, as an application holds it.
//!
//! Reads are served from the published view on the caller's own thread; writes are requests to the
//! engine. A database that someone closed meanwhile is opened again at its next use.

use std::fmt;
use std::sync::Arc;

use docdb_engine::View;
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseName, Error, ErrorCode, Operation, OperationReply, OperationResult,
    Reply, Request,
};

use crate::collection::Collection;
use crate::transaction::Transaction;
use crate::views::ViewCell;
use crate::{DocDb, unexpected};

/// A handle on one database. Clones share it; all keep the data directory open.
#[derive(Clone)]
pub struct Database {
    docdb: DocDb,
    id: DatabaseId,
    name: DatabaseName,
    cell: Arc<ViewCell>,
}

impl Database {
    pub(crate) fn new(docdb: DocDb, id: DatabaseId, name: DatabaseName) -> Database {
        let cell = docdb.running.core.view_cell(id);
        Database { docdb, id, name, cell }
    }

    /// Its id, which is never used again.
    #[must_use]
    pub fn id(&self) -> DatabaseId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// A handle on one of its collections, whether it has documents yet or not.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// assert!(books.get(1)?.is_none());
    /// assert!(library.collection("no/name").is_err());
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`].
    pub fn collection(&self, name: &str) -> Result<Collection, Error> {
        Ok(Collection::new(self.clone(), CollectionName::parse(name)?))
    }

    /// Several writes that become durable and visible together, or not at all.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let mut transaction = library.transaction();
    /// transaction.create("books", 1, &"Momo")?.create("films", 1, &"Momo")?;
    /// transaction.commit()?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// The names of all collections, sorted.
    ///
    /// # Errors
    /// Whatever keeps the database from being opened again, when it was closed.
    pub fn collections(&self) -> Result<Vec<String>, Error> {
        Ok(self.view()?.collections().map(|name| name.as_str().to_owned()).collect())
    }

    /// Closes the database and records the end of its log. Handles stay valid: the next use opens it again.
    ///
    /// # Errors
    /// Whatever keeps the end from being recorded.
    pub fn close(&self) -> Result<(), Error> {
        match self.docdb.request(Request::CloseDatabase { database: self.id })? {
            Reply::Closed => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn docdb(&self) -> &DocDb {
        &self.docdb
    }

    /// Runs operations, and answers a result each.
    pub(crate) fn execute(
        &self,
        operations: Vec<Operation>,
        atomicity: Atomicity,
    ) -> Result<Vec<OperationResult>, Error> {
        let count = operations.len();
        match self.docdb.request(Request::Execute { database: self.id, operations, atomicity })? {
            Reply::Executed(results) if results.len() == count => Ok(results),
            other => Err(unexpected(&other)),
        }
    }

    /// The state that readers see now. Opens the database again when it was closed.
    ///
    /// # Errors
    /// Whatever keeps the database from being opened again.
    pub fn view(&self) -> Result<Arc<View>, Error> {
        match self.cell.load() {
            Some(view) => Ok(view),
            None => self.docdb.view(self.id).map_err(|error| error.database(self.name())),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Database").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The engine answered another operation than the one asked: a bug, reported rather than panicked about.
pub(crate) fn unexpected_operation(reply: &OperationReply) -> Error {
    Error::new(ErrorCode::InvalidRequest).detail(format!("unexpected reply {reply:?}"))
}
