//! The primitives of `host/src/sync.rs`, under shuttle's scheduler.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering, fence};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
pub(crate) use shuttle::thread::{JoinHandle, Thread, current, park};
pub(crate) use shuttle::thread_local;
pub(crate) use std::sync::{LockResult, TryLockError};

use crate::world::world;

pub(crate) const WOKEN_BEFORE_MAX: usize = 0;
pub(crate) const EMPTYINGS_MAX: usize = 1;

/// Starts threads, as long as the world has any.
pub(crate) struct Builder(shuttle::thread::Builder);

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder(shuttle::thread::Builder::new())
    }

    pub(crate) fn name(self, name: String) -> Builder {
        Builder(self.0.name(name))
    }

    pub(crate) fn spawn(self, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
        let threads = world().threads.get();
        world().threads.set(threads.saturating_sub(1));
        if threads == 0 { Err(std::io::ErrorKind::WouldBlock.into()) } else { self.0.spawn(run) }
    }
}

/// A condition variable that the model's time can notify too.
pub(crate) struct Condvar(Arc<shuttle::sync::Condvar>);

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar(Arc::new(shuttle::sync::Condvar::new()))
    }

    pub(crate) fn wait<'lock, T>(&self, guard: MutexGuard<'lock, T>) -> LockResult<MutexGuard<'lock, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

pub(crate) fn whole<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait_timeout<'lock, T>(
    condvar: &Condvar,
    guard: MutexGuard<'lock, T>,
    duration: Duration,
) -> MutexGuard<'lock, T> {
    let sleeper = world().falls_asleep(duration, Arc::clone(&condvar.0));
    let guard = whole(condvar.wait(guard));
    world().is_awake(sleeper);
    guard
}
