//! The footer: what a table says of itself, and where its parts stand.
//!
//! It is read once, and kept while the table is in use. Everything else is found through it.
//!
//! Invariants: sections ascend and share no key; so do damaged ranges. The table's key range covers both, and so do its
//! TxIds. A footer whose checksum is right and which breaks one of these rules is damage.

use docdb_protocol::{CollectionId, TxId};

use super::part::{PartKind, PartPlace, TableIdentity};

/// Sections of a table; a table that has so many is full.
pub(super) const SECTIONS_MAX: usize = 16 * 1024;

/// Damaged ranges of a table; a table that has so many is full.
pub(super) const DAMAGED_RANGES_MAX: usize = 1024;

/// Inputs of a job, and its outputs.
pub(super) const JOB_TABLES_MAX: usize = 64 * 1024;

/// Where a table's footer stands, as the metadata names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterPlace {
    /// The first byte.
    pub offset: u64,
    /// How much to read.
    pub bytes: u32,
    /// The checksum that it begins with.
    pub crc32: u32,
}

impl FooterPlace {
    /// As a part among the others.
    #[must_use]
    pub fn part(&self) -> PartPlace {
        PartPlace { kind: PartKind::Footer, offset: self.offset, bytes: self.bytes }
    }
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Documents.
    pub values: u64,
    /// Deletions.
    pub tombstones: u64,
    /// Documents whose bytes are lost.
    pub damaged: u64,
    /// The bytes of all documents together.
    pub document_bytes: u64,
}

/// The job that wrote a table. Its outputs count only when all of them are there, and then its inputs do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The numbers of the tables that it replaces; none of a checkpoint.
    pub inputs: Vec<u64>,
    /// The numbers of the tables that it wrote before this one.
    pub outputs_before: Vec<u64>,
    /// Whether this is the last one.
    pub is_last_output: bool,
}

/// A run of blocks with an index part and a filter part of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The smallest key of its blocks. A block with a smaller one is damage.
    pub first_key: Box<[u8]>,
    /// The largest key of its blocks.
    pub last_key: Box<[u8]>,
    /// How many keys it has.
    pub keys: u32,
    /// Where its first block begins.
    pub blocks_from: u64,
    /// Where its last block ends.
    pub blocks_to: u64,
    /// The index part.
    pub index: PartPlace,
    /// The filter part.
    pub filter: PartPlace,
}

/// Keys of which it is not known what they hold. It hides what is deeper than this table and not above `newest`.
///
/// An entry of the same table in the range is not hidden: it is newer, or the range's filter says that it is not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The first key that may be meant.
    pub first_key: Box<[u8]>,
    /// The last key that may be meant.
    pub last_key: Box<[u8]>,
    /// The newest transaction that may have written one of them.
    pub newest: TxId,
    /// The filter of what was there; without one, every key may be meant.
    pub filter: Option<PartPlace>,
}

/// What a table says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Whose checksums it has.
    pub identity: TableIdentity,
    /// The generation of the metadata that installed it first.
    pub generation: u64,
    /// The smallest key of its entries and damaged ranges.
    pub first_key: Box<[u8]>,
    /// The largest.
    pub last_key: Box<[u8]>,
    /// The oldest transaction of its entries and damaged ranges.
    pub first_tx: TxId,
    /// The newest.
    pub last_tx: TxId,
    /// What it holds.
    pub counts: Counts,
    /// Who wrote it.
    pub job: Job,
    /// The id that the next collection gets.
    pub next_collection: CollectionId,
    /// The list of collections; a table that was made again from its blocks has none.
    pub collections: Option<PartPlace>,
    /// In the order of their keys.
    pub sections: Vec<Section>,
    /// In the order of their keys.
    pub damaged_ranges: Vec<DamagedRange>,
    /// Whether a later version asked for nothing that a writer must know.
    pub is_writable: bool,
}

impl Footer {
    /// The section whose fences a key lies in.
    #[must_use]
    pub fn section_of(&self, key: &[u8]) -> Option<usize> {
        let index = self.sections.partition_point(|section| *section.last_key < *key);
        self.sections.get(index).filter(|section| *section.first_key <= *key).map(|_| index)
    }

    /// The damaged range that covers a key.
    #[must_use]
    pub fn damaged_range_of(&self, key: &[u8]) -> Option<usize> {
        let index = self.damaged_ranges.partition_point(|range| *range.last_key < *key);
        self.damaged_ranges.get(index).filter(|range| *range.first_key <= *key).map(|_| index)
    }

    /// What index and filter parts take together.
    #[must_use]
    pub fn lookup_bytes(&self) -> u64 {
        let of_section = |section: &Section| u64::from(section.index.bytes) + u64::from(section.filter.bytes);
        self.sections.iter().map(of_section).sum()
    }

    /// The memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let sections = self.sections.iter().map(|section| section.first_key.len() + section.last_key.len());
        let ranges = self.damaged_ranges.iter().map(|range| range.first_key.len() + range.last_key.len());
        let keys = sections.chain(ranges).sum::<usize>() + self.first_key.len() + self.last_key.len();
        let tables = 8 * (self.job.inputs.len() + self.job.outputs_before.len());
        let lists = self.sections.len() * size_of::<Section>() + self.damaged_ranges.len() * size_of::<DamagedRange>();
        size_of::<Footer>() + keys + tables + lists
    }

    /// Whether the rules above hold.
    pub(super) fn is_consistent(&self) -> bool {
        let sections = self.sections.iter().map(|section| (&*section.first_key, &*section.last_key));
        let ranges = self.damaged_ranges.iter().map(|range| (&*range.first_key, &*range.last_key));
        let (has_sections, has_ranges) = (!self.sections.is_empty(), !self.damaged_ranges.is_empty());
        let blocks = self.sections.iter().map(|section| (section.blocks_from, section.blocks_to));
        let newest = self.damaged_ranges.iter().map(|range| range.newest).max();
        (has_sections || has_ranges)
            && self.are_in_order(sections)
            && self.are_in_order(ranges)
            && blocks.clone().all(|(from, to)| from < to)
            && blocks.clone().zip(blocks.skip(1)).all(|((_, end), (next, _))| end <= next)
            && self.first_tx <= self.last_tx
            && newest <= Some(self.last_tx)
    }

    /// Whether pairs of keys ascend, share none, and lie within the table's.
    fn are_in_order<'keys>(&self, pairs: impl Iterator<Item = (&'keys [u8], &'keys [u8])>) -> bool {
        let mut before = None;
        for (first, last) in pairs {
            let is_within = *self.first_key <= *first && first <= last && *last <= *self.last_key;
            if !is_within || before.is_some_and(|before| before >= first) {
                return false;
            }
            before = Some(last);
        }
        true
    }
}
