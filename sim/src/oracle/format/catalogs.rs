//! The catalogs of one data directory, as they are written: each follows from the one that its process found, and from what
//! clients were told since.
//!
//! - What a start writes first is what stood in the file that it found, and nothing else: no change is lost, none comes
//!   back. A file that has lost something durable is put aside, and no other one.
//! - No generation is given twice by one process, nor any behind which changes were written; each start is counted.
//! - A catalog that was rebuilt counts more starts than any that was written before: numbers of a start that left nothing in
//!   any folder are not given again.
//! - Every database that somebody was told of is in each snapshot, with the time of its creation.
//! - What a closing stores is what it closed: where its log ends, and how many documents there are.
//! - Changes stand behind their snapshot, one behind the other, each knowing how many were durable.

use docdb_engine::FileId;

use super::catalog::{self, CHANGE_BYTES, Entry, Found, Snapshot};
use super::log::Log;
use crate::disk::{FaultKind, SimDisk};
use crate::oracle::{Tracked, Violation, settled, violation};

/// Each process numbers its snapshots in a range of its own.
const GENERATIONS_PER_START: u64 = 1 << 30;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogs {
    /// The highest generation behind which changes were ever written.
    generation_max: u64,
    /// The most starts that any catalog said, up to the first one that was rebuilt.
    starts_max: u64,
    was_rebuilt: bool,
    /// Whether this process has said that it rebuilt the catalog.
    is_rebuilt: bool,
    /// The last one that this process gave.
    given: u64,
    /// What the process found when it started, if that was a catalog.
    found: Option<Found>,
    /// Whether it has put that aside.
    is_put_aside: bool,
    /// The starts that it counts, once it has written a catalog.
    starts: Option<u64>,
    /// `catalog.new`, and later the catalog.
    pub(super) file: Option<FileId>,
    /// What is written there.
    written: Option<Written>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    generation: u64,
    /// Changes so far, and where the next one goes.
    count: u64,
    end: u64,
}

/// What else is known when a catalog is written.
pub(super) struct Known<'run> {
    pub(super) databases: &'run [Tracked],
    pub(super) disk: &'run SimDisk,
    pub(super) is_stopping: bool,
    pub(super) is_in_doubt: bool,
    pub(super) directory: u128,
}

impl Catalogs {
    /// A process starts on what lies on this disk.
    pub(super) fn starts(&mut self, disk: &SimDisk) {
        let Catalogs { generation_max, starts_max, was_rebuilt, .. } = *self;
        let found = disk.catalog().map(|bytes| catalog::read(&bytes));
        *self = Catalogs { generation_max, starts_max, was_rebuilt, found, ..Catalogs::default() };
    }

    /// The operator hears that the catalog was rebuilt.
    pub(super) fn rebuilt(&mut self) {
        self.is_rebuilt = true;
    }

    /// The file that was found is given another name.
    pub(super) fn put_aside(&mut self, disk: &SimDisk) -> Result<(), Violation> {
        self.is_put_aside = true;
        let now = disk.catalog().map(|bytes| catalog::read(&bytes));
        let is_whole = |found: Option<&Found>| matches!(found, Some(Found::Whole(_)));
        if is_whole(self.found.as_ref()) && is_whole(now.as_ref()) && !is_stale(disk) {
            return violation!("a catalog is put aside as damaged, and is whole: {now:?}");
        }
        Ok(())
    }

