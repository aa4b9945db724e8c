//! What failures and recoveries leave behind is bounded, however many there are: files, and open files. Nobody is refused
//! for want of memory while there is enough.

use docdb_protocol::Operation;

use super::{Checker, Tracked, Violation, violation};
use crate::disk::SimDisk;

/// Files of a database that are no sealed segments: active, next, spares, and leftovers being removed.
const FILES_PER_DATABASE_MAX: usize = 8;

/// Files beside the databases: lock, catalog, and a new catalog.
const OTHER_FILES_MAX: usize = 6;

/// What a document may take besides its bytes.
const DOCUMENT_OVERHEAD_BYTES: u64 = 256;

/// Most runs have no bound worth counting for.
const COUNTED_BYTES_MAX: u64 = 1 << 30;

/// What a request adds at most to the documents in memory.
pub(super) fn added_bytes(operations: &[Operation]) -> u64 {
    let documents = operations.iter().filter_map(|operation| operation.action.document());
    documents.map(|document| document.len() as u64 + DOCUMENT_OVERHEAD_BYTES).sum()
}

/// Whether so many bytes may be too few for what the databases hold, all that waits included, and what a request adds.
pub(super) fn memory_may_be_full(databases: &[Tracked], added_bytes: u64, memory_bytes_max: u64) -> bool {
    if memory_bytes_max > COUNTED_BYTES_MAX {
        return false;
    }
    // A request that is refused may have been about to delete something, so what was there before it counts too.
    let held = |tracked: &Tracked| {
        let newest = tracked.model.newest();
        [newest.saturating_sub(1), newest].map(|tx| held_bytes(tracked, tx, DOCUMENT_OVERHEAD_BYTES)).into_iter().max()
    };
    databases.iter().filter_map(held).sum::<u64>() + added_bytes > memory_bytes_max
}

/// The bytes of the documents that a database holds after a transaction, each with so many more.
fn held_bytes(tracked: &Tracked, tx: u64, overhead_bytes: u64) -> u64 {
    let documents = tracked.model.state_after(tx).into_iter().flat_map(|state| state.values());
    documents.map(|content| content.len() as u64 + overhead_bytes).sum()
}

/// A write was taken: the database holds no more than it may.
///
/// # Errors
/// When it does.
pub(super) fn memory_is_bounded(tracked: &Tracked, memory_bytes_max: u64) -> Result<(), Violation> {
    if memory_bytes_max > COUNTED_BYTES_MAX {
        return Ok(());
    }
    let held = held_bytes(tracked, tracked.model.newest(), 0);
    if held > memory_bytes_max {
        return violation!("{} holds {held} bytes of documents, at most {memory_bytes_max} are allowed", tracked.name);
    }
    Ok(())
}

/// A database was opened: all that are open hold no more than they may. What is on its way may delete documents.
///
/// # Errors
/// When they do.
pub(super) fn all_fit_memory(databases: &[Tracked], memory_bytes_max: u64) -> Result<(), Violation> {
    if memory_bytes_max > COUNTED_BYTES_MAX {
        return Ok(());
    }
    let least = |tracked: &Tracked| {
        let states = tracked.visible.0..=tracked.model.newest();
        states.map(|tx| held_bytes(tracked, tx, 0)).min().unwrap_or(0)
    };
    let held: u64 = databases.iter().filter(|tracked| tracked.model.is_open()).map(least).sum();
    if held > memory_bytes_max {
        return violation!("all databases hold {held} bytes of documents, at most {memory_bytes_max} are allowed");
    }
    Ok(())
}

/// A process that goes on for years must not lose file handles, whatever fails.
///
/// # Errors
/// When the engine has stopped and files are open.
pub(crate) fn nothing_is_open(disk: &SimDisk, what: &str) -> Result<(), Violation> {
    match disk.open_files() {
        0 => Ok(()),
        open => violation!("{what}: the engine has stopped and left {open} files open"),
    }
}

/// Failed recoveries and retries leave no heap of files behind: there are no more than `openings` and `transactions`
/// account for.
///
/// # Errors
/// When there are.
pub(crate) fn files_are_few(
    disk: &SimDisk,
    checker: &Checker,
    openings: usize,
    transactions: u64,
) -> Result<(), Violation> {
    let listing = disk.listing();
    let databases = checker.databases().len();
    let (sealed, others): (Vec<_>, Vec<_>) = listing.keys().partition(|name| is_sealed(name));
    if others.len() > OTHER_FILES_MAX + databases * FILES_PER_DATABASE_MAX {
        return violation!("{} files besides sealed segments: {others:?}", others.len());
    }
    // Each opening and each failed batch may seal a segment; so may every few transactions.
    let bound = 8 + openings * databases + usize::try_from(transactions).expect("small");
    if sealed.len() > bound {
        return violation!("{} sealed segments after {transactions} transactions, more than {bound}", sealed.len());
    }
    Ok(())
}

/// How many sealed segments there are.
pub(crate) fn sealed_segments(disk: &SimDisk) -> usize {
    disk.listing().keys().filter(|name| is_sealed(name)).count()
}

/// Whether this is the name of a sealed segment: `NAME.wal.1` and so on.
fn is_sealed(name: &str) -> bool {
    name.rsplit_once(".wal.").is_some_and(|(_, number)| number.parse::<u64>().is_ok())
}
