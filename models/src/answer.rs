//! Judges answers: each operation's result against the prediction, in the order of the answers.
//!
//! First whatever the answer says was certainly not done is taken out of the history, and what was
//! submitted later is predicted again; only then is the rest compared.
//!
//! The history is serial: a transaction that writes has read the state after the one before it. What only an
//! error tells (a document is there, or is not) must be so in a state that is published by then: one state for all of a
//! transaction, between the one at its submission and the newest.

use std::ops::RangeInclusive;

use docdb_protocol::{
    Action, Atomicity, DocumentId, Error, ErrorCode, Expectation, Operation, OperationReply, OperationResult, Reply,
    Response, TxId,
};

use crate::database::{Database, Item, Ticket};
use crate::execute::{Expected, execute, highest_number, is_transaction_that_writes, key_of, version_of};
use crate::state::{Key, Transaction, text};
use crate::{Mismatch, mismatch};

/// Which errors the world has given the engine a reason for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// The device failed, or was full, since the process started.
    pub device_failed: bool,
    /// The database is being closed, or the engine shuts down.
    pub closing: bool,
    /// Durable bytes were damaged, or the disk lied.
    pub damaged: bool,
    /// What the databases hold may fill the memory that is allowed.
    pub memory_full: bool,
    /// More requests wait than the engine lets wait.
    pub queue_full: bool,
}

impl Allowance {
    fn allows(self, code: ErrorCode) -> bool {
        use ErrorCode as E;
        match code {
            E::ReadOnly
            | E::OutcomeUnknown
            | E::DiskFull
            | E::OutOfResources
            | E::PermissionDenied
            | E::FileOpen
            | E::FileWrite
            | E::FileSync
            | E::FileRead => self.device_failed,
            E::CorruptRecord | E::DbNotFound => self.damaged,
            E::MemoryLimit => self.memory_full || self.damaged,
            E::QueueFull => self.queue_full,
            E::PoolStopped => self.closing,
            _ => false,
        }
    }
}

/// Whether this error says that the world, not the data, stood in the way.
fn is_refusal(code: ErrorCode) -> bool {
    // Of limits, these clients only ever reach the end of a collection's numbers.
    !matches!(code, ErrorCode::DocExists | ErrorCode::DocNotFound | ErrorCode::LimitExceeded | ErrorCode::Conflict)
}

/// The transaction that must have written.
fn written_by(expected: &Expected) -> Option<u64> {
    match expected {
        Expected::Written(tx) | Expected::Inserted(_, tx) => Some(*tx),
        Expected::Fails(_)
        | Expected::Read(_)
        | Expected::PublishedRead
        | Expected::Holds
        | Expected::PublishedExpectation
        | Expected::NotRun => None,
    }
}

impl Database {
    /// The engine answered the request `ticket`.
    ///
    /// # Errors
    /// When no correct engine could have answered so.
    pub fn answer(&mut self, ticket: Ticket, response: &Response, allowance: Allowance) -> Result<(), Mismatch> {
        let Some(index) = self.items.iter().position(|item| item.ticket == ticket && !item.unknown) else {
            return mismatch!("request {ticket} was answered, but nobody waits for it");
        };
        let count = self.items[index].operations.len();
        let whole = match response {
            Ok(Reply::Executed(results)) => {
                if results.len() != count {
                    return mismatch!("request {ticket} has {count} operations, but {} results", results.len());
                }
                None
            }
            Ok(other) => return mismatch!("request {ticket} was answered with {other:?}"),
            Err(error) => Some(error),
        };
        let code_of = |operation: usize| match (whole, response) {
            (Some(error), _) => Some(error.code()),
            (None, Ok(Reply::Executed(results))) => results[operation].as_ref().err().map(Error::code),
            (None, _) => None,
        };
        let mut refused = vec![false; count];
        let mut unknown = false;
        let mut is_decided_again = false;
        for (operation, refused) in refused.iter_mut().enumerate() {
            let Some(code) = code_of(operation) else { continue };
            if !is_refusal(code) {
                // What rested on a batch that was given up is decided again: then it was not written.
                let item = &self.items[index];
                let written = written_by(&item.outcome.expected[operation]).is_some();
                let alone = item.atomicity == Atomicity::EachAlone;
                *refused =
                    written && alone && allowance.device_failed && self.fails_on_published(item, operation, code);
                is_decided_again |= *refused;
                continue;
            }
            if !allowance.allows(code) {
                return mismatch!("request {ticket}, operation {operation}: {code:?}, without a reason for it");
            }
            if code == ErrorCode::OutcomeUnknown {
                unknown = true;
            } else {
                *refused = true;
            }
        }
        self.decided_again += u64::from(is_decided_again);
        self.take_out(index, &refused)?;
        match response {
            Ok(Reply::Executed(results)) => self.check_each(index, results, allowance)?,
            Err(error) if !is_refusal(error.code()) => self.check_failed(index, error, allowance)?,
            _ => {}
        }
        if unknown {
            self.items[index].unknown = true;
        } else {
            self.items.remove(index);
        }
        Ok(())
    }

