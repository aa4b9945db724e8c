//! Bytes in flight: a share of the connection's allowance and a share of the whole server's.
//!
//! Owns the two counters. A [`Share`] gives its bytes back when it is dropped, so whoever holds the
//! bytes holds the share. No holder of one share ever waits for another: a request's share is dropped
//! before its answer's is asked for, so that waiting cannot become a deadlock.

use std::sync::Arc;

use docdb_protocol::limits::FRAME_BODY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// The largest message there is, its length field included.
const MESSAGE_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX + 4;

/// What all connections together may hold.
#[derive(Clone, Debug)]
pub(crate) struct TotalBudget(Arc<Semaphore>);

/// What one connection may hold, within the total.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    connection: Arc<Semaphore>,
    total: TotalBudget,
}

/// Bytes taken from both; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    _connection: OwnedSemaphorePermit,
    _total: OwnedSemaphorePermit,
}

impl TotalBudget {
    pub(crate) fn new(limits: &Limits) -> TotalBudget {
        // Less than one whole message would make the largest ones wait for ever.
        let bytes = limits.total_bytes_max.clamp(MESSAGE_BYTES_MAX, Semaphore::MAX_PERMITS);
        TotalBudget(Arc::new(Semaphore::new(bytes)))
    }

    /// The allowance of a new connection.
    pub(crate) fn connection(&self, limits: &Limits) -> Budget {
        let bytes = limits.connection_bytes_max.clamp(MESSAGE_BYTES_MAX, Semaphore::MAX_PERMITS);
        Budget { connection: Arc::new(Semaphore::new(bytes)), total: self.clone() }
    }
}

impl Budget {
    /// Waits until so many bytes are free. `bytes` is at most one message.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        assert!(bytes <= MESSAGE_BYTES_MAX, "a message is at most {MESSAGE_BYTES_MAX} bytes, asked {bytes}");
        let permits = u32::try_from(bytes).expect("a message is far below 4 GiB");
        // The connection's own first: a connection at its limit must not sit on bytes that others could use.
        let connection = Arc::clone(&self.connection).acquire_many_owned(permits).await;
        let total = Arc::clone(&self.total.0).acquire_many_owned(permits).await;
        Share {
            _connection: connection.expect("the connection's semaphore is never closed"),
            _total: total.expect("the server's semaphore is never closed"),
        }
    }
}
