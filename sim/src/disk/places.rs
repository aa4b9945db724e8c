//! Misfortunes of places: a folder that is moved away or replaced under a running process, names that nobody may touch,
//! and what a start cannot look at just now.
//!
//! A folder that is gone stays gone for whoever has files open in it, until somebody looks it up anew by its name. What is
//! synced there reaches the device all the same: it is in the folder that was moved.

use docdb_engine::{DiskErrorKind, DiskOp, OpenMode};

use super::names::InodeId;
use super::{FaultKind, SimDisk};
use crate::choice::Choices;

/// The catalog, and the one that takes its place.
const CATALOG: &str = "catalog";
const NEW_CATALOG: &str = "catalog.new";

/// How what a start looks at fails.
const AT_START: [DiskErrorKind; 4] =
    [DiskErrorKind::Io, DiskErrorKind::Shortage, DiskErrorKind::Permission, DiskErrorKind::Transient];

impl SimDisk {
    /// Notes which process looks at what: one that opens the catalog starts, until it writes one; one that lists a folder
    /// finds the one that stands there now.
    pub(super) fn notice(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Open { file, path, mode: OpenMode::Read } if path.as_str() == CATALOG => {
                self.starting = Some(*file);
            }
            DiskOp::Open { path, mode: OpenMode::CreateNew, .. } if path.as_str() == NEW_CATALOG => {
                self.starting = None;
            }
            DiskOp::List { path, .. } => drop(self.gone.remove(path.as_str())),
            _ => {}
        }
    }

    /// What a start looks at in the folders of the databases may fail.
    pub(super) fn fail_at_start(&mut self, op: &DiskOp, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        let Some(catalog) = self.starting else { return Ok(()) };
        let is_looked_at = match op {
            DiskOp::Open { path, mode: OpenMode::Read, .. } => path.as_str() != CATALOG,
            DiskOp::List { .. } => true,
            DiskOp::Read { file, .. } => *file != catalog,
            _ => false,
        };
        if is_looked_at && self.strikes(choices, FaultKind::StartError) {
            self.strike(FaultKind::StartError, None, None, true);
            let which = choices.choice(FaultKind::StartError.what(), AT_START.len() as u64);
            return Err(AT_START[usize::try_from(which).expect("a small number")]);
        }
        Ok(())
    }

    /// Whoever touches a name may have no permission.
    pub(super) fn fail_for_permission(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        if self.strikes(choices, FaultKind::Denied) {
            self.strike(FaultKind::Denied, None, None, true);
            return Err(DiskErrorKind::Permission);
        }
        Ok(())
    }

    /// Whether the folder of an open file is gone; it may go now, when a log is synced.
    pub(super) fn is_folder_gone(&mut self, file: InodeId, choices: &mut Choices) -> bool {
        if self.gone.is_empty() && self.profile.rate(FaultKind::FolderGone) == 0 {
            return false;
        }
        let Some(path) = self.name_of(file) else { return false };
        let Some((folder, name)) = path.rsplit_once('/') else { return false };
        let goes =
            !self.gone.contains(folder) && name.ends_with(".wal") && self.strikes(choices, FaultKind::FolderGone);
        if goes {
            self.gone.insert(folder.to_owned());
        }
        let is_gone = self.gone.contains(folder);
        if is_gone {
            self.strike(FaultKind::FolderGone, Some(file), None, true);
        }
        is_gone
    }

    /// Whether a folder is gone for whoever syncs its names.
    pub(super) fn is_gone(&mut self, path: &str) -> bool {
        let is_gone = self.gone.contains(path);
        if is_gone {
            self.strike(FaultKind::FolderGone, None, None, true);
        }
        is_gone
    }
}
