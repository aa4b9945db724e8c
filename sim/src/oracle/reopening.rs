//! Whether a database that was refused for want of memory did not fit: what was taken has to be opened again, as long as the
//! others have left it its room.
//!
//! It decides only where all that is held is known: where nobody waits for another database, and none is shown in part.

use docdb_engine::View;
use docdb_models::State;

use super::room::document_bytes;
use super::{Checker, Violation, violation};

/// A replay may exceed what the others leave by this part.
const ALLOWANCE: u64 = 16;

impl Checker {
    /// An opening was refused for want of memory.
    ///
    /// # Errors
    /// When none of the states that a replay goes through takes as much as there is.
    pub(super) fn does_not_fit(&self, database: usize) -> Result<(), Violation> {
        let waits_for_another = self.asked.values().any(|(asked, _)| asked.database() != Some(database));
        let is_shown_in_part = self.databases.iter().any(|tracked| tracked.is_glimpsed);
        let is_known = !waits_for_another && !is_shown_in_part && self.unclaimed.is_empty();
        if !is_known || self.stopping || self.is_unwritten || self.doubt.is_any() {
            return Ok(());
        }
        let others_bytes: u64 =
            self.databases.iter().filter_map(|tracked| tracked.shown.as_ref()).map(View::memory_bytes).sum();
        let free_bytes = self.memory_bytes_free().saturating_sub(others_bytes);
        let allowed_bytes = free_bytes.saturating_add(free_bytes / ALLOWANCE);
        let tracked = &self.databases[database];
        let states = (0..=tracked.model.newest()).filter_map(|tx| tracked.model.state_after(tx));
        let most_bytes = states.map(held_bytes).max().unwrap_or(0);
        if most_bytes <= allowed_bytes {
            let name = &tracked.name;
            return violation!(
                "{name} was not opened for want of memory: it never took more than {most_bytes} bytes, and {free_bytes} are free"
            );
        }
        Ok(())
    }
}

fn held_bytes(state: &State) -> u64 {
    state.iter().map(|((_, id), content)| document_bytes(id, content.len())).sum()
}
