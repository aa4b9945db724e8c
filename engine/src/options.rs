//! The settings of an engine. Each has a default that is fit for production.

use crate::log::DirectoryId;
use crate::table::BuilderOptions;

/// The settings of one engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// A log segment is full at this many bytes; one larger batch may exceed it.
    pub segment_bytes_max: u64,
    /// The first segment of an opening is this long; each later one doubles up to the limit.
    pub segment_bytes_min: u64,
    /// A disk without room for a whole segment gets smaller ones, down to this or to the first segment's length; one with less
    /// is full. Files in between would be so many that their names alone weigh more than what is in them.
    pub segment_bytes_smallest: u64,
    /// One operation zero-fills at most so much of a segment that is prepared ahead of need.
    pub spare_piece_bytes: u64,
    /// An opening writes the last segments again as one, as long as they hold no more bytes of log than
    /// this together: many short sessions leave few files. Zero leaves all of them as they are.
    pub merge_bytes_max: u64,
    /// An opening reads, and works on, so many bytes of log at a time: between two slices everybody else has a turn.
    pub replay_slice_bytes: u32,
    /// The catalog's journal takes so many bytes at least, before the catalog is written anew; more when the catalog itself is
    /// longer.
    pub catalog_journal_bytes_min: u64,
    /// A batch takes no further transaction beyond this many bytes.
    pub batch_bytes_max: usize,
    /// Where several wait for a batch, the next one waits for them to ask again, for at most so many nanoseconds and a
    /// quarter of what the batch took; zero for not at all.
    pub gather_ns_max: u64,
    /// New documents are refused beyond this many bytes in memory, of all databases together.
    pub memory_bytes_max: u64,
    /// Requests that may wait in the engine.
    pub pending_requests_max: usize,
    /// Bytes of requests that may wait in the engine.
    pub pending_bytes_max: usize,
    /// Entries of one node of the map of documents at most; at least four.
    pub map_fanout: usize,
    /// Names in one page of a directory's listing.
    pub listed_names_max: u32,
    /// How long after the last batch its durability is proven by a record of its own, in nanoseconds.
    pub watermark_delay_ns: u64,
    /// A checkpoint is due once the log is so much longer than it was at the last one; where the tables are longer than this, once
    /// it is as much longer as they are, so that writing them costs no more than writing the log did.
    pub checkpoint_log_bytes: u64,
    /// Whether a checkpoint is made whenever it is due, or by command alone.
    pub checkpoints_automatic: bool,
    /// Of the segments that a checkpoint makes superfluous, so many of the last ones stay.
    pub segments_kept: usize,
    /// How tables are divided.
    pub table: BuilderOptions,
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// What a data directory is called that is made: random, and never zero in production.
    pub new_directory: DirectoryId,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes_max: 64 * 1024 * 1024,
            segment_bytes_min: 256 * 1024,
            segment_bytes_smallest: 64 * 1024,
            spare_piece_bytes: 1024 * 1024,
            merge_bytes_max: 256 * 1024,
            replay_slice_bytes: 256 * 1024,
            catalog_journal_bytes_min: 64 * 1024,
            batch_bytes_max: 4 * 1024 * 1024,
            gather_ns_max: 1_000_000,
            memory_bytes_max: 4 * 1024 * 1024 * 1024,
            pending_requests_max: docdb_protocol::limits::PENDING_REQUESTS_MAX,
            pending_bytes_max: docdb_protocol::limits::PENDING_BYTES_MAX,
            map_fanout: 16,
            listed_names_max: 1024,
            watermark_delay_ns: 50_000_000,
            checkpoint_log_bytes: 64 * 1024 * 1024,
            checkpoints_automatic: true,
            segments_kept: 0,
            table: BuilderOptions::default(),
            seed: 0,
            new_directory: DirectoryId(1),
        }
    }
}
