//! DocDB, embedded: a JSON document database that keeps what it acknowledged through any crash.
//!
//! A data directory holds any number of databases, a database any number of collections, a collection JSON documents
//! under ids of your choice, numbers and texts, or under the next number. When [`Collection::create`] returns, the document
//! is on the device; the bytes you read are the bytes you wrote.
//!
//! ```
//! # fn main() -> Result<(), docdb::Error> {
//! # let directory = tempfile::tempdir().expect("a directory for the example");
//! # let path = directory.path().join("data");
//! let docdb = docdb::DocDb::open(path)?;
//! let library = docdb.database("library")?;
//!
//! let books = library.collection("books")?;
//!
//! books.create("momo", &serde_json::json!({"title": "Momo"}))?;
//! books.update_bytes("momo", br#"{"title": "Momo", "year": 1973}"#)?;
//! let number = books.insert(&serde_json::json!({"title": "Krabat"}))?;
//!
//! // All or nothing:
//! let mut transaction = library.transaction();
//! transaction.put("books", 7, &"Ronja")?.delete("books", "momo")?;
//! transaction.commit()?;
//!
//! assert_eq!((number, books.get("momo")?), (1, None));
//! assert_eq!(books.get_as::<String>(7)?.as_deref(), Some("Ronja"));
//! docdb.close()
//! # }
//! ```
//!
//! This crate owns what the engine must not know: files, threads, clocks, and the lock on the
//! directory. It decides nothing about what is stored or when it is durable; every such decision is
//! the engine's. It never prints, and installs no signal handler.

mod alert;
mod collection;
mod core;
#[cfg(test)]
mod core_tests;
mod database;
mod desk;
// The feature lets the tests reach what is public in it.
#[cfg_attr(not(feature = "internals"), allow(dead_code, unreachable_pub))]
mod file_disk;
mod lock;
mod lookup;
mod messages;
mod options;
mod patch;
mod planted;
mod scan;
mod seat;
mod sync;
mod system_clock;
mod transaction;
mod views;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use alert::Alert;
pub use collection::Collection;
pub use database::Database;
pub use docdb_engine::{AlertKind, Lookup, Options as EngineOptions, Scanned, View};
pub use docdb_protocol::{
    Action, Atomicity, CollectionName, Context, DatabaseId, DatabaseInfo, DatabaseName, Document, DocumentId, Error,
    ErrorClass, ErrorCode, Expectation, IfMissing, IntoDocumentId, Operation, OperationReply, OperationResult, Patch,
    Reply, Request, Response, Stats, TxId,
};
pub use lookup::read;
pub use options::{AlertHook, Options};
pub use patch::PATCH_TRIES_MAX;
pub use scan::Scan;
pub use transaction::{Committed, Transaction};

use crate::core::Core;
use crate::file_disk::kernel::{Kernel, System};
use crate::file_disk::{FileDisk, Root};
use crate::lock::DirectoryLock;

/// The inside, for the tests of this crate alone.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    use super::{Arc, DocDb, Error, Options, Path};

    pub use crate::file_disk::kernel::{Kernel, System};
    pub use crate::file_disk::{FileDisk, Finished, Task, Worker};

    /// As [`DocDb::open_with`], with other system calls: for tests of what the files are asked to keep.
    ///
    /// # Errors
    /// See [`DocDb::open_with`].
    pub fn open_over(path: &Path, options: Options, kernel: Arc<dyn Kernel>) -> Result<DocDb, Error> {
        DocDb::open_over(path, options, kernel)
    }
}

/// An open data directory. Clones share it; the last one that is dropped closes it.
#[derive(Clone)]
pub struct DocDb {
    running: Arc<Running>,
}

/// Stops the engine with the last handle, of whichever kind.
struct Running {
    core: Arc<Core>,
    root: Root,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.core.stop();
    }
}

impl DocDb {
    /// Opens the data directory at `path`, creating it if there is none, with the settings for production.
    ///
    /// # Errors
    /// See [`DocDb::open_with`].
    pub fn open(path: impl AsRef<Path>) -> Result<DocDb, Error> {
        DocDb::open_with(path, Options::default())
    }

