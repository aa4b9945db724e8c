//! What each call does: the turn from a call to requests of the engine or to a view, and back.
//!
//! Whatever only reads is answered from the published view, on the connection's own task while the database is open. Whatever
//! writes is one request of the engine, its reads included. It never validates a document or a name itself.

use docdb_protocol::limits::{DOCUMENT_BYTES_MAX, OPERATIONS_PER_REQUEST_MAX};
use docdb_protocol::wire::v1::{
    Answer, Call, FRAME_BODY_BYTES_MAX, Figures, Hello, OperationAnswer, PAGE_BYTES_MAX, Welcome,
};
use docdb_protocol::{
    Atomicity, DatabaseId, Error, ErrorCode, Operation, OperationReply, OperationResult, Patch, Reply, Request,
    Response,
};
use tokio::sync::oneshot;

use super::debt::Debt;
use super::reads::Read;
use super::{Connection, reads};
use crate::budget::Budget;
use crate::limits::Limits;
use crate::requests::Writes;

const SERVER: &str = concat!("docdbd ", env!("CARGO_PKG_VERSION"));

impl Connection {
    /// Begins what a call asks for. Says whether the connection goes on.
    pub(super) async fn call(&mut self, call: Call<Result<Operation, Error>>, debt: Debt) -> bool {
        match call {
            Call::Hello(hello) => return self.hello(&hello, debt),
            _ if !self.is_greeted => {
                debt.answer(Err(Error::new(ErrorCode::InvalidRequest).detail("the first call is hello")));
                return false;
            }
            Call::OpenDatabase { name, if_missing } => self.ask(Request::OpenDatabase { name, if_missing }, debt),
            Call::CloseDatabase(database) => self.ask(Request::CloseDatabase { database }, debt),
            Call::Databases => self.ask_counted(Request::ListDatabases, debt, std::convert::identity),
            Call::Statistics => self.ask(Request::Stats, debt),
            Call::Collections(database) => self.read(database, Read::Collections, debt).await,
            Call::Count { database, collection } => self.read(database, Read::Count(collection), debt).await,
            Call::Scan(scan) => self.read(scan.database, Read::Scan(scan), debt).await,
            Call::Execute { database, atomicity, operations } => {
                self.execute(database, atomicity, operations, debt).await;
            }
            Call::Patch { database, collection, id, patch } => match Patch::parse(&patch) {
                Ok(patch) => {
                    let store = self.shared.store.clone();
                    tokio::task::spawn_blocking(move || {
                        debt.answer(store.patch(database, &collection, &id, &patch).map(Answer::Patched));
                    });
                }
                Err(error) => debt.answer(Err(error)),
            },
        }
        true
    }

    fn hello(&mut self, hello: &Hello, debt: Debt) -> bool {
        if self.is_greeted {
            debt.answer(Err(Error::new(ErrorCode::InvalidRequest).detail("hello was said already")));
            return true;
        }
        match hello.version() {
            Ok(version) => {
                let limits = figures_of(&self.shared.limits);
                debt.answer(Ok(Answer::Welcome(Welcome { version, features: 0, server: SERVER.to_owned(), limits })));
                self.is_greeted = true;
            }
            Err(error) => debt.answer(Err(error)),
        }
        self.is_greeted
    }

    async fn execute(
        &self,
        database: DatabaseId,
        atomicity: Atomicity,
        operations: Vec<Result<Operation, Error>>,
        debt: Debt,
    ) {
        let steps = match atomicity {
            Atomicity::EachAlone => operations,
            // One that breaks a rule refuses them all.
            Atomicity::AllOrNothing => match operations.into_iter().collect::<Result<Vec<Operation>, Error>>() {
                Ok(operations) => operations.into_iter().map(Ok).collect(),
                Err(error) => return debt.answer(Err(error)),
            },
        };
        if steps.iter().flatten().all(|operation| operation.action.is_read()) {
            return self.read(database, Read::Documents(steps, atomicity), debt).await;
        }
        let has_reads = steps.iter().flatten().any(|operation| operation.action.is_read());
        let Writes { operations, slots } = Writes::of(steps);
        let request = Request::Execute { database, operations, atomicity };
        let merged = move |response| slots.merge(response);
        if has_reads {
            self.ask_counted(request, debt, merged);
        } else {
            self.shared.store.ask(request, move |response| debt.answer(answer(merged(response))));
        }
    }

    /// Asks the engine for what takes little to answer.
    fn ask(&self, request: Request, debt: Debt) {
        self.shared.store.ask(request, move |response| debt.answer(answer(response)));
    }

    /// Asks the engine for what may take much.
    fn ask_counted(&self, request: Request, debt: Debt, merged: impl FnOnce(Response) -> Response + Send + 'static) {
        let (sender, response) = oneshot::channel();
        self.shared.store.ask(request, move |response| {
            // The task below waits for as long as it has not come.
            let _ = sender.send(response);
        });
        let budget = self.budget.clone();
        tokio::spawn(async move {
            // Without a response, the debt is let go, and says so.
            let Ok(response) = response.await else { return };
            debt.answer_counted(answer(merged(response)), &budget).await;
        });
    }

    /// Answers from what readers of the database see now: here while it is open, or by a task of its own.
    async fn read(&self, database: DatabaseId, read: Read, debt: Debt) {
        let (sender, mut view) = oneshot::channel();
        self.shared.store.look(database, move |view| {
            // As above.
            let _ = sender.send(view);
        });
        if let Ok(view) = view.try_recv() {
            return answer_read(view, read, debt, &self.budget).await;
        }
        let budget = self.budget.clone();
        tokio::spawn(async move {
            let Ok(view) = view.await else { return };
            answer_read(view, read, debt, &budget).await;
        });
    }
}

async fn answer_read(view: Result<reads::SharedView, Error>, read: Read, debt: Debt, budget: &Budget) {
    // The view is let go before anything is waited for: what was found is shared, not the state around it.
    let found = view.and_then(|view| read.answer(&view));
    debt.answer_counted(found, budget).await;
}

fn answer(response: Response) -> Result<Answer, Error> {
    Ok(match response? {
        Reply::Database(database) => Answer::Database(database),
        Reply::Closed => Answer::Closed,
        Reply::Executed(results) => Answer::Executed(results.into_iter().map(operation_answer).collect()),
        Reply::Stats(stats) => Answer::Statistics(Figures::from(&stats)),
        Reply::Databases(databases) => Answer::Databases(databases),
    })
}

fn operation_answer(result: OperationResult) -> Result<OperationAnswer, Error> {
    Ok(match result? {
        OperationReply::Written(tx) => OperationAnswer::Written(tx),
        OperationReply::Inserted(number, tx) => OperationAnswer::Inserted(number, tx),
        OperationReply::Document(document) => OperationAnswer::Document(document, None),
        OperationReply::AsExpected => OperationAnswer::AsExpected,
    })
}

fn figures_of(limits: &Limits) -> Figures {
    Figures::new()
        .with("frame_bytes_max", FRAME_BODY_BYTES_MAX as u64)
        .with("requests_under_way_max", limits.requests_per_connection_max as u64)
        .with("operations_per_request_max", OPERATIONS_PER_REQUEST_MAX as u64)
        .with("document_bytes_max", DOCUMENT_BYTES_MAX as u64)
        .with("page_bytes_max", PAGE_BYTES_MAX as u64)
        .with("idle_seconds_max", limits.idle_time_max.as_secs())
        .with("frame_seconds_max", limits.frame_time_max.as_secs())
}
