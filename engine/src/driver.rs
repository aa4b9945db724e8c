//! The one loop that joins an engine, a disk and a clock.
//!
//! The simulator, the embedded handle and the daemon all run this same code. It moves inputs in and
//! outputs out and decides nothing.

use crate::alert::Alert;
use crate::clock::{Clock, Instant};
use crate::disk::{Disk, DiskOp, OpId};
use crate::engine::Engine;
use crate::message::{Input, Output, RequestId};
use crate::view::View;
use docdb_protocol::{DatabaseId, Response};

/// What the engine speaks to, besides the disk: its clients, its readers, a timer, an operator.
///
/// A view is published before the responses that rest on it are given.
pub trait Outside {
    /// An operation is about to be submitted. A simulator watches this; nobody else needs it.
    fn submitting(&mut self, id: OpId, op: &DiskOp) {
        let _ = (id, op);
    }

    /// A request is answered; each is answered exactly once.
    fn respond(&mut self, request: RequestId, response: Response);
    /// Readers of this database see `view` from now on; `None` when it was closed.
    fn publish(&mut self, database: DatabaseId, view: Option<View>);
    /// The engine wants [`Input::Timer`] at this time, or soon after; a later call replaces an earlier one.
    fn wake_at(&mut self, time: Instant);
    /// The operator should know this.
    fn alert(&mut self, alert: Alert);
    /// After [`Input::Shutdown`]: everything is answered, durable and closed.
    fn stopped(&mut self);
}

/// An engine with its disk and clock.
#[derive(Clone, Debug)]
pub struct Driver<D, C> {
    /// The engine.
    pub engine: Engine,
    /// Where its operations go.
    pub disk: D,
    /// Where the time comes from.
    pub clock: C,
}

impl<D: Disk, C: Clock> Driver<D, C> {
    /// Joins the three. Call [`Driver::drain`] once to let the engine begin.
    pub fn new(engine: Engine, disk: D, clock: C) -> Driver<D, C> {
        Driver { engine, disk, clock }
    }

    /// Feeds one input and carries out everything that follows from it at once.
    pub fn handle(&mut self, input: Input, outside: &mut impl Outside) {
        self.engine.handle(self.clock.now(), input);
        self.drain(outside);
    }

    /// Delivers one completion of the disk, if there is one, and says whether there was.
    pub fn deliver(&mut self, outside: &mut impl Outside) -> bool {
        let Some(completion) = self.disk.poll() else { return false };
        self.handle(Input::Completed(completion), outside);
        true
    }

    /// Carries out what the engine wants done now.
    pub fn drain(&mut self, outside: &mut impl Outside) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Disk { id, op } => {
                    outside.submitting(id, &op);
                    self.disk.submit(id, op);
                }
                Output::Respond { request, response } => outside.respond(request, response),
                Output::Publish { database, view } => outside.publish(database, view),
                Output::WakeAt(time) => outside.wake_at(time),
                Output::Alert(alert) => outside.alert(alert),
                Output::Stopped => outside.stopped(),
            }
        }
    }
}