    /// Opens the data directory at `path`, creating it and the directories above it if there is none.
    /// Returns when the catalog is read; each database is opened at its first use.
    ///
    /// # Errors
    /// - [`ErrorCode::NotADataDirectory`] when something lies there that is not DocDB's; nothing is changed.
    /// - [`ErrorCode::DirectoryLocked`] when another process, or another [`DocDb`], holds it.
    /// - [`ErrorCode::NewerFormat`] when a later version wrote it.
    /// - [`ErrorCode::PermissionDenied`], and whatever else keeps the catalog from being read.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<DocDb, Error> {
        DocDb::open_over(path.as_ref(), options, Arc::new(System))
    }

    fn open_over(path: &Path, mut options: Options, kernel: Arc<dyn Kernel>) -> Result<DocDb, Error> {
        options.engine.new_directory = new_directory()?;
        let directory = DirectoryLock::take(path, &options.program, &*kernel)?;
        let (disk, root) = FileDisk::open_locked(path, Some(directory.file()), kernel).map_err(|error| {
            Error::new(ErrorCode::FileOpen).detail(format!("cannot open the directory {}: {error}", path.display()))
        })?;
        let running = Running { core: Core::start(disk, directory, options)?, root };
        let docdb = DocDb { running: Arc::new(running) };
        // The engine answers once the catalog is loaded, or says why it cannot be.
        docdb.stats()?;
        Ok(docdb)
    }

    /// The database of this name; it is created when there is none.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDatabaseName`], and whatever keeps it from being opened or created.
    pub fn database(&self, name: &str) -> Result<Database, Error> {
        self.open_database(name, IfMissing::Create)
    }

    /// The database of this name, which exists.
    ///
    /// # Errors
    /// [`ErrorCode::DbNotFound`] when there is none; else as [`DocDb::database`].
    pub fn existing_database(&self, name: &str) -> Result<Database, Error> {
        self.open_database(name, IfMissing::Fail)
    }

    fn open_database(&self, name: &str, if_missing: IfMissing) -> Result<Database, Error> {
        let name = DatabaseName::parse(name)?;
        match self.request(Request::OpenDatabase { name: name.clone(), if_missing })? {
            Reply::Database(id) => Ok(Database::new(self.clone(), id, name)),
            other => Err(unexpected(&other)),
        }
    }

    /// One entry a database, by name.
    ///
    /// # Errors
    /// [`ErrorCode::PoolStopped`] after [`DocDb::close`].
    pub fn databases(&self) -> Result<Vec<DatabaseInfo>, Error> {
        match self.request(Request::ListDatabases)? {
            Reply::Databases(databases) => Ok(databases),
            other => Err(unexpected(&other)),
        }
    }

    /// Counts of the whole data directory.
    ///
    /// # Errors
    /// [`ErrorCode::PoolStopped`] after [`DocDb::close`].
    pub fn stats(&self) -> Result<Stats, Error> {
        match self.request(Request::Stats)? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks and waits for the answer. The calling thread carries out what it waits for, unless another
    /// one does: a single writer never waits for another thread.
    ///
    /// # Errors
    /// The engine's answer.
    pub fn request(&self, request: Request) -> Response {
        self.running.core.request(request)
    }

    /// Asks without waiting. `then` is called exactly once: by this thread, where there is nothing to wait
    /// for, else by a thread that DocDB has for such calls alone. It may submit again and may drop the last
    /// handle; while it runs, other answers to what was submitted wait, but nothing of the disk does.
    pub fn submit(&self, request: Request, then: impl FnOnce(Response) + Send + 'static) {
        self.running.core.submit(request, Box::new(then));
    }

    /// Answers what is pending, closes every database, and frees the directory for others. Handles that
    /// are left answer [`ErrorCode::PoolStopped`]. Dropping the last handle does the same, but
    /// reports no error.
    ///
    /// # Errors
    /// [`ErrorCode::PoolStopped`] when the engine had stopped on an internal error before;
    /// [`ErrorCode::FileOpen`] when the directory is not in its place any more.
    pub fn close(self) -> Result<(), Error> {
        // While the directory is still open, so that no other one can have its number.
        let in_place = self.running.root.check();
        self.running.core.stop();
        self.running.core.failure().map_or(Ok(()), Err)?;
        in_place.map_err(|_| {
            let detail = "the data directory was removed or replaced while it was open: what it held is not there";
            Error::new(ErrorCode::FileOpen).detail(detail)
        })
    }
}

impl fmt::Debug for DocDb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DocDb").finish_non_exhaustive()
    }
}

/// What a data directory is called that is made: random, so that no two are called the same.
fn new_directory() -> Result<docdb_engine::DirectoryId, Error> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
        Error::new(ErrorCode::OutOfResources).detail(format!("no random number is to be had: {error}"))
    })?;
    Ok(docdb_engine::DirectoryId(u128::from_le_bytes(bytes)))
}

/// The engine answered another question than the one asked: a bug, reported rather than panicked about.
fn unexpected(reply: &Reply) -> Error {
    Error::new(ErrorCode::InvalidRequest).detail(format!("unexpected reply {reply:?}"))
}
