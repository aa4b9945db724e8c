//! Once faults have stopped, everything goes on: requests are answered, databases open, writes are accepted, and the
//! engine stops when it is asked to.
//!
//! Each is a look at the judge's models when the time for it is over; how much time that is, the run says.

use super::{Checker, Violation, violation};

/// Nobody waits any more.
///
/// # Errors
/// The first request that was never answered.
pub(crate) fn all_is_answered(checker: &Checker, what: &str) -> Result<(), Violation> {
    match checker.waiting() {
        0 => Ok(()),
        waiting => {
            violation!("{what}: {waiting} requests are never answered, the first is {}", checker.first_waiting())
        }
    }
}

/// Every database that was opened shows something.
///
/// # Errors
/// The first one that does not.
pub(crate) fn all_is_open(checker: &Checker, what: &str) -> Result<(), Violation> {
    // In doubt an explicit error was answered, and judged.
    match checker.databases().iter().find(|tracked| !tracked.model.is_open() && !checker.is_in_doubt()) {
        Some(tracked) => violation!("{what}: {} was opened, but no view was published", tracked.name),
        None => Ok(()),
    }
}

/// Every database that takes writes took the last one: the device has no failure left to blame.
///
/// # Errors
/// The first one that did not.
pub(crate) fn writes_are_accepted(checker: &Checker, what: &str) -> Result<(), Violation> {
    let is_behind = |tracked: &&super::Tracked| {
        super::settled::takes_writes(tracked) && tracked.model.acknowledged() != tracked.model.newest()
    };
    match checker.databases().iter().find(is_behind) {
        Some(tracked) => violation!("{what}: the last write to {} was not accepted", tracked.name),
        None => Ok(()),
    }
}

/// The engine, which was asked to stop and has nothing left to do, has stopped.
///
/// # Errors
/// When it has not.
pub(crate) fn has_stopped(stopped: bool, what: &str) -> Result<(), Violation> {
    if stopped { Ok(()) } else { violation!("{what}: the engine does not stop") }
}
