//! What the operator should know, in words.
//!
//! Owns the sentences that an alert becomes. Decides nothing: the engine says what happened.

use std::fmt;

use docdb_engine::AlertKind;
use docdb_protocol::DatabaseName;

/// One message for the operator. Displayed, it is one sentence: which database, what happened, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The database concerned; `None` for the data directory as a whole.
    pub database: Option<DatabaseName>,
    /// What happened.
    pub kind: AlertKind,
}

impl From<docdb_engine::Alert> for Alert {
    fn from(alert: docdb_engine::Alert) -> Alert {
        let docdb_engine::Alert { database, kind } = alert;
        Alert { database, kind }
    }
}

impl Alert {
    /// Whether somebody has to do something before all is well again; else it goes on by itself.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        match self.kind {
            AlertKind::ReadOnly(_) | AlertKind::NoSpace(_) | AlertKind::Damage(_) | AlertKind::CatalogRebuilt(_) => {
                true
            }
            AlertKind::LogFailed(_) | AlertKind::CheckpointFailed(_) | AlertKind::PreparationFailed(_) => false,
        }
    }

    /// What happened and why, without the database.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (what, why) = match &self.kind {
            AlertKind::LogFailed(error) if self.database.is_none() => {
                ("writing the catalog failed, and it is written anew", error)
            }
            AlertKind::LogFailed(error) => ("writing the log failed, and writing goes on in a new segment", error),
            AlertKind::ReadOnly(error) => ("it takes no more writes until it is closed and opened again", error),
            AlertKind::NoSpace(error) => {
                ("there is no space to go on writing; reads go on, and each write tries again", error)
            }
            AlertKind::Damage(error) => ("acknowledged data is missing or damaged; it is open for reading", error),
            AlertKind::CatalogRebuilt(error) => {
                ("the catalog could not be read and was rebuilt from the folders of the databases", error)
            }
            AlertKind::CheckpointFailed(error) => {
                ("a checkpoint failed; nothing is lost, and the next one is tried when the log has grown", error)
            }
            AlertKind::PreparationFailed(error) => {
                ("preparing a file ahead of need failed; it is tried again when it is needed", error)
            }
        };
        format!("{what}: {why}")
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(name) => write!(formatter, "database {:?}: ", name.as_str())?,
            None => formatter.write_str("data directory: ")?,
        }
        formatter.write_str(&self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{Error, ErrorCode};

    use super::*;

    #[test]
    fn an_alert_is_a_sentence() {
        let why = || Error::new(ErrorCode::FileSync).file("db/a/a.wal").detail("Input/output error");
        let name = DatabaseName::parse("a").expect("a name");
        let alert = Alert { database: Some(name), kind: AlertKind::ReadOnly(why()) };
        assert_eq!(
            alert.to_string(),
            "database \"a\": it takes no more writes until it is closed and opened again: failed to sync file, file \
             \"db/a/a.wal\": Input/output error"
        );
        let alert = Alert { database: None, kind: AlertKind::LogFailed(why()) };
        assert!(alert.to_string().starts_with("data directory: writing the catalog failed, "), "{alert}");
    }
}
