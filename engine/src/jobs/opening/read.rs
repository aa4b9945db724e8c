//! Reading the segments of a log, in the order of their epochs, into a replay.
//!
//! It changes nothing, holds the bytes of one segment at a time, and has one file open at a time. A
//! read that fails is an error, never the end of the log.

use docdb_protocol::ErrorCode;

use super::Subject;
use super::survey::Segment;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error};
use crate::log::{Lsn, Replay, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::options::Options;
use crate::planted::planted;

/// One read.
const READ_BYTES_MAX: u32 = 1024 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ReadLog {
    subject: Subject,
    /// By epoch; those without a header come first.
    segments: Vec<Segment>,
    at: usize,
    file: FileId,
    bytes: Vec<u8>,
    step: Step,
    replay: Option<Replay>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Read,
}

impl ReadLog {
    /// Begins; done at once when there is nothing to read.
    pub(super) fn new(
        subject: Subject,
        mut segments: Vec<Segment>,
        options: &Options,
        io: &mut Io,
    ) -> (ReadLog, Progress<Replay>) {
        if !planted!(SegmentsUnsorted) {
            segments.sort_by_key(|segment| segment.header.map(|header| header.epoch));
        }
        let replay = Replay::new(subject.id, subject.log_end, options.merge_bytes_max);
        let (file, bytes) = (io.new_file(), Vec::new());
        let mut job = ReadLog { subject, segments, at: 0, file, bytes, step: Step::Open, replay: Some(replay) };
        let first = job.open(io);
        (job, first)
    }

    pub(super) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Replay> {
        match (self.step, result) {
            (Step::Open, Ok(_)) => self.read(io),
            (Step::Read, Ok(DiskReply::Data(data))) => {
                self.bytes.extend_from_slice(data.as_slice());
                if data.is_empty() || planted!(ShortReadEndsSegment) {
                    // Shorter than it was when its length was asked: the replay sees what is there.
                    self.segments[self.at].length = self.offset();
                }
                self.read(io)
            }
            (Step::Read, Err(_)) if planted!(ReadErrorEndsSegment) => {
                self.segments[self.at].length = self.offset();
                self.read(io)
            }
            (Step::Open, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::Read, Ok(_)) => {
                io.close(self.file);
                self.failed(ErrorCode::FileRead, &DiskError::new(DiskErrorKind::Io))
            }
            (Step::Read, Err(error)) => {
                io.close(self.file);
                let code = if planted!(ReadErrorToldAsDamage) { ErrorCode::CorruptRecord } else { ErrorCode::FileRead };
                self.failed(code, &error)
            }
        }
    }

    /// The segments that say nothing to any reader, all of it being said again by later ones.
    pub(super) fn superseded(&self) -> impl Iterator<Item = &DiskPath> {
        let superseded = (0..self.segments.len()).filter(|at| self.is_superseded(*at));
        superseded.map(|at| &self.segments[at].path)
    }

    fn is_superseded(&self, at: usize) -> bool {
        let (header, limit) = (self.segments[at].header, self.limit(at));
        header.zip(limit).is_some_and(|(header, limit)| header.start_lsn >= limit)
    }

    /// Opens the next segment that has something to say.
    fn open(&mut self, io: &mut Io) -> Progress<Replay> {
        while let Some(segment) = self.segments.get(self.at) {
            if segment.header.is_some() && !self.is_superseded(self.at) {
                self.file = io.new_file();
                self.bytes.clear();
                self.step = Step::Open;
                let path = segment.path.clone();
                return Progress::Submit(DiskOp::Open { file: self.file, path, mode: OpenMode::Read });
            }
            self.at += 1;
        }
        Progress::Done(self.replay.take().expect("taken once, at the end"))
    }

    /// Reads on in the segment at hand; when it is read, replays it and goes on to the next.
    fn read(&mut self, io: &mut Io) -> Progress<Replay> {
        let segment = &self.segments[self.at];
        if self.offset() < segment.length {
            let rest = segment.length - self.offset();
            let bytes = READ_BYTES_MAX.min(u32::try_from(rest).unwrap_or(READ_BYTES_MAX));
            self.step = Step::Read;
            return Progress::Submit(DiskOp::Read { file: self.file, offset: self.offset(), bytes });
        }
        io.close(self.file);
        let header: SegmentHeader = segment.header.expect("only segments with a header are opened");
        let limit = self.limit(self.at).filter(|_| !planted!(LimitIgnored));
        let replay = self.replay.as_mut().expect("taken only when all segments are replayed");
        replay.segment(header, segment.path.as_str(), &self.bytes, limit);
        self.at += 1;
        self.open(io)
    }

    /// How far the segment at hand has been read, as an offset in its file.
    fn offset(&self) -> u64 {
        (SEGMENT_HEADER_BYTES + self.bytes.len()) as u64
    }

    /// The smallest start of any later segment: what this one says beyond it exists for no reader.
    fn limit(&self, at: usize) -> Option<Lsn> {
        self.segments[at + 1..].iter().filter_map(|segment| Some(segment.header?.start_lsn)).min()
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<Replay> {
        let error = disk_error(code, &self.segments[self.at].path, error);
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}
