//! A cursor over received bytes.
//!
//! Each step takes a field off the front or fails, and a failed step has taken nothing. It never copies
//! and never looks behind the end.

use crate::error::{Error, ErrorCode};

/// What is left to read, and how much has been read.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes, length: bytes.len() }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A `u32` that announces as many items of at least `item_bytes_min` bytes each. Refused at once when
    /// that many cannot be here, so that the caller may set aside room for all of them.
    pub(super) fn count(&mut self, item_bytes_min: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.has_items(count, item_bytes_min)?;
        Ok(count)
    }

    /// Fails when so many items of at least `item_bytes_min` bytes each cannot be here.
    pub(super) fn has_items(&self, count: usize, item_bytes_min: usize) -> Result<(), Error> {
        if count > self.rest.len() / item_bytes_min {
            return Err(self.invalid("more items are announced than there are bytes for"));
        }
        Ok(())
    }

    /// Passes over what is left.
    pub(super) fn skip_rest(&mut self) {
        self.rest = &[];
    }

    /// A `u16` and as many bytes.
    pub(super) fn bytes_u16(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// A `u32` and as many bytes.
    pub(super) fn bytes_u32(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// As many bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.cut_short())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.cut_short())?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Fails unless everything has been read.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.invalid("bytes are left over"))
    }

    fn cut_short(&self) -> Error {
        self.invalid("the frame ends within a field")
    }

    /// What was read last cannot be.
    pub(super) fn invalid(&self, detail: &str) -> Error {
        let offset = self.length - self.rest.len();
        Error::new(ErrorCode::InvalidFrame).offset(offset as u64).detail(detail)
    }
}
