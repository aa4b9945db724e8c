//! Alerts that are due: what an operator has to hear comes at once, with the reason that the device gave, as often as it
//! happened, and never without its cause.
//!
//! - A write or a sync of a log failed, or of the catalog's journal: one alert for each.
//! - A spare could not be made: one, when what was made of it is removed.
//! - A checkpoint failed: one, when what was made of it is removed, unless its database is being closed, or has latched.
//! - A database is shown that found no space to go on: one, when it is shown first.
//! - Clients are answered from a catalog that could not be written: one, before the first of them, and behind the syncs of that
//!   catalog and of its name.
//! - A catalog was put aside, or none is there beside folders of databases: one, when the start goes on without it.
//!
//! What makes a database latch, and damage, are judged in `published`.

use std::collections::BTreeSet;

use docdb_engine::{AlertKind, DiskErrorKind};
use docdb_protocol::{DatabaseId, ErrorCode};

use super::touched::{Deed, End, Part, Touch};
use super::{Violation, violation};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    /// Alerts that this turn of the engine has to raise: of a log that failed, of a spare that was not made.
    logs: Vec<(Option<usize>, ErrorCode)>,
    spares: Vec<(usize, ErrorCode)>,
    /// A spare failed, and what was made of it is being removed.
    undone: Vec<(usize, ErrorCode)>,
    /// A spare's name could not be removed: that may have ended the making of another one.
    unremoved: Vec<(usize, ErrorCode)>,
    /// Operations of checkpoints that failed, of each of which one alert is due; and others that may have made one fail.
    checkpoints: Vec<(usize, ErrorCode)>,
    perhaps: Vec<(usize, ErrorCode)>,
    /// Databases that readers are shown.
    shown: BTreeSet<DatabaseId>,
    /// How many databases came to be shown in this turn without space, and how many alerts said so.
    glimpses: (usize, usize),
    is_renamed: bool,
    /// A catalog of this process is durable.
    has_catalog: bool,
    /// Something about the catalog found no space.
    is_catalog_full: bool,
    is_told_unwritten: bool,
    /// The catalog that was read is synced; and behind that, its name.
    is_read_synced: bool,
    is_name_synced: bool,
    is_rebuilt: bool,
}

impl Due {
    /// Whether this process has made a catalog durable.
    pub(super) fn has_catalog(&self) -> bool {
        self.has_catalog
    }

    /// An operation has ended, of which the engine hears now. `has_folders` says whether any database has a folder.
    pub(super) fn delivered(&mut self, touch: &Touch, end: End, has_folders: impl FnOnce() -> bool) {
        let Touch { database, part, deed, .. } = *touch;
        // A log whose folder is gone is not gone on with, which another alert says.
        if end == End::Failed(DiskErrorKind::Gone) && part == Part::Active {
            return;
        }
        let code = match end {
            End::Failed(kind) => Some(code_of(deed, kind)),
            End::Well | End::AsGoodAsWell | End::Short => None,
        };
        match (part, deed, code, database) {
            (Part::Active | Part::Journal, Deed::Write { .. } | Deed::Sync, Some(code), _) => {
                self.logs.push((database, code));
            }
            (Part::Spare, Deed::Create | Deed::Allocate { .. } | Deed::Sync, Some(code), Some(database)) => {
                self.undone.push((database, code));
            }
            (Part::Spare, Deed::Remove, code, Some(database)) => {
                match self.undone.iter().position(|undone| undone.0 == database) {
                    Some(at) => self.spares.push(self.undone.swap_remove(at)),
                    None => self.unremoved.extend(code.map(|code| (database, code))),
                }
            }
            (Part::Store, Deed::Create | Deed::Name | Deed::Write { .. } | Deed::Sync, Some(code), Some(database)) => {
                self.checkpoints.push((database, code));
            }
            (Part::Store, Deed::Remove, Some(code), Some(database))
            | (Part::Folder, Deed::SyncNames | Deed::Read, Some(code), Some(database)) => {
                self.perhaps.push((database, code));
            }
            (Part::Spare, Deed::Create, None, Some(database)) => {
                self.unremoved.retain(|unremoved| unremoved.0 != database);
            }
            (Part::Journal, Deed::Become, None, _) => self.is_renamed = true,
            (Part::Directory, Deed::SyncNames, None, None) if self.is_renamed => self.has_catalog = true,
            (Part::Directory, Deed::Sync, None, None) => self.is_read_synced = true,
            (Part::Directory, Deed::SyncNames, None, None) if self.is_read_synced => self.is_name_synced = true,
            // A later one has nothing to write for what it covered.
            (Part::Directory, Deed::SyncNames, Some(_), None) => self.is_renamed = false,
            (Part::DamagedCatalog, Deed::Name, None, _) => self.is_rebuilt |= end == End::Well || has_folders(),
            _ => {}
        }
        let is_of_catalog = matches!(part, Part::NewCatalog | Part::Journal | Part::Directory);
        self.is_catalog_full |= is_of_catalog && end == End::Failed(DiskErrorKind::NoSpace);
    }

