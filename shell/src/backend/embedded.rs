//! A data directory opened by the shell itself.
//!
//! The only module of the shell that names the crate `docdb`. It holds the directory's lock for as long
//! as it lives, so no daemon can run on it meanwhile.

use std::ops::Bound;
use std::path::Path;

use docdb::DocDb;
use docdb_protocol::wire::listing::{ListedDatabase, rfc3339};
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseName, DocumentId, Error, ErrorCode, IfMissing, Operation,
    OperationResult, Reply, Request,
};

use super::{Backend, DOCUMENT_BYTES_PER_REQUEST_MAX, Missing, Page};

/// An open data directory.
pub struct Embedded(DocDb);

impl std::fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Embedded")
    }
}

impl Embedded {
    /// Opens the data directory, creating it when there is none.
    ///
    /// # Errors
    /// Of the host.
    pub fn open(data_dir: &Path) -> Result<Embedded, Error> {
        Ok(Embedded(DocDb::open(data_dir)?))
    }
}

impl Backend for Embedded {
    fn open(&mut self, name: &DatabaseName) -> Result<DatabaseId, Error> {
        match self.0.request(Request::OpenDatabase { name: name.clone(), if_missing: IfMissing::Create })? {
            Reply::Database(id) => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    fn close(&mut self, database: DatabaseId) -> Result<(), Error> {
        match self.0.request(Request::CloseDatabase { database })? {
            Reply::Closed => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn databases(&mut self) -> Result<Vec<ListedDatabase>, Error> {
        let databases = self.0.databases()?;
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

    fn collections(&mut self, database: DatabaseId) -> Result<Vec<CollectionName>, Error> {
        Ok(self.0.view(database)?.collections().cloned().collect())
    }

    fn execute(&mut self, database: DatabaseId, operations: Vec<Operation>) -> Result<Vec<OperationResult>, Error> {
        match self.0.request(Request::Execute { database, operations, atomicity: Atomicity::EachAlone })? {
            Reply::Executed(results) => Ok(results),
            other => Err(unexpected(&other)),
        }
    }

    fn scan(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        from: Bound<&DocumentId>,
    ) -> Result<Page, Error> {
        let view = self.0.view(database)?;
        let mut page = Page::default();
        let mut page_bytes = 0;
        for entry in view.scan(collection.as_str(), from) {
            if page_bytes >= DOCUMENT_BYTES_PER_REQUEST_MAX {
                page.more = true;
                break;
            }
            match entry {
                Ok((id, document)) => {
                    page_bytes += document.len();
                    page.documents.push((id, Ok(document.bytes().to_vec())));
                }
                Err(error) => match error.context().and_then(|context| context.document.clone()) {
                    Some(id) => page.documents.push((id, Err(error))),
                    None if error.code() == ErrorCode::CorruptRecord => page.missing.push(Missing::Lost),
                    None => page.missing.push(Missing::Withheld),
                },
            }
        }
        Ok(page)
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.0.close()
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::new(ErrorCode::InvalidRequest).detail(format!("unexpected reply {reply:?}"))
}
