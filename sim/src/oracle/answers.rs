//! Answers: each is one that the engine could have given, to somebody who asked, once.
//!
//! Reads and writes are compared with the model of their database; an error needs a reason.

use docdb_engine::RequestId;
use docdb_models::{Allowance, Mismatch};
use docdb_protocol::{DatabaseId, ErrorCode, OperationReply, Reply, Response, TxId};

use super::figures::Counts;
use super::{Asked, Checker, Former, Queue, Recovered, Violation, ids, space, violation};
use crate::disk::SimDisk;

impl Checker {
    /// The engine answered. Says what was recovered when the answer names the database of a view that readers see already.
    ///
    /// # Errors
    /// When it could not have answered so.
    pub fn answered(
        &mut self,
        id: RequestId,
        response: &Response,
        disk: &SimDisk,
    ) -> Result<Option<Recovered>, Violation> {
        let damaged = self.doubt.is_any();
        let device_failed = disk.injected() > 0 || damaged;
        let Some((asked, queue)) = self.asked.remove(&id) else {
            return violation!("request {} was answered, but nobody waits for it: {response:?}", id.0);
        };
        let queue_full = self.queue_is_full(queue, response)?;
        self.watch_answered(&asked, response)?;
        if queue_full && !matches!(asked, Asked::Execute { .. }) {
            if let Asked::Close { database } = asked {
                self.databases[database].closes_waiting -= 1;
            }
            return Ok(None);
        }
        match asked {
            Asked::Open { database } => self.opened(database, response, disk),
            Asked::Close { database } => {
                let may_be_full = space::openings_may_be_refused(&self.databases, self.memory_bytes_free());
                let tracked = &mut self.databases[database];
                tracked.closes_waiting -= 1;
                // A client that is refused may ask again, and is answered when it is recorded.
                let let_go = tracked.let_go;
                match response {
                    Ok(Reply::Closed) => {
                        let is_told = std::mem::take(&mut tracked.closing_untold);
                        tracked.closing_told |= is_told;
                        if is_told {
                            // The catalog has no other.
                            tracked.closings.drain(..tracked.closings.len().saturating_sub(1));
                        }
                        tracked.stored = tracked.stored.max(let_go);
                        tracked.let_go = 0;
                        Ok(None)
                    }
                    Err(_) if device_failed || self.stopping => Ok(None),
                    // It waited for an opening.
                    Err(error) if error.code() == ErrorCode::MemoryLimit && may_be_full => Ok(None),
                    other => violation!("closing {} answered {other:?}", tracked.name),
                }
            }
            Asked::Execute { database, closes_before, operations, room } => {
                let asking = &self.databases[database];
                // What an opening has read so far counts, and nobody is shown it.
                let waits_for_opening = self.databases.iter().any(|tracked| tracked.shown.is_none());
                let memory_full = space::memory_may_be_full(
                    &self.databases,
                    asking,
                    &operations,
                    self.memory_bytes_free(),
                    self.pinned_bytes > 0,
                ) || waits_for_opening
                    && space::openings_may_be_refused(&self.databases, self.memory_bytes_free());
                let device_failed = self.may_blame_device(database);
                let held_before = asking.model.held_bytes(asking.model.newest().saturating_sub(1));
                let tracked = &mut self.databases[database];
                let closing = self.stopping || tracked.closes_asked > closes_before;
                let name = tracked.name.clone();
                let newest = written(response).max().unwrap_or(TxId(0));
                if newest > tracked.visible {
                    let seen = tracked.visible;
                    return violation!("database {name}: {newest} was acknowledged while readers saw {seen}");
                }
                tracked
                    .model
                    .answer(id.0, response, Allowance { device_failed, closing, damaged, memory_full, queue_full })
                    .map_err(|Mismatch(why)| Violation(format!("database {name}: {why}")))?;
                if let Some(room) = room.filter(|_| !damaged) {
                    room.is_as_answered(response).map_err(|Violation(why)| Violation(format!("{name}: {why}")))?;
                }
                // What failed may be there or not.
                if newest > TxId(0) && disk.injected() == 0 && !damaged {
                    let grown = tracked.model.held_bytes(newest.0) > held_before;
                    space::memory_is_bounded(&self.databases, grown, self.memory_bytes_free())?;
                }
                Ok(None)
            }
            Asked::List => self.listed(response, device_failed).map(|()| None),
        }
    }

    /// Whether a request was refused because too much waits: then that must be so; and whatever is beyond the bounds is
    /// refused in some way.
    fn queue_is_full(&self, queue: Queue, response: &Response) -> Result<bool, Violation> {
        let (requests_max, bytes_max) = self.queue_max;
        let is_refused = |error: &docdb_protocol::Error| error.code() == ErrorCode::QueueFull;
        match response {
            Err(error) if is_refused(error) => {
                if queue.requests <= requests_max && queue.bytes_max <= bytes_max {
                    return violation!("refused for want of room in the queue, where there is some: {queue:?}");
                }
                Ok(true)
            }
            Ok(_) if queue.requests > requests_max || queue.bytes_min > bytes_max => {
                violation!("taken although more waits than may: {queue:?}")
            }
            Ok(_) | Err(_) => Ok(false),
        }
    }

