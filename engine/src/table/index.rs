//! Index parts: of a run of blocks, where each stands and from which *separator* on its keys are.
//!
//! ```text
//! 0   u32  number of blocks
//! 4   u16  length of the prefix that all separators have
//! 6   u8   width of what follows it in each separator; 255 where they differ, and their ends are given
//! 7   u8   width of an offset, 1 to 8
//! 8   u64  where the first block begins
//! 16  u64  where the last block ends
//! 24       prefix
//!          where each block begins, from the first one on: little-endian, in the width of an offset
//!          [255: u32 end of each separator among the bytes that follow]
//!          separators without the prefix, one behind the other
//! ```
//!
//! A separator is at most the first key of its block and above the last key of the block before. It is as short as
//! that allows; of numbers in a row, two bytes remain, and a block costs five.
//!
//! Invariants: separators ascend strictly and blocks stand in their order: [`IndexPart::decode`] has seen it. What a
//! reader reads for a block ends where the next one begins, and so may hold what stands between two frames.

use super::frame::FRAME_SECTOR_BYTES;
use super::key::{KEY_BYTES_MAX, Key};
use super::part::{self, PART_BYTES_MAX, PART_HEADER_BYTES, PartError, PartKind, PartPlace, TableIdentity};
use crate::log::{Fields, put_u32, put_u64};

const FIXED_BYTES: usize = 24;
const ENDS_GIVEN: u8 = 255;

/// A block, and the end of its frame and the beginning of the next.
const READ_BYTES_MAX: u64 = (PART_HEADER_BYTES + PART_BYTES_MAX + 3 * FRAME_SECTOR_BYTES) as u64;

/// The length of what two keys have in common at their front.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Gathers the blocks of a section.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexWriter {
    /// What each separator may be made of, one behind the other.
    keys: Vec<u8>,
    blocks: Vec<Gathered>,
}

#[derive(Clone, Copy, Debug)]
struct Gathered {
    key_end: u32,
    /// How much of the key tells it from the keys before it.
    needed: u16,
    start: u64,
}

impl IndexWriter {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// A block that begins at `start`, whose keys are from `first_key` on, and above `before` where there are some in the section.
    pub(super) fn add(&mut self, first_key: &[u8], before: Option<&[u8]>, start: u64) {
        let needed = before.map_or(0, |before| (common(first_key, before) + 1).min(first_key.len()));
        self.keys.extend_from_slice(first_key);
        self.blocks.push(Gathered {
            key_end: u32::try_from(self.keys.len()).expect("a section is bounded"),
            needed: u16::try_from(needed).expect("a key is short"),
            start,
        });
    }

    /// Likewise behind lost blocks, of which nothing is known but that their keys are below: no separator shorter than the key.
    pub(super) fn add_whole(&mut self, first_key: &[u8], start: u64) {
        self.add(first_key, Some(first_key), start);
    }

    fn key(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.blocks[before].key_end as usize);
        &self.keys[start..self.blocks[index].key_end as usize]
    }

    /// The body of the part; the last block ends at `end`.
    pub(super) fn encode(&self, end: u64) -> Vec<u8> {
        let (first, last) = (self.key(0), self.key(self.blocks.len() - 1));
        let prefix = &first[..common(first, last)];
        let needed = |index: usize| usize::from(self.blocks[index].needed).max(prefix.len()) - prefix.len();
        let all = || 0..self.blocks.len();
        let width = all().map(needed).max().unwrap_or(0);
        let given_bytes = all().map(|index| needed(index) + 4).sum::<usize>();
        let is_fixed = width < usize::from(ENDS_GIVEN)
            && width * self.blocks.len() <= given_bytes
            && all().all(|index| self.key(index).len() >= prefix.len() + width);
        let suffix = |index: usize| &self.key(index)[prefix.len()..][..if is_fixed { width } else { needed(index) }];

        let first_start = self.blocks[0].start;
        let offset_width = (8 - (end - first_start).leading_zeros() as usize / 8).max(1);
        let mut body = Vec::new();
        put_u32(&mut body, u32::try_from(self.blocks.len()).expect("a section is bounded"));
        let prefix_length = u16::try_from(prefix.len()).expect("a key is short").to_le_bytes();
        body.extend_from_slice(&prefix_length);
        body.push(if is_fixed { u8::try_from(width).expect("compared above") } else { ENDS_GIVEN });
        body.push(u8::try_from(offset_width).expect("at most 8"));
        put_u64(&mut body, first_start);
        put_u64(&mut body, end);
        body.extend_from_slice(prefix);
        for block in &self.blocks {
            body.extend_from_slice(&(block.start - first_start).to_le_bytes()[..offset_width]);
        }
        if !is_fixed {
            let mut suffixes_end = 0;
            for index in all() {
                suffixes_end += suffix(index).len();
                put_u32(&mut body, u32::try_from(suffixes_end).expect("a section is bounded"));
            }
        }
        for index in all() {
            body.extend_from_slice(suffix(index));
        }
        body
    }
}

