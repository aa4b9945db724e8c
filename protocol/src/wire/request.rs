//! Requests: what a client asks, as bytes and as types.
//!
//! Decoding is about structure alone: where each field lies. What the fields mean is checked by the
//! functions that turn them into the product's own types, one op at a time, so that one bad op of a
//! frame does not spoil the others.
//!
//! A decoded request borrows from its body. It never copies a payload and never validates one unasked.

use crate::document::Document;
use crate::document_id::DocumentId;
use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::limits::{FRAME_BODY_BYTES_MAX, OPERATIONS_PER_REQUEST_MAX};
use crate::names::{CollectionName, DatabaseName};
use crate::patch::Patch;
use crate::request::{Action, Operation};
use crate::wire::frame;
use crate::wire::read::Cursor;
use crate::wire::response::SLASH_TEXT;

/// Request id, database id, command, op count.
const HEADER_BYTES: usize = 8 + 8 + 1 + 4;

/// The smallest op: type, lengths, document id.
const OP_BYTES_MIN: usize = 1 + 2 + 8 + 4;

/// Why an operation cannot be asked for.
const NO_WORD: &str = "the daemon's protocol has no word for";

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Finds a database by name, or creates it.
    OpenDatabase,
    /// Closes a database.
    CloseDatabase,
    /// Runs ops.
    Execute,
    /// Counts of the whole data directory.
    Stats,
    /// Makes a collection without documents.
    CreateCollection,
    /// Removes a collection without documents.
    DeleteCollection,
    /// Names of the collections of a database.
    ListCollections,
    /// The databases.
    ListDatabases,
    /// Documents of a collection in the order of their ids. The ancestor does not know it.
    Scan,
    /// Any other number; answered with `InvalidRequest`.
    Unknown(u8),
}

/// One request, its ops borrowed from the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRequest<'a> {
    /// Echoed in the response; any number, repeated ones too.
    pub request_id: u64,
    /// Zero where none applies.
    pub database_id: u64,
    /// What to do.
    pub command: Command,
    /// At most [`OPERATIONS_PER_REQUEST_MAX`].
    pub ops: Vec<WireOp<'a>>,
}

/// One op as it stands in the frame; nothing but its structure has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireOp<'a> {
    /// The op's type, and the patch where the type has one.
    pub action: WireAction<'a>,
    /// The collection's name; empty means `_default`.
    pub collection: &'a [u8],
    /// Any number.
    pub document_id: u64,
    /// A document, a name, or nothing.
    pub payload: &'a [u8],
}

/// An op's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireAction<'a> {
    /// Type 1.
    Create,
    /// Type 2.
    Read,
    /// Type 3: the whole document.
    Update,
    /// Type 4.
    Delete,
    /// Type 7, with its patch.
    Patch(&'a [u8]),
    /// Any other type: laid out like the rest, refused with `UnknownOperation` when it is executed.
    Unknown(u8),
}

/// A body that is no request. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    /// Whom to answer; `None` where the body is too short for a request id, and then nobody is.
    pub request_id: Option<u64>,
    /// `InvalidFrame`, or `InvalidRequestId` where there is none.
    pub error: Error,
}

impl Command {
    /// The command of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Command {
        match number {
            1 => Command::OpenDatabase,
            2 => Command::CloseDatabase,
            3 => Command::Execute,
            4 => Command::Stats,
            5 => Command::CreateCollection,
            6 => Command::DeleteCollection,
            7 => Command::ListCollections,
            8 => Command::ListDatabases,
            64 => Command::Scan,
            other => Command::Unknown(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Command::OpenDatabase => 1,
            Command::CloseDatabase => 2,
            Command::Execute => 3,
            Command::Stats => 4,
            Command::CreateCollection => 5,
            Command::DeleteCollection => 6,
            Command::ListCollections => 7,
            Command::ListDatabases => 8,
            Command::Scan => 64,
            Command::Unknown(number) => number,
        }
    }
}

