//! What a start may take for the databases that there are, where no catalog says it: those of all folders, each of which it
//! could read. A folder that is left out because of a passing error has its name and its numbers given to another database.
//!
//! It sees what a start asks of the databases' folder and what comes back, up to the first catalog that it writes. It knows
//! nothing of what the folders hold.

use std::collections::BTreeMap;

use docdb_engine::{Completion, DiskErrorKind, DiskOp, FileId, OpId, OpenMode};

use super::{Violation, violation};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Rebuilds {
    /// What is open of the folders, and what is asked of them, by its path.
    open: BTreeMap<FileId, String>,
    in_flight: BTreeMap<OpId, String>,
    /// The first of them that could not be read, and how.
    unread: Option<(String, DiskErrorKind)>,
    /// The operation that looks for the catalog, and whether there was none.
    looks: Option<OpId>,
    is_missing: bool,
    /// A catalog is being written: what comes now is no start's any more.
    is_over: bool,
}

impl Rebuilds {
    /// The process died.
    pub(super) fn crashed(&mut self) {
        *self = Rebuilds::default();
    }

    /// The engine asks for an operation.
    ///
    /// # Errors
    /// When it begins a first catalog of a directory whose folders it could not read.
    pub(super) fn submitted(&mut self, id: OpId, op: &DiskOp) -> Result<(), Violation> {
        if self.is_over {
            return Ok(());
        }
        let asked = match op {
            DiskOp::Open { path, mode: OpenMode::CreateNew, .. } if path.as_str() == "catalog.new" => {
                self.is_over = true;
                return if self.is_missing { self.all_were_read("the first catalog is written") } else { Ok(()) };
            }
            DiskOp::Open { path, mode: OpenMode::Read, .. } if path.as_str() == "catalog" => {
                self.looks = Some(id);
                return Ok(());
            }
            DiskOp::Open { file, path, mode: OpenMode::Read } if is_of_folders(path.as_str()) => {
                self.open.insert(*file, path.as_str().to_owned());
                Some(path.as_str())
            }
            DiskOp::List { path, .. } if is_of_folders(path.as_str()) => Some(path.as_str()),
            DiskOp::Read { file, .. } => self.open.get(file).map(String::as_str),
            _ => None,
        };
        if let Some(path) = asked.map(str::to_owned) {
            self.in_flight.insert(id, path);
        }
        Ok(())
    }

    /// The engine hears of a completion.
    pub(super) fn delivered(&mut self, completion: &Completion) {
        let error = completion.result.as_ref().err().map(|error| error.kind);
        if self.looks == Some(completion.id) {
            self.is_missing = error == Some(DiskErrorKind::NotFound);
        }
        let Some(path) = self.in_flight.remove(&completion.id) else { return };
        if let Some(kind) = error.filter(|kind| hides_what_is_there(*kind)) {
            self.unread.get_or_insert((path, kind));
        }
    }

    /// The operator hears that the catalog was rebuilt.
    ///
    /// # Errors
    /// When a folder could not be read.
    pub(super) fn rebuilt(&self) -> Result<(), Violation> {
        self.all_were_read("the catalog is rebuilt")
    }

    fn all_were_read(&self, what: &str) -> Result<(), Violation> {
        match &self.unread {
            Some((path, kind)) => violation!("{what}, and {path} could not be read: {kind:?}"),
            None => Ok(()),
        }
    }
}

/// Whether a path is the folder of the databases, or in it.
fn is_of_folders(path: &str) -> bool {
    path == "db" || path.starts_with("db/")
}

/// Whether there may be something all the same.
fn hides_what_is_there(kind: DiskErrorKind) -> bool {
    match kind {
        DiskErrorKind::Permission
        | DiskErrorKind::Transient
        | DiskErrorKind::Shortage
        | DiskErrorKind::Gone
        | DiskErrorKind::NoSpace
        | DiskErrorKind::Io => true,
        DiskErrorKind::NotFound | DiskErrorKind::Exists => false,
    }
}
