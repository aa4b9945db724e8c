//! What one run stands on: its time, its faults, and the mistake that it makes.
//!
//! All threads of a run are shuttle's, on one thread of the operating system: so a run's world is a value
//! of that thread. Nothing here is borrowed while threads may change.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread::{JoinHandle, Thread};

use crate::planted::Mistake;

/// A thread that sleeps for longer sleeps until it is called.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

std::thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of the run that is under way.
pub(crate) fn world() -> Rc<World> {
    WORLD.with_borrow(Clone::clone).expect("a story has begun")
}

pub(crate) struct World {
    pub(crate) mistake: Option<Mistake>,
    /// Nanoseconds.
    pub(crate) now: Cell<u64>,
    /// As many writes to a log, and openings, fail as a busy device fails them.
    pub(crate) faults: Cell<u32>,
    /// As many threads can be started.
    pub(crate) threads: Cell<u32>,
    /// Those who sleep for a time: until when, and where.
    sleepers: RefCell<BTreeMap<u64, (u64, Arc<Condvar>)>>,
    sleepers_ever: Cell<u64>,
    time: RefCell<Option<Thread>>,
    over: Cell<bool>,
    /// Whether a sync takes until [`World::end_syncs`].
    syncs_last: Mutex<bool>,
    syncs_end: Condvar,
    /// How often the directory's lock was let go.
    freed: Mutex<u32>,
    is_freed: Condvar,
}

impl World {
    /// A new world, in which time passes until [`World::end`].
    pub(crate) fn begin(mistake: Option<Mistake>) -> JoinHandle<()> {
        let world = World {
            mistake,
            now: Cell::new(1),
            faults: Cell::new(0),
            threads: Cell::new(u32::MAX),
            sleepers: RefCell::default(),
            sleepers_ever: Cell::new(0),
            time: RefCell::default(),
            over: Cell::new(false),
            syncs_last: Mutex::new(false),
            syncs_end: Condvar::new(),
            freed: Mutex::new(0),
            is_freed: Condvar::new(),
        };
        WORLD.set(Some(Rc::new(world)));
        let time = shuttle::thread::spawn(pass_time);
        *world_time(&self::world()) = Some(time.thread().clone());
        time
    }

    /// The end of time.
    pub(crate) fn end(time: JoinHandle<()>) {
        world().over.set(true);
        time.thread().unpark();
        time.join().expect("time passes without a panic");
    }

    /// Notes that a thread is about to sleep there.
    pub(crate) fn falls_asleep(&self, duration: Duration, place: Arc<Condvar>) -> u64 {
        let number = self.sleepers_ever.get() + 1;
        self.sleepers_ever.set(number);
        if duration < FOR_EVER {
            let nanoseconds = u64::try_from(duration.as_nanos()).expect("less than a year");
            self.sleepers.borrow_mut().insert(number, (self.now.get() + nanoseconds, place));
            let time = self.time.borrow().clone();
            if let Some(time) = time {
                time.unpark();
            }
        }
        number
    }

    /// Notes that it has woken up.
    pub(crate) fn is_awake(&self, number: u64) {
        self.sleepers.borrow_mut().remove(&number);
    }

    /// From now on a sync takes until [`World::end_syncs`].
    pub(crate) fn prolong_syncs(&self) {
        *self.syncs_last.lock().expect("no panic") = true;
    }

    pub(crate) fn end_syncs(&self) {
        *self.syncs_last.lock().expect("no panic") = false;
        self.syncs_end.notify_all();
    }

    /// Takes as long as a sync does.
    pub(crate) fn wait_for_sync(&self) {
        let mut last = self.syncs_last.lock().expect("no panic");
        while *last {
            last = self.syncs_end.wait(last).expect("no panic");
        }
    }

    pub(crate) fn free_directory(&self) {
        *self.freed.lock().expect("no panic") += 1;
        self.is_freed.notify_all();
    }

    /// Waits until the directory's lock was let go.
    pub(crate) fn wait_until_freed(&self) {
        let mut freed = self.freed.lock().expect("no panic");
        while *freed == 0 {
            freed = self.is_freed.wait(freed).expect("no panic");
        }
        assert_eq!(*freed, 1, "it is let go once");
    }
}

fn world_time(world: &World) -> std::cell::RefMut<'_, Option<Thread>> {
    world.time.borrow_mut()
}

/// Ends timed waits, the earliest first. A thread that has not begun its wait yet is notified again.
fn pass_time() {
    let world = world();
    while !world.over.get() {
        let earliest = world.sleepers.borrow().values().min_by_key(|(until, _)| *until).cloned();
        match earliest {
            None => shuttle::thread::park(),
            Some((until, place)) => {
                world.now.set(world.now.get().max(until));
                place.notify_all();
                shuttle::thread::yield_now();
            }
        }
    }
}
