//! Where a thread waits to be called.
//!
//! A call is kept until somebody has come for it, so none is lost, whether the thread that is meant sleeps,
//! is about to, or is at work. Holds no lock of others while it waits.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, wait_timeout, whole};

/// See the module.
pub(super) struct Doorbell {
    calls: Mutex<Calls>,
    called: Condvar,
}

struct Calls {
    waiting: usize,
    /// Nobody needs to wait here any more.
    open: bool,
}

impl Doorbell {
    pub(super) fn new() -> Doorbell {
        Doorbell { calls: Mutex::new(Calls { waiting: 0, open: false }), called: Condvar::new() }
    }

    /// Calls as many threads.
    pub(super) fn ring(&self, times: usize) {
        whole(self.calls.lock()).waiting += times;
        for _ in 0..times {
            self.called.notify_one();
        }
    }

    /// From now on a thread that waits here is called at once.
    pub(super) fn open(&self) {
        whole(self.calls.lock()).open = true;
        self.called.notify_all();
    }

    /// Sleeps until there is a call.
    pub(super) fn wait(&self) {
        let mut calls = whole(self.calls.lock());
        while calls.waiting == 0 && !calls.open {
            calls = whole(self.called.wait(calls));
        }
        calls.waiting = calls.waiting.saturating_sub(1);
    }

    /// Sleeps until there is a call, or `duration` has passed.
    pub(super) fn wait_for(&self, duration: Duration) {
        let mut calls = whole(self.calls.lock());
        if calls.waiting == 0 && !calls.open {
            calls = wait_timeout(&self.called, calls, duration);
        }
        calls.waiting = calls.waiting.saturating_sub(1);
    }
}
