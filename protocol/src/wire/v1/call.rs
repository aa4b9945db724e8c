//! What a client asks, one frame a call.
//!
//! [`Call`] is written by a client and read by a server. The server reads its operations one by one: of an execute whose
//! operations stand alone, those that break a rule are refused and the others run.

use super::fields::{bytes8, collection_name, database, database_name, id, put_bytes32, put_count, put_id, put_text8};
use super::{CONNECTION_ID, FRAME_BODY_BYTES_MAX, HEADER_BYTES, Hello, ScanCall, framed, operation, too_large};
use crate::document_id::DocumentId;
use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::limits::OPERATIONS_PER_REQUEST_MAX;
use crate::names::{CollectionName, DatabaseName};
use crate::request::{Atomicity, IfMissing, Operation};
use crate::wire::read::Cursor;

pub(super) const HELLO: u8 = 1;
pub(super) const OPEN_DATABASE: u8 = 2;
pub(super) const CLOSE_DATABASE: u8 = 3;
pub(super) const DATABASES: u8 = 4;
pub(super) const COLLECTIONS: u8 = 5;
pub(super) const COUNT: u8 = 6;
pub(super) const EXECUTE: u8 = 7;
pub(super) const SCAN: u8 = 8;
pub(super) const STATISTICS: u8 = 9;
pub(super) const PATCH: u8 = 10;

const FAIL: u8 = 0;
const CREATE: u8 = 1;

const EACH_ALONE: u8 = 0;
const ALL_OR_NOTHING: u8 = 1;

/// A call: with operations to send, or with operations as they were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call<O = Operation> {
    /// The first of a connection, and only that. Answers [`super::Answer::Welcome`].
    Hello(Hello),
    /// Finds a database by name and opens it. Answers [`super::Answer::Database`].
    OpenDatabase {
        /// The name to find.
        name: DatabaseName,
        /// What to do when there is none.
        if_missing: IfMissing,
    },
    /// Closes a database. Its id stays valid, and the next use opens it again. Answers [`super::Answer::Closed`].
    CloseDatabase(DatabaseId),
    /// One entry a database, by name. Answers [`super::Answer::Databases`].
    Databases,
    /// The collections of a database with their counts, by name. Answers [`super::Answer::Collections`].
    Collections(DatabaseId),
    /// How many documents a collection has. Answers [`super::Answer::Count`].
    Count {
        /// The database.
        database: DatabaseId,
        /// The collection. An unknown one has no documents.
        collection: CollectionName,
    },
    /// Runs operations in their order. Answers [`super::Answer::Executed`].
    Execute {
        /// The database.
        database: DatabaseId,
        /// Whether the operations stand or fall together.
        atomicity: Atomicity,
        /// At least one, at most [`OPERATIONS_PER_REQUEST_MAX`].
        operations: Vec<O>,
    },
    /// Part of a collection. Answers [`super::Answer::Page`].
    Scan(ScanCall),
    /// Counts of the whole data directory. Answers [`super::Answer::Statistics`].
    Statistics,
    /// Changes a document by a patch: RFC 7396, RFC 6902, or the ancestor's. Answers [`super::Answer::Patched`].
    Patch {
        /// The database.
        database: DatabaseId,
        /// The collection.
        collection: CollectionName,
        /// The document, which must be there.
        id: DocumentId,
        /// The patch, as JSON.
        patch: Vec<u8>,
    },
}

/// A call as a server receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Whom to answer; not [`CONNECTION_ID`].
    pub request_id: u64,
    /// What is asked. An operation that breaks a rule is its error.
    pub call: Call<Result<Operation, Error>>,
}

/// A body that is no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whom to answer. `None` when that cannot be known: then the connection cannot go on.
    pub request_id: Option<u64>,
    /// What is wrong with it.
    pub error: Error,
}

impl Received {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// [`Refused`], with [`ErrorCode::InvalidRequestId`] when there is none to answer; [`ErrorCode::InvalidFrame`] when its fields
    /// are not those of its kind; [`ErrorCode::InvalidRequest`] for an unknown kind, [`ErrorCode::UnknownOperation`] for an unknown
    /// operation; and whichever rule a name, an id or a number breaks.
    pub fn decode(body: &[u8]) -> Result<Received, Refused> {
        let mut cursor = Cursor::new(body);
        let header = cursor.u64().and_then(|request_id| Ok((request_id, cursor.u8()?)));
        let (request_id, kind) = match header {
            Ok((CONNECTION_ID, _)) | Err(_) => {
                let detail = format!("a request has {HEADER_BYTES} bytes at least, and an id that is not 0");
                let error = Error::new(ErrorCode::InvalidRequestId).detail(detail);
                return Err(Refused { request_id: None, error });
            }
            Ok(header) => header,
        };
        let call = take(&mut cursor, kind).and_then(|call| cursor.end().map(|()| call));
        match call {
            Ok(call) => Ok(Received { request_id, call }),
            Err(error) => Err(Refused { request_id: Some(request_id), error }),
        }
    }
}

