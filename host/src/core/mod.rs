//! The engine behind its lock, and the threads that work for it.
//!
//! Owns the one mutex around the driver, the lanes and the timer. Nobody performs IO, sleeps for a
//! device, wakes a thread or calls foreign code while holding it.
//!
//! A caller carries out what its request leads to itself, as long as operations are queued that
//! nobody has taken: a single writer appends, syncs and returns without one change of thread. A caller
//! that finds its operation in other hands parks. A thread that leaves while work is queued calls a lane, and
//! a lane goes on for as long as it finds work: under load one hot lane drives the disk, and answers
//! are handed out while the next batch is on its way.
//!
//! The invariant that keeps everything moving: when the lock is released and an operation could be
//! taken, then either the thread that releases it takes one before it sleeps, or a lane was called, or
//! every lane is at work and will look again. `entered` is the one place where the lock is released.

mod doorbell;
mod entered;
mod inbox;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use docdb_engine::{Driver, Engine, Input, Instant, View};
use docdb_protocol::{DatabaseId, Error, ErrorCode, Request, Response};

use crate::desk::{Desk, Waiter};
use crate::file_disk::{FileDisk, Worker};
use crate::lock::DirectoryLock;
use crate::messages::{self, Message, Then};
use crate::options::{AlertHook, Options};
use crate::planted::planted;
use crate::seat::Seat;
use crate::sync::{JoinHandle, Mutex, current, whole};
use crate::system_clock::SystemClock;
use crate::views::{ViewCell, Views};
use doorbell::Doorbell;
use entered::{Entered, Next, Place};
use inbox::{Asked, Inbox};

/// One for a long operation, one for the log, one to spare.
const LANES: usize = 3;

/// Where the life of an opened directory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes requests.
    Running,
    /// Shuts down; takes none, finishes what is there.
    Stopping,
    /// The engine panicked, which is a bug: nothing of it is trusted any more.
    Failed,
}

/// What the lock protects.
pub(crate) struct State {
    driver: Driver<FileDisk, SystemClock>,
    pub(crate) desk: Desk,
    phase: Phase,
    /// Lanes that sleep, or are about to, and have not been called.
    lanes_idle: usize,
    /// Lanes that have been called and have not looked yet.
    lanes_called: usize,
    /// Until when the timer sleeps; the end of time when it waits to be called.
    timer_sleeps_until: Instant,
    /// Whether the messenger sleeps and has not been called.
    messenger_sleeps: bool,
    /// Whether every thread was called because the directory is closed.
    over_is_told: bool,
    /// Whether the messenger has ended.
    messenger_is_gone: bool,
    /// What came to the inbox and is being carried in; the first one last.
    taken: Vec<Asked>,
}

impl State {
    pub(crate) fn handle(&mut self, input: Input) {
        // Readers let go of views without a word, so each request looks first how many bytes they keep.
        if let Some(bytes) = self.desk.pinned_bytes_changed() {
            self.driver.handle(Input::Pinned { bytes }, &mut self.desk);
        }
        self.driver.handle(input, &mut self.desk);
        while self.driver.deliver(&mut self.desk) {}
    }

