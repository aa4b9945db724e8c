//! What readers are shown, and which alerts are raised: each view is a state of the model, none is older than the one
//! before it or than what was acknowledged, and the first one after a crash or a closing recovers what must survive.
//!
//! Damage is reported when something was damaged, and is never shown in silence.

use docdb_engine::{Alert, AlertKind, DiskOp, OpId, OpenMode, View};
use docdb_models::{Doubtful, Mismatch};
use docdb_protocol::{CollectionName, DatabaseId, Error};

use super::certain::newer_than_all_that_is_lost;
use super::figures::{Counts, kept_beside_is_counted};
use super::views::{contents_of, withheld_is_told};
use super::{Asked, Checker, Recovered, Violation, space, violation};
use crate::disk::SimDisk;

/// A reader holds a state through so many transactions.
const HELD_TRANSACTIONS: u64 = 12;

impl Checker {
    /// Readers see `view` from now on. Says what was recovered when they saw none before.
    ///
    /// # Errors
    /// When it is not a state that the database can have.
    pub fn published(&mut self, id: DatabaseId, view: Option<&View>) -> Result<Option<Recovered>, Violation> {
        self.watch_published(id, view);
        // One that nobody has opened or used may have lost its id to another: whose the view is, the answer says.
        let may_be_another = self.doubt.may_lose_a_database();
        let is_used = |database: usize| {
            let uses = |asked: &Asked| matches!(asked, Asked::Execute { database: used, .. } if *used == database);
            self.databases[database].model.is_open() || self.asked.values().any(|(asked, _)| uses(asked))
        };
        let is_known = |database: &usize| {
            let tracked = &self.databases[*database];
            tracked.id == Some(id) && (tracked.opened || !may_be_another || is_used(*database))
        };
        let known = (0..self.databases.len()).find(is_known);
        let Some(tracked) = known.map(|database| &mut self.databases[database]) else {
            match view {
                Some(view) => drop(self.unclaimed.insert(id, view.clone())),
                None => drop(self.unclaimed.remove(&id)),
            }
            return Ok(None);
        };
        let name = tracked.name.clone();
        let Some(view) = view else {
            if !tracked.is_damaged && !tracked.is_latched && !tracked.is_glimpsed {
                tracked.closings.push(Counts::of(tracked));
            }
            if !tracked.is_damaged && !tracked.is_latched && !tracked.is_spoiled {
                tracked.let_go = tracked.visible.0;
            }
            tracked.was_cut_off = tracked.is_latched || tracked.is_damaged;
            (tracked.shown, tracked.closing_untold, tracked.glimpse) = (None, true, None);
            tracked.frozen = None;
            tracked.held = None;
            tracked.was_cut_off |= tracked.is_spoiled;
            tracked.was_cut_off |= std::mem::take(&mut tracked.is_glimpsed);
            (tracked.is_latched, tracked.is_spoiled) = (false, false);
            (tracked.read_from, tracked.errors_from) = (self.doubt.sectors_of(name.as_str()), self.doubt.errors());
            tracked.damaged_from = self.doubt.sectors();
            tracked.model.close();
            tracked.is_damaged = false;
            return Ok(None);
        };
        tracked.visible = view.last_tx();
        let before = tracked.shown.replace(view.clone());
        (tracked.is_glimpsed, tracked.is_spoiled, tracked.glimpse) = (false, false, None);
        (tracked.closing_told, tracked.closing_untold) = (false, false);
        let shown = contents_of(view).map_err(|Violation(why)| Violation(format!("database {name}: {why}")))?;
        let tx = view.last_tx().0;
        // Whatever is opened for writing has a durable catalog.
        self.is_unwritten &= view.is_unwritten();
        if view.is_unwritten() && !self.doubt.may_lose_anything() {
            // It decides nothing of what is recovered: that is shown when there is space.
            (tracked.shown, tracked.was_cut_off) = (None, true);
            (tracked.is_glimpsed, tracked.glimpse) = (true, Some(view.clone()));
            withheld_is_told(view, tracked.model.keys())?;
            let is_withheld = |key: &docdb_models::Key| view.is_withheld(&key.0, &key.1);
            let listed: Vec<&str> = view.collections().map(CollectionName::as_str).collect();
            let judged = tracked.model.glimpse(tx, &shown.found, &is_withheld);
            let judged = judged.and_then(|()| tracked.model.check_collections_after(tx, &listed));
            return judged.map(|()| None).map_err(|Mismatch(why)| Violation(format!("database {name}: {why}")));
        }
        let (low, high) = (tracked.model.must_survive(), tracked.model.newest());
        let recovers = !tracked.model.is_open();
        let mut recovered =
            Recovered { dropped: tx < high, kept: tx > low, is_in_doubt: self.doubt.is_any(), ..Recovered::default() };
        let seen = tracked.seen_damaged.filter(|(_, sectors)| *sectors == self.doubt.sectors()).map_or(0, |(tx, _)| tx);
        let judged = if shown.is_damaged() && !tracked.is_damaged {
            return violation!("database {name}: damage is shown, and no alert told of it: {shown:?}");
        } else if recovers && self.doubt.may_lose_anything() {
            let folder = name.as_str();
            let may_be_damaged = |content: &docdb_models::Content| self.doubt.may_be_damaged(folder, content);
            if shown.is_unnamed {
                let hit = self.doubt.alone_hit(tracked.name.as_str());
                let hit: Vec<u64> = hit.filter_map(|content| tracked.model.written_by(content)).collect();
                let is_followed = |tx: &u64| {
                    let batch = tracked.batches.iter().position(|last| tx <= last);
                    batch.is_some_and(|batch| batch + 1 < tracked.batches.len())
                };
                let is_repeated =
                    |tx: &u64| is_followed(tx) && !self.format.may_be_unrepeated(tracked.name.as_str(), *tx);
                if let Some(tx) = hit.iter().find(|tx| is_repeated(tx)) {
                    return violation!(
                        "database {name}: nothing names what is lost, and the log goes on behind transaction {tx}, which \
                         alone was hit"
                    );
                }
            }
            let doubtful = Doubtful {
                found: &shown.found,
                damaged: &shown.damaged,
                is_unnamed: shown.is_unnamed,
                may_be_missing: &|key| view.may_be_lost(&key.0, &key.1),
                // The alert comes before the view.
                is_read_only: tracked.is_damaged,
                low: self.doubt.low(low, tracked).max(if self.doubt.has_lied() { 0 } else { seen }),
                may_be_damaged: &may_be_damaged,
            };
            recovered.is_named = !shown.damaged.is_empty() && !shown.is_unnamed;
            recovered.is_unnamed = shown.is_unnamed;
            recovered.has_lied = self.doubt.has_lied();
            tracked.model.recover_doubtful(tx, &doubtful).map(|is_shorter| recovered.is_shorter = is_shorter)
        } else {
            tracked.model.publish(tx, &shown.found)
        };
        let listed: Vec<&str> = view.collections().map(CollectionName::as_str).collect();
        let judged = judged.and_then(|()| tracked.model.check_collections(&listed, shown.is_unnamed));
        judged.map_err(|Mismatch(why)| Violation(format!("database {name}: {why}")))?;
        if shown.is_unnamed && !self.doubt.has_lied() {
            newer_than_all_that_is_lost(view, &shown, &tracked.model)
                .map_err(|Violation(why)| Violation(format!("database {name}: {why}")))?;
        }
        if recovers {
            self.files.opened(name.as_str());
            tracked.held = None;
        } else if !tracked.is_damaged {
            for older in [before.as_ref(), tracked.held.as_ref()].into_iter().flatten() {
                kept_beside_is_counted(older, view, &tracked.model)
                    .map_err(|Violation(why)| Violation(format!("database {name}: {why}")))?;
            }
        }
        if tracked.held.as_ref().is_none_or(|held| held.last_tx().0 + HELD_TRANSACTIONS < tx) {
            tracked.held = Some(view.clone());
        }
        self.attempts.shown(name.as_str());
        if recovers && !tracked.is_damaged {
            tracked.whole_from = tracked.read_from;
            tracked.seen_damaged = None;
        }
        if recovers && tracked.is_damaged && tracked.errors_from == self.doubt.errors() {
            // What is shown of a damaged log was made durable before.
            tracked.seen_damaged = Some((tx, tracked.damaged_from));
        }
        let newest = tracked.model.newest();
        tracked.memory_bytes.retain(|tx, _| *tx <= newest);
        let told = tracked.memory_bytes.entry(tx).or_default();
        *told = view.memory_bytes().max(*told);
        tracked.batches.retain(|last| *last <= newest);
        tracked.stored = tracked.stored.min(newest);
        tracked.rested = tracked.rested.min(newest);
        if tracked.batches.last().is_none_or(|last| *last < tx) {
            tracked.batches.push(tx);
        }
        if let Some(opened) = known.filter(|_| recovers && !self.doubt.is_any()) {
            space::opening_fits(&self.databases, opened, self.memory_bytes_free())?;
        }
        Ok(recovers.then_some(recovered))
    }

