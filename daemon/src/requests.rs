//! What each command does: the turn from a decoded frame to requests of the engine, and back.
//!
//! Reads are served from the published view on the connection's own task; they need neither the engine's
//! lock nor a sync. Writes go to the engine in one request a frame, so that one sync makes them durable
//! together. In a frame that mixes both, each run of reads waits for the writes in front of it; a patch is written by itself.
//!
//! It never validates a document or a name itself; `docdb_protocol` does, once.

use std::ops::Bound;

use docdb_protocol::wire::{Command, ScanReplyBuilder, WireAction, WireOp, WireRequest, listing};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, Document, DocumentId, Error, ErrorCode, IfMissing, Operation,
    OperationReply, OperationResult, Patch, Reply, Request, Response,
};

use crate::answer::{Answer, Promise, Slots};
use crate::budget::Share;
use crate::outstanding::Outstanding;
use crate::store::{self, Store};

/// What a frame asks for, free of the frame's bytes.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It is refused with this error, and nothing is done.
    Refused(Error),
    /// Writes, which nothing after them has to wait for.
    Write { database: DatabaseId, writes: Writes },
    /// One request of the engine that later frames of the connection must find done.
    Alone(Request),
    /// Operations, some of them reads or patches, each refused already or to be run.
    Mixed { database: DatabaseId, steps: Vec<Result<Step, Error>> },
    /// A database is closed; one that nobody knows is closed already.
    Close(DatabaseId),
    /// A collection without documents is made.
    CreateCollection { database: DatabaseId, collection: CollectionName },
    /// A collection without documents is removed.
    DeleteCollection { database: DatabaseId, collection: CollectionName },
    /// The names of the collections.
    Collections(DatabaseId),
    /// A page of documents.
    Scan { database: DatabaseId, collection: CollectionName, first: u64 },
}

/// One operation of a frame.
#[derive(Debug)]
pub(crate) enum Step {
    Operation(Operation),
    /// Read, changed and written over what was read.
    Patch(CollectionName, DocumentId, Patch),
}

/// What steps have in common that run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Patch,
}

impl Step {
    fn of(op: &WireOp<'_>) -> Result<Step, Error> {
        match op.to_patch() {
            Some(patch) => patch.map(|(collection, id, patch)| Step::Patch(collection, id, patch)),
            None => op.to_operation().map(Step::Operation).map_err(|error| match (error.code(), op.action) {
                // For reading there is no difference between a name that nobody has and one that nobody can have.
                (ErrorCode::InvalidCollectionName, WireAction::Read) => {
                    Error::new(ErrorCode::CollectionNotFound).document(op.document_id)
                }
                _ => error,
            }),
        }
    }
}

fn kind(step: &Result<Step, Error>) -> Kind {
    match step {
        Ok(Step::Patch(..)) => Kind::Patch,
        Ok(Step::Operation(operation)) if operation.action.is_read() => Kind::Read,
        Ok(Step::Operation(_)) | Err(_) => Kind::Write,
    }
}

/// The operations of steps among which there is no patch.
fn operations(steps: Vec<Result<Step, Error>>) -> Vec<Result<Operation, Error>> {
    let operation = |step| match step {
        Step::Operation(operation) => Ok(operation),
        Step::Patch(..) => Err(Error::new(ErrorCode::UnknownOperation)),
    };
    steps.into_iter().map(|step| step.and_then(operation)).collect()
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
        Command::CloseDatabase => Plan::Close(request.database()?),
        Command::Execute => execute(request)?,
        Command::Stats => Plan::Alone(Request::Stats),
        Command::CreateCollection => {
            Plan::CreateCollection { database: request.database()?, collection: request.collection()? }
        }
        Command::DeleteCollection => {
            Plan::DeleteCollection { database: request.database()?, collection: request.collection()? }
        }
        Command::ListCollections => Plan::Collections(request.database()?),
        Command::ListDatabases => Plan::Alone(Request::ListDatabases),
        Command::Scan => {
            let (collection, first) = request.scan_start()?;
            Plan::Scan { database: request.database()?, collection, first }
        }
        Command::Unknown(9..=11) => return Err(Error::new(ErrorCode::NotSupported).detail("healing")),
        Command::Unknown(12) => return Err(Error::new(ErrorCode::NotSupported).detail("metrics")),
        Command::Unknown(13) => return Err(Error::new(ErrorCode::NotSupported).detail("queries")),
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
    let steps: Vec<Result<Step, Error>> =
        request.ops.iter().enumerate().map(|(index, op)| Step::of(op).map_err(|e| e.operation(index))).collect();
    if steps.iter().any(|step| kind(step) != Kind::Write) {
        return Ok(Plan::Mixed { database, steps });
    }
    Ok(Plan::Write { database, writes: Writes::of(operations(steps)) })
}

