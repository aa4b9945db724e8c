//! The bytes of the wire protocol, version 0, both directions; those of version 1 are in [`v1`].
//!
//! Owns the layout of frames, requests and replies, for a server and for a client: [`FrameReader`] cuts
//! a stream into bodies, [`WireRequest`] and [`WireResponse`] are the bodies, [`ScanReply`], [`stats`]
//! and [`listing`] are what some replies carry. This table is the one place where the layout is written
//! down; the tests hold captured conversations against it. All integers are little-endian.
//!
//! ```text
//! frame     u32 length of the body, at most 16 MiB | body
//! request   u64 request id | u64 database id, 0 for none | u8 command | u32 op count <= 65535 | ops
//! op        u8 type | u16 length, collection | u64 document id
//!           | type 7 only: u32 length, patch | u32 length, payload
//! response  u64 request id | u8 status | u32 length, data
//!
//! Execute   u32 count | count x (u32 length, bytes)
//! Scan      u8 end | u32 count | count x (u64 document id | u32 length, bytes)
//! Stats     u64 databases | u64 open | u64 transactions | u64 log bytes | u64 memory bytes
//! OpenDB    u64 database id
//! ```
//!
//! | command | | reads | op types | |
//! |---|---|---|---|---|
//! | 1 | OpenDB | op 0's payload: the name | 1 | create |
//! | 2 | CloseDB | database id | 2 | read |
//! | 3 | Execute | database id, ops | 3 | update |
//! | 4 | Stats | | 4 | delete |
//! | 7 | ListCollections | database id | 7 | patch |
//! | 8 | ListDBs | | | |
//! | 64 | Scan (not the ancestor's) | database id, op 0's collection and first document id | | |
//!
//! A worked example, the awkward case included: the read of `_default/7` names its collection in full
//! where an empty name would mean the same, and carries an empty payload.
//!
//! ```text
//! > 2c000000 0300000000000000 0100000000000000 03 01000000
//!            02 0800 5f64656661756c74 0700000000000000 00000000
//! < 1c000000 0300000000000000 00 0f000000 01000000 07000000 7b2261223a317d
//! ```
//!
//! What to hold on to:
//!
//! - Memory grows with the bytes that have come, never with a length that was announced.
//! - Nothing a peer sends can panic. What does not decode is a [`RefusedRequest`] or an error.
//! - Whatever is encoded here decodes to the same again.
//! - Bytes behind the last op of a request are ignored, as the ancestor ignores them.
//!
//! It never does IO, never decides when to close a connection, and never looks at what is stored.

mod frame;
pub mod listing;
mod read;
mod request;
mod response;
mod scan;
pub mod stats;
pub mod v1;

pub use frame::{FrameReader, RefusedFrame};
pub use request::{Command, RefusedRequest, WireAction, WireOp, WireRequest};
pub use response::{
    Status, TOO_LONG_ADVICE, WireResponse, encode_error, encode_executed, encode_ok, encode_response, encode_result,
    error_text, part_outcome, status_of,
};
pub use scan::{ScanReply, ScanReplyBuilder, Scanned};
