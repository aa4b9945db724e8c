//! Who follows the engine's jobs by what they ask of the disk, and what each of them says: which alerts are due, what an error
//! may be blamed on, when a spare is begun, how long clients wait.
//!
//! It carries each operation, completion, alert, view and answer to them, with what the judge knows of the database.

use docdb_engine::{Alert, Completion, DiskOp, Instant, OpId, Options, View, WallTime};
use docdb_protocol::{DatabaseId, Error, ErrorCode, OperationReply, Reply, Response};

use super::causes::Causes;
use super::due::Due;
use super::gone::Gone;
use super::spares::Spares;
use super::touched::{Deed, End, Part, Touch, Touches};
use super::waits::Waits;
use super::{Asked, Checker, Violation, settled, violation};
use crate::disk::SimDisk;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    now: Instant,
    touches: Touches,
    due: Due,
    pub(super) causes: Causes,
    spares: Spares,
    waits: Waits,
    gone: Gone,
    /// A checkpoint of this database has made a table in this turn of the engine.
    freezes: Option<usize>,
}

impl Watch {
    /// The engine that runs from now on has these limits.
    pub(super) fn bound(&mut self, options: &Options) {
        self.spares.bound(options);
        self.waits.bound(options.gather_ns_max);
    }

    /// The process died.
    pub(super) fn crashed(&mut self) {
        (self.touches, self.due, self.causes) = (Touches::default(), Due::default(), Causes::default());
        self.spares.crashed();
        self.waits.crashed();
        self.gone = Gone::default();
    }
}

impl Checker {
    /// It is `now`, by the clock that never goes back, and `wall` by the one that people set.
    pub(crate) fn time_is(&mut self, now: Instant, wall: WallTime) {
        self.watch.now = now;
        self.format.time_is(wall.0);
        self.walls = (self.walls.0.min(wall.0), self.walls.1.max(wall.0));
    }

    /// The engine asks for an operation.
    pub(super) fn watch_submitted(&mut self, id: OpId, op: &DiskOp) -> Result<(), Violation> {
        let touch = self.watch.touches.submitted(id, op, &self.databases);
        let is_shown = touch.database.is_some_and(|database| self.databases[database].shown.is_some());
        self.watch_frozen(&touch, op);
        self.watch.causes.submitted(&touch);
        self.watch.gone.submitted(&touch)?;
        self.watch.spares.submitted(&touch, is_shown)?;
        self.watch.waits.submitted(&touch, self.watch.now, is_shown)
    }

    /// From its first table on, a checkpoint keeps what it writes in memory; until it names its tables, or removes them.
    fn watch_frozen(&mut self, touch: &Touch, op: &DiskOp) {
        let is_table = matches!(op, DiskOp::Open { path, .. } if path.as_str().contains(".data."));
        let Some(database) = touch.database else { return };
        let tracked = &mut self.databases[database];
        match (touch.part, touch.deed) {
            // What is published in the same turn is judged behind it.
            (Part::Store, Deed::Create) if is_table => self.watch.freezes = Some(database),
            (Part::Store, Deed::Remove) => tracked.frozen = None,
            (Part::Store, Deed::Name) => tracked.has_tables = true,
            _ => {}
        }
    }

    /// The engine hears of a completion.
    pub(super) fn watch_delivered(&mut self, completion: &Completion, disk: &SimDisk) -> Result<(), Violation> {
        let Some((touch, end)) = self.watch.touches.delivered(completion) else { return Ok(()) };
        let has_folders =
            || self.databases.iter().any(|tracked| disk.has_directory(&format!("db/{}", tracked.name.as_str())));
        self.watch.due.delivered(&touch, end, has_folders);
        let is_shown = touch.database.is_some_and(|database| self.databases[database].shown.is_some());
        self.watch.gone.delivered(&touch, end, is_shown);
        self.watch.causes.delivered(&touch, end, self.watch.due.has_catalog());
        let is_durable = match (touch.part, touch.deed) {
            (Part::Directory, Deed::SyncNames) => self.watch.due.has_catalog(),
            (Part::Journal, Deed::Sync) => true,
            _ => false,
        };
        if is_durable && end == End::Well {
            self.watch.causes.is_over(None);
        }
        self.watch.waits.delivered(&touch, end, self.watch.now);
        let may_begin = touch.database.is_some_and(|database| {
            let tracked = &self.databases[database];
            settled::takes_writes(tracked) && !tracked.is_glimpsed && !self.is_closing(database)
        });
        self.watch.spares.delivered(&touch, end, may_begin)
    }

