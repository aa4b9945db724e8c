//! Looking a database's folder over: which files of the log there are, and what their headers say.
//!
//! It changes nothing. One file is open at a time, however many segments there are. A read that fails is an
//! error, never a missing header; so is a header that a later version wrote.

use std::sync::Arc;

use docdb_protocol::{Error, ErrorCode};

use super::subject::Subject;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::jobs::listing::{Listing, Page};
use crate::jobs::read_header::{Head, ReadHeader, Reading};
use crate::log::{SegmentHeader, SegmentName};
use crate::metadata::StoreName;

/// One segment of the log, or what should be one.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) path: DiskPath,
    pub(super) length: u64,
    /// `None` when neither copy is valid.
    pub(super) header: Option<SegmentHeader>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// All but spares.
    pub(super) segments: Vec<Segment>,
    pub(super) spare: Option<DiskPath>,
    pub(super) manifest: Option<DiskPath>,
}

impl Found {
    /// Forgets each header that is not the one of its file, but got there by a write that went astray: a sealed segment is
    /// named by its epoch, and what is not sealed has a larger one than all that are.
    fn forget_strays(&mut self) {
        let number = |name| if let SegmentName::Sealed(number) = name { Some(number) } else { None };
        let sealed_max = self.segments.iter().filter_map(|segment| number(segment.name)).max();
        for segment in &mut self.segments {
            let name = segment.name;
            segment.header = segment.header.filter(|header| match name {
                SegmentName::Sealed(number) => header.epoch == number,
                SegmentName::Active | SegmentName::Next | SegmentName::Spare => Some(header.epoch) > sealed_max,
            });
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    subject: Subject,
    step: Step,
    /// Names that were listed and not looked at yet.
    names: Vec<Arc<str>>,
    found: Found,
}

#[derive(Clone, Debug)]
enum Step {
    List(Listing),
    Open(FileId),
    Length(FileId),
    ReadHeader(ReadHeader),
}

impl Survey {
    pub(super) fn new(subject: Subject, names_max: u32) -> (Survey, DiskOp) {
        let (listing, first) = Listing::new(subject.directory.clone(), names_max);
        (Survey { subject, step: Step::List(listing), names: Vec::new(), found: Found::default() }, first)
    }

    pub(super) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Found> {
        match &mut self.step {
            Step::List(listing) => {
                let page = listing.step(result);
                self.listed(page, io)
            }
            Step::Open(file) => {
                let file = *file;
                self.opened(file, result)
            }
            Step::Length(file) => {
                let file = *file;
                self.measured(file, result, io)
            }
            Step::ReadHeader(read) => match read.step(result) {
                Reading::More(op) => Progress::Submit(op),
                Reading::Ended(head) => {
                    io.close(read.file);
                    self.read(head, io)
                }
            },
        }
    }

    fn listed(&mut self, page: Result<Page, DiskError>, io: &mut Io) -> Progress<Found> {
        match page {
            Ok(Page { names, more }) => {
                self.names.extend(names);
                match more {
                    Some(op) => Progress::Submit(op),
                    None => self.open(io),
                }
            }
            Err(error) => self.failed(ErrorCode::FileRead, &error),
        }
    }

    /// Opens the next segment listed, if there is one more.
    fn open(&mut self, io: &mut Io) -> Progress<Found> {
        while let Some(file_name) = self.names.pop() {
            let path = self.subject.directory.join(&file_name);
            if StoreName::parse(&self.subject.name, &file_name) == Some(StoreName::Manifest) {
                self.found.manifest = Some(path);
                continue;
            }
            match SegmentName::parse(&self.subject.name, &file_name) {
                Some(name @ (SegmentName::Active | SegmentName::Next | SegmentName::Sealed(_))) => {
                    let file = io.new_file();
                    let open = DiskOp::Open { file, path: path.clone(), mode: OpenMode::Read };
                    self.found.segments.push(Segment { name, path, length: 0, header: None });
                    return self.go(Step::Open(file), open);
                }
                Some(SegmentName::Spare) => self.found.spare = Some(path),
                None => {}
            }
        }
        self.found.forget_strays();
        Progress::Done(std::mem::take(&mut self.found))
    }

    fn opened(&mut self, file: FileId, result: DiskResult) -> Progress<Found> {
        match result {
            Ok(_) => self.go(Step::Length(file), DiskOp::Length { file }),
            Err(error) => self.failed(ErrorCode::FileOpen, &error),
        }
    }

    fn measured(&mut self, file: FileId, result: DiskResult, io: &mut Io) -> Progress<Found> {
        let error = match result {
            Ok(DiskReply::Length(length)) => {
                self.newest().length = length;
                let (read, first) = ReadHeader::new(file);
                return self.go(Step::ReadHeader(read), first);
            }
            Ok(_) => DiskError::new(DiskErrorKind::Io),
            Err(error) => error,
        };
        io.close(file);
        self.failed(ErrorCode::FileRead, &error)
    }

    fn read(&mut self, head: Result<Head, DiskError>, io: &mut Io) -> Progress<Found> {
        match head {
            // It may be the log of a database that somebody put here: neither read as this one's nor written over.
            Ok(Head::Header(header)) if header.directory != io.directory() => {
                let detail = "it is of another data directory, and was put here from elsewhere";
                let error = Error::new(ErrorCode::CorruptRecord).file(self.newest().path.as_str()).detail(detail);
                Progress::Failed(error.database(self.subject.name.as_str()))
            }
            Ok(Head::Header(header)) => {
                let id = self.subject.id;
                self.newest().header = Some(header).filter(|header| header.database == id);
                self.open(io)
            }
            Ok(Head::Nothing) => self.open(io),
            Ok(Head::Newer) => {
                let error = newer_format(&self.newest().path);
                Progress::Failed(error.database(self.subject.name.as_str()))
            }
            Err(error) => self.failed(ErrorCode::FileRead, &error),
        }
    }

    /// The segment being looked at.
    fn newest(&mut self) -> &mut Segment {
        self.found.segments.last_mut().expect("asked only while one is being looked at")
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Found> {
        self.step = step;
        Progress::Submit(op)
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<Found> {
        let path = self.found.segments.last().map_or(&self.subject.directory, |segment| &segment.path);
        let error: Error = disk_error(code, path, error);
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{DatabaseId, DatabaseName};

    use super::*;
    use crate::buffer::Buffer;
    use crate::clock::WallTime;
    use crate::log::{Lsn, SEGMENT_HEADER_BYTES};

    fn header(epoch: u64) -> SegmentHeader {
        SegmentHeader {
            directory: crate::log::DirectoryId::NONE,
            database: DatabaseId::FIRST,
            epoch,
            start_lsn: Lsn(0),
            created_at: WallTime(0),
            is_writable: true,
        }
    }

    /// Looks over a folder with these files, on a disk that gives `read_bytes_max` bytes at a time.
    fn survey(files: &[(&str, Vec<u8>)], read_bytes_max: usize) -> Found {
        let name = DatabaseName::parse("a").unwrap();
        let directory = DiskPath::root().join("a");
        let (id, created_at, log_end) = (DatabaseId::FIRST, WallTime(0), Lsn(0));
        let subject = Subject { id, name, directory, created_at, log_end };
        let mut io = Io::default();
        let (mut job, mut op) = Survey::new(subject, 1024);
        let mut opened: &[u8] = &[];
        loop {
            let reply = match op {
                DiskOp::List { after, .. } => {
                    assert!(after.is_empty(), "one page holds them all");
                    DiskReply::Names(files.iter().map(|(name, _)| (*name).into()).collect())
                }
                DiskOp::Open { path, .. } => {
                    opened = &files.iter().find(|(name, _)| *name == path.name()).unwrap().1;
                    DiskReply::Done
                }
                DiskOp::Length { .. } => DiskReply::Length(opened.len() as u64),
                DiskOp::Read { offset, bytes, .. } => {
                    let (from, bytes) = (usize::try_from(offset).unwrap(), bytes as usize);
                    assert!(bytes > 0 && from + bytes <= SEGMENT_HEADER_BYTES, "the header, and nothing more");
                    let rest = opened.get(from..).unwrap_or_default();
                    DiskReply::Data(Buffer::from(rest[..rest.len().min(bytes).min(read_bytes_max)].to_vec()))
                }
                other => panic!("it changes nothing: {other:?}"),
            };
            match job.step(Ok(reply), &mut io) {
                Progress::Submit(next) => op = next,
                Progress::Done(found) => return found,
                Progress::Failed(error) => panic!("{error:?}"),
            }
        }
    }

    fn epochs(found: &Found) -> Vec<Option<u64>> {
        found.segments.iter().map(|segment| segment.header.map(|header| header.epoch)).collect()
    }

    #[test]
    fn a_header_is_read_whole_however_little_a_read_gives() {
        let mut bytes = header(1).encode();
        // Only the second copy, at the end of what is read, is valid.
        bytes[0] ^= 1;
        bytes.resize(bytes.len() + 4096, 7);
        for read_bytes_max in [1000, 4096] {
            assert_eq!(epochs(&survey(&[("a.wal", bytes.clone())], read_bytes_max)), [Some(1)], "{read_bytes_max}");
        }
        assert_eq!(epochs(&survey(&[("a.wal", bytes[..1000].to_vec())], 4096)), [None], "a file that ends early");
    }

    /// The last name listed is looked at first.
    #[test]
    fn a_header_of_another_file_is_none() {
        let folder = |active, sealed| [("a.wal", header(active).encode()), ("a.wal.2", header(sealed).encode())];
        let look = |active, sealed| epochs(&survey(&folder(active, sealed), 4096));
        assert_eq!(look(3, 2), [Some(2), Some(3)]);
        assert_eq!(look(3, 1), [None, Some(3)], "a sealed one is named by its epoch");
        assert_eq!(look(2, 2), [Some(2), None], "what is not sealed is newer than all that are");
        assert_eq!(look(1, 2), [Some(2), None]);
    }
}
