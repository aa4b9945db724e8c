//! What a process at rest has proven: the log of every database that takes writes ends with a proof, or with nothing.
//!
//! It reads the bytes as they are seen, by FORMAT.md's tables, and believes no damaged log.

use docdb_engine::SECTOR_BYTES;

use super::{Checker, Violation, settled, violation};
use crate::disk::{BATCH_MAGIC, SimDisk, is_proof};
use crate::refine::written::{SEGMENT_HEADER_BYTES, batch};

/// Of a process at rest, on a device that fails nothing any more.
///
/// # Errors
/// When the last batch of some log is not proven to be durable.
pub(crate) fn all_is_proven(disk: &SimDisk, checker: &Checker, what: &str) -> Result<(), Violation> {
    if checker.is_in_doubt() || disk.is_shut_down() {
        return Ok(());
    }
    let writable = |tracked: &&super::Tracked| settled::takes_writes(tracked) && !tracked.is_glimpsed;
    for tracked in checker.databases().iter().filter(writable) {
        let active = format!("db/{0}/{0}.wal", tracked.name);
        let Some((_, bytes)) = disk.beginnings(u64::MAX).find(|(path, _)| *path == active) else { continue };
        let mut places = (SEGMENT_HEADER_BYTES as usize..bytes.len()).step_by(SECTOR_BYTES).rev();
        let Some(at) = places.find(|at| bytes[*at..].starts_with(BATCH_MAGIC)) else { continue };
        let last = &bytes[at..];
        let proves = is_proof(last) && batch(last).is_some_and(|batch| batch.watermark == batch.lsn);
        if !proves {
            return violation!("{what}: the last batch in {active} is not proven");
        }
    }
    Ok(())
}