    /// The engine asks something of the disk: a database in which acknowledged data is damaged is left as it is, and
    /// files are treated as they must be.
    ///
    /// # Errors
    /// When one is changed.
    pub fn submitted(&mut self, id: OpId, op: &DiskOp, disk: &SimDisk) -> Result<(), Violation> {
        let is_in_doubt = self.doubt.is_any();
        self.nothing_is_begun(op)?;
        self.format_submitted(id, op, disk)?;
        self.files.submitted(id, op, disk, is_in_doubt)?;
        self.attempts.submitted(id, op);
        self.rebuilds.submitted(id, op)?;
        self.watch_submitted(id, op)?;
        self.catalog.submitted(id, op, self.catalog_journal_bytes_min)?;
        let changed = match op {
            DiskOp::Open { path, mode: OpenMode::CreateNew, .. }
            | DiskOp::MakeDirectory { path }
            | DiskOp::Unlink { path }
            | DiskOp::Rename { from: path, .. }
            | DiskOp::Link { from: path, .. } => path,
            _ => return Ok(()),
        };
        let Some((folder, _)) = changed.as_str().strip_prefix("db/").and_then(|path| path.split_once('/')) else {
            return Ok(());
        };
        if let DiskOp::Open { path, mode: OpenMode::CreateNew, .. } = op
            && path.as_str().ends_with(".wal.next")
        {
            let begun = self.databases.iter_mut().filter(|tracked| tracked.name.as_str() == folder);
            begun.for_each(|tracked| tracked.begun_since_rest += 1);
        }
        let is_of = |tracked: &&super::Tracked| tracked.is_damaged && tracked.name.as_str() == folder;
        match self.databases.iter().find(is_of) {
            Some(tracked) => violation!("{} is damaged, and its folder is changed: {op:?}", tracked.name),
            None => Ok(()),
        }
    }

