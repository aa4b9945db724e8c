//! `run`: many seeds, several at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use docdb_sim::disk::FaultCounts;
use docdb_sim::hash::Hash;
use docdb_sim::marks::{Mark, Marks};
use docdb_sim::profile::ProfileName;
use docdb_sim::run::{Report, Setup, run_seed};
use docdb_sim::world::Tally;
use serde_json::{Map, Value, json};

use super::count;
use super::exit::Exit;
use super::origin::World;
use super::output::{Failure, bar, complain, refuse, say};
use super::seeds::{self, Seeds};
use super::watchdog::Watch;

/// Failures that are shown one by one.
const SHOWN_FAILURES_MAX: usize = 10;

/// Fewer seeds than this need not meet every required situation.
const SEEDS_FOR_MARKS: u64 = 1000;

/// Runs many seeds, and judges each.
///
/// Each failing seed is told with the command that replays it. Every mixture of faults has
/// situations that it must meet (a torn sector that survived, a database that latched, ...): from
/// 1000 seeds on, one that never occurred makes the run vacuous (code 4); fewer seeds are not judged
/// by it. The trace hash of all seeds together depends on nothing but the seeds, the engine and the
/// simulator: not on --jobs, not on the machine.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit::HELP)]
#[command(group = clap::ArgGroup::new("how much").args(["seeds", "time"]).required(true).multiple(true))]
pub(crate) struct Arguments {
    /// The seeds from A to the one before B.
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, value_parser = seeds::parse)]
    seeds: Option<Seeds>,
    /// Runs for so long: 90s, 10m, 8h. Without --seeds, on seeds that begin with the time of day, so
    /// that each run sees new ones.
    #[arg(long, value_name = "TIME", value_parser = duration, verbatim_doc_comment)]
    time: Option<Duration>,
    #[command(flatten)]
    world: World,
    /// How many at a time, each on a core of its own.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count::parse::<usize>)]
    jobs: usize,
    #[command(flatten)]
    watch: Watch,
    /// A mistake of the simulator's own: this step of each seed never ends.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "STEP", hide = true)]
    hangs_at: Option<u64>,
    /// Prints one JSON object for each failure, and as the last line one for all.
    #[arg(long)]
    json: bool,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*seconds).filter(|seconds| *seconds > 0)
    });
    parsed.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is no time such as 90s, 10m or 8h"))
}

/// What all seeds together did.
#[derive(Default)]
struct Total {
    seeds: u64,
    tally: Tally,
    faults: FaultCounts,
    marks: Marks,
    /// Does not depend on the order in which seeds end.
    trace_hash: u64,
    failures: Vec<Failure>,
    exit: Option<Exit>,
}

impl Total {
    fn add(&mut self, report: &Report, setup: &Setup) {
        self.seeds += 1;
        self.tally.add(&report.tally);
        self.faults.add(&report.faults);
        self.marks.add(report.marks);
        let mut hash = Hash::default();
        hash.number(report.seed);
        hash.number(report.hash);
        self.trace_hash = self.trace_hash.wrapping_add(hash.value());
        self.failures.extend(Failure::of(report, setup));
        self.exit = self.exit.max(Some(Exit::of(&report.verdict)));
    }
}

