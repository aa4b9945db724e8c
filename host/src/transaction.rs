//! Writes that stand or fall together, while they are being gathered.
//!
//! What cannot be written as it is (a name, an id, a document that breaks a rule) is refused when it is added, and the transaction
//! stays as it was. What depends on the data is decided when it is committed.

use docdb_protocol::{
    Action, Atomicity, CollectionName, Document, DocumentId, Error, Expectation, IntoDocumentId, Operation,
    OperationReply, TxId,
};
use serde::Serialize;

use crate::collection::document_of;
use crate::database::{Database, unexpected_operation};

/// Writes being gathered; dropping it writes nothing.
#[derive(Debug)]
#[must_use = "a transaction writes nothing until it is committed"]
pub struct Transaction<'database> {
    database: &'database Database,
    operations: Vec<Operation>,
}

/// What a transaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The transaction; without writes, the newest one that readers see.
    pub transaction: TxId,
    /// The numbers that its insertions were given, in their order.
    pub inserted: Vec<u64>,
}

impl<'database> Transaction<'database> {
    pub(crate) fn new(database: &'database Database) -> Transaction<'database> {
        Transaction { database, operations: Vec::new() }
    }

    /// Adds a value that must not be there yet.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// library.collection("books")?.put("momo", &0)?;
    /// let mut transaction = library.transaction();
    /// transaction.create("books", "krabat", &1973)?;
    /// transaction.commit()?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::InvalidCollectionName`], [`docdb_protocol::ErrorCode::InvalidDocumentId`],
    /// [`docdb_protocol::ErrorCode::InvalidJson`], [`docdb_protocol::ErrorCode::PayloadTooLarge`]: the transaction is then as it was.
    pub fn create<T: Serialize + ?Sized>(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        value: &T,
    ) -> Result<&mut Self, Error> {
        self.write(collection, id, document_of(value), Action::Create)
    }

    /// As [`Transaction::create`], with the document's bytes, which are stored as they are.
    ///
    /// # Errors
    /// As [`Transaction::create`].
    pub fn create_bytes(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        document: &[u8],
    ) -> Result<&mut Self, Error> {
        self.write(collection, id, Document::parse(document), Action::Create)
    }

    /// Adds a value, whether it replaces one or not.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// library.collection("books")?.put("momo", &0)?;
    /// let mut transaction = library.transaction();
    /// transaction.put("books", "momo", &1973)?;
    /// transaction.commit()?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::InvalidCollectionName`], [`docdb_protocol::ErrorCode::InvalidDocumentId`],
    /// [`docdb_protocol::ErrorCode::InvalidJson`], [`docdb_protocol::ErrorCode::PayloadTooLarge`]: the transaction is then as it was.
    pub fn put<T: Serialize + ?Sized>(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        value: &T,
    ) -> Result<&mut Self, Error> {
        self.write(collection, id, document_of(value), Action::Put)
    }

    /// As [`Transaction::put`], with the document's bytes, which are stored as they are.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn put_bytes(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        document: &[u8],
    ) -> Result<&mut Self, Error> {
        self.write(collection, id, Document::parse(document), Action::Put)
    }

    /// Adds a value in place of a document that must be there.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// library.collection("books")?.put("momo", &0)?;
    /// let mut transaction = library.transaction();
    /// transaction.update("books", "momo", &1973)?;
    /// transaction.commit()?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::InvalidCollectionName`], [`docdb_protocol::ErrorCode::InvalidDocumentId`],
    /// [`docdb_protocol::ErrorCode::InvalidJson`], [`docdb_protocol::ErrorCode::PayloadTooLarge`]: the transaction is then as it was.
    pub fn update<T: Serialize + ?Sized>(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        value: &T,
    ) -> Result<&mut Self, Error> {
        self.write(collection, id, document_of(value), Action::Update)
    }

    /// As [`Transaction::update`], with the document's bytes, which are stored as they are.
    ///
    /// # Errors
    /// As [`Transaction::update`].
    pub fn update_bytes(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        document: &[u8],
    ) -> Result<&mut Self, Error> {
        self.write(collection, id, Document::parse(document), Action::Update)
    }

