//! Goes through the entries of one table, in either direction, between bounds.
//!
//! ```text
//! for each section between the bounds:  its index (lost: the section is damaged)
//!   for each stretch of its blocks:     their bytes
//!     for each block:                   its entries (lost: its keys are damaged)
//! ```
//!
//! Invariants: keys ascend, or descend. Keys of which it cannot be said what they hold come as [`ScanStep::Damaged`], each
//! stretch of them once, not behind an entry that follows them; nothing is left out in silence. A stretch is read in one piece, into a buffer
//! that is used again; entries borrow from it, and are not copied.
//!
//! A scan looks at every entry of a block once, when it opens it. It needs no filter: who merges tables asks the filters of
//! damaged keys.

use std::ops::Range;
use std::sync::Arc;

use super::bounds::{Bounds, DamagedKeys, Direction, End};
use super::lookup::Damage;
use super::part::Part;
use crate::table::{
    BlockBody, BlockView, Entry, Footer, IndexPart, Key, PartError, PartKind, PartPlace, Section, open_whole,
};

/// What a scan says.
#[derive(Clone, Debug)]
pub enum ScanStep<'scan> {
    /// It needs the bytes there: an index part decoded, or blocks as they were read, several in one piece.
    Need(PartPlace),
    /// The next entry.
    Entry(Entry<'scan>),
    /// Keys of which it cannot be said what they hold.
    Damaged(Box<DamagedKeys>),
    /// A later version wrote what is needed. The scan does not go on.
    Newer(PartPlace),
    /// There is no more.
    End,
}

/// A scan under way.
#[derive(Clone, Debug)]
pub struct Scan {
    bounds: Bounds,
    direction: Direction,
    stretch_bytes: u32,
    state: State,
    /// Damaged ranges that were not named yet.
    ranges: Range<usize>,
    buffer: Vec<u8>,
    buffer_offset: u64,
    /// The block that is open, when it was compressed.
    raw: Vec<u8>,
}

/// Where a scan is.
#[derive(Clone, Debug)]
enum State {
    Begin,
    /// Waits for the index part of a section.
    Index {
        section: usize,
    },
    /// The index part was lost.
    IndexLost {
        section: usize,
    },
    /// Waits for the bytes of the blocks `stretch`, of those that are left.
    Stretch(InSection, Range<usize>, PartPlace),
    /// Opens the next block of the stretch that is in the buffer.
    Opening(InSection, Range<usize>),
    /// Goes through the entries that are left of the block that is open.
    Entries(InSection, Range<usize>, BlockBody, Range<usize>),
    /// Only damaged ranges are left to be named.
    Ending,
    Newer(PartPlace),
}

/// A section whose index is known.
#[derive(Clone, Debug)]
struct InSection {
    section: usize,
    index: Arc<IndexPart>,
    /// The blocks that were not read yet.
    blocks: Range<usize>,
}

impl Scan {
    /// Begins at one of the bounds. Blocks are read in pieces of about `stretch_bytes`.
    #[must_use]
    pub fn new(bounds: Bounds, direction: Direction, stretch_bytes: u32) -> Scan {
        Scan {
            bounds,
            direction,
            stretch_bytes,
            state: State::Begin,
            ranges: 0..0,
            buffer: Vec::new(),
            buffer_offset: 0,
            raw: Vec::new(),
        }
    }