    /// An alert was raised.
    pub(super) fn watch_alerted(&mut self, alert: &Alert) -> Result<(), Violation> {
        use docdb_engine::AlertKind as Kind;
        let named = |tracked: &super::Tracked| Some(&tracked.name) == alert.database.as_ref();
        let database = self.databases.iter().position(named);
        self.watch.due.alerted(&alert.kind, database)?;
        let Some(database) = database else { return Ok(()) };
        match &alert.kind {
            Kind::PreparationFailed(_) => self.watch.spares.failed(database),
            Kind::ReadOnly(_) if self.databases[database].is_latched => {
                return violation!("{} latches, and has latched before: {alert:?}", self.databases[database].name);
            }
            Kind::ReadOnly(_) => {
                self.watch.gone.latches(database);
                self.watch.waits.gives_up(database)?;
            }
            Kind::Damage(_) if self.databases[database].is_damaged => {
                return violation!("the damage of {} is told again: {alert:?}", self.databases[database].name);
            }
            Kind::NoSpace(error) => self.watch.causes.is_glimpsed(database, error.code()),
            Kind::Damage(_) | Kind::LogFailed(_) | Kind::CheckpointFailed(_) | Kind::CatalogRebuilt(_) => {}
        }
        Ok(())
    }

    /// Readers see `view` of a database from now on, or nothing.
    pub(super) fn watch_published(&mut self, id: DatabaseId, view: Option<&View>) {
        self.watch.due.published(id, view.map(View::is_unwritten));
        let Some(database) = self.databases.iter().position(|tracked| tracked.id == Some(id)) else { return };
        match view {
            Some(view) if !view.is_unwritten() => self.watch.causes.is_over(Some(database)),
            Some(_) => {}
            None => {
                self.watch.spares.closed(database);
                self.watch.waits.closed(database);
                self.watch.gone.closed(database);
            }
        }
    }

    /// The engine answered a request.
    pub(super) fn watch_answered(&mut self, asked: &Asked, response: &Response) -> Result<(), Violation> {
        let database = asked.database();
        if let (Asked::Execute { .. }, Some(database)) = (asked, database) {
            self.watch.waits.answered(database);
        }
        let is_refusal_of_all = matches!(response, Err(error) if error.code() == ErrorCode::PoolStopped);
        match response {
            Ok(reply) => {
                self.watch.due.answered_well()?;
                let Reply::Executed(results) = reply else { return Ok(()) };
                let mut errors = results.iter().filter_map(|result| result.as_ref().err());
                errors.try_for_each(|error| self.is_deserved(asked, error))?;
                let is_written = |reply: &OperationReply| reply.written().is_some();
                if results.iter().flatten().any(is_written)
                    && let Some(database) = database
                    && self.databases[database].is_latched
                {
                    return violation!("{} has latched, and takes a write", self.databases[database].name);
                }
                Ok(())
            }
            Err(_) if is_refusal_of_all => Ok(()),
            Err(error) => self.is_deserved(asked, error),
        }
    }

