//! The log of one database, as far as it was written: what each batch has to say follows from those before it, and from what
//! clients asked for.
//!
//! - All below a batch is synced before it is written: its watermark is its own place.
//! - It repeats the last batch before it that has operations; transactions, numbers of collections and places go on where
//!   those before end.
//! - Its records are what its transactions do, in their order: a create where there was nothing, an update where there was
//!   something, and a new collection in front of its first document.
//!
//! A place that is written again takes what stood behind it away: nobody was answered for that.

use std::collections::BTreeMap;

use docdb_models::{Database, Key, Write};

use super::batch::{Batch, CHECKPOINT, COMMIT, CREATE, DELETE, NEW_COLLECTION, Record, Segment, UPDATE};
use super::store;
use crate::oracle::{Violation, violation};

/// What is known of a batch.
#[derive(Clone, Debug)]
struct Entry {
    end: u64,
    /// The last transaction up to here.
    last_tx: u64,
    /// What the next batch repeats of it, if it has operations: how many, and their bytes.
    repeated: Option<(u32, Vec<u8>)>,
    /// Where a replay begins, by the checkpoint's record that it has.
    floor: Option<u64>,
    /// Collections that it makes.
    collections: Vec<(u32, String)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// What every header says alike.
    pub(super) owner: (u128, u64, u64),
    entries: BTreeMap<u64, Entry>,
    /// Where a replay begins, by each manifest that was given its name.
    pub(super) named_floors: Vec<u64>,
}

impl Log {
    /// Of a database that is being created, in whose first segment this is the header.
    pub(super) fn created(header: &Segment) -> Log {
        Log {
            owner: (header.directory, header.database, header.created_at),
            entries: BTreeMap::new(),
            named_floors: Vec::new(),
        }
    }

    /// What stands from here on is none.
    pub(super) fn end_at(&mut self, lsn: u64) {
        self.entries.split_off(&lsn);
    }

    /// Whether a segment may begin here: where some batch ends, or the log begins.
    pub(super) fn may_begin(&self, lsn: u64) -> bool {
        lsn == 0 || self.entries.contains_key(&lsn) || self.entries.values().any(|entry| entry.end == lsn)
    }