impl<'a> WireRequest<'a> {
    /// Reads a body. Bytes behind the last op are ignored.
    ///
    /// # Errors
    /// [`RefusedRequest`] when a field is cut short or more than [`OPERATIONS_PER_REQUEST_MAX`] ops are
    /// announced.
    pub fn decode(body: &'a [u8]) -> Result<WireRequest<'a>, RefusedRequest> {
        let mut cursor = Cursor::new(body);
        let request_id = cursor.u64().map_err(|_| RefusedRequest {
            request_id: None,
            error: Error::new(ErrorCode::InvalidRequestId).detail(format!("a body of {} bytes", body.len())),
        })?;
        WireRequest::decode_behind_id(request_id, &mut cursor)
            .map_err(|error| RefusedRequest { request_id: Some(request_id), error })
    }

    fn decode_behind_id(request_id: u64, cursor: &mut Cursor<'a>) -> Result<WireRequest<'a>, Error> {
        let database_id = cursor.u64()?;
        let command = Command::from_number(cursor.u8()?);
        let count = cursor.count(OP_BYTES_MIN)?;
        if count > OPERATIONS_PER_REQUEST_MAX {
            return Err(cursor.invalid("too many ops"));
        }
        let mut ops = Vec::with_capacity(count);
        for _ in 0..count {
            ops.push(WireOp::decode(cursor)?);
        }
        Ok(WireRequest { request_id, database_id, command, ops })
    }

    /// Appends the frame, length first.
    ///
    /// # Errors
    /// [`ErrorCode::LimitExceeded`] above [`OPERATIONS_PER_REQUEST_MAX`] ops;
    /// [`ErrorCode::InvalidCollectionName`] where a name's length cannot be written;
    /// [`ErrorCode::PayloadTooLarge`] above [`FRAME_BODY_BYTES_MAX`]. Nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.ops.len() > OPERATIONS_PER_REQUEST_MAX {
            return Err(Error::new(ErrorCode::LimitExceeded).detail("ops of one request"));
        }
        if self.ops.iter().any(|op| op.collection.len() > usize::from(u16::MAX)) {
            return Err(Error::new(ErrorCode::InvalidCollectionName));
        }
        let body_bytes = HEADER_BYTES + self.ops.iter().map(WireOp::encoded_bytes).sum::<usize>();
        if body_bytes > FRAME_BODY_BYTES_MAX {
            let detail = format!("a frame of {body_bytes} bytes, at most {FRAME_BODY_BYTES_MAX}");
            return Err(Error::new(ErrorCode::PayloadTooLarge).detail(detail));
        }
        frame::begin(out, body_bytes);
        out.extend_from_slice(&self.request_id.to_le_bytes());
        out.extend_from_slice(&self.database_id.to_le_bytes());
        out.push(self.command.number());
        frame::put_length(out, self.ops.len());
        for op in &self.ops {
            op.encode(out);
        }
        Ok(())
    }

