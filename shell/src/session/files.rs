//! Whole files: import and export.

use std::path::Path;

use docdb_protocol::{CollectionName, Error};

use super::Session;
use crate::export::{Export, Exported, How};
use crate::import::{Ids, Import, OnExisting};

impl Session {
    pub(super) fn import(
        &mut self,
        file: &Path,
        collection: Option<CollectionName>,
        ids: &Ids,
        on_existing: OnExisting,
        ndjson: bool,
    ) -> Result<(), Error> {
        self.outside_transaction()?;
        let is_named = collection.is_some();
        let collection = self.collection(collection)?;
        let open = self.opened()?;
        let (database, name) = (open.id, open.name.clone());
        let Session { backend, output, interrupt, .. } = self;
        let (name, collection, watched) = (&name, &collection, output.watched);
        let import =
            Import { file, database, name, collection, is_named, ids, on_existing, ndjson, watched, interrupt };
        let imported = import.run(backend.as_mut(), &mut |refused| output.error(refused));
        // Also of an import that failed some documents may be in.
        let database = match (&imported, database) {
            (Ok(imported), _) => imported.database,
            (Err(_), Some(database)) => Some(database),
            (Err(_), None) => self.backend.open(name, docdb_protocol::IfMissing::Fail).ok(),
        };
        self.opened_mut()?.id = database;
        let imported = imported?;
        let count = imported.count;
        if imported.interrupted {
            self.output.interrupted(&format!("{count} imported, which stay"));
            return Ok(());
        }
        if imported.is_without_end {
            self.output.note("the file does not say how many documents it should have; it may have been cut short");
        }
        let skipped = match imported.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        let refused = match imported.refused {
            0 => String::new(),
            refused => format!(", {refused} refused"),
        };
        self.output.line(format!("{count} imported{skipped}{refused}").as_bytes())
    }

    pub(super) fn export(&mut self, file: &Path, collection: Option<&CollectionName>, how: How) -> Result<(), Error> {
        let Some(database) = self.to_read()? else { return Err(self.not_there(self.opened()?)) };
        let Session { backend, output, interrupt, .. } = self;
        let export = Export { file, database, collection, how, interrupt };
        match export.run(backend.as_mut(), &mut |left_out| output.error(left_out))? {
            Exported::All(count) if how.plain => {
                output.note("documents alone: an import gives them other ids");
                output.line(format!("{count} exported").as_bytes())
            }
            Exported::All(count) => output.line(format!("{count} exported").as_bytes()),
            Exported::Interrupted => {
                output.interrupted("nothing was exported");
                Ok(())
            }
        }
    }
}
