//! One run, from a seed or any other source of choices: what it is made of, how it ended, and what is to be said of it.
//!
//! What happens in it is its life's affair; here a panic becomes a verdict, and the counts become a report.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use docdb_engine::Options;
use docdb_engine::table::{BuilderOptions, Compression};

use crate::choice::{Choice, Choices};
use crate::chronicle::{Broken, Chronicle};
use crate::disk::{FaultCounts, FaultSet};
use crate::life::Life;
use crate::marks::{Mark, Marks};
use crate::oracle::{Violation, space};
use crate::profile::ProfileName;
use crate::pulse::Running;
use crate::workload::{Shape, Workload};
use crate::world::{Schedule, Tally, World};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All promises were kept.
    Kept,
    /// The engine broke one, or panicked.
    Violation(String),
    /// The simulator itself failed.
    Harness(String),
}

/// What a run is made of, besides its choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// The mixture of faults; each seed draws one when it is `None`.
    pub profile: Option<ProfileName>,
    /// Kinds of faults that do not exist.
    pub without: FaultSet,
    /// Whether nobody holds the run to the specifications.
    pub without_refinement: bool,
    /// A mistake planted in the engine.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<docdb_engine::Bug>,
    /// A mistake planted in the simulator: from this step on the run depends on the process's number.
    #[cfg(feature = "planted-bugs")]
    pub shaky_from: Option<u64>,
    /// Another one: this step never ends.
    #[cfg(feature = "planted-bugs")]
    pub hangs_at: Option<u64>,
}

impl Setup {
    /// This mixture of faults, without some kinds; nothing planted.
    #[must_use]
    pub fn of(profile: Option<ProfileName>, without: FaultSet) -> Setup {
        Setup {
            profile,
            without,
            without_refinement: false,
            #[cfg(feature = "planted-bugs")]
            planted: None,
            #[cfg(feature = "planted-bugs")]
            shaky_from: None,
            #[cfg(feature = "planted-bugs")]
            hangs_at: None,
        }
    }
}

/// What is to be said about a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// The mixture of faults.
    pub profile: ProfileName,
    /// How it ended.
    pub verdict: Verdict,
    /// The hash of its choices and effects.
    pub hash: u64,
    /// Steps made.
    pub steps: u64,
    /// What was done.
    pub tally: Tally,
    /// How often each kind of fault struck.
    pub faults: FaultCounts,
    /// What occurred.
    pub marks: Marks,
    /// Transactions in the models at the end.
    pub transactions: u64,
    /// Sealed segments at the end: whether rotation was reached.
    pub segments: usize,
    /// Every choice, when recording was asked for.
    pub trace: Vec<Choice>,
}

/// How tables are divided: as small as can be, compressed, or as they are in production.
const TABLES: [BuilderOptions; 3] = [
    BuilderOptions::SMALL,
    BuilderOptions { compression: Compression::Lz4, ..BuilderOptions::SMALL },
    BuilderOptions {
        block_bytes: 300,
        frame_bytes: 2000,
        section_keys: 20,
        table_bytes: 5000,
        compression: Compression::None,
    },
];

/// The small limits under which everything happens often.
#[must_use]
pub fn small_options(choices: &mut Choices) -> Options {
    let pick = |choices: &mut Choices, label, values: [u64; 3]| {
        values[usize::try_from(choices.choice(label, 3)).expect("below three")]
    };
    let default = Options::default();
    let is_tight = choices.chance("options/tight_memory", 150);
    let memory_bytes_max =
        if is_tight { 1_000 + choices.choice("options/memory", 8_000) } else { default.memory_bytes_max };
    let segment_bytes_max = pick(choices, "options/segment", [8192, 4096, 16384]);
    let batch_bytes_max = usize::try_from(pick(choices, "options/batch", [4096, 600, 65536])).expect("small");
    let merge_bytes_max = pick(choices, "options/merge", [8192, 0, 2048]);
    let replay_slice_bytes = u32::try_from(pick(choices, "options/slice", [65536, 1024, 600])).expect("small");
    let watermark_delay_ns = pick(choices, "options/watermark", [50_000_000, 1_000_000, 1_000]);
    let seed = choices.choice("options/seed", 1 << 32);
    Options {
        // Full at each change, or soon, or hardly ever. It is no choice of its own: nothing else rests on this bit of the seed.
        catalog_journal_bytes_min: [65536, 1, 4096, 65536][(seed % 4) as usize],
        gather_ns_max: [default.gather_ns_max, default.gather_ns_max, 20_000, 0][(seed / 4 % 4) as usize],
        segment_bytes_smallest: 4096,
        segment_bytes_max,
        batch_bytes_max,
        merge_bytes_max,
        replay_slice_bytes,
        watermark_delay_ns,
        seed,
        new_directory: Options::default().new_directory,
        memory_bytes_max,
        map_fanout: [default.map_fanout, 3, 4, 7][choices.weighted("limits/fanout", &[3, 1, 1, 1])],
        listed_names_max: [default.listed_names_max, 1, 2, 3][choices.weighted("limits/names", &[3, 1, 1, 1])],
        pending_requests_max: [default.pending_requests_max, 4, 7][choices.weighted("limits/requests", &[6, 1, 1])],
        pending_bytes_max: [default.pending_bytes_max, 3_000, 8_000][choices.weighted("limits/bytes", &[6, 1, 1])],
        segment_bytes_min: [4096, 8192, 16384][choices.weighted("limits/first", &[4, 1, 1])].min(segment_bytes_max),
        checkpoint_log_bytes: [default.checkpoint_log_bytes, 1_000, 3_000, 12_000]
            [choices.weighted("limits/checkpoint", &[1, 2, 2, 1])],
        checkpoints_automatic: true,
        segments_kept: [0, 1][choices.weighted("limits/kept", &[3, 1])],
        table: TABLES[choices.weighted("limits/table", &[3, 1, 1])],
        spare_piece_bytes: [default.spare_piece_bytes, 4096, 2048][choices.weighted("limits/piece", &[2, 1, 1])],
    }
}