    /// An error that blames the device, or what the device did to a database, has its cause.
    fn is_deserved(&self, asked: &Asked, error: &Error) -> Result<(), Violation> {
        use ErrorCode as E;
        let (database, code) = (asked.database(), error.code());
        let tracked = database.map(|database| &self.databases[database]);
        let is_executed = matches!(asked, Asked::Execute { .. });
        let is_so = match code {
            E::OutcomeUnknown => tracked.is_some_and(|tracked| tracked.is_latched),
            E::ReadOnly => tracked.is_some_and(|tracked| tracked.is_latched || tracked.is_damaged),
            E::DiskFull
            | E::OutOfResources
            | E::PermissionDenied
            | E::FileOpen
            | E::FileWrite
            | E::FileSync
            | E::FileRead => {
                if let Some(tracked) = tracked.filter(|tracked| tracked.is_latched && is_executed) {
                    let name = &tracked.name;
                    return violation!("{code:?} was answered of {name}, which had latched by then: it is read-only");
                }
                // A folder that a catalog has lost is nobody's to make.
                if code == E::FileOpen && matches!(asked, Asked::Open { .. }) && self.doubt.may_lose_a_database() {
                    return Ok(());
                }
                if tracked.and_then(|tracked| tracked.glimpse.as_ref()).is_some_and(|view| is_withheld(view, error)) {
                    return Ok(());
                }
                if let Some((database, tracked)) = database.zip(tracked)
                    && settled::takes_writes(tracked)
                    && !tracked.is_glimpsed
                {
                    self.watch.waits.gives_up(database)?;
                }
                self.watch.causes.excuse(database, code, matches!(asked, Asked::Open { .. }))
            }
            _ => return Ok(()),
        };
        if is_so {
            return Ok(());
        }
        let name = tracked.map_or("everything", |tracked| tracked.name.as_str());
        violation!(
            "{code:?} was answered of {name}, and nothing that was done for it failed so: {:?}",
            self.watch.causes
        )
    }

    /// Whether what a client of this database is answered may be blamed on the device.
    pub(super) fn may_blame_device(&self, database: usize) -> bool {
        let tracked = &self.databases[database];
        self.watch.causes.any(database) || tracked.is_latched || tracked.is_damaged || tracked.is_glimpsed
    }

    /// Whether somebody closes a database, or the engine stops.
    fn is_closing(&self, database: usize) -> bool {
        self.stopping || self.databases[database].closes_waiting > 0
    }

    /// The engine has said all that it says at this moment, and asked to be woken at `wake`.
    ///
    /// # Errors
    /// When something is missing.
    pub(crate) fn turn_over(&mut self, wake: Option<Instant>) -> Result<(), Violation> {
        if let Some(tracked) = self.watch.freezes.take().map(|database| &mut self.databases[database])
            && tracked.frozen.is_none()
        {
            tracked.frozen.clone_from(&tracked.shown);
        }
        let Checker { databases, asked, watch, stopping, .. } = self;
        let Watch { now, touches, due, causes, spares, waits, gone, freezes: _ } = watch;
        gone.turn_over()?;
        let is_waited_for = |database: Option<usize>| match database {
            Some(_) => asked.values().any(|(asked, _)| asked.database() == database),
            None => !asked.is_empty(),
        };
        causes.turn_over(touches, due.has_catalog(), is_waited_for);
        let is_open = |database: usize| {
            let tracked = &databases[database];
            tracked.shown.is_some()
                && settled::takes_writes(tracked)
                && !tracked.is_glimpsed
                && !*stopping
                && tracked.closes_waiting == 0
        };
        due.turn_over(is_open, |database| touches.is_busy_with_tables(database))?;
        spares.turn_over(is_open)?;
        let is_catalog_busy = touches.is_busy(None);
        let waiting = |of: usize| {
            if !is_open(of) || is_catalog_busy || touches.is_busy(Some(of)) {
                return None;
            }
            let writes = |asked: &Asked| matches!(asked, Asked::Execute { database, .. } if *database == of);
            Some(asked.values().filter(|(asked, _)| writes(asked)).count())
        };
        waits.turn_over(*now, wake, waiting)
    }
}

/// Whether an error is of a document that a view withholds, and says what the view says of it.
fn is_withheld(view: &View, error: &Error) -> bool {
    let Some(context) = error.context() else { return false };
    let (Some(collection), Some(id)) = (&context.collection, &context.document) else { return false };
    view.is_withheld(collection, id)
}
