//! What is due from a process that met faults, once they have stopped: a database that is not latched takes writes, and a database
//! that was closed and opened again is not latched any more.

use super::{Checker, Tracked, Violation, violation};

/// Whether a database shows something, and nothing that it reported keeps it from taking writes.
pub(crate) fn takes_writes(tracked: &Tracked) -> bool {
    tracked.model.is_open() && !tracked.is_damaged && !tracked.is_latched
}

/// Whether a database that was opened has to take the next write: one that found no space shows less than it holds until
/// then, and goes on with it.
pub(crate) fn has_to_take_a_write(tracked: &Tracked) -> bool {
    tracked.opened && !tracked.is_damaged && !tracked.is_latched
}

/// A closing ends what made a database latch.
///
/// # Errors
/// The first one that is latched still.
pub(crate) fn none_is_latched(checker: &Checker, what: &str) -> Result<(), Violation> {
    match checker.databases().iter().find(|tracked| tracked.is_latched) {
        Some(tracked) => violation!("{what}: {} was closed, and is latched still", tracked.name),
        None => Ok(()),
    }
}
