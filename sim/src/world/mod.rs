//! One simulated machine: the engine with its disk and clock, its clients, and the judge.
//!
//! Everything is plain data, so a clone is a fork. It moves in steps: one operation of the disk, one
//! completion, one request, or one timer; which of them is a choice. What the engine says is judged as
//! soon as it is said.
//!
//! It never reads a clock of the real machine and never touches the engine but through its driver.

mod crash;
mod schedule;
mod step;

use docdb_engine::{Alert, Clock, DiskOp, Driver, Engine, Input, Instant, OpId, Options, Outside, RequestId, View};
use docdb_protocol::{DatabaseId, Reply, Request, Response};

use crate::blame;
use crate::choice::Choices;
use crate::chronicle::{Chronicle, Event};
use crate::clock::SimClock;
use crate::disk::{Profile, SimDisk};
use crate::hash::Hash;
use crate::marks::{Mark, Marks};
use crate::oracle::{Checker, Recovered, Violation, written};
use crate::refine::Refinement;
use crate::witness::Witness;
pub(crate) use schedule::Schedule;

/// What the engine said, in the order it said it.
#[derive(Clone, Debug, Default)]
struct Collected {
    events: Vec<Event>,
    wake: Option<Instant>,
    stopped: bool,
}

impl Outside for Collected {
    fn submitting(&mut self, id: OpId, op: &DiskOp) {
        self.events.push(Event::Submitted { id, op: op.clone() });
    }

    fn respond(&mut self, request: RequestId, response: Response) {
        self.events.push(Event::Answered { id: request, response });
    }

    fn publish(&mut self, database: DatabaseId, view: Option<View>) {
        self.events.push(Event::Published { database, view });
    }

    fn wake_at(&mut self, time: Instant) {
        self.wake = Some(time);
    }

    fn alert(&mut self, alert: Alert) {
        self.events.push(Event::Alerted(alert));
    }

    fn stopped(&mut self) {
        self.stopped = true;
        self.events.push(Event::Stopped);
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Something.
    Moved,
    /// A client may send a request now.
    WantsRequest,
    /// Nothing is left to do: no operation, no completion, no timer.
    Idle,
}

/// What was done in a world, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests of clients.
    pub requests: u64,
    /// Operations that clients asked for, each document of a request counted alone.
    pub operations: u64,
    /// Operations of clients that were answered as written.
    pub acknowledged: u64,
    /// Operations that the disk carried out.
    pub disk_operations: u64,
    /// Crashes.
    pub crashes: u64,
    /// Databases that were opened after a crash or a closing.
    pub recoveries: u64,
}

impl Tally {
    /// Adds what was done in another world.
    pub fn add(&mut self, other: &Tally) {
        let Tally { requests, operations, acknowledged, disk_operations, crashes, recoveries } = other;
        self.requests += requests;
        self.operations += operations;
        self.acknowledged += acknowledged;
        self.disk_operations += disk_operations;
        self.crashes += crashes;
        self.recoveries += recoveries;
    }
}

/// A simulated machine.
#[derive(Clone, Debug)]
pub struct World {
    driver: Driver<SimDisk, SimClock>,
    collected: Collected,
    options: Options,
    /// Where all decisions come from.
    pub choices: Choices,
    /// What was promised, and to whom.
    pub checker: Checker,
    /// Who watches.
    pub chronicle: Chronicle,
    /// What has been done.
    pub tally: Tally,
    /// Who holds the run to the specifications.
    pub refinement: Refinement,
    /// In which order the device works.
    pub(crate) schedule: Schedule,
    witness: Witness,
    /// Whether the figures of the engine were answered since that was last forgotten.
    has_told_stats: bool,
    steps: u64,
    hash: Hash,
    /// From this step on time passes as the process's number says: a run that cannot be repeated, to show that it is noticed.
    #[cfg(feature = "planted-bugs")]
    pub shaky_from: Option<u64>,
    /// This step never ends: a hang, to show that it is noticed.
    #[cfg(feature = "planted-bugs")]
    pub hangs_at: Option<u64>,
}

