//! The published views: what readers see without ever waiting for the engine.
//!
//! Owns one cell a database, and knows which replaced views readers still hold. The engine's lock orders who publishes. A
//! cell holds the view several times, each a share of its own with a counter of its own, and a thread always reads
//! the same one: readers on different processors write to no line of memory that both use. A reader holds a slot's lock only to take
//! its share. A publisher holds all of them while it replaces the view: nobody sees the old one after
//! somebody saw the new one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

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

/// A view that was replaced while a reader held it.
struct Held {
    view: Weak<View>,
    /// Whether the current view of its database is a later state of the same opening, and shares with it.
    shares: bool,
}

/// All cells, by database.
pub(crate) struct Views {
    cells: RwLock<BTreeMap<DatabaseId, Arc<ViewCell>>>,
    slots: usize,
    /// Replaced views, the oldest first. Used under the engine's lock alone.
    held: Mutex<BTreeMap<DatabaseId, Vec<Held>>>,
}

impl Default for Views {
    fn default() -> Views {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Views { cells: RwLock::default(), slots: processors.min(SLOTS_MAX), held: Mutex::default() }
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
        let replaced = self.cell(database).swap(view);
        let mut held = self.held();
        // Readers who took a share before the swap have it by now, and no reader takes one of a replaced view again.
        for view in replaced.iter().filter(|view| Arc::strong_count(view) > 1) {
            held.entry(database).or_default().push(Held { view: Arc::downgrade(view), shares: true });
        }
        if view.is_none()
            && let Some(held) = held.get_mut(&database)
        {
            held.iter_mut().for_each(|held| held.shares = false);
        }
        drop(held);
        replaced
    }

    /// The bytes that readers alone keep in memory, at most, by the views that they hold. Forgets those that were let go.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        let mut held = self.held();
        let mut pinned_bytes = 0;
        held.retain(|database, held| {
            held.retain(|held| held.view.strong_count() > 0);
            // What several views keep counts once, by the newest of them that keeps it.
            let mut newer = self.load(*database);
            for held in held.iter().rev() {
                let Some(view) = held.view.upgrade() else { continue };
                pinned_bytes += match newer.as_ref().filter(|_| held.shares) {
                    Some(newer) => view.bytes_kept_beside(newer),
                    None => view.memory_bytes(),
                };
                newer = held.shares.then_some(view);
            }
            !held.is_empty()
        });
        pinned_bytes
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<DatabaseId, Vec<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
