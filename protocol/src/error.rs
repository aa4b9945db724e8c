//! The frozen list of errors.
//!
//! An error is a code: its number, name, class and text never change once released, and a golden
//! file locks them. Codes are compared by value. What a code cannot say (which database, which
//! document, which file, where) travels beside it as [`Context`] and takes no part in comparison.

use std::fmt;

use crate::document_id::DocumentId;

/// Whose fault it is, and so what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// Passes by itself: trying again later may succeed.
    Transient,
    /// The same request gets the same answer until the data or the set-up changes.
    Permanent,
    /// Someone has to look: data or the machine is in danger.
    Critical,
    /// The request itself is wrong.
    Validation,
    /// The conversation went wrong, not the data.
    Network,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $class:ident, $text:literal;)*) => {
        /// What went wrong, as one of a closed, numbered list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $number,)*
        }

        impl ErrorCode {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The name used in messages and configuration, for example `DocNotFound`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => stringify!($name),)* }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn class(self) -> ErrorClass {
                match self { $(ErrorCode::$name => ErrorClass::$class,)* }
            }

            /// The fixed text, as clients of the wire protocol compare it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }
        }
    };
}

error_codes! {
    // Core: what a client asked of the data.
    /// The payload is not one JSON value in valid UTF-8 that any strict parser accepts.
    InvalidJson = 101, Validation, "payload must be valid JSON";
    /// A create found the document there.
    DocExists = 102, Permanent, "document already exists";
    /// A read, update or delete found no document.
    DocNotFound = 103, Permanent, "document not found";
    /// The database is being closed, or its opening failed.
    DbNotOpen = 104, Transient, "database not open";
    /// The write would exceed the memory allowed.
    MemoryLimit = 105, Transient, "memory limit exceeded";
    /// No collection of that name.
    CollectionNotFound = 106, Permanent, "collection not found";
    /// A collection of that name is there.
    CollectionExists = 107, Permanent, "collection already exists";
    /// Only an empty collection can be removed.
    CollectionNotEmpty = 108, Permanent, "collection is not empty";
    /// `_default` always exists.
    CannotDeleteDefault = 109, Validation, "cannot delete default collection";
    /// No database of that name or id.
    DbNotFound = 110, Permanent, "database not found";
    /// The name breaks a rule for names of databases.
    InvalidDatabaseName = 111, Validation, "invalid database name";
    /// The name breaks a rule for names of collections.
    InvalidCollectionName = 112, Validation, "invalid collection name";
    /// Zero, or otherwise no database id.
    InvalidDatabaseId = 113, Validation, "invalid database ID";
    /// The patch is not an array of known operations.
    InvalidPatch = 114, Validation, "invalid patch operations";
    /// The path is not a JSON Pointer, or leads nowhere.
    InvalidPath = 115, Validation, "invalid JSON path";
    /// An operation type this command does not know.
    UnknownOperation = 116, Validation, "unknown operation type";
    /// Another write came first.
    Conflict = 117, Transient, "write conflict";
    /// More databases, collections or operations than the limit allows.
    LimitExceeded = 118, Validation, "limit exceeded";
    /// The data directory or database takes no writes until someone has looked.
    ReadOnly = 119, Critical, "database is read-only";
    /// The text is empty, too long, or has a control character, or the number is below zero.
    InvalidDocumentId = 120, Validation, "invalid document ID";
    /// The document, as it is stored, is not what the program's type takes.
    DocumentMismatch = 121, Validation, "document does not have the expected shape";

    // Log: what the disk did.
    /// A document larger than a document may be, or a request larger than a request may be.
    PayloadTooLarge = 201, Validation, "payload exceeds maximum size";
    /// The stored bytes of this document, or of this part of a file, are damaged.
    CorruptRecord = 202, Critical, "corrupt record";
    /// A checksum does not match its bytes.
    CrcMismatch = 203, Critical, "checksum mismatch";
    /// A file could not be opened or created.
    FileOpen = 204, Critical, "failed to open file";
    /// A write failed or was cut short.
    FileWrite = 205, Critical, "failed to write file";
    /// A sync failed.
    FileSync = 206, Critical, "failed to sync file";
    /// A read failed.
    FileRead = 207, Critical, "failed to read file";
    /// No space is left on the device.
    DiskFull = 208, Critical, "disk full";
    /// The write may or may not be durable; after the next opening it is there whole or not at all.
    OutcomeUnknown = 209, Critical, "outcome unknown";
    /// The process or the machine has no descriptor or no memory left; nothing was begun.
    OutOfResources = 210, Transient, "out of file descriptors or memory";

    // Pool: the running process.
    /// The process is shutting down.
    PoolStopped = 301, Transient, "pool is stopped";
    /// Too much is waiting already.
    QueueFull = 302, Transient, "request queue is full";
    /// Too many connections are open already.
    TooManyConnections = 303, Transient, "too many connections";

    // Protocol: the conversation.
    /// The request id could not be read.
    InvalidRequestId = 401, Network, "invalid request ID";
    /// A frame's length is above the limit.
    FrameTooLarge = 402, Network, "frame too large";
    /// A frame's body does not decode.
    InvalidFrame = 403, Network, "invalid frame";
    /// The command is unknown, or misses what it needs.
    InvalidRequest = 404, Validation, "invalid request";
    /// The answer would not fit into a frame.
    ResponseTooLarge = 405, Validation, "response too large";
    /// The connection was lost or could not be made.
    ConnectionLost = 406, Network, "connection lost";
    /// The rest of a frame did not come in time.
    FrameTimeout = 407, Network, "frame not finished in time";
    /// Client and server speak no version of the protocol in common.
    UnsupportedVersion = 408, Network, "unsupported protocol version";
    /// The protocol has a word for it, and this version does not do it yet.
    NotSupported = 409, Permanent, "not supported yet";

    // Directory: what was found where the data should be.
    /// The directory holds something, and it is not DocDB's.
    NotADataDirectory = 501, Permanent, "not a DocDB data directory";
    /// The files were written by a later version.
    NewerFormat = 502, Permanent, "data directory has a newer format version";
    /// Another process holds the data directory.
    DirectoryLocked = 503, Permanent, "data directory is in use";
    /// The operating system refuses access.
    PermissionDenied = 504, Permanent, "permission denied";
    /// The catalog is damaged in a way that cannot be worked round.
    CatalogDamaged = 505, Critical, "catalog is damaged";
}

