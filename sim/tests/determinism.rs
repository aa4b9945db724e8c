//! A failure that cannot be replayed cannot be repaired: the same seed goes the same way in every process.

use std::process::Command;

fn docdb_sim(arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_docdb-sim"))
        .args(arguments)
        .output()
        .expect("the simulator was built for this test");
    (String::from_utf8(output.stdout).expect("the simulator prints text"), output.status.code())
}

#[test]
fn every_seed_goes_the_same_way_in_two_processes() {
    let (text, code) = docdb_sim(&["determinism", "--seeds", "0..50"]);
    assert_eq!((text.as_str(), code), ("50 seeds, each in two processes; 0 differ\n", Some(0)));
}

#[test]
fn different_seeds_go_different_ways() {
    assert_ne!(docdb_sim(&["replay", "1"]), docdb_sim(&["replay", "2"]));
}

#[test]
fn the_hash_of_all_seeds_does_not_depend_on_how_many_run_at_a_time() {
    let hash = |jobs| {
        let (text, code) = docdb_sim(&["run", "--seeds", "0..60", "--json", "--jobs", jobs]);
        assert_eq!(code, Some(0), "{text}");
        let summary: serde_json::Value = serde_json::from_str(text.trim()).expect("one line of JSON");
        summary["trace_hash"].clone()
    };
    assert_eq!(hash("1"), hash("4"));
}

/// A simulator that reads something of the real machine is noticed, and the step is told.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_dependence_on_the_process_is_noticed_and_located() {
    let (text, code) = docdb_sim(&["determinism", "--seeds", "2..4", "--shaky-from", "100", "--json"]);
    assert_eq!(code, Some(2), "{text}");
    let summary: serde_json::Value = serde_json::from_str(text.trim()).expect("one line of JSON");
    assert_eq!(
        (&summary["differing"], &summary["first_seed"], &summary["first_step"]),
        (&2.into(), &2.into(), &100.into())
    );
}
