//! The order in which a checkpoint becomes durable, judged as the engine asks: whatever a crash would show, since either copy of
//! the metadata makes up for the other one.
//!
//! - A manifest gets its name when it is synced, and so are its tables and their names.
//! - The record is written when the manifest's name is durable.
//! - A segment, or a table that a manifest named, is removed when that name and the record are durable; never one that the
//!   newest manifest names.
//!
//! Of what failed it knows nothing: a sync counts when it succeeds.

use std::collections::{BTreeMap, BTreeSet};

use docdb_engine::{Completion, DiskOp, FileId, OpId, OpenMode};

use super::super::files::folder_of;
use crate::oracle::{Violation, violation};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Tables, manifests and segments that are open.
    files: BTreeMap<FileId, String>,
    in_flight: BTreeMap<OpId, Sync>,
    /// Tables and manifests that were written since they were synced last.
    unsynced: BTreeSet<String>,
    folders: BTreeMap<String, Folder>,
}

/// A sync under way.
#[derive(Clone, Debug)]
enum Sync {
    File(FileId),
    Names {
        folder: String,
        /// How many names were changed before it.
        changes: u64,
    },
}

#[derive(Clone, Debug, Default)]
struct Folder {
    /// Names of tables and manifests that were made or changed, and up to which of them they are durable.
    changes: u64,
    durable_changes: u64,
    /// Tables that a manifest named, and those of the newest one.
    named: BTreeSet<u64>,
    newest: BTreeSet<u64>,
    record: Record,
    /// Tables that were made since the database was opened, and neither named nor removed.
    made: BTreeSet<u64>,
}

/// How far the record of the newest manifest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Record {
    #[default]
    None,
    Written(FileId),
    Durable,
}

impl Folder {
    fn is_durable(&self) -> bool {
        self.changes == self.durable_changes && self.record == Record::Durable
    }
}

impl Order {
    /// The process died.
    pub(super) fn crashed(&mut self) {
        *self = Order::default();
    }

    /// The engine asks for an operation. `is_open` says whether readers see the database that it is about.
    pub(super) fn submitted(&mut self, id: OpId, op: &DiskOp, is_open: bool) -> Result<(), Violation> {
        match op {
            DiskOp::Open { file, path, mode: OpenMode::CreateNew } => {
                self.files.insert(*file, path.as_str().to_owned());
                let table = path.as_str().rsplit_once(".data.").and_then(|(_, number)| number.parse().ok());
                if let Some((folder, table)) = folder_of(path.as_str()).zip(table) {
                    let folder = self.folders.entry(folder.to_owned()).or_default();
                    folder.changes += 1;
                    folder.made.insert(table);
                }
            }
            DiskOp::Close { file } => drop(self.files.remove(file)),
            DiskOp::Write { file, .. } => {
                let stored = |path: &&String| path.contains(".data.") || path.contains(".manifest");
                self.unsynced.extend(self.files.get(file).filter(stored).cloned());
            }
            DiskOp::Sync { file } => drop(self.in_flight.insert(id, Sync::File(*file))),
            DiskOp::SyncDirectory { path } => {
                if let Some(folder) = path.as_str().strip_prefix("db/") {
                    let changes = self.folders.get(folder).map_or(0, |folder| folder.changes);
                    self.in_flight.insert(id, Sync::Names { folder: folder.to_owned(), changes });
                }
            }
            DiskOp::Rename { to, .. } if to.as_str().ends_with(".manifest") => self.named(to.as_str())?,
            DiskOp::Unlink { path } => {
                self.unsynced.remove(path.as_str());
                self.removed(path.as_str(), is_open)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A manifest is written that will name these tables.
    pub(super) fn manifest(&mut self, folder: &str, tables: impl Iterator<Item = u64>) {
        self.folders.entry(folder.to_owned()).or_default().newest = tables.collect();
    }

    /// The record of the newest manifest is written into this file; by an opening, which read it, where the database is not open.
    pub(super) fn recorded(&mut self, folder: &str, file: FileId, is_open: bool) -> Result<(), Violation> {
        let folder = self.folders.entry(folder.to_owned()).or_default();
        if folder.changes != folder.durable_changes && is_open {
            return violation!("a checkpoint's record is written, and its manifest's name is not durable");
        }
        folder.record = Record::Written(file);
        Ok(())
    }

    /// A database is being opened.
    pub(super) fn opens(&mut self, folder: &str) {
        let folder = self.folders.entry(folder.to_owned()).or_default();
        folder.made.clear();
        // What it finds both copies of is durable when it goes on.
        folder.record = Record::Durable;
        folder.durable_changes = folder.changes;
    }

    /// The tables of a database that were made and that nothing names.
    pub(super) fn unnamed(&self, folder: &str) -> impl Iterator<Item = String> {
        let made = self.folders.get(folder).map(|folder| folder.made.iter()).into_iter().flatten();
        made.map(move |table| format!("db/{folder}/{folder}.data.{table}"))
    }

    fn named(&mut self, path: &str) -> Result<(), Violation> {
        let Some(name) = folder_of(path) else { return Ok(()) };
        let newest = self.folders.get(name).map(|folder| folder.newest.iter()).into_iter().flatten();
        let tables = newest.map(|table| format!("db/{name}/{name}.data.{table}"));
        let mut files = tables.chain([format!("{path}.new")]);
        if let Some(unsynced) = files.find(|file| self.unsynced.contains(file)) {
            return violation!("{path} gets its name, and {unsynced} is not synced");
        }
        let folder = self.folders.entry(name.to_owned()).or_default();
        if folder.changes != folder.durable_changes {
            return violation!("{path} gets its name, and the names of its tables are not durable");
        }
        folder.changes += 1;
        folder.named.extend(&folder.newest);
        folder.made.clear();
        folder.record = Record::None;
        Ok(())
    }

    fn removed(&mut self, path: &str, is_open: bool) -> Result<(), Violation> {
        let Some((name, file)) = path.strip_prefix("db/").and_then(|path| path.split_once('/')) else { return Ok(()) };
        let folder = self.folders.entry(name.to_owned()).or_default();
        let number = |middle: &str| file.strip_prefix(name)?.strip_prefix(middle)?.parse::<u64>().ok();
        let is_segment = number(".wal.").is_some() && is_open;
        let removed = number(".data.");
        if let Some(table) = removed {
            folder.made.remove(&table);
        }
        let table = removed.filter(|table| folder.named.contains(table));
        if file.strip_prefix(name) == Some(".manifest") {
            return violation!("{path} is removed");
        }
        if (is_segment || table.is_some()) && !folder.is_durable() {
            return violation!("{path} is removed, and what makes it superfluous is not durable: {folder:?}");
        }
        if let Some(table) = table {
            if folder.newest.contains(&table) {
                return violation!("{path} is removed, and the newest manifest names it");
            }
            folder.named.remove(&table);
        }
        Ok(())
    }

    /// The engine hears of a completion.
    pub(super) fn delivered(&mut self, completion: &Completion) {
        let Some(sync) = self.in_flight.remove(&completion.id).filter(|_| completion.result.is_ok()) else { return };
        match sync {
            Sync::File(file) => {
                if let Some(path) = self.files.get(&file) {
                    self.unsynced.remove(path);
                }
                for folder in self.folders.values_mut().filter(|folder| folder.record == Record::Written(file)) {
                    folder.record = Record::Durable;
                }
            }
            Sync::Names { folder, changes } => {
                let folder = self.folders.entry(folder).or_default();
                folder.durable_changes = folder.durable_changes.max(changes);
            }
        }
    }
}
