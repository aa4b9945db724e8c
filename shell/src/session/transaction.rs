//! The transaction of a session: writes that wait, from `.begin` to `.commit` or `.rollback`.
//!
//! What waits is in this process alone, and a session that ends gives it up. In a script, a command that fails spoils the
//! transaction: what was meant to be written together is not written in part.

use docdb_protocol::limits::{OPERATIONS_PER_REQUEST_MAX, REQUEST_BYTES_MAX};
use docdb_protocol::{Atomicity, CollectionName, Document, DocumentId, Error, ErrorCode, Operation, OperationReply};

use super::Session;

/// Writes that wait.
#[derive(Default)]
pub(super) struct Transaction {
    operations: Vec<Operation>,
    bytes: usize,
    /// A command failed meanwhile, in a script.
    is_spoiled: bool,
}

impl Transaction {
    /// How many writes wait.
    pub(super) fn writes(&self) -> usize {
        self.operations.iter().filter(|operation| !operation.action.is_read()).count()
    }

    /// What the transaction makes of a document: nothing, or a document, or no document.
    pub(super) fn newest(&self, collection: &CollectionName, id: &DocumentId) -> Option<Option<&Document>> {
        let about = |operation: &&Operation| {
            !operation.action.is_read()
                && operation.collection == *collection
                && operation.action.document_id() == Some(id)
        };
        self.operations.iter().rev().find(about).map(|operation| operation.action.document())
    }

    fn add(&mut self, operations: Vec<Operation>) -> Result<(), Error> {
        let bytes: usize =
            operations.iter().filter_map(|operation| operation.action.document()).map(Document::len).sum();
        if self.operations.len() + operations.len() > OPERATIONS_PER_REQUEST_MAX {
            let detail =
                format!("a transaction has at most {OPERATIONS_PER_REQUEST_MAX} operations; .commit writes them");
            return Err(Error::new(ErrorCode::LimitExceeded).detail(detail));
        }
        if self.bytes + bytes > REQUEST_BYTES_MAX {
            let detail =
                format!("the documents of a transaction have at most {REQUEST_BYTES_MAX} bytes; .commit writes them");
            return Err(Error::new(ErrorCode::PayloadTooLarge).detail(detail));
        }
        self.bytes += bytes;
        self.operations.extend(operations);
        Ok(())
    }
}

impl Session {
    pub(super) fn in_transaction(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.transaction.is_some())
    }

    /// For what cannot wait for a commit.
    pub(super) fn outside_transaction(&self) -> Result<(), Error> {
        if self.in_transaction() {
            let detail = "a transaction is open: .commit or .rollback it first";
            return Err(Error::new(ErrorCode::InvalidRequest).detail(detail));
        }
        Ok(())
    }

    pub(super) fn begin(&mut self) -> Result<(), Error> {
        self.outside_transaction()?;
        self.opened_mut()?.transaction = Some(Transaction::default());
        Ok(())
    }

    /// Keeps a write for the commit; hands it back where no transaction is open.
    pub(super) fn gather(&mut self, what: &str, operation: Operation) -> Result<Option<Operation>, Error> {
        if self.opened()?.transaction.is_none() {
            return Ok(Some(operation));
        }
        self.gather_all(what, vec![operation]).map(|()| None)
    }

    /// As [`Session::gather`], within a transaction, of operations that belong together.
    pub(super) fn gather_all(&mut self, what: &str, operations: Vec<Operation>) -> Result<(), Error> {
        self.opened_mut()?.transaction.as_mut().ok_or_else(none_begun)?.add(operations)?;
        if self.interactive {
            self.output.line(format!("{what} at .commit").as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn roll_back(&mut self) -> Result<(), Error> {
        let interactive = self.interactive;
        let transaction = self.opened_mut()?.transaction.take().ok_or_else(none_begun)?;
        if interactive {
            self.output.line(format!("given up: {}", writes(transaction.writes())).as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let transaction = self.opened_mut()?.transaction.take().ok_or_else(none_begun)?;
        let count = transaction.writes();
        if transaction.is_spoiled {
            let detail =
                format!("a command of the transaction failed, so nothing of it was written: {}", writes(count));
            return Err(Error::new(ErrorCode::InvalidRequest).detail(detail));
        }
        if count == 0 {
            return if self.interactive { self.output.line(b"nothing to write") } else { Ok(()) };
        }
        let database = self.made(&transaction.operations)?;
        let described = |error: Error| {
            if error.code() == ErrorCode::OutcomeUnknown {
                return error;
            }
            let detail = error.context().and_then(|context| context.detail.clone());
            let detail = detail.map(|detail| format!("{detail}; ")).unwrap_or_default();
            error.detail(format!("{detail}nothing of the transaction was written"))
        };
        let results =
            self.backend.execute(database, transaction.operations, Atomicity::AllOrNothing).map_err(described)?;
        let mut written = None;
        for result in results {
            let reply = result.map_err(described)?;
            written = reply.written().or(written);
            if let OperationReply::Inserted(number, _) = reply {
                // As without a transaction the numbers are results.
                self.output.value(number.to_string().as_bytes())?;
            }
        }
        if self.interactive {
            let number = written.map(|transaction| format!(", tx {}", transaction.0)).unwrap_or_default();
            self.output.line(format!("committed {}{number}", writes(count)).as_bytes())?;
        }
        Ok(())
    }

    /// A command failed. A person sees it and goes on; a script cannot.
    pub(super) fn spoil_transaction(&mut self) {
        let interactive = self.interactive;
        if let Some(transaction) = self.open.as_mut().and_then(|open| open.transaction.as_mut()) {
            transaction.is_spoiled |= !interactive;
        }
    }

    /// The session ends with what waits.
    pub(super) fn leave_transaction(&mut self) {
        let Some(transaction) = self.open.as_mut().and_then(|open| open.transaction.take()) else { return };
        let count = transaction.writes();
        if self.interactive {
            self.output.note(&format!("given up: {}", writes(count)));
        } else if !transaction.is_spoiled {
            let detail =
                format!("a transaction ended without .commit, and nothing of it was written: {}", writes(count));
            self.output.error(&Error::new(ErrorCode::InvalidRequest).detail(detail));
        }
    }
}

fn none_begun() -> Error {
    Error::new(ErrorCode::InvalidRequest).detail("no transaction is open: .begin begins one")
}

fn writes(count: usize) -> String {
    if count == 1 { "1 write".to_owned() } else { format!("{count} writes") }
}