    /// A request without ops.
    #[must_use]
    pub fn new(request_id: u64, command: Command, database: Option<DatabaseId>) -> WireRequest<'a> {
        WireRequest { request_id, database_id: database.map_or(0, DatabaseId::get), command, ops: Vec::new() }
    }

    /// Asks for a database's id by its name.
    #[must_use]
    pub fn open_database(request_id: u64, name: &'a DatabaseName) -> WireRequest<'a> {
        let payload = name.as_str().as_bytes();
        let op = WireOp { action: WireAction::Create, collection: b"", document_id: 0, payload };
        WireRequest { ops: vec![op], ..WireRequest::new(request_id, Command::OpenDatabase, None) }
    }

    /// Asks for operations to be run.
    ///
    /// # Errors
    /// Of [`WireOp::from_operation`].
    pub fn execute(
        request_id: u64,
        database: DatabaseId,
        operations: &'a [Operation],
    ) -> Result<WireRequest<'a>, Error> {
        let ops = operations.iter().map(WireOp::from_operation).collect::<Result<_, _>>()?;
        Ok(WireRequest { ops, ..WireRequest::new(request_id, Command::Execute, Some(database)) })
    }

    /// Asks for the documents of a collection from the number `first` on, itself included.
    #[must_use]
    pub fn scan(request_id: u64, database: DatabaseId, collection: &'a CollectionName, first: u64) -> WireRequest<'a> {
        let collection = collection.as_str().as_bytes();
        let op = WireOp { action: WireAction::Read, collection, document_id: first, payload: b"" };
        WireRequest { ops: vec![op], ..WireRequest::new(request_id, Command::Scan, Some(database)) }
    }

    /// The database the request is about.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDatabaseId`] for zero.
    pub fn database(&self) -> Result<DatabaseId, Error> {
        DatabaseId::new(self.database_id).ok_or_else(|| Error::new(ErrorCode::InvalidDatabaseId))
    }

    /// The name that OpenDB asks for.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDatabaseName`] without an op, and when its payload is no name.
    pub fn database_name(&self) -> Result<DatabaseName, Error> {
        let op = self.first_op().map_err(|_| Error::new(ErrorCode::InvalidDatabaseName).detail("there is none"))?;
        let name = std::str::from_utf8(op.payload).map_err(|_| Error::new(ErrorCode::InvalidDatabaseName))?;
        DatabaseName::parse(name)
    }

    /// The collection that CreateCollection and DeleteCollection are about.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] without an op; [`ErrorCode::InvalidCollectionName`].
    pub fn collection(&self) -> Result<CollectionName, Error> {
        self.first_op()?.collection_name()
    }

    /// Where Scan begins: the collection and the first number, itself included.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] without an op; [`ErrorCode::InvalidCollectionName`].
    pub fn scan_start(&self) -> Result<(CollectionName, u64), Error> {
        let op = self.first_op()?;
        Ok((op.collection_name()?, op.document_id))
    }

    fn first_op(&self) -> Result<&WireOp<'a>, Error> {
        self.ops.first().ok_or_else(|| Error::new(ErrorCode::InvalidRequest).detail("the first op is missing"))
    }
}

impl<'a> WireOp<'a> {
    /// What the op asks of the engine. The payload of a create or update is validated here, and copied;
    /// the payload of a read or delete is ignored.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownOperation`] for a type that the engine does not execute: a patch is one (see [`WireOp::to_patch`]);
    /// [`ErrorCode::InvalidCollectionName`]; [`ErrorCode::InvalidJson`] and [`ErrorCode::PayloadTooLarge`] for the payload.
    /// Each names the document.
    pub fn to_operation(&self) -> Result<Operation, Error> {
        self.action_of_engine()
            .and_then(|action| Ok(Operation { collection: self.collection_name()?, action }))
            .map_err(|error| error.document(self.document_id))
    }

    /// What a patch is to change, and how; `None` of an op of any other type. The ancestor's patches are arrays.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`]; [`ErrorCode::InvalidPatch`], [`ErrorCode::InvalidPath`] and
    /// [`ErrorCode::LimitExceeded`] for the patch. Each names the document.
    pub fn to_patch(&self) -> Option<Result<(CollectionName, DocumentId, Patch), Error>> {
        let WireAction::Patch(patch) = self.action else { return None };
        let patch = || {
            let invalid = |detail: String| Error::new(ErrorCode::InvalidPatch).detail(detail);
            if !patch.trim_ascii_start().starts_with(b"[") {
                return Err(invalid("it is no array".to_owned()));
            }
            Patch::parse(patch).map_err(|error| match error.code() {
                // Clients know one text for all that is wrong with a patch's form.
                ErrorCode::InvalidJson | ErrorCode::UnknownOperation => invalid(error.to_string()),
                _ => error,
            })
        };
        let parts = self.collection_name().and_then(|name| Ok((name, DocumentId::Number(self.document_id), patch()?)));
        Some(parts.map_err(|error| error.document(self.document_id)))
    }

