//! One seed: a life with crashes and failures, then peace, in which everything must be well again.
//!
//! It owns the order of a run. The end is always the same: faults stop, every request is answered, the
//! process starts anew, every database opens and takes a write, everything is closed, and after one
//! more start exactly what was acknowledged is there.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use docdb_engine::Options;

use crate::choice::{Choice, Choices};
use crate::chronicle::{Broken, Chronicle};
use crate::disk::{CrashKind, FaultCounts, FaultKind, FaultSet};
use crate::marks::{Mark, Marks};
use crate::oracle::{Violation, opening, violation};
use crate::profile::ProfileName;
use crate::workload::Workload;
use crate::world::{Stepped, Tally, World};

/// The steps in which the engine must have done what was asked, once faults have stopped.
const PEACE_STEPS_MAX: u64 = 20_000;

/// Crashes before faults stop.
const ROUNDS_MAX: u64 = 10;

/// Steps between two crashes.
const ROUND_STEPS_MAX: u64 = 3_000;

/// Crashes in the recoveries from one another.
const NESTED_CRASHES_MAX: u32 = 3;

/// Files of a database that are no sealed segments: active, next, spares, and leftovers being removed.
const FILES_PER_DATABASE_MAX: usize = 8;

/// The steps that a crash waits for a moment worth crashing in.
const MOMENT_STEPS_MAX: u32 = 100;

/// Files beside the databases: lock, catalog, and a new catalog.
const OTHER_FILES_MAX: usize = 6;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All promises were kept.
    Kept,
    /// The engine broke one, or panicked.
    Violation(String),
    /// The simulator itself failed.
    Harness(String),
}

/// What a run is made of, besides its choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// The mixture of faults; each seed draws one when it is `None`.
    pub profile: Option<ProfileName>,
    /// Kinds of faults that do not exist.
    pub without: FaultSet,
    /// A mistake planted in the engine.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<docdb_engine::Bug>,
    /// A mistake planted in the simulator: from this step on the run depends on the process's number.
    #[cfg(feature = "planted-bugs")]
    pub shaky_from: Option<u64>,
}

impl Setup {
    /// This mixture of faults, without some kinds; nothing planted.
    #[must_use]
    pub fn of(profile: Option<ProfileName>, without: FaultSet) -> Setup {
        Setup {
            profile,
            without,
            #[cfg(feature = "planted-bugs")]
            planted: None,
            #[cfg(feature = "planted-bugs")]
            shaky_from: None,
        }
    }
}

/// What is to be said about a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The mixture of faults.
    pub profile: ProfileName,
    /// How it ended.
    pub verdict: Verdict,
    /// The hash of its choices and effects.
    pub hash: u64,
    /// Steps made.
    pub steps: u64,
    /// What was done.
    pub tally: Tally,
    /// How often each kind of fault struck.
    pub faults: FaultCounts,
    /// What occurred.
    pub marks: Marks,
    /// Transactions in the models at the end.
    pub transactions: u64,
    /// Sealed segments at the end: whether rotation was reached.
    pub segments: usize,
    /// Every choice, when recording was asked for.
    pub trace: Vec<Choice>,
}

/// The small limits under which everything happens often.
#[must_use]
pub fn small_options(choices: &mut Choices) -> Options {
    let pick = |choices: &mut Choices, label, values: [u64; 3]| {
        values[usize::try_from(choices.choice(label, 3)).expect("below three")]
    };
    Options {
        segment_bytes_min: 4096,
        segment_bytes_max: pick(choices, "options/segment", [8192, 4096, 16384]),
        batch_bytes_max: usize::try_from(pick(choices, "options/batch", [4096, 600, 65536])).expect("small"),
        merge_bytes_max: pick(choices, "options/merge", [8192, 0, 2048]),
        watermark_delay_ns: pick(choices, "options/watermark", [50_000_000, 1_000_000, 1_000]),
        seed: choices.choice("options/seed", 1 << 32),
        ..Options::default()
    }
}

struct Life {
    world: World,
    workload: Workload,
    openings: usize,
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, record: bool, setup: &Setup) -> Report {
    let mut choices = Choices::seeded(seed);
    if record {
        choices = choices.recording();
    }
    run_with(seed, choices, setup)
}

