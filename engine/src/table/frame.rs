//! Frames: what a table's file is made of behind its header.
//!
//! ```text
//! [u32 payload_len][payload][u32 crc32]  up to the end of a sector  [u8 verified] and zeros: a sector of its own
//! ```
//!
//! Invariants: a frame begins with a sector. Its payload ends with as many zeros as make length, payload and checksum whole
//! sectors: they belong to the payload, and are covered. So the flag stands alone in its sector, and whoever writes it
//! afterwards overwrites no sector that holds other bytes. The checksum also covers whose table it is and the frame's offset.
//!
//! A flag says that a sync had succeeded after the frame was written. It judges tables that nothing names; a table that
//! live metadata names is trusted by the checksums of its parts, and no reader looks at its flags.

use super::part::{PART_BYTES_MAX, TableIdentity};
use crate::disk::SECTOR_BYTES;

/// The unit of frames.
pub const FRAME_SECTOR_BYTES: usize = SECTOR_BYTES;

/// A sector as it is written over a flag.
pub type FlagSector = [u8; FRAME_SECTOR_BYTES];

/// What is written over the sector of each flag, once everything before is durable.
pub const VERIFIED_SECTOR: FlagSector = {
    let mut sector = [0; FRAME_SECTOR_BYTES];
    sector[0] = VERIFIED;
    sector
};

const VERIFIED: u8 = 1;
pub(super) const LENGTH_BYTES: usize = 4;
pub(super) const CRC_BYTES: usize = 4;

/// A payload holds what stands before one more part, and that part.
const PAYLOAD_BYTES_MAX: usize = 2 * PART_BYTES_MAX;

/// Begins a frame in an empty buffer.
pub(super) fn begin(frame: &mut Vec<u8>) {
    assert!(frame.is_empty(), "a frame has a buffer of its own");
    frame.extend_from_slice(&[0; LENGTH_BYTES]);
}

/// Ends the frame that lies in this buffer alone and stands at `offset` of its file. `trailer` are the last bytes of the
/// payload. The flag is not set.
pub(super) fn finish(identity: TableIdentity, offset: u64, trailer: &[u8], frame: &mut Vec<u8>) {
    let covered = (frame.len() + trailer.len() + CRC_BYTES).next_multiple_of(FRAME_SECTOR_BYTES) - CRC_BYTES;
    frame.resize(covered - trailer.len(), 0);
    frame.extend_from_slice(trailer);
    let payload_bytes = u32::try_from(covered - LENGTH_BYTES).expect("a frame is bounded by what it is made of");
    frame[..LENGTH_BYTES].copy_from_slice(&payload_bytes.to_le_bytes());
    let crc32 = identity.crc32_at(offset, frame);
    frame.extend_from_slice(&crc32.to_le_bytes());
    frame.extend_from_slice(&[0; FRAME_SECTOR_BYTES]);
}

/// Where the frame begins behind one whose parts end at `offset`, if only zeros follow them.
pub(super) fn next_frame(offset: u64) -> u64 {
    (offset + CRC_BYTES as u64).next_multiple_of(FRAME_SECTOR_BYTES as u64) + FRAME_SECTOR_BYTES as u64
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedFrame {
    /// Whole, and so many bytes long with its flag.
    Whole {
        /// With the flag's sector.
        bytes: u64,
        /// Whether the flag says that it was durable.
        is_verified: bool,
    },
    /// It has this many bytes, by a length that no checksum has covered yet; more must be read to judge it.
    Begun {
        /// With the flag's sector.
        bytes: u64,
    },
    /// No whole frame is here.
    Damaged,
}

/// Judges the frame at the front of `bytes`, which were read at `offset` of a table that nothing names.
#[must_use]
pub fn judge_frame(identity: TableIdentity, offset: u64, bytes: &[u8]) -> JudgedFrame {
    let Some(length) = bytes.first_chunk() else {
        return JudgedFrame::Begun { bytes: FRAME_SECTOR_BYTES as u64 };
    };
    let payload_bytes = u32::from_le_bytes(*length) as usize;
    let covered = LENGTH_BYTES + payload_bytes;
    let is_possible = payload_bytes <= PAYLOAD_BYTES_MAX && (covered + CRC_BYTES).is_multiple_of(FRAME_SECTOR_BYTES);
    if !is_possible {
        return JudgedFrame::Damaged;
    }
    let in_all = covered + CRC_BYTES + FRAME_SECTOR_BYTES;
    let Some(frame) = bytes.get(..in_all) else {
        return JudgedFrame::Begun { bytes: in_all as u64 };
    };
    let (covered, rest) = frame.split_at(covered);
    let (crc32, flag) = rest.split_at(CRC_BYTES);
    let is_whole = crc32 == identity.crc32_at(offset, covered).to_le_bytes();
    let is_flag = flag[0] <= VERIFIED && flag[1..].iter().all(|byte| *byte == 0);
    if is_whole && is_flag {
        return JudgedFrame::Whole { bytes: in_all as u64, is_verified: flag[0] == VERIFIED };
    }
    JudgedFrame::Damaged
}

#[cfg(test)]
mod tests {
    use docdb_protocol::DatabaseId;

    use super::*;

    const IDENTITY: TableIdentity = TableIdentity { database: DatabaseId::FIRST, number: 3 };

    fn frame(payload: usize, trailer: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        begin(&mut frame);
        frame.resize(LENGTH_BYTES + payload, 7);
        finish(IDENTITY, 512, trailer, &mut frame);
        frame
    }

    #[test]
    fn a_flag_has_a_sector_of_its_own_behind_whole_sectors() {
        for payload in [0, 1, 503, 504, 505, 1015, 1016] {
            let frame = frame(payload, b"");
            assert!(frame.len().is_multiple_of(512));
            let sectors = (LENGTH_BYTES + payload + CRC_BYTES).div_ceil(512);
            assert_eq!(frame.len(), (sectors + 1) * 512);
            let bytes = frame.len() as u64;
            assert_eq!(next_frame(512 + (LENGTH_BYTES + payload) as u64), 512 + bytes);
            assert_eq!(judge_frame(IDENTITY, 512, &frame), JudgedFrame::Whole { bytes, is_verified: false });
            let mut flagged = frame.clone();
            let at = flagged.len() - 512;
            flagged[at..].copy_from_slice(&VERIFIED_SECTOR);
            assert_eq!(flagged[..at], frame[..at]);
            assert_eq!(judge_frame(IDENTITY, 512, &flagged), JudgedFrame::Whole { bytes, is_verified: true });
        }
        assert!(frame(10, b"trailer")[..508].ends_with(b"\0trailer"));
    }

    #[test]
    fn a_frame_with_any_bit_turned_or_at_another_place_is_damaged() {
        let frame = frame(100, b"");
        for at in 0..frame.len() {
            let mut turned = frame.clone();
            turned[at] ^= 4;
            assert!(!matches!(judge_frame(IDENTITY, 512, &turned), JudgedFrame::Whole { .. }), "byte {at}");
            assert!(matches!(judge_frame(IDENTITY, 512, &frame[..at]), JudgedFrame::Begun { .. }));
        }
        assert_eq!(judge_frame(IDENTITY, 1024, &frame), JudgedFrame::Damaged);
        assert_eq!(judge_frame(TableIdentity { number: 4, ..IDENTITY }, 512, &frame), JudgedFrame::Damaged);
    }
}
