//! Requests and replies, as the engine takes and gives them. Wire bytes become these at the edge.

use std::fmt;

use crate::document::Document;
use crate::document_id::DocumentId;
use crate::error::Error;
use crate::ids::{DatabaseId, TxId};
use crate::names::{CollectionName, DatabaseName};

/// What a client may ask of the engine. A closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Finds a database by name and opens it. Answers [`Reply::Database`].
    OpenDatabase {
        /// The name to find.
        name: DatabaseName,
        /// What to do when there is none.
        if_missing: IfMissing,
    },
    /// Closes a database; its id stays valid and the next use opens it again. Answers [`Reply::Closed`].
    CloseDatabase {
        /// The database.
        database: DatabaseId,
    },
    /// Runs operations in their order. Answers [`Reply::Executed`].
    Execute {
        /// The database.
        database: DatabaseId,
        /// At most [`crate::limits::OPERATIONS_PER_REQUEST_MAX`].
        operations: Vec<Operation>,
        /// Whether the operations stand or fall together.
        atomicity: Atomicity,
    },
    /// Counts of the whole data directory. Answers [`Reply::Stats`].
    Stats,
    /// One entry a database, by name. Answers [`Reply::Databases`].
    ListDatabases,
}

/// What [`Request::OpenDatabase`] does about an unknown name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    /// Create the database.
    Create,
    /// Answer `DbNotFound`.
    Fail,
}

/// How the operations of one request hang together. Either way they are made durable together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// Each operation is a transaction of its own and has its own result.
    EachAlone,
    /// All are one transaction. The first that fails fails the request, and nothing is written.
    AllOrNothing,
}

/// One operation on one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Where the document lives. A collection appears with its first successful write.
    pub collection: CollectionName,
    /// What to do, and with which document.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stores a document that must not be there yet.
    Create(DocumentId, Document),
    /// Stores a document, whether it replaces one or not.
    Put(DocumentId, Document),
    /// Stores a document under the collection's next number: one above the highest up to
    /// [`DocumentId::NEXT_NUMBER_MAX`] that was ever used there, from 1. Answers [`OperationReply::Inserted`].
    Insert(Document),
    /// Answers the document.
    Read(DocumentId),
    /// Replaces a document that must be there.
    Update(DocumentId, Document),
    /// Removes a document that must be there.
    Delete(DocumentId),
    /// Changes nothing, and is refused with `Conflict` unless the document is as expected: a precondition of the transaction
    /// that it is in. Answers [`OperationReply::AsExpected`].
    Expect(DocumentId, Expectation),
}

/// What a client expects of a document before it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// There is none.
    Absent,
    /// It is there, and this transaction wrote it.
    Version(TxId),
}

impl Expectation {
    /// Whether a document is as expected that was written by this transaction, or one that is not there.
    #[must_use]
    pub fn holds(self, version: Option<TxId>) -> bool {
        match self {
            Expectation::Absent => version.is_none(),
            Expectation::Version(expected) => version == Some(expected),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Absent => formatter.write_str("no document"),
            Expectation::Version(tx) => write!(formatter, "the version of transaction {}", tx.0),
        }
    }
}

impl Action {
    /// The document to store, if any.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        match self {
            Action::Create(_, document)
            | Action::Put(_, document)
            | Action::Insert(document)
            | Action::Update(_, document) => Some(document),
            Action::Read(_) | Action::Delete(_) | Action::Expect(..) => None,
        }
    }

    /// Which document it is about; `None` where the engine chooses the id.
    #[must_use]
    pub fn document_id(&self) -> Option<&DocumentId> {
        match self {
            Action::Create(id, _)
            | Action::Put(id, _)
            | Action::Read(id)
            | Action::Update(id, _)
            | Action::Delete(id)
            | Action::Expect(id, _) => Some(id),
            Action::Insert(_) => None,
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            Action::Read(_) | Action::Expect(..) => true,
            Action::Create(..) | Action::Put(..) | Action::Insert(_) | Action::Update(..) | Action::Delete(_) => false,
        }
    }
}

/// What the engine answers.
pub type Response = Result<Reply, Error>;

/// What became of one operation.
pub type OperationResult = Result<OperationReply, Error>;

/// The answer to a request that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The database is open under this id.
    Database(DatabaseId),
    /// The database is closed and its log's end is recorded.
    Closed,
    /// One result an operation, in their order. What was written is durable.
    Executed(Vec<OperationResult>),
    /// The counts.
    Stats(Stats),
    /// The databases, by name.
    Databases(Vec<DatabaseInfo>),
}

/// The answer to an operation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationReply {
    /// Written, and durable, by this transaction.
    Written(TxId),
    /// Written, and durable, by this transaction, under the collection's next number.
    Inserted(u64, TxId),
    /// The document read.
    Document(Document),
    /// The document is as expected.
    AsExpected,
}

impl OperationReply {
    /// The transaction that wrote; `None` of a read.
    #[must_use]
    pub fn written(&self) -> Option<TxId> {
        match self {
            OperationReply::Written(tx) | OperationReply::Inserted(_, tx) => Some(*tx),
            OperationReply::Document(_) | OperationReply::AsExpected => None,
        }
    }
}

/// Counts of the whole data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Databases in the catalog.
    pub databases: u64,
    /// Of these, how many are open.
    pub databases_open: u64,
    /// Transactions committed in the open databases since they were created.
    pub transactions: u64,
    /// Bytes of log in the open databases: what an opening has to replay.
    pub log_bytes: u64,
    /// Bytes of documents and their index in memory.
    pub memory_bytes: u64,
}

/// One database of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Its name.
    pub name: DatabaseName,
    /// Its id.
    pub id: DatabaseId,
    /// When it was created, in nanoseconds since 1970-01-01 UTC.
    pub created_at_unix_ns: u64,
    /// Whether it is open. The counts below are current when it is, else those of its last closing. One that went without
    /// a closing since it was opened last, as when power fails, is not counted before it is opened again.
    pub open: bool,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Bytes of log that an opening has to replay; `None` when that is not known before it is opened.
    pub log_bytes: Option<u64>,
    /// Bytes of documents and their index in memory; zero when closed.
    pub memory_bytes: u64,
    /// Documents that can be read; `None` when that is not known before it is opened.
    pub documents: Option<u64>,
}
