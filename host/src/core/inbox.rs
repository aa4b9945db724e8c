//! Requests that found the engine's lock taken.
//!
//! The thread that holds the lock carries them in, in the order in which they came, so no caller ever queues for
//! the lock, and the engine's state stays with one processor. Nothing stays behind: a thread that puts a request
//! in tries the lock afterwards, and a thread that releases the lock looks in here afterwards.

use docdb_protocol::Request;

use crate::desk::Waiter;
use crate::sync::{AtomicBool, Mutex, Ordering, fence, whole};

/// A request, and who waits for its answer.
pub(super) type Asked = (Request, Waiter);

/// See the module. It holds at most one request of each thread that waits for an answer. Requests that are submitted are
/// refused long before it grows large (see `MESSAGES_WAITING_MAX`).
#[derive(Default)]
pub(super) struct Inbox {
    requests: Mutex<Vec<Asked>>,
    /// Whether there may be any: looking is cheap, and most often there is none.
    is_used: AtomicBool,
}

impl Inbox {
    /// Puts a request in. Try the engine's lock afterwards.
    pub(super) fn put(&self, request: Request, waiter: Waiter) {
        let mut requests = whole(self.requests.lock());
        requests.push((request, waiter));
        self.is_used.store(true, Ordering::Relaxed);
        drop(requests);
        // Orders this before the look at the engine's lock, as the other fence orders the release of that lock before
        // the look in here. One of the two comes first, so one of the two threads sees what the other did.
        fence(Ordering::SeqCst);
    }

    /// Whether nothing is in it. Release the engine's lock first.
    pub(super) fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        !self.is_used.load(Ordering::Relaxed)
    }

    /// Moves everything into `taken`, which is empty.
    pub(super) fn take(&self, taken: &mut Vec<Asked>) {
        if self.is_used.load(Ordering::Relaxed) {
            let mut requests = whole(self.requests.lock());
            self.is_used.store(false, Ordering::Relaxed);
            std::mem::swap(&mut *requests, taken);
        }
    }
}
