//! What gathers while a sync flies: transactions on their way to one sync, and who waits for it.

use docdb_protocol::{Atomicity, Error, ErrorCode, Operation, OperationReply, OperationResult, Reply, Response};

use crate::execute::{Bounds, execute};
use crate::log::Record;
use crate::message::RequestId;
use crate::options::Options;
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
        let wrote =
            |result: &OperationResult| matches!(result, Ok(OperationReply::Written(_) | OperationReply::Inserted(..)));
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
    /// Whether one of the records is a checkpoint's.
    pub(crate) has_checkpoint: bool,
    /// What it takes up in memory and in the log, roughly.
    pub(crate) bytes: usize,
    /// The state once this batch is durable; set when nothing more may join.
    pub(crate) after: Option<View>,
}

impl Batch {
    /// Whether transactions are in it; one without them proves the batch before it.
    pub(crate) fn has_operations(&self) -> bool {
        self.records.iter().any(|record| record.kind.is_operation())
    }

    /// Whether it takes no more.
    pub(crate) fn is_full(&self, options: &Options) -> bool {
        self.after.is_some() || self.bytes >= options.batch_bytes_max
    }

    /// One that is full ends with the state that is pending now.
    pub(crate) fn freeze_when_full(&mut self, pending: &View, options: &Options) {
        if self.is_full(options) {
            self.after = Some(pending.clone());
        }
    }

    pub(crate) fn add(&mut self, waiting: Waiting, records: Vec<Record>) {
        self.bytes += records.iter().map(bytes).sum::<usize>();
        if self.records.is_empty() {
            self.records = records;
        } else {
            self.records.extend(records);
        }
        self.waiting.push(waiting);
    }

    pub(crate) fn add_checkpoint(&mut self, record: Record) {
        self.bytes += bytes(&record);
        self.records.push(record);
        self.has_checkpoint = true;
    }
}

fn bytes(record: &Record) -> usize {
    OPERATION_BYTES + record.variable_bytes()
}

/// The error for what was on its way to the log when the log failed.
pub(crate) fn outcome_unknown(cause: &Error) -> Error {
    Error::new(ErrorCode::OutcomeUnknown).detail(cause.to_string())
}

/// The error for writes to a database that takes none.
pub(crate) fn read_only(cause: &Error) -> Error {
    Error::new(ErrorCode::ReadOnly).detail(cause.to_string())
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{Action, CollectionId, CollectionName, Document, DocumentId, TxId};

    use super::*;
    use crate::log::{Payload, RecordKind};

    fn operation(action: Action) -> Operation {
        Operation { collection: CollectionName::default_collection(), action }
    }

    fn waiting(operations: Vec<Operation>, atomicity: Atomicity, results: Vec<OperationResult>) -> Waiting {
        Waiting { request: RequestId(1), operations, atomicity, results: Ok(results) }
    }

    /// What a read answers when the batch that its request rests on is given up, and the write before it.
    #[test]
    fn what_a_request_did_not_write_is_decided_again_when_its_batch_is_given_up() {
        let written = Ok(OperationReply::Written(TxId(1)));
        let document = Document::parse(b"1").unwrap();
        let create = operation(Action::Create(DocumentId::Number(1), document));
        let read = operation(Action::Read(DocumentId::Number(2)));
        let missing = || Err(Error::new(ErrorCode::DocNotFound));
        let bounds = Bounds { read_only: None, memory_bytes_free: 1000 };
        let lost = Error::new(ErrorCode::OutcomeUnknown);
        let codes = |response: Response| match response {
            Ok(Reply::Executed(results)) => Ok(results.into_iter().map(|one| one.unwrap_err().code()).collect()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code()),
        };
        let both = vec![create, read.clone()];
        let alone = waiting(both.clone(), Atomicity::EachAlone, vec![written.clone(), missing()]);
        let answered = codes(alone.given_up(&View::empty(4), &bounds, &lost));
        assert_eq!(answered, Ok(vec![ErrorCode::OutcomeUnknown, ErrorCode::DocNotFound]));
        let together = waiting(both, Atomicity::AllOrNothing, vec![written, missing()]);
        assert_eq!(codes(together.given_up(&View::empty(4), &bounds, &lost)), Err(ErrorCode::OutcomeUnknown));
        let only_read = waiting(vec![read], Atomicity::AllOrNothing, vec![missing()]);
        assert_eq!(codes(only_read.given_up(&View::empty(4), &bounds, &lost)), Err(ErrorCode::DocNotFound));
    }

    #[test]
    fn a_batch_counts_what_its_records_take_up() {
        let record = |payload| Record {
            kind: RecordKind::Create,
            tx: TxId(1),
            collection: CollectionId::DEFAULT,
            document: DocumentId::Number(1),
            payload,
        };
        let mut batch = Batch::default();
        let document = Payload::Document(Document::parse(b"12345").unwrap());
        batch.add(waiting(Vec::new(), Atomicity::EachAlone, Vec::new()), vec![record(document), record(Payload::None)]);
        batch.add(waiting(Vec::new(), Atomicity::EachAlone, Vec::new()), vec![record(Payload::None)]);
        assert_eq!(batch.bytes, 3 * OPERATION_BYTES + 5);
        assert_eq!((batch.records.len(), batch.waiting.len()), (3, 2));
    }
}
