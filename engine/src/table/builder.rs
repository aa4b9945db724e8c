//! Builds a table: is fed entries in the order of their keys, and gives the pieces of its file in their order.
//!
//! ```text
//! builder = Builder::new(..)
//! while there are entries and !builder.is_full():  builder.push(entry); write every builder.take_piece()
//! built = builder.finish(..);                      write built.pieces
//! sync;  write VERIFIED_SECTOR at each of built.flags;  sync
//! ```
//!
//! A document is copied once, into the piece that is written (of a compressed block, into the buffer that is compressed).
//! Beside the pieces that nobody has taken yet, a builder holds one unfinished frame, of each key its hash until the section
//! ends, and three bytes a document of index and filter.
//!
//! Invariants: keys ascend strictly. A piece is a frame with its flag unset, and a frame is as long as the options say, or
//! as one document is. No flag is set here: what a flag says is true only after a sync.

use std::collections::VecDeque;

use docdb_protocol::{CollectionId, TxId};

use super::block;
use super::codec::{self, Compression};
use super::collections::{self, TableCollection};
use super::entry::{Entry, Version};
use super::filter::{self, FilterPart, KeyHash};
use super::footer::{Counts, DAMAGED_RANGES_MAX, DamagedRange, Footer, FooterPlace, Job, SECTIONS_MAX, Section};
use super::footer_bytes;
use super::frame::{self, FRAME_SECTOR_BYTES};
use super::header;
use super::index::IndexWriter;
use super::key::KEY_BYTES_MAX;
use super::options::BuilderOptions;
use super::part::{self, PartKind, PartPlace, TableIdentity};
use crate::log::DirectoryId;

/// Bytes of the file, to be written where they belong.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where the first byte goes: where the piece before it ends.
    pub offset: u64,
    /// Whole sectors.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Piece({} bytes at {})", self.bytes.len(), self.offset)
    }
}

/// What is known of a table only when it ends.
#[derive(Clone, Debug)]
pub struct Closing<'lists> {
    /// Of the metadata that will install it.
    pub generation: u64,
    /// Who writes it.
    pub job: Job,
    /// The id that the next collection gets.
    pub next_collection: CollectionId,
    /// The collections of the database, in the order of their ids.
    pub collections: &'lists [TableCollection],
}

/// A table that is finished.
#[derive(Clone, Debug)]
pub struct Built {
    /// The pieces that nobody has taken yet, in their order.
    pub pieces: VecDeque<Piece>,
    /// Where a [`super::VERIFIED_SECTOR`] is to be written once all pieces are durable.
    pub flags: Vec<u64>,
    /// The length of the file.
    pub file_bytes: u64,
    /// Where its footer stands, for the metadata.
    pub footer_place: FooterPlace,
    /// What it says.
    pub footer: Footer,
}

/// The block that entries are appended to.
#[derive(Clone, Debug, Default)]
struct OpenBlock {
    /// Where its part begins within the frame, unless it is compressed.
    start: usize,
    /// Of each entry.
    offsets: Vec<u32>,
    /// What it holds, when it is to be compressed.
    raw: Vec<u8>,
    entries_bytes: usize,
    first_key: Vec<u8>,
    /// The last key of the block before, in the same section.
    before: Option<Vec<u8>>,
}

/// The section that blocks are added to.
#[derive(Clone, Debug, Default)]
struct OpenSection {
    first_key: Vec<u8>,
    hashes: Vec<KeyHash>,
    index: IndexWriter,
    blocks_from: u64,
    blocks_to: u64,
}

/// A section whose parts wait for their place behind all blocks.
#[derive(Clone, Debug)]
struct ClosedSection {
    first_key: Box<[u8]>,
    last_key: Box<[u8]>,
    keys: u32,
    blocks_from: u64,
    blocks_to: u64,
    index: Vec<u8>,
    filter: Vec<u8>,
}

/// A table that is being written.
#[derive(Clone, Debug)]
pub struct Builder {
    options: BuilderOptions,
    identity: TableIdentity,
    pieces: VecDeque<Piece>,
    flags: Vec<u64>,
    frame: Vec<u8>,
    frame_offset: u64,
    block: OpenBlock,
    section: OpenSection,
    sections: Vec<ClosedSection>,
    ranges: Vec<(DamagedRange, Option<FilterPart>)>,
    last_key: Option<Vec<u8>>,
    counts: Counts,
    first_tx: TxId,
    last_tx: TxId,
}

