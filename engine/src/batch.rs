//! What gathers while a sync flies: transactions on their way to one sync, and who waits for it.

use docdb_protocol::{Atomicity, Error, ErrorCode, Operation, OperationReply, OperationResult, Reply, Response};

use crate::engine::RequestId;
use crate::execute::{Bounds, execute};
use crate::log::Record;
use crate::view::View;

/// What an operation takes up beside its document, as a request and as a record, roughly: without it, many
/// small ones would pass every bound on bytes.
pub(crate) const OPERATION_BYTES: usize = 96;

/// A request whose answer waits for a batch to become durable.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) request: RequestId,
    pub(crate) operations: Vec<Operation>,
    pub(crate) atomicity: Atomicity,
    /// The answer, once the batch is durable.
    pub(crate) results: Result<Vec<OperationResult>, Error>,
}

impl Waiting {
    /// The answer when everything it rests on is durable.
    pub(crate) fn durable(self) -> Response {
        self.results.map(Reply::Executed)
    }

    /// The answer when the batch was given up: `lost` for what it wrote; everything else is decided
    /// again, against what is published.
    pub(crate) fn given_up(self, published: &View, bounds: &Bounds, lost: &Error) -> Response {
        let wrote = |result: &OperationResult| matches!(result, Ok(OperationReply::Written(_)));
        match (self.atomicity, self.results) {
            (Atomicity::AllOrNothing, Ok(results)) if results.iter().any(wrote) => Err(lost.clone()),
            (atomicity, results) => {
                let mut scratch = published.clone();
                let again = execute(&mut scratch, published, &self.operations, atomicity, bounds).results?;
                let before = results.unwrap_or_default();
                let merged = again.into_iter().enumerate().map(|(index, again)| match before.get(index) {
                    Some(before) if wrote(before) => Err(lost.clone()),
                    Some(_) | None => again,
                });
                Ok(Reply::Executed(merged.collect()))
            }
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) records: Vec<Record>,
    /// What it takes up in memory and in the log, roughly.
    pub(crate) bytes: usize,
    /// The state once this batch is durable; set when nothing more may join.
    pub(crate) after: Option<View>,
}

impl Batch {
    pub(crate) fn add(&mut self, waiting: Waiting, records: Vec<Record>) {
        self.bytes += records.iter().map(|record| OPERATION_BYTES + record.payload.bytes().len()).sum::<usize>();
        if self.records.is_empty() {
            self.records = records;
        } else {
            self.records.extend(records);
        }
        self.waiting.push(waiting);
    }
}

/// The error for what was on its way to the log when the log failed.
pub(crate) fn outcome_unknown(cause: &Error) -> Error {
    Error::new(ErrorCode::OutcomeUnknown).detail(cause.to_string())
}

/// The error for writes to a database that takes none.
pub(crate) fn read_only(cause: &Error) -> Error {
    Error::new(ErrorCode::ReadOnly).detail(cause.to_string())
}
