//! Writing the last, small segments of a log again as one.
//!
//! Every opening goes on in a new segment, so that many short sessions would leave many small files
//! for ever. Kept here are the last segments whose batches are proven, up to a number of bytes together; the new
//! segment begins with their batches and supersedes them. Every batch keeps its Lsn, so nothing that
//! names a place in the log becomes wrong.
//!
//! Invariant: the batches follow one another without a gap, and the first one opens its segment.

use std::collections::VecDeque;

use docdb_protocol::DatabaseId;

use super::{BatchPlace, Encoded, Lsn, Record, Repetition, encode, encoded_bytes};

/// A batch as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    /// Where its segment begins.
    pub(crate) segment: Lsn,
    pub(crate) lsn: Lsn,
    /// Its length in the log; zero when it was not whole.
    pub(crate) bytes: u64,
    pub(crate) before: Option<Repetition>,
    pub(crate) records: Vec<Record>,
}

impl Read {
    fn end(&self) -> Lsn {
        Lsn(self.lsn.0 + self.bytes)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    bytes_max: u64,
    bytes: u64,
    batches: VecDeque<Read>,
}

impl Merge {
    /// Keeps at most `bytes_max` bytes of log.
    pub(crate) fn new(bytes_max: u64) -> Merge {
        Merge { bytes_max, bytes: 0, batches: VecDeque::new() }
    }

    /// Takes the next batch that is proven.
    pub(crate) fn add(&mut self, batch: Read) {
        let opens = batch.lsn == batch.segment;
        let follows = self.batches.back().map_or(opens, |last| last.end() == batch.lsn);
        // One that would not have the same length when written again cannot keep its place.
        let is_same = encoded_bytes(batch.before.as_ref(), &batch.records) == batch.bytes;
        if !follows || !is_same {
            self.clear();
            if !opens || !is_same {
                return;
            }
        }
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
        while self.bytes > self.bytes_max {
            self.drop_oldest_segment();
        }
    }

    /// Keeps what is held only if it ends at `end`.
    pub(crate) fn ending_at(mut self, end: Lsn) -> Merge {
        if self.batches.back().is_some_and(|last| last.end() != end) {
            self.clear();
        }
        self
    }

    /// Where the new segment begins; `None` when nothing is held.
    pub(crate) fn start(&self) -> Option<Lsn> {
        self.batches.front().map(|first| first.lsn)
    }

    /// All batches, for a segment of `epoch` that begins at [`Merge::start`].
    pub(crate) fn encode(&self, database: DatabaseId, epoch: u64) -> Encoded {
        let mut merged = Encoded { buffers: Vec::new(), bytes: 0 };
        let Some(start_lsn) = self.start() else { return merged };
        for batch in &self.batches {
            // What stands before it is durable as soon as this segment has a header.
            let place = BatchPlace { database, epoch, start_lsn, lsn: batch.lsn, watermark: batch.lsn };
            merged.append(encode(place, batch.before.as_ref(), &batch.records));
        }
        merged
    }

    /// Holds nothing any more: the segments stay as they are.
    pub(crate) fn clear(&mut self) {
        self.bytes = 0;
        self.batches.clear();
    }

    fn drop_oldest_segment(&mut self) {
        let oldest = self.batches.front().expect("bytes are counted of batches that are held").segment;
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.segment == oldest) {
            self.bytes -= batch.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proof of `bytes` bytes at `lsn`; an honest one takes 512.
    fn batch(segment: u64, lsn: u64, bytes: u64) -> Read {
        Read { segment: Lsn(segment), lsn: Lsn(lsn), bytes, before: None, records: Vec::new() }
    }

    fn after(batches: &[(u64, u64, u64)]) -> (Option<u64>, u64) {
        let mut merge = Merge::new(1 << 20);
        for (segment, lsn, bytes) in batches {
            merge.add(batch(*segment, *lsn, *bytes));
        }
        (merge.start().map(|lsn| lsn.0), merge.bytes)
    }

    #[test]
    fn only_batches_that_follow_one_another_are_kept() {
        assert_eq!(after(&[(0, 0, 512), (0, 512, 512), (1024, 1024, 512)]), (Some(0), 1536));
        // A gap: what opens a segment begins anew, anything else is nothing to begin with.
        assert_eq!(after(&[(0, 0, 512), (1024, 1024, 512)]), (Some(1024), 512));
        assert_eq!(after(&[(0, 0, 512), (0, 1024, 512)]), (None, 0));
        assert_eq!(after(&[(0, 512, 512)]), (None, 0), "the first one opens its segment");
    }

    #[test]
    fn a_batch_that_would_take_another_length_ends_what_is_kept() {
        // It was torn, or was written by somebody who pads otherwise.
        assert_eq!(after(&[(0, 0, 512), (0, 512, 0)]), (None, 0));
        assert_eq!(after(&[(0, 0, 1024)]), (None, 0), "even one that opens its segment");
        assert_eq!(after(&[(0, 0, 512), (512, 512, 1024), (1536, 1536, 512)]), (Some(1536), 512));
    }

    #[test]
    fn what_is_kept_leads_up_to_where_writing_goes_on() {
        let mut merge = Merge::new(1 << 20);
        merge.add(batch(0, 0, 512));
        assert_eq!(merge.clone().ending_at(Lsn(512)).start(), Some(Lsn(0)));
        assert_eq!(merge.ending_at(Lsn(1024)).start(), None);
    }
}