    /// The timer has nothing more to wait for.
    fn nothing_follows(&self) -> bool {
        self.phase == Phase::Failed || self.desk.stopped
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
    /// Requests that found the lock taken.
    inbox: Inbox,
    /// Lanes wait here for operations.
    lanes: Doorbell,
    /// The timer waits here for an earlier time.
    timer: Doorbell,
    /// The messenger waits here for messages.
    messenger: Doorbell,
    /// Those who close wait here for the end.
    over: Doorbell,
    views: Arc<Views>,
    on_alert: Option<AlertHook>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Whether there is a messenger: it is needed for requests that are submitted, and for alerts.
    has_messenger: AtomicBool,
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
            desk: Desk::new(Arc::clone(&views), options.on_alert.is_some()),
            phase: Phase::Running,
            lanes_idle: 0,
            lanes_called: 0,
            timer_sleeps_until: Instant(u64::MAX),
            messenger_sleeps: false,
            over_is_told: false,
            messenger_is_gone: false,
            taken: Vec::new(),
        };
        let core = Arc::new(Core {
            state: Mutex::new(state),
            inbox: Inbox::default(),
            lanes: Doorbell::new(),
            timer: Doorbell::new(),
            messenger: Doorbell::new(),
            over: Doorbell::new(),
            views,
            on_alert: options.on_alert,
            threads: Mutex::default(),
            has_messenger: AtomicBool::new(false),
            directory: Mutex::new(Some(directory)),
        });
        let mut threads = whole(core.threads.lock());
        let mut started = threads::start(&core, LANES, &mut threads);
        drop(threads);
        if core.on_alert.is_some() {
            started = started.and_then(|()| core.need_messenger());
        }
        core.enter().begin();
        if let Err(error) = started {
            core.stop();
            return Err(error);
        }
        Ok(core)
    }

    pub(crate) fn enter(&self) -> Entered<'_> {
        Entered::new(self)
    }

    /// Starts the messenger, unless there is one.
    fn need_messenger(self: &Arc<Core>) -> Result<(), Error> {
        // Held throughout: a second caller finds a messenger, or tries again.
        let mut threads = whole(self.threads.lock());
        if !self.has_messenger.load(Ordering::Acquire) {
            threads.push(threads::start_messenger(self)?);
            self.has_messenger.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Asks, and carries out what follows until the answer is there or others do it.
    pub(crate) fn request(&self, request: Request) -> Response {
        let seat = Seat::take_place();
        let waiter = Waiter::Caller(Arc::clone(&seat));
        let mut entered = match Entered::at_once(self) {
            Some(mut entered) => {
                entered.ask(request, waiter);
                entered
            }
            None => {
                seat.will_park();
                self.inbox.put(request, waiter);
                match Entered::at_once(self) {
                    Some(entered) => entered,
                    // The thread inside carries it in.
                    None => {
                        let response = seat.park();
                        seat.leave();
                        return response;
                    }
                }
            }
        };
        let response = loop {
            if let Some(response) = seat.look() {
                drop(entered);
                break response;
            }
            entered = match entered.next(Worker::Caller) {
                Next::Task(task) => entered.carry_out(task),
                Next::Errands => entered.again(Worker::Caller),
                Next::Rest => {
                    if !planted!(ParksUnannounced) {
                        seat.will_park();
                    }
                    drop(entered);
                    break seat.park();
                }
            };
        };
        seat.leave();
        response
    }

    /// Asks; `then` gets the answer, from this thread before this returns where there is nothing to wait
    /// for, else from the messenger. Never waits for the disk.
    pub(crate) fn submit(self: &Arc<Core>, request: Request, then: Then) {
        if !self.has_messenger.load(Ordering::Acquire)
            && let Err(error) = self.need_messenger()
        {
            return messages::deliver(vec![Message::Answer(then, Err(error))], self.on_alert.as_ref());
        }
        match Entered::at_once(self) {
            Some(mut entered) => {
                let before = entered.desk.messages.len();
                entered.ask(request, Waiter::Then(then));
                let at_once = entered.desk.messages.split_off(before);
                drop(entered);
                messages::deliver(at_once, self.on_alert.as_ref());
            }
            None => {
                self.inbox.put(request, Waiter::Then(then));
                drop(Entered::at_once(self));
            }
        }
    }

    /// Shuts down: answers what is pending, closes every database, ends the threads, frees the directory.
    pub(crate) fn stop(&self) {
        let mut entered = self.enter();
        if entered.phase == Phase::Running {
            entered.phase = Phase::Stopping;
            entered.handle(Input::Shutdown);
        }
        while !entered.is_over() {
            // Where not even one lane could be started, nobody else carries out what is left.
            entered = match entered.next(Worker::Lane) {
                Next::Task(task) => entered.carry_out(task),
                Next::Errands => entered.again(Worker::Lane),
                Next::Rest => entered.rest(Place::Closer),
            };
        }
        // Timer, lanes and messenger look again, and find that it is over.
        drop(entered);
        let this_thread = current().id();
        let threads = std::mem::take(&mut *whole(self.threads.lock()));
        for thread in threads {
            // The messenger's callbacks may drop the last handle, and it cannot wait for itself.
            if thread.thread().id() != this_thread {
                let _ = thread.join();
            }
        }
        // Only now: no operation is in flight, so the next process finds files that nobody else writes.
        drop(whole(self.directory.lock()).take());
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

/// What every request is answered after a panic of the engine.
fn failed() -> Error {
    Error::new(ErrorCode::PoolStopped)
        .detail("the engine stopped on an internal error; what was acknowledged is on disk: open the directory again")
}
