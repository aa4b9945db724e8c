//! The published views: what readers see without ever waiting for the engine.
//!
//! Owns one cell a database. The engine's lock orders who publishes. A cell holds the view several times
//! over, each a share of its own with a counter of its own, and a thread always reads the same one: readers on
//! different processors write to no line of memory that both use. A reader holds a slot's lock only to take
//! its share. A publisher holds all of them while it replaces the view: nobody sees the old one after
//! somebody saw the new one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use docdb_engine::View;
use docdb_protocol::DatabaseId;

/// More readers than this at a time share slots.
const SLOTS_MAX: usize = 16;

/// How many threads have read yet.
static READERS: AtomicUsize = AtomicUsize::new(0);

std::thread_local! {
    /// The number of this thread among those that read.
    static READER: Cell<usize> = Cell::new(READERS.fetch_add(1, Ordering::Relaxed));
}

/// One share of a view, on lines of memory that hold nothing else.
#[derive(Default)]
#[repr(align(128))]
struct Slot(Mutex<Option<Arc<View>>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<View>>> {
        // Only shares are moved while it is held: a poisoned slot is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The current view of one database; empty while it is closed.
pub(crate) struct ViewCell(Box<[Slot]>);

impl ViewCell {
    fn new(slots: usize) -> ViewCell {
        ViewCell((0..slots).map(|_| Slot::default()).collect())
    }

    /// A share of the current view.
    pub(crate) fn load(&self) -> Option<Arc<View>> {
        // A thread that ends may read once more, from the destructor of a value of its own.
        let reader = READER.try_with(Cell::get).unwrap_or(0);
        self.0[reader % self.0.len()].lock().clone()
    }

    fn swap(&self, view: Option<&View>) -> Vec<Arc<View>> {
        let mut slots: Vec<_> = self.0.iter().map(Slot::lock).collect();
        slots.iter_mut().filter_map(|slot| std::mem::replace(&mut **slot, view.cloned().map(Arc::new))).collect()
    }
}

/// All cells, by database.
pub(crate) struct Views {
    cells: RwLock<BTreeMap<DatabaseId, Arc<ViewCell>>>,
    slots: usize,
}

impl Default for Views {
    fn default() -> Views {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Views { cells: RwLock::default(), slots: processors.min(SLOTS_MAX) }
    }
}

impl Views {
    /// The cell of a database; it stays the same for as long as the data directory is open.
    pub(crate) fn cell(&self, database: DatabaseId) -> Arc<ViewCell> {
        if let Some(cell) = self.cells.read().unwrap_or_else(PoisonError::into_inner).get(&database) {
            return Arc::clone(cell);
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(cells.entry(database).or_insert_with(|| Arc::new(ViewCell::new(self.slots))))
    }

    /// The current view of a database; `None` for one that is closed or unknown.
    pub(crate) fn load(&self, database: DatabaseId) -> Option<Arc<View>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.get(&database).and_then(|cell| cell.load())
    }

    /// Shows a new state, and gives what it replaces back to be freed where nobody waits.
    pub(crate) fn publish(&self, database: DatabaseId, view: Option<&View>) -> Vec<Arc<View>> {
        self.cell(database).swap(view)
    }
}
