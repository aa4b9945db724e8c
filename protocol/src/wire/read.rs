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

    /// How many bytes are left.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
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

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
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