impl ErrorCode {
    /// The frozen number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code of a number; `None` when no released version has it.
    #[must_use]
    pub fn from_number(number: u16) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// The code of a fixed text, as it comes over the wire; `None` when no code has it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|code| code.text() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// What a code cannot say: where it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The database's name.
    pub database: Option<String>,
    /// The collection's name.
    pub collection: Option<String>,
    /// The document concerned.
    pub document: Option<DocumentId>,
    /// The index of the operation within its request, from 0.
    pub operation: Option<usize>,
    /// The file concerned, relative to the data directory.
    pub file: Option<String>,
    /// The byte concerned: in `file`, or in the payload when no file is named.
    pub offset: Option<u64>,
    /// What else helps: the holder of a lock, the operating system's words.
    pub detail: Option<String>,
}

/// A code and its context. Two errors are equal when their codes are.
#[derive(Clone, Debug)]
pub struct Error {
    code: ErrorCode,
    context: Option<Box<Context>>,
}

impl Error {
    /// An error without context.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Error {
        Error { code, context: None }
    }

    /// What went wrong.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Where it went wrong, where that is known.
    #[must_use]
    pub fn context(&self) -> Option<&Context> {
        self.context.as_deref()
    }

    /// The file, the byte and the detail of its context. Its database, collection and document the client knows that asked.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let context = self.context()?;
        let file = context.file.as_ref().map(|file| format!("file {file:?}"));
        let offset = context.offset.map(|offset| format!("byte {offset}"));
        let place: Vec<String> = file.into_iter().chain(offset).collect();
        let place = Some(place.join(", ")).filter(|place| !place.is_empty());
        let parts: Vec<String> = place.into_iter().chain(context.detail.clone()).collect();
        Some(parts.join(": ")).filter(|reason| !reason.is_empty())
    }

    /// Whether it is about one document, and says which.
    #[must_use]
    pub fn names_document(&self) -> bool {
        self.context().is_some_and(|context| context.document.is_some())
    }

    fn with(mut self, set: impl FnOnce(&mut Context)) -> Error {
        set(self.context.get_or_insert_default());
        self
    }

    /// Names the database.
    #[must_use]
    pub fn database(self, name: &str) -> Error {
        self.with(|context| context.database = Some(name.to_owned()))
    }

    /// Names the collection.
    #[must_use]
    pub fn collection(self, name: &str) -> Error {
        self.with(|context| context.collection = Some(name.to_owned()))
    }

    /// Names the document.
    #[must_use]
    pub fn document(self, id: impl Into<DocumentId>) -> Error {
        self.with(|context| context.document = Some(id.into()))
    }

    /// Names the operation within its request, counted from 0.
    #[must_use]
    pub fn operation(self, index: usize) -> Error {
        self.with(|context| context.operation = Some(index))
    }

    /// Names the file, relative to the data directory.
    #[must_use]
    pub fn file(self, path: &str) -> Error {
        self.with(|context| context.file = Some(path.to_owned()))
    }

    /// Names the byte.
    #[must_use]
    pub fn offset(self, offset: u64) -> Error {
        self.with(|context| context.offset = Some(offset))
    }

    /// Adds what else helps.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Error {
        self.with(|context| context.detail = Some(detail.into()))
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Error {
        Error::new(code)
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        self.code == other.code
    }
}

impl Eq for Error {}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code.text())?;
        let Some(context) = self.context() else { return Ok(()) };
        if let Some(database) = &context.database {
            write!(formatter, ", database {database:?}")?;
        }
        if let Some(collection) = &context.collection {
            write!(formatter, ", collection {collection:?}")?;
        }
        if let Some(document) = &context.document {
            write!(formatter, ", document {document}")?;
        }
        if let Some(operation) = context.operation {
            write!(formatter, ", operation {operation}")?;
        }
        if let Some(file) = &context.file {
            write!(formatter, ", file {file:?}")?;
        }
        if let Some(offset) = context.offset {
            write!(formatter, ", byte {offset}")?;
        }
        if let Some(detail) = &context.detail {
            write!(formatter, ": {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
