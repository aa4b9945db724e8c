//! One simulated machine: the engine with its disk and clock, its clients, and the judge.
//!
//! Everything is plain data, so a clone is a fork. It moves in steps: one operation of the disk, one
//! completion, one request, or one timer; which of them is a choice. What the engine says is judged as
//! soon as it is said.
//!
//! It never reads a clock of the real machine and never touches the engine but through its driver.

use std::hash::Hash as _;

use docdb_engine::{
    Alert, Clock, DiskOp, Driver, Engine, Input, Instant, OpId, Options, Outside, RequestId, View, WallTime,
};
use docdb_protocol::{DatabaseId, Request, Response};
use xxhash_rust::xxh3::Xxh3Default;

use crate::blame;
use crate::choice::Choices;
use crate::chronicle::{Chronicle, Event};
use crate::clock::SimClock;
use crate::disk::{CrashKind, FaultKind, Mood, NameOrder, Profile, SimDisk, Struck, Unit, decide_in};
use crate::hash::Hash;
use crate::marks::{Mark, Marks};
use crate::oracle::{Checker, Recovered, Violation, written};
use crate::refine::Refinement;
use crate::witness::Witness;

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

/// The wall clock is set to before this: some day in 2033.
const WALL_NS_MAX: u64 = 2_000_000_000_000_000_000;

