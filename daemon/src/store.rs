//! The host, as the daemon sees it: the only module that names the crate `docdb`.
//!
//! Owns the turn from callbacks to futures and from blocking calls to worker threads. It never
//! looks into a request and never decides anything about one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use docdb::{Alert, DocDb, Options, View};
use docdb_protocol::{
    CollectionName, DatabaseId, DatabaseInfo, DocumentId, Error, ErrorCode, Patch, Reply, Request, Response, Stats,
    TxId,
};
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::outstanding::Ticket;

pub use docdb::EngineOptions;
pub(crate) use docdb::{Lookup, Scanned, read};

/// A published state, held for as long as an answer needs it.
pub(crate) type SharedView = Arc<View>;

/// One open data directory. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    docdb: DocDb,
    /// Requests that the engine has and has not answered.
    in_flight: Arc<AtomicU64>,
}

/// Counts one request for as long as it lives.
struct InFlight(Arc<AtomicU64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Waiting(oneshot::Receiver<Response>);

impl Store {
    /// Opens the data directory and takes its lock. Blocks.
    pub(crate) fn open(data_dir: &Path, engine: EngineOptions) -> Result<Store, Error> {
        let options = Options { engine, on_alert: Some(Arc::new(log_alert)), ..Options::default() };
        Ok(Store { docdb: DocDb::open_with(data_dir, options)?, in_flight: Arc::default() })
    }

    fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }

    /// Hands a request to the engine. It is in the engine's queue when this returns, so requests submitted
    /// one after the other are admitted in that order. The ticket is given back before the answer arrives.
    pub(crate) fn submit(&self, request: Request, ticket: Ticket) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        self.ask(request, move |response| {
            drop(ticket);
            // The connection may be gone; the write is done all the same.
            let _ = sender.send(response);
        });
        Waiting(receiver)
    }

    /// What readers of a database see now. It is opened when it is closed.
    pub(crate) async fn view(&self, database: DatabaseId, ticket: Ticket) -> Result<SharedView, Error> {
        let (sender, receiver) = oneshot::channel();
        self.docdb.submit_view(database, move |view| {
            drop(ticket);
            // The connection may be gone.
            let _ = sender.send(view);
        });
        receiver.await.unwrap_or_else(|_| Err(Error::new(ErrorCode::PoolStopped).detail("the engine stopped")))
    }

    /// As [`Store::submit`]; `then` is called with the response, by this thread where there is nothing to wait for.
    pub(crate) fn ask(&self, request: Request, then: impl FnOnce(Response) + Send + 'static) {
        let in_flight = self.begin();
        self.docdb.submit(request, move |response| {
            drop(in_flight);
            then(response);
        });
    }

    /// As [`Store::view`]; `then` is called with the view, by this thread where the database is open.
    pub(crate) fn look(&self, database: DatabaseId, then: impl FnOnce(Result<SharedView, Error>) + Send + 'static) {
        self.docdb.submit_view(database, then);
    }

    /// Changes a document by a patch. Blocks.
    pub(crate) fn patch(
        &self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
        patch: &Patch,
    ) -> Result<TxId, Error> {
        let _in_flight = self.begin();
        self.docdb.patch(database, collection, id, patch)
    }

    /// The catalog. Blocks.
    pub(crate) fn databases(&self) -> Result<Vec<DatabaseInfo>, Error> {
        self.docdb.databases()
    }

    /// Counts of the whole data directory. Blocks.
    pub(crate) fn stats(&self) -> Result<Stats, Error> {
        self.docdb.stats()
    }

    /// As [`Store::stats`], without blocking: an answer is a sign that the engine is at work.
    pub(crate) async fn stats_now(&self) -> Result<Stats, Error> {
        let (sender, receiver) = oneshot::channel();
        self.docdb.submit(Request::Stats, move |response| {
            // Who asked may have gone.
            let _ = sender.send(response);
        });
        match receiver.await {
            Ok(Ok(Reply::Stats(stats))) => Ok(stats),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(Error::new(ErrorCode::PoolStopped).detail("the engine gave no statistics")),
        }
    }

    /// How many requests were submitted and are not answered.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Syncs, closes every database and gives the lock back. Blocks.
    pub(crate) fn close(self) -> Result<(), Error> {
        self.docdb.close()
    }
}

/// What the operator should know: a database that takes no more writes must not stay unnoticed.
fn log_alert(alert: &Alert) {
    let sentence = alert.sentence();
    match (alert.needs_somebody(), &alert.database) {
        (true, Some(name)) => error!(database = name.as_str(), "alert: {sentence}"),
        (true, None) => error!("alert: data directory: {sentence}"),
        (false, Some(name)) => warn!(database = name.as_str(), "alert: {sentence}"),
        (false, None) => warn!("alert: data directory: {sentence}"),
    }
}

impl Waiting {
    /// Whether the answer has arrived.
    pub(crate) fn is_here(&self) -> bool {
        !self.0.is_empty()
    }

    /// The answer. Where the host ends without one, the outcome is unknown, and the client is answered so.
    pub(crate) async fn response(self) -> Response {
        self.0.await.unwrap_or_else(|_| Err(Error::new(ErrorCode::OutcomeUnknown).detail("the engine stopped")))
    }
}