fn take(cursor: &mut Cursor<'_>, kind: u8) -> Result<Call<Result<Operation, Error>>, Error> {
    Ok(match kind {
        HELLO => Call::Hello(Hello::take(cursor)?),
        OPEN_DATABASE => {
            let if_missing = match cursor.u8()? {
                FAIL => IfMissing::Fail,
                CREATE => IfMissing::Create,
                _ => return Err(cursor.invalid("what to do about a missing database is neither 0 nor 1")),
            };
            Call::OpenDatabase { name: database_name(bytes8(cursor)?)?, if_missing }
        }
        CLOSE_DATABASE => Call::CloseDatabase(database(cursor)?),
        DATABASES => Call::Databases,
        COLLECTIONS => Call::Collections(database(cursor)?),
        COUNT => Call::Count { database: database(cursor)?, collection: collection_name(bytes8(cursor)?)? },
        EXECUTE => execute(cursor)?,
        SCAN => Call::Scan(ScanCall::take(cursor)?),
        STATISTICS => Call::Statistics,
        PATCH => Call::Patch {
            database: database(cursor)?,
            collection: collection_name(bytes8(cursor)?)?,
            id: id(cursor)?.value()?,
            patch: cursor.bytes_u32()?.to_vec(),
        },
        unknown => {
            let detail = format!("kind {unknown} is none that this server knows");
            return Err(Error::new(ErrorCode::InvalidRequest).detail(detail));
        }
    })
}

fn execute(cursor: &mut Cursor<'_>) -> Result<Call<Result<Operation, Error>>, Error> {
    let database = database(cursor)?;
    let atomicity = match cursor.u8()? {
        EACH_ALONE => Atomicity::EachAlone,
        ALL_OR_NOTHING => Atomicity::AllOrNothing,
        _ => return Err(cursor.invalid("the atomicity is neither 0 nor 1")),
    };
    let count = cursor.count(operation::OPERATION_BYTES_MIN)?;
    if count == 0 || count > OPERATIONS_PER_REQUEST_MAX {
        let detail = format!("{count} operations: a request has 1 to {OPERATIONS_PER_REQUEST_MAX}");
        return Err(Error::new(ErrorCode::LimitExceeded).detail(detail));
    }
    let mut operations = Vec::with_capacity(count);
    for index in 0..count {
        let taken = operation::take(cursor).map_err(|error| error.operation(index))?;
        operations.push(taken.map_err(|error| error.operation(index)));
    }
    Ok(Call::Execute { database, atomicity, operations })
}

impl<O> Call<O> {
    /// Whether asking it twice comes to the same as asking it once.
    #[must_use]
    pub fn is_harmless_twice(&self, is_read: impl Fn(&O) -> bool) -> bool {
        match self {
            Call::Hello(_)
            | Call::OpenDatabase { .. }
            | Call::CloseDatabase(_)
            | Call::Databases
            | Call::Collections(_)
            | Call::Count { .. }
            | Call::Scan(_)
            | Call::Statistics => true,
            Call::Execute { operations, .. } => operations.iter().all(is_read),
            Call::Patch { .. } => false,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Call::Hello(_) => HELLO,
            Call::OpenDatabase { .. } => OPEN_DATABASE,
            Call::CloseDatabase(_) => CLOSE_DATABASE,
            Call::Databases => DATABASES,
            Call::Collections(_) => COLLECTIONS,
            Call::Count { .. } => COUNT,
            Call::Execute { .. } => EXECUTE,
            Call::Scan(_) => SCAN,
            Call::Statistics => STATISTICS,
            Call::Patch { .. } => PATCH,
        }
    }
}

impl Call {
    /// Appends the frame. The id is any number but [`CONNECTION_ID`].
    ///
    /// # Errors
    /// [`ErrorCode::PayloadTooLarge`] when a frame cannot hold it, [`ErrorCode::LimitExceeded`] for too many operations or
    /// none: nothing is appended then.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Call::Execute { operations, .. } = self
            && !(1..=OPERATIONS_PER_REQUEST_MAX).contains(&operations.len())
        {
            let detail = format!("{} operations: a request has 1 to {OPERATIONS_PER_REQUEST_MAX}", operations.len());
            return Err(Error::new(ErrorCode::LimitExceeded).detail(detail));
        }
        framed(out, request_id, self.kind(), |out| self.put(out))
    }

    /// Refuses operations that no frame holds together, before anything is done for them.
    ///
    /// # Errors
    /// [`ErrorCode::PayloadTooLarge`].
    pub fn fits(operations: &[Operation]) -> Result<(), Error> {
        let fields_bytes: usize = operations.iter().map(operation::bytes_max).sum();
        let body_bytes = HEADER_BYTES + 8 + 1 + 4 + fields_bytes;
        if body_bytes > FRAME_BODY_BYTES_MAX { Err(too_large(body_bytes)) } else { Ok(()) }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Call::Hello(hello) => hello.put(out),
            Call::OpenDatabase { name, if_missing } => {
                out.push(match if_missing {
                    IfMissing::Fail => FAIL,
                    IfMissing::Create => CREATE,
                });
                put_text8(out, name.as_str());
            }
            Call::CloseDatabase(database) | Call::Collections(database) => put_database(out, *database),
            Call::Databases | Call::Statistics => {}
            Call::Count { database, collection } => {
                put_database(out, *database);
                put_text8(out, collection.as_str());
            }
            Call::Execute { database, atomicity, operations } => {
                put_database(out, *database);
                out.push(match atomicity {
                    Atomicity::EachAlone => EACH_ALONE,
                    Atomicity::AllOrNothing => ALL_OR_NOTHING,
                });
                put_count(out, operations.len());
                for operation in operations {
                    operation::put(out, operation);
                }
            }
            Call::Scan(scan) => scan.put(out),
            Call::Patch { database, collection, id, patch } => {
                put_database(out, *database);
                put_text8(out, collection.as_str());
                put_id(out, id);
                put_bytes32(out, patch);
            }
        }
    }
}

fn put_database(out: &mut Vec<u8>, database: DatabaseId) {
    out.extend_from_slice(&database.get().to_le_bytes());
}
