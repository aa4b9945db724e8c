//! One simulated machine: the engine with its disk and clock, its clients, and the judge.
//!
//! Everything is plain data, so a clone is a fork. It moves in steps: one operation of the disk, one
//! completion, one request, or one timer; which of them is a choice. What the engine says is judged as
//! soon as it is said.
//!
//! It never reads a clock of the real machine and never touches the engine but through its driver.

use docdb_engine::{Alert, Clock, Driver, Engine, Input, Instant, Options, Outside, RequestId, View, WallTime};
use docdb_protocol::{DatabaseId, Request, Response};

use crate::check::{Checker, Violation};
use crate::choice::Choices;
use crate::clock::SimClock;
use crate::disk::{CrashKind, Profile, SimDisk, Unit, decide_by};
use crate::hash::Hash;

/// What the engine said, in the order it said it.
#[derive(Clone, Debug)]
enum Event {
    Respond(RequestId, Response),
    Publish(DatabaseId, Option<View>),
    Alert(Alert),
}

#[derive(Clone, Debug, Default)]
struct Collected {
    events: Vec<Event>,
    wake: Option<Instant>,
    stopped: bool,
}

impl Outside for Collected {
    fn respond(&mut self, request: RequestId, response: Response) {
        self.events.push(Event::Respond(request, response));
    }

    fn publish(&mut self, database: DatabaseId, view: Option<View>) {
        self.events.push(Event::Publish(database, view));
    }

    fn wake_at(&mut self, time: Instant) {
        self.wake = Some(time);
    }

    fn alert(&mut self, alert: Alert) {
        self.events.push(Event::Alert(alert));
    }

    fn stopped(&mut self) {
        self.stopped = true;
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
    steps: u64,
    hash: Hash,
}

impl World {
    /// A machine with an empty data directory; the engine begins.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn new(options: Options, profile: Profile, choices: Choices, names: &[&str]) -> Result<World, Violation> {
        let driver = Driver::new(Engine::new(options.clone()), SimDisk::new(profile), SimClock::default());
        let mut world = World {
            driver,
            collected: Collected::default(),
            options,
            choices,
            checker: Checker::new(names),
            steps: 0,
            hash: Hash::default(),
        };
        world.driver.drain(&mut world.collected);
        world.judge()?;
        Ok(world)
    }

    /// Tells on the error output what happens from now on.
    pub fn tell(&mut self) {
        self.driver.disk.tell();
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

    /// How many steps were made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
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

    fn judge(&mut self) -> Result<(), Violation> {
        let device_failed = self.driver.disk.injected() > 0;
        for event in std::mem::take(&mut self.collected.events) {
            match event {
                Event::Respond(request, response) => {
                    self.driver.disk.say(format_args!("answer {}: {response:?}", request.0));
                    self.hash.bytes(format!("{} {response:?}", request.0).as_bytes());
                    self.checker.answered(request, &response, device_failed)?;
                }
                Event::Publish(database, view) => {
                    let tx = view.as_ref().map(View::last_tx);
                    self.driver.disk.say(format_args!("published database {database} at {tx:?}"));
                    self.hash.number(view.as_ref().map_or(u64::MAX, |view| view.last_tx().0));
                    self.checker.published(database, view.as_ref())?;
                }
                Event::Alert(alert) => {
                    self.driver.disk.say(format_args!("alert {alert:?}"));
                    self.hash.bytes(format!("{alert:?}").as_bytes());
                    self.checker.alerted(&alert, device_failed)?;
                }
            }
        }
        Ok(())
    }

    /// A client sends a request.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn request(&mut self, request: Request) -> Result<(), Violation> {
        let id = self.checker.ask(&request);
        self.driver.disk.say(format_args!("request {}: {request:?}", id.0));
        self.feed(Input::Request { id, request })
    }

    /// The operator asks the engine to stop.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn shutdown(&mut self) -> Result<(), Violation> {
        self.checker.stop();
        self.driver.disk.say(format_args!("SHUTDOWN"));
        self.feed(Input::Shutdown)
    }

    /// One step in an order that is chosen. With `clients`, some client may want to send a request.
    ///
    /// # Errors
    /// When the engine says something wrong.
    pub fn step(&mut self, clients: bool) -> Result<Stepped, Violation> {
        self.steps += 1;
        let pass = [0, 1_000, 100_000, 5_000_000][small(self.choices.choice("clock/pass", 4))];
        self.driver.clock.pass(pass);
        if self.choices.chance("clock/wall", 2) {
            self.driver.clock.step_wall(WallTime(self.choices.choice("clock/wall_to", 2_000_000_000_000_000_000)));
        }
        let due = self.collected.wake.is_some_and(|wake| wake <= self.driver.clock.monotonic());
        let weights = [
            if self.driver.disk.ready() > 0 { 4 } else { 0 },
            if self.driver.disk.undelivered() > 0 { 4 } else { 0 },
            if due { 3 } else { 0 },
            if clients { 2 } else { 0 },
        ];
        let total: u64 = weights.iter().sum();
        if total == 0 {
            return self.wait();
        }
        let mut chosen = self.choices.choice("schedule/what", total);
        for (action, weight) in weights.into_iter().enumerate() {
            if chosen >= weight {
                chosen -= weight;
                continue;
            }
            match action {
                0 => {
                    let which = self.choices.choice("schedule/operation", self.driver.disk.ready() as u64);
                    self.driver.disk.run(small(which), &mut self.choices);
                }
                1 => self.deliver()?,
                2 => self.fire()?,
                _ => return Ok(Stepped::WantsRequest),
            }
            return Ok(Stepped::Moved);
        }
        unreachable!("a choice below the total falls on some action")
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
            self.driver.disk.run(0, &mut self.choices);
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
        self.feed(Input::Timer)
    }

    fn deliver(&mut self) -> Result<(), Violation> {
        self.driver.deliver(&mut self.collected);
        self.judge()
    }

    /// The process or the machine dies, in a way that is chosen, and starts again.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn crash(&mut self, kind: CrashKind) -> Result<(), Violation> {
        let mut decide = decide_by(&mut self.choices);
        self.driver.disk.crash(kind, &mut decide);
        drop(decide);
        self.restart()
    }

    /// The same, where `decide` says what survives.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn crash_as(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) -> Result<(), Violation> {
        self.driver.disk.crash(kind, decide);
        self.restart()
    }

    fn restart(&mut self) -> Result<(), Violation> {
        self.checker.crashed();
        self.collected = Collected::default();
        self.driver.engine = Engine::new(self.options.clone());
        self.driver.drain(&mut self.collected);
        self.judge()
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
