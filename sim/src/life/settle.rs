//! What a life judges of a process that met faults and goes on: once they stop, everything is answered, nothing stays
//! half done, and what can be written is written, without another start to help it.
//!
//! A crash would hide a request that is forgotten: the next process owes nothing to those who waited for the last one.

use docdb_protocol::Request;

use super::{Life, PEACE_STEPS_MAX};
use crate::disk::{CrashKind, FaultKind};
use crate::marks::Mark;
use crate::oracle::{Violation, files, progress, proofs, settled, space, violation};
use crate::world::Stepped;

/// An operation that is held back may be the very one that is tried without a pause, once or twice. The closing of a file
/// that is slow each time is none.
const PAUSES_BESIDE_HELD: u64 = 8;

/// Whatever waits for its time is tried so often at least: a proof is due some time after its batch, and tried again later.
const PAUSES: u32 = 8;

const ENDURING: &str = "while something goes on lacking";

const SETTLING: &str = "in the process that met the faults, once they had stopped";

impl Life {
    /// Faults stop and space returns, for as long as the process settles; then they are as they were.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        let device = self.world.disk().profile();
        if self.world.choices.choice("endure/at_all", 2) == 1 {
            self.endure()?;
        }
        self.world.disk_mut().set_profile(device.calmed());
        self.world.disk_mut().repair();
        self.world.disk_mut().set_quota(None);
        self.drain(SETTLING)?;
        self.world.readers_hold(0)?;
        self.rest(SETTLING)?;
        files::no_folder_lies_about(self.world.disk(), &self.world.checker, SETTLING)?;
        proofs::all_is_proven(self.world.disk(), &self.world.checker, SETTLING)?;
        // A file system that shut down fails whatever is asked of it until the machine starts again.
        if !self.world.disk().is_shut_down() && self.has_started()? {
            let blamed = self.world.disk_mut().forgive();
            self.is_whole()?;
            if self.world.choices.choice("settle/reopen", 2) == 1 {
                self.close_all()?;
                self.is_whole()?;
            }
            self.world.disk_mut().blame(blamed);
            self.world.mark(Mark::Settled);
        }
        self.rest(SETTLING)?;
        if !self.world.disk().is_shut_down() {
            let has_failed = self.world.disk().injected() > 0;
            self.world.checker.rested(has_failed);
        }
        files::nothing_lies_about(self.world.disk(), &self.world.checker, SETTLING)?;
        proofs::all_is_proven(self.world.disk(), &self.world.checker, SETTLING)?;
        space::few_are_open(self.world.disk(), &self.world.checker, SETTLING)?;
        self.world.disk_mut().set_profile(device);
        Ok(())
    }

    /// What the device lacks now and then it goes on lacking, and nothing else fails: everybody is answered all the same, and
    /// what is to be closed is closed.
    fn endure(&mut self) -> Result<(), Violation> {
        let device = self.world.disk().profile();
        let kinds = [FaultKind::NoSpace, FaultKind::Busy, FaultKind::Shortage];
        let kinds: Vec<FaultKind> = kinds.into_iter().filter(|kind| device.rate(*kind) > 0).collect();
        if kinds.is_empty() {
            return Ok(());
        }
        let which = self.world.choices.choice("endure/lacks", kinds.len() as u64);
        let kind = kinds[usize::try_from(which).expect("below the number of kinds")];
        if kind == FaultKind::NoSpace {
            // Near its end the device refuses names and syncs too.
            self.world.disk_mut().set_profile(device.calmed().with(kind, 1000));
            // Often less than any segment takes.
            let most = [20, 8][usize::from(self.world.choices.chance("endure/little", 500))];
            let room = 512 * self.world.choices.choice("endure/room", most);
            let quota = self.world.disk_mut().used() + room;
            self.world.disk_mut().set_quota(Some(quota));
        } else {
            self.world.disk_mut().set_profile(device.calmed().with(kind, 1000));
            self.world.disk_mut().set_quota(None);
        }
        // Where memory is tight nothing is asked beside what waits.
        let most = if self.world.has_memory_bound() { 1 } else { 4 };
        for _ in 0..self.world.choices.choice("endure/requests", most) {
            self.ask_to_write_all()?;
        }
        if self.world.choices.choice("endure/closes", 2) == 1 {
            self.ask_to_close_all()?;
        }
        self.drain(ENDURING)?;
        for _ in 0..PAUSES {
            self.pause(ENDURING)?;
            // What waited for its time is tried.
            self.world.step(false)?;
        }
        self.world.mark(Mark::Endured);
        Ok(())
    }

    /// Whether the process came to know its databases: a start that failed is answered to every request.
    fn has_started(&mut self) -> Result<bool, Violation> {
        self.world.forget_stats();
        self.world.request(Request::Stats)?;
        self.drain(SETTLING)?;
        Ok(self.world.has_told_stats())
    }

    /// Every database can be opened, and takes writes unless it is latched.
    fn is_whole(&mut self) -> Result<(), Violation> {
        if self.world.has_memory_bound() {
            // What does not fit is refused, which is judged with its answer.
            self.ask_to_open_all()?;
            return self.drain(SETTLING);
        }
        self.ask_to_open_all()?;
        self.drain(SETTLING)?;
        self.ask_to_write_all()?;
        self.drain(SETTLING)?;
        if self.world.checker.databases().iter().any(|tracked| tracked.id.is_none()) {
            // What was made while no catalog could be written is known for certain, and written to, only now that one can.
            self.ask_to_open_all()?;
            self.drain(SETTLING)?;
            self.ask_to_write_all()?;
            self.drain(SETTLING)?;
        }
        progress::all_is_open(&self.world.checker, SETTLING)?;
        progress::writes_are_accepted(&self.world.checker, SETTLING)
    }

    /// A write to every database that has to take one.
    fn ask_to_write_all(&mut self) -> Result<(), Violation> {
        for index in 0..self.world.checker.databases().len() {
            let tracked = &self.world.checker.databases()[index];
            if !settled::has_to_take_a_write(tracked) {
                continue;
            }
            if let Some(request) = self.workload.certain_write(tracked) {
                self.world.request(request)?;
            }
        }
        Ok(())
    }

    fn ask_to_close_all(&mut self) -> Result<(), Violation> {
        let known = self.world.checker.databases().iter().filter(|tracked| tracked.model.is_open());
        let requests: Vec<Request> =
            known.filter_map(|tracked| Some(Request::CloseDatabase { database: tracked.id? })).collect();
        requests.into_iter().try_for_each(|request| self.world.request(request))
    }

    fn close_all(&mut self) -> Result<(), Violation> {
        self.ask_to_close_all()?;
        self.drain(SETTLING)?;
        settled::none_is_latched(&self.world.checker, SETTLING)
    }

    /// Steps without requests until the process waits for nothing but time: what cannot be done now is not tried without a
    /// pause.
    fn pause(&mut self, what: &str) -> Result<(), Violation> {
        let mut beside_held = 0;
        for _ in 0..PEACE_STEPS_MAX {
            beside_held += u64::from(self.world.awaits_time_beside_what_is_held());
            if self.world.awaits_time_alone() || beside_held == PAUSES_BESIDE_HELD {
                return Ok(());
            }
            self.world.step(false)?;
        }
        violation!("{what}: the engine never pauses")
    }

    /// Steps without requests until nothing is left to do: what a process does without end, nobody waits for.
    fn rest(&mut self, what: &str) -> Result<(), Violation> {
        for _ in 0..PEACE_STEPS_MAX {
            if self.world.step(false)? == Stepped::Idle {
                return progress::all_is_answered(&self.world.checker, what);
            }
        }
        violation!("{what}: the engine never comes to rest")
    }

    /// A shutdown that nothing cuts short ends, whatever the device does meanwhile.
    pub(super) fn stop_among_faults(&mut self) -> Result<(), Violation> {
        self.stop("shutting down while faults go on")?;
        self.world.mark(Mark::StoppedAmongFaults);
        self.crash(CrashKind::Power)
    }
}
