//! One open database: its states, what gathers in it, and when it opens and closes.
//!
//! `commit` carries a batch into the log, `pace` says when, `giving_up` is what happens when that is impossible, and `spare`
//! keeps the next segment ready.
//!
//! Invariants: one batch is on its way to the log at a time, so all below its Lsn is durable; the
//! published state is durable; the pending state is the published one plus the batches in their order.

mod commit;
mod giving_up;
mod pace;
mod spare;

use std::collections::VecDeque;

use docdb_protocol::{
    Atomicity, DatabaseId, DatabaseInfo, DatabaseName, Error, ErrorCode, Operation, OperationResult, Reply, Request,
};

use self::pace::Pace;
use self::spare::SpareState;
use crate::alert::AlertKind;
use crate::batch::{Batch, Waiting, read_only};
use crate::catalog::{Closed, Entry};
use crate::clock::{Instant, Now, WallTime};
use crate::disk::DiskPath;
use crate::execute::{Bounds, Executed, execute};
use crate::io::{DiskResult, Io, Owner, Progress};
use crate::jobs::new_segment::{Made, NewSegment};
use crate::jobs::opening::{Opened, Opening, Permit, Subject};
use crate::jobs::start::databases_path;
use crate::log::{Lsn, Repetition};
use crate::message::{Output, RequestId};
use crate::options::Options;
use crate::retry::Backoff;
use crate::view::View;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) id: DatabaseId,
    pub(crate) name: DatabaseName,
    directory: DiskPath,
    created_at: WallTime,
    /// Where its log ended at the last closing before this opening.
    log_end: Lsn,
    pending: View,
    published: View,
    /// Whether readers see the published state.
    is_shown: bool,
    phase: Phase,
    spare: SpareState,
    /// What gathers; the front is the next to be written.
    batches: VecDeque<Batch>,
    /// Whether the front waits for more.
    pace: Pace,
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
    /// The same, for want of space: the next write opens it again.
    Unwritten,
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
    /// When to write the record that says that everything up to `end` is durable; `None` when one does.
    proof_due: Option<Instant>,
    /// Where the last batch with operations ends: a proof may be left out of a later segment, so the
    /// end stored at closing does not count it.
    proven_end: Lsn,
    /// A write or a sync of the segment failed: nothing is written to it any more.
    is_spoiled: bool,
}

impl Log {
    /// The log ends with `batch` now, which begins at `lsn` and is durable.
    fn ends_with(&mut self, lsn: Lsn, batch: &Batch, proof_due: Instant) {
        if batch.records.is_empty() {
            self.proof_due = None;
        } else {
            self.before = Some(Repetition::of(lsn, &batch.records));
            self.proven_end = self.end;
            self.proof_due = Some(proof_due);
        }
    }
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
        tries: Tries,
    },
    /// A transient error passed; the new segment is tried again.
    BackingOff {
        until: Instant,
        tail: Option<Batch>,
        tries: Tries,
    },
}

/// How a new segment is tried, after those that failed.
#[derive(Clone, Copy, Debug)]
struct Tries {
    backoff: Backoff,
    /// A longer file found no space.
    file_bytes_max: u64,
}

impl Tries {
    fn first(options: &Options) -> Tries {
        Tries { backoff: Backoff::new(), file_bytes_max: options.segment_bytes_max }
    }
}

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'error> {
    /// Bytes that this database may take into memory, all of its own included.
    pub(crate) memory_bytes_free: u64,
    /// Bytes that readers keep in memory by older states; they are not among those that are free.
    pub(crate) pinned_bytes: u64,
    /// Why nothing can be written now, if so.
    pub(crate) unwritten: Option<&'error Error>,
}

#[derive(Clone, Debug)]
struct InFlight {
    batch: Batch,
    bytes: u64,
}

impl Database {
    /// A database to be opened; [`Database::completed`] carries it on.
    pub(crate) fn opening(id: DatabaseId, entry: &Entry, permit: Permit, options: &Options, io: &mut Io) -> Database {
        let mut database = Database::new(id, entry, Phase::Unwritten, options);
        database.open(permit, options, io);
        database
    }

    /// Opens it, or opens it again.
    fn open(&mut self, permit: Permit, options: &Options, io: &mut Io) {
        let subject = Subject {
            id: self.id,
            name: self.name.clone(),
            directory: self.directory.clone(),
            created_at: self.created_at,
            log_end: self.log_end,
        };
        let (job, first) = Opening::new(subject, permit, options, io);
        io.submit(Owner::Log(self.id), first);
        self.phase = Phase::Opening(Box::new(job));
    }

    /// A database just created: its one segment is durable, empty and open.
    pub(crate) fn created(id: DatabaseId, entry: &Entry, segment: Made, epoch: u64, options: &Options) -> Database {
        let log = Log {
            segment,
            epoch,
            start_lsn: Lsn(0),
            end: Lsn(0),
            before: None,
            proof_due: None,
            proven_end: Lsn(0),
            is_spoiled: false,
        };
        Database::new(id, entry, Phase::Open(log, Work::Idle), options)
    }

