//! The published views: what readers see without ever waiting for the engine.
//!
//! Owns one cell a database. The engine's lock orders who publishes; a reader holds a cell's lock
//! only to take its share of the view, so neither ever waits for the other's work.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use docdb_engine::View;
use docdb_protocol::DatabaseId;

/// The current view of one database; empty while it is closed.
#[derive(Default)]
pub(crate) struct ViewCell(RwLock<Option<Arc<View>>>);

impl ViewCell {
    /// A share of the current view.
    pub(crate) fn load(&self) -> Option<Arc<View>> {
        // Only shares are moved while it is held: a poisoned cell is whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn swap(&self, view: Option<Arc<View>>) -> Option<Arc<View>> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), view)
    }
}

/// All cells, by database.
#[derive(Default)]
pub(crate) struct Views(RwLock<BTreeMap<DatabaseId, Arc<ViewCell>>>);

impl Views {
    /// The cell of a database; it stays the same for as long as the data directory is open.
    pub(crate) fn cell(&self, database: DatabaseId) -> Arc<ViewCell> {
        if let Some(cell) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&database) {
            return Arc::clone(cell);
        }
        Arc::clone(self.0.write().unwrap_or_else(PoisonError::into_inner).entry(database).or_default())
    }

    /// The current view of a database; `None` for one that is closed or unknown.
    pub(crate) fn load(&self, database: DatabaseId) -> Option<Arc<View>> {
        let cells = self.0.read().unwrap_or_else(PoisonError::into_inner);
        cells.get(&database).and_then(|cell| cell.load())
    }

    /// Shows a new state, and gives the one it replaces back to be freed where nobody waits.
    pub(crate) fn publish(&self, database: DatabaseId, view: Option<View>) -> Option<Arc<View>> {
        self.cell(database).swap(view.map(Arc::new))
    }
}
