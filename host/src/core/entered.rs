//! Being inside the engine's lock, and leaving it properly.
//!
//! The lock is released in two ways alone: by dropping an [`Entered`], and by [`Entered::rest`]. Both ask
//! [`State::errands`] first, under the lock: whoever has to be called is called right after a release, and
//! nobody sleeps with an errand undone. So a change of the state needs no thought of whom to tell.
//!
//! A thread takes an operation of the disk only when it has nobody to tell; while it has, it goes first.
//! A panic inside (a bug of ours) fails everyone who waits, so that nobody sleeps for ever.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use docdb_engine::{Clock, Instant};
use docdb_protocol::{Error, ErrorCode};

use super::{Core, Phase, State, failed};
use crate::desk::Outbox;
use crate::file_disk::{Task, Worker};
use crate::messages;
use crate::planted::planted;
use crate::sync::{MutexGuard, wait_timeout, whole};
/// The engine's lock, held. Dropping it does the errands that have come up.
pub(crate) struct Entered<'core> {
    core: &'core Core,
    /// Empty only while this thread waits or leaves.
    guard: Option<MutexGuard<'core, State>>,
    panicking_before: bool,
}

/// Whom to call after the lock was released.
struct Errands {
    lanes: usize,
    timer: bool,
    messenger: bool,
    over: bool,
    outbox: Outbox,
}

/// Where a thread rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A lane, until there is an operation.
    Lane,
    /// The timer, until the engine's time has come or there is an earlier one.
    Timer,
    /// The messenger, until there is a message.
    Messenger,
    /// Whoever closes, until all is over.
    Closer,
}

/// What a thread that can carry operations out does now.
pub(super) enum Next {
    /// This operation; nobody has to be told before.
    Task(Task),
    /// Others wait to be told: release the lock first.
    Errands,
    /// Nothing.
    Rest,
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

    /// What this thread does next.
    pub(super) fn next(&mut self, worker: Worker) -> Next {
        let state = &mut **self;
        let tells = state.desk.outbox.is_awaited() || state.calls_messenger() || state.calls_timer();
        if tells && !planted!(TaskTakenWithWakesUndone) {
            return Next::Errands;
        }
        // A failed engine gives out no more work, but what others took still has to come back.
        let task = if state.phase == Phase::Failed { None } else { state.driver.disk.take(worker) };
        task.map_or(Next::Rest, Next::Task)
    }

    /// Carries an operation out, without the lock, and lets the engine go on.
    pub(super) fn carry_out(self, task: Task) -> Entered<'core> {
        let core = self.core;
        if planted!(TaskHeldDuringCallbacks) {
            let mut entered = self;
            let taken = std::mem::take(&mut entered.desk.messages);
            drop(entered);
            messages::deliver(taken, core.on_alert.as_ref());
        } else {
            drop(self);
        }
        let finished = task.run();
        let mut entered = core.enter();
        let state = &mut *entered;
        state.driver.disk.finish(finished);
        if state.phase != Phase::Failed {
            while state.driver.deliver(&mut state.desk) {}
        }
        entered
    }

    /// Does the errands, and comes back.
    pub(super) fn again(self) -> Entered<'core> {
        let core = self.core;
        drop(self);
        core.enter()
    }

    /// Does the errands, if there are any; else sleeps until this place is called. Look again afterwards.
    pub(super) fn rest(mut self, place: Place) -> Entered<'core> {
        let core = self.core;
        let errands = self.errands();
        if errands.any() && !planted!(RestWithErrandsUndone) {
            drop(self.guard.take());
            errands.carry_out(core);
            return core.enter();
        }
        let mut guard = self.guard.take().expect("the lock is held");
        let guard = match place {
            Place::Lane => {
                guard.lanes_idle += 1;
                guard = whole(core.lanes.wait(guard));
                guard.lanes_idle -= 1;
                guard.lanes_called = guard.lanes_called.saturating_sub(1);
                guard
            }
            Place::Timer => {
                guard.timer_sleeps_until = guard.desk.wake_at.unwrap_or(Instant(u64::MAX));
                match guard.desk.wake_at {
                    Some(time) => {
                        let now = guard.driver.clock.monotonic();
                        wait_timeout(&core.timer, guard, Duration::from_nanos(time.0.saturating_sub(now.0)))
                    }
                    None => whole(core.timer.wait(guard)),
                }
            }
            Place::Messenger => {
                guard.messenger_sleeps = true;
                guard = whole(core.messenger.wait(guard));
                guard.messenger_sleeps = false;
                guard
            }
            Place::Closer => whole(core.over.wait(guard)),
        };
        self.guard = Some(guard);
        self
    }
}

impl State {
    /// Whether the messenger sleeps although there is a message.
    fn calls_messenger(&self) -> bool {
        self.messenger_sleeps && !self.desk.messages.is_empty()
    }

    /// Whether the timer sleeps for longer than the engine wants.
    fn calls_timer(&self) -> bool {
        self.desk.wake_at.is_some_and(|time| time < self.timer_sleeps_until)
    }

    /// Whom to call. Whoever asks calls them: they are noted as called.
    fn errands(&mut self) -> Errands {
        let idle = self.lanes_idle.saturating_sub(self.lanes_called);
        let unattended = self.driver.disk.ready(Worker::Lane).saturating_sub(self.lanes_called);
        let lanes = if self.phase == Phase::Failed { 0 } else { idle.min(unattended) };
        self.lanes_called += lanes;
        let timer = self.calls_timer();
        if timer {
            // It looks at the time before it sleeps again.
            self.timer_sleeps_until = Instant(0);
        }
        let messenger = self.calls_messenger();
        if messenger {
            self.messenger_sleeps = false;
        }
        Errands { lanes, timer, messenger, over: self.is_over(), outbox: std::mem::take(&mut self.desk.outbox) }
    }
}

impl Errands {
    fn any(&self) -> bool {
        self.lanes > 0 || self.timer || self.messenger || self.over || self.outbox.is_awaited()
    }

    /// Calls everyone. The disk's next operation comes first, whoever waits for an answer last.
    fn carry_out(self, core: &Core) {
        if !planted!(LaneNotCalled) {
            for _ in 0..self.lanes {
                core.lanes.notify_one();
            }
        }
        if self.messenger && !planted!(MessengerNotCalled) {
            core.messenger.notify_one();
        }
        if self.timer && !planted!(WishNotPassedOn) {
            core.timer.notify_one();
        }
        if self.over {
            core.lanes.notify_all();
            core.timer.notify_all();
            core.messenger.notify_all();
            if !planted!(CloserNotCalled) {
                core.over.notify_all();
            }
        }
        self.outbox.deliver();
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
        let Some(mut state) = self.guard.take() else { return };
        if std::thread::panicking() && !self.panicking_before {
            // The engine's state is unknown. All others hear of it at their next call.
            state.phase = Phase::Failed;
            state.desk.refuse_all(&failed());
        }
        let errands = state.errands();
        drop(state);
        errands.carry_out(self.core);
    }
}