/// Steps without reads: what the engine is to do, and what the daemon refused.
#[derive(Debug)]
pub(crate) struct Writes {
    pub(crate) operations: Vec<Operation>,
    pub(crate) slots: Slots,
}

impl Writes {
    pub(crate) fn of(steps: Vec<Result<Operation, Error>>) -> Writes {
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
        Writes { operations, slots: Slots::new(slots) }
    }
}

impl Plan {
    /// Whether every earlier frame of the connection must be answered first, and this one before any later.
    pub(crate) fn waits(&self) -> bool {
        match self {
            Plan::Refused(_) | Plan::Write { .. } => false,
            Plan::Alone(_)
            | Plan::Close(_)
            | Plan::Mixed { .. }
            | Plan::CreateCollection { .. }
            | Plan::DeleteCollection { .. }
            | Plan::Collections(_)
            | Plan::Scan { .. } => true,
        }
    }
}

/// Starts what need not wait and promises its answer.
pub(crate) fn start(plan: Plan, request_id: u64, store: &Store, outstanding: &Outstanding, share: Share) -> Promise {
    match plan {
        Plan::Refused(error) => Promise::error(request_id, &error, Some(share)),
        Plan::Write { writes: Writes { operations, slots }, .. } if operations.is_empty() => {
            let response = slots.merge(Ok(Reply::Executed(Vec::new())));
            Promise::ready(Answer::Response(response).encode(request_id), Some(share))
        }
        Plan::Write { database, writes: Writes { operations, slots } } => {
            let request = Request::Execute { database, operations, atomicity: Atomicity::EachAlone };
            Promise::waiting(request_id, store.submit(request, outstanding.begin()), slots, share)
        }
        Plan::Alone(_)
        | Plan::Close(_)
        | Plan::Mixed { .. }
        | Plan::CreateCollection { .. }
        | Plan::DeleteCollection { .. }
        | Plan::Collections(_)
        | Plan::Scan { .. } => {
            unreachable!("the caller runs what has to wait")
        }
    }
}

