//! A thread that waits for one response, and how those who wait are woken.
//!
//! Owns the way of a response from the thread that has it to the thread that wants it. Never calls
//! foreign code.

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
    /// Changed under the engine's lock alone. While false, the thread itself looks for its response under
    /// that lock; when true it sleeps, or is about to, and has to be woken.
    parked: bool,
    response: Option<Response>,
    /// Those whom this thread wakes before it goes: see [`wake`].
    wakes: Vec<(Arc<Seat>, Response)>,
}

thread_local! {
    /// The seat that this thread used last; empty while it sits.
    static FREE_SEAT: std::cell::RefCell<Option<Arc<Seat>>> = const { std::cell::RefCell::new(None) };
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

    /// Takes the response to a thread that has not parked; gives it back for one that has to be woken.
    /// Called under the engine's lock.
    pub(crate) fn give(&self, response: Response) -> Option<Response> {
        let mut inner = self.inner();
        if inner.parked {
            return Some(response);
        }
        inner.response = Some(response);
        None
    }

    /// The response, if it came before this thread parked. Called under the engine's lock.
    pub(crate) fn look(&self) -> Option<Response> {
        self.inner().response.take()
    }

    /// From now on the response comes with a wake-up. Called under the engine's lock.
    pub(crate) fn will_park(&self) {
        self.inner().parked = true;
    }

    /// Gives a parked thread its response, and others whom it has to wake.
    fn wake(&self, response: Response, wakes: Vec<(Arc<Seat>, Response)>) {
        {
            let mut inner = self.inner();
            inner.response = Some(response);
            inner.wakes = wakes;
        }
        self.thread.unpark();
    }

    /// Sleeps until the response is there, wakes those whom this thread was given to wake, and answers.
    pub(crate) fn park(&self) -> Response {
        loop {
            {
                let mut inner = self.inner();
                if let Some(response) = inner.response.take() {
                    let wakes = std::mem::take(&mut inner.wakes);
                    drop(inner);
                    wake(wakes);
                    return response;
                }
            }
            park();
        }
    }
}

/// Wakes one parked thread, which wakes all the others: a wake-up is a system call, and the thread that
/// calls this has better things to do.
pub(crate) fn wake_through_one(mut seats: Vec<(Arc<Seat>, Response)>) {
    if let Some((seat, response)) = seats.pop() {
        seat.wake(response, seats);
    }
}

/// Wakes parked threads as a tree: each one wakes half of those that were left when its turn came.
fn wake(mut seats: Vec<(Arc<Seat>, Response)>) {
    while let Some((seat, response)) = seats.pop() {
        let half = seats.split_off(seats.len() / 2);
        seat.wake(response, half);
    }
}
