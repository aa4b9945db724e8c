//! The bytes of a table, both ways: an immutable file of versions in the order of their keys, one version a key.
//!
//! ```text
//! header, one sector
//! frame   [u32 payload_len][payload: blocks | zeros                                            ][u32 crc32] [u8 verified]
//! ...
//! frame   [u32 payload_len][payload: filters, indexes, collections, footer | zeros | trailer   ][u32 crc32] [u8 verified]
//! ```
//!
//! What a payload holds are *parts*: each says its kind and its lengths, and its checksum also covers whose table it is of
//! and where it stands. A reader needs no frame: it finds the footer by the metadata or by the trailer, in the footer the
//! *sections* (runs of blocks, each with a filter part and an index part), in the index part the block, in the block the
//! key. FORMAT.md has every byte.
//!
//! Everything here is pure. It reads no file and submits no operation: [`Builder`] is fed entries and gives pieces of a file
//! to be written, and bytes that somebody has read become a [`Footer`], an [`IndexPart`], a [`FilterPart`] or a [`Block`].
//! Nothing here knows of a second table; `crate::read` looks up and scans in one.
//!
//! Invariants: no bytes make this panic. Nothing is allocated by a length that no checksum has covered, nor beyond
//! [`PART_BYTES_MAX`]. Bytes of another table, or of another place in the same one, are damage, never an answer.

mod block;
mod builder;
mod codec;
mod collections;
mod entry;
mod filter;
mod footer;
mod footer_bytes;
mod frame;
#[cfg(test)]
mod fuzz;
mod header;
mod index;
mod key;
mod options;
mod part;
mod rebuild;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

pub use block::{Block, BlockView};
pub(crate) use block::{BlockBody, open_whole};
pub use builder::{Builder, Built, Closing, Piece};
pub use codec::Compression;
pub use collections::TableCollection;
pub(crate) use collections::{put_name, take_name};
pub use entry::{Entry, Version};
pub use filter::{FilterPart, KeyHash};
pub use footer::{Counts, DamagedRange, Footer, FooterPlace, Job, Section};
pub(crate) use footer_bytes::{put_key, take_key};
pub use frame::{FRAME_SECTOR_BYTES, FlagSector, JudgedFrame, VERIFIED_SECTOR, judge_frame};
pub use header::{TABLE_HEADER_BYTES, TABLE_MAGIC, TableHeader};
pub use index::IndexPart;
pub use key::{IdParts, KEY_BYTES_MAX, Key, KeyParts};
pub use options::BuilderOptions;
pub use part::{PART_BYTES_MAX, PART_HEADER_BYTES, PartError, PartKind, PartPlace, TableIdentity};
pub use rebuild::{Rebuilding, Rebuilt, RebuiltSection};
pub use walk::{Walk, WalkStep};
