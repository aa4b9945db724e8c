//! Taking a request in: what waits is bounded, then the request runs, or waits for the catalog.

use docdb_protocol::limits::{OPERATIONS_PER_REQUEST_MAX, REQUEST_BYTES_MAX};
use docdb_protocol::{Document, DocumentId, Error, ErrorCode, IfMissing, Reply, Request};

use super::job::Job;
use super::keeper::Waiter;
use super::{Engine, Phase};
use crate::batch::OPERATION_BYTES;
use crate::clock::Now;
use crate::jobs::slots::Slot;
use crate::message::RequestId;

impl Engine {
    /// Counts a request among those that wait for their answers, and refuses it, runs it or lets it wait.
    pub(super) fn admit(&mut self, now: Now, id: RequestId, request: Request) {
        let (bytes, document_bytes) = request_bytes(&request);
        let previous = self.waiting.insert(id, bytes);
        assert!(previous.is_none(), "a request id is in use once at a time");
        self.waiting_bytes += bytes;
        let needs_catalog = self.unwritten.is_some() && self.needs_catalog(&request);
        match &self.phase {
            Phase::Stopping | Phase::Stopped => self.io.respond(id, Err(Error::new(ErrorCode::PoolStopped))),
            Phase::Failed(error) => self.io.respond(id, Err(error.clone())),
            Phase::Starting | Phase::Unproven | Phase::Running => {
                match (self.refused(&request, document_bytes), &self.phase) {
                    (Some(error), _) => self.io.respond(id, Err(error)),
                    (None, Phase::Starting) => self.early.push_back((id, request)),
                    (None, Phase::Unproven) => self.try_catalog(id, request),
                    (None, _) if needs_catalog => self.try_catalog(id, request),
                    (None, _) => self.run(now, id, request),
                }
            }
        }
    }

    /// Why a request is refused before it is looked at: too much waits, or it is too large.
    fn refused(&self, request: &Request, document_bytes: usize) -> Option<Error> {
        if self.waiting.len() > self.options.pending_requests_max || self.waiting_bytes > self.options.pending_bytes_max
        {
            return Some(Error::new(ErrorCode::QueueFull));
        }
        let operations = match request {
            Request::Execute { operations, .. } => operations.len(),
            Request::OpenDatabase { .. } | Request::CloseDatabase { .. } | Request::Stats | Request::ListDatabases => 0,
        };
        if operations > OPERATIONS_PER_REQUEST_MAX {
            let detail = format!("{operations} operations, at most {OPERATIONS_PER_REQUEST_MAX}");
            return Some(Error::new(ErrorCode::LimitExceeded).detail(detail));
        }
        if document_bytes > REQUEST_BYTES_MAX {
            let detail = format!("{document_bytes} bytes of documents, at most {REQUEST_BYTES_MAX}");
            return Some(Error::new(ErrorCode::PayloadTooLarge).detail(detail));
        }
        None
    }

    /// Lets a request wait for the catalog to be written.
    fn try_catalog(&mut self, id: RequestId, request: Request) {
        self.early.push_back((id, request));
        // Syncing the one that was read answers all that wait, too.
        let is_syncing = matches!(self.slots.get(Slot::Catalog), Some(Job::SyncCatalog(_)));
        if !self.keeper.has(Waiter::Started) && !is_syncing {
            self.write_catalog(Waiter::Started);
        }
    }

    /// Whether a request may need more than what an unwritten catalog allows.
    fn needs_catalog(&self, request: &Request) -> bool {
        match request {
            Request::OpenDatabase { name, .. } => {
                self.catalog.find(name).is_none_or(|id| self.databases.get(id).is_none())
            }
            Request::Execute { operations, .. } => operations.iter().any(|operation| !operation.action.is_read()),
            Request::CloseDatabase { .. } | Request::Stats | Request::ListDatabases => false,
        }
    }

    /// Answers a request, or carries it to the database that it names.
    pub(super) fn run(&mut self, now: Now, id: RequestId, request: Request) {
        match &request {
            Request::Stats => {
                let stats = self.stats();
                self.io.respond(id, Ok(Reply::Stats(stats)));
            }
            Request::ListDatabases => {
                let databases = self.list();
                self.io.respond(id, Ok(Reply::Databases(databases)));
            }
            Request::OpenDatabase { name, if_missing } => match (self.catalog.find(name), if_missing) {
                (Some(database), _) => self.enter(now, database, id, request),
                (None, IfMissing::Fail) => {
                    let error = Error::new(ErrorCode::DbNotFound).database(name.as_str());
                    self.io.respond(id, Err(error));
                }
                (None, IfMissing::Create) => self.create(now, name.clone(), id, request),
            },
            Request::CloseDatabase { database } | Request::Execute { database, .. } => {
                let database = *database;
                if self.catalog.entries.contains_key(&database) {
                    self.enter(now, database, id, request);
                } else {
                    let detail = format!("id {database}");
                    self.io.respond(id, Err(Error::new(ErrorCode::DbNotFound).detail(detail)));
                }
            }
        }
    }
}

/// What a request takes up while it waits, roughly, and how much of that is documents.
fn request_bytes(request: &Request) -> (usize, usize) {
    match request {
        Request::Execute { operations, .. } => {
            let documents = operations.iter().filter_map(|operation| operation.action.document());
            let document_bytes = documents.map(Document::len).sum();
            let names: usize = operations.iter().map(|operation| operation.collection.as_str().len()).sum();
            let ids =
                operations.iter().filter_map(|operation| operation.action.document_id().and_then(DocumentId::as_text));
            let ids: usize = ids.map(str::len).sum();
            (operations.len() * OPERATION_BYTES + names + ids + document_bytes, document_bytes)
        }
        Request::OpenDatabase { .. } | Request::CloseDatabase { .. } | Request::Stats | Request::ListDatabases => {
            (OPERATION_BYTES, 0)
        }
    }
}