    /// A buffer for the bytes that [`ScanStep::Need`] asked for: the one of the last stretch, empty.
    #[must_use]
    pub fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer
    }

    /// The bytes of the blocks that were needed. Fewer, as where the file ends, are damage.
    ///
    /// # Panics
    /// When no blocks were needed.
    pub fn feed_blocks(&mut self, bytes: Vec<u8>) {
        let State::Stretch(within, stretch, place) = self.take_state() else { panic!("no blocks were needed") };
        self.buffer = bytes;
        self.buffer_offset = place.offset;
        self.state = State::Opening(within, stretch);
    }

    /// The index part that was needed.
    ///
    /// # Panics
    /// When none was needed, or it is another part.
    pub fn feed_index(&mut self, footer: &Footer, part: &Part) {
        let State::Index { section } = self.take_state() else { panic!("no index part was needed") };
        self.state = match part {
            Part::Index(index) => {
                let blocks = self.wanted(index);
                State::Opening(InSection { section, index: Arc::clone(index), blocks }, 0..0)
            }
            Part::Damaged => State::IndexLost { section },
            Part::Newer => State::Newer(footer.sections[section].index),
            Part::Footer(_) | Part::Filter(_) | Part::Block(_) => panic!("an index part was needed"),
        };
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Ending)
    }

    /// The blocks of a section that may have keys between the bounds.
    fn wanted(&self, index: &IndexPart) -> Range<usize> {
        let first = index.find(&self.bounds.from).unwrap_or(0);
        let end = match &self.bounds.before {
            Some(before) => index.find(before).map_or(0, |last| last + 1),
            None => index.len(),
        };
        first..end.max(first)
    }

    /// What is next in the table of this footer.
    pub fn step(&mut self, footer: &Footer) -> ScanStep<'_> {
        loop {
            match self.take_state() {
                State::Begin => self.begin(footer),
                State::Index { section } => {
                    self.state = State::Index { section };
                    return ScanStep::Need(footer.sections[section].index);
                }
                State::IndexLost { section } => {
                    self.go_to_section(footer, self.next_section(section));
                    let Section { first_key, last_key, index, filter, .. } = &footer.sections[section];
                    let damage = Damage { place: Some(*index), newest: footer.last_tx };
                    return damaged(key(first_key), End::With(key(last_key)), damage, Some(*filter));
                }
                State::Stretch(within, stretch, place) => {
                    self.state = State::Stretch(within, stretch, place);
                    return ScanStep::Need(place);
                }
                State::Opening(within, mut stretch) => {
                    let Some(block) = next(self.direction, &mut stretch) else {
                        self.go_to_stretch(footer, within);
                        continue;
                    };
                    match self.open(footer, &within, block) {
                        Ok((body, entries)) => self.state = State::Entries(within, stretch, body, entries),
                        Err(PartError::Newer) => self.state = State::Newer(within.index.place(block)),
                        Err(PartError::Damaged) => {
                            let step = lost_block(footer, &within, block);
                            self.state = State::Opening(within, stretch);
                            return step;
                        }
                    }
                }
                State::Entries(within, stretch, body, mut entries) => {
                    let left = entries.clone();
                    let Some(at) = next(self.direction, &mut entries) else {
                        self.state = State::Opening(within, stretch);
                        continue;
                    };
                    // Twice, since the first look must end before the state changes; both only compare lengths.
                    let key = view(&self.buffer, &self.raw, &body).key(at).unwrap_or_default();
                    if let Some(range) = next_range(footer, self.direction, &mut self.ranges, Some(key)) {
                        self.state = State::Entries(within, stretch, body, left);
                        return range;
                    }
                    let entry =
                        view(&self.buffer, &self.raw, &body).entry(at).expect("it was seen when the block was opened");
                    self.state = State::Entries(within, stretch, body, entries);
                    return ScanStep::Entry(entry);
                }
                State::Ending => {
                    let range = next_range(footer, self.direction, &mut self.ranges, None);
                    return range.unwrap_or(ScanStep::End);
                }
                State::Newer(place) => {
                    self.state = State::Newer(place);
                    return ScanStep::Newer(place);
                }
            }
        }
    }

    fn begin(&mut self, footer: &Footer) {
        let Bounds { from, before } = &self.bounds;
        let ranges = &footer.damaged_ranges;
        let first = ranges.partition_point(|range| *range.last_key < **from);
        let end = before.map_or(ranges.len(), |before| ranges.partition_point(|range| *range.first_key < *before));
        self.ranges = first..end.max(first);
        let section = match self.direction {
            Direction::Forward => footer.sections.partition_point(|section| *section.last_key < **from),
            Direction::Backward => {
                let end = |before: Key| footer.sections.partition_point(|section| *section.first_key < *before);
                // Of no section at all the index is none either.
                before.map_or(footer.sections.len(), end).wrapping_sub(1)
            }
        };
        self.go_to_section(footer, section);
    }

    fn next_section(&self, section: usize) -> usize {
        match self.direction {
            Direction::Forward => section + 1,
            Direction::Backward => section.wrapping_sub(1),
        }
    }

    fn go_to_section(&mut self, footer: &Footer, section: usize) {
        let fences = footer.sections.get(section);
        let is_within = fences
            .is_some_and(|fences| !self.bounds.is_past(&fences.first_key) && *fences.last_key >= *self.bounds.from);
        self.state = if is_within { State::Index { section } } else { State::Ending };
    }

    /// Chooses the blocks that are read next, in one piece.
    fn go_to_stretch(&mut self, footer: &Footer, mut within: InSection) {
        if within.blocks.is_empty() {
            self.go_to_section(footer, self.next_section(within.section));
            return;
        }
        let Range { mut start, mut end } = within.blocks;
        let index = Arc::clone(&within.index);
        let bytes = |blocks: Range<usize>| {
            let last = index.place(blocks.end - 1);
            last.offset + u64::from(last.bytes) - index.place(blocks.start).offset
        };
        match self.direction {
            Direction::Forward => {
                let all = end;
                end = start + 1;
                while end < all && bytes(start..end + 1) <= u64::from(self.stretch_bytes) {
                    end += 1;
                }
                within.blocks.start = end;
            }
            Direction::Backward => {
                let all = start;
                start = end - 1;
                while start > all && bytes(start - 1..end) <= u64::from(self.stretch_bytes) {
                    start -= 1;
                }
                within.blocks.end = start;
            }
        }
        let bytes = u32::try_from(bytes(start..end)).expect("a stretch, or one block");
        let place = PartPlace { kind: PartKind::Block, offset: index.place(start).offset, bytes };
        self.state = State::Stretch(within, start..end, place);
    }

    /// Opens a block that is in the buffer; answers which of its entries lie between the bounds.
    fn open(
        &mut self,
        footer: &Footer,
        within: &InSection,
        block: usize,
    ) -> Result<(BlockBody, Range<usize>), PartError> {
        let place = within.index.place(block);
        let start = usize::try_from(place.offset - self.buffer_offset).expect("a stretch is bounded");
        let bytes = self.buffer.get(start..).unwrap_or_default();
        let body = match open_whole(footer.identity, place.offset, bytes, &mut self.raw)? {
            BlockBody::Stored(range) => BlockBody::Stored(start + range.start..start + range.end),
            BlockBody::Decompressed => BlockBody::Decompressed,
        };
        let view = view(&self.buffer, &self.raw, &body);
        let fences = &footer.sections[within.section];
        if !view.is_within(&fences.first_key, &fences.last_key) {
            return Err(PartError::Damaged);
        }
        let first = view.partition_point(|key| *key < *self.bounds.from)?;
        let end = view.partition_point(|key| !self.bounds.is_past(key))?;
        Ok((body, first..end.max(first)))
    }
}

