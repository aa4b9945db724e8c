//! Every bound of the product, in one place.
//!
//! What a client can send, what the engine queues, how large a file grows. A bound that can be
//! configured has its default here.

/// Names of databases and collections, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 64;

/// The id of a document that is a text, in bytes of UTF-8.
pub const DOCUMENT_ID_BYTES_MAX: usize = 255;

/// One document, in bytes as sent.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How deep arrays and objects may nest in a document.
pub const JSON_DEPTH_MAX: usize = 128;

/// Operations in one request.
pub const OPERATIONS_PER_REQUEST_MAX: usize = 65_535;

/// Operations in one patch: each may go through the whole document.
pub const PATCH_OPERATIONS_MAX: usize = 1_000;

/// The document bytes of one request together.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The body of one frame of version 0 of the wire protocol, either way.
pub const FRAME_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The body of one frame of version 1, either way: any document, and what stands around it.
pub const FRAME_BODY_V1_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 1024 * 1024;

/// The data of one answer to Scan, in either version, unless a single document is larger.
pub const SCAN_REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Databases in one data directory.
pub const DATABASES_MAX: usize = 65_536;

/// Collections in one database.
pub const COLLECTIONS_PER_DATABASE_MAX: usize = 65_536;

/// Requests that wait in the engine, of all clients together. More are refused with `QueueFull`.
pub const PENDING_REQUESTS_MAX: usize = 65_536;

/// The document bytes of the requests that wait in the engine. More are refused with `QueueFull`.
pub const PENDING_BYTES_MAX: usize = 256 * 1024 * 1024;