impl World {
    /// A machine with an empty data directory; the engine begins.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn new(options: Options, profile: Profile, choices: Choices, names: &[&str]) -> Result<World, Violation> {
        let mut world = World::unborn(options, profile, choices, names);
        world.begin()?;
        Ok(world)
    }

    /// The same, before the engine begins: an observer can take its seat.
    #[must_use]
    pub fn unborn(options: Options, profile: Profile, choices: Choices, names: &[&str]) -> World {
        let driver = Driver::new(Engine::new(options.clone()), SimDisk::new(profile), SimClock::default());
        let mut checker = Checker::new(names);
        checker.bound(&options);
        World {
            driver,
            collected: Collected::default(),
            options,
            choices,
            checker,
            chronicle: Chronicle::default(),
            tally: Tally::default(),
            refinement: Refinement::default(),
            schedule: Schedule::ANY,
            witness: Witness::default(),
            has_told_stats: false,
            steps: 0,
            hash: Hash::default(),
            #[cfg(feature = "planted-bugs")]
            shaky_from: None,
            #[cfg(feature = "planted-bugs")]
            hangs_at: None,
        }
    }

    /// The next process has all the memory it could want.
    pub fn lift_memory_bound(&mut self) {
        self.options.memory_bytes_max = Options::default().memory_bytes_max;
    }

    /// Whether this process has a bound on its memory that it may reach.
    #[must_use]
    pub fn has_memory_bound(&self) -> bool {
        self.options.memory_bytes_max < Options::default().memory_bytes_max
    }

    /// Whether the figures of the engine were answered since [`World::forget_stats`].
    pub(crate) fn has_told_stats(&self) -> bool {
        self.has_told_stats
    }

    pub(crate) fn forget_stats(&mut self) {
        self.has_told_stats = false;
    }

    /// The engine begins.
    ///
    /// # Errors
    /// When it says something wrong at once.
    pub fn begin(&mut self) -> Result<(), Violation> {
        self.driver.drain(&mut self.collected);
        self.judge()
    }

    /// The observer hears that the step is over.
    pub(crate) fn step_over(&mut self) {
        if !self.chronicle.watches_steps() {
            return;
        }
        let mut chronicle = std::mem::take(&mut self.chronicle);
        chronicle.step_over(self.steps, &self.driver.disk, || self.hash());
        self.chronicle = chronicle;
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.driver.disk
    }

    /// The disk, to change what it does.
    pub fn disk_mut(&mut self) -> &mut SimDisk {
        &mut self.driver.disk
    }

    /// What has occurred.
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.witness.marks
    }

    /// A situation that only the life of a world knows of.
    pub fn mark(&mut self, mark: Mark) {
        self.witness.marks.set(mark);
    }

    /// How many steps were made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether nothing is left to do: no operation, no completion, no timer.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.driver.disk.ready() == 0 && self.driver.disk.undelivered() == 0 && self.collected.wake.is_none()
    }

    /// Whether the engine waits for nothing but time.
    pub(crate) fn awaits_time_alone(&self) -> bool {
        self.driver.disk.ready() == 0 && self.driver.disk.undelivered() == 0
    }

    /// Whether time passes next, since all that the disk has left to do is held back.
    pub(crate) fn awaits_time_beside_what_is_held(&self) -> bool {
        let moves = self.schedule.ready(self.steps, &self.driver.disk) > 0 || self.driver.disk.undelivered() > 0;
        !moves && self.collected.wake.is_some_and(|wake| wake > self.driver.clock.monotonic())
    }

    /// Whether the next step in the plain order may change what is stored.
    #[must_use]
    pub fn is_at_effect(&self) -> bool {
        self.driver.disk.undelivered() == 0 && self.driver.disk.ready() > 0 && self.driver.disk.is_effect(0)
    }

    /// Whether the engine has shut down.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.collected.stopped
    }

    /// The hash of the whole run so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hash = self.hash;
        hash.number(self.choices.hash());
        hash.number(self.driver.disk.hash());
        hash.number(self.driver.clock.monotonic().0);
        hash.number(self.steps);
        hash.value()
    }

    fn feed(&mut self, input: Input) -> Result<(), Violation> {
        self.driver.handle(input, &mut self.collected);
        self.judge()
    }

    /// Something happened: the observer hears of it.
    fn note(&mut self, event: &Event) {
        self.witness.see(event);
        self.chronicle.note(self.steps, event);
        self.refinement.hear(event);
    }

    /// Judges what the engine said since the last time.
    fn judge(&mut self) -> Result<(), Violation> {
        self.checker.doubt(&self.driver.disk);
        self.checker.time_is(self.driver.clock.monotonic(), self.driver.clock.wall());
        for event in std::mem::take(&mut self.collected.events) {
            self.note(&event);
            self.refinement.verdict()?;
            match event {
                Event::Answered { id, response } => {
                    self.hash.bytes(format!("{} {response:?}", id.0).as_bytes());
                    self.has_told_stats |= matches!(response, Ok(Reply::Stats(_)));
                    blame::answered(&response, self.driver.disk.faults())?;
                    let recovered = self.checker.answered(id, &response, &self.driver.disk)?;
                    self.recovered(recovered);
                    self.tally.acknowledged += written(&response).count() as u64;
                }
                Event::Published { database, view } => {
                    self.hash.number(view.as_ref().map_or(u64::MAX, |view| view.last_tx().0));
                    let recovered = self.checker.published(database, view.as_ref())?;
                    self.recovered(recovered);
                }
                Event::Alerted(alert) => {
                    self.hash.bytes(format!("{alert:?}").as_bytes());
                    blame::alerted(&alert, self.driver.disk.faults())?;
                    self.checker.alerted(&alert, &self.driver.disk)?;
                }
                Event::Submitted { id, op } => {
                    self.schedule.submitted(self.steps, id, &op, &mut self.choices);
                    self.checker.submitted(id, &op, &self.driver.disk)?;
                }
                Event::Stopped => {}
                Event::Requested { .. }
                | Event::ShutdownAsked
                | Event::Timer
                | Event::Performed { .. }
                | Event::Fault { .. }
                | Event::Delivered { .. }
                | Event::Crashed(_)
                | Event::Decided { .. }
                | Event::Restarted => unreachable!("the engine does not say this; the world does"),
            }
        }
        self.refinement.verdict()?;
        self.checker.turn_over(self.collected.wake)
    }

    /// A database came up.
    fn recovered(&mut self, recovered: Option<Recovered>) {
        if let Some(recovered) = recovered {
            self.tally.recoveries += 1;
            self.witness.recovered(self.driver.disk.faults(), recovered);
        }
    }

    /// A client sends a request.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn request(&mut self, request: Request) -> Result<(), Violation> {
        let id = self.checker.ask(&request);
        self.tally.requests += 1;
        if let Request::Execute { operations, .. } = &request {
            self.tally.operations += operations.len() as u64;
        }
        self.note(&Event::Requested { id, request: request.clone() });
        self.feed(Input::Request { id, request })
    }

    /// Readers come to hold, or let go, states that keep so many bytes in memory. Nobody waits.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub(crate) fn readers_hold(&mut self, pinned_bytes: u64) -> Result<(), Violation> {
        self.checker.readers_hold(pinned_bytes);
        self.feed(Input::Pinned { bytes: pinned_bytes })
    }

    /// What readers may keep at most, so that it is felt and room is left.
    pub(crate) fn pinned_bytes_max(&self) -> u64 {
        self.options.memory_bytes_max / 2
    }

    /// The operator asks the engine to stop.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn shutdown(&mut self) -> Result<(), Violation> {
        self.checker.stop();
        self.note(&Event::ShutdownAsked);
        self.feed(Input::Shutdown)?;
        self.checker.what_has_not_begun_is_refused(&self.driver.disk)
    }
}

/// A chosen index.
fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
