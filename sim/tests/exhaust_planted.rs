//! The exhaustive run alone finds mistakes, and names the place where they show.
#![cfg(feature = "planted-bugs")]

use docdb_engine::{Bug, plant};
use docdb_sim::exhaust::{Settings, exhaust, repeat};
use docdb_sim::run::{Verdict, remember_panics};

/// Mistakes that crashes alone bring to light. The others need a device that fails, a second database, or a shutdown.
const FOUND: [Bug; 27] = [
    Bug::AckBeforeSync,
    Bug::PublishBeforeSync,
    Bug::NoDirectorySyncAfterRotation,
    Bug::CommitRecordLeftOut,
    Bug::TailNotRewritten,
    Bug::ResumeBehindBadRecord,
    Bug::SealBeforeHeaderSync,
    Bug::CatalogWithoutDirectorySync,
    Bug::CatalogWithoutSync,
    Bug::FolderNotSynced,
    Bug::AnswerWithoutWaiting,
    Bug::WatermarkAhead,
    Bug::SkipSync,
    Bug::AnswerBeforePublish,
    Bug::PublishNewest,
    Bug::RotationSameEpoch,
    Bug::StartLsnKept,
    Bug::ExistenceAgainstPublished,
    Bug::NextNotSynced,
    Bug::NextCountedBesideActive,
    Bug::SupersededTooMany,
    Bug::SegmentsUnsorted,
    Bug::TornTailIsDamage,
    Bug::LastTxNotRestored,
    Bug::CreationFileNotSynced,
    Bug::CreationFolderNotSynced,
    Bug::CreatedBeforeCatalog,
];

#[test]
fn the_exhaustive_run_alone_finds_what_crashes_can_show() {
    remember_panics();
    for bug in FOUND {
        let planted = plant(Some(bug));
        let visited = exhaust(Settings { operations: 2, crash_depth: 1, jobs: 1 }, &|_, _| {});
        let Some(place) = visited.violated_at else { panic!("{bug:?} is not found") };
        assert!(matches!(visited.verdict, Verdict::Violation(_)), "{bug:?}: {:?}", visited.verdict);
        assert_eq!(repeat(&place, false).verdict, visited.verdict, "{bug:?}: {place} shows it again");
        drop(planted);
        assert_eq!(repeat(&place, false).verdict, Verdict::Kept, "{bug:?}: {place} is well without it");
    }
}
