//! One logical database, as an application holds it.
//!
//! Reads are served from the published view on the caller's own thread; writes are requests to the
//! engine. A database that someone closed meanwhile is opened again at its next use.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use docdb_engine::{Lookup, View};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, IfMissing,
    Operation, OperationReply, Reply, Request, TxId,
};

use crate::views::ViewCell;
use crate::{DocDb, unexpected};

/// How often a read opens a database that others keep closing, before it gives up.
const OPENINGS_PER_READ_MAX: usize = 8;

/// A scan takes this many documents from its view at a time.
const SCAN_PAGE_DOCUMENTS: usize = 256;

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

    /// The document, or `None`. Sees every write that was acknowledged before, and only durable ones.
    ///
    /// # Errors
    /// [`ErrorCode::CorruptRecord`] when what was stored is not known.
    pub fn get(&self, collection: &str, id: u64) -> Result<Option<Document>, Error> {
        match self.view()?.lookup(collection, DocumentId(id)) {
            Lookup::Found(document) => Ok(Some(document.clone())),
            Lookup::Absent => Ok(None),
            Lookup::Damaged(error) => Err(error),
        }
    }

    /// Stores a document that must not be there yet; the collection appears with its first document.
    ///
    /// # Errors
    /// [`ErrorCode::DocExists`], [`ErrorCode::InvalidJson`], and whatever keeps it from becoming durable.
    pub fn create(&self, collection: &str, id: u64, document: &[u8]) -> Result<TxId, Error> {
        self.transaction().create(collection, id, document)?.commit()
    }

    /// Replaces a document that must be there.
    ///
    /// # Errors
    /// [`ErrorCode::DocNotFound`]; else as [`Database::create`].
    pub fn update(&self, collection: &str, id: u64, document: &[u8]) -> Result<TxId, Error> {
        self.transaction().update(collection, id, document)?.commit()
    }

    /// Removes a document that must be there.
    ///
    /// # Errors
    /// [`ErrorCode::DocNotFound`]; else as [`Database::create`].
    pub fn delete(&self, collection: &str, id: u64) -> Result<TxId, Error> {
        self.transaction().delete(collection, id)?.commit()
    }

    /// Several writes that become durable and visible together, or not at all.
    pub fn transaction(&self) -> Transaction<'_> {
        Transaction { database: self, operations: Vec::new() }
    }

    /// The names of all collections, sorted.
    ///
    /// # Errors
    /// Whatever keeps the database from being opened again, when it was closed.
    pub fn collections(&self) -> Result<Vec<String>, Error> {
        Ok(self.view()?.collections().map(|name| name.as_str().to_owned()).collect())
    }

    /// The documents of a collection in the order of their ids, from `from` on (inclusive), all of one
    /// moment: later writes do not show. The scan keeps that state in memory until it is dropped.
    ///
    /// # Errors
    /// As [`Database::collections`]; a damaged document is an error of its own within the scan.
    pub fn scan(&self, collection: &str, from: u64) -> Result<Scan, Error> {
        Ok(Scan {
            view: self.view()?,
            collection: collection.to_owned(),
            next: Some(DocumentId(from)),
            page: VecDeque::new(),
        })
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

    /// The state that readers see now. Opens the database again when it was closed.
    ///
    /// # Errors
    /// Whatever keeps the database from being opened again.
    pub fn view(&self) -> Result<Arc<View>, Error> {
        for _ in 0..OPENINGS_PER_READ_MAX {
            if let Some(view) = self.cell.load() {
                return Ok(view);
            }
            let name = self.name.clone();
            match self.docdb.request(Request::OpenDatabase { name, if_missing: IfMissing::Fail })? {
                Reply::Database(id) if id == self.id => {}
                // Dropped and created again meanwhile: another database, although of the same name.
                Reply::Database(_) => return Err(Error::new(ErrorCode::DbNotFound).database(self.name())),
                other => return Err(unexpected(&other)),
            }
        }
        Err(Error::new(ErrorCode::DbNotOpen).database(self.name()))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Database").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Writes being gathered; dropping it writes nothing.
#[derive(Debug)]
#[must_use = "a transaction writes nothing until it is committed"]
pub struct Transaction<'database> {
    database: &'database Database,
    operations: Vec<Operation>,
}

impl Transaction<'_> {
    /// Adds a document that must not be there yet.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`], [`ErrorCode::InvalidJson`], [`ErrorCode::PayloadTooLarge`].
    pub fn create(self, collection: &str, id: u64, document: &[u8]) -> Result<Self, Error> {
        let document = Document::parse(document).map_err(|error| error.document(DocumentId(id)))?;
        self.add(collection, id, Action::Create(document))
    }

    /// Replaces a document that must be there.
    ///
    /// # Errors
    /// As [`Transaction::create`].
    pub fn update(self, collection: &str, id: u64, document: &[u8]) -> Result<Self, Error> {
        let document = Document::parse(document).map_err(|error| error.document(DocumentId(id)))?;
        self.add(collection, id, Action::Update(document))
    }

    /// Removes a document that must be there.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`].
    pub fn delete(self, collection: &str, id: u64) -> Result<Self, Error> {
        self.add(collection, id, Action::Delete)
    }

    fn add(mut self, collection: &str, id: u64, action: Action) -> Result<Self, Error> {
        let collection = CollectionName::parse(collection)?;
        self.operations.push(Operation { collection, document_id: DocumentId(id), action });
        Ok(self)
    }

    /// Makes all of it durable, then visible, then returns. A transaction without writes commits nothing
    /// and answers the newest transaction that readers see.
    ///
    /// # Errors
    /// Of the first write that cannot be: nothing is written then. [`ErrorCode::OutcomeUnknown`] when the
    /// device failed so that all of it may or may not be there after the next opening.
    pub fn commit(self) -> Result<TxId, Error> {
        let Transaction { database, operations } = self;
        if operations.is_empty() {
            return Ok(database.view()?.last_tx());
        }
        let request = Request::Execute { database: database.id, operations, atomicity: Atomicity::AllOrNothing };
        match database.docdb.request(request)? {
            Reply::Executed(mut results) => match results.pop() {
                Some(Ok(OperationReply::Written(transaction))) => Ok(transaction),
                Some(Err(error)) => Err(error),
                other => Err(unexpected(&Reply::Executed(other.into_iter().collect()))),
            },
            other => Err(unexpected(&other)),
        }
    }
}

/// The documents of one collection at one moment, in the order of their ids. See [`Database::scan`].
#[derive(Debug)]
pub struct Scan {
    view: Arc<View>,
    collection: String,
    /// Where the next page begins; `None` behind the last document.
    next: Option<DocumentId>,
    page: VecDeque<Result<(u64, Document), Error>>,
}

impl Scan {
    fn fill(&mut self) {
        let Some(from) = self.next.take() else { return };
        let mut last = None;
        for entry in self.view.scan(&self.collection, from).take(SCAN_PAGE_DOCUMENTS) {
            match entry {
                Ok((id, document)) => {
                    last = Some(id);
                    self.page.push_back(Ok((id.0, document.clone())));
                }
                Err((id, error)) => {
                    last = Some(id);
                    self.page.push_back(Err(error.document(id)));
                }
            }
        }
        let is_full = self.page.len() == SCAN_PAGE_DOCUMENTS;
        self.next = last.filter(|_| is_full).and_then(|id| id.0.checked_add(1)).map(DocumentId);
    }
}

impl Iterator for Scan {
    type Item = Result<(u64, Document), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            self.fill();
        }
        self.page.pop_front()
    }
}
