//! Blocks: entries in the order of their keys, and where each begins, so that a key is found by bisection.
//!
//! ```text
//! entries, one behind the other | offset of each, u32 | number of entries, u32
//! ```
//!
//! Invariants: a block has one entry at least. A [`BlockView`] borrows the bytes that were read (or, of a compressed block,
//! the buffer it was decompressed into) and copies nothing; a [`Block`] owns them, for a cache.
//!
//! A search looks at no more entries than it needs. Who goes through all of them asks [`BlockView::is_whole`] first.

use std::ops::Range;

use super::entry::{self, Entry};
use super::key::KeyParts;
use super::part::{self, PART_HEADER_BYTES, PartError, PartKind, TableIdentity};
use crate::log::put_u32;

const OFFSET_BYTES: usize = 4;
const COUNT_BYTES: usize = 4;

/// What a block of `entries` takes beside them.
pub(super) fn list_bytes(entries: usize) -> usize {
    entries * OFFSET_BYTES + COUNT_BYTES
}

/// Ends a block whose entries begin at these offsets.
pub(super) fn append_list(offsets: &[u32], out: &mut Vec<u8>) {
    for offset in offsets {
        put_u32(out, *offset);
    }
    put_u32(out, u32::try_from(offsets.len()).expect("a block is at most as long as a part"));
}

/// A block that lies in somebody's bytes. Its checksum was right.
#[derive(Clone, Copy, Debug)]
pub struct BlockView<'bytes> {
    entries: &'bytes [u8],
    offsets: &'bytes [u8],
}

impl<'bytes> BlockView<'bytes> {
    /// The block at the front of `bytes`, which were read at `offset`. A compressed one is decompressed into `scratch`.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn open(
        identity: TableIdentity,
        offset: u64,
        bytes: &'bytes [u8],
        scratch: &'bytes mut Vec<u8>,
    ) -> Result<BlockView<'bytes>, PartError> {
        BlockView::of_raw(part::open(identity, PartKind::Block, offset, bytes)?.raw(scratch)?)
    }

    /// What a part of this kind holds, once its checksum is known to be right.
    pub(crate) fn of_raw(raw: &'bytes [u8]) -> Result<BlockView<'bytes>, PartError> {
        BlockView::split(raw).ok_or(PartError::Damaged)
    }

    fn split(raw: &'bytes [u8]) -> Option<BlockView<'bytes>> {
        let (rest, count) = raw.split_last_chunk::<COUNT_BYTES>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let entries_bytes = rest.len().checked_sub(count.checked_mul(OFFSET_BYTES)?)?;
        let (entries, offsets) = rest.split_at(entries_bytes);
        (count > 0).then_some(BlockView { entries, offsets })
    }

    /// How many entries it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a block has one entry at least")]
    pub fn len(&self) -> usize {
        self.offsets.len() / OFFSET_BYTES
    }

    fn bytes_from(&self, index: usize) -> Option<&'bytes [u8]> {
        let offset = self.offsets.get(index * OFFSET_BYTES..)?.first_chunk()?;
        self.entries.get(u32::from_le_bytes(*offset) as usize..)
    }

    /// The key of an entry.
    ///
    /// # Errors
    /// [`PartError::Damaged`] where there is no such entry.
    pub fn key(&self, index: usize) -> Result<&'bytes [u8], PartError> {
        self.bytes_from(index).and_then(entry::key_at).ok_or(PartError::Damaged)
    }

    /// An entry.
    ///
    /// # Errors
    /// What stands there instead.
    pub fn entry(&self, index: usize) -> Result<Entry<'bytes>, PartError> {
        entry::decode(self.bytes_from(index).ok_or(PartError::Damaged)?)
    }

    /// How many entries have keys for which `is_before` holds, which it does for all up to some key and for none behind.
    ///
    /// # Errors
    /// [`PartError::Damaged`] where a key cannot be read.
    pub fn partition_point(&self, is_before: impl Fn(&[u8]) -> bool) -> Result<usize, PartError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before(self.key(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The entry of a key; `None` where the block has none.
    ///
    /// # Errors
    /// What stands there instead.
    pub fn find(&self, key: &[u8]) -> Result<Option<Entry<'bytes>>, PartError> {
        let index = self.partition_point(|before| before < key)?;
        if index == self.len() || self.key(index)? != key {
            return Ok(None);
        }
        self.entry(index).map(Some)
    }

    /// Whether all keys lie between these, both included.
    pub(crate) fn is_within(&self, first_key: &[u8], last_key: &[u8]) -> bool {
        let is_within = |index: usize| self.key(index).is_ok_and(|key| first_key <= key && key <= last_key);
        is_within(0) && is_within(self.len() - 1)
    }

    /// Looks at everything: entries fill the block exactly, their keys are keys and ascend.
    ///
    /// # Errors
    /// What is there instead.
    pub fn is_whole(&self) -> Result<(), PartError> {
        let (mut at, mut before) = (0, None);
        for index in 0..self.len() {
            let entry = self.entry(index)?;
            let begins = self.entries.len() - self.bytes_from(index).map_or(0, <[u8]>::len);
            let is_next = begins == at && before < Some(entry.key) && KeyParts::decode(entry.key).is_some();
            if !is_next {
                return Err(PartError::Damaged);
            }
            at += entry.bytes();
            before = Some(entry.key);
        }
        if at == self.entries.len() { Ok(()) } else { Err(PartError::Damaged) }
    }
}