    /// An alert was raised; `database` is the one that it names.
    ///
    /// # Errors
    /// When nothing has made it due.
    pub(super) fn alerted(&mut self, kind: &AlertKind, database: Option<usize>) -> Result<(), Violation> {
        match (kind, database) {
            (AlertKind::LogFailed(error), _) => {
                let due = self.logs.iter().position(|due| *due == (database, error.code()));
                let Some(due) = due else {
                    return violation!("{kind:?} was raised, and no operation failed so: {:?}", self.logs);
                };
                self.logs.swap_remove(due);
            }
            (AlertKind::PreparationFailed(error), Some(database)) => {
                let is_so = |due: &(usize, ErrorCode)| *due == (database, error.code());
                if let Some(at) = self.spares.iter().position(is_so) {
                    self.spares.swap_remove(at);
                } else if let Some(at) = self.unremoved.iter().position(is_so) {
                    self.unremoved.swap_remove(at);
                } else {
                    return violation!("{kind:?} was raised, and no spare failed so: {:?}", self.spares);
                }
            }
            (AlertKind::NoSpace(_), Some(_)) => self.glimpses.1 += 1,
            (AlertKind::NoSpace(_), None) => {
                if self.is_told_unwritten || self.has_catalog || !self.is_catalog_full {
                    return violation!("{kind:?} was raised again, or the catalog found its space");
                }
                if !self.is_name_synced {
                    return violation!(
                        "{kind:?} was raised, and the catalog that is shown, or its name, was not synced"
                    );
                }
                self.is_told_unwritten = true;
            }
            (AlertKind::CatalogRebuilt(_), _) => {
                if !std::mem::take(&mut self.is_rebuilt) {
                    return violation!("{kind:?} was raised, and no catalog was missing or put aside");
                }
            }
            (AlertKind::CheckpointFailed(error), Some(database)) => self.checkpoint_failed(database, error.code())?,
            (
                AlertKind::ReadOnly(_)
                | AlertKind::Damage(_)
                | AlertKind::PreparationFailed(_)
                | AlertKind::CheckpointFailed(_),
                _,
            ) => {}
        }
        Ok(())
    }

    fn checkpoint_failed(&mut self, database: usize, code: ErrorCode) -> Result<(), Violation> {
        let is_so = |due: &(usize, ErrorCode)| *due == (database, code);
        for due in [&mut self.checkpoints, &mut self.perhaps] {
            if let Some(at) = due.iter().position(is_so) {
                due.swap_remove(at);
                return Ok(());
            }
        }
        violation!("a checkpoint is said to have failed with {code:?}, and nothing of it did: {:?}", self.checkpoints)
    }

    /// Readers see something of a database, or nothing any more.
    pub(super) fn published(&mut self, id: DatabaseId, is_unwritten: Option<bool>) {
        match is_unwritten {
            None => drop(self.shown.remove(&id)),
            Some(is_unwritten) => {
                let is_first = self.shown.insert(id);
                self.glimpses.0 += usize::from(is_first && is_unwritten);
            }
        }
    }

    /// A client was answered well.
    ///
    /// # Errors
    /// When the catalog that this rests on was not written, and nobody said so.
    pub(super) fn answered_well(&self) -> Result<(), Violation> {
        if self.has_catalog || self.is_told_unwritten {
            return Ok(());
        }
        violation!("a client is answered, the catalog was not written, and no alert says so")
    }

    /// The engine has said all that it says at this moment. `is_open` says whether a database takes writes and is not being
    /// closed, `is_busy` whether anything is under way for tables of it.
    ///
    /// # Errors
    /// When an alert is missing.
    pub(super) fn turn_over(
        &mut self,
        is_open: impl Fn(usize) -> bool,
        is_busy: impl Fn(usize) -> bool,
    ) -> Result<(), Violation> {
        self.checkpoints.retain(|due| is_open(due.0));
        self.perhaps.retain(|due| is_open(due.0) && is_busy(due.0));
        if let Some(due) = self.checkpoints.iter().find(|due| !is_busy(due.0)) {
            return violation!("a checkpoint failed, and no alert says so: {due:?}");
        }
        let (shown, told) = std::mem::take(&mut self.glimpses);
        if let Some(due) = self.logs.first() {
            return violation!("a log or a journal failed, and no alert says so: {due:?}");
        }
        if let Some(due) = self.spares.first() {
            return violation!("a spare could not be made, and no alert says so: {due:?}");
        }
        if shown != told {
            return violation!("{shown} databases came to be shown without space, and {told} alerts say so");
        }
        if self.is_rebuilt {
            return violation!("the start goes on without the catalog, and no alert says so");
        }
        Ok(())
    }
}

/// What an operation that failed is told as.
pub(super) fn code_of(deed: Deed, kind: DiskErrorKind) -> ErrorCode {
    match (kind, deed) {
        (DiskErrorKind::NoSpace, _) => ErrorCode::DiskFull,
        (DiskErrorKind::Shortage, _) => ErrorCode::OutOfResources,
        (DiskErrorKind::Permission, _) => ErrorCode::PermissionDenied,
        (_, Deed::Create | Deed::Name | Deed::Remove | Deed::Become | Deed::Close) => ErrorCode::FileOpen,
        (_, Deed::Read | Deed::FreeSpace) => ErrorCode::FileRead,
        (_, Deed::Allocate { .. } | Deed::Write { .. }) => ErrorCode::FileWrite,
        (_, Deed::Sync | Deed::SyncNames) => ErrorCode::FileSync,
    }
}
