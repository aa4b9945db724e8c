//! What keeps the catalog durable: what has changed, who waits for it, and which file takes it.
//!
//! ```text
//! something changed -> nothing is being written, and the journal has room: append all that changed, up to a bound; sync
//!                   -> there is no journal, or it is full: write the catalog anew; its file has the journal from then on
//! an append failed  -> its file is never written again: write the catalog anew, for the same who wait
//! ```
//!
//! Invariants: one of these is under way at a time, and what changes meanwhile goes together in the next; a database that
//! somebody waits for is among the changed, or in what is being written; the journal is that of a file which this process
//! wrote, whose name is durable, and of which nothing failed. It answers nobody, and its caller runs the jobs.

use std::collections::BTreeSet;

use docdb_protocol::DatabaseId;

use super::job::Job;
use crate::catalog::{CHANGE_BYTES, CHANGES_PER_WRITE_MAX, Catalog, encode_changes};
use crate::disk::FileId;
use crate::io::{Io, Owner};
use crate::jobs::catalog_append::CatalogAppend;
use crate::jobs::catalog_write::CatalogWrite;
use crate::jobs::slots::Slot;
use crate::options::Options;

/// Who waits for the catalog to be durable, in the order in which they are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    /// Every client: for the catalog that was found, the first one of a directory, or a rebuilt one.
    Started,
    /// Clients of this new database.
    Created(DatabaseId),
    /// Clients that wait for this database to be closed.
    Closed(DatabaseId),
    /// Clients that ask again for the closing of this closed database to be recorded.
    Recorded(DatabaseId),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeper {
    journal: Option<Journal>,
    /// Databases whose entries are not in what was written, or is being written.
    changed: BTreeSet<DatabaseId>,
    /// Something changed that nobody waits for.
    is_wanted: bool,
    /// Who waits for what is being written, and who for what comes next.
    writing_for: BTreeSet<Waiter>,
    next_for: BTreeSet<Waiter>,
    /// While those who waited for what was written are answered, nothing is begun: it would take its own among them.
    is_answering: bool,
}

/// Where changes go.
#[derive(Clone, Copy, Debug)]
struct Journal {
    file: FileId,
    generation: u64,
    /// How many changes it holds.
    count: u64,
    /// Where the next one goes.
    end: u64,
    /// Where no further one begins.
    limit: u64,
}

impl Keeper {
    /// Whether this waits already.
    pub(super) fn has(&self, waiter: Waiter) -> bool {
        self.writing_for.contains(&waiter) || self.next_for.contains(&waiter)
    }

    /// Whether what is being written answers this.
    pub(super) fn is_writing_for(&self, waiter: Waiter) -> bool {
        self.writing_for.contains(&waiter)
    }

    /// Lets `waiter` wait for the next catalog that is written.
    pub(super) fn want(&mut self, waiter: Waiter) {
        match waiter {
            Waiter::Started => {}
            Waiter::Created(id) | Waiter::Closed(id) | Waiter::Recorded(id) => {
                self.changed.insert(id);
            }
        }
        self.next_for.insert(waiter);
    }

    /// What the catalog says of this database is to be made durable; nobody waits for it.
    pub(super) fn note(&mut self, id: DatabaseId) {
        self.changed.insert(id);
        self.is_wanted = true;
    }

    /// The next one who waited for what was written.
    pub(super) fn pop_waiter(&mut self) -> Option<Waiter> {
        let waiter = self.writing_for.pop_first();
        self.is_answering = waiter.is_some();
        waiter
    }

    /// The job that writes what is wanted, with its first operation submitted; `None` when nothing is wanted, and while those
    /// who waited for what was written are answered. Asked only while nothing is being written.
    pub(super) fn next(&mut self, catalog: &mut Catalog, io: &mut Io) -> Option<Job> {
        let is_busy = self.is_answering || !self.writing_for.is_empty();
        if is_busy || (self.next_for.is_empty() && !self.is_wanted) {
            return None;
        }
        Some(match self.journal {
            Some(journal) if journal.end < journal.limit && !self.next_for.contains(&Waiter::Started) => {
                self.append(journal, catalog, io)
            }
            Some(_) | None => self.write_anew(catalog, io),
        })
    }

    fn append(&mut self, journal: Journal, catalog: &Catalog, io: &mut Io) -> Job {
        let mut changes = Vec::new();
        while changes.len() < CHANGES_PER_WRITE_MAX
            && let Some(id) = self.changed.pop_first()
        {
            for waiter in [Waiter::Created(id), Waiter::Closed(id), Waiter::Recorded(id)] {
                if self.next_for.remove(&waiter) {
                    self.writing_for.insert(waiter);
                }
            }
            changes.extend(catalog.change(id));
        }
        self.is_wanted = !self.changed.is_empty();
        let bytes = encode_changes(&changes, journal.generation, journal.count, journal.end);
        let (job, first) = CatalogAppend::new(journal.file, journal.end, bytes);
        io.submit(Owner::Directory(Slot::Catalog), first);
        Job::AppendCatalog(job)
    }

    /// The job that writes the catalog anew, for all who wait.
    pub(super) fn write_anew(&mut self, catalog: &mut Catalog, io: &mut Io) -> Job {
        // Once another catalog may have its name, nothing that goes into this one counts.
        self.let_go(io);
        self.changed.clear();
        self.is_wanted = false;
        self.writing_for.append(&mut self.next_for);
        let (job, first) = CatalogWrite::new(catalog, io.new_file());
        io.submit(Owner::Directory(Slot::Catalog), first);
        Job::WriteCatalog(job)
    }

    /// Changes of so many bytes are durable in the journal.
    pub(super) fn appended(&mut self, bytes: u64) {
        let journal = self.journal.as_mut().expect("it took what was appended");
        journal.count += bytes / CHANGE_BYTES;
        journal.end += bytes;
    }

    /// The catalog that `job` wrote is durable: its file has the journal from now on.
    pub(super) fn written_anew(&mut self, job: &CatalogWrite, file: FileId, options: &Options) {
        let end = job.bytes();
        let limit = end + end.max(options.catalog_journal_bytes_min);
        self.journal = Some(Journal { file, generation: job.generation(), count: 0, end, limit });
    }

    /// Lets go of the journal's file; whether there was one.
    pub(super) fn let_go(&mut self, io: &mut Io) -> bool {
        match self.journal.take() {
            Some(journal) => {
                io.close(journal.file);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answering the last one who waited may make somebody else want the catalog, and that is not durable yet.
    #[test]
    fn what_is_wanted_while_others_are_answered_is_not_answered_with_them() {
        let (mut keeper, mut catalog, mut io) = (Keeper::default(), Catalog::empty(), Io::default());
        keeper.want(Waiter::Started);
        assert!(matches!(keeper.next(&mut catalog, &mut io), Some(Job::WriteCatalog(_))));
        assert_eq!(keeper.pop_waiter(), Some(Waiter::Started));
        let later = Waiter::Closed(DatabaseId::FIRST);
        keeper.want(later);
        assert!(keeper.next(&mut catalog, &mut io).is_none(), "somebody is being answered");
        assert_eq!(keeper.pop_waiter(), None, "nothing was written for it");
        assert!(keeper.next(&mut catalog, &mut io).is_some());
        assert_eq!(keeper.pop_waiter(), Some(later));
    }
}
