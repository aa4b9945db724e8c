//! What each command does: the turn from a decoded frame to requests of the engine, and back.
//!
//! Reads are served from the published view on the connection's own task; they need no lock of the
//! engine's and no sync. Writes go to the engine in one request a frame, so that one sync makes them durable
//! together. In a frame that mixes both, each run of reads waits for the writes in front of it.
//!
//! It never validates a document or a name itself; `docdb_protocol` does, once.

use docdb_protocol::wire::{Command, ScanReplyBuilder, WireRequest, listing};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DocumentId, Error, ErrorCode, IfMissing, Operation, OperationReply,
    OperationResult, Reply, Request, Response,
};

use crate::answer::{Answer, Promise, Slots};
use crate::budget::Share;
use crate::outstanding::Outstanding;
use crate::store::{Lookup, SharedView, Store};

/// How often a read opens a database that others keep closing before it gives up.
const OPENINGS_PER_READ_MAX: usize = 8;

/// What a frame asks for, free of the frame's bytes.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Nothing is left to do but to say so.
    Refused(Error),
    /// One request of the engine, which nothing after it has to wait for.
    Engine { request: Request, slots: Slots },
    /// One request of the engine that later frames of the connection must find done.
    Alone(Request),
    /// Operations, some of them reads, each refused already or to be run.
    Mixed { database: DatabaseId, steps: Vec<Result<Operation, Error>> },
    /// The names of the collections.
    Collections(DatabaseId),
    /// A page of documents.
    Scan { database: DatabaseId, collection: CollectionName, first: DocumentId },
}

/// The request id of a body, if it is long enough to have one.
pub(crate) fn request_id(body: &[u8]) -> Option<u64> {
    body.first_chunk::<8>().map(|id| u64::from_le_bytes(*id))
}

/// Decides what a frame asks for.
pub(crate) fn plan(request: &WireRequest<'_>) -> Plan {
    checked_plan(request).unwrap_or_else(Plan::Refused)
}

fn checked_plan(request: &WireRequest<'_>) -> Result<Plan, Error> {
    Ok(match request.command {
        Command::OpenDatabase => {
            let name = request.database_name()?;
            Plan::Alone(Request::OpenDatabase { name, if_missing: IfMissing::Create })
        }
        Command::CloseDatabase => Plan::Alone(Request::CloseDatabase { database: request.database()? }),
        Command::Execute => execute(request)?,
        Command::Stats => Plan::Alone(Request::Stats),
        Command::ListCollections => Plan::Collections(request.database()?),
        Command::ListDatabases => Plan::Alone(Request::ListDatabases),
        Command::Scan => {
            let (collection, first) = request.scan_start()?;
            Plan::Scan { database: request.database()?, collection, first }
        }
        Command::Unknown(number) => {
            return Err(Error::new(ErrorCode::InvalidRequest).detail(format!("command {number}")));
        }
    })
}

fn execute(request: &WireRequest<'_>) -> Result<Plan, Error> {
    let database = request.database()?;
    if request.ops.is_empty() {
        return Err(Error::new(ErrorCode::InvalidRequest).detail("no operation"));
    }
    let steps: Vec<Result<Operation, Error>> =
        request.ops.iter().enumerate().map(|(index, op)| op.to_operation().map_err(|e| e.operation(index))).collect();
    if steps.iter().flatten().any(|operation| matches!(operation.action, Action::Read)) {
        return Ok(Plan::Mixed { database, steps });
    }
    Ok(writes(database, steps))
}

/// Steps without reads, as one request.
fn writes(database: DatabaseId, steps: Vec<Result<Operation, Error>>) -> Plan {
    let mut operations = Vec::with_capacity(steps.len());
    let mut slots = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Ok(operation) => {
                operations.push(operation);
                slots.push(None);
            }
            Err(error) => slots.push(Some(Err(error))),
        }
    }
    let request = Request::Execute { database, operations, atomicity: Atomicity::EachAlone };
    Plan::Engine { request, slots: Slots::new(slots) }
}

impl Plan {
    /// Whether every earlier frame of the connection must be answered first, and this one before any later.
    pub(crate) fn waits(&self) -> bool {
        match self {
            Plan::Refused(_) | Plan::Engine { .. } => false,
            Plan::Alone(_) | Plan::Mixed { .. } | Plan::Collections(_) | Plan::Scan { .. } => true,
        }
    }
}

/// Starts what need not wait and promises its answer.
pub(crate) fn start(plan: Plan, request_id: u64, store: &Store, outstanding: &Outstanding, share: Share) -> Promise {
    match plan {
        Plan::Refused(error) => Promise::error(request_id, error.code(), Some(share)),
        Plan::Engine { request: Request::Execute { operations, .. }, slots } if operations.is_empty() => {
            let response = slots.merge(Ok(Reply::Executed(Vec::new())));
            Promise::ready(Answer::Response(response).encode(request_id), Some(share))
        }
        Plan::Engine { request, slots } => {
            Promise::waiting(request_id, store.submit(request, outstanding.begin()), slots, share)
        }
        Plan::Alone(_) | Plan::Mixed { .. } | Plan::Collections(_) | Plan::Scan { .. } => {
            unreachable!("the caller runs what has to wait")
        }
    }
}

