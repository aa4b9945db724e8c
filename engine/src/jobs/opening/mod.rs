//! Opening a database: replaying its log and going on in a new segment.
//!
//! ```text
//! survey: list the folder; of every segment: length, header
//! read the manifest, if there is one; load the tables that it names
//! read, from its snapshot on, by epoch: replay each up to the smallest start of any later one
//! damaged -> open the last segment; sync it; sync the directory; done, read-only: nothing is changed on disk
//! remove a spare that an earlier process left
//! no `wal`, a valid `next` -> sync the directory; rename it to `wal`; sync the directory
//! new segment from the proven end on, with everything recovered beyond it as its tail; where the last
//!     segments are small, from the first of them on, with all of them in it
//! remove the segments that it wholly supersedes
//! no space for one -> a shorter one, down to the smallest; without the small segments before it; then done, read-only
//! ```
//!
//! The log is replayed in slices, so that nobody else waits for longer than one of them takes. A database that does not fit
//! the memory that is free is refused as soon as that shows, before anything is changed on disk.
//!
//! Being able to read something does not mean that it is durable, so what no later watermark proves
//! is written again, in the new segment, before anybody sees it.
//!
//! The same holds of a header: a `next` that can be read need not be durable, and after a failed sync no
//! later one makes it so. But `wal` loses its name only when `next` is durable with its name, so a
//! missing `wal` proves `next`; beside a `wal`, a `next` is no part of the log, and nothing rested on it.
//!
//! A damaged log is not written again, but what is shown of it, and what proves the damage, may stand in the
//! cache alone, so its last segment and its names are synced. Where that fails, or an earlier sync had failed and
//! this one succeeds in vain, it is shown all the same: an engineer who rescues data from a failing disk is better
//! off with what can be read.
//!
//! An opening that finds no space has written nothing and left nothing. What is proven is shown; what was recovered beyond
//! it is withheld, neither shown nor passed over, for it may be gone after the next crash. When there is space, the
//! database is opened again, from the start.

mod log_files;
mod manifest;
mod memory;
mod read;
mod subject;
mod survey;
mod tables;

use docdb_protocol::{Error, ErrorCode};

use super::new_segment::{Made, NewSegment, Plan, Shortage};
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error};
use crate::log::{Lsn, Repetition, Replay, SEGMENT_HEADER_BYTES, Tail, active, encoded_bytes, next, sealed};
use crate::metadata::Metadata;
use crate::options::Options;
use crate::view::View;
pub(crate) use log_files::Sealed;
use log_files::{Live, LogFiles};
use manifest::ReadManifest;
use read::{Base, ReadLog};
pub(crate) use subject::Subject;
use survey::{Found, Survey};
use tables::LoadTables;

/// An open database.
#[derive(Clone, Debug)]
pub(crate) enum Opened {
    /// Everything recovered is durable, and the log goes on in a new segment.
    Writable(Box<Writable>),
    /// Acknowledged data is missing.
    Damaged(View, Error),
    /// There is no space for a new segment, and nothing was written: the proven state, and the error.
    Unwritten(View, Error),
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
    /// The segments that stay, by epoch.
    pub(crate) sealed: Vec<Sealed>,
    /// What the opening went by.
    pub(crate) metadata: Option<Box<Metadata>>,
    /// Whether both copies of it were there.
    pub(crate) is_proven: bool,
}

/// What an opening may do.
#[derive(Clone, Debug)]
pub(crate) enum Permit {
    /// Go on in a new segment.
    Write,
    /// The same, where an earlier opening found no space: it is asked for before the log is read again.
    WriteIfThereIsSpace,
    /// Nothing: the catalog could not be written, with this error.
    ReadAlone(Error),
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    permit: Permit,
    subject: Subject,
    options: Options,
    step: Step,
    /// The files of the log, once they are surveyed.
    files: LogFiles,
    spare: Option<DiskPath>,
    manifest: Option<DiskPath>,
    /// What is gone by: that of the highest generation which was found.
    metadata: Option<Box<Metadata>>,
    /// The generation that the manifest says.
    manifest_generation: Option<u64>,
    /// Whether the record of the log says the same.
    is_proven: bool,
    /// The manifest, where only a later version may write to the database.
    unwritable: Option<DiskPath>,
    recovered: Option<Recovered>,
    /// What is shown of a damaged log.
    damaged: Option<(View, Error)>,
    /// Segments whose whole contents later ones repeat, as the reading found.
    said_again: Vec<DiskPath>,
    /// Segments that the new one makes superfluous, once it is durable.
    superseded: Vec<DiskPath>,
    /// A longer file found no space.
    file_bytes_max: u64,
}

