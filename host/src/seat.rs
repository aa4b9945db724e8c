//! A thread that waits for one response.
//!
//! Owns the handing over of a response, from the thread that has it to the thread that waits for it. Never calls
//! foreign code.

use std::cell::RefCell;
use std::sync::Arc;

use docdb_protocol::Response;

use crate::sync::{Mutex, MutexGuard, Thread, current, park, thread_local, whole};

/// A caller's thread that waits for one response.
pub(crate) struct Seat {
    thread: Thread,
    inner: Mutex<SeatInner>,
}

#[derive(Default)]
struct SeatInner {
    /// Whether the thread sleeps, or is about to, and has to be woken. Else it looks for itself.
    parked: bool,
    response: Option<Response>,
}

thread_local! {
    /// The seat that this thread used last; empty while it sits.
    static FREE_SEAT: RefCell<Option<Arc<Seat>>> = const { RefCell::new(None) };
}

impl Seat {
    /// A seat for this thread; [`Seat::leave`] gives it back.
    pub(crate) fn take_place() -> Arc<Seat> {
        // A thread that ends may ask once more, from the destructor of a value of its own.
        let free = FREE_SEAT.try_with(|free| free.borrow_mut().take()).ok().flatten();
        free.unwrap_or_else(|| Arc::new(Seat { thread: current(), inner: Mutex::default() }))
    }

    /// This thread has its response, and sits no more.
    pub(crate) fn leave(self: Arc<Seat>) {
        self.inner().parked = false;
        let _ = FREE_SEAT.try_with(|free| free.borrow_mut().replace(self));
    }

    fn inner(&self) -> MutexGuard<'_, SeatInner> {
        whole(self.inner.lock())
    }

    /// Puts the response there, and says whether [`Seat::wake`] has to follow. Called under the engine's lock.
    pub(crate) fn give(&self, response: Response) -> bool {
        let mut inner = self.inner();
        inner.response = Some(response);
        inner.parked
    }

    /// Wakes the thread, which sleeps or is about to.
    pub(crate) fn wake(&self) {
        self.thread.unpark();
    }

    /// The response, if it is there.
    pub(crate) fn look(&self) -> Option<Response> {
        self.inner().response.take()
    }

    /// From now on the response comes with a wake-up. Called under the engine's lock, or before the request is
    /// put where others find it.
    pub(crate) fn will_park(&self) {
        self.inner().parked = true;
    }

    /// Sleeps until the response is there. A wake-up for an earlier one may still come: it means nothing.
    pub(crate) fn park(&self) -> Response {
        loop {
            if let Some(response) = self.look() {
                return response;
            }
            park();
        }
    }
}
