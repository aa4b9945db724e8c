//! One step of a world: the device carries something out, the engine hears of it, time passes.
//!
//! What happens next is chosen, or, where every order is explored, comes in the plain order.

use docdb_engine::{Clock as _, Input, WallTime};

use super::{Stepped, World, small};
use crate::chronicle::Event;
use crate::disk::{FaultKind, Struck};
use crate::oracle::Violation;
use crate::pulse::beat;

/// The wall clock is set to before this: some day in 2033.
const WALL_NS_MAX: u64 = 2_000_000_000_000_000_000;

/// Nothing happens for less than this: a day.
const STALL_NS_MAX: u64 = 86_400_000_000_000;

impl World {
    /// One step in an order that is chosen. With `clients`, some client may want to send a request.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn step(&mut self, clients: bool) -> Result<Stepped, Violation> {
        self.step_over();
        self.steps += 1;
        beat();
        #[cfg(feature = "planted-bugs")]
        if self.shaky_from == Some(self.steps) {
            self.driver.clock.pass(u64::from(std::process::id()));
        }
        #[cfg(feature = "planted-bugs")]
        while self.hangs_at == Some(self.steps) {
            std::thread::park();
        }
        let pass = [0, 1_000, 100_000, 5_000_000][small(self.choices.choice("clock/pass", 4))];
        self.driver.clock.pass(pass);
        self.disturb_clock();
        let due = self.collected.wake.is_some_and(|wake| wake <= self.driver.clock.monotonic());
        let weights = [
            if self.schedule.ready(self.steps, &self.driver.disk) > 0 { 4 } else { 0 },
            if self.driver.disk.undelivered() > 0 { 4 } else { 0 },
            if due { 3 } else { 0 },
            if clients { 2 } else { 0 },
        ];
        if weights.iter().all(|weight| *weight == 0) {
            // What is held back is slow, not lost: timers come before it, and then it comes.
            if self.driver.disk.ready() > 0 && self.collected.wake.is_none() {
                let which = self.schedule.next(self.steps, &self.driver.disk, &mut self.choices);
                self.perform(which);
                return Ok(Stepped::Moved);
            }
            return self.wait();
        }
        match self.choices.weighted("schedule/what", &weights) {
            0 => {
                let which = self.schedule.next(self.steps, &self.driver.disk, &mut self.choices);
                self.perform(which);
            }
            1 => self.deliver()?,
            2 => self.fire()?,
            _ => return Ok(Stepped::WantsRequest),
        }
        Ok(Stepped::Moved)
    }

    /// The wall clock may be set, and a long time may pass.
    fn disturb_clock(&mut self) {
        let device = self.driver.disk.profile();
        for kind in [FaultKind::WallStep, FaultKind::Stall] {
            if !self.choices.chance(kind.strikes(), device.rate(kind)) {
                continue;
            }
            let bound = if kind == FaultKind::WallStep { WALL_NS_MAX } else { STALL_NS_MAX };
            let time = self.choices.choice(kind.what(), bound);
            match kind {
                FaultKind::WallStep => self.driver.clock.step_wall(WallTime(time)),
                _ => self.driver.clock.pass(time),
            }
            self.driver.disk.strike(kind, None, None, false);
            self.note_faults();
        }
    }

    /// One step in the plain order: completions first, then operations as submitted, then timers.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn step_in_order(&mut self) -> Result<Stepped, Violation> {
        self.steps += 1;
        beat();
        if self.driver.disk.undelivered() > 0 {
            self.deliver()?;
        } else if self.driver.disk.ready() > 0 {
            self.perform(0);
        } else {
            return self.wait();
        }
        Ok(Stepped::Moved)
    }

    /// Nothing happens until the next timer, if there is one.
    fn wait(&mut self) -> Result<Stepped, Violation> {
        let Some(wake) = self.collected.wake else { return Ok(Stepped::Idle) };
        self.driver.clock.pass_until(wake);
        self.fire()?;
        Ok(Stepped::Moved)
    }

    fn fire(&mut self) -> Result<(), Violation> {
        self.collected.wake = None;
        self.note(&Event::Timer);
        self.feed(Input::Timer)
    }

    /// The disk carries one operation out.
    fn perform(&mut self, which: usize) {
        self.tally.disk_operations += 1;
        self.driver.disk.run(which, &mut self.choices);
        self.note_faults();
        let done = self.driver.disk.last_completion().expect("it was carried out just now");
        let event = Event::Performed { id: done.id, result: done.result.clone().map_err(|error| error.kind) };
        self.note(&event);
        self.chronicle.see_names(&self.driver.disk);
    }

    /// The observer hears of the faults that struck.
    pub(super) fn note_faults(&mut self) {
        let struck = self.driver.disk.take_struck();
        for struck in &struck {
            self.refinement.struck(struck.kind);
            self.witness.struck(struck.kind);
        }
        if self.chronicle.is_watched() {
            for Struck { kind, file, offset } in struck {
                let file = file.and_then(|file| self.driver.disk.name_of(file));
                self.note(&Event::Fault { kind, file, offset });
            }
        }
    }

    fn deliver(&mut self) -> Result<(), Violation> {
        if let Some(completion) = self.driver.disk.next_completion() {
            let id = completion.id;
            self.checker.time_is(self.driver.clock.monotonic(), self.driver.clock.wall());
            self.checker.delivered(completion, &self.driver.disk)?;
            self.note(&Event::Delivered { id });
        }
        self.driver.deliver(&mut self.collected);
        self.judge()
    }
}
