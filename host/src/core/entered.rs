//! Being inside the engine's lock, and leaving it properly.
//!
//! The lock is released in one way alone: by dropping an [`Entered`]. That asks [`State::errands`] first,
//! under the lock, calls the threads that have work right after, and carries in what came to the inbox
//! meanwhile. A thread that is to sleep is noted as sleeping before, so nobody sleeps with an errand undone,
//! and code that changes the state need not think of whom to wake.
//!
//! A thread takes an operation of the disk only when it has nobody to wake; waking goes first.
//! A panic inside (a bug) fails everyone who waits, so that nobody sleeps for ever.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use docdb_engine::{Clock, Input, Instant};
use docdb_protocol::{Error, ErrorCode, Request};

use super::{Core, LANES, Phase, State, failed};
use crate::desk::{Outbox, Waiter};
use crate::file_disk::{Task, Worker};
use crate::messages::{self, MESSAGES_WAITING_MAX, Message};
use crate::planted::planted;
use crate::sync::{EMPTYINGS_MAX, MutexGuard, TryLockError, WOKEN_BEFORE_MAX, whole};

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

/// What a thread does after it has released the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// Something of its own, or it sleeps.
    Away,
    /// It does the errands, and comes back at once to work.
    Back(Worker),
    /// It carries an operation of the disk out.
    ToWork,
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
    /// A thread that closes the directory, until all is over.
    Closer,
}

/// What a thread that can carry operations out does now.
pub(super) enum Next {
    /// This operation; nobody has to be called before.
    Task(Task),
    /// Others wait to be called: release the lock first.
    Errands,
    /// Nothing.
    Rest,
}

impl<'core> Entered<'core> {
    pub(super) fn new(core: &'core Core) -> Entered<'core> {
        Entered::with(core, whole(core.state.lock()))
    }

    /// As [`Entered::new`], unless another thread is inside.
    pub(super) fn at_once(core: &'core Core) -> Option<Entered<'core>> {
        let guard = match core.state.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Entered::with(core, guard))
    }

    fn with(core: &'core Core, guard: MutexGuard<'core, State>) -> Entered<'core> {
        let mut entered = Entered { core, guard: Some(guard), panicking_before: std::thread::panicking() };
        entered.empty_inbox();
        entered
    }

    /// Carries in what came while another thread was inside.
    fn empty_inbox(&mut self) {
        let core = self.core;
        core.inbox.take(&mut self.taken);
        // The first one comes last, to be popped first.
        self.taken.reverse();
        while let Some((request, waiter)) = self.taken.pop() {
            self.ask(request, waiter);
        }
    }

    /// Asks the engine, or refuses.
    pub(super) fn ask(&mut self, request: Request, waiter: Waiter) {
        let is_crowded = self.desk.messages.len() >= MESSAGES_WAITING_MAX;
        let refusal = match (self.phase, &waiter) {
            (Phase::Running, Waiter::Then(_)) if is_crowded => Error::new(ErrorCode::QueueFull),
            (Phase::Running, Waiter::Then(_) | Waiter::Caller(_)) => {
                let id = self.desk.expect(waiter);
                return self.handle(Input::Request { id, request });
            }
            (Phase::Stopping, _) => Error::new(ErrorCode::PoolStopped),
            (Phase::Failed, _) => failed(),
        };
        self.refuse(waiter, refusal);
    }

    /// Releases the lock, and calls everyone concerned.
    fn release(&self, mut state: MutexGuard<'core, State>, leaving: Leaving) {
        let errands = state.errands(leaving);
        drop(state);
        errands.carry_out(self.core);
    }

    /// Looks, without the lock, for requests in the inbox, whose callers had found the lock taken, and carries them in. Where
    /// the lock is taken again, the thread that has it does this when it leaves.
    fn look_into_inbox(core: &Core, leaving: Leaving) {
        for _ in 0..EMPTYINGS_MAX {
            if core.inbox.is_empty() || planted!(InboxForgotten) {
                return;
            }
            let Some(mut entered) = Entered::at_once(core) else { return };
            let Some(state) = entered.guard.take() else { return };
            entered.release(state, leaving);
        }
        // This thread has something else to do, too.
        core.lanes.ring(1);
    }

    /// Lets the engine begin.
    pub(super) fn begin(&mut self) {
        let state = &mut **self;
        state.driver.drain(&mut state.desk);
        while state.driver.deliver(&mut state.desk) {}
    }

    /// What this thread does next.
    pub(super) fn next(&mut self, worker: Worker) -> Next {
        let state = &mut **self;
        let tells = state.desk.outbox.awaited() > 0 || state.calls_messenger() || state.calls_timer();
        if tells && !state.hands_over() {
            return Next::Errands;
        }
        // A failed engine gives out no more work, but what others took still has to come back.
        let task = if state.phase == Phase::Failed { None } else { state.driver.disk.take(worker) };
        match task {
            Some(task) => Next::Task(task),
            None if tells => Next::Errands,
            None => Next::Rest,
        }
    }

