//! Reading the segments of a log, in the order of their epochs, into a replay.
//!
//! It changes nothing, reads one slice at a time, which the replay has taken in before the next one is read, and has one
//! file open at a time. A read that fails is an error, never the end of the log. What is replayed may take more memory than
//! is free: that too is an error, as soon as it is so.

use docdb_protocol::{Error, ErrorCode};

use super::memory;
use super::subject::Subject;
use super::survey::Segment;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::log::{Lsn, Replay, SEGMENT_HEADER_BYTES, Want};
use crate::options::Options;
use crate::view::View;

/// Why a replay is there.
const TAKEN_AT_THE_END: &str = "the replay is taken once, when the last segment has been read";

/// The state that a replay begins with: what tables hold, or nothing.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) view: View,
    /// The log is read from here on.
    pub(super) from: Lsn,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ReadLog {
    subject: Subject,
    /// By epoch; those without a header come first.
    segments: Vec<Segment>,
    /// Of each segment the smallest start of any later one: what it says beyond that exists for no reader.
    limits: Vec<Option<Lsn>>,
    /// What lies below it is no part of the log.
    from: Lsn,
    at: usize,
    file: FileId,
    step: Step,
    replay: Option<Replay>,
    /// Of all databases together.
    memory_bytes_max: u64,
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
        base: Base,
        options: &Options,
        io: &mut Io,
    ) -> (ReadLog, Progress<Replay>) {
        segments.sort_by_key(|segment| segment.header.map(|header| header.epoch));
        let limits = limits(&segments);
        let Options { merge_bytes_max, replay_slice_bytes, memory_bytes_max, .. } = *options;
        let Base { view, from } = base;
        let end = subject.log_end;
        let replay = Some(Replay::new(subject.id, view, from, end, merge_bytes_max, replay_slice_bytes));
        let (file, step) = (io.new_file(), Step::Open);
        let mut job = ReadLog { subject, segments, limits, from, at: 0, file, step, replay, memory_bytes_max };
        let first = job.open(io);
        (job, first)
    }

    /// `memory_bytes_free` is what all other databases leave of the limit.
    pub(super) fn step(&mut self, result: DiskResult, memory_bytes_free: u64, io: &mut Io) -> Progress<Replay> {
        match (self.step, result) {
            (Step::Open, Ok(_)) => {
                let segment = &self.segments[self.at];
                let header = segment.header.expect("only segments with a header are opened");
                let bytes = segment.length.saturating_sub(SEGMENT_HEADER_BYTES as u64);
                let limit = self.limits[self.at];
                let replay = self.replay.as_mut().expect(TAKEN_AT_THE_END);
                let want = replay.begin(header, segment.path.as_str(), bytes, limit);
                self.read(want, memory_bytes_free, io)
            }
            (Step::Read, Ok(DiskReply::Data(data))) => {
                let want = self.replay.as_mut().expect(TAKEN_AT_THE_END).take(data.as_slice());
                self.read(want, memory_bytes_free, io)
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

    /// The segments of which later ones repeat everything: no reader needs them.
    pub(super) fn superseded(&self) -> impl Iterator<Item = &DiskPath> {
        let superseded = (0..self.segments.len()).filter(|at| self.is_superseded(*at));
        superseded.map(|at| &self.segments[at].path)
    }

    fn is_superseded(&self, at: usize) -> bool {
        let (header, limit) = (self.segments[at].header, self.limits[at]);
        header.zip(limit).is_some_and(|(header, limit)| header.start_lsn >= limit)
    }

    /// Opens the next segment that has something to say.
    fn open(&mut self, io: &mut Io) -> Progress<Replay> {
        while let Some(segment) = self.segments.get(self.at) {
            let is_below = self.limits[self.at].is_some_and(|limit| limit <= self.from);
            if segment.header.is_some() && !is_below && !self.is_superseded(self.at) {
                self.file = io.new_file();
                self.step = Step::Open;
                let path = segment.path.clone();
                return Progress::Submit(DiskOp::Open { file: self.file, path, mode: OpenMode::Read });
            }
            self.at += 1;
        }
        Progress::Done(self.replay.take().expect(TAKEN_AT_THE_END))
    }

    /// Reads what the replay wants of the segment at hand, or goes on to the next.
    fn read(&mut self, want: Want, memory_bytes_free: u64, io: &mut Io) -> Progress<Replay> {
        let needed = self.memory_bytes();
        if memory::is_over(needed, memory_bytes_free) {
            io.close(self.file);
            let error = memory::too_large(&self.subject, needed, memory_bytes_free, self.memory_bytes_max);
            return Progress::Failed(error);
        }
        match want {
            Want::Bytes { offset, bytes } => {
                self.step = Step::Read;
                let offset = SEGMENT_HEADER_BYTES as u64 + offset;
                Progress::Submit(DiskOp::Read { file: self.file, offset, bytes, bulk: true })
            }
            Want::Newer => {
                io.close(self.file);
                self.named(newer_format(&self.segments[self.at].path))
            }
            Want::Nothing => {
                io.close(self.file);
                self.at += 1;
                self.open(io)
            }
        }
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<Replay> {
        self.named(disk_error(code, &self.segments[self.at].path, error))
    }

    /// What was replayed so far takes up.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.replay.as_ref().map_or(0, Replay::memory_bytes)
    }

    fn named(&self, error: Error) -> Progress<Replay> {
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}

/// See [`ReadLog::limits`]. One pass, since there may be many segments.
fn limits(segments: &[Segment]) -> Vec<Option<Lsn>> {
    let mut limits = vec![None; segments.len()];
    let mut smallest = None;
    for (limit, segment) in limits.iter_mut().zip(segments).rev() {
        *limit = smallest;
        let start = segment.header.map(|header| header.start_lsn);
        smallest = [smallest, start].into_iter().flatten().min();
    }
    limits
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{CollectionId, DatabaseId, DatabaseName, Document, DocumentId, TxId};

    use super::*;
    use crate::buffer::Buffer;
    use crate::clock::WallTime;
    use crate::log::{BatchPlace, Payload, Record, RecordKind, SegmentHeader, SegmentName, encode};
    use crate::view::Lookup;

    /// One batch of 512 bytes that makes document `id`.
    fn batch(epoch: u64, start_lsn: u64, lsn: u64, id: u64) -> Vec<u8> {
        let record = |kind, document, payload| Record {
            kind,
            tx: TxId(id),
            collection: CollectionId::DEFAULT,
            document: DocumentId::Number(document),
            payload,
        };
        let document = Payload::Document(Document::parse(b"1").unwrap());
        let records = [record(RecordKind::Create, id, document), record(RecordKind::Commit, 1, Payload::None)];
        let (start_lsn, lsn) = (Lsn(start_lsn), Lsn(lsn));
        let place = BatchPlace { database: DatabaseId::FIRST, epoch, start_lsn, lsn, watermark: lsn };
        encode(place, None, &records).buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect()
    }

    fn segment(epoch: u64, start_lsn: u64, bytes: usize) -> Segment {
        let (database, created_at) = (DatabaseId::FIRST, WallTime(0));
        Segment {
            name: SegmentName::Sealed(epoch),
            path: DiskPath::root().join(&epoch.to_string()),
            length: (SEGMENT_HEADER_BYTES + bytes) as u64,
            header: Some(SegmentHeader {
                directory: crate::log::DirectoryId::NONE,
                database,
                epoch,
                start_lsn: Lsn(start_lsn),
                created_at,
                is_writable: true,
            }),
        }
    }

    /// What was asked of the disk, and what came of it.
    struct Asked {
        opened: Vec<String>,
        reads: Vec<(u64, u32)>,
        superseded: Vec<String>,
        replay: Replay,
    }

    /// Reads these segments, each with the bytes behind its header.
    fn read(segments: &[(Segment, Vec<u8>)]) -> Asked {
        let name = DatabaseName::parse("a").unwrap();
        let (id, directory, created_at, log_end) = (DatabaseId::FIRST, DiskPath::root(), WallTime(0), Lsn(0));
        let subject = Subject { id, name, directory, created_at, log_end };
        let mut io = Io::default();
        let all = segments.iter().map(|(segment, _)| segment.clone()).collect();
        let base = Base { view: View::empty(16), from: Lsn(0) };
        let (mut job, mut progress) = ReadLog::new(subject, all, base, &Options::default(), &mut io);
        let (mut opened, mut reads, mut bytes_opened) = (Vec::new(), Vec::new(), &[][..]);
        loop {
            let reply = match progress {
                Progress::Submit(DiskOp::Open { path, .. }) => {
                    bytes_opened = &segments.iter().find(|(segment, _)| segment.path == path).unwrap().1;
                    opened.push(path.name().to_owned());
                    DiskReply::Done
                }
                Progress::Submit(DiskOp::Read { offset, bytes, .. }) => {
                    reads.push((offset, bytes));
                    assert!(bytes > 0 && reads.len() < 10, "it gets on: {reads:?}");
                    let from = usize::try_from(offset).unwrap() - SEGMENT_HEADER_BYTES;
                    let rest = bytes_opened.get(from..).unwrap_or_default();
                    DiskReply::Data(Buffer::from(rest[..rest.len().min(bytes as usize)].to_vec()))
                }
                Progress::Done(replay) => {
                    let superseded = job.superseded().map(|path| path.name().to_owned()).collect();
                    return Asked { opened, reads, superseded, replay };
                }
                other => panic!("it reads, and nothing else: {other:?}"),
            };
            progress = job.step(Ok(reply), u64::MAX, &mut io);
        }
    }

    #[test]
    fn a_segment_is_read_in_slices_to_its_end() {
        let slice = Options::default().replay_slice_bytes;
        let mut bytes = batch(1, 0, 0, 1);
        bytes.resize(slice as usize + 512, 0);
        let asked = read(&[(segment(1, 0, bytes.len()), bytes)]);
        assert_eq!(asked.reads, [(4096, slice), (4096 + u64::from(slice), 512)]);
        assert_eq!(asked.replay.finish().view.documents(), 1);
    }

    #[test]
    fn a_file_that_ends_before_its_length_is_what_is_there() {
        let asked = read(&[(segment(1, 0, 4096), batch(1, 0, 0, 1))]);
        assert_eq!(asked.reads, [(4096, 4096), (4096 + 512, 4096 - 512)]);
        assert_eq!(asked.replay.finish().view.documents(), 1);
    }

    #[test]
    fn a_segment_counts_up_to_the_smallest_start_of_any_later_one() {
        let starts = [0, 512, 512, 2048, 1024];
        let mut segments: Vec<Segment> = (1..).zip(starts).map(|(epoch, start)| segment(epoch, start, 0)).collect();
        segments[1].header = None;
        let limits: Vec<Option<u64>> = limits(&segments).into_iter().map(|limit| limit.map(|lsn| lsn.0)).collect();
        assert_eq!(limits, [Some(512), Some(512), Some(1024), Some(1024), None]);
        for at in 0..segments.len() {
            let later = segments[at + 1..].iter().filter_map(|segment| Some(segment.header?.start_lsn.0));
            assert_eq!(limits[at], later.min());
        }
    }

    /// The first segment is said again by the second, and the end of the second by the third.
    #[test]
    fn what_later_segments_say_again_is_not_read() {
        let unreadable = Segment { header: None, ..segment(9, 0, 0) };
        let second = [batch(2, 0, 0, 1), batch(2, 0, 512, 2)].concat();
        let asked = read(&[
            (segment(3, 512, 512), batch(3, 512, 512, 3)),
            (segment(1, 0, 512), batch(1, 0, 0, 7)),
            (unreadable, Vec::new()),
            (segment(2, 0, 1024), second),
        ]);
        assert_eq!(asked.opened, ["2", "3"]);
        assert_eq!(asked.superseded, ["1"]);
        let tail = asked.replay.finish();
        assert!(tail.damage.is_none());
        let is_there = |id| matches!(tail.view.lookup("_default", &DocumentId::Number(id)), Lookup::Found(..));
        assert_eq!([1, 2, 3, 7].map(is_there), [true, false, true, false]);
    }
}