pub(crate) fn run(arguments: &Arguments) -> Exit {
    let setup = match arguments.world.setup() {
        Ok(setup) => setup,
        Err(why) => return refuse(&why),
    };
    #[cfg(feature = "planted-bugs")]
    let setup = Setup { hangs_at: arguments.hangs_at, ..setup };
    let started = Instant::now();
    let until = arguments.time.map(|time| started + time);
    let Seeds { first, end } = arguments.seeds.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Seeds { first: now * 1_000_000, end: u64::MAX }
    });
    let next = AtomicU64::new(first);
    let total: Arc<Mutex<Total>> = Arc::default();
    let (so_far, json) = (Arc::clone(&total), arguments.json);
    arguments.watch.begin(move |look, hangs_after| {
        let mut total = so_far.lock().unwrap_or_else(PoisonError::into_inner);
        total.failures.push(Failure::of_hang(look, hangs_after));
        total.seeds += 1;
        total.exit = total.exit.max(Some(Exit::Violation));
        tell(&mut total, &setup, started, json)
    });
    let progress = bar(arguments.time.map_or(end - first, |time| time.as_secs()));
    std::thread::scope(|scope| {
        let seeds = usize::try_from(end - first).unwrap_or(usize::MAX);
        for _ in 0..arguments.jobs.min(seeds).max(1) {
            scope.spawn(|| {
                while until.is_none_or(|until| Instant::now() < until) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let report = run_seed(seed, false, &setup);
                    let mut total = total.lock().expect("no thread panics while it adds a report");
                    total.add(&report, &setup);
                    if let Some(failure) = Failure::of(&report, &setup).filter(|_| arguments.time.is_some()) {
                        // Such a run may be ended before its time, and nobody else has these seeds.
                        progress.suspend(|| failure.complain());
                    }
                    match arguments.time {
                        Some(_) => progress.set_position(started.elapsed().as_secs()),
                        None => progress.inc(1),
                    }
                    if !total.failures.is_empty() {
                        progress.set_message(format!("{} failed", total.failures.len()));
                    }
                }
            });
        }
    });
    progress.finish_and_clear();
    tell(&mut total.lock().expect("no thread panics while it adds a report"), &setup, started, arguments.json)
}

/// Says what all came to, and how that is told to scripts.
fn tell(total: &mut Total, setup: &Setup, started: Instant, json: bool) -> Exit {
    total.failures.sort_by_key(|failure| failure.seed);
    let required = setup.profile.map_or_else(ProfileName::required_of_all, ProfileName::required);
    let missing = total.marks.missing(required);
    let vacuous = total.seeds >= SEEDS_FOR_MARKS && missing.count() > 0;
    let seconds = started.elapsed().as_secs_f64();
    if json {
        total.failures.iter().for_each(|failure| say(&failure.json().to_string()));
        say(&summary(total, required, seconds).to_string());
    } else {
        total.failures.iter().take(SHOWN_FAILURES_MAX).for_each(Failure::show);
        let Tally { operations, acknowledged, disk_operations, crashes, recoveries, .. } = total.tally;
        say(&format!("{} seeds, {} failed; {seconds:.1} s", total.seeds, total.failures.len()));
        say(&format!("{operations} operations, {acknowledged} acknowledged; {disk_operations} operations of the disk"));
        say(&format!("{crashes} crashes, {recoveries} recoveries; trace {:016x}", total.trace_hash));
        let faults = total.faults.iter().filter(|(_, count)| *count > 0);
        let faults: Vec<String> = faults.map(|(kind, count)| format!("{kind} {count}")).collect();
        say(&format!("faults: {}", faults.join(", ")));
    }
    if vacuous {
        let names: Vec<&str> = missing.iter().map(|mark| mark.name()).collect();
        complain(&format!("vacuous: never occurred: {}", names.join(", ")));
    }
    let exit = total.exit.unwrap_or(Exit::Kept);
    if vacuous { exit.max(Exit::Vacuous) } else { exit }
}

fn summary(total: &Total, required: Marks, seconds: f64) -> Value {
    let faults: Map<String, Value> =
        total.faults.iter().map(|(kind, count)| (kind.name().to_owned(), count.into())).collect();
    json!({
        "seeds": total.seeds,
        "violations": total.failures.len(),
        "operations": total.tally.operations,
        "acknowledged": total.tally.acknowledged,
        "disk_operations": total.tally.disk_operations,
        "crashes": total.tally.crashes,
        "recoveries": total.tally.recoveries,
        "faults": faults,
        // Their names, whether or not there were enough seeds to be judged by them.
        "marks_missing": total.marks.missing(required).iter().map(Mark::name).collect::<Vec<_>>(),
        "marks_hit": required.count() - total.marks.missing(required).count(),
        "marks_required": required.count(),
        "seconds": seconds,
        "trace_hash": format!("{:016x}", total.trace_hash),
    })
}
