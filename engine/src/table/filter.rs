//! Filters: which keys a section, or a damaged range, has not, for ten bits a key.
//!
//! A Bloom filter in lines of 64 bytes: the hash of a key chooses one line, and six bits of it. So a question touches one
//! line of a processor's cache; about one of a hundred keys that are not there is answered *maybe*.
//!
//! Invariants: a *no* is true. A filter that is lost says *maybe* to everything.
//!
//! The hash is part of the format, and the same for every table: whoever asks many tables hashes once.

use super::part::{self, PartError, PartKind, TableIdentity};
use crate::log::{Fields, put_u32};

const LINE_BYTES: usize = 64;
const BITS_PER_KEY: usize = 10;
const PROBES: u32 = 6;
/// Of a line's 512 bits.
const PROBE_BITS: u32 = 9;

/// The first 64 bits behind the point of pi, of the square root of 2, and of e: odd, and chosen by nobody.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const MULTIPLIER: u64 = 0x6a09_e667_f3bc_c909;
const SPREAD: u64 = 0xb7e1_5162_8aed_2a6b;

/// The hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Eight bytes at a time, the last ones with zeros behind them: `h = fold((h ^ bytes) * MULTIPLIER)`.
    #[must_use]
    pub fn of(key: &[u8]) -> KeyHash {
        let (chunks, rest) = key.as_chunks::<8>();
        let mut hash = SEED ^ key.len() as u64;
        for chunk in chunks {
            hash = fold(hash ^ u64::from_le_bytes(*chunk), MULTIPLIER);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        KeyHash(fold(hash ^ u64::from_le_bytes(last), SPREAD))
    }

    /// The line, of so many, that the key belongs to.
    fn line(self, lines: usize) -> usize {
        // The upper half scaled to the number of lines: below it, without a division.
        let scaled = u128::from(self.0 >> 32) * lines as u128;
        usize::try_from(scaled >> 32).expect("below the number of lines")
    }

    /// Byte and mask of each of its bits within a line.
    fn probes(self) -> impl Iterator<Item = (usize, u8)> {
        let bits = fold(self.0, SPREAD);
        (0..PROBES).map(move |probe| {
            let bit = (bits >> (probe * PROBE_BITS)) % (8 * LINE_BYTES as u64);
            (usize::try_from(bit / 8).expect("below 64"), 1 << (bit % 8))
        })
    }
}

/// Both halves of the product, one on the other.
fn fold(value: u64, multiplier: u64) -> u64 {
    let product = (u128::from(value) * u128::from(multiplier)).to_le_bytes();
    let (halves, _) = product.as_chunks::<8>();
    u64::from_le_bytes(halves[0]) ^ u64::from_le_bytes(halves[1])
}

/// What the part of these keys holds.
pub(super) fn encode(hashes: &[KeyHash]) -> Vec<u8> {
    let lines = (hashes.len() * BITS_PER_KEY).div_ceil(8 * LINE_BYTES).max(1);
    let mut body = Vec::with_capacity(COUNTS_BYTES + lines * LINE_BYTES);
    let count = |count: usize| u32::try_from(count).expect("a section is bounded");
    put_u32(&mut body, count(hashes.len()));
    put_u32(&mut body, count(lines));
    body.resize(COUNTS_BYTES + lines * LINE_BYTES, 0);
    let all = &mut body[COUNTS_BYTES..];
    for hash in hashes {
        let line = &mut all[hash.line(lines) * LINE_BYTES..][..LINE_BYTES];
        for (byte, mask) in hash.probes() {
            line[byte] |= mask;
        }
    }
    body
}

/// Number of keys, number of lines.
const COUNTS_BYTES: usize = 8;

/// A filter part that has been read, or made.
#[derive(Clone, PartialEq, Eq)]
pub struct FilterPart {
    /// As the part holds it.
    body: Box<[u8]>,
}

impl FilterPart {
    /// The filter part that was read at `offset`.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode(identity: TableIdentity, offset: u64, bytes: &[u8]) -> Result<FilterPart, PartError> {
        let body = part::open(identity, PartKind::Filter, offset, bytes)?.into_raw()?;
        FilterPart::of_body(body).ok_or(PartError::Damaged)
    }

    pub(super) fn of_body(body: Box<[u8]>) -> Option<FilterPart> {
        let mut fields = Fields::new(&body);
        let (_, lines) = (fields.u32()?, fields.u32()? as usize);
        (lines > 0 && Some(fields.rest().len()) == lines.checked_mul(LINE_BYTES)).then_some(FilterPart { body })
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// `false` only where the key is not there.
    #[must_use]
    pub fn may_contain(&self, hash: KeyHash) -> bool {
        let lines = &self.body[COUNTS_BYTES..];
        let line = &lines[hash.line(lines.len() / LINE_BYTES) * LINE_BYTES..][..LINE_BYTES];
        hash.probes().all(|(byte, mask)| line[byte] & mask != 0)
    }

    /// The memory that its bytes take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.body.len()
    }
}

impl std::fmt::Debug for FilterPart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "FilterPart({} bytes)", self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{CollectionId, DocumentId};

    use super::*;
    use crate::table::Key;

    fn hash(number: u64) -> KeyHash {
        KeyHash::of(&Key::new(CollectionId(1), &DocumentId::Number(number)))
    }

    fn filter(numbers: impl Iterator<Item = u64>) -> FilterPart {
        let hashes: Vec<KeyHash> = numbers.map(hash).collect();
        FilterPart::of_body(encode(&hashes).into()).expect("it is one")
    }

    #[test]
    fn a_filter_denies_no_key_that_is_there_and_most_that_are_not() {
        for step in [1, 3, 1 << 40] {
            let filter = filter((0..2048).map(|number| number * step));
            assert_eq!(filter.memory_bytes(), 8 + 40 * 64, "ten bits a key");
            assert!((0..2048).all(|number| filter.may_contain(hash(number * step))));
            let taken = (2048..102_048).filter(|number| filter.may_contain(hash(number * step))).count();
            assert!((500..2_000).contains(&taken), "{taken} of 100,000 keys that are not there");
        }
        let texts = |text: String| KeyHash::of(&Key::new(CollectionId(1), &DocumentId::text(&text).unwrap()));
        let hashes: Vec<KeyHash> = (0..2048).map(|number| texts(format!("user-{number}"))).collect();
        let filter = FilterPart::of_body(encode(&hashes).into()).unwrap();
        assert!(hashes.iter().all(|hash| filter.may_contain(*hash)));
        let taken = (2048..102_048).filter(|number| filter.may_contain(texts(format!("user-{number}")))).count();
        assert!(taken < 2_000, "{taken}");
    }

    /// The hash is the format's: another one would deny what is there.
    #[test]
    fn the_hash_of_a_key_is_what_it_always_was() {
        assert_eq!(hash(7), KeyHash(4_310_345_130_182_913_708));
    }

    #[test]
    fn a_body_of_another_length_is_none() {
        let body = encode(&[hash(1)]);
        for cut in 0..body.len() {
            assert!(FilterPart::of_body(body[..cut].into()).is_none());
        }
        assert!(FilterPart::of_body([1, 0, 0, 0, 0, 0, 0, 0].into()).is_none(), "no line");
    }
}
