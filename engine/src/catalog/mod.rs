//! The catalog: which databases there are. `index` has its entries in memory, `file` their bytes in the file `catalog`.
//!
//! The file begins with a snapshot of all entries, and behind it stands a journal of the entries that changed since. Both hold
//! everything twice, in different sectors, so that one damaged sector loses nothing. A snapshot is always written anew under
//! another name and renamed into place; what is in the file is never overwritten. If both copies of something are lost,
//! the databases' own headers name themselves and the catalog is rebuilt from them.
//!
//! Invariants: an entry is found by its id and by its name; a change says all of an entry, so that only the last
//! change of an entry counts.

mod bounds;
mod entry;
mod file;
mod index;
mod journal;
mod snapshot;

pub(crate) use self::bounds::{CATALOG_BYTES_MAX, CHANGE_BYTES, CHANGES_PER_WRITE_MAX};
pub(crate) use self::entry::{Closed, Entry, Figures};
pub(crate) use self::index::{Catalog, Reach, Unreadable};
pub(crate) use self::journal::encode_changes;
pub use self::snapshot::{CATALOG_HEADER_OFFSETS, CATALOG_MAGIC};