    fn action_of_engine(&self) -> Result<Action, Error> {
        let id = DocumentId::Number(self.document_id);
        match self.action {
            WireAction::Create => Ok(Action::Create(id, Document::parse(self.payload)?)),
            WireAction::Read => Ok(Action::Read(id)),
            WireAction::Update => Ok(Action::Update(id, Document::parse(self.payload)?)),
            WireAction::Delete => Ok(Action::Delete(id)),
            WireAction::Patch(_) | WireAction::Unknown(_) => {
                Err(Error::new(ErrorCode::UnknownOperation).detail(format!("type {}", self.action.number())))
            }
        }
    }

    /// The op that asks for `operation`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDocumentId`] for an id that is a text, and [`ErrorCode::UnknownOperation`] for what this protocol has
    /// no type for: neither can be written in it.
    pub fn from_operation(operation: &'a Operation) -> Result<WireOp<'a>, Error> {
        let lacks = |what: &str| Err(Error::new(ErrorCode::UnknownOperation).detail(format!("{NO_WORD} {what}")));
        let (action, id) = match &operation.action {
            Action::Create(id, _) => (WireAction::Create, id),
            Action::Read(id) => (WireAction::Read, id),
            Action::Update(id, _) => (WireAction::Update, id),
            Action::Delete(id) => (WireAction::Delete, id),
            Action::Put(..) => return lacks("put"),
            Action::Insert(_) => return lacks("insert"),
            Action::Expect(..) => return lacks("expect"),
        };
        let DocumentId::Number(document_id) = *id else {
            let error = Error::new(ErrorCode::InvalidDocumentId).document(id);
            return Err(error.detail(format!("{NO_WORD} ids that are texts")));
        };
        Ok(WireOp {
            action,
            collection: operation.collection.as_str().as_bytes(),
            document_id,
            payload: operation.action.document().map_or(b"", Document::bytes),
        })
    }

    /// The collection; an empty name means `_default`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`] when a rule for names is broken.
    pub fn collection_name(&self) -> Result<CollectionName, Error> {
        if self.collection.is_empty() {
            return Ok(CollectionName::default_collection());
        }
        let name = std::str::from_utf8(self.collection).map_err(|_| Error::new(ErrorCode::InvalidCollectionName))?;
        if name.contains('/') {
            return Err(Error::new(ErrorCode::InvalidCollectionName).detail(SLASH_TEXT));
        }
        CollectionName::parse(name)
    }

    fn decode(cursor: &mut Cursor<'a>) -> Result<WireOp<'a>, Error> {
        let number = cursor.u8()?;
        let collection = cursor.bytes_u16()?;
        let document_id = cursor.u64()?;
        let action = match number {
            1 => WireAction::Create,
            2 => WireAction::Read,
            3 => WireAction::Update,
            4 => WireAction::Delete,
            7 => WireAction::Patch(cursor.bytes_u32()?),
            other => WireAction::Unknown(other),
        };
        let payload = cursor.bytes_u32()?;
        Ok(WireOp { action, collection, document_id, payload })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let collection_bytes = u16::try_from(self.collection.len()).expect("the request has checked its names");
        out.push(self.action.number());
        out.extend_from_slice(&collection_bytes.to_le_bytes());
        out.extend_from_slice(self.collection);
        out.extend_from_slice(&self.document_id.to_le_bytes());
        if let WireAction::Patch(patch) = self.action {
            frame::put_length(out, patch.len());
            out.extend_from_slice(patch);
        }
        frame::put_length(out, self.payload.len());
        out.extend_from_slice(self.payload);
    }

    fn encoded_bytes(&self) -> usize {
        let patch_bytes = if let WireAction::Patch(patch) = self.action { 4 + patch.len() } else { 0 };
        OP_BYTES_MIN + self.collection.len() + patch_bytes + self.payload.len()
    }
}

impl WireAction<'_> {
    /// The type on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            WireAction::Create => 1,
            WireAction::Read => 2,
            WireAction::Update => 3,
            WireAction::Delete => 4,
            WireAction::Patch(_) => 7,
            WireAction::Unknown(number) => number,
        }
    }
}