/// Runs on any source of choices.
#[must_use]
pub fn run_with(seed: u64, choices: Choices, setup: &Setup) -> Report {
    run_watched(seed, choices, setup, Chronicle::default()).0
}

/// The same, while `chronicle` watches; it is given back with what it kept.
#[must_use]
pub fn run_watched(seed: u64, mut choices: Choices, setup: &Setup, chronicle: Chronicle) -> (Report, Chronicle) {
    let options = small_options(&mut choices);
    #[cfg(feature = "planted-bugs")]
    let options = Options { planted: setup.planted, ..options };
    let drawn = ProfileName::chosen(&mut choices);
    let profile = setup.profile.unwrap_or(drawn);
    let device = profile.device(&mut choices, setup.without);
    let workload = Workload::chosen(&mut choices);
    let mut report = Report {
        seed,
        profile,
        verdict: Verdict::Kept,
        hash: 0,
        steps: 0,
        tally: Tally::default(),
        faults: FaultCounts::default(),
        marks: Marks::EMPTY,
        transactions: 0,
        segments: 0,
        trace: Vec::new(),
    };
    // The life is kept outside, so that a panic leaves something to report.
    let mut life: Option<Life> = None;
    report.verdict = guarded(|| {
        let mut world = World::unborn(options, device, choices, workload.names());
        world.chronicle = chronicle;
        #[cfg(feature = "planted-bugs")]
        {
            world.shaky_from = setup.shaky_from;
        }
        let life = life.insert(Life { world, workload, openings: 1 });
        life.world.begin()?;
        life.live()
    });
    let Some(Life { mut world, .. }) = life else { return (report, Chronicle::default()) };
    world.step_over();
    if matches!(report.verdict, Verdict::Violation(_)) {
        world.chronicle.found_broken(Broken {
            differs: world.checker.first_difference(world.chronicle.entries()),
            is_by_specification: world.refinement.verdict().is_err(),
        });
    }
    report.hash = world.hash();
    report.steps = world.steps();
    report.tally = world.tally;
    report.faults = *world.disk().faults();
    report.marks = world.marks();
    if world.checker.databases().iter().any(|tracked| tracked.model.decided_again() > 0) {
        report.marks.set(Mark::AnswerDecidedAgain);
    }
    report.transactions = world.checker.databases().iter().map(|tracked| tracked.model.newest()).sum();
    report.segments = world.disk().listing().keys().filter(|name| is_sealed(name)).count();
    report.trace = world.choices.recorded().to_vec();
    (report, world.chronicle)
}

thread_local! {
    /// Where the last panic of this thread happened; panics carry no place.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics silent and remembers where they happened. Call once at the start of the process.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(String::new(), |at| format!("{}:{}", at.file(), at.line()));
        PANICKED_AT.with(|at| at.replace(place));
    }));
}

/// Turns a panic into a verdict: the engine's own, and breaches of its contract, are violations.
pub(crate) fn guarded(run: impl FnOnce() -> Result<(), Violation>) -> Verdict {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Verdict::Kept,
        Ok(Err(Violation(message))) => Verdict::Violation(message),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let place = PANICKED_AT.with(|at| at.borrow().clone());
            let message = format!("panic at {place}: {text}");
            // Without the hook the place is unknown; a panic is then held to be the engine's.
            let ours = place.starts_with("sim/") || place.starts_with("models/");
            if ours && !text.contains("contract:") { Verdict::Harness(message) } else { Verdict::Violation(message) }
        }
    }
}

impl Life {
    fn live(&mut self) -> Result<(), Violation> {
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

    fn crash(&mut self, kind: CrashKind) -> Result<(), Violation> {
        self.openings += 1;
        self.world.crash(kind)
    }

    /// A shutdown, which a crash may cut short.
    fn stop_in_peace_or_not(&mut self) -> Result<(), Violation> {
        self.world.shutdown()?;
        for _ in 0..ROUND_STEPS_MAX {
            let cut_short = self.world.choices.chance("run/cut_short", 10);
            if cut_short || self.world.stopped() || self.world.step(false)? == Stepped::Idle {
                break;
            }
        }
        if self.world.stopped() {
            self.nothing_is_open("a shutdown")?;
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
                self.world.request(request)?;
            }
        }
        Ok(())
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
        let first = self.world.checker.first_waiting();
        violation!("{what}: {} requests are never answered, the first is {first}", self.world.checker.waiting())
    }

