//! One open database: its states, and the way of a commit through it.
//!
//! ```text
//! admit -> batch -> append to the log -> sync -> publish to readers -> acknowledge
//!                        | failed, short or full
//!                        v
//!                   new segment, with the batch as its tail -> publish -> acknowledge
//!                        | failed too
//!                        v
//!                   give up: outcome unknown, read-only, reads go on
//! ```
//!
//! Invariants: one batch is on its way to the log at a time, so all below its Lsn is durable; the
//! published state is durable; the pending state is the published one plus the batches in their order.

use std::collections::VecDeque;

use docdb_protocol::{Atomicity, DatabaseId, DatabaseInfo, DatabaseName, Error, ErrorCode, Operation, Reply, Request};

use crate::alert::AlertKind;
use crate::batch::{Batch, Waiting, outcome_unknown, read_only};
use crate::catalog::{Closed, Entry};
use crate::clock::{Instant, Now, WallTime};
use crate::disk::{DiskError, DiskOp, DiskPath};
use crate::engine::{Output, RequestId};
use crate::execute::{Bounds, Executed, execute};
use crate::io::{DiskResult, Io, Owner, Progress, disk_error};
use crate::jobs::new_segment::{Made, NewSegment, Plan, written};
use crate::jobs::opening::{Opened, Opening, Subject};
use crate::jobs::spare::{Spare, SpareJob};
use crate::jobs::start::databases_path;
use crate::log::{
    BatchPlace, Lsn, Repetition, SEGMENT_HEADER_BYTES, SegmentHeader, active, encode, encoded_bytes, spare,
};
use crate::options::Options;
use crate::planted::planted;
use crate::retry::Backoff;
use crate::view::View;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) id: DatabaseId,
    pub(crate) name: DatabaseName,
    directory: DiskPath,
    created_at: WallTime,
    pending: View,
    published: View,
    phase: Phase,
    /// What gathers; the front is the next to be written.
    batches: VecDeque<Batch>,
    /// Requests that wait for the opening, or for the closing to make way for one.
    pub(crate) queue: VecDeque<(RequestId, Request)>,
    read_only: Option<Error>,
    /// Set once closing was asked for: whom to tell.
    closing: Option<Vec<RequestId>>,
}

/// What is in flight. A closed list: one at a time.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every database is open, and each has one of these")]
enum Phase {
    Opening(Box<Opening>),
    /// Open for writing.
    Open(Log, Work),
    /// Open for reading alone: no file is open, nothing is in flight.
    ReadOnly,
    /// The spare's name goes last, so that no file is left of a closed database that it does not need.
    RemovingSpare(Closed),
    /// Nothing is open any more.
    Closed(Closed),
}

/// The active segment.
#[derive(Clone, Debug)]
struct Log {
    segment: Made,
    epoch: u64,
    start_lsn: Lsn,
    /// Where the next batch goes; all below is durable.
    end: Lsn,
    before: Option<Repetition>,
    /// Whether a durable record says that everything up to `end` is durable.
    is_proven: bool,
    /// Where the last batch with operations ends: a proof may be left out of a later segment, so the
    /// end stored at closing does not count it.
    proven_end: Lsn,
    last_batch_at: Instant,
    spare: SpareState,
}

#[derive(Clone, Debug)]
enum SpareState {
    None,
    Making(SpareJob),
    Ready(Spare),
    /// Not tried again before the next segment.
    Failed,
}

#[derive(Clone, Debug)]
enum Work {
    Idle,
    /// The batch is being written; nobody has been told.
    Writing(InFlight),
    /// The batch is written and not durable; nobody has been told.
    Syncing(InFlight),
    /// Writing goes on in a new segment; `tail` is the batch whose write or sync failed.
    NewSegment {
        job: Box<NewSegment>,
        tail: Option<Batch>,
        backoff: Backoff,
    },
    /// A transient error passed; the new segment is tried again.
    BackingOff {
        until: Instant,
        tail: Option<Batch>,
        backoff: Backoff,
    },
}

#[derive(Clone, Debug)]
struct InFlight {
    batch: Batch,
    bytes: u64,
}

