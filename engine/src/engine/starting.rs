//! What follows from the start: its catalog is written again, or at least synced, and then those who came early are answered.

use docdb_protocol::{Error, ErrorCode};

use super::job::{DirectoryJob, Job};
use super::keeper::Waiter;
use super::{Engine, Phase};
use crate::alert::AlertKind;
use crate::clock::Now;
use crate::io::{DiskResult, Owner, Progress};
use crate::jobs::catalog_sync::CatalogSync;
use crate::jobs::slots::Slot;
use crate::jobs::start::{Start, Started};

impl DirectoryJob<Engine> for Box<Start> {
    fn completed(mut self, _: Now, result: DiskResult, engine: &mut Engine) -> Option<Box<Start>> {
        match engine.phase {
            Phase::Starting => {}
            // A shutdown came first: nothing was changed, and nobody waits.
            Phase::Stopping => {
                self.abandon(&result, &mut engine.io);
                return None;
            }
            Phase::Unproven | Phase::Running | Phase::Failed(_) | Phase::Stopped => {
                unreachable!("the start has ended in this phase")
            }
        }
        match self.step(result, &mut engine.io) {
            Progress::Submit(op) => {
                engine.io.submit(Owner::Directory(Slot::Catalog), op);
                return Some(self);
            }
            Progress::Done(started) => engine.take_catalog(started),
            Progress::Failed(error) => {
                engine.refuse_early(&error);
                engine.phase = Phase::Failed(error);
            }
        }
        None
    }
}

impl DirectoryJob<Engine> for CatalogSync {
    /// The catalog that was read is as durable as it can be made without space; or even that failed.
    fn completed(mut self, now: Now, result: DiskResult, engine: &mut Engine) -> Option<CatalogSync> {
        match self.step(result) {
            Progress::Submit(op) => {
                engine.io.submit(Owner::Directory(Slot::Catalog), op);
                return Some(self);
            }
            Progress::Done(()) => {
                let error = self.cause().clone();
                engine.io.alert(None, AlertKind::NoSpace(error.clone()));
                engine.unwritten = Some(error);
                engine.started(now);
            }
            Progress::Failed(_) => {
                if let Some(file) = self.opened() {
                    engine.io.close(file);
                }
                let error = self.cause().clone();
                engine.refuse_early(&error);
            }
        }
        None
    }
}

impl Engine {
    /// Takes over the catalog that the start found, counts this start in it, and writes it.
    fn take_catalog(&mut self, started: Started) {
        self.catalog = started.catalog;
        self.catalog.found_directory(self.options.new_directory);
        self.io.directory_is(self.catalog.directory);
        let given = self.catalog.start();
        self.io.epochs_given(given);
        self.is_found = started.rebuilt.is_none();
        if let Some(error) = started.rebuilt {
            self.io.alert(None, AlertKind::CatalogRebuilt(error));
        }
        self.phase = Phase::Unproven;
        self.write_catalog(Waiter::Started);
    }

    /// The catalog was written whole for those who came early, or could not be.
    pub(super) fn start_recorded(&mut self, now: Now, outcome: &Result<(), Error>) {
        match outcome {
            Ok(()) => {
                self.unwritten = None;
                self.started(now);
            }
            Err(error) if self.unwritten.is_some() => {
                self.unwritten = Some(error.clone());
                self.started(now);
            }
            // Clients that only read need no space.
            Err(error)
                if error.code() == ErrorCode::DiskFull && self.is_found && matches!(self.phase, Phase::Unproven) =>
            {
                let (job, first) = CatalogSync::new(self.io.new_file(), error.clone());
                self.io.submit(Owner::Directory(Slot::Catalog), first);
                self.slots.begin(Job::SyncCatalog(job));
            }
            Err(error) => self.refuse_early(error),
        }
    }

    /// Runs every request that waits for the start, or for the catalog to be written.
    fn started(&mut self, now: Now) {
        match self.phase {
            Phase::Unproven | Phase::Running => self.phase = Phase::Running,
            // The shutdown has answered all of them.
            Phase::Stopping => return,
            Phase::Starting | Phase::Failed(_) | Phase::Stopped => {
                unreachable!("a catalog is written after a start that found one, and before the end")
            }
        }
        while let Some((id, request)) = self.early.pop_front() {
            self.run(now, id, request);
        }
    }

    /// Answers every request that waits for the start, or for the catalog to be written, with an error.
    pub(super) fn refuse_early(&mut self, error: &Error) {
        for (id, _) in std::mem::take(&mut self.early) {
            self.io.respond(id, Err(error.clone()));
        }
    }
}
