//! Makes a lost index part, or a lost footer, again from the blocks that a walk meets.
//!
//! [`Rebuilding`] makes of them a section with an index part and a filter part, in which a key that may have been in a lost
//! stretch leads there, and so to damage.
//!
//! Invariants: no key is absent that may have been lost. What was made again is kept by whoever asked for it; it is nowhere in
//! the file, and its places have no bytes.

use docdb_protocol::{CollectionId, TxId};

use super::block::BlockView;
use super::builder::fences;
use super::entry::Version;
use super::filter::{self, FilterPart, KeyHash};
use super::footer::{Counts, DamagedRange, Footer, Job, Section};
use super::index::{IndexPart, IndexWriter};
use super::key::Key;
use super::part::{PartKind, PartPlace, TableIdentity};

/// A section that was made again from its blocks.
#[derive(Clone, Debug)]
pub struct RebuiltSection {
    /// As a footer has it. The places of its parts have no bytes: they are nowhere in the file.
    pub section: Section,
    /// Its index part.
    pub index: IndexPart,
    /// Its filter part; `None` where some of its blocks are lost, so that any key may be meant.
    pub filter: Option<FilterPart>,
}

/// Gathers what a [`super::Walk`] meets.
#[derive(Clone, Debug)]
pub struct Rebuilding {
    first_key: Box<[u8]>,
    last_key: Box<[u8]>,
    index: IndexWriter,
    hashes: Vec<KeyHash>,
    /// The last key that was met.
    before: Option<Box<[u8]>>,
    lost: Option<u64>,
    has_lost: bool,
    from: Option<u64>,
    to: u64,
    counts: Counts,
}

/// What was made of a stretch.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Between the fences that were given.
    pub section: RebuiltSection,
    /// Of the blocks that are left.
    pub counts: Counts,
    /// Whether a part of it is lost: then some keys answer *damaged*.
    pub has_lost: bool,
}

impl Rebuilding {
    /// For blocks whose keys lie between these, which the footer or the metadata names.
    #[must_use]
    pub fn new(first_key: &[u8], last_key: &[u8]) -> Rebuilding {
        Rebuilding {
            first_key: first_key.into(),
            last_key: last_key.into(),
            index: IndexWriter::default(),
            hashes: Vec::new(),
            before: None,
            lost: None,
            has_lost: false,
            from: None,
            to: 0,
            counts: Counts::default(),
        }
    }

    /// A block that the walk met.
    pub fn block(&mut self, offset: u64, bytes: u32, block: &BlockView<'_>) {
        let first = block.key(0).unwrap_or_default();
        let is_next = self.before.as_deref().is_none_or(|before| before < first);
        if self.before.is_none() && *self.first_key < *first {
            // The walk began behind the first block.
            self.lost.get_or_insert(offset.saturating_sub(1));
        }
        if !is_next || !block.is_within(&self.first_key, &self.last_key) {
            self.lost(offset, offset + u64::from(bytes));
            return;
        }
        if self.close_lost(Some(first)) {
            self.index.add_whole(first, offset);
        } else {
            self.index.add(first, self.before.as_deref(), offset);
        }
        self.from.get_or_insert(offset);
        self.to = self.to.max(offset + u64::from(bytes));
        for entry in (0..block.len()).filter_map(|index| block.entry(index).ok()) {
            self.hashes.push(KeyHash::of(entry.key));
            match entry.version {
                Version::Value { document, .. } => {
                    self.counts.values += 1;
                    self.counts.document_bytes += document.len() as u64;
                }
                Version::Tombstone => self.counts.tombstones += 1,
                Version::Damaged { .. } => self.counts.damaged += 1,
            }
        }
        self.before = block.key(block.len() - 1).ok().map(Box::from);
    }

    /// A stretch without a whole part.
    pub fn lost(&mut self, from: u64, to: u64) {
        self.lost.get_or_insert(from);
        self.to = self.to.max(to);
    }

    /// Keys between the last block and the next one lead to the lost stretch between the two, if there is one.
    fn close_lost(&mut self, next: Option<&[u8]>) -> bool {
        let Some(start) = self.lost.take() else { return false };
        let behind = self.before.as_deref().and_then(Key::directly_behind);
        let separator = behind.as_deref().unwrap_or(&self.first_key).to_vec();
        let end = next.unwrap_or(&self.last_key);
        // Of the last stretch the last key may be meant too.
        let holds_keys = if next.is_some() { *separator < *end } else { *separator <= *end };
        if holds_keys {
            self.has_lost = true;
            self.index.add_whole(&separator, start);
            self.from.get_or_insert(start);
        }
        holds_keys
    }

    /// What was lost, made again.
    ///
    /// # Panics
    /// When blocks were not given in the order of the file.
    #[must_use]
    pub fn finish(mut self) -> Rebuilt {
        if self.before.as_deref().is_none_or(|before| *before < *self.last_key) {
            // The walk ended before the last block. A byte behind everything stands for it.
            self.lost.get_or_insert(self.to);
            self.to += 1;
        }
        self.close_lost(None);
        let blocks_from = self.from.expect("a block was met, or one is lost");
        let body = self.index.encode(self.to).into();
        let index = IndexPart::of_body(body).expect("blocks and lost stretches are in order");
        let filter = if self.has_lost { None } else { FilterPart::of_body(filter::encode(&self.hashes).into()) };
        let place = |kind: PartKind| PartPlace { kind, offset: blocks_from, bytes: 0 };
        let section = Section {
            first_key: self.first_key,
            last_key: self.last_key,
            keys: u32::try_from(self.hashes.len()).unwrap_or(u32::MAX),
            blocks_from,
            blocks_to: self.to,
            index: place(PartKind::Index),
            filter: place(PartKind::Filter),
        };
        let section = RebuiltSection { section, index, filter };
        Rebuilt { section, counts: self.counts, has_lost: self.has_lost }
    }
}

impl Footer {
    /// The footer of a table whose own is lost, from what was made of its whole file and what live metadata says of it. Where
    /// it had damaged ranges, which are lost with the footer, every key that is not there may be meant by one.
    #[must_use]
    pub fn rebuilt(
        identity: TableIdentity,
        rebuilt: &Rebuilt,
        first_tx: TxId,
        last_tx: TxId,
        had_damaged_ranges: bool,
    ) -> Footer {
        let sections = vec![rebuilt.section.section.clone()];
        let (first_key, last_key) = fences(&sections, &[]);
        let everything =
            DamagedRange { first_key: first_key.clone(), last_key: last_key.clone(), newest: last_tx, filter: None };
        Footer {
            identity,
            generation: 0,
            first_key,
            last_key,
            first_tx,
            last_tx,
            counts: rebuilt.counts,
            job: Job::default(),
            next_collection: CollectionId(0),
            collections: None,
            sections,
            damaged_ranges: if had_damaged_ranges { vec![everything] } else { Vec::new() },
            is_writable: true,
        }
    }
}
