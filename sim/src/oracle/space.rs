//! What failures and recoveries leave behind is bounded, however many there are: files, and open files.

use super::{Checker, Violation, violation};
use crate::disk::SimDisk;

/// Files of a database that are no sealed segments: active, next, spares, and leftovers being removed.
const FILES_PER_DATABASE_MAX: usize = 8;

/// Files beside the databases: lock, catalog, and a new catalog.
const OTHER_FILES_MAX: usize = 6;

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