    /// Adds a value under the collection's next number, which [`Committed::inserted`] says.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let mut transaction = library.transaction();
    /// transaction.insert("books", &"Momo")?.insert("books", &"Krabat")?;
    /// assert_eq!(transaction.commit()?.inserted, [1, 2]);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::create`].
    pub fn insert<T: Serialize + ?Sized>(&mut self, collection: &str, value: &T) -> Result<&mut Self, Error> {
        self.add(collection, Action::Insert(document_of(value)?))
    }

    /// As [`Transaction::insert`], with the document's bytes, which are stored as they are.
    ///
    /// # Errors
    /// As [`Transaction::create`].
    pub fn insert_bytes(&mut self, collection: &str, document: &[u8]) -> Result<&mut Self, Error> {
        self.add(collection, Action::Insert(Document::parse(document)?))
    }

    /// Removes a document that must be there.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// library.collection("books")?.put("momo", &0)?;
    /// let mut transaction = library.transaction();
    /// transaction.delete("books", "momo")?.put("films", "momo", &1986)?;
    /// transaction.commit()?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`docdb_protocol::ErrorCode::InvalidCollectionName`], [`docdb_protocol::ErrorCode::InvalidDocumentId`].
    pub fn delete(&mut self, collection: &str, id: impl IntoDocumentId) -> Result<&mut Self, Error> {
        self.add(collection, Action::Delete(id.into_document_id()?))
    }

    /// Adds a precondition: all is refused unless the document is as expected in the state that the writes are decided
    /// against.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// use docdb::Expectation;
    /// let shelves = library.collection("shelves")?;
    /// let seen = shelves.put("a", &3)?;
    /// let mut transaction = library.transaction();
    /// transaction.expect("shelves", "a", Expectation::Version(seen))?;
    /// transaction.put("books", "momo", &1973)?.put("shelves", "a", &4)?;
    /// transaction.commit()?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::delete`]. [`Transaction::commit`] answers [`docdb_protocol::ErrorCode::Conflict`] when it does not hold.
    pub fn expect(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        expectation: Expectation,
    ) -> Result<&mut Self, Error> {
        self.add(collection, Action::Expect(id.into_document_id()?, expectation))
    }

    /// Makes all of it durable, then visible, then returns. A transaction without writes commits nothing.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let mut transaction = library.transaction();
    /// transaction.create("books", 1, &"Momo")?;
    /// assert!(transaction.create("books", "", &"no id").is_err(), "and is left out");
    /// transaction.create("books", 2, &"Krabat")?;
    /// transaction.commit()?;
    /// assert_eq!(library.collection("books")?.scan()?.count(), 2);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// Of the first write that cannot be, which [`docdb_protocol::Context::operation`] counts from 0: nothing is written then.
    /// [`docdb_protocol::ErrorCode::OutcomeUnknown`] when the device failed so that all of it may or may not be there after the
    /// next opening.
    pub fn commit(self) -> Result<Committed, Error> {
        let Transaction { database, operations } = self;
        if operations.is_empty() {
            return Ok(Committed { transaction: database.view()?.last_tx(), inserted: Vec::new() });
        }
        let (mut written, mut inserted) = (None, Vec::new());
        for result in database.execute(operations, Atomicity::AllOrNothing)? {
            match result? {
                OperationReply::Written(transaction) => written = Some(transaction),
                OperationReply::Inserted(number, transaction) => {
                    written = Some(transaction);
                    inserted.push(number);
                }
                OperationReply::AsExpected => {}
                other @ OperationReply::Document(_) => return Err(unexpected_operation(&other)),
            }
        }
        let transaction = match written {
            Some(transaction) => transaction,
            // Preconditions alone: they held in a state that readers saw, or see by now.
            None => database.view()?.last_tx(),
        };
        Ok(Committed { transaction, inserted })
    }

    fn write(
        &mut self,
        collection: &str,
        id: impl IntoDocumentId,
        document: Result<Document, Error>,
        action: fn(DocumentId, Document) -> Action,
    ) -> Result<&mut Self, Error> {
        let id = id.into_document_id()?;
        let document = document.map_err(|error| error.document(&id))?;
        self.add(collection, action(id, document))
    }

    fn add(&mut self, collection: &str, action: Action) -> Result<&mut Self, Error> {
        let collection = CollectionName::parse(collection)?;
        self.operations.push(Operation { collection, action });
        Ok(self)
    }
}
