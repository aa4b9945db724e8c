//! The engine behind its lock, and the threads that work for it.
//!
//! Owns the one mutex around the driver, the lanes and the timer. Nobody performs IO, sleeps for a
//! device, wakes a thread or calls foreign code while holding it.
//!
//! A caller carries out what its request leads to itself, as long as operations are queued that
//! nobody has taken: a single writer appends, syncs and returns without one change of thread. A caller
//! that finds its operation in other hands parks. Whoever leaves while work is queued calls a lane, and
//! a lane goes on for as long as it finds work: under load one hot lane drives the disk, and answers
//! are handed out while the next batch is on its way.
//!
//! The invariant that keeps everything moving: when the lock is released and an operation could be
//! taken, then either the thread that releases it takes one before it sleeps, or a lane was called, or
//! every lane is at work and will look again.

mod entered;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{JoinHandle, ThreadId};

use docdb_engine::{Driver, Engine, Input, Instant, View};
use docdb_protocol::{DatabaseId, Error, ErrorCode, Request, Response};

use crate::desk::{Desk, Seat, Then, Waiter};
use crate::file_disk::{FileDisk, Worker};
use crate::lock::DirectoryLock;
use crate::options::{AlertHook, Options};
use crate::system_clock::SystemClock;
use crate::views::{ViewCell, Views};
use entered::Entered;

/// One for a long operation, one for the log, one to spare.
const LANES: usize = 3;

/// Where the life of an opened directory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes requests.
    Running,
    /// Was told to shut down; takes none, finishes what is there.
    Stopping,
    /// The engine panicked, which is a bug of ours: nothing of it is trusted any more.
    Failed,
}

/// What the lock protects.
struct State {
    driver: Driver<FileDisk, SystemClock>,
    desk: Desk,
    phase: Phase,
    /// Lanes that sleep.
    lanes_idle: usize,
    /// Of these, how many have been called and have not looked yet.
    lanes_called: usize,
    /// Until when the timer sleeps; the end of time when it waits to be told.
    timer_sleeps_until: Instant,
}

impl State {
    fn handle(&mut self, input: Input) {
        self.driver.handle(input, &mut self.desk);
        while self.driver.deliver(&mut self.desk) {}
    }

    /// Nothing more will happen: the threads may go.
    fn is_over(&self) -> bool {
        let drained = match self.phase {
            Phase::Running => false,
            Phase::Stopping => self.desk.stopped && self.driver.disk.ready(Worker::Lane) == 0,
            Phase::Failed => true,
        };
        drained && self.driver.disk.in_flight() == 0
    }
}

/// One opened data directory.
pub(crate) struct Core {
    state: Mutex<State>,
    /// Lanes wait here for operations.
    lanes: Condvar,
    /// The timer waits here for an earlier time.
    timer: Condvar,
    /// Those who close wait here for the end.
    over: Condvar,
    views: Arc<Views>,
    on_alert: Option<AlertHook>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    directory: Mutex<Option<DirectoryLock>>,
}

impl Core {
    /// Starts an engine over the locked directory.
    pub(crate) fn start(disk: FileDisk, directory: DirectoryLock, mut options: Options) -> Result<Arc<Core>, Error> {
        let clock = SystemClock::new();
        if options.engine.seed == 0 {
            options.engine.seed = docdb_engine::Clock::wall(&clock).0;
        }
        let views = Arc::new(Views::default());
        let state = State {
            driver: Driver::new(Engine::new(options.engine), disk, clock),
            desk: Desk::new(Arc::clone(&views)),
            phase: Phase::Running,
            lanes_idle: 0,
            lanes_called: 0,
            timer_sleeps_until: Instant(u64::MAX),
        };
        let core = Arc::new(Core {
            state: Mutex::new(state),
            lanes: Condvar::new(),
            timer: Condvar::new(),
            over: Condvar::new(),
            views,
            on_alert: options.on_alert,
            threads: Mutex::default(),
            directory: Mutex::new(Some(directory)),
        });
        let started = threads::start(&core, LANES);
        let mut entered = core.enter();
        entered.begin();
        entered.leave();
        if let Err(error) = started {
            core.stop();
            return Err(error);
        }
        Ok(core)
    }

    fn enter(&self) -> Entered<'_> {
        Entered::new(self)
    }

    /// Asks, and carries out what follows until the answer is there or others do it.
    pub(crate) fn request(&self, request: Request) -> Response {
        let seat = Seat::new();
        let mut entered = self.enter();
        if let Some(refusal) = entered.refusal() {
            return Err(refusal);
        }
        let id = entered.desk.expect(Waiter::Caller(Arc::clone(&seat)));
        entered.handle(Input::Request { id, request });
        loop {
            if let Some(response) = seat.take() {
                entered.leave();
                return response;
            }
            match entered.driver.disk.take(Worker::Caller) {
                Some(task) => {
                    entered.leave();
                    let finished = task.run();
                    entered = self.enter();
                    entered.finish(finished);
                }
                None => {
                    seat.will_park();
                    entered.leave();
                    return seat.park();
                }
            }
        }
    }

    /// Asks; `then` gets the answer on whichever thread has it. Never waits for the disk.
    pub(crate) fn submit(&self, request: Request, then: Then) {
        let mut entered = self.enter();
        if let Some(refusal) = entered.refusal() {
            drop(entered);
            return then(Err(refusal));
        }
        let id = entered.desk.expect(Waiter::Then(then));
        entered.handle(Input::Request { id, request });
        entered.leave();
    }

    /// Shuts down: answers what is pending, closes every database, ends the threads, frees the directory.
    pub(crate) fn stop(&self) {
        let mut entered = self.enter();
        if entered.phase == Phase::Running {
            entered.phase = Phase::Stopping;
            entered.handle(Input::Shutdown);
        }
        entered.leave();
        let mut entered = self.enter();
        while !entered.is_over() {
            entered.wait(&self.over);
        }
        drop(entered);
        // Whoever waits for the time or for work looks again, and finds that it is over.
        self.lanes.notify_all();
        self.timer.notify_all();
        let this_thread: ThreadId = std::thread::current().id();
        let threads = std::mem::take(&mut *entered::whole(self.threads.lock()));
        for thread in threads {
            // A callback may drop the last handle on a thread of ours, which cannot wait for itself.
            if thread.thread().id() != this_thread {
                let _ = thread.join();
            }
        }
        // Only now: no operation is in flight, so the next process finds files that nobody else writes.
        drop(entered::whole(self.directory.lock()).take());
    }

    /// The error that a failed engine leaves behind, if it failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        let entered = self.enter();
        (entered.phase == Phase::Failed).then(failed)
    }

    pub(crate) fn view(&self, database: DatabaseId) -> Option<Arc<View>> {
        self.views.load(database)
    }

    pub(crate) fn view_cell(&self, database: DatabaseId) -> Arc<ViewCell> {
        self.views.cell(database)
    }
}

/// What everyone is told after a panic of the engine.
fn failed() -> Error {
    Error::new(ErrorCode::PoolStopped)
        .detail("the engine stopped on an internal error; what was acknowledged is on disk: open the directory again")
}
