//! The fields of bytes that the engine writes, one behind the other, and what every file begins with.
//!
//! Whatever is not as FORMAT.md says is a violation: these bytes are about to be written, and nothing has damaged them.

use crate::oracle::{Violation, violation};

/// Magic, length, version, both kinds of features, directory.
const COMMON_BYTES: usize = 48;

/// What has not been read yet.
pub(super) struct Fields<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Fields<'bytes> {
    pub(super) fn new(bytes: &'bytes [u8]) -> Fields<'bytes> {
        Fields { rest: bytes }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'bytes [u8], Violation> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => violation!("{count} bytes are wanted, and {} are left", self.rest.len()),
        }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        Ok(self.bytes(1)?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        Ok(u32::from_le_bytes(*self.bytes(4)?.first_chunk().expect("four bytes were taken")))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Violation> {
        Ok(u64::from_le_bytes(*self.bytes(8)?.first_chunk().expect("eight bytes were taken")))
    }

    pub(super) fn u128(&mut self) -> Result<u128, Violation> {
        Ok(u128::from_le_bytes(*self.bytes(16)?.first_chunk().expect("sixteen bytes were taken")))
    }

    /// All that is left is zero.
    pub(super) fn only_zeros(self, what: &str) -> Result<(), Violation> {
        is_zero(self.rest, what)
    }
}

/// These bytes are zero.
pub(super) fn is_zero(bytes: &[u8], what: &str) -> Result<(), Violation> {
    if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { violation!("{what} is not zero") }
}

/// These bytes have this checksum.
pub(super) fn has_crc32(bytes: &[u8], crc32: u32, what: &str) -> Result<(), Violation> {
    if crc32fast::hash(bytes) == crc32 { Ok(()) } else { violation!("the checksum of {what} is wrong") }
}

/// The directory's id, and the fields of its own, of a file's header of so many bytes.
pub(super) fn file_header<'bytes>(
    bytes: &'bytes [u8],
    magic: &[u8; 8],
    header_bytes: usize,
) -> Result<(u128, Fields<'bytes>), Violation> {
    let mut fields = Fields::new(bytes);
    let begins = (fields.bytes(8)?, fields.u32()? as usize, fields.u32()?, fields.u64()?, fields.u64()?);
    if begins != (magic, header_bytes, 1, 0, 0) {
        return violation!("a header begins with {begins:?}");
    }
    let directory = fields.u128()?;
    let own = fields.bytes(header_bytes - COMMON_BYTES - 4)?;
    has_crc32(&bytes[..header_bytes - 4], fields.u32()?, "a file's header")?;
    Ok((directory, Fields::new(own)))
}