    fn new(id: DatabaseId, entry: &Entry, phase: Phase, options: &Options) -> Database {
        let empty = View::empty(options.map_fanout);
        Database {
            id,
            name: entry.name.clone(),
            directory: databases_path().join(entry.name.as_str()),
            created_at: entry.created_at,
            log_end: entry.closed.log_end,
            is_shown: false,
            pending: empty.clone(),
            published: empty,
            phase,
            spare: SpareState::None,
            batches: VecDeque::new(),
            pace: Pace::default(),
            queue: VecDeque::new(),
            read_only: None,
            closing: None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match self.phase {
            Phase::Open(..) | Phase::ReadOnly | Phase::Unwritten => self.closing.is_none(),
            Phase::Opening(_) | Phase::Closed(_) => false,
        }
    }

    /// Whether its log may grow.
    pub(crate) fn takes_writes(&self) -> bool {
        matches!(self.phase, Phase::Open(..))
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        match &self.phase {
            // Readers may go on seeing what an opening without space came to.
            Phase::Opening(job) => job.memory_bytes() + self.pending.memory_bytes(),
            Phase::Open(..) | Phase::ReadOnly | Phase::Unwritten | Phase::Closed(_) => self.pending.memory_bytes(),
        }
    }

    pub(crate) fn last_tx(&self) -> u64 {
        self.published.last_tx().0
    }

    /// Bytes of log that an opening has to replay.
    pub(crate) fn log_bytes(&self) -> u64 {
        match &self.phase {
            Phase::Open(log, _) => log.end.0,
            Phase::Closed(closed) => closed.figures.map_or(0, |figures| figures.log_bytes),
            Phase::Opening(_) | Phase::ReadOnly | Phase::Unwritten => 0,
        }
    }

    pub(crate) fn describe(&self, info: &mut DatabaseInfo) {
        if self.is_open() {
            info.open = true;
            info.read_only = self.read_only.is_some();
            info.documents = Some(self.published.documents());
            info.memory_bytes = self.memory_bytes();
            if matches!(self.phase, Phase::Open(..)) {
                info.log_bytes = Some(self.log_bytes());
            }
        }
    }

    /// Publishes the state readers see now.
    pub(crate) fn publish(&mut self, io: &mut Io) {
        self.is_shown = true;
        io.push(Output::Publish { database: self.id, view: Some(self.published.clone()) });
    }

    /// Runs a request's operations; the answer comes at once, or with the batch it rests on.
    pub(crate) fn execute(
        &mut self,
        request: RequestId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
        room: Room<'_>,
        options: &Options,
        io: &mut Io,
    ) {
        let writes = || operations.iter().any(|operation| !operation.action.is_read());
        if matches!(self.phase, Phase::Unwritten) && writes() && room.unwritten.is_none() {
            self.queue.push_back((request, Request::Execute { database: self.id, operations, atomicity }));
            return self.open(Permit::WriteIfThereIsSpace, options, io);
        }
        // While readers hold older states, a document that replaces another makes no room, however small it is.
        let adds = || operations.iter().any(|operation| operation.action.document().is_some());
        let is_over = room.pinned_bytes > 0 && self.pending.memory_bytes() > room.memory_bytes_free && adds();
        let full = is_over.then(|| readers_hold(Error::new(ErrorCode::MemoryLimit), room.pinned_bytes));
        let read_only = self.read_only.clone().or_else(|| room.unwritten.cloned()).or(full);
        let bounds = Bounds { read_only, memory_bytes_free: room.memory_bytes_free };
        let Executed { mut results, records, rests_on_pending } =
            execute(&mut self.pending, &self.published, &operations, atomicity, &bounds);
        if room.pinned_bytes > 0 {
            name_readers(&mut results, room.pinned_bytes);
        }
        if records.is_empty() && !rests_on_pending {
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
        let is_full = |batch: &Batch| batch.after.is_some() || batch.bytes >= options.batch_bytes_max;
        if self.batches.back().is_none_or(is_full) {
            self.batches.push_back(Batch::default());
        }
        let batch = self.batches.back_mut().expect("one was pushed when there was none");
        batch.add(waiting, records);
        if is_full(batch) {
            batch.after = Some(self.pending.clone());
        }
    }

    /// Until when the next batch waits for those who were answered just now; `None` when it is written now.
    fn gathers_until(&self, now: Now) -> Option<Instant> {
        let batch = self.batches.front()?;
        // A batch that is frozen takes no more, and a closing waits for nobody.
        let may_grow = batch.after.is_none() && self.closing.is_none();
        if may_grow { self.pace.waits(now.monotonic, batch.waiting.len()) } else { None }
    }

    /// The newest batch that is not durable yet.
    fn newest_batch(&mut self) -> Option<&mut Batch> {
        if let Some(batch) = self.batches.back_mut() {
            return Some(batch);
        }
        match &mut self.phase {
            Phase::Open(_, Work::Writing(flight) | Work::Syncing(flight)) => Some(&mut flight.batch),
            Phase::Open(_, Work::NewSegment { tail, .. } | Work::BackingOff { tail, .. }) => tail.as_mut(),
            Phase::Open(_, Work::Idle) | Phase::Opening(_) | Phase::ReadOnly | Phase::Unwritten | Phase::Closed(_) => {
                None
            }
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
            Phase::Opening(_) | Phase::Open(..) | Phase::ReadOnly | Phase::Unwritten => None,
        }
    }

    /// Begins whatever can begin now. Called after every input that touched this database.
    pub(crate) fn advance(&mut self, now: Now, options: &Options, io: &mut Io) {
        match &self.phase {
            Phase::Open(log, Work::Idle) => match log.proof_due {
                _ if !self.batches.is_empty() => match self.gathers_until(now) {
                    Some(until) => io.wake_by(until),
                    None => self.write_next(now, options, io),
                },
                None if self.closing.is_some() => self.close_files(io),
                Some(due) if self.closing.is_some() || due <= now.monotonic => self.prove(now, options, io),
                Some(due) => io.wake_by(due),
                None => {}
            },
            Phase::Open(_, Work::BackingOff { until, .. }) if *until > now.monotonic => io.wake_by(*until),
            Phase::Open(_, Work::BackingOff { .. }) => {
                let Phase::Open(_, work) = &mut self.phase else { return };
                if let Work::BackingOff { tail, tries, .. } = std::mem::replace(work, Work::Idle) {
                    self.new_segment(tail, tries, io);
                }
            }
            Phase::ReadOnly | Phase::Unwritten => {
                let is_alone = self.spare.discard(self.id, &self.name, &self.directory, io);
                if is_alone && self.closing.is_some() {
                    self.phase = Phase::Closed(Closed::default());
                }
            }
            Phase::Open(_, Work::Writing(_) | Work::Syncing(_) | Work::NewSegment { .. })
            | Phase::Opening(_)
            | Phase::Closed(_) => {}
        }
    }

    /// Carries on with the one operation of the log that was in flight. An error is that of the opening, which has
    /// `memory_bytes_free` for what it replays.
    pub(crate) fn completed(
        &mut self,
        now: Now,
        result: DiskResult,
        memory_bytes_free: u64,
        options: &Options,
        io: &mut Io,
    ) -> Option<Error> {
        match &mut self.phase {
            Phase::Opening(job) => match job.step(result, memory_bytes_free, io) {
                Progress::Submit(op) => io.submit(Owner::Log(self.id), op),
                Progress::Done(opened) => self.opened(now, opened, options, io),
                // Readers go on seeing what they see.
                Progress::Failed(error) if self.is_shown => {
                    self.phase = Phase::Unwritten;
                    self.refuse_writes(&error, options, io);
                }
                Progress::Failed(error) => return Some(error),
            },
            Phase::Open(..) => self.log_completed(now, result, options, io),
            Phase::ReadOnly | Phase::Unwritten | Phase::Closed(_) => unreachable!("nothing of the log was in flight"),
        }
        None
    }

    /// Carries on with the spare.
    pub(crate) fn spare_completed(&mut self, result: DiskResult, io: &mut Io) {
        self.spare.completed(self.id, &self.name, result, io);
    }

    fn opened(&mut self, now: Now, opened: Opened, options: &Options, io: &mut Io) {
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
                    proof_due: (writable.end > writable.start_lsn).then_some(now.monotonic),
                    proven_end: writable.end,
                    is_spoiled: false,
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
            Opened::Unwritten(view, error) => {
                // Each write tries again; the operator hears of it once.
                if !self.is_shown {
                    io.alert(Some(&self.name), AlertKind::NoSpace(error.clone()));
                }
                self.pending = view.clone();
                self.published = view;
                self.phase = Phase::Unwritten;
                self.publish(io);
                return self.refuse_writes(&error, options, io);
            }
        }
        self.publish(io);
    }

    /// There is no space to go on: answers what waits for it, writes with this error. The next write tries again.
    fn refuse_writes(&mut self, error: &Error, options: &Options, io: &mut Io) {
        for (request_id, request) in std::mem::take(&mut self.queue) {
            match request {
                Request::OpenDatabase { .. } => io.respond(request_id, Ok(Reply::Database(self.id))),
                Request::CloseDatabase { .. } => self.close(Some(request_id)),
                Request::Execute { operations, atomicity, .. } => {
                    let room = Room { memory_bytes_free: 0, pinned_bytes: 0, unwritten: Some(error) };
                    self.execute(request_id, operations, atomicity, room, options, io);
                }
                Request::Stats | Request::ListDatabases => unreachable!("answered without a database"),
            }
        }
    }
}

/// Says of a refusal for want of memory that readers have a part in it.
fn name_readers(results: &mut Result<Vec<OperationResult>, Error>, pinned_bytes: u64) {
    let errors: Vec<&mut Error> = match results {
        Ok(results) => results.iter_mut().filter_map(|result| result.as_mut().err()).collect(),
        Err(error) => vec![error],
    };
    for error in errors.into_iter().filter(|error| error.code() == ErrorCode::MemoryLimit) {
        *error = readers_hold(error.clone(), pinned_bytes);
    }
}

fn readers_hold(error: Error, pinned_bytes: u64) -> Error {
    error.detail(format!("readers hold older states, which keep {pinned_bytes} bytes in memory"))
}
