//! How long the parts of the catalog's file may be. Nothing longer is read.

use docdb_protocol::limits::DATABASES_MAX;

use crate::disk::SECTOR_BYTES;

/// A name is at most 64 bytes.
const ENTRY_BYTES_MAX: u64 = 42 + 64;

/// The file says everything so many times.
pub(super) const COPIES: usize = 2;
/// What a change takes up in the file, with both its copies.
pub(crate) const CHANGE_BYTES: u64 = (COPIES * SECTOR_BYTES) as u64;
/// Changes that are written together.
pub(crate) const CHANGES_PER_WRITE_MAX: usize = 256;
/// A catalog is no longer than this: all databases in a snapshot, and a journal as long as that again. What is longer is not
/// read; it is damaged.
pub(crate) const CATALOG_BYTES_MAX: u64 =
    2 * (2 * DATABASES_MAX as u64 * ENTRY_BYTES_MAX + 64 * 1024) + CHANGES_PER_WRITE_MAX as u64 * CHANGE_BYTES;
