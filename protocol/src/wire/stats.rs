//! The 40 bytes that Stats answers.
//!
//! Five counts, each a `u64`, in the order of [`Stats`]'s fields. It never rounds and never renames.

use crate::error::Error;
use crate::request::Stats;
use crate::wire::read::Cursor;

/// The length of the answer.
pub const STATS_BYTES: usize = 40;

/// The counts as bytes.
#[must_use]
pub fn encode(stats: &Stats) -> [u8; STATS_BYTES] {
    let Stats { databases, databases_open, transactions, log_bytes, memory_bytes } = *stats;
    let counts = [databases, databases_open, transactions, log_bytes, memory_bytes];
    let mut bytes = [0; STATS_BYTES];
    for (field, count) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(counts) {
        *field = count.to_le_bytes();
    }
    bytes
}

/// The counts of the bytes.
///
/// # Errors
/// [`crate::ErrorCode::InvalidFrame`] unless there are exactly [`STATS_BYTES`].
pub fn decode(bytes: &[u8]) -> Result<Stats, Error> {
    let mut cursor = Cursor::new(bytes);
    let stats = Stats {
        databases: cursor.u64()?,
        databases_open: cursor.u64()?,
        transactions: cursor.u64()?,
        log_bytes: cursor.u64()?,
        memory_bytes: cursor.u64()?,
    };
    cursor.end()?;
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_counts_in_their_order() {
        let stats = Stats { databases: 1, databases_open: 2, transactions: 3, log_bytes: 4, memory_bytes: u64::MAX };
        let bytes = encode(&stats);
        let firsts: Vec<u8> = bytes.iter().copied().step_by(8).collect();
        assert_eq!(firsts, [1, 2, 3, 4, 255]);
        assert_eq!(decode(&bytes).unwrap(), stats);
        assert!(decode(&bytes[..39]).is_err());
        assert!(decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}
