//! What a server does, in figures and in sentences.
//!
//! Owns the sentences.

use docdb_protocol::{DatabaseInfo, Stats};

use crate::log::words::{bytes, count};

/// What a server does.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Of the data directory as a whole.
    pub stats: Stats,
    /// Of each database.
    pub databases: Vec<DatabaseInfo>,
    /// Connections that are served.
    pub connections: u64,
    /// Connections that were served since the start, with these.
    pub connections_served: u64,
    /// Connections that were refused since the start.
    pub connections_refused: u64,
    /// Requests that the engine works on.
    pub requests_in_work: u64,
}

impl Statistics {
    /// The whole, as people read it.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Stats { databases, databases_open, transactions, log_bytes, memory_bytes } = self.stats;
        format!(
            "{}, {databases_open} open; {}, {} of log, {} in memory; {}, {} served, {} refused; {} in work",
            count(databases, "database"),
            count(transactions, "transaction"),
            bytes(log_bytes),
            bytes(memory_bytes),
            count(self.connections, "connection"),
            self.connections_served,
            self.connections_refused,
            count(self.requests_in_work, "request")
        )
    }

    /// One database, as people read it.
    #[must_use]
    pub fn sentence_of(database: &DatabaseInfo) -> String {
        let documents =
            database.documents.map_or("documents not counted yet".to_owned(), |documents| count(documents, "document"));
        let log = database.log_bytes.map_or("log not measured yet".to_owned(), |log| format!("{} of log", bytes(log)));
        let state = match (database.open, database.read_only) {
            (false, _) => "closed",
            (true, false) => "open",
            (true, true) => "open for reading alone",
        };
        format!("{state}, {documents}, {log}, {} in memory", bytes(database.memory_bytes))
    }
}