/// Runs a plan to its end. Every earlier frame of the connection is answered.
pub(crate) async fn run(plan: Plan, store: &Store, outstanding: &Outstanding) -> Answer {
    match plan {
        Plan::Refused(error) => Answer::Response(Err(error)),
        Plan::Write { database, writes } => {
            let steps = writes.operations.into_iter().map(Ok).collect();
            let response = write(store, outstanding, database, steps).await.map(Reply::Executed);
            Answer::Response(writes.slots.merge(response))
        }
        Plan::Alone(request) => Answer::Response(ask(store, outstanding, request).await),
        Plan::Close(database) => {
            let response = ask(store, outstanding, Request::CloseDatabase { database }).await;
            let unknown = response.as_ref().is_err_and(|error| error.code() == ErrorCode::DbNotFound);
            Answer::Response(if unknown { Ok(Reply::Closed) } else { response })
        }
        Plan::CreateCollection { database, collection } => {
            Answer::Data(create_collection(store, outstanding, database, collection).await)
        }
        Plan::DeleteCollection { database, collection } => {
            Answer::Data(delete_collection(store, outstanding, database, &collection).await)
        }
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

/// Runs of reads, of writes and of patches, one after the other. A frame whose first run fails as a whole has
/// done nothing and fails as a whole; later on, each operation concerned has the error.
async fn mixed(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    steps: Vec<Result<Step, Error>>,
) -> Response {
    let mut results: Vec<OperationResult> = Vec::with_capacity(steps.len());
    let mut steps = steps.into_iter().peekable();
    while let Some(first) = steps.peek() {
        let kind_of_run = kind(first);
        let mut run = Vec::new();
        while let Some(step) = steps.next_if(|step| kind(step) == kind_of_run) {
            run.push(step);
        }
        let count = run.len();
        let done = match kind_of_run {
            Kind::Read => read(store, outstanding, database, operations(run)).await,
            Kind::Write => write(store, outstanding, database, operations(run)).await,
            Kind::Patch => Ok(patch(store, database, run).await),
        };
        match done {
            Ok(done) => results.extend(done),
            Err(error) if results.is_empty() => return Err(error),
            Err(error) => results.extend((0..count).map(|_| Err(error.clone()))),
        }
    }
    Ok(Reply::Executed(results))
}

/// Each patch is read, changed and written by itself: it waits for the disk, on a thread for such work.
async fn patch(store: &Store, database: DatabaseId, run: Vec<Result<Step, Error>>) -> Vec<OperationResult> {
    let mut results = Vec::with_capacity(run.len());
    for step in run {
        let Ok(Step::Patch(collection, id, patch)) = step else { continue };
        let store = store.clone();
        let patching = tokio::task::spawn_blocking(move || store.patch(database, &collection, &id, &patch));
        results.push(match patching.await {
            Ok(patched) => patched.map(OperationReply::Written),
            Err(panicked) => Err(Error::new(ErrorCode::OutcomeUnknown).detail(panicked.to_string())),
        });
    }
    results
}

/// A collection is there with its first document; so one is written and removed, in one transaction.
async fn create_collection(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    collection: CollectionName,
) -> Result<Vec<u8>, Error> {
    const FIRST: DocumentId = DocumentId::Number(0);
    let view = store.view(database, outstanding.begin()).await?;
    if view.collections().any(|known| *known == collection) {
        return Err(Error::new(ErrorCode::CollectionExists));
    }
    drop(view);
    let actions = [Action::Create(FIRST, Document::parse(b"{}")?), Action::Delete(FIRST)];
    let operations = actions.map(|action| Operation { collection: collection.clone(), action }).into();
    let request = Request::Execute { database, operations, atomicity: Atomicity::AllOrNothing };
    let results = executed(ask(store, outstanding, request).await)?;
    results.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Vec::new())
}

async fn delete_collection(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    collection: &CollectionName,
) -> Result<Vec<u8>, Error> {
    let view = store.view(database, outstanding.begin()).await?;
    Err(if collection.as_str() == CollectionName::DEFAULT {
        Error::new(ErrorCode::CannotDeleteDefault)
    } else if view.collections().all(|known| known != collection) {
        Error::new(ErrorCode::CollectionNotFound)
    } else if view.scan(collection.as_str(), Bound::Unbounded).next().is_some() {
        Error::new(ErrorCode::CollectionNotEmpty)
    } else {
        Error::new(ErrorCode::NotSupported).detail("removing a collection")
    })
}

async fn write(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    run: Vec<Result<Operation, Error>>,
) -> Result<Vec<OperationResult>, Error> {
    let Writes { operations, slots } = Writes::of(run);
    let response = if operations.is_empty() {
        Ok(Reply::Executed(Vec::new()))
    } else {
        let request = Request::Execute { database, operations, atomicity: Atomicity::EachAlone };
        ask(store, outstanding, request).await
    };
    executed(slots.merge(response))
}

fn executed(response: Response) -> Result<Vec<OperationResult>, Error> {
    match response? {
        Reply::Executed(results) => Ok(results),
        _ => Err(Error::new(ErrorCode::OutcomeUnknown).detail("the engine answered something else")),
    }
}

async fn read(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    run: Vec<Result<Operation, Error>>,
) -> Result<Vec<OperationResult>, Error> {
    let operations: Vec<Operation> = run.into_iter().flatten().collect();
    // One view serves the whole run.
    let view = store.view(database, outstanding.begin()).await?;
    let look_up = |operation: &Operation| {
        let id = operation.action.document_id()?;
        let found = store::read(&view, operation.collection.as_str(), id);
        Some(found.map_err(|error| {
            let is_there = || view.collections().any(|known| *known == operation.collection);
            if error.code() == ErrorCode::DocNotFound && !is_there() {
                return Error::new(ErrorCode::CollectionNotFound).document(id);
            }
            error
        }))
    };
    // Each is a read, and so names its document.
    Ok(operations.iter().filter_map(look_up).collect())
}

async fn collections(store: &Store, outstanding: &Outstanding, database: DatabaseId) -> Result<Vec<u8>, Error> {
    let view = store.view(database, outstanding.begin()).await?;
    let names: Vec<CollectionName> = view.collections().cloned().collect();
    Ok(listing::collections_to_json(&names))
}

/// A damaged document is named in its place: leaving it out would say that it is not there, and making its page an
/// error would keep the readable ones behind it from everybody.
async fn scan(
    store: &Store,
    outstanding: &Outstanding,
    database: DatabaseId,
    collection: &CollectionName,
    first: u64,
) -> Result<Vec<u8>, Error> {
    let view = store.view(database, outstanding.begin()).await?;
    let mut page = ScanReplyBuilder::new();
    for entry in view.scan(collection.as_str(), Bound::Included(&DocumentId::Number(first))) {
        let (id, document) = match entry {
            Ok((id, document)) => (id, Some(document.bytes())),
            Err(error) => match error.context().and_then(|context| context.document.clone()) {
                Some(id) => (id, None),
                None if error.code() == ErrorCode::CorruptRecord => {
                    page.lost();
                    continue;
                }
                None => {
                    page.withheld();
                    continue;
                }
            },
        };
        let DocumentId::Number(id) = id else {
            // No number follows a text. What is lost or withheld is said all the same.
            page.texts();
            if !view.damage().is_empty() {
                page.lost();
            }
            if view.is_unwritten() {
                page.withheld();
            }
            break;
        };
        if !page.push(id, document) {
            break;
        }
    }
    Ok(page.finish())
}
