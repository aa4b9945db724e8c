//! What foreign code is called with: answers to those who gave a function, and alerts.
//!
//! Foreign code may take its time, panic, ask again, or drop the last handle. So it is called without the
//! engine's lock, and only by a thread that holds no operation of the disk and that nobody waits for: the
//! messenger (see `core/threads.rs`), or the thread that called [`crate::DocDb::submit`], where the answer is there at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use docdb_engine::Alert;
use docdb_protocol::Response;

use crate::options::AlertHook;
use crate::sync::thread_local;

/// Called with the response, without any lock.
pub(crate) type Then = Box<dyn FnOnce(Response) + Send>;

/// As many may wait for the messenger: beyond, submitting is refused, and alerts are left out.
pub(crate) const MESSAGES_WAITING_MAX: usize = 65_536;

/// One call of foreign code.
pub(crate) enum Message {
    /// The answer to a request that was submitted.
    Answer(Then, Response),
    /// Something for the operator.
    Alert(Alert),
}

/// Messages in their order, alerts with the hook that hears them.
type Queue = VecDeque<(Message, Option<AlertHook>)>;

thread_local! {
    /// What this thread has still to deliver, while it delivers.
    static DELIVERING: RefCell<Option<Queue>> = const { RefCell::new(None) };
}

/// Calls everyone concerned. What foreign code gets answered at once while it is being called comes behind
/// the rest, when it has returned: asking again from within an answer never nests.
pub(crate) fn deliver(messages: Vec<Message>, on_alert: Option<&AlertHook>) {
    let messages = messages.into_iter().map(|message| (message, on_alert.cloned()));
    let is_nested = DELIVERING.with(|delivering| {
        let mut delivering = delivering.borrow_mut();
        let is_nested = delivering.is_some();
        delivering.get_or_insert_default().extend(messages);
        is_nested
    });
    if is_nested {
        return;
    }
    let next = || {
        DELIVERING.with(|delivering| {
            let mut delivering = delivering.borrow_mut();
            let next = delivering.as_mut().and_then(VecDeque::pop_front);
            if next.is_none() {
                *delivering = None;
            }
            next
        })
    };
    while let Some((message, on_alert)) = next() {
        // Foreign code may panic; the thread it runs on serves others too. The panic hook has reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| match (message, on_alert) {
            (Message::Answer(then, response), _) => then(response),
            (Message::Alert(alert), Some(hook)) => hook(&alert.into()),
            (Message::Alert(_), None) => {}
        }));
    }
}