    /// These operations never happened: whatever came after them is predicted again.
    fn take_out(&mut self, index: usize, refused: &[bool]) -> Result<(), Mismatch> {
        let item = &self.items[index];
        let written = |operation: usize| written_by(&item.outcome.expected[operation]);
        let first = (0..refused.len()).filter(|operation| refused[*operation]).find_map(written);
        let ticket = item.ticket;
        let before = item.before;
        self.items[index].refused.copy_from_slice(refused);
        let Some(first) = first else { return Ok(()) };
        if first <= self.must_survive() {
            let survive = self.must_survive();
            return mismatch!("request {ticket} was refused, but its transaction {first} was shown ({survive})");
        }
        self.truncate(before);
        self.run(index);
        Ok(())
    }

    fn check_each(&mut self, index: usize, results: &[OperationResult], allowance: Allowance) -> Result<(), Mismatch> {
        let item = self.items[index].clone();
        if let Some((operation, code)) = item.outcome.failed {
            return mismatch!("request {} succeeded; operation {operation} should fail: {code:?}", item.ticket);
        }
        let unknown =
            |result: &OperationResult| result.as_ref().is_err_and(|error| error.code() == ErrorCode::OutcomeUnknown);
        let given_up = results.iter().any(unknown);
        for (number, result) in results.iter().enumerate() {
            if result.as_ref().is_err_and(|error| is_refusal(error.code())) {
                continue;
            }
            self.check_one(&item, number, result, allowance, given_up)
                .map_err(|Mismatch(why)| Mismatch(format!("request {}, operation {number}: {why}", item.ticket)))?;
        }
        if item.atomicity == Atomicity::AllOrNothing && item.outcome.transactions.is_empty() {
            self.check_one_state(&item, results)?;
        }
        self.pending_reads += u64::from(self.has_read_pending(&item));
        Ok(())
    }

    /// All that a transaction read that only reads was in one published state.
    fn check_one_state(&self, item: &Item, results: &[OperationResult]) -> Result<(), Mismatch> {
        let read = |number: usize| match &results[number] {
            Ok(OperationReply::Document(document)) => Some(document.bytes()),
            Ok(OperationReply::Written(_) | OperationReply::Inserted(..) | OperationReply::AsExpected) | Err(_) => None,
        };
        let holds = |tx: &u64| {
            let is_so = |(number, operation): (usize, &Operation)| match &operation.action {
                Action::Expect(_, expectation) => self.is_as_expected_after(*tx, operation, *expectation),
                _ => key_of(operation).is_some_and(|key| self.content_after(*tx, &key) == read(number)),
            };
            item.operations.iter().enumerate().all(is_so)
        };
        if self.shown_since(item).any(|tx| holds(&tx)) {
            return Ok(());
        }
        let range = self.shown_since(item);
        mismatch!("request {} read more than one state: none of {range:?} has all of it", item.ticket)
    }

    /// Whether a transaction that writes read a document as it was not published yet when it was submitted.
    fn has_read_pending(&self, item: &Item) -> bool {
        if !is_transaction_that_writes(&item.operations, item.atomicity) {
            return false;
        }
        item.operations.iter().zip(&item.outcome.expected).any(|(operation, expected)| {
            let Some(key) = key_of(operation) else { return false };
            let newest = self.content_after(item.before, &key);
            let Expected::Read(read) = expected else { return false };
            read.as_deref() == newest && newest != self.content_after(item.published_at_submit, &key)
        })
    }

    /// The states that the sender of this request may have been shown: those published between then and now.
    fn shown_since(&self, item: &Item) -> RangeInclusive<u64> {
        item.published_at_submit.min(self.published)..=self.published
    }

