//! One database: its history in commit order, and how much of it must survive.
//!
//! Invariants: `states[c]` is the contents after transaction `c`, `states[0]` is empty;
//! `acknowledged`, `seen` and `published` never exceed the newest transaction; the requests in `items`
//! stand in the order of their submission, and so do their transactions.
//!
//! A history holds every transaction that may be durable. What was refused is taken out, and whatever
//! was submitted after it is run again; what is unknown stays until an opening decides it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use docdb_protocol::{Atomicity, Operation};

use crate::difference::Difference;
use crate::execute::{Outcome, execute, highest_number, version_of};
use crate::state::{self, Key, State, Transaction, Write};
use crate::{Mismatch, mismatch};

/// Names a request; chosen by the caller.
pub type Ticket = u64;

/// A request that is not settled: unanswered, or answered as unknown.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) ticket: Ticket,
    pub(crate) operations: Vec<Operation>,
    pub(crate) atomicity: Atomicity,
    /// Operations that were answered as certainly not done.
    pub(crate) refused: Vec<bool>,
    /// Whether nobody waits for an answer any more; the next opening decides.
    pub(crate) unknown: bool,
    /// What readers were sure to see when the request was submitted.
    pub(crate) published_at_submit: u64,
    /// Transactions `before + 1 ..` are its own.
    pub(crate) before: u64,
    pub(crate) outcome: Outcome,
}

/// The model of one database.
#[derive(Clone, Debug)]
pub struct Database {
    pub(crate) states: Vec<State>,
    pub(crate) transactions: Vec<Transaction>,
    /// The collections, each with the transaction that wrote its first document; `_default` is always there.
    collections: Vec<(u64, Arc<str>)>,
    pub(crate) items: Vec<Item>,
    pub(crate) acknowledged: u64,
    pub(crate) seen: u64,
    pub(crate) published: u64,
    pub(crate) open: bool,
    /// Answers that were decided again after a batch was given up.
    pub(crate) decided_again: u64,
    /// Transactions that were answered and had read what was not published when they were submitted.
    pub(crate) pending_reads: u64,
}

/// What an id takes where it is a text.
fn text_bytes(key: &Key) -> u64 {
    key.1.as_text().map_or(0, |text| text.len() as u64)
}

/// The collection that no transaction makes.
const DEFAULT_COLLECTION: &str = "_default";

impl Default for Database {
    fn default() -> Database {
        Database::new()
    }
}

impl Database {
    /// An empty database that is not open.
    #[must_use]
    pub fn new() -> Database {
        Database {
            states: vec![State::new()],
            transactions: Vec::new(),
            collections: Vec::new(),
            items: Vec::new(),
            acknowledged: 0,
            seen: 0,
            published: 0,
            open: false,
            decided_again: 0,
            pending_reads: 0,
        }
    }