    /// A snapshot is written.
    pub(super) fn snapshot<'log>(
        &mut self,
        bytes: &[u8],
        known: &Known<'_>,
        log: impl Fn(&str) -> Option<&'log Log>,
    ) -> Result<(), Violation> {
        let snapshot = catalog::snapshot(bytes)?;
        let Snapshot { directory, generation, starts, next_database, entries, .. } = &snapshot;
        let is_in_range = starts.checked_sub(1).is_some_and(|before| {
            let from = before.saturating_mul(GENERATIONS_PER_START);
            // A catalog that is rebuilt may count fewer starts than the damaged one did.
            *generation > from && (*generation <= from + GENERATIONS_PER_START || known.is_in_doubt)
        });
        if *directory != known.directory || !is_in_range {
            return violation!("generation {generation} of start {starts}, directory {directory}");
        }
        let before = self.generation_max.max(self.given);
        if *generation <= before && !known.is_in_doubt {
            return violation!("generation {generation} is given, and {before} was");
        }
        self.given = *generation;
        match self.starts {
            None => self.is_what_was_found(&snapshot, known)?,
            Some(counted) if counted != *starts => return violation!("{counted} starts became {starts}"),
            Some(_) => {}
        }
        self.are_all_counted(*starts)?;
        self.starts = Some(*starts);
        if !entries.is_sorted_by(|one, next| one.id < next.id) || entries.iter().any(|entry| entry.id >= *next_database)
        {
            return violation!("the next database gets {next_database}, behind {entries:?}");
        }
        for tracked in known.databases.iter().filter(|tracked| tracked.id.is_some() && !known.is_in_doubt) {
            if !entries.iter().any(|entry| entry.name == tracked.name.as_str()) {
                return violation!("{} is left out of a catalog: {entries:?}", tracked.name);
            }
        }
        for entry in entries {
            is_true(entry, known, log(&entry.name))?;
        }
        self.written = Some(Written { generation: *generation, count: 0, end: bytes.len() as u64 });
        Ok(())
    }

    /// Changes are appended.
    pub(super) fn changes<'log>(
        &mut self,
        offset: u64,
        bytes: &[u8],
        known: &Known<'_>,
        log: impl Fn(&str) -> Option<&'log Log>,
    ) -> Result<(), Violation> {
        let Some(Written { generation, count, end }) = self.written else { return Ok(()) };
        if offset != end || !bytes.len().is_multiple_of(CHANGE_BYTES) {
            return violation!("{} bytes of changes stand at {offset}, behind {end}", bytes.len());
        }
        self.generation_max = self.generation_max.max(generation);
        let mut next = Written { generation, count, end };
        for both in bytes.chunks(CHANGE_BYTES) {
            let change = catalog::change(both, generation, next.count, next.end)?;
            if change.durable != count || change.entry.id >= change.next_database {
                return violation!("{count} changes are durable, and one of database {change:?} is written");
            }
            is_true(&change.entry, known, log(&change.entry.name))?;
            // A snapshot may be laid out some time before it is written, a change is not.
            is_as_closed(&change.entry, known, log(&change.entry.name))?;
            (next.count, next.end) = (next.count + 1, next.end + CHANGE_BYTES as u64);
        }
        self.written = Some(next);
        Ok(())
    }

    /// Those that came after the first rebuilding are counted from far ahead, and none of them needs to be known to the next.
    fn are_all_counted(&mut self, starts: u64) -> Result<(), Violation> {
        if self.is_rebuilt && starts <= self.starts_max {
            return violation!("a rebuilt catalog counts {starts} starts, and there were {}", self.starts_max);
        }
        self.was_rebuilt |= self.is_rebuilt;
        if !self.was_rebuilt {
            self.starts_max = self.starts_max.max(starts);
        }
        Ok(())
    }

    /// The first catalog of a process goes on with what it found.
    fn is_what_was_found(&self, snapshot: &Snapshot, known: &Known<'_>) -> Result<(), Violation> {
        if self.is_put_aside || is_stale(known.disk) {
            return Ok(());
        }
        let now = known.disk.catalog().map(|bytes| catalog::read(&bytes));
        let goes_on = |found: &Found| match found {
            Found::Whole(found) => {
                snapshot.starts > found.starts
                    && snapshot.next_database >= found.next_database
                    && snapshot.entries == found.entries
            }
            Found::Damaged => false,
        };
        match &self.found {
            Some(found) if !goes_on(found) && !now.as_ref().is_some_and(goes_on) => {
                violation!("a start goes on with {snapshot:?}, and found {found:?}")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether a read may have shown what was there before.
fn is_stale(disk: &SimDisk) -> bool {
    disk.faults().of(FaultKind::StaleRead) > 0
}

/// What an entry says is so.
fn is_true(entry: &Entry, known: &Known<'_>, log: Option<&Log>) -> Result<(), Violation> {
    if known.is_in_doubt {
        return Ok(());
    }
    let Some(tracked) = known.databases.iter().find(|tracked| tracked.name.as_str() == entry.name) else {
        return violation!("{entry:?} is of nobody's");
    };
    if tracked.id.is_some_and(|id| id.get() != entry.id) {
        return violation!("{entry:?} is of {:?}", tracked.id);
    }
    let Some(log) = log.filter(|log| log.owner.1 == entry.id) else { return Ok(()) };
    if log.owner.2 != entry.created_at || !log.may_begin(entry.log_end) {
        return violation!("{entry:?} is of a log of {:?} that ends at {:?}", log.owner, log.ends());
    }
    Ok(())
}

/// What an entry says of a database that is being closed is what its closing has to tell.
fn is_as_closed(entry: &Entry, known: &Known<'_>, log: Option<&Log>) -> Result<(), Violation> {
    let tracked = known.databases.iter().find(|tracked| tracked.name.as_str() == entry.name && !known.is_in_doubt);
    let log = log.filter(|log| log.owner.1 == entry.id && entry.is_known);
    let (Some(tracked), Some(log)) = (tracked, log) else { return Ok(()) };
    let is_closing = known.is_stopping || tracked.closes_waiting > 0;
    let view = tracked
        .shown
        .as_ref()
        .filter(|_| is_closing && settled::takes_writes(tracked) && !tracked.is_spoiled && !tracked.is_glimpsed);
    if let Some(view) = view {
        let (from, to) = log.ends();
        // An opening goes by the manifest, whether the record is there or not.
        let is_length = log.floors().any(|floor| to - floor == entry.log_bytes);
        let is_so = entry.documents == view.documents() && is_length;
        if !is_so || entry.log_end < from || entry.log_end > to {
            let documents = view.documents();
            return violation!("{entry:?} is closed with {documents} documents, its log ends at {from} or {to}");
        }
    }
    Ok(())
}
