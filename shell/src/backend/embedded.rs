//! A data directory opened by the shell itself.
//!
//! The only module of the shell that names the crate `docdb`. It holds the directory's lock for as long as it lives, so no
//! daemon can run on it meanwhile. A directory that is not there, or is empty, stays so until the first database is created in
//! it: whoever only looks leaves nothing behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use docdb::{DocDb, Lookup};
use docdb_protocol::wire::listing::{ListedDatabase, rfc3339};
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, IfMissing, Operation,
    OperationResult, Patch, Reply, Request, Stats, TxId,
};

use super::{Backend, DOCUMENT_BYTES_PER_REQUEST_MAX, Feature, ListedCollection, Missing, Page, Range};

/// A data directory.
pub struct Embedded {
    path: PathBuf,
    /// `None` while there is nothing at the path.
    docdb: Option<DocDb>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Embedded").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the data directory, if there is one.
    ///
    /// # Errors
    /// Of the host.
    pub fn open(data_dir: &Path) -> Result<Embedded, Error> {
        let docdb = if is_empty(data_dir) { None } else { Some(opened(data_dir)?) };
        Ok(Embedded { path: data_dir.to_owned(), docdb })
    }

    fn docdb(&self) -> Result<&DocDb, Error> {
        let unmade = || Error::new(ErrorCode::NotADataDirectory).detail(self.unmade().unwrap_or_default());
        self.docdb.as_ref().ok_or_else(unmade)
    }

    /// Makes the directory, where there is none.
    fn made(&mut self) -> Result<&DocDb, Error> {
        let docdb = match self.docdb.take() {
            Some(docdb) => docdb,
            None => opened(&self.path)?,
        };
        Ok(self.docdb.insert(docdb))
    }

    fn request(&self, request: Request) -> Result<Reply, Error> {
        self.docdb()?.request(request)
    }
}

fn opened(path: &Path) -> Result<DocDb, Error> {
    DocDb::open(path).map_err(|error| {
        if error.code() != ErrorCode::DirectoryLocked {
            return error;
        }
        let holder = error.context().and_then(|context| context.detail.clone()).unwrap_or_default();
        let socket = PathBuf::from(format!("{}.sock", path.display().to_string().trim_end_matches('/')));
        let advice = if socket.exists() {
            format!("docdbsh --socket {} talks to the daemon", socket.display())
        } else {
            "docdbsh --socket PATH talks to a daemon".to_owned()
        };
        error.detail(format!("{holder}; {advice}"))
    })
}

/// Whether there is nothing that could be a data directory.
fn is_empty(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl Backend for Embedded {
    fn require(&self, _: Feature) -> Result<(), Error> {
        Ok(())
    }

    fn check(&self, _: &[Operation]) -> Result<(), Error> {
        Ok(())
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn unmade(&self) -> Option<String> {
        let is_unmade = self.docdb.is_none();
        is_unmade.then(|| format!("{} is new: its first document makes it", self.path.display()))
    }

    fn open(&mut self, name: &DatabaseName, if_missing: IfMissing) -> Result<DatabaseId, Error> {
        if self.docdb.is_none() && if_missing == IfMissing::Fail {
            return Err(Error::new(ErrorCode::DbNotFound).database(name.as_str()));
        }
        match self.made()?.request(Request::OpenDatabase { name: name.clone(), if_missing })? {
            Reply::Database(id) => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    fn close(&mut self, database: DatabaseId) -> Result<(), Error> {
        match self.request(Request::CloseDatabase { database })? {
            Reply::Closed => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn databases(&mut self) -> Result<Vec<ListedDatabase>, Error> {
        let Some(docdb) = &self.docdb else { return Ok(Vec::new()) };
        let databases = docdb.databases()?;
        Ok(databases
            .into_iter()
            .map(|database| ListedDatabase {
                name: database.name,
                id: database.id,
                created_at: rfc3339(database.created_at_unix_ns),
                log_bytes: database.log_bytes,
                memory_bytes: database.memory_bytes,
                documents: database.documents,
            })
            .collect())
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.docdb.as_ref().map_or_else(|| Ok(Stats::default()), DocDb::stats)
    }

    fn is_read_only(&mut self, database: DatabaseId) -> bool {
        let databases = self.docdb.as_ref().and_then(|docdb| docdb.databases().ok()).unwrap_or_default();
        databases.iter().any(|listed| listed.id == database && listed.read_only)
    }

    fn collections(&mut self, database: DatabaseId) -> Result<Vec<ListedCollection>, Error> {
        let view = self.docdb()?.view(database)?;
        let listed =
            |name: &CollectionName| ListedCollection { name: name.clone(), documents: Some(view.count(name.as_str())) };
        Ok(view.collections().map(listed).collect())
    }

    fn count(&mut self, database: DatabaseId, collection: &CollectionName) -> Result<u64, Error> {
        Ok(self.docdb()?.view(database)?.count(collection.as_str()))
    }

    fn execute(
        &mut self,
        database: DatabaseId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
    ) -> Result<Vec<OperationResult>, Error> {
        match self.request(Request::Execute { database, operations, atomicity })? {
            Reply::Executed(results) => Ok(results),
            other => Err(unexpected(&other)),
        }
    }

    fn version(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Option<(Document, TxId)>, Error> {
        match self.docdb()?.view(database)?.lookup(collection.as_str(), id) {
            Lookup::Found(document, version) => Ok(Some((document.clone(), version))),
            Lookup::Absent => Ok(None),
            Lookup::Damaged(error) => Err(error),
        }
    }

    fn patch(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
        patch: &Patch,
    ) -> Result<TxId, Error> {
        self.docdb()?.patch(database, collection, id, patch)
    }

    fn scan(&mut self, database: DatabaseId, collection: &CollectionName, range: &Range) -> Result<Page, Error> {
        let view = self.docdb()?.view(database)?;
        let (from, to) = (range.from.as_ref(), range.to.as_ref());
        let collection = collection.as_str();
        let entries: &mut dyn Iterator<Item = docdb::Scanned<'_>> = if range.descending {
            &mut view.range_back(collection, from, to)
        } else {
            &mut view.range(collection, from, to)
        };
        let mut page = Page::default();
        let mut page_bytes = 0;
        for entry in entries {
            if page_bytes >= DOCUMENT_BYTES_PER_REQUEST_MAX {
                page.more = true;
                return Ok(page);
            }
            match entry {
                Ok((id, document)) => {
                    page_bytes += document.len();
                    page.documents.push((id, Ok(document.bytes().to_vec())));
                }
                // What a range has of damage names its document; what does not is asked of the view below.
                Err(error) => {
                    if let Some(id) = error.context().and_then(|context| context.document.clone()) {
                        page.documents.push((id, Err(error)));
                    }
                }
            }
        }
        if let Some(loss) = view.loss(collection, from, to) {
            let is_lost = loss.code() == ErrorCode::CorruptRecord;
            page.missing.push(if is_lost { Missing::Lost } else { Missing::Withheld });
        }
        Ok(page)
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.docdb.map_or(Ok(()), DocDb::close)
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(ErrorCode::InvalidRequest).detail(format!("unexpected reply {reply:?}"))
}