    fn check_one(
        &mut self,
        item: &Item,
        number: usize,
        result: &OperationResult,
        allowance: Allowance,
        given_up: bool,
    ) -> Result<(), Mismatch> {
        let operation = &item.operations[number];
        let Some(key) = key_of(operation) else { return self.check_insertion(item, number, result, allowance) };
        match (&item.outcome.expected[number], result) {
            (Expected::Written(tx), Ok(OperationReply::Written(written))) if *tx == written.0 => {
                self.acknowledged = self.acknowledged.max(*tx);
                Ok(())
            }
            (Expected::Holds, Ok(OperationReply::AsExpected)) if !given_up => Ok(()),
            (Expected::PublishedExpectation, Ok(OperationReply::AsExpected)) => {
                self.check_expectation(item, operation, true)
            }
            (Expected::PublishedExpectation | Expected::Fails(ErrorCode::Conflict), Err(error))
                if error.code() == ErrorCode::Conflict =>
            {
                self.check_expectation(item, operation, false)
            }
            // The write that it would have seen was given up.
            (Expected::Fails(ErrorCode::Conflict) | Expected::Holds, Ok(OperationReply::AsExpected)) if given_up => {
                self.check_expectation(item, operation, true)
            }
            (Expected::Holds, Err(error)) if given_up && error.code() == ErrorCode::Conflict => {
                self.check_expectation(item, operation, false)
            }
            (Expected::Fails(code), Err(error)) if error.code() == *code => {
                let exists = *code == ErrorCode::DocExists;
                if self.shown_since(item).any(|tx| self.content_after(tx, &key).is_some() == exists) {
                    return Ok(());
                }
                let published = self.published;
                mismatch!("answered {code:?}, which rests on what nobody may see yet: {published} are published")
            }
            (Expected::Read(Some(content)), Ok(OperationReply::Document(document)))
                if !given_up && document.bytes() == &content[..] =>
            {
                Ok(())
            }
            (Expected::Read(None), Err(error)) if !given_up && error.code() == ErrorCode::DocNotFound => Ok(()),
            // The write that it would have seen was given up.
            (Expected::Read(_), Ok(OperationReply::Document(document))) if given_up => {
                self.check_read(item, &key, Some(document.bytes()))
            }
            (Expected::Read(_), Err(error)) if given_up && error.code() == ErrorCode::DocNotFound => {
                self.check_read(item, &key, None)
            }
            (Expected::PublishedRead, Ok(OperationReply::Document(document))) => {
                self.check_read(item, &key, Some(document.bytes()))
            }
            (Expected::PublishedRead, Err(error)) if error.code() == ErrorCode::DocNotFound => {
                self.check_read(item, &key, None)
            }
            (_, Err(error)) if allowance.device_failed && self.fails_on_published(item, number, error.code()) => {
                self.decided_again += 1;
                Ok(())
            }
            (Expected::Read(Some(content)), result) => {
                mismatch!("answered {result:?}, expected {}", text(content))
            }
            (expected, result) => mismatch!("answered {result:?}, expected {expected:?}"),
        }
    }

    /// What came without an id has the next number, or all are used in a state that is published.
    fn check_insertion(
        &mut self,
        item: &Item,
        number: usize,
        result: &OperationResult,
        allowance: Allowance,
    ) -> Result<(), Mismatch> {
        let collection = item.operations[number].collection.as_str();
        match (&item.outcome.expected[number], result) {
            (Expected::Inserted(next, tx), Ok(OperationReply::Inserted(given, written)))
                if next == given && *tx == written.0 =>
            {
                self.acknowledged = self.acknowledged.max(*tx);
                Ok(())
            }
            (Expected::Fails(ErrorCode::LimitExceeded), Err(error)) if error.code() == ErrorCode::LimitExceeded => {
                if self.shown_since(item).any(|tx| self.has_no_number_after(tx, collection)) {
                    return Ok(());
                }
                mismatch!("answered that all numbers of {collection} are used, and in no published state they are")
            }
            (_, Err(error)) if allowance.device_failed && self.fails_on_published(item, number, error.code()) => {
                self.decided_again += 1;
                Ok(())
            }
            (expected, result) => mismatch!("answered {result:?}, expected {expected:?}"),
        }
    }

    fn has_no_number_after(&self, tx: u64, collection: &str) -> bool {
        highest_number(self.history_until(tx), collection) == DocumentId::NEXT_NUMBER_MAX
    }

    fn history_until(&self, tx: u64) -> &[Transaction] {
        &self.transactions[..usize::try_from(tx).expect("a history fits into memory")]
    }

