//! Visits one share of all worlds: the lives that begin with one workload, their crashes, and the crashes of
//! their recoveries.
//!
//! Nothing is drawn. A share is visited by one thread, and what it skips it skips because of what itself has judged, so
//! shares may run in any order and on any number of threads.

use std::collections::HashMap;

use docdb_engine::Options;

use super::case::{Case, Crash};
use super::images::Images;
use super::workload::{Op, When, Workload};
use super::{Counts, Settings, Visited};
use crate::choice::Choices;
use crate::disk::{CrashKind, Profile};
use crate::oracle::{Violation, opening, violation};
use crate::run::{Verdict, guarded};
use crate::world::{Stepped, World};

/// The steps in which a recovery must be over.
const RECOVERY_STEPS_MAX: usize = 20_000;

/// The place in its workload that the write after a recovery says it has.
const AFTER_RECOVERY: usize = 99;

/// The number of operations up to which each workload is a share of its own.
pub(crate) const SHARED_OPERATIONS: usize = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Explorer<'run> {
    settings: Settings,
    options: &'run Options,
    /// Visit this place only.
    only: Option<&'run Case>,
    /// Say on the error output what happens there.
    telling: bool,
    counts: Counts,
    /// Where it is; after a violation, where that was.
    at: Case,
    /// What was judged, with the depth of the crashes that were tried within.
    judged: HashMap<u128, u32>,
}

