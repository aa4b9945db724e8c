//! The life of a world: with crashes and failures, then in peace, in which everything must be well again.
//!
//! It owns the order of a run. The end is always the same: faults stop, every request is answered, the
//! process starts anew, every database opens and takes a write, everything is closed, and after one
//! more start exactly what was acknowledged is there. Now and then a round ends without a crash first: what the process owes
//! to those who waited through the faults is judged before another takes its place. And now and then what a power loss left
//! is copied, and something is damaged in the copy alone.

mod probe;
mod settle;

use docdb_protocol::{IfMissing, Request};

use crate::disk::{CrashKind, FaultKind};
use crate::marks::Mark;
use crate::oracle::{Violation, opening, progress, settled, space, violation};
use crate::workload::Workload;
use crate::world::{Schedule, Stepped, World};

/// The steps in which the engine must have done what was asked, once faults have stopped.
const PEACE_STEPS_MAX: u64 = 20_000;

/// Crashes before faults stop.
const ROUNDS_MAX: u64 = 10;

/// Of so many in a thousand rounds, the process settles.
const SETTLED_PER_MILLE: u64 = 250;

/// So many in a thousand shutdowns are not cut short.
const WHOLE_STOPS_PER_MILLE: u64 = 400;

/// Steps before and after several databases are asked for at a time; and of so many in a thousand, a shutdown follows.
const LATE_STEPS_MAX: u64 = 120;
const LATE_STOPS_PER_MILLE: u64 = 700;

/// Steps between two crashes.
const ROUND_STEPS_MAX: u64 = 3_000;

/// Crashes in the recoveries from one another.
const NESTED_CRASHES_MAX: u32 = 3;

/// After so many in a thousand crashes, somebody looks at what there is before anything is opened.
const LOOKS_PER_MILLE: u64 = 150;

/// The steps that a crash waits for a moment worth crashing in.
const MOMENT_STEPS_MAX: u32 = 100;

/// See the module.
pub(crate) struct Life {
    pub(crate) world: World,
    workload: Workload,
    openings: usize,
    /// Catalogs of just before somebody asked for a new database.
    catalogs: Vec<Vec<u8>>,
}

/// So many of them are kept.
const CATALOGS_MAX: usize = 3;

impl Life {
    /// The life of a world that is about to begin.
    pub(crate) fn new(world: World, workload: Workload) -> Life {
        Life { world, workload, openings: 1, catalogs: Vec::new() }
    }

