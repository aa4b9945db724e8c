//! Opening a database: replaying its log and going on in a new segment.
//!
//! ```text
//! list the folder; of every segment: open, length, header
//! order by epoch; read and replay each up to the smallest start of any later one
//! damaged -> done, read-only: nothing is changed on disk
//! no `wal`, a valid `next` -> sync the directory; rename it to `wal`; sync the directory
//! new segment from the proven end on, with everything recovered beyond it as its tail
//! remove the segments that it wholly supersedes
//! ```
//!
//! Being able to read something does not mean that it is durable, so what no later watermark proves
//! is written again, in the new segment, before anybody sees it. A failed read is an error, never a torn tail.
//!
//! The same holds of a header: a `next` that can be read need not be durable, and after a failed sync no
//! later one makes it so. But `wal` loses its name only when `next` is durable with its name, so a
//! missing `wal` proves `next`; beside a `wal`, a `next` is no part of the log, and nothing rested on it.

use std::sync::Arc;

use docdb_protocol::{DatabaseId, DatabaseName, Error, ErrorCode};

use super::new_segment::{Made, NewSegment, Plan};
use crate::clock::WallTime;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error};
use crate::log::{
    Encoded, Lsn, Repetition, Replay, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName, Tail, active, encode_tail,
    next, sealed,
};
use crate::options::Options;
use crate::view::View;

/// One page of the listing.
const NAMES_MAX: u32 = 1024;
/// One read of a segment.
const READ_BYTES_MAX: u32 = 1024 * 1024;

/// An open database.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    /// Everything recovered is durable, and the log goes on in a new segment.
    Writable(Box<Writable>),
    /// Acknowledged data is missing.
    Damaged(View, Error),
}

/// See [`Opened::Writable`].
#[derive(Clone, Debug)]
pub(crate) struct Writable {
    pub(crate) view: View,
    pub(crate) segment: Made,
    pub(crate) epoch: u64,
    pub(crate) start_lsn: Lsn,
    pub(crate) end: Lsn,
    pub(crate) before: Option<Repetition>,
}

#[derive(Clone, Debug)]
struct Segment {
    name: SegmentName,
    path: DiskPath,
    file: FileId,
    length: u64,
    header: Option<SegmentHeader>,
}

/// What is opened.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: DatabaseId,
    pub(crate) name: DatabaseName,
    pub(crate) directory: DiskPath,
    pub(crate) created_at: WallTime,
    /// The log's end stored at the last closing.
    pub(crate) log_end: Lsn,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    subject: Subject,
    options: Options,
    step: Step,
    names: Vec<Arc<str>>,
    segments: Vec<Segment>,
    at: usize,
    bytes: Vec<u8>,
    /// The largest epoch of any header in the folder, one that is no part of the log included.
    epoch_max: u64,
    replay: Option<Replay>,
    recovered: Option<Recovered>,
    superseded: Vec<DiskPath>,
}

/// What the replay found, on its way into the new segment.
#[derive(Clone, Debug)]
struct Recovered {
    view: View,
    start_lsn: Lsn,
    end: Lsn,
    tail: Option<Encoded>,
    before: Option<Repetition>,
    epoch: u64,
}

#[derive(Clone, Debug)]
enum Step {
    List,
    OpenSegment,
    Length,
    ReadHeader,
    ReadBody,
    /// The names seen may not be durable; the renames build on them.
    SyncNames,
    PromoteNext,
    SyncPromoted,
    NewSegment(Box<NewSegment>),
    RemoveSuperseded(Made),
}

impl Opening {
    pub(crate) fn new(subject: Subject, options: &Options) -> (Opening, DiskOp) {
        let first = DiskOp::List { path: subject.directory.clone(), after: "".into(), limit: NAMES_MAX };
        let replay = Replay::new(subject.id, subject.log_end, options.clone());
        let job = Opening {
            subject,
            options: options.clone(),
            step: Step::List,
            names: Vec::new(),
            segments: Vec::new(),
            at: 0,
            bytes: Vec::new(),
            epoch_max: 0,
            replay: Some(replay),
            recovered: None,
            superseded: Vec::new(),
        };
        (job, first)
    }

