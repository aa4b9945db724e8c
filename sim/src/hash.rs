//! The rolling hash of a run: two runs that made the same choices and had the same effects end with
//! the same number.
//!
//! 64-bit XXH3, each piece seeded with what came before. It never depends on addresses, on the machine or on the hasher
//! of a map; what is folded in through [`Hasher`] is laid out as the standard library derives it.

use std::fmt;
use std::hash::Hasher;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A rolling hash.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hash(u64);

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Hash {
    /// Folds bytes in.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// Folds one number in.
    pub fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// The hash so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// The hash of one piece of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u64 {
        let mut hash = Hash::default();
        hash.bytes(bytes);
        hash.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}
