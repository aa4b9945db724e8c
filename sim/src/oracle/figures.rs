//! What the engine reports of itself, compared with what readers are shown and with the models: the list of the databases,
//! and the figures of all.
//!
//! Of a database that is about to be opened or closed, what is open is the engine's to say. What a log takes up is not
//! known here to the byte: it holds at least its documents, and no more than a batch for each of its transactions. It
//! judges nothing on a disk in doubt.

use std::collections::BTreeMap;

use docdb_engine::View;
use docdb_models::{Content, Database, Key, State};
use docdb_protocol::{DatabaseInfo, Stats};

use super::room::{ENTRY_BYTES, document_bytes};
use super::{Asked, Checker, Tracked, Violation, violation};

/// What the log takes for a document besides its bytes, at least: the header of its record.
const RECORD_BYTES_MIN: u64 = 64;

/// What the log takes for a transaction at most, besides twice its records: two batches of which each fills whole sectors.
const TRANSACTION_BYTES_MAX: u64 = 4096;

/// What the log of a database may take up before its first transaction.
const LOG_BYTES_BEGUN: u64 = 16 * 4096;

/// What a write copies of the map's nodes, as the engine counts it.
const COPIED_BYTES: u64 = 1024;

impl Tracked {
    /// What a checkpoint may keep in memory beside what readers see.
    pub(super) fn frozen_bytes(&self) -> u64 {
        self.frozen.as_ref().zip(self.shown.as_ref()).map_or(0, |(frozen, shown)| frozen.bytes_kept_beside(shown))
    }
}

impl Checker {
    /// Judges the list of the databases.
    ///
    /// # Errors
    /// When an entry says what is not so.
    pub(super) fn list_is_true(&mut self, infos: &[DatabaseInfo], device_failed: bool) -> Result<(), Violation> {
        self.creation_is_told(infos)?;
        if !infos.is_sorted_by(|one, next| one.name < next.name) {
            return violation!("the databases are not listed by name, each once");
        }
        if let Some(unknown) = infos.iter().find(|info| self.databases.iter().all(|known| known.name != info.name)) {
            return violation!("{} is listed, and nobody asked for it", unknown.name);
        }
        for (number, tracked) in self.databases.iter().enumerate().filter(|(_, tracked)| tracked.id.is_some()) {
            if let Some(info) = infos.iter().find(|info| info.name == tracked.name) {
                self.entry_is_true(number, tracked, info, device_failed)
                    .map_err(|Violation(why)| Violation(format!("{} is listed with {info:?}: {why}", tracked.name)))?;
            }
        }
        Ok(())
    }

    /// A database was created when the clock said so, once and for all.
    fn creation_is_told(&mut self, infos: &[DatabaseInfo]) -> Result<(), Violation> {
        let (first, last) = self.walls;
        for info in infos {
            let Some(tracked) = self.databases.iter_mut().find(|tracked| tracked.id == Some(info.id)) else { continue };
            let told = info.created_at_unix_ns;
            let known = *tracked.created_at_unix_ns.get_or_insert(told);
            if told != known || told < first || told > last {
                let name = &tracked.name;
                return violation!(
                    "{name} is said to be created at {told}, before at {known}; it was {first} to {last}"
                );
            }
        }
        Ok(())
    }

    fn entry_is_true(
        &self,
        number: usize,
        tracked: &Tracked,
        info: &DatabaseInfo,
        device_failed: bool,
    ) -> Result<(), Violation> {
        if let Some(view) = &tracked.glimpse {
            return self.glimpse_is_listed(number, view, info);
        }
        if self.is_unwritten {
            return Ok(());
        }
        if !self.is_changing(number) && info.open != tracked.shown.is_some() {
            return violation!("it is open: {}", tracked.shown.is_some());
        }
        let Some(view) = tracked.shown.as_ref().filter(|_| info.open) else {
            if info.memory_bytes != 0 || info.read_only {
                return violation!("it is closed");
            }
            return if device_failed { Ok(()) } else { closed_counts_are_true(tracked, info) };
        };
        if info.documents != Some(view.documents()) {
            return violation!("readers see {} documents", view.documents());
        }
        if info.read_only != (tracked.is_damaged || tracked.is_latched) {
            return violation!("it takes writes: {}", !(tracked.is_damaged || tracked.is_latched));
        }
        let (least, most) = (view.memory_bytes(), view.memory_bytes() + tracked.frozen_bytes());
        if !self.is_written(number) && !(least..=most).contains(&info.memory_bytes) {
            return violation!("readers see {least} bytes, {most} with a checkpoint");
        }
        match info.log_bytes {
            Some(bytes) if !info.read_only => log_bytes_are_true(bytes, tracked),
            Some(_) | None => Ok(()),
        }
    }

