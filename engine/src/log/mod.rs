//! The log of one database: its bytes, written and read back.
//!
//! Everything here is pure: it turns transactions into buffers and bytes into transactions. It
//! submits no operation and decides nothing about durability; the jobs do. The byte tables are in FORMAT.md.

mod batch;
mod batch_header;
mod damage;
mod decoded;
mod field;
pub(crate) mod file_header;
#[cfg(test)]
mod fuzz;
mod gap;
mod merge;
mod names;
mod record;
mod replay;
mod replayed;
mod segment;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

pub(crate) use batch::{BatchPlace, Encoded, Repeated, Repetition, encode, encoded_bytes, proof_bytes};
pub(crate) use decoded::Decoded;
pub(crate) use field::{Fields, put_u32, put_u64};
pub(crate) use file_header::Header;
pub use file_header::{DirectoryId, FORMAT_VERSION};
pub(crate) use names::{SegmentName, active, next, sealed, spare};
pub(crate) use record::{Payload, Record, RecordKind};
pub(crate) use replay::Replay;
pub(crate) use segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
pub(crate) use tail::Tail;
pub(crate) use walk::Want;

/// A byte position in the endless log of one database. Positions from the first byte of the first
/// batch on; headers of segments have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);