impl Builder {
    /// Begins a table, whose header is its first piece.
    #[must_use]
    pub fn new(directory: DirectoryId, identity: TableIdentity, options: BuilderOptions) -> Builder {
        let header = header::encode(directory, identity);
        let frame_offset = header.len() as u64;
        Builder {
            options,
            identity,
            pieces: VecDeque::from([Piece { offset: 0, bytes: header }]),
            flags: Vec::new(),
            frame: Vec::new(),
            frame_offset,
            block: OpenBlock::default(),
            section: OpenSection::default(),
            sections: Vec::new(),
            ranges: Vec::new(),
            last_key: None,
            counts: Counts::default(),
            first_tx: TxId(u64::MAX),
            last_tx: TxId(0),
        }
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// When its key is not above the one before, or no key's length.
    pub fn push(&mut self, entry: &Entry<'_>) {
        assert!((1..=KEY_BYTES_MAX).contains(&entry.key.len()), "a key has a key's length");
        let ascends = self.last_key.as_deref().is_none_or(|last| last < entry.key);
        assert!(ascends, "a table holds one version a key, in the order of keys");
        let bytes = self.block.entries_bytes + entry.bytes() + block::list_bytes(self.block.offsets.len() + 1);
        if !self.block.offsets.is_empty() && bytes > self.options.block_bytes + self.options.block_bytes / 4 {
            self.close_block();
        }
        if self.block.offsets.is_empty() {
            self.open_block(entry.key);
        }
        self.block
            .offsets
            .push(u32::try_from(self.block.entries_bytes).expect("a block is as long as a document at most"));
        self.block.entries_bytes += entry.bytes();
        match self.options.compression {
            Compression::None => entry.append(&mut self.frame),
            Compression::Lz4 => entry.append(&mut self.block.raw),
        }
        self.section.hashes.push(KeyHash::of(entry.key));
        let last_key = self.last_key.get_or_insert_default();
        last_key.clear();
        last_key.extend_from_slice(entry.key);
        self.first_tx = self.first_tx.min(entry.tx);
        self.last_tx = self.last_tx.max(entry.tx);
        match entry.version {
            Version::Value { document, .. } => {
                self.counts.values += 1;
                self.counts.document_bytes += document.len() as u64;
            }
            Version::Tombstone => self.counts.tombstones += 1,
            Version::Damaged { .. } => self.counts.damaged += 1,
        }
    }

    /// Adds a damaged range. Entries of keys in it may be pushed too where they are newer than the range, or where its filter
    /// says that they are not meant.
    ///
    /// # Panics
    /// When it is not behind the one before, or is none.
    pub fn push_damaged_range(&mut self, first_key: &[u8], last_key: &[u8], newest: TxId, filter: Option<&FilterPart>) {
        let ascends = self.ranges.last().is_none_or(|(before, _)| *before.last_key < *first_key);
        assert!(ascends && first_key <= last_key && last_key.len() <= KEY_BYTES_MAX, "damaged ranges ascend");
        let range = DamagedRange { first_key: first_key.into(), last_key: last_key.into(), newest, filter: None };
        self.ranges.push((range, filter.cloned()));
        self.first_tx = self.first_tx.min(newest);
        self.last_tx = self.last_tx.max(newest);
    }

    /// Whether the table should end here, and what follows go into the next one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frame_offset + self.frame.len() as u64 >= self.options.table_bytes
            || self.sections.len() + 1 >= SECTIONS_MAX
            || self.ranges.len() >= DAMAGED_RANGES_MAX
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last_key.is_none() && self.ranges.is_empty()
    }

