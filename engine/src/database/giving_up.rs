//! What a database does when even a new segment could not be made.
//!
//! Four answers, from the mildest on: make a smaller file, where space is missing; try again soon; refuse what gathered
//! and stay writable, when it is certain that nothing of it was written and there was too little of something; latch, for
//! the outcome of what was on its way to the log is unknown then. Reads go on in every case, at what was published.

use docdb_protocol::Error;

use super::{Database, Phase, Tries, Work};
use crate::alert::AlertKind;
use crate::batch::{Batch, outcome_unknown, read_only};
use crate::clock::Now;
use crate::execute::Bounds;
use crate::io::Io;
use crate::jobs::new_segment::{NewSegment, Shortage};
use crate::options::Options;

/// How long a proof waits for space to return.
const PROOF_RETRY_NS: u64 = 1_000_000_000;

/// A new segment that came to nothing.
pub(super) struct Attempt {
    pub(super) error: Error,
    pub(super) job: Box<NewSegment>,
    /// The batch that was to be its tail.
    pub(super) tail: Option<Batch>,
    pub(super) tries: Tries,
}

impl Database {
    pub(super) fn segment_failed(&mut self, now: Now, attempt: Attempt, options: &Options, io: &mut Io) {
        let Attempt { error, job, tail, mut tries } = attempt;
        if let Some(file) = job.opened() {
            io.close(file);
        }
        let Phase::Open(log, work) = &mut self.phase else { return };
        // Before its header is written the attempt has left nothing, and can be made again.
        let shortage = job.shortage().filter(|_| job.failed_before_header());
        if shortage == Some(Shortage::Space)
            && let Some(file_bytes) = job.smaller(options)
        {
            tries.file_bytes_max = file_bytes;
            return self.new_segment(tail, tries, io);
        }
        if shortage == Some(Shortage::Passing)
            && let Some(delay_ns) = tries.backoff.next_delay_ns(options.seed ^ self.id.get())
        {
            let until = now.monotonic.after(delay_ns);
            io.wake_by(until);
            *work = Work::BackingOff { until, tail, tries };
            return;
        }
        let error = error.database(self.name.as_str());
        let writes = tail.as_ref().is_some_and(|batch| !batch.records.is_empty());
        if shortage.is_some() && !writes {
            // Nothing was written, so the outcome is known, and what is missing may return.
            log.proof_due = log.proof_due.map(|_| now.monotonic.after(PROOF_RETRY_NS));
            let ends = log.is_spoiled && self.closing.is_some();
            self.refuse_gathered(&error, tail, io);
            if ends {
                // What was acknowledged is durable; what is missing is the proof, and an opening does without.
                self.let_go(io);
            }
            return;
        }
        io.alert(Some(&self.name), AlertKind::ReadOnly(error.clone()));
        self.read_only = Some(read_only(&error));
        self.refuse_gathered(&error, tail, io);
        self.let_go(io);
    }

    /// Goes on without a log.
    fn let_go(&mut self, io: &mut Io) {
        assert!(self.batches.is_empty(), "whoever waited was told before");
        let Phase::Open(log, _) = &self.phase else { return };
        io.close(log.segment.file);
        self.phase = Phase::ReadOnly;
    }

    /// Gives up everything pending: it leaves memory, and whoever waits for it is told. The outcome
    /// of `in_flight` is unknown; the batches behind it were never written.
    fn refuse_gathered(&mut self, cause: &Error, in_flight: Option<Batch>, io: &mut Io) {
        self.pending = self.published.clone();
        let refused = self.read_only.clone().unwrap_or_else(|| cause.clone());
        let bounds = Bounds { read_only: Some(refused.clone()), memory_bytes_free: 0 };
        let unknown = outcome_unknown(cause);
        for waiting in in_flight.into_iter().flat_map(|batch| batch.waiting) {
            let request = waiting.request;
            io.respond(request, waiting.given_up(&self.published, &bounds, &unknown));
        }
        for waiting in std::mem::take(&mut self.batches).into_iter().flat_map(|batch| batch.waiting) {
            io.respond(waiting.request, waiting.given_up(&self.published, &bounds, &refused));
        }
    }
}
