//! The database that an opening opens.

use docdb_protocol::{DatabaseId, DatabaseName};

use crate::clock::WallTime;
use crate::disk::DiskPath;
use crate::log::Lsn;

/// What is opened.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: DatabaseId,
    pub(crate) name: DatabaseName,
    pub(crate) directory: DiskPath,
    pub(crate) created_at: WallTime,
    /// The log's end stored at the last closing.
    pub(crate) log_end: Lsn,
}
