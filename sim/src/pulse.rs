//! What each thread runs at the moment, and how many steps it has made: so that somebody outside notices a run that goes on
//! without end.
//!
//! It owns one counter a thread. An engine that loops makes no step any more, so nothing within a run can judge it: whoever
//! can read a real clock compares two looks at the counters.
//!
//! It never reads a clock, and no run can see what stands here: what a seed does depends on its choices alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::run::Setup;

/// One thread that runs seeds.
#[derive(Debug, Default)]
struct Pulse {
    /// The seed and its setup, while there is one.
    run: Mutex<Option<(u64, Setup)>>,
    /// Steps, of all runs of this thread; each run begins with one.
    steps: AtomicU64,
}

/// A run in progress, as it was a moment ago.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Its seed.
    pub seed: u64,
    /// What it is made of.
    pub setup: Setup,
    /// The steps of its thread so far. A thread that has made none between two looks is still in the same one.
    pub steps: u64,
}

/// Every thread that ever ran a seed. There are as many as jobs were asked for.
static PULSES: Mutex<Vec<Arc<Pulse>>> = Mutex::new(Vec::new());

thread_local! {
    static PULSE: Arc<Pulse> = {
        let pulse = Arc::new(Pulse::default());
        PULSES.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&pulse));
        pulse
    };
}

/// This thread runs a seed for as long as this lives.
#[derive(Debug)]
pub(crate) struct Running;

impl Running {
    /// The run begins.
    pub(crate) fn begin(seed: u64, setup: &Setup) -> Running {
        set(Some((seed, *setup)));
        beat();
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        set(None);
    }
}

fn set(run: Option<(u64, Setup)>) {
    PULSE.with(|pulse| *pulse.run.lock().unwrap_or_else(PoisonError::into_inner) = run);
}

/// This thread's run makes a step.
pub(crate) fn beat() {
    PULSE.with(|pulse| pulse.steps.fetch_add(1, Ordering::Relaxed));
}

/// What every thread runs now, always in the same order; `None` for one that runs nothing.
#[must_use]
pub fn looks() -> Vec<Option<Look>> {
    let pulses = PULSES.lock().unwrap_or_else(PoisonError::into_inner);
    let look = |pulse: &Arc<Pulse>| {
        let (seed, setup) = (*pulse.run.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(Look { seed, setup, steps: pulse.steps.load(Ordering::Relaxed) })
    };
    pulses.iter().map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of the run of `seed` that this test began; other tests run seeds of their own meanwhile.
    fn steps(seed: u64) -> Option<u64> {
        looks().into_iter().flatten().find(|look| look.seed == seed).map(|look| look.steps)
    }

    #[test]
    fn a_run_is_seen_while_it_lasts_and_its_steps_with_it() {
        let seed = u64::MAX - 7;
        assert_eq!(steps(seed), None);
        let running = Running::begin(seed, &Setup::default());
        let first = steps(seed).expect("it runs");
        assert_eq!(steps(seed), Some(first), "without a step nothing moves");
        beat();
        assert_eq!(steps(seed), Some(first + 1));
        drop(running);
        assert_eq!(steps(seed), None);
    }
}