    /// One that is shown as far as it is proven is open for reading, unless it is being opened again.
    fn glimpse_is_listed(&self, number: usize, view: &View, info: &DatabaseInfo) -> Result<(), Violation> {
        let is_at_rest = !self.stopping && !self.asked.values().any(|(asked, _)| asked.database() == Some(number));
        if info.open != is_at_rest && is_at_rest {
            return violation!("readers see what is proven of it");
        }
        if info.open && info.documents != Some(view.documents()) {
            return violation!("readers see {} documents of what is proven", view.documents());
        }
        if is_at_rest && info.memory_bytes != view.memory_bytes() {
            return violation!("readers see {} bytes of what is proven", view.memory_bytes());
        }
        Ok(())
    }

    /// Judges the figures of all databases.
    ///
    /// # Errors
    /// When they are not those of what readers are shown.
    pub(super) fn stats_are_true(&self, stats: &Stats) -> Result<(), Violation> {
        let known = self.databases.iter().filter(|tracked| tracked.id.is_some()).count() as u64;
        let most = self.databases.len() as u64;
        if stats.databases < known || stats.databases > most {
            return violation!("the statistics count {} databases; {known} exist", stats.databases);
        }
        // What is opened from a catalog that may be gone after the next crash is nobody's.
        // Nor is one whose id was answered while it might be.
        if self.is_unwritten
            || !self.unclaimed.is_empty()
            || (0..self.databases.len()).any(|number| self.is_changing(number))
        {
            return Ok(());
        }
        let shown = || self.databases.iter().filter_map(|tracked| tracked.shown.as_ref().map(|view| (tracked, view)));
        let (open, transactions) = (shown().count() as u64, shown().map(|(_, view)| view.last_tx().0).sum::<u64>());
        if (stats.databases_open, stats.transactions) != (open, transactions) {
            return violation!("{stats:?}: {open} databases are open, with {transactions} transactions");
        }
        let is_written = (0..self.databases.len()).any(|number| self.is_written(number));
        let memory_bytes = shown().map(|(_, view)| view.memory_bytes()).sum::<u64>() + self.pinned_bytes;
        let frozen_bytes = shown().map(|(tracked, _)| tracked.frozen_bytes()).sum::<u64>();
        if !is_written && !(memory_bytes..=memory_bytes + frozen_bytes).contains(&stats.memory_bytes) {
            return violation!("{stats:?}: readers see and hold {memory_bytes} bytes, checkpoints {frozen_bytes}");
        }
        let low: u64 =
            shown().filter(|(tracked, _)| !tracked.is_latched).map(|(tracked, _)| log_bytes_min(tracked)).sum();
        let high: u64 = shown().map(|(tracked, _)| log_bytes_max(tracked)).sum();
        if stats.log_bytes < low || stats.log_bytes > high {
            return violation!("{stats:?}: the logs hold from {low} to {high} bytes");
        }
        Ok(())
    }

    /// Whether a database may be about to be opened, closed or created.
    fn is_changing(&self, number: usize) -> bool {
        let concerns = |asked: &Asked| matches!(asked, Asked::Open { database } | Asked::Close { database } if *database == number);
        self.stopping || self.databases[number].is_glimpsed || self.asked.values().any(|(asked, _)| concerns(asked))
    }

    /// Whether somebody waits for what may be a write.
    fn is_written(&self, number: usize) -> bool {
        let writes = |asked: &Asked| matches!(asked, Asked::Execute { database, .. } if *database == number);
        self.asked.values().any(|(asked, _)| writes(asked))
    }
}

/// What a closing has to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    documents: u64,
    /// At least and at most.
    log_bytes: (u64, u64),
}

impl Counts {
    /// Of a database that was just created: the catalog says so until it says that the database is open.
    pub(super) const NEW: Counts = Counts { documents: 0, log_bytes: (0, 0) };

    /// Of a database that is let go of now.
    pub(super) fn of(tracked: &Tracked) -> Counts {
        let state = tracked.model.state_after(tracked.model.published());
        let documents = state.map_or(0, |state| state.len() as u64);
        Counts { documents, log_bytes: (log_bytes_min(tracked), log_bytes_max(tracked)) }
    }

