//! The exhaustive run: a short life, and at every effect of the disk a crash in every way that matters.
//!
//! The world is forked before each operation that may change something; what is in flight takes part in
//! the crash, so "before" and "after" are both covered. When the images of a crash are few, all of them
//! are tried; otherwise: nothing survives, everything does, each prefix, each single unit lost, each
//! single unit kept, and the last one torn. Each image is recovered and judged, and the recovery is
//! crashed again at each of its effects.
//!
//! Nothing here is drawn: the same arguments visit the same worlds in the same order.

use docdb_engine::Options;
use docdb_protocol::{Action, Atomicity, CollectionName, Document, DocumentId, Operation, Request};

use crate::check::{Violation, opening, violation};
use crate::choice::Choices;
use crate::disk::{CrashKind, Profile, Unit};
use crate::run::{Verdict, guarded};
use crate::world::{Stepped, World};

/// A crash with more images than this is not enumerated completely.
const COMPLETE_IMAGES_MAX: usize = 64;

/// The steps in which a recovery must be over.
const RECOVERY_STEPS_MAX: usize = 20_000;

/// What to visit.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Requests in the short life.
    pub operations: usize,
    /// 1: crashes; 2: crashes within recoveries as well.
    pub crash_depth: u32,
    /// Says on the error output what happens.
    pub telling: bool,
}

/// What was visited.
#[derive(Clone, Debug)]
pub struct Visited {
    /// How it ended.
    pub verdict: Verdict,
    /// Effects of the short life at which the world was crashed.
    pub points: u64,
    /// Crashes whose images were all tried.
    pub complete: u64,
    /// Crashes with too many images for that.
    pub sampled: u64,
    /// Images of the short life that were recovered.
    pub images: u64,
    /// Images of recoveries that were recovered.
    pub nested: u64,
}

/// Visits all worlds, or ends at the first violation. `progress` hears of each point.
pub fn exhaust(settings: Settings, adjust: &dyn Fn(&mut Options), progress: &dyn Fn(u64)) -> Visited {
    let empty = Visited { verdict: Verdict::Kept, points: 0, complete: 0, sampled: 0, images: 0, nested: 0 };
    let mut explorer = Explorer { settings, visited: empty };
    let verdict = guarded(|| explorer.explore(adjust, progress));
    Visited { verdict, ..explorer.visited }
}

struct Explorer {
    settings: Settings,
    visited: Visited,
}

impl Explorer {
    fn explore(&mut self, adjust: &dyn Fn(&mut Options), progress: &dyn Fn(u64)) -> Result<(), Violation> {
        let mut options =
            Options { segment_bytes_min: 4096, segment_bytes_max: 8192, batch_bytes_max: 4096, ..Options::default() };
        adjust(&mut options);
        // A calm device makes no choice, so this source is never asked.
        let mut world = World::new(options, Profile::CALM, Choices::odometer(), &["alpha"])?;
        if self.settings.telling {
            world.chronicle.tell();
        }
        let mut sent = 0;
        loop {
            if at_effect(&world) {
                self.visited.points += 1;
                progress(self.visited.points);
                self.crash_here(&world)?;
            }
            let quiet = world.disk().ready() == 0 && world.disk().undelivered() == 0;
            let may_send = sent < self.settings.operations && (world.checker.waiting() == 0 || quiet);
            if may_send && let Some(first) = request(&world, sent) {
                sent += 1;
                world.request(first)?;
                // Two at a time: the second gathers while the first is on its way.
                if sent % 3 == 2
                    && let Some(second) = request(&world, sent)
                {
                    sent += 1;
                    world.request(second)?;
                }
                continue;
            }
            if world.step_in_order()? == Stepped::Idle {
                break;
            }
        }
        if world.checker.waiting() > 0 {
            return violation!("without any failure, {} is never answered", world.checker.first_waiting());
        }
        self.crash_here(&world)
    }

    fn crash_here(&mut self, world: &World) -> Result<(), Violation> {
        for kind in [CrashKind::Process, CrashKind::Power] {
            for (what, image) in self.images(world, kind)? {
                self.visited.images += 1;
                let point = self.visited.points;
                self.recover(image, self.settings.crash_depth)
                    .map_err(|Violation(why)| Violation(format!("effect {point}, {kind:?}, {what}: {why}")))?;
            }
        }
        Ok(())
    }

    /// The worlds that may come up again after a crash here.
    fn images(&mut self, world: &World, kind: CrashKind) -> Result<Vec<(String, World)>, Violation> {
        let mut all = Vec::new();
        let mut choices = Choices::odometer();
        loop {
            let mut fork = world.clone();
            fork.crash_as(kind, &mut |_, bound| bound - 1 - choices.choice("crash/image", bound))?;
            all.push((format!("image {}", all.len()), fork));
            if !choices.advance() {
                self.visited.complete += 1;
                return Ok(all);
            }
            if all.len() > COMPLETE_IMAGES_MAX {
                self.visited.sampled += 1;
                return sampled_images(world, kind);
            }
        }
    }

