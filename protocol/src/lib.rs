//! What DocDB is asked and what it answers, as plain types.
//!
//! This crate owns the words that every other part shares: ids, names, documents, requests, replies,
//! the frozen list of errors, all limits, the JSON validator, and the bytes of the wire protocol.
//!
//! It never does IO, never reads a clock and never decides anything about stored data. A value of one
//! of its types is valid by construction: a [`DatabaseName`] has passed the rules for names, a
//! [`Document`] has passed the validator.

mod document;
mod document_id;
mod error;
mod ids;
pub mod json;
pub mod limits;
mod names;
mod patch;
mod request;
pub mod wire;

pub use document::Document;
pub use document_id::{DocumentId, IntoDocumentId, TextId};
pub use error::{Context, Error, ErrorClass, ErrorCode};
pub use ids::{CollectionId, DatabaseId, TxId};
pub use names::{CollectionName, DatabaseName};
pub use patch::Patch;
pub use request::{
    Action, Atomicity, DatabaseInfo, Expectation, IfMissing, Operation, OperationReply, OperationResult, Reply,
    Request, Response, Stats,
};
