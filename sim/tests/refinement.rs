//! Every run is held to the specifications; and a mistake in the protocol is rejected there, whatever the judge would say.

use docdb_engine::Options;
use docdb_sim::choice::Choices;
use docdb_sim::disk::{CrashKind, Profile};
use docdb_sim::workload::{Shape, Workload};
use docdb_sim::world::{Stepped, World};

/// A refinement that takes no action checks nothing.
#[test]
fn a_run_is_made_of_the_actions_of_all_specifications() {
    let mut choices = Choices::seeded(7);
    let mut workload = Workload::chosen(&mut choices, Shape::default());
    let options = Options { segment_bytes_min: 4096, segment_bytes_max: 8192, ..Options::default() };
    let mut world = World::new(options, Profile::CALM, choices, workload.names()).expect("it begins");
    for _ in 0..3 {
        for _ in 0..2000 {
            let wants_more = workload.wants_more(&world.checker);
            if world.step(wants_more).expect("no promise is broken") == Stepped::WantsRequest
                && let Some(request) = workload.next(&world.checker, &mut world.choices)
            {
                world.request(request).expect("no promise is broken");
            }
        }
        world.crash(CrashKind::Power).expect("no promise is broken");
    }
    let [commit, rotation, opening, closing] = world.refinement.taken();
    println!("actions: commit {commit}, rotation {rotation}, opening {opening}, closing {closing}");
    assert!(commit > 100 && rotation > 100 && opening > 100 && closing > 20);
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use docdb_engine::Bug;
    use docdb_sim::run::{Setup, Verdict, remember_panics, run_seed};

    /// Seeds tried with each mistake in the protocol.
    const SEEDS: u64 = 150;

    /// Seeds tried with each of the others, to say which of them it rejects as well.
    const SEEDS_OF_OTHERS: u64 = 15;

    /// Mistakes in the protocol itself.
    const OF_THE_PROTOCOL: &[Bug] = &[
        Bug::AckBeforeSync,
        Bug::PublishBeforeSync,
        Bug::SkipSync,
        Bug::AnswerBeforePublish,
        Bug::PublishNewest,
        Bug::RetryFailedSync,
        Bug::IgnoreShortWrite,
        Bug::TailNotWritten,
        Bug::GivenUpStaysVisible,
        Bug::UnknownToldAsWritten,
        Bug::SealBeforeHeaderSync,
        Bug::NoDirectorySyncAfterRotation,
        Bug::NextNotSynced,
        Bug::UndoAfterSeal,
        Bug::RotationSameEpoch,
        Bug::StartsNotCounted,
        Bug::StartLsnKept,
        Bug::TailNotRewritten,
        Bug::ResumeBehindBadRecord,
        Bug::CatalogWithoutSync,
        Bug::CatalogWithoutDirectorySync,
        Bug::CreatedBeforeCatalog,
        Bug::CatalogWaitersTooSoon,
        Bug::OldSegmentWritten,
        Bug::FailedBatchVouchedFor,
        Bug::SegmentSyncErrorIgnored,
        Bug::CatalogSyncErrorIgnored,
    ];

    /// The first seed that the refinement rejects, and that is well without the mistake. Nothing else had anything to say
    /// before: up to there the run is the same with all other oracles switched off.
    fn rejected(bug: Bug) -> Option<(u64, String)> {
        let seeds = if OF_THE_PROTOCOL.contains(&bug) { SEEDS } else { SEEDS_OF_OTHERS };
        (0..seeds).find_map(|seed| {
            let planted = Setup { planted: Some(bug), ..Setup::default() };
            let Verdict::Violation(message) = run_seed(seed, false, &planted).verdict else { return None };
            let why = message.strip_prefix("refinement: ")?;
            let is_sound = run_seed(seed, false, &Setup::default()).verdict == Verdict::Kept;
            is_sound.then(|| (seed, why.to_owned()))
        })
    }

    #[test]
    fn mistakes_in_the_protocol_are_rejected_by_the_refinement() {
        remember_panics();
        let mut missed = Vec::new();
        let mut rejections = 0;
        for bug in Bug::ALL {
            match rejected(*bug) {
                Some((seed, why)) => {
                    rejections += 1;
                    println!("{:<30} seed {seed}: {why:.160}", bug.name());
                }
                None if OF_THE_PROTOCOL.contains(bug) => missed.push(bug.name()),
                None => println!("{:<30} not rejected within {SEEDS_OF_OTHERS} seeds", bug.name()),
            }
        }
        println!("{rejections} of {} mistakes are rejected", Bug::ALL.len());
        assert!(missed.is_empty(), "not rejected within {SEEDS} seeds: {missed:?}");
    }
}
