//! Where the engine's answers arrive: who waits for what, and who is to be woken once the lock is free.
//!
//! Owns the waiting requests, the wake-up time, and the messages. Everything here happens under the
//! engine's lock; nobody is woken and no foreign code is called from here. The thread that releases the lock takes
//! the [`Outbox`] and empties it with [`Outbox::deliver`]; the messages wait for the messenger.

use std::sync::Arc;

use docdb_engine::{Alert, Instant, Outside, RequestId, View};
use docdb_protocol::{DatabaseId, Error, ErrorCode, Response};

use crate::messages::{self, MESSAGES_WAITING_MAX, Message, Then};
use crate::options::AlertHook;
use crate::seat::Seat;
use crate::views::Views;

/// Who waits for a response.
pub(crate) enum Waiter {
    /// A thread that called.
    Caller(Arc<Seat>),
    /// The function that an application submitted with its request.
    Then(Then),
}

/// What is to be done once the lock is free, by the thread that frees it.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Those whose response is in their seat.
    wakes: Vec<Arc<Seat>>,
    /// Refusals of what was submitted at the very end, when the messenger has gone.
    pub(crate) refused: Vec<Message>,
    /// Views that were replaced: the last share of one may take a while to be freed.
    replaced: Vec<Arc<View>>,
}

impl Outbox {
    /// How many threads wait for what is in it.
    pub(crate) fn awaited(&self) -> usize {
        self.wakes.len()
    }

    /// Wakes everyone concerned. Call it without the lock.
    pub(crate) fn deliver(self, on_alert: Option<&AlertHook>) {
        for seat in self.wakes {
            seat.wake();
        }
        if !self.refused.is_empty() {
            messages::deliver(self.refused, on_alert);
        }
    }
}

/// The engine's outside.
pub(crate) struct Desk {
    /// By request; a request's number is used again once it is answered.
    waiting: Vec<Option<Waiter>>,
    /// Numbers that nobody has.
    free: Vec<usize>,
    pub(crate) wake_at: Option<Instant>,
    pub(crate) stopped: bool,
    pub(crate) outbox: Outbox,
    /// For the messenger.
    pub(crate) messages: Vec<Message>,
    /// Whether anybody wants to hear alerts.
    hears_alerts: bool,
    views: Arc<Views>,
    /// What the engine knows of the memory that readers keep.
    pinned_bytes: u64,
}

impl Desk {
    pub(crate) fn new(views: Arc<Views>, hears_alerts: bool) -> Desk {
        Desk {
            waiting: Vec::new(),
            free: Vec::new(),
            wake_at: None,
            stopped: false,
            outbox: Outbox::default(),
            messages: Vec::new(),
            hears_alerts,
            views,
            pinned_bytes: 0,
        }
    }

    /// The bytes that readers alone keep in memory, if the engine knows another figure.
    pub(crate) fn pinned_bytes_changed(&mut self) -> Option<u64> {
        let before = std::mem::replace(&mut self.pinned_bytes, self.views.pinned_bytes());
        (before != self.pinned_bytes).then_some(self.pinned_bytes)
    }

    /// Notes who waits for the response to the request that gets this id.
    pub(crate) fn expect(&mut self, waiter: Waiter) -> RequestId {
        let number = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() - 1
        });
        self.waiting[number] = Some(waiter);
        RequestId(number as u64)
    }

    /// Answers everyone who waits, when the engine can no longer do it.
    pub(crate) fn refuse_all(&mut self, error: &Error) {
        for number in 0..self.waiting.len() {
            if let Some(waiter) = self.waiting[number].take() {
                self.free.push(number);
                self.answer(waiter, Err(error.clone()));
            }
        }
    }

    /// Answers somebody.
    pub(crate) fn answer(&mut self, waiter: Waiter, response: Response) {
        match waiter {
            Waiter::Caller(seat) => {
                if seat.give(response) {
                    self.outbox.wakes.push(seat);
                }
            }
            Waiter::Then(then) => self.messages.push(Message::Answer(then, response)),
        }
    }
}

impl Outside for Desk {
    fn respond(&mut self, request: RequestId, response: Response) {
        let number = usize::try_from(request.0).expect("a request's number is an index of this list");
        let waiter = self.waiting[number].take().expect("the engine answers each request exactly once");
        self.free.push(number);
        self.answer(waiter, response);
    }

    fn publish(&mut self, database: DatabaseId, view: Option<View>) {
        self.outbox.replaced.extend(self.views.publish(database, view.as_ref()));
    }

    fn wake_at(&mut self, time: Instant) {
        self.wake_at = Some(time);
    }

    fn alert(&mut self, alert: Alert) {
        if self.hears_alerts && self.messages.len() < MESSAGES_WAITING_MAX {
            self.messages.push(Message::Alert(alert));
        }
    }

    fn stopped(&mut self) {
        self.stopped = true;
        // The engine has answered everybody by now; a caller that it forgot must not sleep for ever.
        self.refuse_all(&Error::new(ErrorCode::PoolStopped));
    }
}
