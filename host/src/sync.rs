//! The primitives that the engine's lock and its threads stand on.
//!
//! Everything in `core`, `desk` and `messages` takes them from here and from nowhere else, so that
//! `host/tests/interleavings` can compile the same sources over primitives whose scheduler explores the
//! orders in which threads may run. Decides nothing.

use std::time::Duration;

pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
pub(crate) use std::sync::{Condvar, LockResult, Mutex, MutexGuard, PoisonError, TryLockError};
pub(crate) use std::thread::{Builder, JoinHandle, Thread, current, park};
pub(crate) use std::thread_local;

/// So few threads are woken by the thread that carries out the disk's next operation, before it does: it takes no longer
/// than to call another one. The interleavings make it smaller, since they have few threads.
pub(crate) const WOKEN_BEFORE_MAX: usize = 4;

/// After so many rounds for others, a thread leaves the inbox to a lane. The interleavings make it smaller, too.
pub(crate) const EMPTYINGS_MAX: usize = 16;

/// The value of a lock, poisoned or not. A panic in the engine is noted in `Phase::Failed`, which everyone
/// looks at; no other value is ever half changed when a thread panics.
pub(crate) fn whole<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// Releases the lock until `condvar` is notified, or `duration` has passed.
pub(crate) fn wait_timeout<'lock, T>(
    condvar: &Condvar,
    guard: MutexGuard<'lock, T>,
    duration: Duration,
) -> MutexGuard<'lock, T> {
    whole(condvar.wait_timeout(guard, duration)).0
}
