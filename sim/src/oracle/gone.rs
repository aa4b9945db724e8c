//! A database whose folder is gone, removed or replaced while it is open: it latches at once, and nothing of its log is made
//! in what took the folder's place, which may be a copy of it and somebody else's.
//!
//! It sees how syncs of the log end and what is asked of the folder behind that, until the database is let go of.

use std::collections::BTreeSet;

use docdb_engine::DiskErrorKind;

use super::touched::{Deed, End, Part, Touch};
use super::{Violation, violation};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Gone {
    databases: BTreeSet<usize>,
    /// Those that have to latch in this turn.
    due: BTreeSet<usize>,
}

impl Gone {
    /// The engine asks for an operation.
    ///
    /// # Errors
    /// When it makes a segment, or names one, in what took the folder's place.
    pub(super) fn submitted(&mut self, touch: &Touch) -> Result<(), Violation> {
        let Some(database) = touch.database.filter(|database| self.databases.contains(database)) else { return Ok(()) };
        let makes = match touch.deed {
            Deed::Create | Deed::Allocate { .. } => touch.part != Part::Spare,
            Deed::Become => true,
            Deed::Name => touch.file.is_none(),
            Deed::Write { .. } => true,
            Deed::Remove | Deed::Read | Deed::Sync | Deed::SyncNames | Deed::Close | Deed::FreeSpace => false,
        };
        if makes {
            return violation!("the folder of database {database} is gone, and this is done in its place: {touch:?}");
        }
        Ok(())
    }

    /// An operation has ended, of which the engine hears now.
    pub(super) fn delivered(&mut self, touch: &Touch, end: End, is_shown: bool) {
        let is_of_log = touch.part == Part::Active && matches!(touch.deed, Deed::Write { .. } | Deed::Sync);
        if let Some(database) = touch.database.filter(|_| is_of_log && is_shown)
            && end == End::Failed(DiskErrorKind::Gone)
        {
            self.databases.insert(database);
            self.due.insert(database);
        }
    }

    /// A database latches.
    pub(super) fn latches(&mut self, database: usize) {
        self.due.remove(&database);
    }

    /// A database is let go of: the next opening looks its folder up anew.
    pub(super) fn closed(&mut self, database: usize) {
        self.databases.remove(&database);
        self.due.remove(&database);
    }

    /// The engine has said all that it says at this moment.
    ///
    /// # Errors
    /// When a database whose folder is gone goes on.
    pub(super) fn turn_over(&self) -> Result<(), Violation> {
        match self.due.first() {
            Some(database) => violation!("the folder of database {database} is gone, and it does not latch"),
            None => Ok(()),
        }
    }
}