    /// An alert was raised.
    ///
    /// # Errors
    /// When the world has given no reason for it.
    pub fn alerted(&mut self, alert: &Alert, disk: &SimDisk) -> Result<(), Violation> {
        self.watch_alerted(alert)?;
        let device_failed = disk.injected() > 0;
        match (&alert.kind, &alert.database) {
            (AlertKind::CheckpointFailed(_), Some(name)) => self.checkpoint_failed(name.as_str(), disk)?,
            (AlertKind::ReadOnly(error), Some(name)) => self.attempts.latches(name, error.code())?,
            // Without a catalog that can be written, no segment was tried.
            (AlertKind::NoSpace(error), Some(name)) if !is_of_catalog(error) && !self.doubt.is_any() => {
                self.attempts.has_no_room(name, disk)?;
            }
            _ => {}
        }
        let device_failed = device_failed || self.doubt.is_any();
        let concerned = self.databases.iter_mut().find(|tracked| Some(&tracked.name) == alert.database.as_ref());
        match &alert.kind {
            AlertKind::Damage(_) if self.doubt.may_lose_anything() => {
                concerned.into_iter().for_each(|tracked| tracked.is_damaged = true);
                Ok(())
            }
            AlertKind::Damage(_) => violation!("damage was reported, but no byte was damaged: {alert:?}"),
            AlertKind::ReadOnly(_) if device_failed => {
                concerned.into_iter().for_each(|tracked| tracked.is_latched = true);
                Ok(())
            }
            AlertKind::CatalogRebuilt(_) if self.doubt.may_lose_a_database() => {
                self.rebuilds.rebuilt()?;
                self.format.rebuilt();
                // The logs do not say where they were closed.
                self.databases.iter_mut().for_each(|tracked| tracked.stored = 0);
                Ok(())
            }
            AlertKind::NoSpace(_) if alert.database.is_none() && device_failed => {
                self.is_unwritten = true;
                Ok(())
            }
            AlertKind::LogFailed(_) if device_failed => {
                concerned.into_iter().for_each(|tracked| tracked.is_spoiled = true);
                Ok(())
            }
            AlertKind::NoSpace(_) | AlertKind::PreparationFailed(_) | AlertKind::CheckpointFailed(_)
                if device_failed =>
            {
                Ok(())
            }
            other => violation!("an alert without a reason: {other:?}"),
        }
    }
}

/// Whether it is the catalog that could not be written.
fn is_of_catalog(error: &Error) -> bool {
    error.context().is_some_and(|context| context.file.as_deref() == Some("catalog"))
}