/// Where the body of a block lies that was opened once and is looked at many times.
#[derive(Clone, Debug)]
pub(crate) enum BlockBody {
    /// Within the bytes that were read.
    Stored(Range<usize>),
    /// It fills the buffer it was decompressed into.
    Decompressed,
}

/// Opens the block at the front of `bytes`, which were read at `offset`, and looks at everything.
pub(crate) fn open_whole(
    identity: TableIdentity,
    offset: u64,
    bytes: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<BlockBody, PartError> {
    let sealed = part::open(identity, PartKind::Block, offset, bytes)?;
    let body = if sealed.is_compressed() {
        BlockBody::Decompressed
    } else {
        BlockBody::Stored(PART_HEADER_BYTES..sealed.part_bytes())
    };
    BlockView::of_raw(sealed.raw(scratch)?)?.is_whole()?;
    Ok(body)
}

/// A block that owns its bytes, decompressed.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    raw: Box<[u8]>,
}

impl Block {
    /// Likewise for a cache.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode(identity: TableIdentity, offset: u64, bytes: &[u8]) -> Result<Block, PartError> {
        let raw = part::open(identity, PartKind::Block, offset, bytes)?.into_raw()?;
        BlockView::of_raw(&raw)?;
        Ok(Block { raw })
    }

    /// To read in it.
    #[must_use]
    pub fn view(&self) -> BlockView<'_> {
        BlockView::of_raw(&self.raw).expect("this was seen when it was decoded")
    }

    /// The memory that its bytes take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.raw.len()
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Block({} entries, {} bytes)", self.view().len(), self.raw.len())
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{CollectionId, DocumentId, TxId};

    use super::*;
    use crate::table::{Key, Version};

    fn raw(numbers: &[u64]) -> Vec<u8> {
        let (mut out, mut offsets) = (Vec::new(), Vec::new());
        for number in numbers {
            let key = Key::new(CollectionId(1), &DocumentId::Number(*number));
            offsets.push(u32::try_from(out.len()).unwrap());
            Entry { key: &key, tx: TxId(number + 1), version: Version::Value { document: b"{}", crc32: 7 } }
                .append(&mut out);
        }
        append_list(&offsets, &mut out);
        out
    }

    #[test]
    fn a_key_is_found_and_what_lies_between_is_not() {
        let raw = raw(&[2, 4, 6]);
        let block = BlockView::of_raw(&raw).unwrap();
        assert_eq!((block.len(), block.is_whole()), (3, Ok(())));
        for number in 0..8 {
            let key = Key::new(CollectionId(1), &DocumentId::Number(number));
            let found = block.find(&key).unwrap().map(|entry| entry.tx);
            let expected = [2, 4, 6].contains(&number).then_some(TxId(number + 1));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_block_out_of_order_or_with_gaps_is_not_whole() {
        for numbers in [&[2, 2][..], &[4, 2]] {
            let raw = raw(numbers);
            assert_eq!(BlockView::of_raw(&raw).unwrap().is_whole(), Err(PartError::Damaged));
        }
        let mut longer = vec![0];
        longer.extend_from_slice(&raw(&[2]));
        assert_eq!(
            BlockView::of_raw(&longer).unwrap().is_whole(),
            Err(PartError::Damaged),
            "a byte before the entries"
        );
        for none in [&[0_u8; 4][..], &[], &[9, 0, 0, 0]] {
            assert!(BlockView::of_raw(none).is_err(), "no entry, or fewer than it says");
        }
    }

    /// Whatever the bytes are, every question is answered.
    #[test]
    fn a_block_of_any_bytes_answers() {
        let raw = raw(&[2, 4, 6]);
        for at in 0..raw.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut turned = raw.clone();
                turned[at] = value;
                let Ok(block) = BlockView::of_raw(&turned) else { continue };
                let _ = (block.is_whole(), block.find(b"any"), block.is_within(b"", b"\xff"));
                for index in 0..block.len().min(5) {
                    let _ = block.entry(index);
                }
            }
        }
    }
}
