//! The way of a batch: into the log, into readers' sight, into the answers.
//!
//! ```text
//! write -> sync -> publish -> acknowledge
//!     | failed, short or full
//!     v
//! new segment, with the batch as its tail -> publish -> acknowledge
//! ```
//!
//! Invariants: after a failed write or sync, that file is never written or synced again (what it holds
//! is unknown); a batch begins where the durable log ends; a proof always fits where its batch went.

use docdb_protocol::ErrorCode;

use super::giving_up::Attempt;
use super::{Database, InFlight, Phase, Tries, Work};
use crate::alert::AlertKind;
use crate::batch::Batch;
use crate::catalog::{Closed, Figures};
use crate::clock::Now;
use crate::disk::{DiskError, DiskOp};
use crate::io::{DiskResult, Io, Owner, Progress, disk_error};
use crate::jobs::new_segment::{Made, NewSegment, Plan, written};
use crate::log::{BatchPlace, Lsn, SEGMENT_HEADER_BYTES, active, encode, encoded_bytes, proof_bytes};
use crate::options::Options;

impl Database {
    /// Writes the batch at the front, in a new segment when it does not fit this one.
    pub(super) fn write_next(&mut self, now: Now, options: &Options, io: &mut Io) {
        let Phase::Open(log, _) = &self.phase else { return };
        let Some(front) = self.batches.front() else { return };
        let bytes = encoded_bytes(log.before.as_ref(), &front.records) + proof_bytes(&front.records);
        let used = log.end.0 - log.start_lsn.0;
        let fits = SEGMENT_HEADER_BYTES as u64 + used + bytes <= log.segment.file_bytes;
        // One batch never spans segments, so a large one may exceed the limit alone in its own, which is made for it: a write
        // beyond the end of a file could meet a full disk when its outcome can no longer be known.
        if log.is_spoiled || !fits {
            if used == 0 && self.batches.len() == 1 {
                // It may have grown while an empty segment was made for it. Now it takes no more, and so fits the next.
                if let Some(batch) = self.batches.back_mut() {
                    batch.after.get_or_insert_with(|| self.pending.clone());
                }
            }
            // A spare being made will be ready sooner than another file.
            if !self.spare.is_being_made() {
                self.new_segment(None, Tries::first(options), io);
            }
            return;
        }
        let mut batch = self.batches.pop_front().expect("looked at above");
        if self.batches.is_empty() {
            batch.after.get_or_insert_with(|| self.pending.clone());
        }
        self.write_batch(now, batch, io);
    }

    /// Proves the last batch: by a batch without records, or by the header of another segment.
    pub(super) fn prove(&mut self, now: Now, options: &Options, io: &mut Io) {
        let Phase::Open(log, _) = &self.phase else { return };
        if log.is_spoiled {
            self.new_segment(None, Tries::first(options), io);
        } else {
            self.write_batch(now, Batch::default(), io);
        }
    }

    /// Appends a batch to the active segment.
    fn write_batch(&mut self, now: Now, batch: Batch, io: &mut Io) {
        let Phase::Open(log, work) = &mut self.phase else { return };
        let place = BatchPlace {
            database: self.id,
            epoch: log.epoch,
            start_lsn: log.start_lsn,
            lsn: log.end,
            watermark: log.end,
        };
        let encoded = encode(place, log.before.as_ref(), &batch.records);
        let offset = SEGMENT_HEADER_BYTES as u64 + (log.end.0 - log.start_lsn.0);
        io.submit(Owner::Log(self.id), DiskOp::Write { file: log.segment.file, offset, buffers: encoded.buffers });
        self.pace.begins(now.monotonic, batch.waiting.len());
        *work = Work::Writing(InFlight { batch, bytes: encoded.bytes });
    }

    /// Carries on with the one operation of the log that was in flight.
    pub(super) fn log_completed(&mut self, now: Now, result: DiskResult, options: &Options, io: &mut Io) {
        let Phase::Open(log, work) = &mut self.phase else { return };
        match (std::mem::replace(work, Work::Idle), result) {
            (Work::Writing(flight), Ok(reply)) => match written(&reply, flight.bytes) {
                Ok(()) => {
                    // The write is complete, so this sync covers it.
                    io.submit(Owner::Log(self.id), DiskOp::Sync { file: log.segment.file });
                    *work = Work::Syncing(flight);
                }
                Err(error) => self.log_failed(ErrorCode::FileWrite, &error, flight.batch, options, io),
            },
            (Work::Writing(flight), Err(error)) => {
                self.log_failed(ErrorCode::FileWrite, &error, flight.batch, options, io);
            }
            (Work::Syncing(flight), Ok(_)) => self.appended(now, flight, options, io),
            // Never synced again: what a failed sync covered is unknown for ever.
            (Work::Syncing(flight), Err(error)) => {
                self.log_failed(ErrorCode::FileSync, &error, flight.batch, options, io);
            }
            (Work::NewSegment { mut job, tail, tries }, result) => match job.step(result) {
                Progress::Submit(op) => {
                    io.submit(Owner::Log(self.id), op);
                    *work = Work::NewSegment { job, tail, tries };
                }
                Progress::Done(made) => self.switched(now, made, &job, tail, options, io),
                Progress::Failed(error) => {
                    self.segment_failed(now, Attempt { error, job, tail, tries }, options, io);
                }
            },
            (Work::Idle | Work::BackingOff { .. }, _) => unreachable!("nothing of the log was in flight"),
        }
    }

