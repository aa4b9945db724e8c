//! The exhaustive run: all short lives, and at every effect of the disk a crash in every way that matters.
//!
//! **Scope.** All workloads of up to N operations of [`Op`] over two documents, each operation sent at once with the
//! one before, when that is answered, or when nothing is left to do ([`When`]). Segments hold one or two batches, so
//! rotation comes within two operations, and merging with it; they are too short for a spare to be
//! prepared, which is left to the seeds. The device is calm and carries operations out in
//! the order they were submitted.
//!
//! **Crashes.** Before each operation that may change something, and at the end, the process dies, and power is lost;
//! what is in flight takes part, so "before" and "after" are both covered. All images are tried, or chosen ones where they
//! are too many (see `images.rs`; `complete` says whether that ever happened). Each is recovered, must show what it
//! must, takes a write, loses power again and must have kept it; and with a depth of 2 the recovery is crashed again in
//! every way at each of its effects.
//!
//! **What is skipped, and why that loses nothing.**
//! - Workloads share their beginnings: the life is forked where they part.
//! - A `when` that is the same moment as an earlier one (a refused operation is answered at once) is the same world.
//! - An image is judged once. A machine that has just come up is a function of what lies on its disk (every version
//!   of every sector, size and name that a crash may still choose between), of its clock, and of what its clients were
//!   promised; its engine is new. So two crashes that leave the same of these ([`SimDisk::identity`] and [`World::promises`], 128 bits) have the
//!   same future. Left out of the identity are names that only keep things apart: the numbers of
//!   requests, inodes and operations, none of which outlives a crash.
//!
//! Nothing is drawn: the same arguments visit the same worlds, whatever the number of threads.

mod case;
mod explore;
mod images;
mod workload;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use docdb_engine::Options;

pub use case::{Case, Crash};
pub use workload::{Op, When, Workload};

use crate::run::Verdict;
use explore::{Explorer, SHARED_OPERATIONS};

#[cfg(doc)]
use crate::{disk::SimDisk, world::World};

/// What to visit.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most operations of a workload.
    pub operations: usize,
    /// 1: crashes; 2: crashes within recoveries as well.
    pub crash_depth: u32,
    /// How many threads.
    pub jobs: usize,
}

/// How much was visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Workloads lived to their end.
    pub workloads: u64,
    /// Places at which a world was crashed, those within recoveries included.
    pub crash_points: u64,
    /// Crash points, by what dies, with too many images to try them all.
    pub chosen_points: u64,
    /// Images left behind by the crashes.
    pub images: u64,
    /// Images that differ from all judged before.
    pub distinct_images: u64,
    /// Crashed machines that came up and were judged: each different image twice, the second time after a write.
    pub recoveries: u64,
}

/// What was visited, and how it ended.
#[derive(Clone, Debug)]
pub struct Visited {
    /// How it ended: of several violations, the first in the order of the workloads.
    pub verdict: Verdict,
    /// How much; up to the violation, if there is one.
    pub counts: Counts,
    /// Where it was.
    pub violated_at: Option<Case>,
}

/// The limits of the smallest world in which everything happens.
#[must_use]
pub fn tiny_options() -> Options {
    Options {
        segment_bytes_min: 5632,
        segment_bytes_max: 5632,
        batch_bytes_max: 4096,
        merge_bytes_max: 1024,
        catalog_journal_bytes_min: 4096,
        ..Options::default()
    }
}

/// Visits all worlds. `progress` hears of how many shares of how many are done.
pub fn exhaust(settings: Settings, progress: &(dyn Fn(usize, usize) + Sync)) -> Visited {
    let options = tiny_options();
    #[cfg(feature = "planted-bugs")]
    let planted = docdb_engine::planted();
    let shares = shares(settings.operations.min(SHARED_OPERATIONS));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // The first share with a violation; those behind it do not matter any more.
    let first_bad = AtomicUsize::new(usize::MAX);
    let visited: Mutex<Vec<(usize, Visited)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..settings.jobs.max(1) {
            scope.spawn(|| {
                // The mistake of the thread that asked, if there is one.
                #[cfg(feature = "planted-bugs")]
                let _planted = docdb_engine::plant(planted);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(share) = shares.get(number) else { break };
                    if number > first_bad.load(Ordering::Relaxed) {
                        break;
                    }
                    let one = Explorer::new(settings, &options, None, false).visit(share);
                    if one.verdict != Verdict::Kept {
                        first_bad.fetch_min(number, Ordering::Relaxed);
                    }
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, shares.len());
                    visited.lock().expect("no thread panics while it adds its share").push((number, one));
                }
            });
        }
    });
    let mut visited = visited.into_inner().expect("no thread panics while it adds its share");
    visited.sort_by_key(|(number, _)| *number);
    let mut all = Visited { verdict: Verdict::Kept, counts: Counts::default(), violated_at: None };
    for (_, one) in visited {
        let (sum, more) = (&mut all.counts, one.counts);
        sum.workloads += more.workloads;
        sum.crash_points += more.crash_points;
        sum.chosen_points += more.chosen_points;
        sum.images += more.images;
        sum.distinct_images += more.distinct_images;
        sum.recoveries += more.recoveries;
        if one.verdict != Verdict::Kept {
            return Visited { counts: all.counts, ..one };
        }
    }
    all
}

/// Goes to one place again; with `telling`, the error output says what happens.
#[must_use]
pub fn repeat(case: &Case, telling: bool) -> Visited {
    let options = tiny_options();
    let operations = case.workload.0.len();
    let crash_depth = u32::try_from(case.crashes.len()).expect("a case is typed by hand");
    let settings = Settings { operations, crash_depth, jobs: 1 };
    let share = Workload(case.workload.0[..operations.min(SHARED_OPERATIONS)].to_vec());
    Explorer::new(settings, &options, Some(case), telling).visit(&share)
}

/// All workloads of up to `operations` operations, shorter ones first.
fn shares(operations: usize) -> Vec<Workload> {
    let mut all = vec![Workload::default()];
    let mut from = 0;
    for length in 0..operations {
        let until = all.len();
        for index in from..until {
            let whens = if length == 0 { &[When::Quiet][..] } else { &When::ALL[..] };
            for when in whens {
                for op in Op::ALL {
                    let mut longer = all[index].clone();
                    longer.0.push((*when, op));
                    all.push(longer);
                }
            }
        }
        from = until;
    }
    all
}