/// Runs one seed.
#[must_use]
pub fn run_seed(seed: u64, record: bool, setup: &Setup) -> Report {
    let mut choices = Choices::seeded(seed);
    if record {
        choices = choices.recording();
    }
    run_with(seed, choices, setup)
}

/// Runs on any source of choices.
#[must_use]
pub fn run_with(seed: u64, choices: Choices, setup: &Setup) -> Report {
    run_watched(seed, choices, setup, Chronicle::default()).0
}

/// The same, while `chronicle` watches; it is given back with what it kept.
#[must_use]
pub fn run_watched(seed: u64, mut choices: Choices, setup: &Setup, chronicle: Chronicle) -> (Report, Chronicle) {
    let _running = Running::begin(seed, setup);
    #[cfg(feature = "planted-bugs")]
    let _planted = docdb_engine::plant(setup.planted);
    let options = small_options(&mut choices);
    let drawn = ProfileName::chosen(&mut choices);
    let profile = setup.profile.unwrap_or(drawn);
    let device = profile.device(&mut choices, setup.without);
    let workload = Workload::chosen(&mut choices, Shape::of(&options));
    let mut report = Report {
        seed,
        profile,
        verdict: Verdict::Kept,
        hash: 0,
        steps: 0,
        tally: Tally::default(),
        faults: FaultCounts::default(),
        marks: Marks::EMPTY,
        transactions: 0,
        segments: 0,
        trace: Vec::new(),
    };
    // The life is kept outside, so that a panic leaves something to report.
    let mut life: Option<Life> = None;
    report.verdict = guarded(|| {
        let mut world = World::unborn(options, device, choices, workload.names());
        world.chronicle = chronicle;
        if setup.without_refinement {
            world.refinement.switch_off();
        }
        world.schedule = Schedule::chosen(&mut world.choices, workload.names());
        #[cfg(feature = "planted-bugs")]
        {
            (world.shaky_from, world.hangs_at) = (setup.shaky_from, setup.hangs_at);
        }
        let life = life.insert(Life::new(world, workload));
        life.world.begin()?;
        life.live()
    });
    let Some(Life { mut world, .. }) = life else { return (report, Chronicle::default()) };
    world.step_over();
    if matches!(report.verdict, Verdict::Violation(_)) {
        world.chronicle.found_broken(Broken {
            differs: world.checker.first_difference(world.chronicle.entries()),
            is_by_specification: world.refinement.verdict().is_err(),
        });
    }
    report.hash = world.hash();
    report.steps = world.steps();
    report.tally = world.tally;
    report.faults = *world.disk().faults();
    report.marks = world.marks();
    if world.checker.databases().iter().any(|tracked| tracked.model.decided_again() > 0) {
        report.marks.set(Mark::AnswerDecidedAgain);
    }
    if world.checker.databases().iter().any(|tracked| tracked.model.pending_reads() > 0) {
        report.marks.set(Mark::PendingRead);
    }
    report.transactions = world.checker.databases().iter().map(|tracked| tracked.model.newest()).sum();
    report.segments = space::sealed_segments(world.disk());
    report.trace = world.choices.recorded().to_vec();
    (report, world.chronicle)
}

thread_local! {
    /// Where the last panic of this thread happened; panics carry no place.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics silent and remembers where they happened. Call once at the start of the process.
pub fn remember_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // A copy of the engine with mistakes in it lies in a build script's `out`, and has the lines of the engine.
        let file = |path: &str| path.rsplit_once("/out/").map_or(path, |(_, file)| file).to_owned();
        let place = panic.location().map_or(String::new(), |at| format!("{}:{}", file(at.file()), at.line()));
        PANICKED_AT.with(|at| at.replace(place));
    }));
}

/// Turns a panic into a verdict: the engine's own, and breaches of its contract, are violations.
pub(crate) fn guarded(run: impl FnOnce() -> Result<(), Violation>) -> Verdict {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Verdict::Kept,
        Ok(Err(Violation(message))) => Verdict::Violation(message),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            let place = PANICKED_AT.with(|at| at.borrow().clone());
            let message = format!("panic at {place}: {text}");
            // Without the hook the place is unknown; a panic is then held to be the engine's.
            let ours = place.starts_with("sim/") || place.starts_with("models/");
            if ours && !text.contains("contract:") { Verdict::Harness(message) } else { Verdict::Violation(message) }
        }
    }
}
