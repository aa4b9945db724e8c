//! What a replay found: the state, and what an opening has to write again.

use docdb_protocol::{DatabaseId, Error};

use super::merge::Merge;
use super::{BatchPlace, Encoded, Lsn, Record, Repetition, encode};
use crate::metadata::Metadata;
use crate::view::View;

/// What a replay found.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    /// Everything that can be read, the unproven included.
    pub(crate) view: View,
    /// All below is durable.
    pub(crate) proven: Lsn,
    /// What has to be written again from `proven` on, as one batch.
    pub(crate) records: Vec<Record>,
    /// What that batch repeats.
    pub(crate) before: Option<Repetition>,
    /// Proven batches, up to `proven`, that the new segment takes over.
    pub(crate) merge: Merge,
    /// Set when acknowledged data is missing: the database opens read-only.
    pub(crate) damage: Option<Error>,
    /// Of the copies of the metadata in the log that of the highest generation.
    pub(crate) metadata: Option<Box<Metadata>>,
}

impl Tail {
    /// Where the new segment begins: all below is durable and stays where it is.
    pub(crate) fn start_lsn(&self) -> Lsn {
        self.merge.start().unwrap_or(self.proven)
    }

    /// What the new segment begins with, if anything.
    pub(crate) fn encode(&self, database: DatabaseId, epoch: u64) -> Option<Encoded> {
        let mut encoded = self.merge.encode(database, epoch);
        if !self.records.is_empty() {
            let (start_lsn, lsn) = (self.start_lsn(), self.proven);
            let place = BatchPlace { database, epoch, start_lsn, lsn, watermark: lsn };
            encoded.append(encode(place, self.before.as_ref(), &self.records));
        }
        (encoded.bytes > 0).then_some(encoded)
    }

    /// What the first batch behind all that repeats.
    pub(crate) fn last(&self) -> Option<Repetition> {
        let has_operations = self.records.iter().any(|record| record.kind.is_operation());
        if has_operations { Some(Repetition::of(self.proven, &self.records)) } else { self.before.clone() }
    }
}