impl Database {
    /// A database to be opened; [`Database::completed`] carries it on.
    pub(crate) fn opening(id: DatabaseId, entry: &Entry, options: &Options, io: &mut Io) -> Database {
        let directory = databases_path().join(entry.name.as_str());
        let subject = Subject {
            id,
            name: entry.name.clone(),
            directory,
            created_at: entry.created_at,
            log_end: entry.closed.log_end,
        };
        let (job, first) = Opening::new(subject, options);
        io.submit(Owner::Log(id), first);
        Database::new(id, entry, Phase::Opening(Box::new(job)))
    }

    /// A database just created: its one segment is durable, empty and open.
    pub(crate) fn created(id: DatabaseId, entry: &Entry, segment: Made, epoch: u64) -> Database {
        let log = Log {
            segment,
            epoch,
            start_lsn: Lsn(0),
            end: Lsn(0),
            before: None,
            is_proven: true,
            proven_end: Lsn(0),
            last_batch_at: Instant::default(),
            spare: SpareState::None,
        };
        Database::new(id, entry, Phase::Open(log, Work::Idle))
    }

    fn new(id: DatabaseId, entry: &Entry, phase: Phase) -> Database {
        Database {
            id,
            name: entry.name.clone(),
            directory: databases_path().join(entry.name.as_str()),
            created_at: entry.created_at,
            pending: View::empty(),
            published: View::empty(),
            phase,
            batches: VecDeque::new(),
            queue: VecDeque::new(),
            read_only: None,
            closing: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match self.phase {
            Phase::Open(..) | Phase::ReadOnly => self.closing.is_none(),
            Phase::Opening(_) | Phase::RemovingSpare(_) | Phase::Closed(_) => false,
        }
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.pending.memory_bytes()
    }

    pub(crate) fn last_tx(&self) -> u64 {
        self.published.last_tx().0
    }

    /// Bytes of log that an opening has to replay.
    pub(crate) fn log_bytes(&self) -> u64 {
        match &self.phase {
            Phase::Open(log, _) => log.end.0,
            Phase::RemovingSpare(closed) | Phase::Closed(closed) => closed.log_bytes,
            Phase::Opening(_) | Phase::ReadOnly => 0,
        }
    }

    pub(crate) fn describe(&self, info: &mut DatabaseInfo) {
        if self.is_open() {
            info.open = true;
            info.read_only = self.read_only.is_some();
            info.documents = self.published.documents();
            info.memory_bytes = self.memory_bytes();
            if !matches!(self.phase, Phase::ReadOnly) {
                info.log_bytes = self.log_bytes();
            }
        }
    }

    /// Publishes the state readers see now.
    pub(crate) fn publish(&self, io: &mut Io) {
        io.push(Output::Publish { database: self.id, view: Some(self.published.clone()) });
    }

    /// Runs a request's operations; the answer comes at once, or with the batch it rests on.
    pub(crate) fn execute(
        &mut self,
        request: RequestId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
        memory_bytes_free: u64,
        options: &Options,
        io: &mut Io,
    ) {
        let bounds = Bounds { read_only: self.read_only.clone(), memory_bytes_free };
        let Executed { results, records, rests_on_pending } =
            execute(&mut self.pending, &self.published, &operations, atomicity, &bounds);
        let waits = rests_on_pending && !planted!(options, AnswerWithoutWaiting);
        if records.is_empty() && !waits {
            return io.respond(request, results.map(Reply::Executed));
        }
        let waiting = Waiting { request, operations, atomicity, results };
        if records.is_empty() {
            return match self.newest_batch() {
                Some(batch) => batch.waiting.push(waiting),
                // Nothing is pending after all, so nothing can be given up.
                None => io.respond(request, waiting.durable()),
            };
        }
        let is_full = |batch: &Batch| batch.after.is_some() || batch.document_bytes >= options.batch_bytes_max;
        if self.batches.back().is_none_or(is_full) {
            self.batches.push_back(Batch::default());
        }
        let batch = self.batches.back_mut().expect("one was pushed when there was none");
        batch.add(waiting, records);
        if is_full(batch) {
            batch.after = Some(self.pending.clone());
        }
    }

    /// The newest batch that is not durable yet.
    fn newest_batch(&mut self) -> Option<&mut Batch> {
        if let Some(batch) = self.batches.back_mut() {
            return Some(batch);
        }
        match &mut self.phase {
            Phase::Open(_, Work::Writing(flight) | Work::Syncing(flight)) => Some(&mut flight.batch),
            Phase::Open(_, Work::NewSegment { tail, .. } | Work::BackingOff { tail, .. }) => tail.as_mut(),
            Phase::Open(_, Work::Idle)
            | Phase::Opening(_)
            | Phase::ReadOnly
            | Phase::RemovingSpare(_)
            | Phase::Closed(_) => None,
        }
    }

    /// Takes no more requests, and closes when all is durable.
    pub(crate) fn close(&mut self, request: Option<RequestId>) {
        self.closing.get_or_insert_default().extend(request);
    }

    /// Whom to tell when the closing is recorded.
    pub(crate) fn take_closers(&mut self) -> Vec<RequestId> {
        self.closing.take().unwrap_or_default()
    }

    /// Whether everything is durable and no file is open: what is left is to record it.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match &self.phase {
            Phase::Closed(closed) => Some(*closed),
            Phase::Opening(_) | Phase::Open(..) | Phase::ReadOnly | Phase::RemovingSpare(_) => None,
        }
    }

    /// Begins whatever can begin now. Called after every input that touched this database.
    pub(crate) fn advance(&mut self, now: Now, options: &Options, io: &mut Io) {
        match &self.phase {
            Phase::Open(log, Work::Idle) => {
                if !self.batches.is_empty() {
                    self.write_next(now, options, io);
                } else if self.closing.is_some() {
                    if log.is_proven {
                        self.close_files(io);
                    } else {
                        self.write_batch(Batch::default(), now, options, io);
                    }
                } else if !log.is_proven {
                    let due = log.last_batch_at.after(options.watermark_delay_ns);
                    if due <= now.monotonic {
                        self.write_batch(Batch::default(), now, options, io);
                    } else {
                        io.wake_by(due);
                    }
                }
            }
            Phase::Open(_, Work::BackingOff { until, .. }) if *until > now.monotonic => io.wake_by(*until),
            Phase::Open(_, Work::BackingOff { .. }) => {
                let Phase::Open(_, work) = &mut self.phase else { return };
                if let Work::BackingOff { tail, backoff, .. } = std::mem::replace(work, Work::Idle) {
                    self.new_segment(tail, backoff, options, io);
                }
            }
            Phase::ReadOnly if self.closing.is_some() => self.phase = Phase::Closed(Closed::default()),
            Phase::Open(_, Work::Writing(_) | Work::Syncing(_) | Work::NewSegment { .. })
            | Phase::Opening(_)
            | Phase::ReadOnly
            | Phase::RemovingSpare(_)
            | Phase::Closed(_) => {}
        }
    }

    /// Writes the batch at the front, in a new segment when it does not fit this one.
    fn write_next(&mut self, now: Now, options: &Options, io: &mut Io) {
        let Phase::Open(log, _) = &self.phase else { return };
        let Some(front) = self.batches.front() else { return };
        let bytes = encoded_bytes(log.before.as_ref(), &front.records);
        let used = log.end.0 - log.start_lsn.0;
        let fits = SEGMENT_HEADER_BYTES as u64 + used + bytes <= log.segment.file_bytes;
        // One batch never spans segments, so a large one may exceed the limit alone in its own.
        if used > 0 && !fits {
            // A spare being made will be ready sooner than another file.
            if !matches!(log.spare, SpareState::Making(_)) {
                self.new_segment(None, Backoff::new(), options, io);
            }
            return;
        }
        let mut batch = self.batches.pop_front().expect("looked at above");
        if self.batches.is_empty() {
            batch.after.get_or_insert_with(|| self.pending.clone());
        }
        self.write_batch(batch, now, options, io);
    }

    /// Appends a batch to the active segment. One without records proves the one before it.
    fn write_batch(&mut self, batch: Batch, now: Now, options: &Options, io: &mut Io) {
        let Phase::Open(log, work) = &mut self.phase else { return };
        let place = BatchPlace {
            database: self.id,
            epoch: log.epoch,
            start_lsn: log.start_lsn,
            lsn: log.end,
            watermark: log.end,
        };
        let encoded = if planted!(options, CommitRecordLeftOut) {
            let mut records = batch.records.clone();
            records.retain(|record| record.kind != crate::log::RecordKind::Commit);
            encode(place, log.before.as_ref(), &records)
        } else {
            encode(place, log.before.as_ref(), &batch.records)
        };
        log.last_batch_at = now.monotonic;
        let offset = SEGMENT_HEADER_BYTES as u64 + (log.end.0 - log.start_lsn.0);
        io.submit(Owner::Log(self.id), DiskOp::Write { file: log.segment.file, offset, buffers: encoded.buffers });
        if planted!(options, PublishBeforeSync)
            && let Some(after) = &batch.after
        {
            self.published = after.clone();
            io.push(Output::Publish { database: self.id, view: Some(self.published.clone()) });
        }
        *work = Work::Writing(InFlight { batch, bytes: encoded.bytes });
    }

    /// Carries on with the one operation of the log that was in flight.
    pub(crate) fn completed(&mut self, now: Now, result: DiskResult, options: &Options, io: &mut Io) -> Option<Error> {
        match &mut self.phase {
            Phase::Opening(job) => match job.step(result, io) {
                Progress::Submit(op) => io.submit(Owner::Log(self.id), op),
                Progress::Done(opened) => self.opened(now, opened, io),
                Progress::Failed(error) => return Some(error),
            },
            Phase::Open(log, work) => match (std::mem::replace(work, Work::Idle), result) {
                (Work::Writing(flight), Ok(reply)) => match written(options, &reply, flight.bytes) {
                    Ok(()) => {
                        // The write is complete, so this sync covers it.
                        io.submit(Owner::Log(self.id), DiskOp::Sync { file: log.segment.file });
                        let mut flight = flight;
                        if planted!(options, AckBeforeSync) {
                            for waiting in flight.batch.waiting.drain(..) {
                                io.respond(waiting.request, waiting.durable());
                            }
                        }
                        *work = Work::Syncing(flight);
                    }
                    Err(error) => self.log_failed(ErrorCode::FileWrite, &error, flight.batch, options, io),
                },
                (Work::Writing(flight), Err(error)) => {
                    self.log_failed(ErrorCode::FileWrite, &error, flight.batch, options, io);
                }
                (Work::Syncing(flight), Ok(_)) => {
                    let is_proof = flight.batch.records.is_empty();
                    if !is_proof {
                        log.before = Some(Repetition::of(log.end, &flight.batch.records));
                    }
                    log.is_proven = is_proof;
                    log.end = Lsn(log.end.0 + flight.bytes);
                    if !is_proof {
                        log.proven_end = log.end;
                    }
                    self.durable(flight.batch, io);
                    self.prepare_spare(options, io);
                }
                (Work::Syncing(flight), Err(_)) if planted!(options, RetryFailedSync) => {
                    io.submit(Owner::Log(self.id), DiskOp::Sync { file: log.segment.file });
                    *work = Work::Syncing(flight);
                }
                // Never synced again: what a failed sync covered is unknown for ever.
                (Work::Syncing(flight), Err(error)) => {
                    self.log_failed(ErrorCode::FileSync, &error, flight.batch, options, io);
                }
                (Work::NewSegment { mut job, tail, backoff }, result) => match job.step(result) {
                    Progress::Submit(op) => {
                        io.submit(Owner::Log(self.id), op);
                        *work = Work::NewSegment { job, tail, backoff };
                    }
                    Progress::Done(made) => self.switched(now, made, &job, tail, options, io),
                    Progress::Failed(error) => self.segment_failed(now, error, &job, tail, backoff, options, io),
                },
                (Work::Idle | Work::BackingOff { .. }, _) => unreachable!("nothing of the log was in flight"),
            },
            Phase::RemovingSpare(closed) => {
                // What is left of it is removed at the next opening's first rotation.
                self.phase = Phase::Closed(*closed);
            }
            Phase::ReadOnly | Phase::Closed(_) => unreachable!("nothing of the log was in flight"),
        }
        None
    }

    fn opened(&mut self, now: Now, opened: Opened, io: &mut Io) {
        match opened {
            Opened::Writable(writable) => {
                self.pending = writable.view.clone();
                self.published = writable.view;
                let log = Log {
                    segment: writable.segment,
                    epoch: writable.epoch,
                    start_lsn: writable.start_lsn,
                    end: writable.end,
                    before: writable.before,
                    is_proven: writable.end == writable.start_lsn,
                    proven_end: writable.end,
                    last_batch_at: now.monotonic,
                    spare: SpareState::None,
                };
                self.phase = Phase::Open(log, Work::Idle);
            }
            Opened::Damaged(view, error) => {
                io.alert(Some(&self.name), AlertKind::Damage(error.clone()));
                self.pending = view.clone();
                self.published = view;
                self.read_only = Some(read_only(&error));
                self.phase = Phase::ReadOnly;
            }
        }
        self.publish(io);
    }

    /// A batch is durable: readers first, then those who wait.
    fn durable(&mut self, batch: Batch, io: &mut Io) {
        if let Some(after) = batch.after {
            self.published = after;
            self.publish(io);
        }
        for waiting in batch.waiting {
            io.respond(waiting.request, waiting.durable());
        }
    }

    fn log_failed(&mut self, code: ErrorCode, error: &DiskError, batch: Batch, options: &Options, io: &mut Io) {
        let error = disk_error(code, &self.directory.join(&active(&self.name)), error);
        io.alert(Some(&self.name), AlertKind::LogFailed(error.database(self.name.as_str())));
        self.new_segment(Some(batch), Backoff::new(), options, io);
    }

    /// Goes on in a new segment, at the place where the durable log ends.
    fn new_segment(&mut self, tail: Option<Batch>, backoff: Backoff, options: &Options, io: &mut Io) {
        let Phase::Open(log, work) = &mut self.phase else { return };
        let epoch = log.epoch + 1 + u64::from(backoff.tries());
        let place = BatchPlace { database: self.id, epoch, start_lsn: log.end, lsn: log.end, watermark: log.end };
        let encoded = tail.as_ref().map(|batch| encode(place, log.before.as_ref(), &batch.records));
        let header = SegmentHeader { database: self.id, epoch, start_lsn: log.end, created_at: self.created_at };
        // A failure calls for a file now; only a rotation can wait for a spare, and it has.
        let spare = match std::mem::replace(&mut log.spare, SpareState::None) {
            SpareState::Ready(spare) => Some(spare),
            SpareState::Making(job) => {
                log.spare = SpareState::Making(job);
                None
            }
            SpareState::None | SpareState::Failed => None,
        };
        let tail_bytes = encoded.as_ref().map_or(0, |encoded| encoded.bytes);
        let file_bytes =
            log.segment.file_bytes.min(options.segment_bytes_max).max(SEGMENT_HEADER_BYTES as u64 + tail_bytes);
        let plan = Plan { header, tail: encoded, seal: Some(log.epoch), spare, file: io.new_file(), file_bytes };
        let (job, first) = NewSegment::new(plan, self.directory.clone(), self.name.clone(), options);
        io.submit(Owner::Log(self.id), first);
        *work = Work::NewSegment { job: Box::new(job), tail, backoff };
    }

    /// The new segment is durable under its name.
    fn switched(
        &mut self,
        now: Now,
        made: Made,
        job: &NewSegment,
        tail: Option<Batch>,
        options: &Options,
        io: &mut Io,
    ) {
        let Phase::Open(log, _) = &mut self.phase else { return };
        io.close(log.segment.file);
        log.segment = made;
        log.epoch = job.plan.header.epoch;
        log.start_lsn = log.end;
        if matches!(log.spare, SpareState::Failed) {
            log.spare = SpareState::None;
        }
        let Some(batch) = tail else { return };
        let bytes = job.plan.tail.as_ref().map_or(0, |tail| tail.bytes);
        log.end = Lsn(log.end.0 + bytes);
        log.is_proven = batch.records.is_empty();
        log.last_batch_at = now.monotonic;
        if !batch.records.is_empty() {
            log.before = Some(Repetition::of(log.start_lsn, &batch.records));
            log.proven_end = log.end;
        }
        self.durable(batch, io);
        self.prepare_spare(options, io);
    }

    #[expect(clippy::too_many_arguments, reason = "each is one part of the state that the failure ends")]
    fn segment_failed(
        &mut self,
        now: Now,
        error: Error,
        job: &NewSegment,
        tail: Option<Batch>,
        mut backoff: Backoff,
        options: &Options,
        io: &mut Io,
    ) {
        if let Some(file) = job.opened() {
            io.close(file);
        }
        let Phase::Open(_, work) = &mut self.phase else { return };
        // Before its header is written the attempt has left nothing, and can be made again.
        if job.is_before_header()
            && job.is_transient()
            && let Some(delay_ns) = backoff.next_delay_ns(options.seed ^ self.id.get())
        {
            let until = now.monotonic.after(delay_ns);
            io.wake_by(until);
            *work = Work::BackingOff { until, tail, backoff };
            return;
        }
        let error = error.database(self.name.as_str());
        if job.is_before_header() && tail.is_none() && error.code() == ErrorCode::DiskFull {
            // Nothing was written, so the outcome is known, and space may return.
            return self.refuse_gathered(&error, None, options, io);
        }
        io.alert(Some(&self.name), AlertKind::ReadOnly(error.clone()));
        self.read_only = Some(read_only(&error));
        self.refuse_gathered(&error, Some(tail.unwrap_or_default()), options, io);
        let Phase::Open(log, _) = &self.phase else { return };
        io.close(log.segment.file);
        if let SpareState::Ready(spare) = log.spare {
            io.close(spare.file);
        }
        self.phase = Phase::ReadOnly;
    }

    /// Gives up everything pending: it leaves memory, and whoever waits for it is told. The outcome
    /// of `in_flight` is unknown; the batches behind it were never written.
    fn refuse_gathered(&mut self, cause: &Error, in_flight: Option<Batch>, options: &Options, io: &mut Io) {
        if planted!(options, GivenUpStaysVisible) {
            self.published = self.pending.clone();
            self.publish(io);
        }
        self.pending = self.published.clone();
        let bounds =
            Bounds { read_only: Some(self.read_only.clone().unwrap_or_else(|| cause.clone())), memory_bytes_free: 0 };
        let unknown = outcome_unknown(cause);
        for waiting in in_flight.into_iter().flat_map(|batch| batch.waiting) {
            io.respond(waiting.request, waiting.given_up(&self.published, &bounds, &unknown));
        }
        let refused = bounds.read_only.clone().expect("set above");
        for waiting in std::mem::take(&mut self.batches).into_iter().flat_map(|batch| batch.waiting) {
            io.respond(waiting.request, waiting.given_up(&self.published, &bounds, &refused));
        }
    }

    /// Once half of the active segment is used, the next one is prepared, twice as long up to the limit.
    fn prepare_spare(&mut self, options: &Options, io: &mut Io) {
        let Phase::Open(log, _) = &mut self.phase else { return };
        let used = log.end.0 - log.start_lsn.0;
        if !matches!(log.spare, SpareState::None) || used < log.segment.file_bytes / 2 || self.closing.is_some() {
            return;
        }
        let file_bytes = (2 * log.segment.file_bytes).clamp(options.segment_bytes_min, options.segment_bytes_max);
        let (job, first) = SpareJob::new(&self.directory, &self.name, io.new_file(), file_bytes);
        io.submit(Owner::Spare(self.id), first);
        log.spare = SpareState::Making(job);
    }

    /// Carries on with the spare.
    pub(crate) fn spare_completed(&mut self, result: DiskResult, io: &mut Io) {
        let Phase::Open(Log { spare, .. }, _) = &mut self.phase else { return };
        let SpareState::Making(job) = spare else { return };
        match job.step(result) {
            Progress::Submit(op) => io.submit(Owner::Spare(self.id), op),
            Progress::Done(made) => *spare = SpareState::Ready(made),
            Progress::Failed(error) => {
                if let Some(file) = job.opened() {
                    io.close(file);
                }
                *spare = SpareState::Failed;
                io.alert(Some(&self.name), AlertKind::PreparationFailed(error.database(self.name.as_str())));
            }
        }
    }

    /// Everything is durable and proven: lets go of the files.
    fn close_files(&mut self, io: &mut Io) {
        let Phase::Open(log, _) = &mut self.phase else { return };
        let closed = Closed { log_end: log.proven_end, log_bytes: log.end.0, documents: self.published.documents() };
        let had_spare = match &log.spare {
            // It ends by itself, and this is called again.
            SpareState::Making(_) => return,
            SpareState::Ready(spare) => Some(spare.file),
            SpareState::None | SpareState::Failed => None,
        };
        io.close(log.segment.file);
        match had_spare {
            Some(file) => {
                io.close(file);
                let path = self.directory.join(&spare(&self.name));
                io.submit(Owner::Log(self.id), DiskOp::Unlink { path });
                self.phase = Phase::RemovingSpare(closed);
            }
            None => self.phase = Phase::Closed(closed),
        }
    }
}
