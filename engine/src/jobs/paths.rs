//! Where the data directory has its catalog and the folders of its databases.

use crate::disk::DiskPath;

/// The folder that has the databases' folders.
pub(crate) fn databases_path() -> DiskPath {
    DiskPath::root().join("db")
}

/// The catalog.
pub(crate) fn catalog_path() -> DiskPath {
    DiskPath::root().join("catalog")
}

/// One that is being written, and no catalog yet.
pub(super) fn new_catalog_path() -> DiskPath {
    DiskPath::root().join("catalog.new")
}

/// Where one that could not be read is kept.
pub(super) fn damaged_catalog_path() -> DiskPath {
    DiskPath::root().join("catalog.damaged")
}
