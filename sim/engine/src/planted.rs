//! Which mistake the engine of a thread makes.
//!
//! It is a setting of the thread, because a run never leaves the thread that it began on: runs of different mistakes in
//! different threads know nothing of each other, and no function of the engine takes an argument for the sake of mistakes.

use std::cell::Cell;

// The enum `Bug`, its list `ALL`, and `FACTS`, in the same order.
include!(concat!(env!("OUT_DIR"), "/bugs.rs"));

/// What the file of a mistake says about it.
struct Facts {
    name: &'static str,
    area: &'static str,
    breaks: &'static str,
    what: &'static str,
}

impl Bug {
    /// Its name, which is that of its file in `sim/mistakes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        FACTS[self as usize].name
    }

    /// The part of the engine's work that it is a mistake in.
    #[must_use]
    pub fn area(self) -> &'static str {
        FACTS[self as usize].area
    }

    /// The promise of CHECKS.md that it breaks.
    #[must_use]
    pub fn breaks(self) -> &'static str {
        FACTS[self as usize].breaks
    }

    /// What is done wrong, in one sentence.
    #[must_use]
    pub fn what(self) -> &'static str {
        FACTS[self as usize].what
    }
}

std::thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// This thread's engines make a mistake for as long as this lives.
#[derive(Debug)]
#[must_use = "the mistake is taken back when this is dropped"]
pub struct Planted {
    before: Option<Bug>,
}

/// From now on this thread's engines make this mistake and no other, or none.
pub fn plant(bug: Option<Bug>) -> Planted {
    Planted { before: PLANTED.replace(bug) }
}

impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(self.before);
    }
}

/// The mistake that this thread's engines make.
#[must_use]
pub fn planted() -> Option<Bug> {
    PLANTED.get()
}

/// Whether this thread's engines make this mistake; what `PLANTED` stands for in the files of `sim/mistakes`.
pub(crate) fn is_planted(bug: Bug) -> bool {
    planted() == Some(bug)
}
