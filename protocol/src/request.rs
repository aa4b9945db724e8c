//! Requests and replies, as the engine takes and gives them. Wire bytes become these at the edge.

use crate::document::Document;
use crate::error::Error;
use crate::ids::{DatabaseId, DocumentId, TxId};
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
    /// Which document.
    pub document_id: DocumentId,
    /// What to do with it.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stores a document that must not be there yet.
    Create(Document),
    /// Answers the document.
    Read,
    /// Replaces a document that must be there.
    Update(Document),
    /// Removes a document that must be there.
    Delete,
}

impl Action {
    /// The document to store, if any.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        match self {
            Action::Create(document) | Action::Update(document) => Some(document),
            Action::Read | Action::Delete => None,
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
    /// The document read.
    Document(Document),
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