    /// The batch is written and synced.
    fn appended(&mut self, now: Now, flight: InFlight, options: &Options, io: &mut Io) {
        let Phase::Open(log, _) = &mut self.phase else { return };
        let lsn = log.end;
        log.end = Lsn(lsn.0 + flight.bytes);
        log.ends_with(lsn, &flight.batch, now.monotonic.after(options.watermark_delay_ns));
        let gathered = self.batches.front().map_or(0, |batch| batch.waiting.len());
        self.pace.ends(now.monotonic, flight.batch.waiting.len(), gathered, options.gather_ns_max);
        self.durable(flight.batch, io);
        self.prepare_spare(options, io);
    }

    /// A batch is durable: readers first, then those who wait.
    fn durable(&mut self, mut batch: Batch, io: &mut Io) {
        if let Some(after) = batch.after.take() {
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
        if let Phase::Open(log, _) = &mut self.phase {
            log.is_spoiled = true;
        }
        self.new_segment(Some(batch), Tries::first(options), io);
    }

    /// Goes on in a new segment, at the place where the durable log ends.
    pub(super) fn new_segment(&mut self, tail: Option<Batch>, tries: Tries, io: &mut Io) {
        let Phase::Open(log, work) = &mut self.phase else { return };
        let epoch = io.new_epoch(log.epoch);
        let place = BatchPlace { database: self.id, epoch, start_lsn: log.end, lsn: log.end, watermark: log.end };
        let encoded = tail.as_ref().map(|batch| encode(place, log.before.as_ref(), &batch.records));
        let header = io.segment_header(self.id, epoch, log.end, self.created_at);
        // A failure calls for a file now; only a rotation can wait for a spare, and it has.
        let spare = self.spare.take();
        let file_bytes = log.segment.file_bytes.min(tries.file_bytes_max);
        // One batch never spans segments: the file has room for the tail, or else for what is written next, and its proof.
        let needed_bytes = SEGMENT_HEADER_BYTES as u64
            + match (&tail, self.batches.front()) {
                (Some(tail), _) => encoded.as_ref().map_or(0, |encoded| encoded.bytes) + proof_bytes(&tail.records),
                (None, Some(front)) => encoded_bytes(log.before.as_ref(), &front.records) + proof_bytes(&front.records),
                (None, None) => 0,
            };
        let plan =
            Plan { header, tail: encoded, seal: log.epoch, spare, file: io.new_file(), file_bytes, needed_bytes };
        let (job, first) = NewSegment::new(plan, self.directory.clone(), self.name.clone());
        io.submit(Owner::Log(self.id), first);
        *work = Work::NewSegment { job: Box::new(job), tail, tries };
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
        log.is_spoiled = false;
        // The header says that all below is durable.
        log.proof_due = None;
        self.spare.segment_switched();
        let Some(batch) = tail else { return };
        log.end = Lsn(log.end.0 + job.plan.tail.as_ref().map_or(0, |tail| tail.bytes));
        log.ends_with(log.start_lsn, &batch, now.monotonic.after(options.watermark_delay_ns));
        self.durable(batch, io);
        self.prepare_spare(options, io);
    }

    /// Once half of the active segment is used, the next one is prepared, twice as long up to the limit.
    fn prepare_spare(&mut self, options: &Options, io: &mut Io) {
        let Phase::Open(log, _) = &self.phase else { return };
        let used = log.end.0 - log.start_lsn.0;
        if used >= log.segment.file_bytes / 2 && self.closing.is_none() {
            let file_bytes = (2 * log.segment.file_bytes).clamp(options.segment_bytes_min, options.segment_bytes_max);
            self.spare.prepare(self.id, &self.name, &self.directory, file_bytes, io);
        }
    }

    /// Everything is durable and proven: lets go of the files.
    pub(super) fn close_files(&mut self, io: &mut Io) {
        if !self.spare.discard(self.id, &self.name, &self.directory, io) {
            return;
        }
        let Phase::Open(log, _) = &self.phase else { return };
        let figures = Figures { log_bytes: log.end.0, documents: self.published.documents() };
        let closed = Closed { log_end: log.proven_end, figures: Some(figures) };
        io.close(log.segment.file);
        self.phase = Phase::Closed(closed);
    }
}
