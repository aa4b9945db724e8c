//! Walking the blocks of a table without its index: what is left when an index part or the footer is lost.
//!
//! [`Walk`] goes through a stretch of the file, a chunk at a time, and names each whole block and each stretch that holds none.
//!
//! Invariants: a block is believed where its checksum is right at this very place; behind damage the walk tries every byte.
//! What that may cost has a bound ([`SEARCH_BYTES_MAX`]); beyond it, only the beginnings of frames are tried. What is held is a
//! chunk, or one part.

use super::block::BlockView;
use super::frame::{self, CRC_BYTES, FRAME_SECTOR_BYTES, LENGTH_BYTES, VERIFIED_SECTOR};
use super::part::{self, PART_BYTES_MAX, PART_HEADER_BYTES, PartHeader, PartKind, TableIdentity};

/// What is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many bytes are checksummed in vain before a walk tries only the beginnings of frames.
const SEARCH_BYTES_MAX: usize = 4 * PART_BYTES_MAX;

/// What a walk met, or needs.
#[derive(Debug)]
pub enum WalkStep<'walk> {
    /// Read so many bytes there; fewer come only at the end of the file.
    Need {
        /// The first byte.
        offset: u64,
        /// How many.
        bytes: u32,
    },
    /// A block, at this offset.
    Block {
        /// Where its part begins.
        offset: u64,
        /// How long its part is.
        bytes: u32,
        /// Whether it stands directly behind the part before it, or first in the frame behind: so no block that reads as zeros
        /// can have been between them.
        follows: bool,
        /// What it holds; all of it was looked at.
        block: BlockView<'walk>,
    },
    /// No whole part is here, though one should be.
    Lost {
        /// The first byte.
        from: u64,
        /// The byte behind the last.
        to: u64,
    },
    /// The stretch is done.
    End,
}

/// Goes through a stretch of a table's file.
#[derive(Clone, Debug)]
pub struct Walk {
    identity: TableIdentity,
    /// The next byte that may begin a part.
    at: u64,
    /// Where what was found last ends.
    found_to: u64,
    /// Whether something but zeros stands between there and the end of its frame.
    is_lost: bool,
    to: u64,
    buffer: Vec<u8>,
    buffer_offset: u64,
    raw: Vec<u8>,
    asked_bytes: usize,
    searched_bytes: usize,
}

/// What stands at a place.
enum Found {
    Block(usize),
    Other(usize, PartKind),
    Nothing,
    More(usize),
}

impl Walk {
    /// Goes from where a part or a frame begins to where one ends; `to` may lie behind the end of the file.
    #[must_use]
    pub fn new(identity: TableIdentity, from: u64, to: u64) -> Walk {
        Walk {
            identity,
            at: from,
            found_to: from,
            is_lost: false,
            to,
            buffer: Vec::new(),
            buffer_offset: from,
            raw: Vec::new(),
            asked_bytes: 0,
            searched_bytes: 0,
        }
    }

    /// The bytes of the last [`WalkStep::Need`]. Fewer than asked end the walk there.
    pub fn feed(&mut self, bytes: &[u8]) {
        let used = self.position(self.at).min(self.buffer.len());
        self.buffer.drain(..used);
        self.buffer_offset += used as u64;
        self.buffer.extend_from_slice(bytes);
        if bytes.len() < self.asked_bytes {
            self.to = self.to.min(self.buffer_end());
        }
    }

    /// Where in the buffer a byte of the file is.
    fn position(&self, offset: u64) -> usize {
        usize::try_from(offset - self.buffer_offset).expect("a walk never goes far beyond what it holds")
    }

    fn buffer_end(&self) -> u64 {
        self.buffer_offset + self.buffer.len() as u64
    }

