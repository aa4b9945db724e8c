//! Compression of blocks, one at a time, by a library.
//!
//! Invariants: what was compressed is smaller by a sixteenth at least, or it is stored as it is. Decompression writes as many
//! bytes as the checksummed length says, or the block is damaged.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

/// How the blocks of a table are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// LZ4, block format, each for itself; as they are where it saves less than a sixteenth.
    Lz4,
}

impl Compression {
    pub(super) fn number(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Lz4 => 1,
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Compression> {
        match number {
            0 => Some(Compression::None),
            1 => Some(Compression::Lz4),
            _ => None,
        }
    }
}

/// Appends `raw` to `out`, compressed where that pays; answers which it was.
pub(super) fn compress(raw: &[u8], out: &mut Vec<u8>) -> Compression {
    let start = out.len();
    out.resize(start + get_maximum_output_size(raw.len()), 0);
    let compressed = compress_into(raw, &mut out[start..]).ok();
    if let Some(bytes) = compressed.filter(|bytes| bytes + raw.len() / 16 < raw.len()) {
        out.truncate(start + bytes);
        return Compression::Lz4;
    }
    out.truncate(start);
    out.extend_from_slice(raw);
    Compression::None
}

/// What `stored` was, which had `raw_bytes`; `None` where it is something else.
pub(super) fn decompress<'raw>(stored: &[u8], raw_bytes: usize, scratch: &'raw mut Vec<u8>) -> Option<&'raw [u8]> {
    // Grows alone: what it held before is overwritten, not cleared.
    if scratch.len() < raw_bytes {
        scratch.resize(raw_bytes, 0);
    }
    scratch.truncate(raw_bytes);
    let bytes = decompress_into(stored, scratch).ok()?;
    (bytes == raw_bytes).then_some(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_compress_is_stored_as_it_is() {
        let mut out = b"before".to_vec();
        assert_eq!(compress(b"0123456789abcdef", &mut out), Compression::None);
        assert_eq!(out, b"before0123456789abcdef");
        let raw = [b'a'; 4096];
        assert_eq!(compress(&raw, &mut out), Compression::Lz4);
        let stored = out.split_off(22);
        assert!(stored.len() < 100);
        let mut scratch = vec![7; 9000];
        assert_eq!(decompress(&stored, 4096, &mut scratch), Some(&raw[..]));
        for wrong in [0, 4095, 4097] {
            assert_eq!(decompress(&stored, wrong, &mut scratch), None);
        }
    }
}
