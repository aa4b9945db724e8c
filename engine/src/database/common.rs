//! What a database has in every phase: who it is, the two states, who waits for its end.
//!
//! Invariant: the published state is durable; the pending one is the published one plus the batches in their order.

use docdb_protocol::Error;

use super::spare::SpareState;
use crate::batch::Batch;
use crate::io::{Io, Owner};
use crate::jobs::opening::Subject;
use crate::jobs::slots::Slot;
use crate::message::{Output, RequestId};
use crate::view::View;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// With the end of its log at the last closing before this opening.
    pub(super) subject: Subject,
    pub(super) pending: View,
    pub(super) published: View,
    /// Whether readers see the published state.
    pub(super) is_shown: bool,
    pub(super) spare: SpareState,
    /// Why it takes no writes any more.
    pub(super) read_only: Option<Error>,
    /// Set once a client or the shutdown asked for the closing: the requests to answer when it is recorded.
    pub(super) closing: Option<Vec<RequestId>>,
}

impl Common {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The owner of operations that a job in this slot submits.
    pub(super) fn owner(&self, slot: Slot) -> Owner {
        Owner::Database(self.subject.id, slot)
    }

    /// Makes the state that an opening found the published and the pending one.
    pub(super) fn found(&mut self, view: View) {
        self.pending = view.clone();
        self.published = view;
    }

    /// Publishes the state that readers see from now on.
    pub(super) fn publish(&mut self, io: &mut Io) {
        self.is_shown = true;
        io.push(Output::Publish { database: self.subject.id, view: Some(self.published.clone()) });
    }

    /// A batch is durable: readers see it first, then those who wait are answered.
    pub(super) fn durable(&mut self, mut batch: Batch, io: &mut Io) {
        if let Some(after) = batch.after.take() {
            self.published = after;
            self.publish(io);
        }
        for waiting in batch.waiting {
            io.respond(waiting.request, waiting.durable());
        }
    }
}
