//! Requests that found the engine's lock taken.
//!
//! Whoever holds the lock carries them in, in the order in which they came, so no caller ever queues for
//! the lock, and the engine's state stays with one processor. Nothing stays behind: whoever puts a request
//! in tries the lock afterwards, and whoever releases the lock looks in here afterwards.

use docdb_protocol::Request;

use crate::desk::Waiter;
use crate::sync::{Mutex, whole};

/// A request, and who waits for its answer.
pub(super) type Asked = (Request, Waiter);

/// See the module. What is in it is bounded by the threads that call: who submits is refused long before (see
/// `MESSAGES_WAITING_MAX`), and who asks waits.
#[derive(Default)]
pub(super) struct Inbox(Mutex<Vec<Asked>>);

impl Inbox {
    pub(super) fn put(&self, request: Request, waiter: Waiter) {
        whole(self.0.lock()).push((request, waiter));
    }

    pub(super) fn is_empty(&self) -> bool {
        whole(self.0.lock()).is_empty()
    }

    /// Moves everything into `taken`, which is empty.
    pub(super) fn take(&self, taken: &mut Vec<Asked>) {
        std::mem::swap(&mut *whole(self.0.lock()), taken);
    }
}
