//! What the process really asks of the kernel, turned into what a power loss at any moment could have left.
//!
//! The simulator proves the engine right on its own disk; nothing of it says that the adapter hands a sync on to
//! the kernel. Here a real run over real files is recorded below the adapter, call by call ([`record`]); from the
//! record come the files that a power loss between two calls could have left ([`image`]); they are opened again,
//! and must hold what had been acknowledged by then, byte for byte, and nothing that was never asked ([`judge`]).
//! No sync reaches the device in this test: what counts is that it is asked for, of the right file, in time.
//!
//! A check that has never failed is not yet a check: the same run with a mistake below the adapter must be found.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod image;
mod judge;
mod locked;
mod mistake;
mod record;
mod workload;

use std::path::Path;
use std::sync::Arc;

use docdb::internals::Kernel;
use image::{Image, Keep};
use judge::Expected;
use mistake::{Mistake, Mistaken};
use record::{Entry, Recorder, Word};

/// Images of one run: the more, the longer it takes.
const RANDOM_IMAGES: u64 = 120;
/// Every how manieth moment is looked at as if everything had been kept, which only a wrong order can make fail.
const KEPT_EVERY: usize = 40;

/// A place in memory where there is one: no sync of this test has to reach a device.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a place for files")
}

/// Runs the workload over a recorder, in which `wrap` may put mistakes, and judges what could be left of it.
fn found(mistake: Option<Mistake>) -> Result<usize, String> {
    found_in(mistake, workload::run, usize::MAX)
}

type Run = fn(&Path, &Arc<dyn Kernel>, &Recorder) -> Result<(), String>;

fn found_in(mistake: Option<Mistake>, run: Run, entries_max: usize) -> Result<usize, String> {
    let directory = place();
    let recorder = Arc::new(Recorder::new(directory.path()));
    let kernel: Arc<dyn Kernel> = match mistake {
        None => Arc::clone(&recorder) as Arc<dyn Kernel>,
        Some(mistake) => Arc::new(Mistaken::new(Arc::clone(&recorder), mistake)),
    };
    run(directory.path(), &kernel, &recorder)?;
    let entries = recorder.entries();
    judge_all(&entries[..entries.len().min(entries_max)])
}

/// Says how many images were judged.
fn judge_all(entries: &[Entry]) -> Result<usize, String> {
    let mut judged = 0;
    let mut image = Image::default();
    let mut expected = Expected::default();
    let random_every = (entries.len() as u64 / RANDOM_IMAGES).max(1);
    for (index, entry) in entries.iter().enumerate() {
        image.apply(index, entry);
        expected.apply(entry);
        let mut keeps = Vec::new();
        // Right after an answer, everything that it rests on must be durable by itself.
        if matches!(entry, Entry::Told(Word::Answered { .. } | Word::Created { .. } | Word::Closed)) {
            keeps.push(Keep::Synced);
        }
        if (index as u64).is_multiple_of(random_every) {
            keeps.push(Keep::Some(index as u64));
        }
        if index.is_multiple_of(KEPT_EVERY) {
            keeps.push(Keep::Everything);
        }
        for keep in keeps {
            judged += 1;
            let directory = place();
            image.write(keep, directory.path());
            judge::judge(directory.path(), &expected).map_err(|error| {
                let before: Vec<String> =
                    entries[index.saturating_sub(12)..=index].iter().map(|entry| format!("{entry:?}")).collect();
                format!("{error}\nafter entry {index} of {}, {keep:?}:\n  {}", entries.len(), before.join("\n  "))
            })?;
        }
    }
    Ok(judged)
}

#[test]
fn what_was_acknowledged_outlives_a_power_loss_between_any_two_calls() {
    match found(None) {
        Ok(judged) => {
            println!("{judged} images");
            assert!(judged > 200, "{judged} images");
        }
        Err(lost) => panic!("{lost}"),
    }
}

/// The name of a directory that somebody else made is durable only once somebody syncs it.
#[test]
fn a_data_directory_that_was_there_already_outlives_a_power_loss() {
    // What differs is how it begins.
    if let Err(lost) = found_in(None, workload::run_in_made_directory, 300) {
        panic!("{lost}");
    }
}

#[test]
fn every_mistake_below_the_adapter_is_found() {
    let runs: Vec<_> =
        Mistake::ALL.iter().map(|mistake| (mistake, std::thread::spawn(|| found(Some(*mistake))))).collect();
    for (mistake, run) in runs {
        match run.join().expect("whatever is below the adapter, nothing panics") {
            Ok(judged) => panic!("{mistake:?} was not found in {judged} images"),
            Err(lost) => println!("{mistake:?}: {}", lost.lines().next().unwrap_or_default()),
        }
    }
}