    fn ask_to_open_all(&mut self) -> Result<(), Violation> {
        let requests: Vec<_> = self.world.checker.databases().iter().map(opening).collect();
        requests.into_iter().try_for_each(|request| self.world.request(request))
    }

    fn open_all(&mut self, what: &str) -> Result<(), Violation> {
        self.ask_to_open_all()?;
        self.drain(what)?;
        for tracked in self.world.checker.databases() {
            // Then an explicit error was answered, and judged.
            if !tracked.model.is_open() && !self.world.checker.is_in_doubt() {
                return violation!("{what}: {} was opened, but no view was published", tracked.name);
            }
        }
        Ok(())
    }

    fn write_all(&mut self, what: &str) -> Result<(), Violation> {
        for index in 0..self.world.checker.databases().len() {
            let tracked = &self.world.checker.databases()[index];
            if tracked.is_damaged || !tracked.model.is_open() {
                continue;
            }
            let request = self.workload.certain_write(tracked);
            if let Some(request) = request {
                self.world.request(request)?;
            }
        }
        self.drain(what)?;
        for tracked in self.world.checker.databases() {
            // An answer that is no refusal acknowledges; the device has no failure left to blame.
            let takes_writes = tracked.model.is_open() && !tracked.is_damaged;
            if takes_writes && tracked.model.acknowledged() != tracked.model.newest() {
                return violation!("{what}: the last write to {} was not accepted", tracked.name);
            }
        }
        Ok(())
    }

    fn stop(&mut self, what: &str) -> Result<(), Violation> {
        self.world.shutdown()?;
        for _ in 0..PEACE_STEPS_MAX {
            if self.world.stopped() {
                self.nothing_is_open(what)?;
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
        violation!("{what}: the engine does not stop")
    }

    fn peace(&mut self) -> Result<(), Violation> {
        let calm = self.world.disk().profile().calmed();
        self.world.disk_mut().set_profile(calm);
        self.world.disk_mut().repair();
        if self.world.disk().is_shut_down() {
            self.crash(CrashKind::Power)?;
        }
        self.world.disk_mut().set_quota(None);
        self.drain("after the faults stopped")?;
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
        self.count_files()
    }

    /// A process that goes on for years must not lose file handles, whatever fails.
    fn nothing_is_open(&self, what: &str) -> Result<(), Violation> {
        match self.world.disk().open_files() {
            0 => Ok(()),
            open => violation!("{what}: the engine has stopped and left {open} files open"),
        }
    }

    fn newest(&self) -> Vec<u64> {
        self.world.checker.databases().iter().map(|tracked| tracked.model.newest()).collect()
    }

    /// Failed recoveries and retries leave no heap of files behind.
    fn count_files(&self) -> Result<(), Violation> {
        let listing = self.world.disk().listing();
        let databases = self.world.checker.databases().len();
        let (sealed, others): (Vec<_>, Vec<_>) = listing.iter().partition(|(name, _)| is_sealed(name));
        if others.len() > OTHER_FILES_MAX + databases * FILES_PER_DATABASE_MAX {
            return violation!("{} files besides sealed segments: {others:?}", others.len());
        }
        // What damage or a lie took away once had its segments too.
        let transactions = self.newest().iter().sum::<u64>().max(self.world.tally.acknowledged);
        // Each opening and each failed batch may seal a segment; so may every few transactions.
        let bound = 8 + self.openings * databases + usize::try_from(transactions).expect("small");
        if sealed.len() > bound {
            return violation!("{} sealed segments after {transactions} transactions, more than {bound}", sealed.len());
        }
        Ok(())
    }
}

/// Whether this is the name of a sealed segment: `NAME.wal.1` and so on.
fn is_sealed(name: &str) -> bool {
    name.rsplit_once(".wal.").is_some_and(|(_, number)| number.parse::<u64>().is_ok())
}