    /// Carries an operation out, without the lock, and lets the engine go on.
    pub(super) fn carry_out(mut self, task: Task) -> Entered<'core> {
        let core = self.core;
        if planted!(TaskHeldDuringCallbacks) {
            let mut entered = self;
            let taken = std::mem::take(&mut entered.desk.messages);
            drop(entered);
            messages::deliver(taken, core.on_alert.as_ref());
        } else if let Some(state) = self.guard.take() {
            self.release(state, Leaving::ToWork);
        }
        // A caller that found the lock taken must not wait until the operation is done. A bug may panic in its request, and
        // the operation has to come back all the same.
        let looked = if planted!(InboxLeftForWork) {
            Ok(())
        } else {
            catch_unwind(AssertUnwindSafe(|| Entered::look_into_inbox(core, Leaving::ToWork)))
        };
        let finished = task.run();
        let mut entered = core.enter();
        let state = &mut *entered;
        state.driver.disk.finish(finished);
        if state.phase != Phase::Failed {
            while state.driver.deliver(&mut state.desk) {}
        }
        looked.unwrap_or_else(|panic| resume_unwind(panic));
        entered
    }

    /// Does the errands, and comes back.
    pub(super) fn again(mut self, worker: Worker) -> Entered<'core> {
        let core = self.core;
        if let Some(state) = self.guard.take() {
            self.release(state, Leaving::Back(worker));
        }
        core.enter()
    }

    /// Does the errands, and sleeps until this place is called. Look again afterwards.
    pub(super) fn rest(mut self, place: Place) -> Entered<'core> {
        let core = self.core;
        if planted!(RestWithErrandsUndone) {
            drop(self.errands(Leaving::Away));
        }
        match place {
            Place::Lane => {
                self.lanes_idle += 1;
                debug_assert!(self.lanes_idle <= LANES, "each lane sleeps once");
                drop(self);
                core.lanes.wait();
                let mut entered = core.enter();
                let state = &mut *entered;
                if state.lanes_called > 0 {
                    state.lanes_called -= usize::from(!planted!(CalledLaneStaysCalled));
                } else {
                    // Called without the lock, on account of the inbox or of the end, it was never noted as called.
                    state.lanes_idle = state.lanes_idle.saturating_sub(1);
                }
                entered
            }
            Place::Timer => {
                let now = self.driver.clock.monotonic();
                let until = self.desk.wake_at.unwrap_or(Instant(u64::MAX));
                self.timer_sleeps_until = until;
                drop(self);
                core.timer.wait_for(Duration::from_nanos(until.0.saturating_sub(now.0)));
                core.enter()
            }
            Place::Messenger => {
                self.messenger_sleeps = true;
                drop(self);
                core.messenger.wait();
                core.enter()
            }
            Place::Closer => {
                drop(self);
                core.over.wait();
                core.enter()
            }
        }
    }
}

impl State {
    /// Answers somebody with an error that is not the engine's.
    fn refuse(&mut self, waiter: Waiter, refusal: Error) {
        match waiter {
            Waiter::Then(then) if self.messenger_is_gone => {
                self.desk.outbox.refused.push(Message::Answer(then, Err(refusal)));
            }
            Waiter::Then(_) | Waiter::Caller(_) => self.desk.answer(waiter, Err(refusal)),
        }
    }

    /// Whether the messenger sleeps although there is a message.
    fn calls_messenger(&self) -> bool {
        self.messenger_sleeps && !self.desk.messages.is_empty()
    }

    /// Whether the timer sleeps for longer than the engine wants.
    fn calls_timer(&self) -> bool {
        self.desk.wake_at.is_some_and(|time| time < self.timer_sleeps_until)
    }

    /// Whether a thread that goes to work leaves those it would have to wake to a lane: the disk is not to wait for them.
    fn hands_over(&self) -> bool {
        let is_long = self.desk.outbox.awaited() > WOKEN_BEFORE_MAX;
        is_long && self.lanes_idle + self.lanes_called > 0 && self.phase != Phase::Failed
    }

    /// Which threads to call. They are noted as called, so the thread that asks has to call them.
    fn errands(&mut self, leaving: Leaving) -> Errands {
        let hands_over = leaving == Leaving::ToWork && self.hands_over();
        let takes_one = match leaving {
            Leaving::Back(worker) => !self.hands_over() && self.driver.disk.ready(worker) > 0,
            Leaving::Away => planted!(LeavesForGood),
            Leaving::ToWork => false,
        };
        let attended = self.lanes_called + usize::from(takes_one);
        let wanted = self.driver.disk.ready(Worker::Lane) + usize::from(hands_over);
        let unattended = wanted.saturating_sub(attended);
        let lanes = if self.phase == Phase::Failed { 0 } else { self.lanes_idle.min(unattended) };
        self.lanes_idle -= lanes;
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
        let over = self.is_over() && !std::mem::replace(&mut self.over_is_told, true);
        let outbox = if hands_over { Outbox::default() } else { std::mem::take(&mut self.desk.outbox) };
        Errands { lanes, timer, messenger, over, outbox }
    }
}

impl Errands {
    /// Calls everyone. The disk's next operation comes first, callers that wait for an answer last.
    fn carry_out(self, core: &Core) {
        if self.lanes > 0 && !planted!(LaneNotCalled) {
            core.lanes.ring(self.lanes);
        }
        if self.messenger && !planted!(MessengerNotCalled) {
            core.messenger.ring(1);
        }
        if self.timer && !planted!(WishNotPassedOn) {
            core.timer.ring(1);
        }
        if self.over {
            core.lanes.open();
            core.timer.open();
            core.messenger.open();
            if !planted!(CloserNotCalled) {
                core.over.open();
            }
        }
        self.outbox.deliver(core.on_alert.as_ref());
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
            while let Some((_, waiter)) = state.taken.pop() {
                state.refuse(waiter, failed());
            }
        }
        self.release(state, Leaving::Away);
        Entered::look_into_inbox(self.core, Leaving::Away);
    }
}
