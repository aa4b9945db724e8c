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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Time stands still until everybody waits, so a wait that ends by the clock would never have ended.
    async fn waits(wait: impl Future<Output = Share>) -> bool {
        timeout(Duration::from_secs(3600), wait).await.is_err()
    }

    fn limits(connection_messages: usize, total_messages: usize) -> Limits {
        Limits {
            connection_bytes_max: connection_messages * MESSAGE_BYTES_MAX,
            total_bytes_max: total_messages * MESSAGE_BYTES_MAX,
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_at_its_own_limit_and_others_go_on() {
        let limits = limits(1, 4);
        let total = TotalBudget::new(&limits);
        let (first, second) = (total.connection(&limits), total.connection(&limits));
        let share = first.take(MESSAGE_BYTES_MAX).await;
        assert!(waits(first.take(1)).await);
        let _other = second.take(MESSAGE_BYTES_MAX).await;
        drop(share);
        let _again = first.take(MESSAGE_BYTES_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_connections_together_wait_at_the_total() {
        let limits = limits(2, 2);
        let total = TotalBudget::new(&limits);
        let connections: Vec<Budget> = (0..3).map(|_| total.connection(&limits)).collect();
        let share = connections[0].take(MESSAGE_BYTES_MAX).await;
        let _other = connections[1].take(MESSAGE_BYTES_MAX).await;
        assert!(waits(connections[2].take(1)).await);
        drop(share);
        let _third = connections[2].take(MESSAGE_BYTES_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_smallest_budget_holds_the_largest_message() {
        let limits = Limits { connection_bytes_max: 0, total_bytes_max: 0, ..Limits::default() };
        let _share = TotalBudget::new(&limits).connection(&limits).take(MESSAGE_BYTES_MAX).await;
    }
}
