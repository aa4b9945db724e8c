//! What a life judges of a process that met faults and goes on: once they stop, everything is answered, nothing stays
//! half done, and what can be written is written, without another start to help it.
//!
//! A crash would hide whoever is forgotten: the next process owes nothing to those who waited for the last one.

use docdb_protocol::Request;

use super::{Life, PEACE_STEPS_MAX};
use crate::disk::CrashKind;
use crate::marks::Mark;
use crate::oracle::{Violation, progress, settled, space, violation};
use crate::world::Stepped;

const SETTLING: &str = "in the process that met the faults, once they had stopped";

impl Life {
    /// Faults stop and space returns, for as long as the process settles; then they are as they were.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        let device = self.world.disk().profile();
        self.world.disk_mut().set_profile(device.calmed());
        self.world.disk_mut().repair();
        self.world.disk_mut().set_quota(None);
        self.drain(SETTLING)?;
        self.rest(SETTLING)?;
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
        space::few_are_open(self.world.disk(), &self.world.checker, SETTLING)?;
        self.world.disk_mut().set_profile(device);
        Ok(())
    }

    /// Whether the process came to know its databases: a start that failed is told to everybody who asks.
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
        for index in 0..self.world.checker.databases().len() {
            let tracked = &self.world.checker.databases()[index];
            if !settled::has_to_take_a_write(tracked) {
                continue;
            }
            if let Some(request) = self.workload.certain_write(tracked) {
                self.world.request(request)?;
            }
        }
        self.drain(SETTLING)?;
        progress::all_is_open(&self.world.checker, SETTLING)?;
        progress::writes_are_accepted(&self.world.checker, SETTLING)
    }

    fn close_all(&mut self) -> Result<(), Violation> {
        let known = self.world.checker.databases().iter().filter(|tracked| tracked.model.is_open());
        let requests: Vec<Request> =
            known.filter_map(|tracked| Some(Request::CloseDatabase { database: tracked.id? })).collect();
        requests.into_iter().try_for_each(|request| self.world.request(request))?;
        self.drain(SETTLING)?;
        settled::none_is_latched(&self.world.checker, SETTLING)
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