impl<'run> Explorer<'run> {
    pub(crate) fn new(
        settings: Settings,
        options: &'run Options,
        only: Option<&'run Case>,
        telling: bool,
    ) -> Explorer<'run> {
        let (counts, at) = (Counts::default(), Case::default());
        Explorer { settings, options, only, telling, counts, at, judged: HashMap::new() }
    }

    /// Visits a share, and says how that ended.
    pub(crate) fn visit(mut self, share: &Workload) -> Visited {
        let verdict = guarded(|| self.explore(share));
        let violated_at = (verdict != Verdict::Kept).then_some(self.at);
        Visited { verdict, counts: self.counts, violated_at }
    }

    /// Visits the life of `workload`, and when it is as long as a share's may be, those of all workloads that begin
    /// with it.
    fn explore(&mut self, workload: &Workload) -> Result<(), Violation> {
        // A calm device makes no choice, so this source is never asked.
        let mut world = World::new(self.options.clone(), Profile::CALM, Choices::odometer(), &["alpha"])?;
        if self.telling {
            world.chronicle.tell();
        }
        let first = opening(&world.checker.databases()[0]);
        world.request(first)?;
        let mut effects = 0;
        for (when, op) in &workload.0 {
            if !proceed(&mut world, *when, &mut effects)? {
                // The same life as with another `when`.
                return Ok(());
            }
            self.send(&mut world, *when, *op)?;
        }
        self.live(world, effects)
    }

    fn send(&mut self, world: &mut World, when: When, op: Op) -> Result<(), Violation> {
        let ordinal = self.at.workload.0.len();
        self.at.workload.0.push((when, op));
        let request = op.request(&world.checker.databases()[0], ordinal);
        world.request(request)
    }

    /// From the sending of the last operation on, to the end, with a crash before each effect.
    fn live(&mut self, mut world: World, mut effects: u64) -> Result<(), Violation> {
        self.counts.workloads += 1;
        let sent = self.at.workload.0.len();
        if sent > 0 && world.checker.waiting() > 0 {
            self.send_each(&world, When::AtOnce, effects)?;
        }
        let mut was_answered = false;
        loop {
            if world.checker.waiting() == 0 && !was_answered && !world.is_quiet() {
                was_answered = true;
                self.send_each(&world, When::Answered, effects)?;
            }
            if world.is_at_effect() {
                self.crash(&world, effects, self.settings.crash_depth)?;
                effects += 1;
            }
            if world.step_in_order()? == Stepped::Idle {
                break;
            }
        }
        if world.checker.waiting() > 0 {
            return violation!("without any failure, {} is never answered", world.checker.first_waiting());
        }
        self.crash(&world, effects, self.settings.crash_depth)?;
        self.send_each(&world, When::Quiet, effects)
    }

    /// Goes on with each operation, in a fork of its own, unless other shares do.
    fn send_each(&mut self, world: &World, when: When, effects: u64) -> Result<(), Violation> {
        let sent = self.at.workload.0.len();
        if sent < SHARED_OPERATIONS || sent >= self.settings.operations {
            return Ok(());
        }
        for op in Op::ALL {
            if self.only.is_some_and(|only| only.workload.0.get(sent) != Some(&(when, op))) {
                continue;
            }
            let mut fork = world.clone();
            self.send(&mut fork, when, op)?;
            self.live(fork, effects)?;
            self.at.workload.0.pop();
        }
        Ok(())
    }

    /// Crashes here, in every way, and judges what comes up.
    fn crash(&mut self, world: &World, effect: u64, depth: u32) -> Result<(), Violation> {
        if depth == 0 || self.only.is_some_and(|only| !self.passes(only, effect)) {
            return Ok(());
        }
        self.counts.crash_points += 1;
        let promises = world.promises();
        for kind in [CrashKind::Process, CrashKind::Power] {
            let mut images = Images::new(kind);
            loop {
                let crash = Crash { effect, kind, image: images.given() };
                let is_wanted = self.only.map(|only| only.crashes.get(self.at.crashes.len()) == Some(&crash));
                self.at.crashes.push(crash);
                if is_wanted == Some(true) {
                    // The same as below, and the one who watches hears what became of what.
                    let mut fork = world.clone();
                    if let Some(came_up) = images.next(world, |decide| fork.crash_as(kind, decide)) {
                        came_up?;
                        self.recover(fork, depth - 1)?;
                    }
                    return Ok(());
                }
                let Some(image) = images.next(world, |decide| world.image(kind, decide)) else {
                    self.at.crashes.pop();
                    break;
                };
                self.counts.images += 1;
                if is_wanted.is_none() && self.is_new(image.identity(promises), depth) {
                    self.recover(world.come_up_on(kind, image)?, depth - 1)?;
                }
                self.at.crashes.pop();
            }
            self.counts.chosen_points += u64::from(images.were_chosen());
        }
        Ok(())
    }

    /// Whether nothing of the same identity was judged to this depth yet; from now on it was.
    fn is_new(&mut self, identity: u128, depth: u32) -> bool {
        let judged = self.judged.entry(identity).or_default();
        let is_new = *judged < depth;
        *judged = depth.max(*judged);
        is_new
    }

    /// Whether the one place that is wanted lies in a crash here.
    fn passes(&self, only: &Case, effect: u64) -> bool {
        only.workload == self.at.workload
            && only.crashes.get(self.at.crashes.len()).is_some_and(|crash| crash.effect == effect)
    }

    /// The image must come up, show what it must, take a write, and keep that.
    fn recover(&mut self, mut world: World, depth: u32) -> Result<(), Violation> {
        self.counts.distinct_images += 1;
        self.open(&mut world, depth, "the recovery")?;
        let write = Op::Both.request(&world.checker.databases()[0], AFTER_RECOVERY);
        world.request(write)?;
        self.settle(&mut world, 0, "a write after the recovery")?;
        let acknowledged = world.checker.databases()[0].model.acknowledged();
        // What was acknowledged after a recovery is as durable as before it.
        world.crash_as(CrashKind::Power, &mut |_, _| 0)?;
        self.open(&mut world, 0, "the recovery after the write")?;
        let newest = world.checker.databases()[0].model.newest();
        if newest == acknowledged {
            Ok(())
        } else {
            violation!("{acknowledged} transactions written, {newest} recovered")
        }
    }

    /// Opens the database, with crashes at each effect on the way as deep as `depth`.
    fn open(&mut self, world: &mut World, depth: u32, what: &str) -> Result<(), Violation> {
        self.counts.recoveries += 1;
        let request = opening(&world.checker.databases()[0]);
        world.request(request)?;
        self.settle(world, depth, what)?;
        if world.checker.databases()[0].model.is_open() {
            Ok(())
        } else {
            violation!("{what} ends, but no view was published")
        }
    }

    fn settle(&mut self, world: &mut World, depth: u32, what: &str) -> Result<(), Violation> {
        let mut effects = 0;
        for _ in 0..RECOVERY_STEPS_MAX {
            if world.checker.waiting() == 0 {
                return Ok(());
            }
            if depth > 0 && world.is_at_effect() {
                self.crash(world, effects, depth)?;
                effects += 1;
            }
            if world.step_in_order()? == Stepped::Idle {
                break;
            }
        }
        violation!("{what} does not end: {} waits", world.checker.first_waiting())
    }
}

/// Goes on until `when`; false when that is no time of its own.
fn proceed(world: &mut World, when: When, effects: &mut u64) -> Result<bool, Violation> {
    if when == When::AtOnce {
        return Ok(world.checker.waiting() > 0);
    }
    while when == When::Quiet || world.checker.waiting() > 0 {
        *effects += u64::from(world.is_at_effect());
        if world.step_in_order()? == Stepped::Idle {
            return Ok(when == When::Quiet);
        }
    }
    Ok(!world.is_quiet())
}
