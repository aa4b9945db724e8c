//! Databases and collections: opening, closing, listing.

use comfy_table::{CellAlignment, Table, presets};
use docdb_client::CountedCollection;
use docdb_protocol::wire::listing::rfc3339;
use docdb_protocol::{CollectionName, DatabaseInfo, DatabaseName, Error, ErrorCode, IfMissing};

use super::{Open, Session};

impl Session {
    pub(super) fn open_database(&mut self, name: DatabaseName) -> Result<(), Error> {
        self.outside_transaction()?;
        let id = match self.backend.open(&name, IfMissing::Fail) {
            Ok(id) => Some(id),
            Err(error) if error.code() == ErrorCode::DbNotFound => None,
            Err(error) => return Err(error),
        };
        if id.is_none() && self.interactive {
            self.output.note(&format!("{name} is new: its first document makes it"));
        }
        self.open = Some(Open { name, id, collection: CollectionName::default_collection(), transaction: None });
        Ok(())
    }

    pub(super) fn close_database(&mut self) -> Result<(), Error> {
        self.outside_transaction()?;
        if let Some(id) = self.opened()?.id {
            self.backend.close(id)?;
        }
        self.open = None;
        Ok(())
    }

    pub(super) fn list_collections(&mut self) -> Result<(), Error> {
        let Some(database) = self.to_read()? else { return Ok(()) };
        for CountedCollection { name, documents } in self.backend.collections(database)? {
            self.output.line(format!("{name}\t{documents}").as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn list_databases(&mut self) -> Result<(), Error> {
        if let Some(unmade) = self.backend.unmade().filter(|_| !self.interactive) {
            return Err(Error::new(ErrorCode::NotADataDirectory).detail(unmade));
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["NAME", "ID", "DOCUMENTS", "LOG BYTES", "CREATED"]);
        for column in 1..=3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut any_unknown = false;
        for DatabaseInfo { name, id, created_at_unix_ns, log_bytes, documents, .. } in self.backend.databases()? {
            let mut known = |count: Option<u64>| {
                any_unknown |= count.is_none();
                count.map_or_else(|| "?".to_owned(), |count| count.to_string())
            };
            let (id, documents, log_bytes) = (id.to_string(), known(documents), known(log_bytes));
            let created_at = rfc3339(created_at_unix_ns);
            table.add_row([name.as_str().to_owned(), id, documents, log_bytes, created_at]);
        }
        self.output.line(table.trim_fmt().as_bytes())?;
        if any_unknown {
            self.output.note("? is not known, since the database was not closed in order: .open NAME counts it");
        }
        Ok(())
    }
}