    /// The newest transaction that may exist.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.transactions.len() as u64
    }

    /// The oldest transaction at which a recovery may stop.
    #[must_use]
    pub fn must_survive(&self) -> u64 {
        self.acknowledged.max(self.seen)
    }

    /// The newest transaction whose writer was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many answers were decided again because what they rested on was given up.
    #[must_use]
    pub fn decided_again(&self) -> u64 {
        self.decided_again
    }

    /// How many transactions that were answered had read what was not published when they were submitted.
    #[must_use]
    pub fn pending_reads(&self) -> u64 {
        self.pending_reads
    }

    /// The newest transaction that readers can see, or saw last.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published
    }

    /// Whether a view is published.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether some request was answered as unknown and no opening has decided it yet.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        self.items.iter().any(|item| item.unknown)
    }

    /// The contents after transaction `tx`; `None` when there is no such transaction.
    #[must_use]
    pub fn state_after(&self, tx: u64) -> Option<&State> {
        self.states.get(usize::try_from(tx).ok()?)
    }

    /// What transaction `tx` writes; `None` when there is no such transaction.
    #[must_use]
    pub fn transaction(&self, tx: u64) -> Option<&[Write]> {
        let before = usize::try_from(tx.checked_sub(1)?).ok()?;
        self.transactions.get(before).map(Vec::as_slice)
    }

    /// The first transaction of the request that transaction `tx` is of, while that is not answered.
    #[must_use]
    pub fn first_of_its_request(&self, tx: u64) -> Option<u64> {
        let has = |item: &&Item| item.before < tx && tx <= item.before + item.outcome.transactions.len() as u64;
        self.items.iter().find(has).map(|item| item.before + 1)
    }

    /// The transaction that wrote a document as it is after transaction `tx`; `None` when there is none then.
    #[must_use]
    pub fn version_after(&self, tx: u64, key: &Key) -> Option<u64> {
        version_of(self.transactions.get(..usize::try_from(tx).ok()?)?, key)
    }

    /// The number that the next document of a collection gets which comes without an id, after transaction `tx`.
    #[must_use]
    pub fn next_number_after(&self, collection: &str, tx: u64) -> u64 {
        let until = usize::try_from(tx).map_or(self.transactions.len(), |tx| tx.min(self.transactions.len()));
        highest_number(&self.transactions[..until], collection) + 1
    }

    /// The bytes of all documents, and of ids that are texts, that were written up to transaction `tx`, each write with so many more.
    #[must_use]
    pub fn written_bytes(&self, tx: u64, overhead_bytes: u64) -> u64 {
        let until = usize::try_from(tx).map_or(self.transactions.len(), |tx| tx.min(self.transactions.len()));
        let writes = self.transactions[..until].iter().flatten();
        let bytes = |write: &Write| {
            write.content.as_ref().map_or(0, |content| content.len() as u64) + text_bytes(&write.key) + overhead_bytes
        };
        writes.map(bytes).sum()
    }

    /// The bytes of the documents that are there after transaction `tx`, and of their ids that are texts.
    #[must_use]
    pub fn held_bytes(&self, tx: u64) -> u64 {
        let documents = self.state_after(tx).into_iter().flatten();
        documents.map(|(key, content)| text_bytes(key) + content.len() as u64).sum()
    }

    /// The documents that any transaction of the history is about; one may come more than once.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.transactions.iter().flatten().map(|write| &write.key)
    }

    /// The document that the newest transaction wrote last.
    #[must_use]
    pub fn last_written(&self) -> Option<&Key> {
        self.transactions.last().and_then(|transaction| transaction.last()).map(|write| &write.key)
    }

    /// Takes a request, in the order of submission.
    pub fn submit(&mut self, ticket: Ticket, operations: Vec<Operation>, atomicity: Atomicity) {
        let item = Item {
            ticket,
            refused: vec![false; operations.len()],
            operations,
            atomicity,
            unknown: false,
            published_at_submit: self.must_survive().max(self.published),
            before: self.newest(),
            outcome: Outcome::default(),
        };
        self.items.push(item);
        self.run(self.items.len() - 1);
    }

    /// A reader can see `contents` from now on, said to be the state after `tx`. The first after a
    /// crash or a closing decides how much was recovered.
    ///
    /// # Errors
    /// When the state is not the one after `tx`, goes back, or misses what must survive.
    pub fn publish(&mut self, tx: u64, contents: &State) -> Result<(), Mismatch> {
        if !self.open {
            self.check_recovered(tx)?;
        } else if tx < self.published {
            return mismatch!("a view of transaction {tx} was published after one of {}", self.published);
        }
        let Some(expected) = self.state_after(tx) else {
            return mismatch!("a view of transaction {tx}, but only {} were submitted", self.newest());
        };
        if let Some(difference) = Difference::first(expected, contents) {
            return mismatch!("the view of transaction {tx}: {difference}");
        }
        if !self.open {
            self.settle(tx);
        }
        self.open = true;
        self.published = tx;
        self.seen = self.seen.max(tx);
        Ok(())
    }

    /// A reader can see `contents` from now on: what is proven, up to `tx`, of a log that cannot be gone on with for want of
    /// space. Documents that later transactions are about are withheld. What is recovered is not decided yet.
    ///
    /// # Errors
    /// When no state that may have been recovered shows that, or a document is withheld without a reason.
    pub fn glimpse(&mut self, tx: u64, contents: &State, is_withheld: &dyn Fn(&Key) -> bool) -> Result<(), Mismatch> {
        let (low, high) = (self.must_survive().max(tx), self.newest());
        if self.open || tx > high {
            return mismatch!(
                "a view of what is proven, up to {tx} of {high}, of a database that is open: {}",
                self.open
            );
        }
        let shows = |state: &State| -> State {
            let kept = state.iter().filter(|(key, _)| !is_withheld(key));
            kept.map(|(key, content)| (key.clone(), content.clone())).collect()
        };
        let state = |tx: u64| self.state_after(tx).expect("it is in the history");
        if !(low..=high).any(|tx| shows(state(tx)) == *contents) {
            let difference = Difference::first(&shows(state(low)), contents);
            let difference = difference.map_or("withheld documents are shown".to_owned(), |found| found.to_string());
            return mismatch!("what is proven, up to {tx}, is no state of {low} to {high}: {difference}");
        }
        let later = usize::try_from(tx).expect("a history fits into memory");
        let changed = |key: &Key| self.transactions[later..].iter().flatten().any(|write| write.key == *key);
        if let Some(key) = state(high).keys().chain(state(tx).keys()).find(|key| is_withheld(key) && !changed(key)) {
            return mismatch!("{}/{} is withheld, and nothing after {tx} is about it", key.0, key.1);
        }
        self.published = self.published.max(tx);
        self.seen = self.seen.max(tx);
        Ok(())
    }

    /// What is published lists these collections, in this order. Where `some_are_lost`, names may be missing.
    ///
    /// # Errors
    /// When a collection is missing, or is there before a transaction made it.
    pub fn check_collections(&self, listed: &[&str], some_are_lost: bool) -> Result<(), Mismatch> {
        self.listed(if some_are_lost { self.newest() } else { self.published }, listed, some_are_lost)
    }

    /// What is shown as the state after `tx` lists these collections, in this order, and no others.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_collections_after(&self, tx: u64, listed: &[&str]) -> Result<(), Mismatch> {
        self.listed(tx, listed, false)
    }

    /// The transaction that wrote this document, of which there is one.
    #[must_use]
    pub fn written_by(&self, content: &[u8]) -> Option<u64> {
        let wrote =
            |transaction: &Transaction| transaction.iter().any(|write| write.content.as_deref() == Some(content));
        self.transactions.iter().position(wrote).map(|before| before as u64 + 1)
    }

    fn listed(&self, until: u64, listed: &[&str], some_are_lost: bool) -> Result<(), Mismatch> {
        let made = |until: u64| self.collections.iter().filter(move |(tx, _)| *tx <= until).map(|(_, name)| &**name);
        let mut expected: Vec<&str> = made(until).chain([DEFAULT_COLLECTION]).collect();
        expected.sort_unstable();
        let is_right = if some_are_lost {
            listed.is_sorted() && listed.iter().all(|name| expected.contains(name))
        } else {
            listed == expected
        };
        if is_right {
            return Ok(());
        }
        mismatch!("the collections after transaction {until} are listed as {listed:?}, expected {expected:?}")
    }

    /// Readers see nothing any more: the database was closed.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// The process died: nobody is answered any more, and everything unacknowledged may or may not be there.
    pub fn crash(&mut self) {
        self.open = false;
        for item in &mut self.items {
            item.unknown = true;
        }
    }

    /// Folds in everything that later judgements depend on. Only asked after a crash: the requests of before are all
    /// unknown, the next opening forgets them, and until then only their number matters.
    pub fn identify(&self, hasher: &mut impl Hasher) {
        let Database { states, transactions, items, acknowledged, seen, published, open, .. } = self;
        assert!(!open && items.iter().all(|item| item.unknown), "the process has just died");
        (states, transactions, items.len(), acknowledged, seen, published).hash(hasher);
    }

    fn check_recovered(&self, tx: u64) -> Result<(), Mismatch> {
        let low = self.must_survive();
        let high = self.recoverable();
        if tx < low {
            let (acknowledged, seen) = (self.acknowledged, self.seen);
            return mismatch!("recovered {tx} transactions; {acknowledged} were acknowledged and {seen} seen");
        }
        if tx > high {
            return mismatch!("recovered {tx} transactions; only {high} were submitted before");
        }
        Ok(())
    }

    /// The newest transaction that a recovery may find.
    pub(crate) fn recoverable(&self) -> u64 {
        self.first_trailing().map_or(self.newest(), |index| self.items[index].before)
    }

    /// The first of the requests at the end that still wait for an answer: they come after the opening.
    fn first_trailing(&self) -> Option<usize> {
        let first = self.items.iter().rposition(|item| item.unknown).map_or(0, |last_unknown| last_unknown + 1);
        (first < self.items.len()).then_some(first)
    }

    /// An opening ended at `tx`: what is unknown and later never happened.
    pub(crate) fn settle(&mut self, tx: u64) {
        self.truncate(tx);
        self.items.retain(|item| !item.unknown);
        self.run(0);
    }

    pub(crate) fn truncate(&mut self, tx: u64) {
        let kept = usize::try_from(tx).expect("a history fits into memory");
        self.transactions.truncate(kept);
        self.states.truncate(kept + 1);
        self.collections.retain(|(made, _)| *made <= tx);
    }

    /// Runs the items from `first` on, again or for the first time, behind the present history.
    pub(crate) fn run(&mut self, first: usize) {
        for index in first..self.items.len() {
            let item = &self.items[index];
            let newest = self.states.last().expect("the empty state is always there");
            let outcome = execute(newest, &self.transactions, &item.operations, item.atomicity, &item.refused);
            self.items[index].before = self.newest();
            for transaction in &outcome.transactions {
                let newest = self.states.last().expect("the empty state is always there");
                let next = state::apply(newest, transaction);
                self.states.push(next);
                self.transactions.push(transaction.clone());
                self.name_collections(transaction);
            }
            self.items[index].outcome = outcome;
        }
    }

    /// The newest transaction is this one: its collections are there from now on.
    fn name_collections(&mut self, transaction: &Transaction) {
        for write in transaction {
            let name = &write.key.0;
            if &**name != DEFAULT_COLLECTION && self.collections.iter().all(|(_, known)| known != name) {
                self.collections.push((self.newest(), Arc::clone(name)));
            }
        }
    }
}
