//! What passes through the engine's one door: everything that can touch it, and everything that it can do to the world.
//!
//! Both lists are closed, so that a driver, a simulator and a model have to say what they do with each. Nothing is decided
//! here.

use docdb_protocol::{DatabaseId, Request, Response};

use crate::alert::Alert;
use crate::clock::Instant;
use crate::disk::{Completion, DiskOp, OpId};
use crate::view::View;

/// Names a request in flight; chosen by the driver's user, never twice at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Everything that can touch the engine. A closed list.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client asks something.
    Request {
        /// Names the request in its response.
        id: RequestId,
        /// What is asked.
        request: Request,
    },
    /// A disk operation ended.
    Completed(Completion),
    /// The time asked for by [`Output::WakeAt`] has come.
    Timer,
    /// So many bytes are in memory for the sake of readers alone, who hold states that were replaced. They count from now
    /// on as what the databases hold does.
    Pinned {
        /// Of all databases together.
        bytes: u64,
    },
    /// Take no new requests, finish what is pending, close every database, then [`Output::Stopped`].
    Shutdown,
}

/// Everything the engine can do to the world. A closed list.
#[derive(Clone, Debug)]
pub enum Output {
    /// Run this operation.
    Disk {
        /// Names it in its completion.
        id: OpId,
        /// The operation.
        op: DiskOp,
    },
    /// Answer a request.
    Respond {
        /// Which.
        request: RequestId,
        /// The answer.
        response: Response,
    },
    /// Show readers a new state; comes before the responses that rest on it.
    Publish {
        /// Of which database.
        database: DatabaseId,
        /// The state; `None` when the database was closed.
        view: Option<View>,
    },
    /// Send [`Input::Timer`] at this time or soon after; replaces an earlier wish.
    WakeAt(Instant),
    /// Report this to the operator.
    Alert(Alert),
    /// The engine has shut down. Nothing follows.
    Stopped,
}