    /// Where the last batch with operations ends, and where the last one does.
    pub(super) fn ends(&self) -> (u64, u64) {
        let with_operations = self.entries.values().rev().find(|entry| entry.repeated.is_some());
        let end = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.end);
        (end(with_operations), end(self.entries.values().next_back()))
    }

    /// Where a replay may begin: by the last checkpoint's record, or by a manifest, of which a power loss may bring back an
    /// older one.
    pub(super) fn floors(&self) -> impl Iterator<Item = u64> {
        let recorded = self.entries.values().rev().find_map(|entry| entry.floor);
        [recorded.unwrap_or(0)].into_iter().chain(self.named_floors.iter().copied())
    }

    /// A checkpoint says that replay begins at `offset`, behind transaction `tx`.
    pub(super) fn has_snapshot(&self, offset: u64, tx: u64) -> Result<(), Violation> {
        let before = self.entries.range(..offset).next_back().map_or((0, 0), |(_, entry)| (entry.end, entry.last_tx));
        if before != (offset, tx) {
            return violation!(
                "a checkpoint is taken at {offset}, of transaction {tx}; the log there is at {before:?}"
            );
        }
        Ok(())
    }

    /// A batch is written behind what stands before it. `model` says what its transactions are.
    pub(super) fn append(&mut self, batch: &Batch<'_>, model: Option<&Database>) -> Result<(), Violation> {
        self.entries.split_off(&batch.lsn);
        if batch.database != self.owner.1 || batch.watermark != batch.lsn {
            return violation!(
                "a batch of database {} at {} says that all below {} is durable; all below it is, in database {}",
                batch.database,
                batch.lsn,
                batch.watermark,
                self.owner.1
            );
        }
        let (ends, mut tx) = self.entries.values().next_back().map_or((0, 0), |entry| (entry.end, entry.last_tx));
        if ends != batch.lsn {
            return violation!("a batch stands at {}, and the log ends at {ends}", batch.lsn);
        }
        let before = self.entries.iter().rev().find_map(|(lsn, entry)| Some((*lsn, entry.repeated.as_ref()?)));
        let expected = before.map_or((batch.lsn, 0, &[][..]), |(lsn, (count, bytes))| (lsn, *count, &bytes[..]));
        // What stands below a snapshot is read by no opening, and so not repeated behind one.
        let is_below = before.is_some_and(|(lsn, _)| self.floors().any(|floor| lsn < floor));
        let repeated = (batch.before, batch.repeated.0, batch.repeated.1);
        if expected != repeated && !(is_below && repeated == (batch.lsn, 0, &[][..])) {
            let (count, bytes) = batch.repeated;
            return violation!(
                "the batch at {} repeats {count} operations of that at {}, {bytes:?}; it is {expected:?}",
                batch.lsn,
                batch.before
            );
        }
        let mut entry =
            Entry { end: batch.lsn + batch.bytes, last_tx: tx, repeated: None, floor: None, collections: Vec::new() };
        let mut ends = true;
        for record in &batch.records {
            if record.kind == CHECKPOINT && !ends {
                return violation!("a checkpoint's record stands within transaction {}", record.tx);
            }
            ends = matches!(record.kind, COMMIT | CHECKPOINT);
            if record.kind == CHECKPOINT {
                entry.floor = store::floor_of(self.owner.1, record.payload);
            }
        }
        let of_transactions: Vec<Record<'_>> =
            batch.records.iter().filter(|record| record.kind != CHECKPOINT).cloned().collect();
        for transaction in of_transactions.chunk_by(|one, next| one.kind != COMMIT && next.tx == one.tx) {
            tx += 1;
            self.transaction(transaction, tx, &mut entry)?;
            if let Some(model) = model {
                self.is_as_asked(transaction, tx, &entry, model)?;
            }
        }
        entry.last_tx = tx;
        let operations = of_transactions.iter().filter(|record| record.kind != COMMIT);
        let (mut count, mut bytes) = (0, Vec::new());
        for record in operations {
            record.repeat(&mut bytes);
            count += 1;
        }
        entry.repeated = (count > 0).then_some((count, bytes));
        self.entries.insert(batch.lsn, entry);
        Ok(())
    }

    /// The records of one transaction, the number `tx`.
    fn transaction(&self, records: &[Record<'_>], tx: u64, entry: &mut Entry) -> Result<(), Violation> {
        let Some((commit, operations)) = records.split_last().filter(|(commit, _)| commit.kind == COMMIT) else {
            return violation!("transaction {tx} has no commit record");
        };
        if commit.number != operations.len() as u64 || operations.is_empty() || commit.tx != tx {
            let said = (commit.tx, commit.number);
            return violation!(
                "transaction {tx} has {} records, and its commit record says {said:?}",
                operations.len()
            );
        }
        for record in operations {
            let known = self.collection(record.collection, entry);
            match record.kind {
                NEW_COLLECTION => {
                    let numbers = self.collections(entry).map(|(number, _)| *number);
                    let next = numbers.max().unwrap_or(0) + 1;
                    let name = String::from_utf8_lossy(record.payload).into_owned();
                    if record.collection != next || self.collections(entry).any(|(_, known)| *known == name) {
                        return violation!("{name} is made as collection {}, next is {next}", record.collection);
                    }
                    entry.collections.push((next, name));
                }
                _ if known.is_none() => return violation!("nobody has made collection {}", record.collection),
                _ => {}
            }
        }
        Ok(())
    }

    /// The records are what the transaction does.
    fn is_as_asked(&self, records: &[Record<'_>], tx: u64, entry: &Entry, model: &Database) -> Result<(), Violation> {
        let (Some(writes), Some(before)) = (model.transaction(tx), model.state_after(tx - 1)) else {
            return violation!("transaction {tx} is written, and nobody asked for it");
        };
        let is_document = |record: &&Record<'_>| matches!(record.kind, CREATE | UPDATE | DELETE);
        let documents: Vec<&Record<'_>> = records.iter().filter(is_document).collect();
        if documents.len() != writes.len() {
            return violation!("transaction {tx} has {} documents, {} were written", writes.len(), documents.len());
        }
        let mut own: BTreeMap<&Key, bool> = BTreeMap::new();
        for (record, Write { key, content }) in documents.into_iter().zip(writes) {
            let was_there = own.get(key).copied().unwrap_or_else(|| before.contains_key(key));
            let kind = match (content, was_there) {
                (Some(_), false) => CREATE,
                (Some(_), true) => UPDATE,
                (None, _) => DELETE,
            };
            let is_it = record.kind == kind
                && self.collection(record.collection, entry) == Some(&key.0)
                && record.document()? == key.1
                && record.payload == content.as_deref().unwrap_or_default();
            if !is_it {
                return violation!("transaction {tx} writes {}/{} (kind {kind}), and says {record:?}", key.0, key.1);
            }
            own.insert(key, content.is_some());
        }
        Ok(())
    }

    fn collections<'all>(&'all self, entry: &'all Entry) -> impl Iterator<Item = &'all (u32, String)> {
        self.entries.values().chain([entry]).flat_map(|entry| &entry.collections)
    }

    fn collection<'all>(&'all self, number: u32, entry: &'all Entry) -> Option<&'all str> {
        if number == 0 {
            return Some("_default");
        }
        self.collections(entry).find(|(known, _)| *known == number).map(|(_, name)| name.as_str())
    }
}
