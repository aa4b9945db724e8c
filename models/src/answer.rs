//! Judges answers: each operation's result against the prediction, in the order of the answers.
//!
//! First whatever the answer says was certainly not done is taken out of the history, and what was
//! submitted later is predicted again; only then is the rest compared.

use docdb_protocol::{Atomicity, Error, ErrorCode, Operation, OperationReply, OperationResult, Reply, Response};

use crate::database::{Database, Item, Ticket};
use crate::execute::{Expected, key_of};
use crate::state::{Key, text};
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
}

impl Allowance {
    fn allows(self, code: ErrorCode) -> bool {
        use ErrorCode as E;
        match code {
            E::ReadOnly
            | E::OutcomeUnknown
            | E::DiskFull
            | E::OutOfResources
            | E::FileOpen
            | E::FileWrite
            | E::FileSync
            | E::FileRead => self.device_failed,
            E::CorruptRecord | E::DbNotFound => self.damaged,
            E::MemoryLimit => self.memory_full || self.damaged,
            E::DbNotOpen => self.closing || self.device_failed,
            E::PoolStopped => self.closing,
            _ => false,
        }
    }
}

/// Whether this error says that the world, not the data, stood in the way.
fn is_refusal(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::DocExists | ErrorCode::DocNotFound)
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
                let written = matches!(item.outcome.expected[operation], Expected::Written(_));
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
        let written = |operation: usize| match item.outcome.expected[operation] {
            Expected::Written(tx) => Some(tx),
            _ => None,
        };
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
        Ok(())
    }

    fn check_one(
        &mut self,
        item: &Item,
        number: usize,
        result: &OperationResult,
        allowance: Allowance,
        given_up: bool,
    ) -> Result<(), Mismatch> {
        let key = key_of(&item.operations[number]);
        match (&item.outcome.expected[number], result) {
            (Expected::Written(tx), Ok(OperationReply::Written(written))) if *tx == written.0 => {
                self.acknowledged = self.acknowledged.max(*tx);
                Ok(())
            }
            (Expected::Fails(code), Err(error)) if error.code() == *code => {
                self.shown_to_fail(&key, item.before, *code);
                Ok(())
            }
            (Expected::OwnRead(Some(content)), Ok(OperationReply::Document(document)))
                if document.bytes() == &content[..] =>
            {
                Ok(())
            }
            (Expected::OwnRead(None), Err(error)) if error.code() == ErrorCode::DocNotFound => Ok(()),
            // The write that it would have seen was given up.
            (Expected::OwnRead(_), Ok(OperationReply::Document(document))) if given_up => {
                self.check_read(item, &key, Some(document.bytes()))
            }
            (Expected::OwnRead(_), Err(error)) if given_up && error.code() == ErrorCode::DocNotFound => {
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
            (expected, result) => mismatch!("answered {result:?}, expected {expected:?}"),
        }
    }

    /// After a batch was given up, what rested on it is decided again, on what is published.
    fn fails_on_published(&self, item: &Item, number: usize, code: ErrorCode) -> bool {
        use docdb_protocol::Action;
        let published = self.state_after(self.published).expect("the published state is in the history");
        let exists = published.contains_key(&key_of(&item.operations[number]));
        match (&item.operations[number].action, code) {
            (Action::Create(_), ErrorCode::DocExists) => exists,
            (Action::Update(_) | Action::Delete, ErrorCode::DocNotFound) => !exists,
            _ => false,
        }
    }

    /// A read outside its own request's writes: any state published between submission and now.
    fn check_read(&mut self, item: &Item, key: &Key, found: Option<&[u8]>) -> Result<(), Mismatch> {
        let range = item.published_at_submit.min(self.published)..=self.published;
        let shown = range.clone().find(|tx| self.content_after(*tx, key) == found);
        if let Some(tx) = shown {
            self.shown(key, tx);
            return Ok(());
        }
        let found = found.map_or("nothing".to_owned(), text);
        let last = self.content_after(self.published, key).map_or("nothing".to_owned(), text);
        mismatch!("read {}/{} as {found}; in no state of {range:?}, in the last it is {last}", key.0, key.1)
    }

    /// An `AllOrNothing` request failed: as predicted, or because of a read that may fail.
    fn check_failed(&mut self, index: usize, error: &Error, allowance: Allowance) -> Result<(), Mismatch> {
        let item = self.items[index].clone();
        if item.atomicity != Atomicity::AllOrNothing {
            return mismatch!("request {} failed as a whole: {error}", item.ticket);
        }
        let operation = error.context().and_then(|context| context.operation);
        let Some(operation) = operation.filter(|operation| *operation < item.operations.len()) else {
            return mismatch!("request {} failed without naming the operation: {error}", item.ticket);
        };
        let key = key_of(&item.operations[operation]);
        if item.outcome.failed == Some((operation, error.code())) {
            let own = |earlier: &Operation| key_of(earlier) == key;
            if !item.operations[..operation].iter().any(own) {
                self.shown_to_fail(&key, item.before, error.code());
            }
            return Ok(());
        }
        if item.outcome.expected[operation] == Expected::PublishedRead && item.outcome.transactions.is_empty() {
            return self.check_read(&item, &key, None);
        }
        if allowance.device_failed && self.fails_on_published(&item, operation, error.code()) {
            // Decided again after a batch was given up: then nothing of it was written.
            self.decided_again += 1;
            return self.take_out(index, &vec![true; item.operations.len()]);
        }
        mismatch!("request {} failed with {error}; expected {:?}", item.ticket, item.outcome)
    }

    fn content_after(&self, tx: u64, key: &Key) -> Option<&[u8]> {
        self.state_after(tx).and_then(|state| state.get(key)).map(|content| &content[..])
    }

    /// The newest transaction up to `tx` that changed the document; zero when none did.
    fn last_change(&self, key: &Key, tx: u64) -> u64 {
        let changes = |tx: &u64| {
            let index = usize::try_from(*tx - 1).expect("a history fits into memory");
            self.transactions[index].iter().any(|write| write.key == *key)
        };
        (1..=tx).rev().find(changes).unwrap_or(0)
    }

    /// A client knows that the document is there, or that it is not: in the first state that says so.
    fn shown_to_fail(&mut self, key: &Key, before: u64, code: ErrorCode) {
        let exists = code == ErrorCode::DocExists;
        let says_so = |tx: &u64| self.content_after(*tx, key).is_some() == exists;
        let first = (self.published.min(before)..=before).find(says_so).unwrap_or(before);
        self.shown(key, first);
    }

    /// A client knows something that only holds from `tx` on; the last change up to it must stay.
    fn shown(&mut self, key: &Key, tx: u64) {
        self.seen = self.seen.max(self.last_change(key, tx));
    }
}

#[cfg(test)]
mod tests;
