//! Where the engine's answers arrive: who waits for what, and who is to be told once the lock is free.
//!
//! Owns the waiting requests, the wake-up time, and the outbox. Everything here happens under the
//! engine's lock; nobody is woken and no foreign code is called from here. What is put into the
//! [`Outbox`] is delivered by [`Outbox::deliver`], without the lock.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

use docdb_engine::{Alert, Instant, Outside, RequestId, View};
use docdb_protocol::{DatabaseId, Error, ErrorCode, Response};

use crate::options::AlertHook;
use crate::views::Views;

/// Called with the response, without any lock.
pub(crate) type Then = Box<dyn FnOnce(Response) + Send>;

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

impl Seat {
    pub(crate) fn new() -> Arc<Seat> {
        Arc::new(Seat { thread: std::thread::current(), inner: Mutex::default() })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, SeatInner> {
        // Nothing can panic while it is held, so what a poisoned one holds is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The response, if it came before this thread parked. Called under the engine's lock.
    pub(crate) fn take(&self) -> Option<Response> {
        self.inner().response.take()
    }

    /// From now on the response is put into the outbox. Called under the engine's lock.
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
            std::thread::park();
        }
    }
}

/// Wakes one parked thread, which wakes all the others: a wake-up is a system call, and the thread that
/// calls this has the next disk operation in its hands.
fn wake_through_one(mut seats: Vec<(Arc<Seat>, Response)>) {
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

/// Who waits for a response.
pub(crate) enum Waiter {
    /// A thread that called.
    Caller(Arc<Seat>),
    /// Whoever gave this function.
    Then(Then),
}

/// What is to be done once the lock is free.
#[derive(Default)]
pub(crate) struct Outbox {
    wakes: Vec<(Arc<Seat>, Response)>,
    calls: Vec<(Then, Response)>,
    alerts: Vec<Alert>,
    /// Views that were replaced: the last share of one may take a while to be freed.
    replaced: Vec<Arc<View>>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.calls.is_empty() && self.alerts.is_empty() && self.replaced.is_empty()
    }

    /// Wakes and calls everyone concerned. Call it without the lock.
    pub(crate) fn deliver(self, on_alert: Option<&AlertHook>) {
        wake_through_one(self.wakes);
        for (then, response) in self.calls {
            // Foreign code may panic; the thread it runs on serves others too. The panic hook has told it.
            let _ = catch_unwind(AssertUnwindSafe(move || then(response)));
        }
        for alert in self.alerts {
            if let Some(hook) = on_alert {
                let _ = catch_unwind(AssertUnwindSafe(|| hook(&alert)));
            }
        }
    }
}

/// The engine's outside.
pub(crate) struct Desk {
    waiting: HashMap<RequestId, Waiter>,
    requests: u64,
    pub(crate) wake_at: Option<Instant>,
    pub(crate) stopped: bool,
    pub(crate) outbox: Outbox,
    views: Arc<Views>,
}

impl Desk {
    pub(crate) fn new(views: Arc<Views>) -> Desk {
        Desk { waiting: HashMap::new(), requests: 0, wake_at: None, stopped: false, outbox: Outbox::default(), views }
    }

    /// Notes who waits for the response to the request that gets this id.
    pub(crate) fn expect(&mut self, waiter: Waiter) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.waiting.insert(id, waiter);
        id
    }

    /// Answers everyone who waits, when the engine can no longer do it.
    pub(crate) fn refuse_all(&mut self, error: &Error) {
        for (_, waiter) in std::mem::take(&mut self.waiting) {
            self.answer(waiter, Err(error.clone()));
        }
    }

    fn answer(&mut self, waiter: Waiter, response: Response) {
        match waiter {
            Waiter::Caller(seat) => {
                let mut inner = seat.inner();
                if inner.parked {
                    drop(inner);
                    self.outbox.wakes.push((seat, response));
                } else {
                    inner.response = Some(response);
                }
            }
            Waiter::Then(then) => self.outbox.calls.push((then, response)),
        }
    }
}

impl Outside for Desk {
    fn respond(&mut self, request: RequestId, response: Response) {
        let waiter = self.waiting.remove(&request).expect("the engine answers each request exactly once");
        self.answer(waiter, response);
    }

    fn publish(&mut self, database: DatabaseId, view: Option<View>) {
        self.outbox.replaced.extend(self.views.publish(database, view));
    }

    fn wake_at(&mut self, time: Instant) {
        self.wake_at = Some(time);
    }

    fn alert(&mut self, alert: Alert) {
        self.outbox.alerts.push(alert);
    }

    fn stopped(&mut self) {
        self.stopped = true;
        // The engine has answered everybody by now; whoever it forgot must not sleep for ever.
        self.refuse_all(&Error::new(ErrorCode::PoolStopped));
    }
}
