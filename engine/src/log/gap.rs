//! A missing part of the log, which waits for a header that says what it held.

use super::Lsn;
use super::record::Record;

/// A missing part of the log.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) file: String,
    pub(super) file_offset: u64,
    pub(super) from: Lsn,
    pub(super) to: Lsn,
    /// The records in it that are whole, and where they stand.
    pub(super) salvaged: Vec<(Lsn, Record)>,
}

impl Gap {
    /// Bytes of the records that are whole.
    pub(super) fn salvaged_bytes(&self) -> u64 {
        self.salvaged.iter().map(|(_, record)| record.bytes() as u64).sum()
    }
}
