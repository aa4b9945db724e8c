//! Patches of stored documents: read, changed, written if nobody else has written meanwhile, and tried again if somebody has.
//!
//! The number of tries is bounded. What a patch says is decided by the document that it is written over, so nothing of another
//! writer is lost.

use docdb_engine::Lookup;
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, Document, DocumentId, Error, ErrorCode, Expectation, IntoDocumentId,
    Operation, Patch, Reply, Request, TxId,
};

use crate::collection::Collection;
use crate::database::unexpected_operation;
use crate::{DocDb, unexpected};

/// How often a patch is tried that others overtake. Of writers that patch one document at once, each try lets one through.
pub const PATCH_TRIES_MAX: usize = 100;

impl DocDb {
    /// Changes a document by a patch; what the patch does not touch keeps its bytes. See [`Patch`].
    ///
    /// # Errors
    /// As [`Collection::patch`].
    pub fn patch(
        &self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
        patch: &Patch,
    ) -> Result<TxId, Error> {
        let mut overtaken = Error::new(ErrorCode::Conflict);
        for _ in 0..PATCH_TRIES_MAX {
            let (document, version) = match self.view(database)?.lookup(collection.as_str(), id) {
                Lookup::Found(document, version) => (document.clone(), version),
                Lookup::Absent => return Err(Error::new(ErrorCode::DocNotFound).document(id)),
                Lookup::Damaged(error) => return Err(error),
            };
            let patched = patch.apply(&document).map_err(|error| error.document(id))?;
            match self.write_over(database, collection, id, patched, version) {
                Err(error) if error.code() == ErrorCode::Conflict => overtaken = error,
                written => return written,
            }
        }
        Err(overtaken.document(id).detail(format!("others wrote it before each of {PATCH_TRIES_MAX} tries")))
    }

    fn write_over(
        &self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
        document: Document,
        version: TxId,
    ) -> Result<TxId, Error> {
        let expect = Action::Expect(id.clone(), Expectation::Version(version));
        let actions = [expect, Action::Update(id.clone(), document)];
        let operations = actions.map(|action| Operation { collection: collection.clone(), action }).into();
        match self.request(Request::Execute { database, operations, atomicity: Atomicity::AllOrNothing })? {
            Reply::Executed(results) if results.len() == 2 => {
                let replies = results.into_iter().collect::<Result<Vec<_>, _>>()?;
                replies[1].written().ok_or_else(|| unexpected_operation(&replies[1]))
            }
            other => Err(unexpected(&other)),
        }
    }
}

impl Collection {
    /// Changes a document by a patch; what the patch does not touch keeps its bytes. Written only over the version that it was
    /// applied to, and tried again when another write came first.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create_bytes("momo", br#"{"title": "Momo", "pages": 3.040e2}"#)?;
    /// books.patch("momo", br#"{"year": 1973}"#)?;
    /// assert_eq!(books.get("momo")?.unwrap().bytes(), br#"{"title": "Momo", "pages": 3.040e2, "year": 1973}"#);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// Of [`Patch::parse`] and [`Patch::apply`]; [`ErrorCode::DocNotFound`]; [`ErrorCode::Conflict`] when others came first again and
    /// again, or when the document is not what the patch tests for; else as [`Collection::update`].
    pub fn patch(&self, id: impl IntoDocumentId, patch: &[u8]) -> Result<TxId, Error> {
        let (id, patch) = (id.into_document_id()?, Patch::parse(patch)?);
        let database = self.database();
        let name = CollectionName::parse(self.name()).expect("the name of a handle is valid");
        database.docdb().patch(database.id(), &name, &id, &patch)
    }
}
