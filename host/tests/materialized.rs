//! The simulator proves nothing about real files unless both disks are the same to the engine: what a simulated crash left
//! is laid out as real files, opened through the real disk, and must come to what the simulated recovery comes to,
//! document by document and error by error.

use std::collections::BTreeMap;
use std::path::Path;

use docdb::DocDb;
use docdb_sim::choice::Choices;
use docdb_sim::chronicle::{Chronicle, Keep};
use docdb_sim::disk::{FaultSet, SimDisk};
use docdb_sim::materialize::{self, Outcome};
use docdb_sim::profile::ProfileName;
use docdb_sim::run::{Setup, run_watched};

/// Lives of each mixture of faults.
const SEEDS: u64 = 12;

/// What the images were made of: a test that only ever compared empty directories would prove nothing.
#[derive(Debug, Default)]
struct Seen {
    images: u64,
    documents: u64,
    damaged: u64,
}

/// Runs a life and gives what a crash at `step` leaves, the steps at which the life crashes by itself, and its length.
fn captured(seed: u64, profile: ProfileName, step: u64, keep: Keep) -> (Option<SimDisk>, Vec<u64>, u64) {
    let setup = Setup::of(Some(profile), FaultSet::EMPTY);
    let mut chronicle = Chronicle::default();
    chronicle.capture(step, keep);
    let (report, chronicle) = run_watched(seed, Choices::seeded(seed), &setup, chronicle);
    (chronicle.captured().cloned(), chronicle.crashes().to_vec(), report.steps)
}

/// What the embedded handle makes of real files, in the words of [`materialize::recover`].
fn opened(directory: &Path) -> BTreeMap<String, Outcome> {
    let docdb = match DocDb::open(directory) {
        Ok(docdb) => docdb,
        Err(error) => return BTreeMap::from([(String::new(), Err(error.code().number()))]),
    };
    let listed = match docdb.databases() {
        Ok(listed) => listed,
        Err(error) => return BTreeMap::from([(String::new(), Err(error.code().number()))]),
    };
    let outcome = |name: &str| match docdb.existing_database(name) {
        Ok(database) => {
            Ok(docdb.view(database.id()).ok().map(|view| materialize::contents_of(&view)).unwrap_or_default())
        }
        Err(error) => Err(error.code().number()),
    };
    listed.iter().map(|info| (info.name.as_str().to_owned(), outcome(info.name.as_str()))).collect()
}

/// Counts what was the same in both.
fn compare(image: &SimDisk, what: &str, seen: &mut Seen) {
    let directory = tempfile::tempdir().expect("a place for the files");
    let files = materialize::write(image, directory.path()).expect("the files are written");
    let expected = materialize::recover(image.clone(), docdb::EngineOptions::default());
    let found = opened(directory.path());
    assert_eq!(found, expected, "{what}: {files} files");
    seen.images += 1;
    for documents in found.values().flatten() {
        seen.documents += documents.values().filter(|document| document.is_ok()).count() as u64;
        seen.damaged += documents.values().filter(|document| document.is_err()).count() as u64;
    }
}

fn compare_lives_of(profile: ProfileName) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let (_, crashes, steps) = captured(seed, profile, u64::MAX, Keep::AsDecided);
        let own = [crashes.len() / 3, crashes.len() / 2, crashes.len().saturating_sub(1)];
        let own = own.iter().filter_map(|index| crashes.get(*index)).map(|step| (*step, Keep::AsDecided));
        let others = [(steps / 4, Keep::None), (steps / 3, Keep::All), (steps * 2 / 3, Keep::None)];
        for (step, keep) in own.chain(others) {
            let (image, ..) = captured(seed, profile, step, keep);
            let image = image.expect("the life has this step, and crashes where it said");
            // Files cannot show that the file system allows no changes: the machine has to start anew first.
            if !image.is_shut_down() {
                compare(&image, &format!("seed {seed} of {profile}, step {step}, {keep:?}"), &mut seen);
            }
        }
    }
    seen
}

#[test]
fn real_files_of_a_simulated_crash_open_as_the_simulated_ones_do() {
    // Most of the time goes by waiting for syncs of real files.
    let lives: Vec<_> =
        ProfileName::ALL.iter().map(|profile| std::thread::spawn(|| compare_lives_of(*profile))).collect();
    let mut all = Seen::default();
    for life in lives {
        let Seen { images, documents, damaged } = life.join().expect("every image opens alike");
        all.images += images;
        all.documents += documents;
        all.damaged += damaged;
    }
    println!("{all:?}");
    assert!(all.images > 500 && all.documents > 5000 && all.damaged > 0, "{all:?}");
}