/// Runs a plan to its end. Every earlier frame of the connection is answered.
pub(crate) async fn run(plan: Plan, store: &Store, outstanding: &Outstanding) -> Answer {
    match plan {
        Plan::Refused(error) => Answer::Response(Err(error)),
        Plan::Engine { request, slots } => Answer::Response(slots.merge(ask(store, outstanding, request).await)),
        Plan::Alone(request) => Answer::Response(ask(store, outstanding, request).await),
        Plan::Mixed { database, steps } => Answer::Response(mixed(store, outstanding, database, steps).await),
        Plan::Collections(database) => Answer::Data(collections(store, outstanding, database).await),
        Plan::Scan { database, collection, first } => {
            Answer::Data(scan(store, outstanding, database, &collection, first).await)
        }
    }
}

async fn ask(store: &Store, outstanding: &Outstanding, request: Request) -> Response {
    store.submit(request, outstanding.begin()).response().await
}

/// Runs of reads and runs of writes, one after the other.
async fn mixed(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    steps: Vec<Result<Operation, Error>>,
) -> Response {
    let mut results: Vec<OperationResult> = Vec::with_capacity(steps.len());
    let mut steps = steps.into_iter().peekable();
    while let Some(first) = steps.peek() {
        let reading = is_read(first);
        let mut run = Vec::new();
        while let Some(step) = steps.next_if(|step| is_read(step) == reading) {
            run.push(step);
        }
        if reading {
            read(store, outstanding, database, run, &mut results).await?;
        } else {
            write(store, outstanding, database, run, &mut results).await;
        }
    }
    Ok(Reply::Executed(results))
}

fn is_read(step: &Result<Operation, Error>) -> bool {
    matches!(step, Ok(Operation { action: Action::Read, .. }))
}

async fn write(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    run: Vec<Result<Operation, Error>>,
    results: &mut Vec<OperationResult>,
) {
    let count = run.len();
    let Plan::Engine { request, slots } = writes(database, run) else { unreachable!("writes make one request") };
    match slots.merge(ask(store, outstanding, request).await) {
        Ok(Reply::Executed(written)) => results.extend(written),
        Ok(_) => results.extend((0..count).map(|_| Err(Error::new(ErrorCode::OutcomeUnknown)))),
        Err(error) => results.extend((0..count).map(|_| Err(error.clone()))),
    }
}

async fn read(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    run: Vec<Result<Operation, Error>>,
    results: &mut Vec<OperationResult>,
) -> Result<(), Error> {
    // Several databases may be opened and closed meanwhile; one view serves the whole run.
    let Some(view) = store.view(database) else {
        let operations = run.into_iter().flatten().collect();
        let request = Request::Execute { database, operations, atomicity: Atomicity::EachAlone };
        if let Reply::Executed(read) = ask(store, outstanding, request).await? {
            results.extend(read);
        }
        return Ok(());
    };
    results.extend(run.into_iter().flatten().map(|operation| {
        match view.lookup(operation.collection.as_str(), operation.document_id) {
            Lookup::Found(document) => Ok(OperationReply::Document(document.clone())),
            Lookup::Absent => Err(Error::new(ErrorCode::DocNotFound).document(operation.document_id)),
            Lookup::Damaged(error) => Err(error),
        }
    }));
    Ok(())
}

async fn collections(store: &Store, outstanding: &Outstanding, database: DatabaseId) -> Result<Vec<u8>, Error> {
    let view = view(store, outstanding, database).await?;
    let names: Vec<CollectionName> = view.collections().cloned().collect();
    Ok(listing::collections_to_json(&names))
}

/// A page ends early in front of a damaged document; a page that would begin with one answers its error.
async fn scan(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    collection: &CollectionName,
    first: DocumentId,
) -> Result<Vec<u8>, Error> {
    let view = view(store, outstanding, database).await?;
    let mut page = ScanReplyBuilder::new();
    for entry in view.scan(collection.as_str(), first) {
        let (id, document) = entry.map_err(|(id, error)| error.document(id))?;
        if !page.push(id, document.bytes()) {
            break;
        }
    }
    Ok(page.finish())
}

/// The view of a database, opened again if somebody closed it.
async fn view(store: &Store, outstanding: &Outstanding, database: DatabaseId) -> Result<SharedView, Error> {
    for _ in 0..OPENINGS_PER_READ_MAX {
        if let Some(view) = store.view(database) {
            return Ok(view);
        }
        // Opening goes by name; a read opens by id, and it does not matter what it finds.
        let operations = vec![Operation {
            collection: CollectionName::default_collection(),
            document_id: DocumentId(0),
            action: Action::Read,
        }];
        ask(store, outstanding, Request::Execute { database, operations, atomicity: Atomicity::EachAlone }).await?;
    }
    Err(Error::new(ErrorCode::DbNotOpen))
}
