//! The end of the engine: what has not begun is refused, every database is closed, then it is over.

use docdb_protocol::{Error, ErrorCode};

use super::{Engine, Phase};
use crate::clock::Now;
use crate::jobs::slots::Slot;
use crate::message::Output;

impl Engine {
    pub(super) fn shutdown(&mut self, now: Now) {
        self.refuse_early(&Error::new(ErrorCode::PoolStopped));
        self.phase = match self.phase {
            Phase::Stopped => Phase::Stopped,
            Phase::Starting | Phase::Unproven | Phase::Running | Phase::Failed(_) | Phase::Stopping => Phase::Stopping,
        };
        for request in self.create_queue.refuse_behind_front() {
            self.io.respond(request, Err(Error::new(ErrorCode::PoolStopped)));
        }
        for id in self.databases.ids() {
            self.close(id);
            self.advance(now, id);
        }
    }

    /// After a shutdown: ends when nothing is left.
    pub(super) fn maybe_stopped(&mut self) {
        if !matches!(self.phase, Phase::Stopping) {
            return;
        }
        let is_over =
            self.databases.is_empty() && self.slots.is_free(Slot::Catalog) && self.slots.is_free(Slot::Creation);
        if is_over && !self.keeper.let_go(&mut self.io) && self.io.is_idle() {
            self.phase = Phase::Stopped;
            self.io.push(Output::Stopped);
        }
    }
}