/// What the replay found, on its way into the new segment.
#[derive(Clone, Debug)]
struct Recovered {
    tail: Tail,
    /// The new segment's.
    epoch: u64,
    /// The segment that the new one follows.
    live: Live,
}

#[derive(Clone, Debug)]
enum Step {
    /// Asking for space costs less than reading a log that cannot be gone on with.
    FindSpace,
    Survey(Box<Survey>),
    ReadManifest(Box<ReadManifest>),
    Load(Box<LoadTables>),
    Read(Box<ReadLog>),
    OpenDamaged(FileId),
    /// Only the last segment can have bytes that are not durable: all that the others say was, before it was made.
    SyncDamaged(FileId),
    /// Which segment is the last one may depend on names that are not durable.
    SyncDamagedNames,
    /// A spare may be large, and the disk full.
    RemoveSpare,
    /// The names seen may not be durable; the renames build on them.
    SyncNames,
    PromoteNext,
    SyncPromoted,
    NewSegment(Box<NewSegment>),
    RemoveSuperseded(Made),
}

impl Opening {
    pub(crate) fn new(subject: Subject, permit: Permit, options: &Options) -> (Opening, DiskOp) {
        let (step, first) = match permit {
            Permit::WriteIfThereIsSpace => (Step::FindSpace, DiskOp::FreeSpace),
            Permit::Write | Permit::ReadAlone(_) => {
                let (survey, first) = Survey::new(subject.clone(), options.listed_names_max);
                (Step::Survey(Box::new(survey)), first)
            }
        };
        let job = Opening {
            permit,
            subject,
            options: options.clone(),
            step,
            files: LogFiles::default(),
            spare: None,
            manifest: None,
            metadata: None,
            manifest_generation: None,
            is_proven: true,
            unwritable: None,
            recovered: None,
            damaged: None,
            said_again: Vec::new(),
            superseded: Vec::new(),
            file_bytes_max: options.segment_bytes_min,
        };
        (job, first)
    }

    /// `memory_bytes_free` is what all other databases leave of the limit.
    pub(crate) fn step(&mut self, result: DiskResult, memory_bytes_free: u64, io: &mut Io) -> Progress<Opened> {
        match (&mut self.step, result) {
            (Step::FindSpace, result) => self.space_found(&result),
            (Step::Survey(job), result) => match job.step(result, io) {
                Progress::Submit(op) => Progress::Submit(op),
                Progress::Done(found) => self.surveyed(found, io),
                Progress::Failed(error) => Progress::Failed(error),
            },
            (Step::ReadManifest(job), result) => match job.step(result, io) {
                Progress::Submit(op) => Progress::Submit(op),
                Progress::Done(read) => self.manifest_read(read, io),
                Progress::Failed(error) => Progress::Failed(error),
            },
            (Step::Load(job), result) => {
                let progress = job.step(result, memory_bytes_free, io);
                self.loading(progress, io)
            }
            (Step::Read(job), result) => {
                let progress = job.step(result, memory_bytes_free, io);
                self.replaying(progress, io)
            }
            (Step::OpenDamaged(file), Ok(_)) => {
                let file = *file;
                self.go(Step::SyncDamaged(file), DiskOp::Sync { file })
            }
            (Step::OpenDamaged(_), Err(_)) => self.sync_damaged_names(),
            (Step::SyncDamaged(file), Ok(_) | Err(_)) => {
                io.close(*file);
                self.sync_damaged_names()
            }
            (Step::SyncDamagedNames, Ok(_) | Err(_)) => self.show_damaged(),
            // A spare that stays is replaced by the next one: nothing depends on its removal.
            (Step::RemoveSpare, Ok(_) | Err(_)) => self.names_or_segment(io),
            (Step::SyncNames, Ok(_)) => self.promote(),
            (Step::PromoteNext, Ok(_)) => {
                let path = self.subject.directory.clone();
                self.go(Step::SyncPromoted, DiskOp::SyncDirectory { path })
            }
            (Step::SyncPromoted, Ok(_)) => self.new_segment(io),
            (Step::NewSegment(job), result) => match job.step(result) {
                Progress::Submit(op) => Progress::Submit(op),
                Progress::Done(made) => self.remove_superseded(made),
                Progress::Failed(error) => {
                    if let Some(file) = job.opened() {
                        io.close(file);
                    }
                    let is_full = job.failed_before_header() && job.shortage() == Some(Shortage::Space);
                    let smaller = job.smaller(&self.options);
                    if is_full { self.no_space(smaller, error, io) } else { Progress::Failed(error) }
                }
            },
            // What could not be removed now is superseded at the next opening too.
            (Step::RemoveSuperseded(made), Ok(_) | Err(_)) => {
                let made = *made;
                self.remove_superseded(made)
            }
            (Step::PromoteNext, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::SyncNames | Step::SyncPromoted, Err(error)) => self.failed(ErrorCode::FileSync, &error),
        }
    }

