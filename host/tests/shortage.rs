//! A process that runs out of descriptors for a while refuses what needs one, and nothing else is wrong with it.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use docdb::internals::{Kernel, System};
use docdb::{AlertHook, EngineOptions, Options};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

#[derive(Debug, Default)]
struct Few(AtomicBool);

impl Kernel for Few {
    fn open(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        if self.0.load(Ordering::SeqCst) { Err(Errno::MFILE) } else { System.open(at, path, flags, mode) }
    }

    fn duplicate(&self, of: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        if self.0.load(Ordering::SeqCst) { Err(Errno::MFILE) } else { System.duplicate(of) }
    }
}

/// A database once stayed read-only for good because the process had had no descriptor for its next segment.
#[test]
fn running_out_of_descriptors_refuses_requests_and_latches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = Arc::new(Few::default());
    let alerts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&alerts);
    let on_alert: AlertHook = Arc::new(move |alert| heard.lock().unwrap().push(format!("{alert:?}")));
    let engine =
        EngineOptions { segment_bytes_max: 32 * 1024, segment_bytes_min: 16 * 1024, ..EngineOptions::default() };
    let options = Options { engine, program: "few".to_owned(), on_alert: Some(on_alert) };
    let docdb = docdb::internals::open_over(directory.path(), options, Arc::clone(&kernel) as Arc<dyn Kernel>).unwrap();
    let database = docdb.database("a").unwrap();
    let document = format!("\"{}\"", "x".repeat(4000));
    let mut written = Vec::new();
    let mut create = |id: u64| {
        let created = database.collection("c").unwrap().create_bytes(id, document.as_bytes());
        if created.is_ok() {
            written.push(id);
        }
        created.map(drop).map_err(|error| error.code().name().to_owned())
    };
    for round in 0..2 {
        kernel.0.store(true, Ordering::SeqCst);
        let refused: Vec<String> = (0..10).filter_map(|id| create(round * 1000 + id).err()).collect();
        assert!(!refused.is_empty(), "a new segment was needed");
        assert!(refused.iter().all(|code| code == "OutOfResources"), "{refused:?}");
        assert_eq!(docdb.database("another").map(drop).unwrap_err().code().name(), "OutOfResources");
        kernel.0.store(false, Ordering::SeqCst);
        for id in 10..20 {
            assert_eq!(create(round * 1000 + id), Ok(()), "round {round}");
        }
    }
    for id in written {
        assert!(database.collection("c").unwrap().get(id).unwrap().is_some());
    }
    let alerts = alerts.lock().unwrap();
    assert!(alerts.iter().all(|alert| !alert.contains("ReadOnly")), "{alerts:?}");
    drop(alerts);
    docdb.close().unwrap();
}
