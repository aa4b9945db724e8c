//! No id is given twice, not even one that the catalog does not know of: a folder says whose it is.

use docdb_protocol::{DatabaseId, DatabaseName};

use super::{Tracked, Violation, violation};
use crate::disk::{FaultKind, SimDisk};
use crate::refine::written::{SEGMENT_HEADER_BYTES, whole_header};

/// What may have kept a start from hearing what a folder says.
const DEAFENING: [FaultKind; 8] = [
    FaultKind::ReadError,
    FaultKind::StickyReadError,
    FaultKind::NameError,
    FaultKind::Interrupted,
    FaultKind::Busy,
    FaultKind::Shortage,
    FaultKind::Denied,
    FaultKind::StartError,
];

/// The database `name` was given this id: no folder that is nobody's says that it has it.
///
/// # Errors
/// When one does.
pub(super) fn is_new(
    id: DatabaseId,
    name: &DatabaseName,
    databases: &[Tracked],
    disk: &SimDisk,
) -> Result<(), Violation> {
    if DEAFENING.iter().any(|kind| disk.faults().of(*kind) > 0) {
        return Ok(());
    }
    for (path, beginning) in disk.beginnings(SEGMENT_HEADER_BYTES) {
        let Some((folder, file)) = path.strip_prefix("db/").and_then(|path| path.split_once('/')) else { continue };
        let is_named = databases.iter().any(|tracked| tracked.id.is_some() && tracked.name.as_str() == folder);
        // No part of a log yet: it shows what stood there before.
        let is_spare = file.ends_with(".spare");
        if is_named || is_spare || folder == name.as_str() {
            continue;
        }
        if whole_header(&beginning).is_some_and(|header| header.database == id.get()) {
            return violation!("{name} was given the id {id}, which {path} has");
        }
    }
    Ok(())
}
