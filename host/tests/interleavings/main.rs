//! The engine's lock, lanes, timer, messenger, seats and the ways between them, under a scheduler that
//! explores the orders in which threads may run.
//!
//! This program compiles the core's own sources, with the real engine, over primitives of shuttle's (see
//! `sync`) and over a disk in memory. A thread that waits for ever is a deadlock, which shuttle reports;
//! `SHUTTLE_RANDOM_SEED` changes the orders. Time is part of the model: a timed wait may end at any moment.
//! Each mistake of `planted` is put into the core, and has to be found.

// What of the core these stories do not call is dead here, and in use in the crate itself.
#![allow(dead_code, unreachable_pub, unused_qualifications)]

#[path = "../../src/alert.rs"]
mod alert;
#[path = "../../src/core/mod.rs"]
mod core;
#[path = "../../src/desk.rs"]
mod desk;
mod file_disk;
mod lock;
#[path = "../../src/messages.rs"]
mod messages;
#[path = "../../src/options.rs"]
mod options;
mod planted;
#[path = "../../src/seat.rs"]
mod seat;
mod stories;
mod sync;
mod system_clock;
#[path = "../../src/views.rs"]
mod views;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use planted::Mistake;
use stories::{STORIES, Story};

/// Orders drawn evenly, for each story.
const RANDOM_ORDERS: usize = 150;
/// Orders in which one thread runs for as long as it can, but for a few changes, for each story.
const STUBBORN_ORDERS: usize = 100;
/// How many such changes.
const CHANGES_MAX: usize = 4;
/// A story that takes more steps has come to no end.
const STEPS_MAX: usize = 200_000;
/// The engine's calls need more than shuttle's own default.
const STACK_BYTES: usize = 512 * 1024;

fn explore(story: Story, mistake: Option<Mistake>) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        Runner::new(scheduler, config.clone()).run(move || story.run(mistake));
    };
    run(Box::new(RandomScheduler::new_from_seed(1, RANDOM_ORDERS)));
    run(Box::new(PctScheduler::new_from_seed(1, CHANGES_MAX, STUBBORN_ORDERS)));
}

#[test]
fn every_order_comes_to_its_end() {
    for story in STORIES {
        let outcome = catch_unwind(|| explore(story, None));
        assert!(outcome.is_ok(), "the story that failed: {}", story.name);
    }
}

#[test]
fn every_planted_mistake_is_found() {
    for mistake in Mistake::ALL {
        let found =
            STORIES.iter().find(|story| catch_unwind(AssertUnwindSafe(|| explore(**story, Some(mistake)))).is_err());
        assert!(found.is_some(), "nobody noticed {mistake:?}");
    }
}