    /// What is next.
    pub fn step(&mut self) -> WalkStep<'_> {
        loop {
            if self.at >= self.to {
                // What follows the last block up to the end of its frame is no loss.
                let is_lost = self.found_to < self.to && self.is_lost;
                let from = std::mem::replace(&mut self.found_to, self.to);
                return if is_lost { WalkStep::Lost { from, to: self.to } } else { WalkStep::End };
            }
            let (bytes, is_block) = match self.look() {
                Found::More(bytes) => {
                    let offset = self.buffer_end();
                    let most = usize::try_from(self.to - offset).unwrap_or(usize::MAX);
                    self.asked_bytes = bytes.next_multiple_of(CHUNK_BYTES).min(most);
                    let bytes = u32::try_from(self.asked_bytes).expect("a part is bounded");
                    return WalkStep::Need { offset, bytes };
                }
                Found::Nothing => {
                    self.pass_over();
                    continue;
                }
                Found::Block(bytes) => (bytes, true),
                Found::Other(bytes, PartKind::Footer) => {
                    // Nothing that a walk looks for stands behind it.
                    self.to = self.at + bytes as u64;
                    (bytes, false)
                }
                Found::Other(bytes, _) => (bytes, false),
            };
            if self.found_to < self.at && !self.is_between_frames() {
                let from = std::mem::replace(&mut self.found_to, self.at);
                return WalkStep::Lost { from, to: self.at };
            }
            let follows = self.found_to == self.at || self.is_between_frames();
            let offset = self.at;
            let part_at = self.position(offset);
            self.at += bytes as u64;
            self.found_to = self.at;
            self.is_lost = false;
            if !is_block {
                continue;
            }
            let part = &self.buffer[part_at..];
            let sealed = part::open(self.identity, PartKind::Block, offset, part).expect("it was opened a moment ago");
            let block = BlockView::of_raw(sealed.raw(&mut self.raw).expect("likewise")).expect("likewise");
            let bytes = u32::try_from(bytes).expect("a part is bounded");
            return WalkStep::Block { offset, bytes, follows, block };
        }
    }

    /// Whether the part here is the first of the frame behind the one that the last part was in, or of the first one.
    fn is_between_frames(&self) -> bool {
        let first = self.found_to + LENGTH_BYTES as u64;
        let next = frame::next_frame(self.found_to) + LENGTH_BYTES as u64;
        (self.at == next && !self.is_lost)
            || (self.at == first && self.found_to.is_multiple_of(FRAME_SECTOR_BYTES as u64))
    }

    /// One byte further. Where a frame could end here, zeros, a checksum, a flag, zeros and a length stand between two parts;
    /// anything else was a part.
    fn pass_over(&mut self) {
        let byte = self.buffer.get(self.position(self.at)).copied();
        let next = frame::next_frame(self.found_to);
        let flag = next - FRAME_SECTOR_BYTES as u64;
        let may_stand_between = if self.at < flag - CRC_BYTES as u64 {
            byte == Some(0)
        } else if self.at < flag {
            true
        } else if self.at < next {
            byte == Some(0) || (self.at == flag && byte == Some(VERIFIED_SECTOR[0]))
        } else {
            self.at < next + LENGTH_BYTES as u64
        };
        self.is_lost |= !may_stand_between;
        self.at += 1;
    }

    fn look(&mut self) -> Found {
        let here = self.buffer.get(self.position(self.at)..).unwrap_or_default();
        let is_all = self.buffer_end() >= self.to;
        if here.len() < PART_HEADER_BYTES {
            return if is_all { Found::Nothing } else { Found::More(PART_HEADER_BYTES) };
        }
        let begins_frame = self.at % FRAME_SECTOR_BYTES as u64 == LENGTH_BYTES as u64;
        if self.searched_bytes > SEARCH_BYTES_MAX && !begins_frame {
            return Found::Nothing;
        }
        if here[4] == 0 {
            // No kind: most of what is passed over are zeros.
            return Found::Nothing;
        }
        let Some((header, kind)) = PartHeader::read(here).and_then(|header| Some((header, header.kind()?))) else {
            return Found::Nothing;
        };
        let bytes = header.part_bytes();
        if bytes > here.len() {
            let fits = self.at + bytes as u64 <= self.to;
            return if fits && !is_all { Found::More(bytes - here.len()) } else { Found::Nothing };
        }
        let opened = part::open(self.identity, kind, self.at, here);
        let Ok(sealed) = opened else {
            self.searched_bytes += bytes;
            return Found::Nothing;
        };
        if kind != PartKind::Block {
            return Found::Other(bytes, kind);
        }
        let block = sealed.raw(&mut self.raw).and_then(BlockView::of_raw);
        if block.and_then(|block| block.is_whole()).is_ok() { Found::Block(bytes) } else { Found::Nothing }
    }
}
