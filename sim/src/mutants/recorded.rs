//! What found each planted mistake when it was last looked for, and at which seeds.
//!
//! That is in `sim/mistakes/seeds.txt`, a line a mistake: its name, what finds it, and one to three seeds, which are below
//! [`SEEDS`]. `docdb-sim mutants --record` prints the lines. They say where to look first and nothing more: a seed counts when
//! its run finds the mistake now, and where none does, all are tried from 0 on. So a change of the workload makes the tests
//! slower until the lines are made anew, and never wrong.

use std::collections::BTreeSet;

use docdb_engine::Bug;

use super::{Finder, SEEDS, SEEDS_BY_ORACLES, Settings, Sound, each, first_kill, judged};

const LINES: &str = include_str!("../../mistakes/seeds.txt");

/// The seeds recorded for `bug`; none for a mistake that nobody has recorded yet.
pub(super) fn seeds(bug: Bug) -> impl Iterator<Item = u64> {
    let line = LINES.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| *name == bug.name()));
    line.map_or("", |(_, seeds)| seeds).split(' ').filter_map(|seed| seed.parse().ok())
}

/// The line of each of `bugs`, in their order: what finds it, an assertion only where no judge does; the first seed that finds
/// it, the first that a judge finds where an assertion stopped the process, and the first that the oracles find alone where a
/// specification found it. `None` for a mistake that nothing finds. `progress` is called once a mistake.
pub fn lines(bugs: &[Bug], jobs: usize, progress: &(dyn Fn() + Sync)) -> Vec<Option<String>> {
    let of = |seeds, without_refinement| {
        Sound::of(Settings { seeds, jobs, without_faults: false, without_refinement, recorded: true })
    };
    let (with, alone) = (of(SEEDS, false), of(SEEDS_BY_ORACLES, true));
    let line = |bug: Bug| {
        let first = first_kill(bug, &with)?;
        let mut seeds = BTreeSet::from([first.seed]);
        let mut finder = first.finder();
        match finder {
            Finder::Oracle => {}
            Finder::Specification => seeds.extend(first_kill(bug, &alone).map(|kill| kill.seed)),
            Finder::Assertion => {
                if let Some(judged) = judged(bug, first.seed, &with) {
                    seeds.insert(judged.seed);
                    finder = judged.finder();
                }
            }
        }
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        Some(format!("{} {} {}", bug.name(), finder.name(), seeds.join(" ")))
    };
    each(bugs, jobs, &|bug| {
        let line = line(bug);
        progress();
        line
    })
}
