//! Counts the requests of one connection that the engine has not answered yet.
//!
//! Owns the one thing that makes a connection behave as if its requests ran in order: a read waits
//! until the count is zero. Knows nothing of what the requests are.

use std::sync::Arc;

use tokio::sync::watch;

/// The count; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding(Arc<watch::Sender<usize>>);

/// One unanswered request; dropping it counts it as answered, however it ended.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<watch::Sender<usize>>);

impl Outstanding {
    pub(crate) fn new() -> Outstanding {
        Outstanding(Arc::new(watch::Sender::new(0)))
    }

    /// Counts one more.
    pub(crate) fn begin(&self) -> Ticket {
        self.0.send_modify(|count| *count += 1);
        Ticket(Arc::clone(&self.0))
    }

    /// Waits until every request begun so far is answered.
    pub(crate) async fn none(&self) {
        self.below(1).await;
    }

    /// Waits until fewer requests than this are unanswered.
    pub(crate) async fn below(&self, limit: usize) {
        let mut count = self.0.subscribe();
        let waited = count.wait_for(|count| *count < limit).await;
        debug_assert!(waited.is_ok(), "self holds the sender");
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
