//! Being inside the engine's lock, and leaving it properly.
//!
//! Leaving decides, still under the lock, who has to be called, and calls them after releasing it. A
//! panic inside (a bug of ours) fails everyone who waits, so that nobody sleeps for ever.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, LockResult, MutexGuard, PoisonError};
use std::time::Duration;

use docdb_engine::{Input, Instant};
use docdb_protocol::{Error, ErrorCode};

use super::{Core, Phase, State, failed};
use crate::desk::Outbox;
use crate::file_disk::{Finished, Worker};

/// The value of a lock, poisoned or not: a panic in the engine is noted in [`Phase::Failed`], which
/// everyone looks at; no other value is ever half changed.
pub(super) fn whole<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// The engine's lock, held.
pub(super) struct Entered<'core> {
    core: &'core Core,
    /// Empty only while this thread waits or leaves.
    guard: Option<MutexGuard<'core, State>>,
    panicking_before: bool,
}

/// What to do after the lock was released.
struct Errands {
    outbox: Outbox,
    lanes: usize,
    timer: bool,
    over: bool,
}

impl<'core> Entered<'core> {
    pub(super) fn new(core: &'core Core) -> Entered<'core> {
        let guard = Some(whole(core.state.lock()));
        Entered { core, guard, panicking_before: std::thread::panicking() }
    }

    /// Lets the engine begin.
    pub(super) fn begin(&mut self) {
        let state = &mut **self;
        state.driver.drain(&mut state.desk);
        while state.driver.deliver(&mut state.desk) {}
    }

    /// Why no request is taken any more, if so.
    pub(super) fn refusal(&self) -> Option<Error> {
        match self.phase {
            Phase::Running => None,
            Phase::Stopping => Some(Error::new(ErrorCode::PoolStopped)),
            Phase::Failed => Some(failed()),
        }
    }

    /// Takes a carried-out task back and lets the engine go on.
    pub(super) fn finish(&mut self, finished: Finished) {
        let state = &mut **self;
        state.driver.disk.finish(finished);
        if state.phase != Phase::Failed {
            while state.driver.deliver(&mut state.desk) {}
        }
    }

    /// The time, if the engine's wish for a timer is due; its wish is then fulfilled.
    pub(super) fn timer_is_due(&mut self) -> bool {
        if self.phase == Phase::Failed || self.desk.stopped {
            // Nothing follows; an old wish must not keep the timer awake.
            self.desk.wake_at = None;
        }
        let now = docdb_engine::Clock::monotonic(&self.driver.clock);
        let due = self.desk.wake_at.is_some_and(|time| time <= now);
        if due {
            self.desk.wake_at = None;
            self.handle(Input::Timer);
        }
        due
    }

    /// How long until the engine wants its timer; `None` while it wants none.
    pub(super) fn until_timer(&mut self) -> Option<Duration> {
        let now = docdb_engine::Clock::monotonic(&self.driver.clock);
        self.timer_sleeps_until = self.desk.wake_at.unwrap_or(Instant(u64::MAX));
        self.desk.wake_at.map(|time| Duration::from_nanos(time.0.saturating_sub(now.0)))
    }

    /// Releases the lock until `condvar` is notified.
    pub(super) fn wait(&mut self, condvar: &Condvar) {
        let guard = self.guard.take().expect("the lock is held");
        self.guard = Some(whole(condvar.wait(guard)));
    }

    /// As [`Entered::wait`], but not for longer than `duration`.
    pub(super) fn wait_timeout(&mut self, condvar: &Condvar, duration: Duration) {
        let guard = self.guard.take().expect("the lock is held");
        self.guard = Some(whole(condvar.wait_timeout(guard, duration)).0);
    }

    /// Releases the lock, then wakes, calls and tells everyone concerned.
    pub(super) fn leave(mut self) {
        let core = self.core;
        let errands = self.errands();
        drop(self);
        for _ in 0..errands.lanes {
            core.lanes.notify_one();
        }
        if errands.timer {
            core.timer.notify_one();
        }
        if errands.over {
            core.lanes.notify_all();
            core.timer.notify_all();
            core.over.notify_all();
        }
        errands.outbox.deliver(core.on_alert.as_ref());
    }

    fn errands(&mut self) -> Errands {
        let state = &mut **self;
        let idle = state.lanes_idle.saturating_sub(state.lanes_called);
        let unattended = state.driver.disk.ready(Worker::Lane).saturating_sub(state.lanes_called);
        let lanes = if state.phase == Phase::Failed { 0 } else { idle.min(unattended) };
        state.lanes_called += lanes;
        // The timer is told of an earlier time only: waking up too early costs it nothing but a look.
        let timer = state.desk.wake_at.is_some_and(|time| time < state.timer_sleeps_until);
        if timer {
            state.timer_sleeps_until = Instant(0);
        }
        Errands { outbox: std::mem::take(&mut state.desk.outbox), lanes, timer, over: state.is_over() }
    }
}

impl Deref for Entered<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        self.guard.as_ref().expect("the lock is held")
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.guard.as_mut().expect("the lock is held")
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.panicking_before || !std::thread::panicking() {
            return;
        }
        // The engine's state is unknown. Those who wait are told by a lane; all others at their next call.
        if let Some(state) = self.guard.as_deref_mut() {
            state.phase = Phase::Failed;
            state.desk.refuse_all(&failed());
        }
        self.core.lanes.notify_all();
        self.core.timer.notify_all();
        self.core.over.notify_all();
    }
}
