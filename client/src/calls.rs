//! A method for each thing that a daemon can be asked, each one call and its answer.
//!
//! Names and ids are checked before anything is sent.

use std::io::{Read, Write};

use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseInfo, DatabaseName, Document, Error, ErrorCode, Expectation,
    IfMissing, IntoDocumentId, Operation, Patch, TxId,
};

use crate::{Answer, Call, Client, CountedCollection, Figures, OperationAnswer, Page, ScanCall, unexpected};

/// A document, and the transaction that wrote it.
pub type Got = (Document, TxId);

impl<S: Read + Write> Client<S> {
    /// The database of this name.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDatabaseName`]; [`ErrorCode::DbNotFound`] when there is none and none is to be created; whatever keeps it
    /// from being opened.
    pub fn open_database(&mut self, name: &str, if_missing: IfMissing) -> Result<DatabaseId, Error> {
        match self.call(&Call::OpenDatabase { name: DatabaseName::parse(name)?, if_missing })? {
            Answer::Database(database) => Ok(database),
            other => Err(unexpected(&other)),
        }
    }

    /// Closes a database. Its id stays valid, and the next use opens it again.
    ///
    /// # Errors
    /// Whatever keeps the end of its log from being recorded.
    pub fn close_database(&mut self, database: DatabaseId) -> Result<(), Error> {
        match self.call(&Call::CloseDatabase(database))? {
            Answer::Closed => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// One entry a database, by name.
    ///
    /// # Errors
    /// Of the server and the connection.
    pub fn databases(&mut self) -> Result<Vec<DatabaseInfo>, Error> {
        match self.call(&Call::Databases)? {
            Answer::Databases(databases) => Ok(databases),
            other => Err(unexpected(&other)),
        }
    }

    /// The collections of a database with their counts, by name.
    ///
    /// # Errors
    /// [`ErrorCode::DbNotFound`], and whatever keeps it from being opened.
    pub fn collections(&mut self, database: DatabaseId) -> Result<Vec<CountedCollection>, Error> {
        match self.call(&Call::Collections(database))? {
            Answer::Collections(collections) => Ok(collections),
            other => Err(unexpected(&other)),
        }
    }

    /// How many documents a collection has.
    ///
    /// # Errors
    /// As [`Client::collections`]; [`ErrorCode::InvalidCollectionName`].
    pub fn count(&mut self, database: DatabaseId, collection: &str) -> Result<u64, Error> {
        match self.call(&Call::Count { database, collection: CollectionName::parse(collection)? })? {
            Answer::Count(documents) => Ok(documents),
            other => Err(unexpected(&other)),
        }
    }

    /// Counts of the whole data directory, by name.
    ///
    /// # Errors
    /// Of the server and the connection.
    pub fn statistics(&mut self) -> Result<Figures, Error> {
        match self.call(&Call::Statistics)? {
            Answer::Statistics(figures) => Ok(figures),
            other => Err(unexpected(&other)),
        }
    }

    /// Runs operations in their order; as many results as operations.
    ///
    /// # Errors
    /// Of the request as a whole: of operations that are all or nothing, the first that cannot be.
    pub fn execute(
        &mut self,
        database: DatabaseId,
        atomicity: Atomicity,
        operations: Vec<Operation>,
    ) -> Result<Vec<Result<OperationAnswer, Error>>, Error> {
        let count = operations.len();
        match self.call(&Call::Execute { database, atomicity, operations })? {
            Answer::Executed(results) if results.len() == count => Ok(results),
            other => Err(unexpected(&other)),
        }
    }

    /// The document, or `None`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`], [`ErrorCode::InvalidDocumentId`]; [`ErrorCode::CorruptRecord`].
    pub fn get(
        &mut self,
        database: DatabaseId,
        collection: &str,
        id: impl IntoDocumentId,
    ) -> Result<Option<Got>, Error> {
        match self.one(database, collection, Action::Read(id.into_document_id()?)) {
            Ok(OperationAnswer::Document(document, Some(version))) => Ok(Some((document, version))),
            Ok(other) => Err(unexpected_operation(&other)),
            Err(error) if error.code() == ErrorCode::DocNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a document, whether it replaces one or not.
    ///
    /// # Errors
    /// As [`Client::get`], and whatever keeps it from becoming durable.
    pub fn put(
        &mut self,
        database: DatabaseId,
        collection: &str,
        id: impl IntoDocumentId,
        document: Document,
    ) -> Result<TxId, Error> {
        self.written(database, collection, Action::Put(id.into_document_id()?, document))
    }

    /// Stores a document, if the one that is there is as expected.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] when it is not; else as [`Client::put`].
    pub fn put_if(
        &mut self,
        database: DatabaseId,
        collection: &str,
        id: impl IntoDocumentId,
        document: Document,
        expectation: Expectation,
    ) -> Result<TxId, Error> {
        let id = id.into_document_id()?;
        let operation = |action| Ok(Operation { collection: CollectionName::parse(collection)?, action });
        let operations = [Action::Expect(id.clone(), expectation), Action::Put(id, document)];
        let operations = operations.into_iter().map(operation).collect::<Result<_, Error>>()?;
        match self.execute(database, Atomicity::AllOrNothing, operations)?.swap_remove(1)? {
            OperationAnswer::Written(tx) => Ok(tx),
            other => Err(unexpected_operation(&other)),
        }
    }

    /// Stores a document that must not be there yet.
    ///
    /// # Errors
    /// [`ErrorCode::DocExists`]; else as [`Client::put`].
    pub fn create(
        &mut self,
        database: DatabaseId,
        collection: &str,
        id: impl IntoDocumentId,
        document: Document,
    ) -> Result<TxId, Error> {
        self.written(database, collection, Action::Create(id.into_document_id()?, document))
    }

    /// Replaces a document that must be there.
    ///
    /// # Errors
    /// [`ErrorCode::DocNotFound`]; else as [`Client::put`].
    pub fn update(
        &mut self,
        database: DatabaseId,
        collection: &str,
        id: impl IntoDocumentId,
        document: Document,
    ) -> Result<TxId, Error> {
        self.written(database, collection, Action::Update(id.into_document_id()?, document))
    }

    /// Removes a document that must be there.
    ///
    /// # Errors
    /// As [`Client::update`].
    pub fn delete(&mut self, database: DatabaseId, collection: &str, id: impl IntoDocumentId) -> Result<TxId, Error> {
        self.written(database, collection, Action::Delete(id.into_document_id()?))
    }

    /// Stores a document under the collection's next number, and answers that.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn insert(&mut self, database: DatabaseId, collection: &str, document: Document) -> Result<(u64, TxId), Error> {
        match self.one(database, collection, Action::Insert(document))? {
            OperationAnswer::Inserted(number, tx) => Ok((number, tx)),
            other => Err(unexpected_operation(&other)),
        }
    }

    /// Changes a document by a patch; what the patch does not touch keeps its bytes.
    ///
    /// # Errors
    /// Of [`Patch::parse`] and [`Patch::apply`]; [`ErrorCode::Conflict`] when others came first again and again; else as
    /// [`Client::update`].
    pub fn patch(
        &mut self,
        database: DatabaseId,
        collection: &str,
        id: impl IntoDocumentId,
        patch: &[u8],
    ) -> Result<TxId, Error> {
        Patch::parse(patch)?;
        let collection = CollectionName::parse(collection)?;
        match self.call(&Call::Patch { database, collection, id: id.into_document_id()?, patch: patch.to_vec() })? {
            Answer::Patched(tx) => Ok(tx),
            other => Err(unexpected(&other)),
        }
    }

    /// A page of a collection. The next one is asked with [`Page::cursor`], while that is not empty.
    ///
    /// # Errors
    /// As [`Client::collections`]; [`ErrorCode::InvalidRequest`] for a cursor of another scan.
    pub fn scan(&mut self, scan: ScanCall) -> Result<Page, Error> {
        match self.call(&Call::Scan(scan))? {
            Answer::Page(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }

    fn written(&mut self, database: DatabaseId, collection: &str, action: Action) -> Result<TxId, Error> {
        match self.one(database, collection, action)? {
            OperationAnswer::Written(tx) => Ok(tx),
            other => Err(unexpected_operation(&other)),
        }
    }

    fn one(&mut self, database: DatabaseId, collection: &str, action: Action) -> Result<OperationAnswer, Error> {
        let operation = Operation { collection: CollectionName::parse(collection)?, action };
        self.execute(database, Atomicity::EachAlone, vec![operation])?.swap_remove(0)
    }
}

fn unexpected_operation(answer: &OperationAnswer) -> Error {
    Error::new(ErrorCode::InvalidFrame).detail(format!("an unexpected result: {answer:?}"))
}
