//! No check passes by doing nothing: what must occur does, in the seeds that every test run makes.

use docdb_sim::disk::FaultCounts;
use docdb_sim::marks::Marks;
use docdb_sim::profile::ProfileName;
use docdb_sim::run::{Setup, Verdict, remember_panics, run_seed};

/// Seeds of each mixture.
const SEEDS: u64 = 300;

#[test]
fn every_mixture_meets_what_it_must() {
    remember_panics();
    let mut vacuous = Vec::new();
    let mut all = (Marks::EMPTY, FaultCounts::default());
    for profile in ProfileName::ALL.iter().copied() {
        let setup = Setup { profile: Some(profile), ..Setup::default() };
        let (mut marks, mut faults) = (Marks::EMPTY, FaultCounts::default());
        for seed in 0..SEEDS {
            let report = run_seed(seed, false, &setup);
            if report.verdict != Verdict::Kept {
                vacuous.push(format!("seed {seed} of {profile}: {:?}", report.verdict));
            }
            marks.add(report.marks);
            faults.add(&report.faults);
        }
        let struck: Vec<String> =
            faults.iter().filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{kind} {count}")).collect();
        println!(
            "{profile}: {}; {}",
            struck.join(", "),
            marks.iter().map(|mark| mark.name()).collect::<Vec<_>>().join(" ")
        );
        let missing: Vec<&str> = marks.missing(profile.required()).iter().map(|mark| mark.name()).collect();
        if !missing.is_empty() {
            vacuous.push(format!("{profile} never met {missing:?}"));
        }
        all.0.add(marks);
        all.1.add(&faults);
    }
    println!("never: {:?}", all.1.iter().filter(|(_, count)| *count == 0).map(|(kind, _)| kind).collect::<Vec<_>>());
    // The hook that remembers panics keeps their words to itself.
    println!("{}", vacuous.join("\n"));
    assert!(vacuous.is_empty());
}