    fn space_found(&mut self, result: &DiskResult) -> Progress<Opened> {
        let smallest = self.options.segment_bytes_min.min(self.options.segment_bytes_smallest);
        match result {
            Ok(DiskReply::Space(bytes)) if *bytes < smallest => {
                self.failed(ErrorCode::FileWrite, &DiskError::new(DiskErrorKind::NoSpace))
            }
            // A disk that does not say may have space.
            Ok(_) | Err(_) => {
                let (survey, first) = Survey::new(self.subject.clone(), self.options.listed_names_max);
                self.go(Step::Survey(Box::new(survey)), first)
            }
        }
    }

    /// Bytes of memory that what was replayed so far takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let reading = match &self.step {
            Step::Load(job) => job.memory_bytes(),
            Step::Read(job) => job.memory_bytes(),
            Step::FindSpace
            | Step::Survey(_)
            | Step::ReadManifest(_)
            | Step::OpenDamaged(_)
            | Step::SyncDamaged(_)
            | Step::SyncDamagedNames
            | Step::RemoveSpare
            | Step::SyncNames
            | Step::PromoteNext
            | Step::SyncPromoted
            | Step::NewSegment(_)
            | Step::RemoveSuperseded(_) => 0,
        };
        let replayed = self.recovered.as_ref().map(|recovered| &recovered.tail.view);
        let shown = replayed.or(self.damaged.as_ref().map(|(view, _)| view));
        reading + shown.map_or(0, View::memory_bytes)
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Opened> {
        self.step = step;
        Progress::Submit(op)
    }

    fn path(&self, name: &str) -> DiskPath {
        self.subject.directory.join(name)
    }

    fn surveyed(&mut self, found: Found, io: &mut Io) -> Progress<Opened> {
        let Found { segments, spare, manifest } = found;
        self.files = LogFiles::new(segments);
        self.spare = spare;
        self.manifest.clone_from(&manifest);
        let Some(path) = manifest else { return self.load(io) };
        let (job, first) = ReadManifest::new(self.subject.clone(), path, self.options.replay_slice_bytes, io);
        self.go(Step::ReadManifest(Box::new(job)), first)
    }

    fn manifest_read(&mut self, read: manifest::Read, io: &mut Io) -> Progress<Opened> {
        match read {
            manifest::Read::Whole { metadata, is_writable } => {
                self.manifest_generation = Some(metadata.generation);
                self.metadata = Some(metadata);
                self.unwritable = self.manifest.clone().filter(|_| !is_writable);
            }
            // The other copy stands in the log, and is found when that is read.
            manifest::Read::Damaged => {}
        }
        self.load(io)
    }

    /// Loads the tables of the metadata that is gone by.
    fn load(&mut self, io: &mut Io) -> Progress<Opened> {
        let Some(metadata) = &self.metadata else {
            return self.read(View::empty(self.options.map_fanout), io);
        };
        let (job, first) = LoadTables::new(self.subject.clone(), metadata, &self.options, io);
        self.step = Step::Load(Box::new(job));
        self.loading(first, io)
    }

    fn loading(&mut self, progress: Progress<View>, io: &mut Io) -> Progress<Opened> {
        match progress {
            Progress::Submit(op) => Progress::Submit(op),
            Progress::Done(view) => self.read(view, io),
            Progress::Failed(error) => Progress::Failed(error),
        }
    }

    /// Where the replay begins.
    fn floor(&self) -> Lsn {
        self.metadata.as_ref().map_or(Lsn(0), |metadata| metadata.snapshot_offset)
    }

    /// Replays the log on what the tables hold.
    fn read(&mut self, view: View, io: &mut Io) -> Progress<Opened> {
        let from = self.floor();
        let segments = self.files.segments.clone();
        let (job, first) = ReadLog::new(self.subject.clone(), segments, Base { view, from }, &self.options, io);
        self.step = Step::Read(Box::new(job));
        self.replaying(first, io)
    }

    fn replaying(&mut self, progress: Progress<Replay>, io: &mut Io) -> Progress<Opened> {
        match progress {
            Progress::Submit(op) => Progress::Submit(op),
            Progress::Done(replay) => self.replayed(replay, io),
            Progress::Failed(error) => Progress::Failed(error),
        }
    }

    fn replayed(&mut self, mut replay: Replay, io: &mut Io) -> Progress<Opened> {
        if let Step::Read(job) = &self.step {
            self.said_again = job.superseded().cloned().collect();
        }
        for path in self.files.unreadable(self.floor()) {
            replay.unreadable(path.as_str());
        }
        let live = self.files.live();
        if live.is_none() {
            replay.unreadable(self.path(&active(&self.subject.name)).as_str());
        }
        let mut tail = replay.finish();
        let generation = |metadata: &Option<Box<Metadata>>| metadata.as_ref().map(|metadata| metadata.generation);
        if generation(&tail.metadata) > generation(&self.metadata) {
            // The manifest is lost, or an older one is back. What the record names was durable before it was written.
            self.metadata = tail.metadata;
            return self.load(io);
        }
        self.is_proven = generation(&tail.metadata) == self.manifest_generation;
        if let Some(path) = self.unwritable.as_ref().or(self.files.unwritable()) {
            let detail = "a later version wrote it, and only that one may write to it; it can be read";
            tail.damage.get_or_insert_with(|| Error::new(ErrorCode::NewerFormat).file(path.as_str()).detail(detail));
        }
        let Some(live) = live.filter(|_| tail.damage.is_none()) else {
            let lost = || Error::new(ErrorCode::CorruptRecord).file(self.subject.directory.as_str());
            let error = tail.damage.take().unwrap_or_else(lost);
            self.damaged = Some((tail.view, error.database(self.subject.name.as_str())));
            return self.sync_damaged(io);
        };
        self.recovered = Some(Recovered { tail, epoch: 0, live });
        if let Permit::ReadAlone(error) = &self.permit {
            let error = error.clone();
            return self.unwritten(error);
        }
        match self.spare.take() {
            Some(path) => self.go(Step::RemoveSpare, DiskOp::Unlink { path }),
            None => self.names_or_segment(io),
        }
    }

    fn sync_damaged(&mut self, io: &mut Io) -> Progress<Opened> {
        match self.files.newest().cloned() {
            Some(path) => {
                let file = io.new_file();
                self.go(Step::OpenDamaged(file), DiskOp::Open { file, path, mode: OpenMode::Read })
            }
            None => self.sync_damaged_names(),
        }
    }

    fn sync_damaged_names(&mut self) -> Progress<Opened> {
        let path = self.subject.directory.clone();
        self.go(Step::SyncDamagedNames, DiskOp::SyncDirectory { path })
    }

    fn show_damaged(&mut self) -> Progress<Opened> {
        let (view, error) = self.damaged.take().expect("set when the replay ended");
        Progress::Done(Opened::Damaged(view, error))
    }

    fn names_or_segment(&mut self, io: &mut Io) -> Progress<Opened> {
        if self.recovered.as_ref().is_some_and(|recovered| recovered.live.is_next) {
            let path = self.subject.directory.clone();
            self.go(Step::SyncNames, DiskOp::SyncDirectory { path })
        } else {
            self.new_segment(io)
        }
    }

    fn promote(&mut self) -> Progress<Opened> {
        let (from, to) = (self.path(&next(&self.subject.name)), self.path(&active(&self.subject.name)));
        self.go(Step::PromoteNext, DiskOp::Rename { from, to, replace: false })
    }

    fn new_segment(&mut self, io: &mut Io) -> Progress<Opened> {
        let recovered = self.recovered.as_mut().expect("set when the replay ended");
        // An attempt that failed has used its epoch up.
        self.files.epoch_max = io.new_epoch(self.files.epoch_max);
        recovered.epoch = self.files.epoch_max;
        let start_lsn = recovered.tail.start_lsn();
        self.superseded = self.files.superseded(start_lsn, &self.said_again);
        let recovered = self.recovered.as_ref().expect("changed just now");
        let tail = recovered.tail.encode(self.subject.id, recovered.epoch);
        let header = io.segment_header(self.subject.id, recovered.epoch, start_lsn, self.subject.created_at);
        // The batch to be proven may be one that was proven elsewhere, and is written again.
        let last = recovered.tail.last();
        let proof_bytes = encoded_bytes(last.as_ref(), &[]);
        let tail_bytes = tail.as_ref().map_or(0, |tail| tail.bytes);
        let needed_bytes = SEGMENT_HEADER_BYTES as u64 + tail_bytes + proof_bytes;
        let (file, file_bytes) = (io.new_file(), self.file_bytes_max);
        let plan = Plan { header, tail, seal: recovered.live.epoch, spare: None, file, file_bytes, needed_bytes };
        // By now the last segment is called NAME.wal and about to be sealed under its epoch.
        let sealed_path = self.path(&sealed(&self.subject.name, recovered.live.epoch));
        let current = [self.path(&active(&self.subject.name)), self.path(&next(&self.subject.name))];
        let renamed = self.superseded.iter_mut().filter(|path| current.contains(path));
        renamed.for_each(|path| *path = sealed_path.clone());
        let (job, first) = NewSegment::new(plan, self.subject.directory.clone(), self.subject.name.clone());
        self.go(Step::NewSegment(Box::new(job)), first)
    }

    /// A segment found no space, and nothing of it is left.
    fn no_space(&mut self, smaller: Option<u64>, error: Error, io: &mut Io) -> Progress<Opened> {
        let recovered = self.recovered.as_mut().expect("set when the replay ended");
        match smaller {
            Some(file_bytes) => self.file_bytes_max = file_bytes,
            // The small segments stay as they are.
            None if recovered.tail.merge.start().is_some() => recovered.tail.merge.clear(),
            None => return self.unwritten(error),
        }
        self.new_segment(io)
    }

    /// Shows what is proven, and withholds the rest.
    fn unwritten(&mut self, error: Error) -> Progress<Opened> {
        let Recovered { tail, .. } = self.recovered.take().expect("set when the replay ended");
        let error = error.database(self.subject.name.as_str());
        let mut view = tail.view;
        view.withhold(&tail.records, error.clone());
        Progress::Done(Opened::Unwritten(view, error))
    }

    fn remove_superseded(&mut self, made: Made) -> Progress<Opened> {
        if let Some(path) = self.superseded.pop() {
            return self.go(Step::RemoveSuperseded(made), DiskOp::Unlink { path });
        }
        let Recovered { tail, epoch, .. } = self.recovered.take().expect("taken once, at the end");
        let (start_lsn, before) = (tail.start_lsn(), tail.last());
        let tail_bytes = tail.encode(self.subject.id, 0).map_or(0, |encoded| encoded.bytes);
        let end = Lsn(start_lsn.0 + tail_bytes);
        let sealed = self.files.sealed(start_lsn, &self.said_again);
        let (view, metadata, is_proven) = (tail.view, self.metadata.take(), self.is_proven);
        let writable = Writable { view, segment: made, epoch, start_lsn, end, before, sealed, metadata, is_proven };
        Progress::Done(Opened::Writable(Box::new(writable)))
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<Opened> {
        let error = disk_error(code, &self.subject.directory, error);
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}

#[cfg(test)]
mod tests;
