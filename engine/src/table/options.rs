//! How a builder divides a table.
//!
//! None of it is part of the format: a reader finds every length where it stands.

use super::codec::Compression;

/// How large the parts of a table become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuilderOptions {
    /// A block ends where one more entry would make it longer than this and a quarter; a longer document has one for itself.
    pub block_bytes: usize,
    /// A frame ends with the block that makes it so long.
    pub frame_bytes: usize,
    /// A section ends with the block that has its last key.
    pub section_keys: usize,
    /// The builder is full with the block that makes the file so long.
    pub table_bytes: u64,
    /// How blocks are stored.
    pub compression: Compression,
}

impl BuilderOptions {
    /// For tests and simulated worlds: a few dozen documents fill every level.
    pub const SMALL: BuilderOptions = BuilderOptions {
        block_bytes: 100,
        frame_bytes: 400,
        section_keys: 6,
        table_bytes: 2048,
        compression: Compression::None,
    };
}

impl Default for BuilderOptions {
    fn default() -> BuilderOptions {
        BuilderOptions {
            block_bytes: 4096,
            frame_bytes: 256 * 1024,
            section_keys: 2048,
            table_bytes: 4 * 1024 * 1024,
            compression: Compression::None,
        }
    }
}
