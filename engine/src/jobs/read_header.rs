//! Reading the header of a segment, in as many reads as the disk needs for it.
//!
//! The file is open, and stays so. A read that fails is an error, never a missing header.

use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskReply, FileId};
use crate::io::DiskResult;
use crate::log::{SEGMENT_HEADER_BYTES, SegmentHeader};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ReadHeader {
    pub(super) file: FileId,
    bytes: Vec<u8>,
}

/// Where the reading stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It waits for one more read.
    More(DiskOp),
    /// It has ended.
    Ended(Result<Head, DiskError>),
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Header(SegmentHeader),
    /// A header that a later version wrote.
    Newer,
    /// Neither copy is a header.
    Nothing,
}

impl ReadHeader {
    /// Begins with the first read.
    pub(super) fn new(file: FileId) -> (ReadHeader, DiskOp) {
        let read = ReadHeader { file, bytes: Vec::new() };
        let first = read.next();
        (read, first)
    }

    /// Takes what the disk read. A read that gives nothing is the end of the file.
    pub(super) fn step(&mut self, result: DiskResult) -> Reading {
        let data = match result {
            Ok(DiskReply::Data(data)) => data,
            Ok(_) => return Reading::Ended(Err(DiskError::new(DiskErrorKind::Io))),
            Err(error) => return Reading::Ended(Err(error)),
        };
        self.bytes.extend_from_slice(data.as_slice());
        if !data.is_empty() && self.bytes.len() < SEGMENT_HEADER_BYTES {
            return Reading::More(self.next());
        }
        Reading::Ended(Ok(match SegmentHeader::decode(&self.bytes) {
            Some(header) => Head::Header(header),
            None if SegmentHeader::is_newer(&self.bytes) => Head::Newer,
            None => Head::Nothing,
        }))
    }

    fn next(&self) -> DiskOp {
        let offset = self.bytes.len();
        let bytes = u32::try_from(SEGMENT_HEADER_BYTES - offset).expect("at most 4096");
        DiskOp::Read { file: self.file, offset: offset as u64, bytes, bulk: false }
    }
}
