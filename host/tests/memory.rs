//! What is counted as taken in memory is what is taken, views that readers hold included.

use docdb::{DocDb, ErrorCode, Options};

/// A document of so many bytes.
fn document(bytes: usize) -> Vec<u8> {
    format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes()
}

fn open(directory: &tempfile::TempDir, memory_bytes_max: u64) -> DocDb {
    let mut options = Options::default();
    options.engine.memory_bytes_max = memory_bytes_max;
    DocDb::open_with(directory.path().join("data"), options).expect("a directory opens")
}

/// Writes documents, a hundred a transaction.
fn fill(docdb: &DocDb, count: u64, bytes: usize, id_of: impl Fn(u64) -> u64) {
    let database = docdb.database("d").expect("there is room for a database");
    let document = document(bytes);
    for begin in (0..count).step_by(100) {
        let mut transaction = database.transaction();
        for number in begin..begin + 100 {
            transaction.create_bytes("c", id_of(number), &document).expect("it is valid");
        }
        transaction.commit().expect("there is room for all");
    }
}

/// A scan that is left open keeps a whole state in memory. Once nobody counted it, and writes went on until the process
/// was killed.
#[test]
fn a_view_that_is_held_counts_and_is_named_when_a_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let docdb = open(&directory, 1_500_000);
    fill(&docdb, 1000, 1000, |number| number);
    let database = docdb.database("d").unwrap();
    let alone = docdb.stats().unwrap().memory_bytes;
    let documents = database.collection("c").unwrap();
    let scan = documents.scan().unwrap();
    let update = |id| documents.update_bytes(id, &document(1000)).map(|_| ());
    let refused = (0..1000).find_map(|id| update(id).err()).or_else(|| documents.create_bytes(5000, b"1").err());
    let held = docdb.stats().unwrap().memory_bytes;
    assert!(held >= alone + 300_000, "{held} bytes with the view, {alone} without");
    let refused = refused.expect("two states of 1 MB are more than 1.5 MB");
    assert_eq!(refused.code(), ErrorCode::MemoryLimit);
    assert!(refused.to_string().contains("readers hold older states"), "{refused}");
    drop(scan);
    documents.create_bytes(5001, b"1").expect("there is room once nobody holds the old state");
    assert!(docdb.stats().unwrap().memory_bytes < alone + 1000);
}

/// A view of a database that was closed shares nothing with what is opened again.
#[test]
fn a_view_held_through_a_closing_counts_whole() {
    let directory = tempfile::tempdir().unwrap();
    let docdb = open(&directory, 1 << 30);
    fill(&docdb, 200, 1000, |number| number);
    let database = docdb.database("d").unwrap();
    let alone = docdb.stats().unwrap().memory_bytes;
    let view = database.view().unwrap();
    database.close().unwrap();
    assert_eq!(docdb.stats().unwrap().memory_bytes, alone, "the view is all there is");
    database.view().unwrap();
    assert_eq!(docdb.stats().unwrap().memory_bytes, 2 * alone);
    drop(view);
    assert_eq!(docdb.stats().unwrap().memory_bytes, alone);
}

/// Names the size and the order of the documents that the test's own process is started again with.
const CHILD: &str = "DOCDB_MEMORY_TEST";

/// Pages of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second field is a number") * 4096
}

/// The figure that the limit is kept by was 1.8 times below what was resident. Each size has a process of its own, since
/// what one has freed the next would use.
#[test]
#[cfg(target_os = "linux")]
fn what_is_counted_is_resident() {
    if let Ok(child) = std::env::var(CHILD) {
        let (bytes, is_random) = (child.trim_end_matches('r').parse::<usize>().unwrap(), child.ends_with('r'));
        let directory = tempfile::tempdir().unwrap();
        let docdb = open(&directory, 1 << 30);
        let id_of = |number: u64| if is_random { number.wrapping_mul(0x9E37_79B9_7F4A_7C15) } else { number };
        fill(&docdb, 100, bytes, |number| number + (1 << 32));
        let before = (docdb.stats().unwrap().memory_bytes, resident_bytes());
        let count = 60_000_000 / (bytes as u64 + 100) / 100 * 100;
        fill(&docdb, count, bytes, id_of);
        let counted = docdb.stats().unwrap().memory_bytes - before.0;
        let resident = resident_bytes() - before.1;
        println!("RATIO {}", resident as f64 / counted as f64);
        return;
    }
    for child in ["20", "20r", "200", "200r", "1000", "1000r", "10000", "10000r"] {
        let this = std::env::current_exe().unwrap();
        let output = std::process::Command::new(this)
            .args(["what_is_counted_is_resident", "--exact", "--nocapture"])
            .env(CHILD, child)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ratio = text.lines().find_map(|line| line.split("RATIO ").nth(1)).expect("the child says it");
        let ratio: f64 = ratio.trim().parse().unwrap();
        println!("documents of {child} bytes: {ratio:.3} of what is counted is resident");
        assert!((1.0 / 1.15..=1.15).contains(&ratio), "documents of {child} bytes: {ratio}");
    }
}
