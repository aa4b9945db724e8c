//! The bytes of the wire protocol, version 1, both directions.
//!
//! FORMAT.md, "Wire, version 1", is the one place where the layout is written down; a test decodes its worked example. A
//! client begins with [`MAGIC`], which no frame of version 0 can begin with, and the server answers with the same. From
//! then on both send frames, cut by [`frame_reader`]: a [`Call`] is what a client asks, an [`Answer`] or an [`Error`] what it
//! gets. All integers are little-endian.
//!
//! What to hold on to:
//!
//! - Nothing a peer sends can panic, and nothing is set aside for what was only announced.
//! - Whatever is encoded here decodes to the same again, and a call of valid parts has one encoding alone.
//! - A frame that is sound is answered and leaves the connection as it was, whatever stands in it: [`Refused`] says whom to
//!   answer.
//! - Every answer fits into a frame: what does not is replaced by an error that says so, a result at a time.
//!
//! It never does IO, never decides when to close a connection, and never looks at what is stored.

mod answer;
mod call;
mod error;
mod fields;
mod figures;
mod hello;
mod operation;
mod scan;

pub use crate::limits::{FRAME_BODY_V1_BYTES_MAX as FRAME_BODY_BYTES_MAX, SCAN_REPLY_BYTES_MAX as PAGE_BYTES_MAX};
pub use answer::{Answer, Answered, CountedCollection, OperationAnswer};
pub use call::{Call, Received, Refused};
pub use figures::Figures;
pub use hello::{Hello, Welcome};
pub use scan::{Page, ScanCall, Scanned, cursor_after};

use crate::error::{Error, ErrorCode};
use crate::wire::FrameReader;

/// What a client's stream begins with, and the server's. As the length of a frame of version 0 it is above every limit.
pub const MAGIC: &[u8; 8] = b"DOCDBWIR";

/// The version that is described here.
pub const VERSION: u16 = 1;

/// The request id of an answer that belongs to no request, but to the connection.
pub const CONNECTION_ID: u64 = 0;

/// What the kind of an answer is that is an error.
const ERROR: u8 = 0;

/// Request id, kind.
const HEADER_BYTES: usize = 8 + 1;

/// Bytes of the length in front of every body.
const LENGTH_BYTES: usize = 4;

/// Cuts a stream of version 1, behind its [`MAGIC`], into bodies.
#[must_use]
pub fn frame_reader() -> FrameReader {
    FrameReader::with_limit(FRAME_BODY_BYTES_MAX)
}

fn too_large(body_bytes: usize) -> Error {
    let detail = format!("{body_bytes} bytes, and a frame has at most {FRAME_BODY_BYTES_MAX}");
    Error::new(ErrorCode::PayloadTooLarge).detail(detail)
}

/// Appends a frame with the body that `put` writes; nothing at all when that is too large.
fn framed(out: &mut Vec<u8>, request_id: u64, kind: u8, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.extend_from_slice(&request_id.to_le_bytes());
    out.push(kind);
    put(out);
    let body_bytes = out.len() - start - LENGTH_BYTES;
    match u32::try_from(body_bytes) {
        Ok(length) if body_bytes <= FRAME_BODY_BYTES_MAX => {
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(too_large(body_bytes))
        }
    }
}