/// An index part that has been read, or made again.
#[derive(Clone, PartialEq, Eq)]
pub struct IndexPart {
    body: Box<[u8]>,
    blocks: usize,
    prefix_bytes: usize,
    /// Of each separator without the prefix; `None` where their ends are given.
    width: Option<usize>,
    offset_width: usize,
    first_start: u64,
    end: u64,
}

impl IndexPart {
    /// The index part that was read at `offset`.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode(identity: TableIdentity, offset: u64, bytes: &[u8]) -> Result<IndexPart, PartError> {
        let body = part::open(identity, PartKind::Index, offset, bytes)?.into_raw()?;
        IndexPart::of_body(body).ok_or(PartError::Damaged)
    }

    pub(super) fn of_body(body: Box<[u8]>) -> Option<IndexPart> {
        let mut fields = Fields::new(&body);
        let blocks = fields.u32()? as usize;
        let prefix_bytes = usize::from(u16::from_le_bytes(*fields.bytes(2)?.first_chunk()?));
        let (width, offset_width) = (usize::from(fields.u8()?), usize::from(fields.u8()?));
        let (first_start, end) = (fields.count()?, fields.count()?);
        let width = (width != usize::from(ENDS_GIVEN)).then_some(width);
        let part = IndexPart { blocks, prefix_bytes, width, offset_width, first_start, end, body };
        let is_possible = blocks > 0 && prefix_bytes <= KEY_BYTES_MAX + 1 && (1..=8).contains(&offset_width);
        (is_possible && part.is_filled()? && part.is_in_order()?).then_some(part)
    }

    /// Whether its arrays fill the body exactly.
    fn is_filled(&self) -> Option<bool> {
        let bytes = match self.width {
            Some(width) => self.blocks.checked_mul(width)?,
            None => {
                let ends = self.blocks.checked_mul(4)?;
                let last = self.body.get(self.ends_at()?..)?.get(ends.checked_sub(4)?..)?.first_chunk()?;
                ends.checked_add(u32::from_le_bytes(*last) as usize)?
            }
        };
        Some(self.ends_at()?.checked_add(bytes)? == self.body.len())
    }

    /// Whether separators ascend, and blocks too.
    fn is_in_order(&self) -> Option<bool> {
        for index in 0..self.blocks {
            let (suffix, start) = (self.checked_suffix(index)?, self.checked_start(index)?);
            let next = if index + 1 < self.blocks { self.checked_start(index + 1)? } else { self.end };
            let is_longest = self.prefix_bytes + suffix.len() > KEY_BYTES_MAX + 1;
            let bytes = next.checked_sub(start)?;
            let ascends = index == 0 || self.checked_suffix(index - 1)? < suffix;
            if is_longest || !ascends || bytes == 0 {
                return Some(false);
            }
        }
        Some(self.checked_start(0)? == self.first_start)
    }

    fn ends_at(&self) -> Option<usize> {
        (FIXED_BYTES + self.prefix_bytes).checked_add(self.blocks.checked_mul(self.offset_width)?)
    }

    fn checked_start(&self, index: usize) -> Option<u64> {
        let at = FIXED_BYTES + self.prefix_bytes + index * self.offset_width;
        let mut offset = [0; 8];
        offset[..self.offset_width].copy_from_slice(self.body.get(at..)?.get(..self.offset_width)?);
        self.first_start.checked_add(u64::from_le_bytes(offset))
    }

    fn checked_suffix(&self, index: usize) -> Option<&[u8]> {
        let arrays = self.body.get(self.ends_at()?..)?;
        let Some(width) = self.width else {
            let end_of = |index: usize| Some(u32::from_le_bytes(*arrays.get(4 * index..)?.first_chunk()?) as usize);
            let start = if index == 0 { 0 } else { end_of(index - 1)? };
            return arrays.get(4 * self.blocks..)?.get(start..end_of(index)?);
        };
        arrays.get(index * width..)?.get(..width)
    }

    fn start(&self, index: usize) -> u64 {
        self.checked_start(index).expect("all were seen when it was decoded")
    }

    fn suffix(&self, index: usize) -> &[u8] {
        self.checked_suffix(index).expect("all were seen when it was decoded")
    }

    fn prefix(&self) -> &[u8] {
        &self.body[FIXED_BYTES..][..self.prefix_bytes]
    }

    /// How many blocks it knows.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it has one block at least")]
    pub fn len(&self) -> usize {
        self.blocks
    }

    /// The block that a key is in if it is there; `None` where the key is before all of them.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let prefix = self.prefix();
        let shared = prefix.len().min(key.len());
        match key[..shared].cmp(&prefix[..shared]) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Greater => return Some(self.blocks - 1),
            std::cmp::Ordering::Equal if key.len() < prefix.len() => return None,
            std::cmp::Ordering::Equal => {}
        }
        let rest = &key[shared..];
        let (mut low, mut high) = (0, self.blocks);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.suffix(middle) <= rest {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// Where a block stands, and how much to read of it.
    #[must_use]
    pub fn place(&self, index: usize) -> PartPlace {
        let (offset, end) = (self.start(index), if index + 1 < self.blocks { self.start(index + 1) } else { self.end });
        // A stretch of lost blocks, in a part that was made again, may be longer than any block.
        let bytes = u32::try_from((end - offset).min(READ_BYTES_MAX)).expect("bounded by the longest block");
        PartPlace { kind: PartKind::Block, offset, bytes }
    }

    /// The bound that a block's keys are not below.
    #[must_use]
    pub fn separator(&self, index: usize) -> Key {
        let separator = [self.prefix(), self.suffix(index)].concat();
        Key::from_bytes(&separator).expect("all were seen when it was decoded")
    }

    /// The memory that its bytes take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.body.len()
    }
}