    /// After a batch was given up, what rested on it is decided again, on what is published.
    fn fails_on_published(&self, item: &Item, number: usize, code: ErrorCode) -> bool {
        let operation = &item.operations[number];
        let published = self.state_after(self.published).expect("the published state is in the history");
        let exists = key_of(operation).is_some_and(|key| published.contains_key(&key));
        match (&operation.action, code) {
            (Action::Create(..), ErrorCode::DocExists) => exists,
            (Action::Update(..) | Action::Delete(_), ErrorCode::DocNotFound) => !exists,
            (Action::Insert(_), ErrorCode::LimitExceeded) => {
                self.has_no_number_after(self.published, operation.collection.as_str())
            }
            _ => false,
        }
    }

    /// An answer about an expectation: some state published between submission and now says the same.
    fn check_expectation(&self, item: &Item, operation: &Operation, holds: bool) -> Result<(), Mismatch> {
        let Action::Expect(_, expectation) = operation.action else {
            return mismatch!("answered about an expectation, and none was asked for");
        };
        if self.shown_since(item).any(|tx| self.is_as_expected_after(tx, operation, expectation) == holds) {
            return Ok(());
        }
        let range = self.shown_since(item);
        mismatch!("{expectation} was expected, and answered that this is so: {holds}; in no state of {range:?} it is")
    }

    fn is_as_expected_after(&self, tx: u64, operation: &Operation, expectation: Expectation) -> bool {
        let version = key_of(operation).and_then(|key| version_of(self.history_until(tx), &key));
        expectation.holds(version.map(TxId))
    }

    /// A read outside its own request's writes: any state published between submission and now.
    fn check_read(&self, item: &Item, key: &Key, found: Option<&[u8]>) -> Result<(), Mismatch> {
        let mut range = self.shown_since(item);
        if range.any(|tx| self.content_after(tx, key) == found) {
            return Ok(());
        }
        let found = found.map_or("nothing".to_owned(), text);
        let last = self.content_after(self.published, key).map_or("nothing".to_owned(), text);
        let range = self.shown_since(item);
        mismatch!("read {}/{} as {found}; in no state of {range:?}, in the last it is {last}", key.0, key.1)
    }

    /// An `AllOrNothing` request failed: as predicted, and as some published state says.
    fn check_failed(&mut self, index: usize, error: &Error, allowance: Allowance) -> Result<(), Mismatch> {
        let item = self.items[index].clone();
        if item.atomicity != Atomicity::AllOrNothing {
            return mismatch!("request {} failed as a whole: {error}", item.ticket);
        }
        let operation = error.context().and_then(|context| context.operation);
        let Some(operation) = operation.filter(|operation| *operation < item.operations.len()) else {
            return mismatch!("request {} failed without naming the operation: {error}", item.ticket);
        };
        let failed = (operation, error.code());
        let writes = is_transaction_that_writes(&item.operations, item.atomicity);
        let is_predicted = !writes || item.outcome.failed == Some(failed);
        if !is_predicted && !allowance.device_failed {
            let expected = item.outcome.failed;
            return mismatch!("request {} failed with {error}; expected the failure {expected:?}", item.ticket);
        }
        if !self.shown_since(&item).any(|tx| self.failure_after(tx, &item, writes) == Some(failed)) {
            let range = self.shown_since(&item);
            return mismatch!(
                "request {} failed with {error}, and no state of {range:?} says so: it rests on what nobody may see",
                item.ticket
            );
        }
        if is_predicted {
            return Ok(());
        }
        // Decided again after a batch was given up: then nothing of it was written.
        self.decided_again += 1;
        self.take_out(index, &vec![true; item.operations.len()])
    }

    /// How a transaction would fail if it were the next after `tx`.
    fn failure_after(&self, tx: u64, item: &Item, writes: bool) -> Option<(usize, ErrorCode)> {
        let state = self.state_after(tx).expect("a published state is in the history");
        if writes {
            let history = self.history_until(tx);
            return execute(state, history, &item.operations, item.atomicity, &vec![false; item.operations.len()])
                .failed;
        }
        let fails = |(index, operation): (usize, &Operation)| match operation.action {
            Action::Expect(_, expectation) if self.is_as_expected_after(tx, operation, expectation) => None,
            Action::Expect(..) => Some((index, ErrorCode::Conflict)),
            _ => {
                let is_absent = key_of(operation).is_some_and(|key| !state.contains_key(&key));
                is_absent.then_some((index, ErrorCode::DocNotFound))
            }
        };
        item.operations.iter().enumerate().find_map(fails)
    }

    fn content_after(&self, tx: u64, key: &Key) -> Option<&[u8]> {
        self.state_after(tx).and_then(|state| state.get(key)).map(|content| &content[..])
    }
}

#[cfg(test)]
mod tests;
