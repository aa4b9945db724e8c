//! All images that a crash may leave behind, or the telling ones where they are too many.
//!
//! Every question that the disk asks about a crash is a digit of an odometer, so the complete list is a walk over all
//! answers. Beyond [`COMPLETE_IMAGES_MAX`] it gives way to: everything survives, nothing does, each prefix, each
//! single unit lost, each single one kept, each unit in each of its states in between (a write torn at each sector, an
//! old version of a sector), everything else kept. Images are numbered in the order in which they come.

use crate::choice::Choices;
use crate::disk::{CrashKind, Unit};
use crate::world::World;

/// A crash with more images than this is not enumerated completely.
const COMPLETE_IMAGES_MAX: u64 = 4096;

/// The images of one crash, one after the other.
#[derive(Debug)]
pub(crate) struct Images {
    kind: CrashKind,
    /// The answers of the next image.
    next: Answers,
    given: u64,
}

#[derive(Clone, Debug)]
enum Answers {
    All(Choices),
    Chosen { units: Vec<(Unit, u64)>, place: usize },
    None,
}

impl Images {
    pub(crate) fn new(kind: CrashKind) -> Images {
        Images { kind, next: Answers::All(Choices::odometer()), given: 0 }
    }

    /// Whether the images were too many, so that only the telling ones were given.
    pub(crate) fn were_chosen(&self) -> bool {
        self.given > COMPLETE_IMAGES_MAX
    }

    /// How many were given so far.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// The next image of a crash of `world`, which is the same at each call. `crash` makes it, given what answers for
    /// each unit.
    pub(crate) fn next<T>(
        &mut self,
        world: &World,
        crash: impl FnOnce(&mut dyn FnMut(Unit, u64) -> u64) -> T,
    ) -> Option<T> {
        let image = match &mut self.next {
            Answers::None => return None,
            Answers::All(choices) => {
                let image = crash(&mut |_, bound| bound - 1 - choices.choice("crash/image", bound));
                if !choices.advance() {
                    self.next = Answers::None;
                } else if self.given + 1 == COMPLETE_IMAGES_MAX {
                    self.next = Answers::Chosen { units: units(world, self.kind), place: 0 };
                }
                image
            }
            Answers::Chosen { units, place } => {
                let Some(keeps) = chosen(units, *place) else {
                    self.next = Answers::None;
                    return None;
                };
                *place += 1;
                crash(&mut |unit, bound| {
                    let known = units.iter().position(|(known, _)| *known == unit);
                    known.map_or(bound - 1, |known| keeps(known, bound).min(bound - 1))
                })
            }
        };
        self.given += 1;
        Some(image)
    }
}

/// What a crash that keeps everything asks about.
fn units(world: &World, kind: CrashKind) -> Vec<(Unit, u64)> {
    let mut units = Vec::new();
    // Only what is asked is of interest.
    drop(world.image(kind, &mut |unit, bound| {
        units.push((unit, bound));
        bound - 1
    }));
    units
}

/// The answers of the `place`-th chosen image, by a unit's place and bound.
fn chosen(units: &[(Unit, u64)], place: usize) -> Option<Box<dyn Fn(usize, u64) -> u64>> {
    let whole = |keeps: bool, bound: u64| if keeps { bound - 1 } else { 0 };
    let count = units.len();
    if place <= count {
        return Some(Box::new(move |unit, bound| whole(unit < place, bound)));
    }
    let place = place - count - 1;
    if place < count {
        return Some(Box::new(move |unit, bound| whole(unit != place, bound)));
    }
    let place = place - count;
    if place < count {
        return Some(Box::new(move |unit, bound| whole(unit == place, bound)));
    }
    let mut place = (place - count) as u64;
    for (torn, (_, bound)) in units.iter().enumerate() {
        let between = bound.saturating_sub(2);
        if place < between {
            return Some(Box::new(move |unit, bound| if unit == torn { 1 + place } else { bound - 1 }));
        }
        place -= between;
    }
    None
}
