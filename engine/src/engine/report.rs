//! What the engine reports of itself: its figures, and the list of its databases.
//!
//! It only reads. A database that no durable catalog names is left out.

use docdb_protocol::{DatabaseId, DatabaseInfo, Stats};

use super::Engine;
use crate::catalog::Entry;

impl Engine {
    pub(super) fn stats(&self) -> Stats {
        let settled = self.catalog.entries.len() - self.databases.unsettled();
        let open = self.databases.stats();
        let memory_bytes = open.memory_bytes + self.pinned_bytes;
        Stats { databases: settled as u64, memory_bytes, ..open }
    }

    pub(super) fn list(&self) -> Vec<DatabaseInfo> {
        let settled = self.catalog.entries.iter().filter(|(id, _)| self.databases.is_settled(**id));
        let mut list: Vec<DatabaseInfo> = settled.map(|(id, entry)| self.describe(*id, entry)).collect();
        list.sort_by(|one, other| one.name.cmp(&other.name));
        list
    }

    fn describe(&self, id: DatabaseId, entry: &Entry) -> DatabaseInfo {
        let mut info = DatabaseInfo {
            name: entry.name.clone(),
            id,
            created_at_unix_ns: entry.created_at.0,
            open: false,
            read_only: false,
            log_bytes: entry.closed.figures.map(|figures| figures.log_bytes),
            memory_bytes: 0,
            documents: entry.closed.figures.map(|figures| figures.documents),
        };
        if let Some(database) = self.databases.get(id) {
            database.describe(&mut info);
        }
        info
    }
}
