//! An answer that is owed, from the moment its call was read until it is sent.
//!
//! Every call is answered exactly once: who lets go of a [`Debt`] without answering has it answered that the outcome is
//! unknown. It never waits for the client; the queue is bounded by the calls under way.

use docdb_protocol::wire::v1::{Answer, Answered};
use docdb_protocol::{Error, ErrorCode};
use tokio::sync::mpsc;

use crate::budget::{Budget, Share};
use crate::outstanding::Ticket;

/// Owed.
pub(super) struct Debt {
    request_id: u64,
    queue: mpsc::UnboundedSender<Due>,
    /// Taken when it is answered.
    ticket: Option<Ticket>,
    /// Of the request; of the answer in the end.
    share: Option<Share>,
}

/// Answered, and to be sent.
pub(super) struct Due {
    bytes: Vec<u8>,
    held: Held,
}

/// What is given back when the answer is sent.
pub(super) struct Held {
    _share: Option<Share>,
    _ticket: Ticket,
}

impl Debt {
    pub(super) fn new(
        request_id: u64,
        queue: mpsc::UnboundedSender<Due>,
        ticket: Ticket,
        share: Option<Share>,
    ) -> Debt {
        Debt { request_id, queue, ticket: Some(ticket), share }
    }

    /// Answers with what takes about as little as its request did.
    pub(super) fn answer(mut self, outcome: Result<Answer, Error>) {
        self.settle(outcome);
    }

    /// Answers with what may be large. The request's bytes are given back before the answer's are asked for: see `budget`.
    pub(super) async fn answer_counted(mut self, outcome: Result<Answer, Error>, budget: &Budget) {
        let answered = Answered { request_id: self.request_id, outcome };
        self.share = None;
        self.share = Some(budget.take(answered.bytes_max()).await);
        self.settle(answered.outcome);
    }

    fn settle(&mut self, outcome: Result<Answer, Error>) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut bytes = Vec::new();
        Answered { request_id: self.request_id, outcome }.encode(&mut bytes);
        let held = Held { _share: self.share.take(), _ticket: ticket };
        // The connection may be gone; what was asked is done all the same.
        let _ = self.queue.send(Due { bytes, held });
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.settle(Err(Error::new(ErrorCode::OutcomeUnknown).detail("the engine stopped")));
        }
    }
}

impl Due {
    pub(super) fn append_to(self, out: &mut Vec<u8>) -> Held {
        if out.is_empty() {
            *out = self.bytes;
        } else {
            out.extend_from_slice(&self.bytes);
        }
        self.held
    }
}
