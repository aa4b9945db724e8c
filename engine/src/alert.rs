//! What an operator should know although no client asked.

use docdb_protocol::{DatabaseName, Error};

/// One message for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The database concerned; `None` for the data directory as a whole.
    pub database: Option<DatabaseName>,
    /// What happened.
    pub kind: AlertKind,
}

/// What an alert is about. A closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertKind {
    /// A write or sync of a log failed, and writing goes on in a new segment; or of the catalog's journal, and the catalog
    /// is written anew.
    LogFailed(Error),
    /// The database takes no more writes until it is opened again.
    ReadOnly(Error),
    /// There is no space to go on writing: reads go on, and each write tries again.
    NoSpace(Error),
    /// Acknowledged data is missing or damaged; the database is open for reading.
    Damage(Error),
    /// The catalog was unreadable and was rebuilt from the databases' folders.
    CatalogRebuilt(Error),
    /// A checkpoint failed: the log grows on, and the next one is tried when it has grown by as much again. Nothing is lost.
    CheckpointFailed(Error),
    /// Preparing something ahead of need failed; it will be tried again when needed.
    PreparationFailed(Error),
}
