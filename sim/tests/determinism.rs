//! A failure that cannot be replayed cannot be repaired: the same seed goes the same way in every process.

use std::process::Command;

fn replayed(seed: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_docdb-sim"))
        .args(["replay", seed])
        .output()
        .expect("the simulator was built for this test");
    let text = String::from_utf8(output.stdout).expect("the simulator prints text");
    assert!(text.contains("trace"), "{text}");
    assert!(output.status.code() != Some(3), "the simulator failed: {text}");
    text
}

#[test]
fn the_same_seed_prints_the_same_trace_in_two_processes() {
    for seed in ["1", "2", "3", "4", "5"] {
        assert_eq!(replayed(seed), replayed(seed));
    }
}

#[test]
fn different_seeds_go_different_ways() {
    assert_ne!(replayed("1"), replayed("2"));
}