    /// Whether a piece is whole that nobody has taken yet.
    #[must_use]
    pub fn has_piece(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// The next piece of the file, if one is whole.
    pub fn take_piece(&mut self) -> Option<Piece> {
        self.pieces.pop_front()
    }

    fn open_block(&mut self, first_key: &[u8]) {
        if self.frame.is_empty() {
            frame::begin(&mut self.frame);
        }
        let block_offset = self.frame_offset + self.frame.len() as u64;
        if self.section.index.is_empty() {
            self.section.first_key = first_key.to_vec();
            self.section.blocks_from = block_offset;
            self.block.before = None;
        } else {
            self.block.before.clone_from(&self.last_key);
        }
        self.block.first_key.clear();
        self.block.first_key.extend_from_slice(first_key);
        if self.options.compression == Compression::None {
            self.block.start = part::begin(&mut self.frame);
        }
    }

    fn close_block(&mut self) {
        let raw_bytes = self.block.entries_bytes + block::list_bytes(self.block.offsets.len());
        let (start, codec) = match self.options.compression {
            Compression::None => {
                block::append_list(&self.block.offsets, &mut self.frame);
                (self.block.start, Compression::None)
            }
            Compression::Lz4 => {
                block::append_list(&self.block.offsets, &mut self.block.raw);
                let start = part::begin(&mut self.frame);
                (start, codec::compress(&self.block.raw, &mut self.frame))
            }
        };
        let offset = self.frame_offset + start as u64;
        let place = part::finish(self.identity, PartKind::Block, codec, raw_bytes, offset, &mut self.frame[start..]);
        self.section.index.add(&self.block.first_key, self.block.before.as_deref(), offset);
        self.section.blocks_to = offset + u64::from(place.bytes);
        self.block.offsets.clear();
        self.block.raw.clear();
        self.block.entries_bytes = 0;
        if self.section.hashes.len() >= self.options.section_keys {
            self.close_section();
        }
        if self.frame.len() >= self.options.frame_bytes {
            self.close_frame(&[]);
        }
    }

    fn close_section(&mut self) {
        let section = std::mem::take(&mut self.section);
        self.sections.push(ClosedSection {
            first_key: section.first_key.into(),
            last_key: self.last_key.as_deref().expect("a section has keys").into(),
            keys: u32::try_from(section.hashes.len()).expect("a section is bounded"),
            blocks_from: section.blocks_from,
            blocks_to: section.blocks_to,
            index: section.index.encode(section.blocks_to),
            filter: filter::encode(&section.hashes),
        });
    }

    fn close_frame(&mut self, trailer: &[u8]) {
        let mut bytes = Vec::with_capacity(self.options.frame_bytes + 2 * self.options.block_bytes);
        std::mem::swap(&mut bytes, &mut self.frame);
        frame::finish(self.identity, self.frame_offset, trailer, &mut bytes);
        let offset = self.frame_offset;
        self.frame_offset += bytes.len() as u64;
        self.flags.push(self.frame_offset - FRAME_SECTOR_BYTES as u64);
        self.pieces.push_back(Piece { offset, bytes });
    }

    /// Ends the table.
    ///
    /// # Panics
    /// When nothing was pushed: a table that holds nothing is not written.
    #[must_use]
    pub fn finish(mut self, closing: Closing<'_>) -> Built {
        assert!(!self.is_empty(), "a table holds something");
        if !self.block.offsets.is_empty() {
            self.close_block();
        }
        if !self.section.index.is_empty() {
            self.close_section();
        }
        if !self.frame.is_empty() {
            self.close_frame(&[]);
        }
        frame::begin(&mut self.frame);
        let sections: Vec<Section> =
            std::mem::take(&mut self.sections).into_iter().map(|section| self.append_section(section)).collect();
        let damaged_ranges = self.append_ranges();
        let collections = self.append_part(PartKind::Collections, &collections::encode(closing.collections));
        let (first_key, last_key) = fences(&sections, &damaged_ranges);
        let footer = Footer {
            identity: self.identity,
            generation: closing.generation,
            first_key,
            last_key,
            first_tx: self.first_tx,
            last_tx: self.last_tx,
            counts: self.counts,
            job: closing.job,
            next_collection: closing.next_collection,
            collections: Some(collections),
            sections,
            damaged_ranges,
            is_writable: true,
        };
        assert!(footer.is_consistent(), "a footer is written as it is read");
        let start = self.frame.len();
        let place = self.append_part(PartKind::Footer, &footer_bytes::encode(&footer));
        let crc32 = u32::from_le_bytes(*self.frame[start..].first_chunk().expect("a part has a header"));
        self.close_frame(&footer_bytes::trailer(place));
        Built {
            pieces: self.pieces,
            flags: self.flags,
            file_bytes: self.frame_offset,
            footer_place: FooterPlace { offset: place.offset, bytes: place.bytes, crc32 },
            footer,
        }
    }

    fn append_part(&mut self, kind: PartKind, body: &[u8]) -> PartPlace {
        let start = part::begin(&mut self.frame);
        self.frame.extend_from_slice(body);
        let offset = self.frame_offset + start as u64;
        part::finish(self.identity, kind, Compression::None, body.len(), offset, &mut self.frame[start..])
    }

    fn append_section(&mut self, section: ClosedSection) -> Section {
        let filter = self.append_part(PartKind::Filter, &section.filter);
        let index = self.append_part(PartKind::Index, &section.index);
        let ClosedSection { first_key, last_key, keys, blocks_from, blocks_to, .. } = section;
        Section { first_key, last_key, keys, blocks_from, blocks_to, index, filter }
    }

    /// Ranges that follow one another and have the same filter share its part.
    fn append_ranges(&mut self) -> Vec<DamagedRange> {
        let mut last: Option<(FilterPart, PartPlace)> = None;
        let mut damaged_ranges = Vec::new();
        for (mut range, filter) in std::mem::take(&mut self.ranges) {
            range.filter = filter.map(|filter| match last.take() {
                Some((same, place)) if same == filter => last.insert((same, place)).1,
                Some(_) | None => {
                    let place = self.append_part(PartKind::Filter, filter.body());
                    last.insert((filter, place)).1
                }
            });
            damaged_ranges.push(range);
        }
        damaged_ranges
    }
}

/// The smallest and the largest key of all.
pub(super) fn fences(sections: &[Section], ranges: &[DamagedRange]) -> (Box<[u8]>, Box<[u8]>) {
    let of_sections = sections.iter().map(|section| (&section.first_key, &section.last_key));
    let of_ranges = ranges.iter().map(|range| (&range.first_key, &range.last_key));
    let all = of_sections.chain(of_ranges);
    let first = all.clone().map(|(first, _)| first).min();
    let last = all.map(|(_, last)| last).max();
    let key = |key: Option<&Box<[u8]>>| key.expect("a table holds something").clone();
    (key(first), key(last))
}
