//! Who notices a run that makes no step any more: an engine that loops never comes back to be judged.
//!
//! It owns the one thread that looks at the real time beside the runs. It counts its own looks rather than reading a clock,
//! so that a process that was stopped for an hour and goes on is not taken for one that hangs.
//!
//! It never ends a run: a thread cannot be ended. The program says which seed hangs, and ends.

use std::thread::{self, sleep};
use std::time::Duration;

use docdb_sim::pulse::{Look, looks};

use super::exit::Exit;

/// Looks within the time after which a run hangs.
const LOOKS: u32 = 10;

/// How long a run may stand still.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// A seed that makes no step for so long hangs, which breaks a promise: the program says which one,
    /// and ends with code 1.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::run::duration, verbatim_doc_comment)]
    hangs_after: Duration,
}

impl Watch {
    /// Watches all runs of this process from now on. The first one that hangs is given to `tell`, and the process ends as that
    /// says.
    pub(crate) fn begin(self, tell: impl FnOnce(&Look, Duration) -> Exit + Send + 'static) {
        thread::spawn(move || {
            let mut standing = Standing::default();
            loop {
                sleep(self.hangs_after / LOOKS);
                if let Some(look) = standing.see(looks()) {
                    let exit = tell(&look, self.hangs_after);
                    std::process::exit(i32::from(exit.code()));
                }
            }
        });
    }
}

/// What was seen so far: of each thread the last look, and how many since showed the same.
#[derive(Debug, Default)]
struct Standing(Vec<(Option<Look>, u32)>);

impl Standing {
    /// Takes one more look at all threads. The run that has not moved for as many as it takes, if there is one.
    fn see(&mut self, looks: Vec<Option<Look>>) -> Option<Look> {
        self.0.resize(looks.len(), (None, 0));
        for ((last, same), look) in self.0.iter_mut().zip(looks) {
            let steps = |look: &Option<Look>| look.as_ref().map(|look| look.steps);
            *same = if look.is_some() && steps(last) == steps(&look) { *same + 1 } else { 0 };
            *last = look;
        }
        self.0.iter().find(|(_, same)| *same >= LOOKS).and_then(|(look, _)| *look)
    }
}

#[cfg(test)]
mod tests {
    use docdb_sim::run::Setup;

    use super::*;

    fn at(seed: u64, steps: u64) -> Option<Look> {
        Some(Look { seed, setup: Setup::default(), steps })
    }

    #[test]
    fn a_run_hangs_when_every_look_shows_the_same_step() {
        let mut standing = Standing::default();
        for look in 0..LOOKS {
            assert!(standing.see(vec![at(1, 5), at(2, u64::from(look)), None]).is_none(), "look {look}");
        }
        let hangs = standing.see(vec![at(1, 5), at(2, 99), None]).expect("the first one has not moved");
        assert_eq!(hangs.seed, 1);
    }

    #[test]
    fn a_step_and_a_pause_between_two_runs_begin_the_time_anew() {
        let mut standing = Standing::default();
        for _ in 0..3 {
            for _ in 0..LOOKS {
                assert!(standing.see(vec![at(1, 5)]).is_none());
            }
            assert!(standing.see(vec![at(1, 6)]).is_none());
            assert!(standing.see(vec![None]).is_none());
        }
        for _ in 0..3 * LOOKS {
            assert!(standing.see(vec![None]).is_none(), "a thread without a run may stand still");
        }
    }
}