impl std::fmt::Debug for IndexPart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "IndexPart({} blocks, {} bytes)", self.blocks, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of these first and last keys, each 4,200 bytes long.
    fn index(blocks: &[(&[u8], &[u8])]) -> IndexPart {
        let mut writer = IndexWriter::default();
        let mut before = None;
        for (number, (first, last)) in blocks.iter().enumerate() {
            writer.add(first, before, 516 + 4200 * number as u64);
            before = Some(*last);
        }
        IndexPart::of_body(writer.encode(516 + 4200 * blocks.len() as u64).into()).expect("it is one")
    }

    #[test]
    fn separators_are_as_short_as_the_keys_allow() {
        let index = index(&[(b"aab", b"aac"), (b"aax", b"abc"), (b"ac", b"acb"), (b"acx", b"az")]);
        assert_eq!((index.len(), index.width, index.prefix()), (4, None, &b"a"[..]));
        let separators: Vec<Vec<u8>> = (0..4).map(|index_of| index.separator(index_of).to_vec()).collect();
        assert_eq!(separators, [&b"a"[..], b"aax", b"ac", b"acx"]);
        for (key, block) in
            [(&b"A"[..], None), (b"", None), (b"a", Some(0)), (b"aab", Some(0)), (b"aaw", Some(0)), (b"aax", Some(1))]
        {
            assert_eq!(index.find(key), block, "{key:?}");
        }
        for (key, block) in [(&b"abz"[..], 1), (b"ac", 2), (b"acb", 2), (b"acx", 3), (b"az", 3), (b"b", 3), (b"b0", 3)]
        {
            assert_eq!(index.find(key), Some(block), "{key:?}");
        }
        assert_eq!(index.place(1), PartPlace { kind: PartKind::Block, offset: 4716, bytes: 4200 });
        assert_eq!(index.place(3).bytes, 4200);
    }

    #[test]
    fn numbers_in_a_row_cost_five_bytes_a_block() {
        let keys: Vec<[u8; 8]> = (0..2048_u64).map(|number| (70_000 + number).to_be_bytes()).collect();
        let blocks: Vec<(&[u8], &[u8])> = keys.chunks(4).map(|keys| (&keys[0][..], &keys[3][..])).collect();
        let index = index(&blocks);
        assert_eq!((index.width, index.offset_width), (Some(2), 3));
        assert_eq!(index.memory_bytes(), 24 + 6 + 512 * 5);
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(index.find(key), Some(number / 4));
        }
    }

    #[test]
    fn one_block_is_where_every_key_of_its_fences_is() {
        let index = index(&[(b"abc", b"abd")]);
        assert_eq!((index.find(b"abc"), index.find(b"abd"), index.find(b"abb")), (Some(0), Some(0), None));
    }

    #[test]
    fn a_body_of_any_bytes_is_an_index_or_none() {
        let body = index(&[(b"aab", b"aac"), (b"aax", b"abc"), (b"acaaaa", b"acb")]).body;
        for at in 0..body.len() {
            assert!(IndexPart::of_body(body[..at].into()).is_none(), "cut at {at}");
            for value in [0, 1, 2, 0x7f, 0xfe, 0xff] {
                let mut turned = body.clone();
                turned[at] = value;
                let Some(index) = IndexPart::of_body(turned) else { continue };
                for block in 0..index.len() {
                    let _ = (index.place(block), index.separator(block), index.find(b"aac"));
                }
            }
        }
    }
}
