//! One collection, as an application holds it: documents in and out, as values of its own types or as bytes.
//!
//! A name is checked once, when the handle is made. Bytes are stored as they are given; a value is written as `serde_json`
//! writes it. Whatever reads sees one published state, on the caller's own thread.

use std::ops::{Bound, RangeBounds};

use docdb_engine::Lookup;
use docdb_protocol::{
    Action, Atomicity, CollectionName, Document, DocumentId, Error, ErrorCode, Expectation, IntoDocumentId, Operation,
    OperationReply, TxId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::database::{Database, unexpected_operation};
use crate::scan::Scan;

/// A handle on one collection. Clones share it. The collection itself appears with its first document.
///
/// Ids are numbers or texts: whatever turns into a [`DocumentId`] names a document, `7` and `"isbn-3-522"` alike. A text
/// that breaks the rule for texts is refused with [`ErrorCode::InvalidDocumentId`].
#[derive(Clone, Debug)]
pub struct Collection {
    database: Database,
    name: CollectionName,
}

impl Collection {
    pub(crate) fn new(database: Database, name: CollectionName) -> Collection {
        Collection { database, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The database that it is in.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The document's bytes, or `None`. Sees every write that was acknowledged before, and only durable ones.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create_bytes("momo", br#"{"year": 1973}"#)?;
    /// assert_eq!(books.get("momo")?.expect("it was created").bytes(), br#"{"year": 1973}"#);
    /// assert!(books.get("krabat")?.is_none());
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDocumentId`]; [`ErrorCode::CorruptRecord`] when what was stored is not known.
    pub fn get(&self, id: impl IntoDocumentId) -> Result<Option<Document>, Error> {
        Ok(self.get_with_version(id)?.map(|(document, _)| document))
    }

    /// The document's bytes and the transaction that wrote them, which a later write may expect.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// let written = books.put("momo", &1973)?;
    /// let (document, version) = books.get_with_version("momo")?.expect("it was put");
    /// assert_eq!((document.bytes(), version), (&b"1973"[..], written));
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub fn get_with_version(&self, id: impl IntoDocumentId) -> Result<Option<(Document, TxId)>, Error> {
        match self.database.view()?.lookup(self.name(), &id.into_document_id()?) {
            Lookup::Found(document, version) => Ok(Some((document.clone(), version))),
            Lookup::Absent => Ok(None),
            Lookup::Damaged(error) => Err(error),
        }
    }

    /// The document as a value, or `None`.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let years = library.collection("years")?;
    /// years.create("momo", &1973)?;
    /// assert_eq!(years.get_as::<u32>("momo")?, Some(1973));
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::get`]; [`ErrorCode::DocumentMismatch`] when the document is not what `T` takes.
    pub fn get_as<T: DeserializeOwned>(&self, id: impl IntoDocumentId) -> Result<Option<T>, Error> {
        let id = id.into_document_id()?;
        let Some(document) = self.get(&id)? else { return Ok(None) };
        serde_json::from_slice(document.bytes()).map(Some).map_err(|error| {
            Error::new(ErrorCode::DocumentMismatch).collection(self.name()).document(id).detail(error.to_string())
        })
    }

    /// Stores a value under the collection's next number, and answers that number: one above the highest below 2^53
    /// that was ever used there, from 1. It is never given again.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// let first = books.insert(&serde_json::json!({"title": "Momo"}))?;
    /// let second = books.insert(&serde_json::json!({"title": "Krabat"}))?;
    /// assert_eq!((first, second), (1, 2));
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::LimitExceeded`] when all numbers below 2^53 are used; else as [`Collection::create`].
    pub fn insert<T: Serialize + ?Sized>(&self, value: &T) -> Result<u64, Error> {
        self.insert_document(document_of(value)?)
    }

    /// As [`Collection::insert`], with the document's bytes, which are stored as they are.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let number = library.collection("books")?.insert_bytes(br#"{"title": "Momo"}"#)?;
    /// assert_eq!(number, 1);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::insert`]; [`ErrorCode::InvalidJson`].
    pub fn insert_bytes(&self, document: &[u8]) -> Result<u64, Error> {
        self.insert_document(Document::parse(document)?)
    }

    /// Stores a value that must not be there yet. The collection appears with its first document.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create(1, &serde_json::json!({"title": "Momo"}))?;
    /// assert_eq!(books.create(1, &0).unwrap_err().code(), docdb::ErrorCode::DocExists);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::DocExists`]; [`ErrorCode::InvalidDocumentId`]; [`ErrorCode::InvalidJson`] for a value that cannot be JSON;
    /// [`ErrorCode::PayloadTooLarge`]; and whatever keeps it from becoming durable.
    pub fn create<T: Serialize + ?Sized>(&self, id: impl IntoDocumentId, value: &T) -> Result<TxId, Error> {
        self.write(id, document_of(value), Action::Create)
    }

    /// As [`Collection::create`], with the document's bytes, which are stored as they are.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// library.collection("books")?.create_bytes("isbn-3-522", br#"{"title": "Momo"}"#)?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::create`].
    pub fn create_bytes(&self, id: impl IntoDocumentId, document: &[u8]) -> Result<TxId, Error> {
        self.write(id, Document::parse(document), Action::Create)
    }

    /// Stores a value, whether it replaces one or not.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.put("momo", &1973)?;
    /// books.put("momo", &1974)?;
    /// assert_eq!(books.get_as("momo")?, Some(1974));
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::create`], without [`ErrorCode::DocExists`].
    pub fn put<T: Serialize + ?Sized>(&self, id: impl IntoDocumentId, value: &T) -> Result<TxId, Error> {
        self.write(id, document_of(value), Action::Put)
    }

    /// As [`Collection::put`], with the document's bytes, which are stored as they are.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// library.collection("books")?.put_bytes("momo", b"1973")?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::put`].
    pub fn put_bytes(&self, id: impl IntoDocumentId, document: &[u8]) -> Result<TxId, Error> {
        self.write(id, Document::parse(document), Action::Put)
    }

    /// Stores a value, if the document is as expected: not there, or the version of this transaction.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// use docdb::Expectation;
    /// let years = library.collection("years")?;
    /// let first = years.put_if("momo", &1972, Expectation::Absent)?;
    /// let second = years.put_if("momo", &1973, Expectation::Version(first))?;
    /// let overtaken = years.put_if("momo", &1974, Expectation::Version(first)).unwrap_err();
    /// assert_eq!(overtaken.code(), docdb::ErrorCode::Conflict);
    /// years.delete_if("momo", Expectation::Version(second))?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] when it is not, which says what was found; else as [`Collection::put`].
    pub fn put_if<T: Serialize + ?Sized>(
        &self,
        id: impl IntoDocumentId,
        value: &T,
        expectation: Expectation,
    ) -> Result<TxId, Error> {
        self.write_if(id.into_document_id()?, document_of(value), expectation)
    }

    /// As [`Collection::put_if`], with the document's bytes, which are stored as they are.
    ///
    /// # Errors
    /// As [`Collection::put_if`].
    pub fn put_bytes_if(
        &self,
        id: impl IntoDocumentId,
        document: &[u8],
        expectation: Expectation,
    ) -> Result<TxId, Error> {
        self.write_if(id.into_document_id()?, Document::parse(document), expectation)
    }

    /// Removes a document, if it is as expected. See [`Collection::put_if`].
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] when it is not; else as [`Collection::delete`].
    pub fn delete_if(&self, id: impl IntoDocumentId, expectation: Expectation) -> Result<TxId, Error> {
        let id = id.into_document_id()?;
        self.written_if(Action::Expect(id.clone(), expectation), Action::Delete(id))
    }

    /// Replaces a document that must be there.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// assert_eq!(books.update("momo", &1973).unwrap_err().code(), docdb::ErrorCode::DocNotFound);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::DocNotFound`]; else as [`Collection::create`].
    pub fn update<T: Serialize + ?Sized>(&self, id: impl IntoDocumentId, value: &T) -> Result<TxId, Error> {
        self.write(id, document_of(value), Action::Update)
    }

    /// As [`Collection::update`], with the document's bytes, which are stored as they are.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create("momo", &1973)?;
    /// books.update_bytes("momo", b"1974")?;
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::update`].
    pub fn update_bytes(&self, id: impl IntoDocumentId, document: &[u8]) -> Result<TxId, Error> {
        self.write(id, Document::parse(document), Action::Update)
    }

    /// Removes a document that must be there.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create(1, &1973)?;
    /// books.delete(1)?;
    /// assert!(books.get(1)?.is_none());
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::DocNotFound`]; else as [`Collection::create`].
    pub fn delete(&self, id: impl IntoDocumentId) -> Result<TxId, Error> {
        self.written(Action::Delete(id.into_document_id()?))
    }

    /// All documents in the order of their ids, numbers before texts, all of one moment: later writes do not show. The scan
    /// keeps that state in memory until it is dropped.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create("momo", &1973)?;
    /// books.create(1, &1971)?;
    /// let ids: Vec<String> = books.scan()?.map(|entry| Ok(entry?.0.to_string())).collect::<Result<_, docdb::Error>>()?;
    /// assert_eq!(ids, ["1", "\"momo\""]);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the database from being opened again, when it was closed; a damaged document is an error of its own
    /// within the scan.
    pub fn scan(&self) -> Result<Scan, Error> {
        self.scan_within(Bound::Unbounded, Bound::Unbounded)
    }

    /// As [`Collection::scan`], from an id on, itself included.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// (1..=5).try_for_each(|number| books.create(number, &number).map(drop))?;
    /// assert_eq!(books.scan_from(4)?.count(), 2);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::scan`]; [`ErrorCode::InvalidDocumentId`].
    pub fn scan_from(&self, id: impl IntoDocumentId) -> Result<Scan, Error> {
        self.scan_within(Bound::Included(id.into_document_id()?), Bound::Unbounded)
    }

    /// As [`Collection::scan`], between two bounds. The scan goes in either direction, or in both.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// (1..=9).try_for_each(|number| books.create(number, &number).map(drop))?;
    /// let newest: Vec<_> = books.range(..=7)?.ids().rev().take(2).collect::<Result<_, _>>()?;
    /// assert_eq!(newest, [7_u64.into(), 6_u64.into()]);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Collection::scan_from`].
    pub fn range<I: IntoDocumentId + Clone>(&self, bounds: impl RangeBounds<I>) -> Result<Scan, Error> {
        let bound = |bound: Bound<&I>| match bound {
            Bound::Unbounded => Ok(Bound::Unbounded),
            Bound::Included(id) => id.clone().into_document_id().map(Bound::Included),
            Bound::Excluded(id) => id.clone().into_document_id().map(Bound::Excluded),
        };
        self.scan_within(bound(bounds.start_bound())?, bound(bounds.end_bound())?)
    }

    /// How many documents it has, without reading them. Damaged ones are not counted, nor those that are withheld for want of
    /// space. Where a part of the log is lost that names no documents, it is how many are held: a scan shows fewer, and ends with
    /// an error.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.insert("Momo")?;
    /// assert_eq!(books.count()?, 1);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the database from being opened again, when it was closed.
    pub fn count(&self) -> Result<u64, Error> {
        Ok(self.database.view()?.count(self.name()))
    }

    fn scan_within(&self, from: Bound<DocumentId>, to: Bound<DocumentId>) -> Result<Scan, Error> {
        Ok(Scan::new(self.database.view()?, self.name.clone(), from, to))
    }

    fn insert_document(&self, document: Document) -> Result<u64, Error> {
        match self.execute(Action::Insert(document))? {
            OperationReply::Inserted(number, _) => Ok(number),
            other => Err(unexpected_operation(&other)),
        }
    }

    fn write(
        &self,
        id: impl IntoDocumentId,
        document: Result<Document, Error>,
        action: fn(DocumentId, Document) -> Action,
    ) -> Result<TxId, Error> {
        let id = id.into_document_id()?;
        let document = document.map_err(|error| error.document(&id))?;
        self.written(action(id, document))
    }

    fn write_if(
        &self,
        id: DocumentId,
        document: Result<Document, Error>,
        expectation: Expectation,
    ) -> Result<TxId, Error> {
        let document = document.map_err(|error| error.document(&id))?;
        self.written_if(Action::Expect(id.clone(), expectation), Action::Put(id, document))
    }

    fn written_if(&self, expect: Action, write: Action) -> Result<TxId, Error> {
        let operations = [expect, write].map(|action| Operation { collection: self.name.clone(), action });
        let reply = self.database.execute(operations.into(), Atomicity::AllOrNothing)?.swap_remove(1)?;
        reply.written().ok_or_else(|| unexpected_operation(&reply))
    }

    fn written(&self, action: Action) -> Result<TxId, Error> {
        let reply = self.execute(action)?;
        reply.written().ok_or_else(|| unexpected_operation(&reply))
    }

    fn execute(&self, action: Action) -> Result<OperationReply, Error> {
        let operation = Operation { collection: self.name.clone(), action };
        self.database.execute(vec![operation], Atomicity::AllOrNothing)?.swap_remove(0)
    }
}

/// The document that a value becomes.
///
/// # Errors
/// [`ErrorCode::InvalidJson`] for a value that cannot be JSON, [`ErrorCode::PayloadTooLarge`].
pub(crate) fn document_of<T: Serialize + ?Sized>(value: &T) -> Result<Document, Error> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| Error::new(ErrorCode::InvalidJson).detail(error.to_string()))?;
    Document::parse(&bytes)
}