    /// The image must recover, show what it must, and take a write.
    fn recover(&mut self, mut world: World, depth: u32) -> Result<(), Violation> {
        let requests: Vec<Request> = world.checker.databases().iter().map(opening).collect();
        for request in requests {
            world.request(request)?;
        }
        self.settle(&mut world, depth, "the recovery")?;
        if !world.checker.databases()[0].model.is_open() {
            return violation!("opened, but no view was published");
        }
        let write = write(&world, 99, 1000, Atomicity::EachAlone);
        world.request(write)?;
        self.settle(&mut world, 0, "a write after the recovery")
    }

    fn settle(&mut self, world: &mut World, depth: u32, what: &str) -> Result<(), Violation> {
        for _ in 0..RECOVERY_STEPS_MAX {
            if world.checker.waiting() == 0 {
                return Ok(());
            }
            if depth > 1 && at_effect(world) {
                self.crash_recovery(world, depth - 1)?;
            }
            if world.step_in_order()? == Stepped::Idle {
                break;
            }
        }
        violation!("{what} does not end: {} waits", world.checker.first_waiting())
    }

    fn crash_recovery(&mut self, world: &World, depth: u32) -> Result<(), Violation> {
        for kind in [CrashKind::Process, CrashKind::Power] {
            for keeps in [false, true] {
                self.visited.nested += 1;
                let mut fork = world.clone();
                fork.crash_as(kind, &mut |_, bound| if keeps { bound - 1 } else { 0 })?;
                let what = if keeps { "keeping all" } else { "losing all" };
                self.recover(fork, depth)
                    .map_err(|Violation(why)| Violation(format!("then {kind:?} in the recovery, {what}: {why}")))?;
            }
        }
        Ok(())
    }
}

/// Nothing, everything, each prefix, each one lost, each one kept, the last one torn.
fn sampled_images(world: &World, kind: CrashKind) -> Result<Vec<(String, World)>, Violation> {
    let mut units: Vec<(Unit, u64)> = Vec::new();
    world.clone().crash_as(kind, &mut |unit, bound| {
        units.push((unit, bound));
        bound - 1
    })?;
    let mut images = Vec::new();
    let mut add = |what: String, keeps: &dyn Fn(usize) -> bool| {
        let mut fork = world.clone();
        let place = |unit: Unit| units.iter().position(|(known, _)| *known == unit).unwrap_or(usize::MAX);
        fork.crash_as(kind, &mut |unit, bound| if keeps(place(unit)) { bound - 1 } else { 0 })?;
        images.push((what, fork));
        Ok::<(), Violation>(())
    };
    for unit in 0..=units.len() {
        add(format!("the first {unit} units kept"), &|place| place < unit)?;
        if unit < units.len() {
            add(format!("{:?} lost", units[unit].0), &|place| place != unit)?;
            add(format!("{:?} kept alone", units[unit].0), &|place| place == unit)?;
        }
    }
    // A write in flight that stops in its middle, everything else kept; and each version in between.
    for (unit, bound) in units.iter().filter(|(_, bound)| *bound > 2) {
        for value in 1..bound - 1 {
            let mut fork = world.clone();
            fork.crash_as(kind, &mut |asked, bound| if asked == *unit { value.min(bound - 1) } else { bound - 1 })?;
            images.push((format!("{unit:?} torn at {value}"), fork));
        }
    }
    Ok(images)
}

fn at_effect(world: &World) -> bool {
    world.disk().undelivered() == 0 && world.disk().ready() > 0 && world.disk().is_effect(0)
}

/// The short life: creates, updates, deletes, alone and together, large and small.
fn request(world: &World, number: usize) -> Option<Request> {
    let tracked = &world.checker.databases()[0];
    if number == 0 {
        return Some(opening(tracked));
    }
    tracked.id?;
    let n = number as u64;
    Some(match number % 4 {
        1 => write(world, n, 20, Atomicity::EachAlone),
        2 => write(world, n, 900, Atomicity::AllOrNothing),
        3 => write(world, n - 2, 40, Atomicity::EachAlone),
        _ => {
            let database = tracked.id?;
            let delete = operation(n - 2, Action::Delete);
            Request::Execute { database, operations: vec![delete], atomicity: Atomicity::EachAlone }
        }
    })
}

/// Creates the document, or updates it when it is there; together with a second one when asked to.
fn write(world: &World, id: u64, pad: usize, atomicity: Atomicity) -> Request {
    let tracked = &world.checker.databases()[0];
    let newest = tracked.model.state_after(tracked.model.newest()).expect("the newest state is in the history");
    let text = format!("{{\"n\":{id},\"at\":{},\"pad\":\"{}\"}}", tracked.model.newest(), "x".repeat(pad));
    let document = Document::parse(text.as_bytes()).expect("the simulator's documents are valid JSON");
    let action = |id: u64| {
        let exists = newest.contains_key(&(CollectionName::DEFAULT.into(), id));
        if exists { Action::Update(document.clone()) } else { Action::Create(document.clone()) }
    };
    let mut operations = vec![operation(id, action(id))];
    if atomicity == Atomicity::AllOrNothing {
        operations.push(operation(id + 500, action(id + 500)));
    }
    let database = tracked.id.expect("the database was opened before");
    Request::Execute { database, operations, atomicity }
}

fn operation(id: u64, action: Action) -> Operation {
    Operation { collection: CollectionName::default_collection(), document_id: DocumentId(id), action }
}