    pub(crate) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Opened> {
        let progress = self.advance(result, io);
        if let Progress::Done(_) | Progress::Failed(_) = progress {
            for segment in self.segments.drain(..) {
                io.close(segment.file);
            }
        }
        progress
    }

    fn advance(&mut self, result: DiskResult, io: &mut Io) -> Progress<Opened> {
        match (&mut self.step, result) {
            (Step::List, Ok(DiskReply::Names(names))) => {
                let more = names.len() as u64 == u64::from(NAMES_MAX);
                self.names.extend(names);
                if more {
                    let after = self.names.last().cloned().unwrap_or_else(|| "".into());
                    let path = self.subject.directory.clone();
                    return self.go(Step::List, DiskOp::List { path, after, limit: NAMES_MAX });
                }
                self.open_segment(io)
            }
            (Step::OpenSegment, Ok(_)) => {
                let file = self.newest().file;
                self.go(Step::Length, DiskOp::Length { file })
            }
            (Step::Length, Ok(DiskReply::Length(length))) => {
                self.newest().length = length;
                let file = self.newest().file;
                let bytes = u32::try_from(SEGMENT_HEADER_BYTES).expect("4096");
                self.bytes.clear();
                self.go(Step::ReadHeader, DiskOp::Read { file, offset: 0, bytes })
            }
            (Step::ReadHeader, Ok(DiskReply::Data(data))) => {
                self.bytes.extend_from_slice(data.as_slice());
                if !data.is_empty() && self.bytes.len() < SEGMENT_HEADER_BYTES {
                    let (file, offset) = (self.newest().file, self.bytes.len() as u64);
                    let bytes = u32::try_from(SEGMENT_HEADER_BYTES - self.bytes.len()).expect("below 4096");
                    return self.go(Step::ReadHeader, DiskOp::Read { file, offset, bytes });
                }
                let id = self.subject.id;
                self.newest().header = SegmentHeader::decode(&self.bytes).filter(|header| header.database == id);
                self.open_segment(io)
            }
            (Step::ReadBody, Ok(DiskReply::Data(data))) => {
                self.bytes.extend_from_slice(data.as_slice());
                if data.is_empty() {
                    // Shorter than it was when its length was asked: the replay sees what is there.
                    self.segments[self.at].length = self.body_offset();
                }
                self.read_body(io)
            }
            (Step::SyncNames, Ok(_)) => self.promote(),
            (Step::PromoteNext, Ok(_)) => {
                let path = self.subject.directory.clone();
                self.go(Step::SyncPromoted, DiskOp::SyncDirectory { path })
            }
            (Step::SyncPromoted, Ok(_)) => {
                let epoch = self.find(SegmentName::Next).and_then(|segment| segment.header).map(|header| header.epoch);
                self.new_segment(epoch, io)
            }
            (Step::NewSegment(job), result) => match job.step(result) {
                Progress::Submit(op) => Progress::Submit(op),
                Progress::Done(made) => self.remove_superseded(made),
                Progress::Failed(error) => {
                    if let Some(file) = job.opened() {
                        io.close(file);
                    }
                    Progress::Failed(error)
                }
            },
            // What could not be removed now is superseded at the next opening too.
            (Step::RemoveSuperseded(made), Ok(_) | Err(_)) => {
                let made = *made;
                self.remove_superseded(made)
            }
            (Step::OpenSegment, Err(error)) => {
                // Its id names no open file.
                self.segments.pop();
                self.failed(ErrorCode::FileOpen, &error)
            }
            (Step::PromoteNext, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::List | Step::Length | Step::ReadHeader | Step::ReadBody, Err(error)) => {
                self.failed(ErrorCode::FileRead, &error)
            }
            (Step::List | Step::Length | Step::ReadHeader | Step::ReadBody, Ok(_)) => {
                self.failed(ErrorCode::FileRead, &DiskError::new(DiskErrorKind::Io))
            }
            (Step::SyncNames | Step::SyncPromoted, Err(error)) => self.failed(ErrorCode::FileSync, &error),
        }
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Opened> {
        self.step = step;
        Progress::Submit(op)
    }

    fn path(&self, name: &str) -> DiskPath {
        self.subject.directory.join(name)
    }

    fn find(&self, name: SegmentName) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.name == name)
    }

    /// The segment that was opened last.
    fn newest(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("asked only while one is being looked at")
    }

    /// Opens the next segment listed, or goes on to replaying when there is none.
    fn open_segment(&mut self, io: &mut Io) -> Progress<Opened> {
        while let Some(file_name) = self.names.pop() {
            match SegmentName::parse(&self.subject.name, &file_name) {
                Some(name @ (SegmentName::Active | SegmentName::Next | SegmentName::Sealed(_))) => {
                    let (path, file) = (self.path(&file_name), io.new_file());
                    let open = DiskOp::Open { file, path: path.clone(), mode: OpenMode::Read };
                    self.segments.push(Segment { name, path, file, length: 0, header: None });
                    return self.go(Step::OpenSegment, open);
                }
                Some(SegmentName::Spare) | None => {}
            }
        }
        let headers = self.segments.iter().filter_map(|segment| segment.header);
        self.epoch_max = headers.map(|header| header.epoch).max().unwrap_or(0);
        if self.find(SegmentName::Active).is_some()
            && let Some(at) = self.segments.iter().position(|segment| segment.name == SegmentName::Next)
        {
            io.close(self.segments.remove(at).file);
        }
        self.segments.sort_by_key(|segment| segment.header.map(|header| header.epoch));
        self.bytes.clear();
        self.read_body(io)
    }

    /// How far the segment being read has come, as an offset in its file.
    fn body_offset(&self) -> u64 {
        (SEGMENT_HEADER_BYTES + self.bytes.len()) as u64
    }

    /// The smallest start of any later segment: what this one says beyond it exists for no reader.
    fn limit(&self, at: usize) -> Option<Lsn> {
        self.segments[at + 1..].iter().filter_map(|segment| Some(segment.header?.start_lsn)).min()
    }

    /// Reads on in the segment at hand; when it is read, replays it and goes on to the next.
    fn read_body(&mut self, io: &mut Io) -> Progress<Opened> {
        while let Some(segment) = self.segments.get(self.at) {
            let limit = self.limit(self.at);
            if let Some(header) = segment.header {
                if limit.is_some_and(|limit| header.start_lsn >= limit) {
                    self.superseded.push(segment.path.clone());
                } else if self.body_offset() < segment.length {
                    let rest = segment.length - self.body_offset();
                    let bytes = READ_BYTES_MAX.min(u32::try_from(rest).unwrap_or(READ_BYTES_MAX));
                    let op = DiskOp::Read { file: segment.file, offset: self.body_offset(), bytes };
                    return self.go(Step::ReadBody, op);
                } else {
                    let replay = self.replay.as_mut().expect("taken only when all segments are replayed");
                    replay.segment(header, segment.path.as_str(), &self.bytes, limit);
                }
            }
            self.at += 1;
            self.bytes.clear();
        }
        self.replayed(io)
    }

    fn replayed(&mut self, io: &mut Io) -> Progress<Opened> {
        let mut replay = self.replay.take().expect("taken once, here");
        let live = |name: &SegmentName| matches!(name, SegmentName::Active | SegmentName::Next);
        for segment in &self.segments {
            // The active and the sealed ones got their names after their headers were durable.
            if segment.header.is_none() && segment.name != SegmentName::Next {
                replay.unreadable(segment.path.as_str());
            }
        }
        if !self.segments.iter().any(|segment| live(&segment.name) && segment.header.is_some()) {
            replay.unreadable(self.path(&active(&self.subject.name)).as_str());
        }
        let Tail { view, start_lsn, records, before, damage } = replay.finish();
        if let Some(error) = damage {
            return Progress::Done(Opened::Damaged(view, error.database(self.subject.name.as_str())));
        }
        let sealed_as = self.segments.iter().filter_map(|segment| match segment.name {
            SegmentName::Sealed(number) => Some(number),
            SegmentName::Active | SegmentName::Next | SegmentName::Spare => None,
        });
        let epoch = sealed_as.max().unwrap_or(0).max(self.epoch_max).saturating_add(1);
        let tail = encode_tail(self.subject.id, epoch, start_lsn, before.as_ref(), &records);
        let end = Lsn(start_lsn.0 + tail.as_ref().map_or(0, |tail| tail.bytes));
        let before = if records.is_empty() { before } else { Some(Repetition::of(start_lsn, &records)) };
        // What the new segment will supersede wholly.
        for segment in &self.segments {
            let wholly = segment.header.is_some_and(|header| header.start_lsn >= start_lsn);
            if wholly && !self.superseded.contains(&segment.path) {
                self.superseded.push(segment.path.clone());
            }
        }
        self.recovered = Some(Recovered { view, start_lsn, end, tail, before, epoch });
        match self.find(SegmentName::Next).and_then(|segment| segment.header) {
            Some(_) => {
                let path = self.subject.directory.clone();
                self.go(Step::SyncNames, DiskOp::SyncDirectory { path })
            }
            None => {
                let epoch = self.find(SegmentName::Active).and_then(|segment| segment.header);
                self.new_segment(epoch.map(|header| header.epoch), io)
            }
        }
    }

    fn promote(&mut self) -> Progress<Opened> {
        let (from, to) = (self.path(&next(&self.subject.name)), self.path(&active(&self.subject.name)));
        self.go(Step::PromoteNext, DiskOp::Rename { from, to, replace: false })
    }

    fn new_segment(&mut self, seal: Option<u64>, io: &mut Io) -> Progress<Opened> {
        let recovered = self.recovered.as_ref().expect("set when the replay ended");
        let tail_bytes = recovered.tail.as_ref().map_or(0, |tail| tail.bytes);
        let header = SegmentHeader {
            database: self.subject.id,
            epoch: recovered.epoch,
            start_lsn: recovered.start_lsn,
            created_at: self.subject.created_at,
        };
        // By now the last segment is called NAME.wal and about to be sealed under its epoch.
        if let Some(epoch) = seal {
            let sealed_path = self.path(&sealed(&self.subject.name, epoch));
            let current = [self.path(&active(&self.subject.name)), self.path(&next(&self.subject.name))];
            let renamed = self.superseded.iter_mut().filter(|path| current.contains(path));
            renamed.for_each(|path| *path = sealed_path.clone());
        }
        let file_bytes = self.options.segment_bytes_min.max(SEGMENT_HEADER_BYTES as u64 + tail_bytes);
        let plan = Plan { header, tail: recovered.tail.clone(), seal, spare: None, file: io.new_file(), file_bytes };
        let (job, first) =
            NewSegment::new(plan, self.subject.directory.clone(), self.subject.name.clone(), &self.options);
        self.go(Step::NewSegment(Box::new(job)), first)
    }

    fn remove_superseded(&mut self, made: Made) -> Progress<Opened> {
        if let Some(path) = self.superseded.pop() {
            return self.go(Step::RemoveSuperseded(made), DiskOp::Unlink { path });
        }
        let recovered = self.recovered.take().expect("taken once, at the end");
        Progress::Done(Opened::Writable(Box::new(Writable {
            view: recovered.view,
            segment: made,
            epoch: recovered.epoch,
            start_lsn: recovered.start_lsn,
            end: recovered.end,
            before: recovered.before,
        })))
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<Opened> {
        let error = disk_error(code, &self.subject.directory, error);
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}