/// Nothing happens for less than this: a day.
const STALL_NS_MAX: u64 = 86_400_000_000_000;

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
    witness: Witness,
    steps: u64,
    hash: Hash,
    /// From this step on time passes as the process's number says: a run that cannot be repeated, to show that it is noticed.
    #[cfg(feature = "planted-bugs")]
    pub shaky_from: Option<u64>,
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

    /// The same, before the engine begins: whoever watches can take his seat.
    #[must_use]
    pub fn unborn(options: Options, profile: Profile, choices: Choices, names: &[&str]) -> World {
        let driver = Driver::new(Engine::new(options.clone()), SimDisk::new(profile), SimClock::default());
        let mut checker = Checker::new(names);
        checker.bound_memory(options.memory_bytes_max);
        World {
            driver,
            collected: Collected::default(),
            options,
            choices,
            checker,
            chronicle: Chronicle::default(),
            tally: Tally::default(),
            refinement: Refinement::default(),
            witness: Witness::default(),
            steps: 0,
            hash: Hash::default(),
            #[cfg(feature = "planted-bugs")]
            shaky_from: None,
        }
    }

    /// The next process has all the memory it could want.
    pub fn lift_memory_bound(&mut self) {
        self.options.memory_bytes_max = Options::default().memory_bytes_max;
    }

    /// The engine begins.
    ///
    /// # Errors
    /// When it says something wrong at once.
    pub fn begin(&mut self) -> Result<(), Violation> {
        self.driver.drain(&mut self.collected);
        self.judge()
    }

    /// Whoever watches hears that the step is over.
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

    /// Something happened: whoever watches hears of it.
    fn note(&mut self, event: &Event) {
        self.witness.see(event);
        self.chronicle.note(self.steps, event);
        self.refinement.hear(event);
    }

    /// Judges what the engine said since the last time.
    fn judge(&mut self) -> Result<(), Violation> {
        let device_failed = self.driver.disk.injected() > 0;
        self.checker.doubt(&self.driver.disk);
        for event in std::mem::take(&mut self.collected.events) {
            self.note(&event);
            self.refinement.verdict()?;
            match event {
                Event::Answered { id, response } => {
                    self.hash.bytes(format!("{} {response:?}", id.0).as_bytes());
                    blame::answered(&response, self.driver.disk.faults())?;
                    let recovered = self.checker.answered(id, &response, device_failed)?;
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
                    self.checker.alerted(&alert, device_failed)?;
                }
                Event::Submitted { .. } | Event::Stopped => {}
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
        self.refinement.verdict()
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

    /// The operator asks the engine to stop.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn shutdown(&mut self) -> Result<(), Violation> {
        self.checker.stop();
        self.note(&Event::ShutdownAsked);
        self.feed(Input::Shutdown)
    }

    /// One step in an order that is chosen. With `clients`, some client may want to send a request.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn step(&mut self, clients: bool) -> Result<Stepped, Violation> {
        self.step_over();
        self.steps += 1;
        #[cfg(feature = "planted-bugs")]
        if self.shaky_from == Some(self.steps) {
            self.driver.clock.pass(u64::from(std::process::id()));
        }
        let pass = [0, 1_000, 100_000, 5_000_000][small(self.choices.choice("clock/pass", 4))];
        self.driver.clock.pass(pass);
        self.disturb_clock();
        let due = self.collected.wake.is_some_and(|wake| wake <= self.driver.clock.monotonic());
        let weights = [
            if self.driver.disk.ready() > 0 { 4 } else { 0 },
            if self.driver.disk.undelivered() > 0 { 4 } else { 0 },
            if due { 3 } else { 0 },
            if clients { 2 } else { 0 },
        ];
        if weights.iter().all(|weight| *weight == 0) {
            return self.wait();
        }
        match self.choices.weighted("schedule/what", &weights) {
            0 => {
                let which = self.choices.choice("schedule/operation", self.driver.disk.ready() as u64);
                self.perform(small(which));
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

    /// Whoever watches hears of the faults that struck.
    fn note_faults(&mut self) {
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
        if let Some(id) = self.driver.disk.next_completion().map(|completion| completion.id) {
            self.note(&Event::Delivered { id });
        }
        self.driver.deliver(&mut self.collected);
        self.judge()
    }

    /// The process or the machine dies, in a way that is chosen, and starts again.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn crash(&mut self, kind: CrashKind) -> Result<(), Violation> {
        let mut choices = std::mem::replace(&mut self.choices, Choices::odometer());
        let mood = self.begin_crash(kind, &mut choices);
        self.driver.disk.lie_idle(&mut choices);
        let mut decide = decide_in(mood, &mut choices);
        self.crash_disk(kind, &mut decide);
        drop(decide);
        self.choices = choices;
        self.note_faults();
        self.restart()
    }

    /// Draws what a crash is like, and counts it.
    fn begin_crash(&mut self, kind: CrashKind, choices: &mut Choices) -> Mood {
        let disk = &mut self.driver.disk;
        let mood = match Mood::chosen(choices) {
            Mood::LosesAll if disk.profile().without.contains(FaultKind::TotalLoss) => Mood::Mixed,
            mood => mood,
        };
        let counted = match kind {
            CrashKind::Process => FaultKind::ProcessCrash,
            CrashKind::Power => FaultKind::PowerCrash,
        };
        disk.strike(counted, None, None, false);
        match kind {
            CrashKind::Process if disk.ready() > 0 => self.witness.marks.set(Mark::ProcessDied),
            CrashKind::Power if disk.has_unsynced() => {
                self.witness.marks.set(Mark::PowerLost);
                match mood {
                    Mood::LosesAll => {
                        disk.strike(FaultKind::TotalLoss, None, None, false);
                        self.witness.marks.set(Mark::EverythingLost);
                    }
                    Mood::KeepsAll => self.witness.marks.set(Mark::EverythingKept),
                    Mood::Mixed => {}
                }
            }
            CrashKind::Process | CrashKind::Power => {}
        }
        mood
    }

    /// The same, where `decide` says what survives.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn crash_as(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) -> Result<(), Violation> {
        self.crash_disk(kind, decide);
        self.restart()
    }

    fn crash_disk(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        // A process that has stopped does not crash: it is started again.
        self.tally.crashes += u64::from(!self.stopped());
        self.chronicle.crash_begins(self.steps, &self.driver.disk);
        self.note(&Event::Crashed(kind));
        self.witness.crashed(*self.driver.disk.faults());
        let (chronicle, step) = (&mut self.chronicle, self.steps);
        let names = self.driver.disk.crash(kind, &mut |unit, bound| {
            let answer = decide(unit, bound);
            chronicle.note(step, &Event::Decided { unit, answer, bound });
            answer
        });
        if names.lost > 0 {
            match self.driver.disk.profile().name_order {
                NameOrder::Posix if names.kept > 0 => self.witness.marks.set(Mark::NamesPosix),
                NameOrder::Posix => {}
                NameOrder::Journal => self.witness.marks.set(Mark::NamesJournal),
            }
        }
        self.chronicle.crash_over(self.steps, &self.driver.disk);
    }

    fn restart(&mut self) -> Result<(), Violation> {
        self.checker.bound_memory(self.options.memory_bytes_max);
        self.collected = Collected::default();
        self.driver.engine = Engine::new(self.options.clone());
        self.come_up()
    }

    fn come_up(&mut self) -> Result<(), Violation> {
        self.checker.crashed();
        self.note(&Event::Restarted);
        self.driver.drain(&mut self.collected);
        self.judge()
    }

    /// What would lie on the disk after a crash in which `decide` says what survives. The world itself goes on, and
    /// nobody hears of it.
    #[must_use]
    pub fn image(&self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) -> SimDisk {
        let mut disk = self.driver.disk.clone();
        disk.crash(kind, decide);
        disk
    }

    /// The world that comes up on an image that a crash of this kind left of this one. Nothing of this one's engine is
    /// copied.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn come_up_on(&self, kind: CrashKind, image: SimDisk) -> Result<World, Violation> {
        let mut refinement = self.refinement.clone();
        refinement.hear(&Event::Crashed(kind));
        let mut world = World {
            driver: Driver::new(Engine::new(self.options.clone()), image, self.driver.clock),
            collected: Collected::default(),
            options: self.options.clone(),
            choices: self.choices.clone(),
            checker: self.checker.clone(),
            chronicle: self.chronicle.clone(),
            refinement,
            tally: self.tally,
            witness: self.witness.after_crash(),
            steps: self.steps,
            hash: self.hash,
            #[cfg(feature = "planted-bugs")]
            shaky_from: self.shaky_from,
        };
        world.come_up()?;
        Ok(world)
    }

    /// Names what the future of a machine depends on besides its disk when it comes up after a crash of this world: its
    /// clock, and what was promised. Its engine is new, so it adds nothing.
    #[must_use]
    pub fn promises(&self) -> u128 {
        let mut checker = self.checker.clone();
        checker.crashed();
        let mut identity = Xxh3Default::new();
        checker.identify(&mut identity);
        (self.driver.clock.monotonic(), self.driver.clock.wall()).hash(&mut identity);
        identity.digest128()
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
