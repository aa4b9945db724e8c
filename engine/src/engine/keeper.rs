//! Keeping the catalog durable: what has changed, who waits for it, and which file takes it.
//!
//! ```text
//! something changed -> nothing is being written, and the journal has room: append all that changed, up to a bound; sync
//!                   -> there is no journal, or it is full: write the catalog anew; its file has the journal from then on
//! an append failed  -> its file is never written again: write the catalog anew, for the same who wait
//! ```
//!
//! Invariants: one of these is under way at a time, and what changes meanwhile goes together in the next; whoever waits for
//! a database to be in the catalog has it among the changed, or in what is being written; the journal is that of a file
//! which this process wrote, whose name is durable, and of which nothing failed. It answers nobody.

use std::collections::BTreeSet;

use docdb_protocol::{DatabaseId, Error};

use crate::alert::AlertKind;
use crate::catalog::{CHANGE_BYTES, CHANGES_PER_WRITE_MAX, Catalog, encode_changes};
use crate::disk::FileId;
use crate::io::{DiskResult, Io, Owner, Progress};
use crate::jobs::catalog_append::CatalogAppend;
use crate::jobs::catalog_write::CatalogWrite;
use crate::options::Options;

/// Who waits for the catalog to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    /// Everybody: the one that was found, the first of a directory, or a rebuilt one.
    Started,
    /// Whoever waits for this new database.
    Created(DatabaseId),
    /// Whoever waits for this database to be closed.
    Closed(DatabaseId),
    /// Whoever asks again for a closing to be recorded, whose database is closed.
    Recorded(DatabaseId),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeper {
    work: Work,
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

#[derive(Clone, Debug, Default)]
enum Work {
    #[default]
    Idle,
    Anew(CatalogWrite),
    Append(CatalogAppend),
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
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.work, Work::Idle)
    }

    /// Whether this waits already.
    pub(super) fn has(&self, waiter: Waiter) -> bool {
        self.writing_for.contains(&waiter) || self.next_for.contains(&waiter)
    }

    /// Whether what is being written answers this.
    pub(super) fn is_writing_for(&self, waiter: Waiter) -> bool {
        self.writing_for.contains(&waiter)
    }

    /// Makes the catalog durable for `waiter`.
    pub(super) fn want(&mut self, waiter: Waiter, catalog: &mut Catalog, io: &mut Io) {
        match waiter {
            Waiter::Started => {}
            Waiter::Created(id) | Waiter::Closed(id) | Waiter::Recorded(id) => {
                self.changed.insert(id);
            }
        }
        self.next_for.insert(waiter);
        self.begin(catalog, io);
    }

    /// Makes what the catalog says of this database durable; nobody waits for it.
    pub(super) fn note(&mut self, id: DatabaseId, catalog: &mut Catalog, io: &mut Io) {
        self.changed.insert(id);
        self.is_wanted = true;
        self.begin(catalog, io);
    }

    /// The next one who waited for what was written.
    pub(super) fn pop_waiter(&mut self) -> Option<Waiter> {
        let waiter = self.writing_for.pop_first();
        self.is_answering = waiter.is_some();
        waiter
    }

    /// Begins with what is wanted, unless something is under way.
    pub(super) fn begin(&mut self, catalog: &mut Catalog, io: &mut Io) {
        let is_busy = !self.is_idle() || self.is_answering || !self.writing_for.is_empty();
        if is_busy || (self.next_for.is_empty() && !self.is_wanted) {
            return;
        }
        match self.journal {
            Some(journal) if journal.end < journal.limit && !self.next_for.contains(&Waiter::Started) => {
                self.append(journal, catalog, io);
            }
            Some(_) | None => self.write_anew(catalog, io),
        }
    }

    fn append(&mut self, journal: Journal, catalog: &Catalog, io: &mut Io) {
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
        io.submit(Owner::Catalog, first);
        self.work = Work::Append(job);
    }

    fn write_anew(&mut self, catalog: &mut Catalog, io: &mut Io) {
        // Once another catalog may have its name, nothing that goes into this one counts.
        self.let_go(io);
        self.changed.clear();
        self.is_wanted = false;
        self.writing_for.append(&mut self.next_for);
        let (job, first) = CatalogWrite::new(catalog, io.new_file());
        io.submit(Owner::Catalog, first);
        self.work = Work::Anew(job);
    }

    /// Carries on with the operation that was in flight. When something has ended, how; whoever waited for it is to be told,
    /// and then [`Keeper::begin`] called.
    pub(super) fn completed(
        &mut self,
        result: DiskResult,
        catalog: &mut Catalog,
        options: &Options,
        io: &mut Io,
    ) -> Option<Result<(), Error>> {
        match std::mem::take(&mut self.work) {
            Work::Idle => unreachable!("nothing of the catalog was in flight"),
            Work::Append(mut job) => match job.step(result) {
                Progress::Submit(op) => {
                    io.submit(Owner::Catalog, op);
                    self.work = Work::Append(job);
                    None
                }
                Progress::Done(()) => {
                    self.appended(job.bytes());
                    Some(Ok(()))
                }
                Progress::Failed(error) => {
                    io.alert(None, AlertKind::LogFailed(error));
                    self.write_anew(catalog, io);
                    None
                }
            },
            Work::Anew(mut job) => match job.step(result) {
                Progress::Submit(op) => {
                    io.submit(Owner::Catalog, op);
                    self.work = Work::Anew(job);
                    None
                }
                Progress::Done(file) => {
                    let end = job.bytes();
                    let limit = end + end.max(options.catalog_journal_bytes_min);
                    self.journal = Some(Journal { file, generation: job.generation(), count: 0, end, limit });
                    Some(Ok(()))
                }
                Progress::Failed(error) => {
                    if let Some(file) = job.opened() {
                        io.close(file);
                    }
                    Some(Err(error))
                }
            },
        }
    }

    fn appended(&mut self, bytes: u64) {
        let journal = self.journal.as_mut().expect("it took what was appended");
        journal.count += bytes / CHANGE_BYTES;
        journal.end += bytes;
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
    use crate::disk::{DiskOp, DiskReply};
    use crate::message::Output;

    /// Carries out what the keeper asks for, until something has ended.
    fn write(keeper: &mut Keeper, catalog: &mut Catalog, io: &mut Io) {
        loop {
            let Some(Output::Disk { id, op }) = io.pop() else { panic!("something is being written") };
            if io.owner(id) != Owner::Catalog {
                continue;
            }
            let reply = match op {
                DiskOp::Write { buffers, .. } => {
                    DiskReply::Written(buffers.iter().map(|buffer| buffer.len() as u64).sum())
                }
                _ => DiskReply::Done,
            };
            if let Some(outcome) = keeper.completed(Ok(reply), catalog, &Options::default(), io) {
                return outcome.expect("the disk fails nothing");
            }
        }
    }

    /// Answering the last one who waited may make somebody else want the catalog, and that is not durable yet.
    #[test]
    fn what_is_wanted_while_others_are_answered_is_not_answered_with_them() {
        let (mut keeper, mut catalog, mut io) = (Keeper::default(), Catalog::empty(), Io::default());
        keeper.want(Waiter::Started, &mut catalog, &mut io);
        write(&mut keeper, &mut catalog, &mut io);
        assert_eq!(keeper.pop_waiter(), Some(Waiter::Started));
        let later = Waiter::Closed(DatabaseId::FIRST);
        keeper.want(later, &mut catalog, &mut io);
        assert_eq!(keeper.pop_waiter(), None, "nothing was written for it");
        keeper.begin(&mut catalog, &mut io);
        write(&mut keeper, &mut catalog, &mut io);
        assert_eq!(keeper.pop_waiter(), Some(later));
    }
}