    fn opened(&mut self, database: usize, response: &Response, disk: &SimDisk) -> Result<Option<Recovered>, Violation> {
        let name = self.databases[database].name.clone();
        let known = self.databases[database].id;
        match (response, known) {
            // It may be gone after the next crash, as its creation was never answered. One that can be written is another
            // matter: its catalog is durable.
            (Ok(Reply::Database(id)), None) if self.is_unwritten && !self.is_written_unclaimed(*id) => Ok(None),
            (Ok(Reply::Database(id)), None) => {
                if let Some(other) = self.databases.iter().position(|tracked| tracked.id == Some(*id)) {
                    if self.doubt.may_lose_a_database() && !self.databases[other].opened {
                        // The other one is gone, and nobody has asked for it yet.
                        self.lose(other);
                        return self.opened(database, response, disk);
                    }
                    return violation!("{name} was given the id {id}, which another database has");
                }
                if !self.doubt.is_any() {
                    ids::is_new(*id, &name, &self.databases, disk)?;
                }
                let tracked = &mut self.databases[database];
                tracked.id = Some(*id);
                if let Some(at) = tracked.former.iter().position(|former| former.id == *id) {
                    let Former { id: _, model, batches, stored, whole_from } = tracked.former.swap_remove(at);
                    (tracked.model, tracked.batches) = (model, batches);
                    (tracked.stored, tracked.whole_from) = (stored, whole_from);
                }
                self.is_there(database, *id)
            }
            (Ok(Reply::Database(id)), Some(known)) if *id == known => {
                let recovered = self.is_there(database, *id)?;
                // What failed may be counted until it is given up.
                if disk.injected() == 0 && !self.doubt.is_any() {
                    space::all_fit_memory(&self.databases, self.memory_bytes_max)?;
                }
                Ok(recovered)
            }
            (Ok(Reply::Database(_)), Some(_)) if self.doubt.may_lose_a_database() => {
                // The old one is gone, and the client that asked for it got another.
                self.lose(database);
                self.opened(database, response, disk)
            }
            (Ok(Reply::Database(id)), Some(known)) => violation!("{name} has the id {known}, and now {id}"),
            (Err(error), known) => {
                let excused = disk.injected() > 0 || self.doubt.is_any() || self.stopping;
                let lost = known.is_some() && error.code() == ErrorCode::DbNotFound;
                let corrupt = matches!(error.code(), ErrorCode::CorruptRecord | ErrorCode::CatalogDamaged);
                let memory_full = space::openings_may_be_refused(&self.databases, self.memory_bytes_free());
                if error.code() == ErrorCode::MemoryLimit && memory_full {
                    return self.does_not_fit(database).map(|()| None);
                }
                if lost && self.doubt.may_lose_a_database() {
                    self.databases[database].is_missing = true;
                    return Ok(None);
                }
                if excused && !lost && (!corrupt || self.doubt.has_lied()) {
                    Ok(None)
                } else {
                    violation!("opening {name} failed: {error}")
                }
            }
            (other, _) => violation!("opening {name} answered {other:?}"),
        }
    }

    /// Whether what readers see of a database that no answer named can be gone on with.
    fn is_written_unclaimed(&self, id: DatabaseId) -> bool {
        self.unclaimed.get(&id).is_some_and(|view| !view.is_unwritten())
    }

    /// The database is open under this id, with the view that was published before anybody could know whose it is.
    fn is_there(&mut self, database: usize, id: DatabaseId) -> Result<Option<Recovered>, Violation> {
        self.databases[database].opened = true;
        self.databases[database].is_missing = false;
        match self.unclaimed.remove(&id) {
            Some(view) => self.published(id, Some(&view)),
            None => Ok(None),
        }
    }

    /// The database is gone as a whole: another has its id, or its name. A catalog that comes back may bring it back.
    fn lose(&mut self, database: usize) {
        let tracked = &mut self.databases[database];
        if let Some(id) = tracked.id.take() {
            let mut model = tracked.model.clone();
            model.crash();
            let (batches, stored) = (std::mem::take(&mut tracked.batches), tracked.stored);
            tracked.former.push(Former { id, model, batches, stored, whole_from: tracked.whole_from });
        }
        tracked.is_missing = false;
        tracked.opened = false;
        tracked.batches.clear();
        tracked.closings = vec![Counts::NEW];
        tracked.created_at_unix_ns = None;
        (tracked.let_go, tracked.stored) = (0, 0);
        (tracked.seen_damaged, tracked.rested) = (None, 0);
        tracked.model.forget();
    }

    fn listed(&mut self, response: &Response, device_failed: bool) -> Result<(), Violation> {
        let infos = match response {
            Ok(Reply::Databases(infos)) => infos,
            Ok(Reply::Stats(stats)) => {
                return if self.doubt.is_any() { Ok(()) } else { self.stats_are_true(stats) };
            }
            Err(_) if device_failed || self.stopping => return Ok(()),
            other => return violation!("listing the databases answered {other:?}"),
        };
        for tracked in self.databases.iter().filter(|tracked| tracked.id.is_some()) {
            let listed = infos.iter().find(|info| info.name == tracked.name).map(|info| info.id);
            // A client that asks for one that a disk in doubt has lost gets another, which is listed before the answer is given.
            let may_differ = self.doubt.may_lose_a_database() && (listed.is_none() || !tracked.opened);
            if listed != tracked.id && !may_differ {
                return violation!("{} is listed with the id {listed:?}, expected {:?}", tracked.name, tracked.id);
            }
        }
        if self.doubt.is_any() { Ok(()) } else { self.list_is_true(infos, device_failed) }
    }
}

/// The transactions that a response says were written.
pub(crate) fn written(response: &Response) -> impl Iterator<Item = TxId> {
    let results = match response {
        Ok(Reply::Executed(results)) => results.as_slice(),
        _ => &[],
    };
    results.iter().flatten().filter_map(OperationReply::written)
}
