//! Reading the manifest: the copy of the metadata that is a file of its own.
//!
//! It changes nothing. A read that fails is an error, never a damaged manifest. What is read is bounded, whatever the length of
//! the file.

use docdb_protocol::{Error, ErrorCode};

use super::subject::Subject;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::metadata::{DecodedMetadata, MANIFEST_HEADER_BYTES, METADATA_BYTES_MAX, Manifest, Metadata};

/// Beyond it, no manifest is read: a header and a body at most, and what a later version may add to the header.
const MANIFEST_BYTES_MAX: usize = METADATA_BYTES_MAX + 2 * MANIFEST_HEADER_BYTES;

/// What the file says.
#[derive(Clone, Debug)]
pub(super) enum Read {
    /// This.
    Whole { metadata: Box<Metadata>, is_writable: bool },
    /// It is damaged.
    Damaged,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ReadManifest {
    subject: Subject,
    path: DiskPath,
    file: FileId,
    slice_bytes: u32,
    bytes: Vec<u8>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Read,
}

impl ReadManifest {
    pub(super) fn new(subject: Subject, path: DiskPath, slice_bytes: u32, io: &mut Io) -> (ReadManifest, DiskOp) {
        let file = io.new_file();
        let open = DiskOp::Open { file, path: path.clone(), mode: OpenMode::Read };
        let slice_bytes = slice_bytes.max(1);
        (ReadManifest { subject, path, file, slice_bytes, bytes: Vec::new(), step: Step::Open }, open)
    }

    pub(super) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Read> {
        match (self.step, result) {
            (Step::Open, Ok(_)) => self.read(),
            (Step::Read, Ok(DiskReply::Data(data))) => {
                self.bytes.extend_from_slice(data.as_slice());
                if data.is_empty() || self.bytes.len() > MANIFEST_BYTES_MAX {
                    io.close(self.file);
                    return self.decode(io);
                }
                self.read()
            }
            (Step::Open, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::Read, Ok(_)) => {
                io.close(self.file);
                self.failed(ErrorCode::FileRead, &DiskError::new(DiskErrorKind::Io))
            }
            (Step::Read, Err(error)) => {
                io.close(self.file);
                self.failed(ErrorCode::FileRead, &error)
            }
        }
    }

    fn read(&mut self) -> Progress<Read> {
        self.step = Step::Read;
        let (file, offset, bytes) = (self.file, self.bytes.len() as u64, self.slice_bytes);
        Progress::Submit(DiskOp::Read { file, offset, bytes, bulk: true })
    }

    fn decode(&self, io: &Io) -> Progress<Read> {
        match Manifest::decode(io.directory(), self.subject.id, &self.bytes) {
            DecodedMetadata::Whole { metadata, is_writable } => Progress::Done(Read::Whole { metadata, is_writable }),
            DecodedMetadata::Damaged => Progress::Done(Read::Damaged),
            DecodedMetadata::Newer => self.named(newer_format(&self.path)),
            DecodedMetadata::Older { version } => {
                let detail = format!("format version {version} wrote it, which this program does not read");
                self.named(Error::new(ErrorCode::CorruptRecord).file(self.path.as_str()).detail(detail))
            }
        }
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<Read> {
        self.named(disk_error(code, &self.path, error))
    }

    fn named(&self, error: Error) -> Progress<Read> {
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}
