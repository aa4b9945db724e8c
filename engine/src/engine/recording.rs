//! Recording in the catalog what changed, and carrying on with what waited for it.
//!
//! [`Keeper`](super::keeper::Keeper) says what is written next, and who waits for it; here its jobs are begun, and when one has
//! ended, each of those who waited for it goes on.

use docdb_protocol::{DatabaseId, Error};

use super::Engine;
use super::job::DirectoryJob;
use super::keeper::Waiter;
use crate::alert::AlertKind;
use crate::clock::Now;
use crate::io::{DiskResult, Owner, Progress};
use crate::jobs::catalog_append::CatalogAppend;
use crate::jobs::catalog_write::CatalogWrite;
use crate::jobs::slots::Slot;

impl Engine {
    /// Makes the catalog durable for `waiter`.
    pub(super) fn write_catalog(&mut self, waiter: Waiter) {
        self.keeper.want(waiter);
        self.begin_catalog();
    }

    /// A database that was opened for writing just now will have other figures than its last closing stored. Nobody waits
    /// for the catalog to say so: a listing after a crash shows it, and nothing else rests on it.
    pub(super) fn forget_figures(&mut self, id: DatabaseId) {
        let entry = self.catalog.entries.get_mut(&id).expect("an open database is in the catalog");
        if entry.closed.figures.take().is_some() {
            self.keeper.note(id);
            self.begin_catalog();
        }
    }

    /// Begins with what is to be written, unless something is being written.
    fn begin_catalog(&mut self) {
        if self.slots.is_free(Slot::Catalog)
            && let Some(job) = self.keeper.next(&mut self.catalog, &mut self.io)
        {
            self.slots.begin(job);
        }
    }

    /// What was being written is durable, or could not be made so.
    fn recorded(&mut self, now: Now, outcome: &Result<(), Error>) {
        // A room that wants the catalog written meanwhile waits for the next time, and finds who still waits for this one.
        while let Some(waiter) = self.keeper.pop_waiter() {
            match waiter {
                Waiter::Started => self.start_recorded(now, outcome),
                Waiter::Created(id) => self.creation_recorded(now, id, outcome),
                Waiter::Closed(id) => self.end_recorded(now, id, outcome),
                Waiter::Recorded(id) => self.closing_recorded(id, outcome),
            }
        }
        self.begin_catalog();
    }
}

impl DirectoryJob<Engine> for CatalogAppend {
    fn completed(mut self, now: Now, result: DiskResult, engine: &mut Engine) -> Option<CatalogAppend> {
        match self.step(result) {
            Progress::Submit(op) => {
                engine.io.submit(Owner::Directory(Slot::Catalog), op);
                return Some(self);
            }
            Progress::Done(()) => {
                engine.keeper.appended(self.bytes());
                engine.recorded(now, &Ok(()));
            }
            Progress::Failed(error) => {
                engine.io.alert(None, AlertKind::LogFailed(error));
                let job = engine.keeper.write_anew(&mut engine.catalog, &mut engine.io);
                engine.slots.begin(job);
            }
        }
        None
    }
}

impl DirectoryJob<Engine> for CatalogWrite {
    fn completed(mut self, now: Now, result: DiskResult, engine: &mut Engine) -> Option<CatalogWrite> {
        match self.step(result) {
            Progress::Submit(op) => {
                engine.io.submit(Owner::Directory(Slot::Catalog), op);
                return Some(self);
            }
            Progress::Done(file) => {
                engine.keeper.written_anew(&self, file, &engine.options);
                engine.recorded(now, &Ok(()));
            }
            Progress::Failed(error) => {
                if let Some(file) = self.opened() {
                    engine.io.close(file);
                }
                engine.recorded(now, &Err(error));
            }
        }
        None
    }
}
