//! A data directory opened by the shell itself.
//!
//! The only module of the shell that names the crate `docdb`. It holds the directory's lock for as long as it lives, so no
//! daemon can run on it meanwhile. A directory that is not there, or is empty, stays so until the first database is created in
//! it: whoever only looks leaves nothing behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use docdb::{DocDb, Lookup};
use docdb_client::CountedCollection;
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseInfo, DatabaseName, Document, DocumentId, Error, ErrorCode,
    IfMissing, Operation, OperationResult, Patch, Reply, Request, Stats, TxId,
};

use super::{Backend, DOCUMENT_BYTES_PER_REQUEST_MAX, Missing, Page, Range};

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

    fn databases(&mut self) -> Result<Vec<DatabaseInfo>, Error> {
        let Some(docdb) = &self.docdb else { return Ok(Vec::new()) };
        docdb.databases()
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.docdb.as_ref().map_or_else(|| Ok(Stats::default()), DocDb::stats)
    }

    fn collections(&mut self, database: DatabaseId) -> Result<Vec<CountedCollection>, Error> {
        let view = self.docdb()?.view(database)?;
        let counted =
            |name: &CollectionName| CountedCollection { name: name.clone(), documents: view.count(name.as_str()) };
        Ok(view.collections().map(counted).collect())
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
                Ok((id, _)) if range.ids_only => {
                    page_bytes += size_of::<DocumentId>();
                    page.documents.push((id, Ok(Vec::new())));
                }
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