/// The next of those that are left.
fn next(direction: Direction, left: &mut Range<usize>) -> Option<usize> {
    match direction {
        Direction::Forward => left.next(),
        Direction::Backward => left.next_back(),
    }
}

fn view<'scan>(buffer: &'scan [u8], raw: &'scan [u8], body: &BlockBody) -> BlockView<'scan> {
    let bytes = match body {
        BlockBody::Stored(range) => &buffer[range.clone()],
        BlockBody::Decompressed => raw,
    };
    BlockView::of_raw(bytes).expect("this was seen when the block was opened")
}

/// The next damaged range that is not behind this key; without one, the next of all.
fn next_range(
    footer: &Footer,
    direction: Direction,
    left: &mut Range<usize>,
    key_ahead: Option<&[u8]>,
) -> Option<ScanStep<'static>> {
    let ranges = &footer.damaged_ranges;
    let is_due = match (direction, key_ahead) {
        (Direction::Forward, Some(ahead)) => *ranges[left.clone()].first()?.first_key <= *ahead,
        (Direction::Backward, Some(ahead)) => *ranges[left.clone()].last()?.last_key >= *ahead,
        (Direction::Forward | Direction::Backward, None) => true,
    };
    if !is_due {
        return None;
    }
    let range = &ranges[next(direction, left)?];
    let damage = Damage { place: None, newest: range.newest };
    Some(damaged(key(&range.first_key), End::With(key(&range.last_key)), damage, range.filter))
}

/// The keys that a block may have had.
fn lost_block(footer: &Footer, within: &InSection, block: usize) -> ScanStep<'static> {
    let fences = &footer.sections[within.section];
    let from = within.index.separator(block).max(key(&fences.first_key));
    let end = if block + 1 < within.index.len() {
        End::Before(within.index.separator(block + 1))
    } else {
        End::With(key(&fences.last_key))
    };
    let damage = Damage { place: Some(within.index.place(block)), newest: footer.last_tx };
    damaged(from, end, damage, Some(fences.filter))
}

fn damaged(from: Key, before: End, damage: Damage, filter: Option<PartPlace>) -> ScanStep<'static> {
    ScanStep::Damaged(Box::new(DamagedKeys { from, before, damage, filter }))
}

/// A key of a footer.
fn key(bytes: &[u8]) -> Key {
    Key::from_bytes(bytes).expect("no footer is read that has a longer one")
}
