//! What a database does when even a new segment could not be made.
//!
//! It does the mildest of four things that fits: make a smaller file, where space is missing; try again soon, where something
//! else is missing that may return; refuse the requests that gathered and stay writable, where certainly nothing of them was
//! written; or latch read-only, where nobody knows whether the batch on its way was written. Readers go on seeing what was
//! published.

use docdb_protocol::Error;

use super::common::Common;
use super::open::{Open, Switch, Tries};
use super::state::{Phase, State, Turn};
use crate::alert::AlertKind;
use crate::batch::{Batch, outcome_unknown, read_only};
use crate::execute::Bounds;
use crate::jobs::new_segment::{NewSegment, Shortage};

/// How long a proof waits for space to return.
const PROOF_RETRY_NS: u64 = 1_000_000_000;

/// A rotation whose new segment could not be made.
pub(super) struct Attempt {
    pub(super) error: Error,
    pub(super) job: Box<NewSegment>,
    /// The batch that was to be its tail.
    pub(super) tail: Option<Batch>,
    pub(super) tries: Tries,
}

impl Attempt {
    /// Does one of the four things.
    pub(super) fn give_up(self, state: &mut State, turn: &mut Turn<'_>) {
        let Attempt { error, job, tail, mut tries } = self;
        if let Some(file) = job.opened() {
            turn.io.close(file);
        }
        let (open, common) = state.open();
        // Before its header is written the attempt has left nothing, and can be made again.
        let shortage = job.shortage().filter(|_| job.failed_before_header());
        if shortage == Some(Shortage::Space)
            && let Some(file_bytes) = job.smaller(turn.options)
        {
            tries.file_bytes_max = file_bytes;
            open.switch = Some(Switch { tail, tries, until: None });
            return;
        }
        if shortage == Some(Shortage::Passing)
            && let Some(delay_ns) = tries.backoff.next_delay_ns(turn.options.seed ^ common.subject.id.get())
        {
            let until = turn.now.monotonic.after(delay_ns);
            open.switch = Some(Switch { tail, tries, until: Some(until) });
            return;
        }
        let error = error.database(common.subject.name.as_str());
        let writes = tail.as_ref().is_some_and(Batch::has_operations);
        if shortage.is_some() && !writes {
            // Nothing was written, so the outcome is known, and what is missing may return.
            let log = &mut open.log;
            log.proof_due = log.proof_due.map(|_| turn.now.monotonic.after(PROOF_RETRY_NS));
            refuse_gathered(open, common, &error, tail, turn);
            // All that was acknowledged is durable. Only the proof is missing, and an opening does without it.
            if open.log.is_spoiled && common.is_closing() {
                turn.io.close(open.log.segment.file);
                state.phase = Phase::ReadOnly;
            }
        } else {
            latch(&error, tail, state, turn);
        }
    }
}

/// Takes no more writes: nobody knows what became of `in_flight`, and nothing can be written behind it.
pub(super) fn latch(cause: &Error, in_flight: Option<Batch>, state: &mut State, turn: &mut Turn<'_>) {
    let (open, common) = state.open();
    turn.io.alert(Some(&common.subject.name), AlertKind::ReadOnly(cause.clone()));
    common.read_only = Some(read_only(cause));
    refuse_gathered(open, common, cause, in_flight, turn);
    turn.io.close(open.log.segment.file);
    state.phase = Phase::ReadOnly;
}

/// Gives up everything pending: it leaves memory, and the clients that wait for it get an error. The outcome
/// of `in_flight` is unknown; the batches behind it were never written.
fn refuse_gathered(open: &mut Open, common: &mut Common, cause: &Error, in_flight: Option<Batch>, turn: &mut Turn<'_>) {
    let io = &mut *turn.io;
    open.checkpoint.given_up(turn.now.monotonic);
    common.pending = common.published.clone();
    let refused = common.read_only.clone().unwrap_or_else(|| cause.clone());
    let bounds = Bounds { read_only: Some(refused.clone()), memory_bytes_free: 0 };
    let unknown = outcome_unknown(cause);
    for waiting in in_flight.into_iter().flat_map(|batch| batch.waiting) {
        let request = waiting.request;
        io.respond(request, waiting.given_up(&common.published, &bounds, &unknown));
    }
    for waiting in std::mem::take(&mut open.batches).into_iter().flat_map(|batch| batch.waiting) {
        io.respond(waiting.request, waiting.given_up(&common.published, &bounds, &refused));
    }
}