    fn are_told(&self, info: &DatabaseInfo) -> bool {
        let (low, high) = self.log_bytes;
        info.documents.is_none_or(|told| told == self.documents)
            && info.log_bytes.is_none_or(|told| (low..=high).contains(&told))
    }
}

/// The counts of a closed database are those of its closing, or are not known. Of one whose process died they may be those
/// of an earlier closing, until the catalog says that these are over.
fn closed_counts_are_true(tracked: &Tracked, info: &DatabaseInfo) -> Result<(), Violation> {
    if tracked.shown.is_some() {
        return Ok(());
    }
    if tracked.was_cut_off {
        let is_told = info.documents.is_some() || info.log_bytes.is_some();
        let is_known = !is_told || tracked.closings.iter().any(|counts| counts.are_told(info));
        return if is_known { Ok(()) } else { violation!("it was closed with {:?}", tracked.closings) };
    }
    let state = tracked.model.state_after(tracked.model.published());
    let documents = state.map_or(0, |state| state.len() as u64);
    if tracked.closing_told && info.documents.is_none() {
        return violation!("its closing was answered, and nothing is known of it");
    }
    if info.documents.is_some_and(|told| told != documents) {
        return violation!("it was closed with {documents} documents");
    }
    info.log_bytes.map_or(Ok(()), |bytes| log_bytes_are_true(bytes, tracked))
}

fn log_bytes_are_true(bytes: u64, tracked: &Tracked) -> Result<(), Violation> {
    let (low, high) = (log_bytes_min(tracked), log_bytes_max(tracked));
    if bytes < low || bytes > high {
        return violation!("its log holds from {low} to {high} bytes");
    }
    Ok(())
}

fn log_bytes_min(tracked: &Tracked) -> u64 {
    if tracked.has_tables {
        return 0;
    }
    tracked.model.written_bytes(tracked.model.published(), RECORD_BYTES_MIN)
}

fn log_bytes_max(tracked: &Tracked) -> u64 {
    let newest = tracked.model.newest();
    LOG_BYTES_BEGUN + 2 * tracked.model.written_bytes(newest, 2 * RECORD_BYTES_MIN) + newest * TRANSACTION_BYTES_MAX
}

/// The memory that a view says it takes is that of its documents, each of which takes what its own length says: so whatever
/// a write takes, the opposite one gives back.
///
/// # Errors
/// When it is another.
pub(super) fn memory_is_counted(view: &View, shown: &State) -> Result<(), Violation> {
    let bytes: u64 = shown.iter().map(|((_, id), content)| document_bytes(id, content.len())).sum();
    if view.memory_bytes() != bytes {
        let (told, documents) = (view.memory_bytes(), shown.len());
        return violation!("a view counts {told} bytes of memory for {documents} documents, which take {bytes}");
    }
    Ok(())
}

/// What a state keeps in memory that readers hold beside a later one is what was replaced and deleted in between, with its ids
/// and entries, and the nodes of the map that the writes copied; at most all that it takes.
///
/// # Errors
/// When it is said to be less, or more.
pub(super) fn kept_beside_is_counted(older: &View, newer: &View, model: &Database) -> Result<(), Violation> {
    let (from, to) = (older.last_tx().0, newer.last_tx().0);
    let Some(before) = model.state_after(from) else { return Ok(()) };
    let mut own: BTreeMap<&Key, Option<&Content>> = BTreeMap::new();
    let (mut writes, mut replaced_bytes) = (0, 0);
    for tx in from + 1..=to {
        let Some(transaction) = model.transaction(tx) else { return Ok(()) };
        for write in transaction {
            let stood = own.insert(&write.key, write.content.as_ref()).unwrap_or_else(|| before.get(&write.key));
            replaced_bytes += stood.map_or(0, |content| document_bytes(&write.key.1, content.len()));
            writes += 1;
        }
    }
    let nodes_bytes = before.len() as u64 * ENTRY_BYTES;
    let held_bytes = older.memory_bytes() - nodes_bytes;
    let kept_bytes = nodes_bytes.min(writes * COPIED_BYTES) + held_bytes.min(replaced_bytes);
    let told = older.bytes_kept_beside(newer);
    if told != kept_bytes {
        return violation!(
            "the state after {from} is said to keep {told} bytes beside that after {to}, and keeps {kept_bytes}"
        );
    }
    Ok(())
}
