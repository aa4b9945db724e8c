//! What failures and recoveries leave behind is bounded, however many there are: files, and open files. Nobody is refused
//! for want of memory while there is enough: what was deleted gives its room back.

use std::collections::BTreeMap;

use docdb_engine::View;
use docdb_models::Key;
use docdb_protocol::{DocumentId, Operation};

use super::room::document_bytes;
use super::{Checker, Tracked, Violation, violation};
use crate::disk::SimDisk;

/// Files of a database that are no sealed segments: active, next, spares, and leftovers being removed.
const FILES_PER_DATABASE_MAX: usize = 8;

/// Files beside the databases: lock, catalog, and a new catalog.
const OTHER_FILES_MAX: usize = 6;

/// What a document may take besides its bytes.
const DOCUMENT_OVERHEAD_BYTES: u64 = 256;

/// What is read back may take a part more than what was written.
const READ_BACK_ALLOWANCE: u64 = 16;

/// Most runs have no bound worth counting for.
const COUNTED_BYTES_MAX: u64 = 1 << 30;

/// Whether there may be too little room for what a request adds to all that is held. A request that is refused has left
/// what readers see as it was, and where memory is tight nothing else waits.
pub(super) fn memory_may_be_full(
    databases: &[Tracked],
    asking: &Tracked,
    operations: &[Operation],
    memory_bytes_free: u64,
    readers_hold: bool,
) -> bool {
    if memory_bytes_free > COUNTED_BYTES_MAX {
        return false;
    }
    // One that is being opened, or shown in part for want of space, may hold all that it ever held.
    let held_now = |tracked: &Tracked| {
        tracked.shown.as_ref().map_or_else(|| most_held(tracked), |view| view.memory_bytes() + tracked.frozen_bytes())
    };
    let mut held: u64 = databases.iter().map(held_now).sum();
    // While readers hold older states, a document that replaces another makes no room.
    if readers_hold
        && held > memory_bytes_free
        && operations.iter().any(|operation| operation.action.document().is_some())
    {
        return true;
    }
    let state = asking.model.state_after(asking.model.published()).expect("the published state is in the history");
    let mut own: BTreeMap<Key, u64> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| !operation.action.is_read()) {
        // What comes without an id replaces nothing.
        let id = operation.action.document_id();
        let key: Option<Key> = id.map(|id| (operation.collection.as_str().into(), id.clone()));
        let number = DocumentId::Number(0);
        let takes = |len: usize| document_bytes(id.unwrap_or(&number), len);
        let stored = |key: &Key| match own.get(key) {
            Some(own) => *own,
            None => state.get(key).map_or(0, |content| takes(content.len())),
        };
        let replaced = key.as_ref().map_or(0, stored);
        let added = operation.action.document().map_or(0, |document| takes(document.len()));
        held = (held + added).saturating_sub(replaced);
        if added > replaced && held > memory_bytes_free {
            return true;
        }
        if let Some(key) = key {
            own.insert(key, added);
        }
    }
    false
}

/// Whether so many bytes may be too few for all that the databases hold, those that are not open included: then one may
/// be refused that is to be opened.
pub(super) fn openings_may_be_refused(databases: &[Tracked], memory_bytes_free: u64) -> bool {
    if memory_bytes_free > COUNTED_BYTES_MAX {
        return false;
    }
    databases.iter().map(most_held).sum::<u64>() > memory_bytes_free
}

/// What a database may hold in memory at most, whatever a replay of it goes through: what was refused may have been about
/// to delete something. It is what its views said that it takes, and a little more, for documents that are read back
/// stand in other nodes; to what nobody was shown, all is added that was written since what somebody was.
fn most_held(tracked: &Tracked) -> u64 {
    let model = &tracked.model;
    let at = |tx: u64| {
        let (shown, told) =
            tracked.memory_bytes.range(..=tx).next_back().map_or((0, 0), |(shown, told)| (*shown, *told));
        if shown == tx {
            return told;
        }
        let written = |tx: u64| model.written_bytes(tx, DOCUMENT_OVERHEAD_BYTES);
        told + written(tx) - written(shown)
    };
    let most = (0..=model.newest()).map(at).max().unwrap_or(0);
    // While it is read again for want of space, readers go on seeing what they saw.
    let times = if tracked.is_glimpsed { 2 } else { 1 };
    times * (most + most / READ_BACK_ALLOWANCE)
}

/// A write was taken: the databases hold no more than they may, or less than before.
///
/// # Errors
/// When they hold more.
pub(super) fn memory_is_bounded(databases: &[Tracked], grown: bool, memory_bytes_free: u64) -> Result<(), Violation> {
    if memory_bytes_free > COUNTED_BYTES_MAX || !grown {
        return Ok(());
    }
    let shown = databases.iter().filter(|tracked| tracked.shown.is_some());
    let held: u64 = shown.map(|tracked| tracked.model.held_bytes(tracked.model.newest())).sum();
    if held > memory_bytes_free {
        return violation!("{held} bytes of documents are held, at most {memory_bytes_free} are allowed");
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
        states.map(|tx| tracked.model.held_bytes(tx)).min().unwrap_or(0)
    };
    let held: u64 = databases.iter().filter(|tracked| tracked.model.is_open()).map(least).sum();
    if held > memory_bytes_max {
        return violation!("all databases hold {held} bytes of documents, at most {memory_bytes_max} are allowed");
    }
    Ok(())
}

/// A database came to be shown: it takes no more than what the others, and readers, leave of the limit. Each of several that
/// are opened at once may exceed what the others leave by a little, so all together exceed the limit by no more than one may.
///
/// # Errors
/// When it does.
pub(super) fn opening_fits(databases: &[Tracked], opened: usize, memory_bytes_free: u64) -> Result<(), Violation> {
    if memory_bytes_free > COUNTED_BYTES_MAX {
        return Ok(());
    }
    let told = |tracked: &Tracked| tracked.shown.as_ref().map_or(0, View::memory_bytes);
    let own = told(&databases[opened]);
    let others = databases.iter().map(told).sum::<u64>() - own;
    let free = memory_bytes_free.saturating_sub(others);
    let exceeds = |bytes: u64, limit: u64| bytes > limit + limit / READ_BACK_ALLOWANCE;
    if exceeds(own, free) && exceeds(own + others, memory_bytes_free) {
        let name = &databases[opened].name;
        return violation!(
            "{name} was opened with {own} bytes beside {others} of others, and {memory_bytes_free} may be taken"
        );
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

/// Files of an open database that may stay open: its segment and its spare.
const OPEN_FILES_PER_DATABASE_MAX: usize = 2;

/// The catalog, whose journal is appended to.
const OTHER_OPEN_FILES_MAX: usize = 1;

/// The same of a process that goes on and has nothing to do.
///
/// # Errors
/// When more files are open than its databases need.
pub(crate) fn few_are_open(disk: &SimDisk, checker: &Checker, what: &str) -> Result<(), Violation> {
    // Of a creation that was answered with an error, nobody knows the id.
    let bound = OPEN_FILES_PER_DATABASE_MAX * checker.databases().len() + OTHER_OPEN_FILES_MAX;
    match disk.open_files() {
        open if open > bound => violation!("{what}: {open} files are open, at most {bound} are needed"),
        _ => Ok(()),
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
    // Which tables there may be is judged when the next ones are named: see `format/store`.
    let names = listing.keys().filter(|name| !name.contains(".data."));
    let (sealed, others): (Vec<_>, Vec<_>) = names.partition(|name| is_sealed(name));
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