    /// Lives it to its end.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub(crate) fn live(&mut self) -> Result<(), Violation> {
        if self.workload.has_late() {
            self.ask_late()?;
        }
        for _ in 0..ROUNDS_MAX {
            // Asked each time rather than counted before, as everything of which there may be more or less: a
            // shortened trace leaves rounds, steps and requests out without disturbing the others.
            if !self.world.choices.chance("run/round", 720) {
                break;
            }
            self.squeeze();
            // A short round dies while it still recovers.
            let on = [940, 994][usize::from(self.world.choices.chance("run/long", 667))];
            self.steps(on)?;
            // What was full may have space again, or the other way round.
            self.squeeze();
            self.steps(on)?;
            if self.world.choices.chance("settle/round", SETTLED_PER_MILLE) {
                self.settle()?;
                if self.world.choices.choice("settle/lives_on", 2) == 1 {
                    continue;
                }
            }
            self.await_moment()?;
            match self.world.choices.weighted("run/end", &[1, 3, 4]) {
                0 => self.stop_in_peace_or_not()?,
                1 => self.crash(CrashKind::Process)?,
                _ => self.crash(CrashKind::Power)?,
            }
            self.crash_recoveries()?;
        }
        self.peace()
    }

    /// Several databases are asked for at a time, and a shutdown comes while they are made.
    fn ask_late(&mut self) -> Result<(), Violation> {
        for _ in 0..self.world.choices.choice("together/before", LATE_STEPS_MAX) {
            self.step()?;
        }
        self.ask_to_open_all()?;
        for _ in 0..self.world.choices.choice("together/after", LATE_STEPS_MAX) {
            self.step()?;
        }
        if self.world.choices.chance("together/stop", LATE_STOPS_PER_MILLE) {
            self.stop_in_peace_or_not()?;
        }
        Ok(())
    }

    /// A crash just before a sync finds the most to take. Left to chance, few would come there.
    fn await_moment(&mut self) -> Result<(), Violation> {
        let moment = self.world.choices.choice("run/moment", 4);
        for _ in 0..MOMENT_STEPS_MAX {
            let is_there = match moment {
                0 => true,
                1 => self.world.disk().awaits_sync_of_names(),
                _ => self.world.disk().awaits_sync_of_bytes(),
            };
            if is_there {
                break;
            }
            self.step()?;
        }
        Ok(())
    }

    /// Crashes within recoveries, one within the other.
    fn crash_recoveries(&mut self) -> Result<(), Violation> {
        let kind = FaultKind::NestedCrash;
        for depth in 0..NESTED_CRASHES_MAX {
            if !self.world.choices.chance(kind.strikes(), self.world.disk().profile().rate(kind)) {
                break;
            }
            self.ask_to_open_all()?;
            let steps = self.world.choices.choice(kind.what(), 120);
            self.steps(steps)?;
            if !self.world.checker.is_recovering() {
                // The recovery was over sooner.
                break;
            }
            self.world.disk_mut().strike(kind, None, None, false);
            self.world.mark(Mark::NestedCrash);
            if depth > 0 {
                self.world.mark(Mark::NestedTwice);
            }
            match self.world.choices.choice(kind.what(), 2) {
                0 => self.crash(CrashKind::Process)?,
                _ => self.crash(CrashKind::Power)?,
            }
        }
        Ok(())
    }

    /// The device may be nearly full for a while.
    fn squeeze(&mut self) {
        let kind = FaultKind::NoSpace;
        let often = self.world.disk().profile().rate(kind);
        let quota = if self.world.choices.chance(kind.strikes(), often) {
            let room = 512 * self.world.choices.choice(kind.what(), 40);
            Some(self.world.disk_mut().used() + room)
        } else {
            None
        };
        self.world.disk_mut().set_quota(quota);
    }

    /// The process or the machine dies; of a kind that is switched off, in the other way.
    fn crash(&mut self, kind: CrashKind) -> Result<(), Violation> {
        self.openings += 1;
        let without = self.world.disk().profile().without;
        let kind = match kind {
            CrashKind::Process if without.contains(FaultKind::ProcessCrash) => CrashKind::Power,
            CrashKind::Power if without.contains(FaultKind::PowerCrash) => CrashKind::Process,
            kind => kind,
        };
        self.world.crash(kind)?;
        if kind == CrashKind::Power {
            self.probe()?;
        }
        if self.world.choices.chance("run/look", LOOKS_PER_MILLE) {
            self.world.request(Request::ListDatabases)?;
        }
        Ok(())
    }

    /// A shutdown, which a crash may cut short.
    fn stop_in_peace_or_not(&mut self) -> Result<(), Violation> {
        if self.world.choices.chance("settle/whole_stop", WHOLE_STOPS_PER_MILLE) {
            return self.stop_among_faults();
        }
        self.world.shutdown()?;
        for _ in 0..ROUND_STEPS_MAX {
            let cut_short = self.world.choices.chance("run/cut_short", 10);
            if cut_short || self.world.stopped() {
                break;
            }
            if self.world.step(false)? == Stepped::Idle {
                progress::has_stopped(self.world.stopped(), "a shutdown")?;
                break;
            }
        }
        if self.world.stopped() {
            space::nothing_is_open(self.world.disk(), "a shutdown")?;
        }
        self.crash(CrashKind::Power)
    }

    /// Steps with requests; after each, one more in `on` of a thousand cases.
    fn steps(&mut self, on: u64) -> Result<(), Violation> {
        for _ in 0..ROUND_STEPS_MAX {
            if !self.world.choices.chance("run/on", on) {
                break;
            }
            self.step()?;
        }
        Ok(())
    }

    /// One step, in which a client may send a request.
    fn step(&mut self) -> Result<(), Violation> {
        let wants_more = self.workload.wants_more(&self.world.checker);
        if self.world.step(wants_more)? == Stepped::WantsRequest {
            let request = self.workload.next(&self.world.checker, &mut self.world.choices);
            if let Some(request) = request {
                self.readers_come_and_go()?;
                self.keep_catalog(&request);
                self.world.request(request)?;
            }
        }
        Ok(())
    }

    /// Somebody may be about to make a database that the catalog does not name yet.
    fn keep_catalog(&mut self, request: &Request) {
        let makes = matches!(request, Request::OpenDatabase { if_missing: IfMissing::Create, .. });
        if makes && self.catalogs.len() < CATALOGS_MAX {
            self.catalogs.extend(self.world.disk().catalog());
        }
    }

    /// Where memory is tight, readers hold older states now and then.
    fn readers_come_and_go(&mut self) -> Result<(), Violation> {
        if !self.world.has_memory_bound() || self.world.checker.waiting() > 0 {
            return Ok(());
        }
        match self.world.choices.weighted("readers/hold", &[6, 1, 1]) {
            0 => Ok(()),
            1 => self.world.readers_hold(0),
            _ => {
                let most = self.world.pinned_bytes_max();
                let pinned_bytes = self.world.choices.choice("readers/bytes", most);
                self.world.readers_hold(pinned_bytes)
            }
        }
    }

    /// Steps without new requests until everything is answered.
    fn drain(&mut self, what: &str) -> Result<(), Violation> {
        for _ in 0..PEACE_STEPS_MAX {
            if self.world.checker.waiting() == 0 {
                return Ok(());
            }
            if self.world.step(false)? == Stepped::Idle {
                break;
            }
        }
        progress::all_is_answered(&self.world.checker, what)
    }

    fn ask_to_open_all(&mut self) -> Result<(), Violation> {
        let requests: Vec<_> = self.world.checker.databases().iter().map(opening).collect();
        requests.into_iter().try_for_each(|request| self.world.request(request))
    }

    fn open_all(&mut self, what: &str) -> Result<(), Violation> {
        self.ask_to_open_all()?;
        self.drain(what)?;
        progress::all_is_open(&self.world.checker, what)
    }

    fn write_all(&mut self, what: &str) -> Result<(), Violation> {
        for index in 0..self.world.checker.databases().len() {
            let tracked = &self.world.checker.databases()[index];
            if !settled::takes_writes(tracked) {
                continue;
            }
            let request = self.workload.certain_write(tracked);
            if let Some(request) = request {
                self.world.request(request)?;
            }
        }
        self.drain(what)?;
        progress::writes_are_accepted(&self.world.checker, what)
    }

    fn stop(&mut self, what: &str) -> Result<(), Violation> {
        self.world.shutdown()?;
        for _ in 0..PEACE_STEPS_MAX {
            if self.world.stopped() {
                space::nothing_is_open(self.world.disk(), what)?;
                return if self.world.checker.waiting() == 0 {
                    Ok(())
                } else {
                    violation!("{what}: stopped before {} was answered", self.world.checker.first_waiting())
                };
            }
            if self.world.step(false)? == Stepped::Idle {
                break;
            }
        }
        progress::has_stopped(self.world.stopped(), what)
    }

    fn peace(&mut self) -> Result<(), Violation> {
        let calm = self.world.disk().profile().calmed();
        self.world.disk_mut().set_profile(calm);
        self.world.disk_mut().repair();
        self.world.schedule = Schedule::ANY;
        if self.world.disk().is_shut_down() {
            self.crash(CrashKind::Power)?;
        }
        self.world.disk_mut().set_quota(None);
        self.drain("after the faults stopped")?;
        self.world.lift_memory_bound();
        match self.world.choices.choice("run/last", 3) {
            0 => {
                self.stop("shutting down after the faults stopped")?;
                self.crash(CrashKind::Power)?;
            }
            1 => self.crash(CrashKind::Process)?,
            _ => self.crash(CrashKind::Power)?,
        }
        self.open_all("the first start in peace")?;
        self.write_all("the first start in peace")?;
        self.steps(984)?;
        self.drain("the first start in peace")?;
        self.stop("shutting down in peace")?;
        let newest: Vec<u64> = self.newest();
        self.crash(CrashKind::Power)?;
        self.open_all("the second start in peace")?;
        if self.newest() != newest && !self.world.checker.is_in_doubt() {
            return violation!("transactions before a clean shutdown: {newest:?}, after it: {:?}", self.newest());
        }
        self.write_all("the second start in peace")?;
        self.stop("shutting down for the last time")?;
        self.files_are_few()
    }

    fn newest(&self) -> Vec<u64> {
        self.world.checker.databases().iter().map(|tracked| tracked.model.newest()).collect()
    }

    fn files_are_few(&self) -> Result<(), Violation> {
        // What damage or a lie took away once had its segments too.
        let transactions = self.newest().iter().sum::<u64>().max(self.world.tally.acknowledged);
        space::files_are_few(self.world.disk(), &self.world.checker, self.openings, transactions)
    }
}
