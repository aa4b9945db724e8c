//! The lock outlives the last operation: as long as this process changes anything, nobody else gets in.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use docdb::internals::{Kernel, System};
use docdb::{Action, Atomicity, CollectionName, DocDb, Document, DocumentId, IfMissing, Operation, Reply, Request};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::workload;

/// Looks before and behind every change whether somebody else could lock the directory.
#[derive(Debug)]
struct Watchful {
    lock: PathBuf,
    looks: AtomicUsize,
    free: AtomicUsize,
}

impl Watchful {
    fn look(&self) {
        // Before the first opening there is no lock to hold.
        let Ok(lock) = File::open(&self.lock) else { return };
        self.looks.fetch_add(1, Ordering::SeqCst);
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            self.free.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn around<T>(&self, call: impl FnOnce() -> T) -> T {
        self.look();
        // Others, who might end before this does, get their chance.
        for _ in 0..20 {
            std::thread::yield_now();
        }
        let result = call();
        self.look();
        result
    }
}

impl Kernel for Watchful {
    fn open(
        &self,
        at: BorrowedFd<'_>,
        path: &std::path::Path,
        flags: OFlags,
        mode: Mode,
    ) -> Result<std::os::fd::OwnedFd, Errno> {
        if flags.contains(OFlags::CREATE) {
            return self.around(|| System.open(at, path, flags, mode));
        }
        System.open(at, path, flags, mode)
    }

    fn write(&self, file: BorrowedFd<'_>, buffers: &[IoSlice<'_>], offset: u64) -> Result<usize, Errno> {
        self.around(|| System.write(file, buffers, offset))
    }

    fn sync_file(&self, _file: BorrowedFd<'_>) -> Result<(), Errno> {
        self.around(|| Ok(()))
    }
}

fn request(id: u64, database: docdb::DatabaseId) -> Request {
    let operation = Operation {
        collection: CollectionName::parse("c").unwrap(),
        action: Action::Create(DocumentId::Number(id), Document::parse(b"[1]").unwrap()),
    };
    Request::Execute { database, operations: vec![operation], atomicity: Atomicity::AllOrNothing }
}

#[test]
fn the_lock_outlives_the_last_operation() {
    for closes in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        // The directory is there and locked once before anything is watched.
        DocDb::open(&data).unwrap().close().unwrap();
        let kernel =
            Arc::new(Watchful { lock: data.join("LOCK"), looks: AtomicUsize::new(0), free: AtomicUsize::new(0) });
        let docdb =
            docdb::internals::open_over(&data, workload::options(), Arc::clone(&kernel) as Arc<dyn Kernel>).unwrap();
        let databases: Vec<_> = ["a", "b"]
            .iter()
            .map(|name| {
                let name = docdb::DatabaseName::parse(name).unwrap();
                match docdb.request(Request::OpenDatabase { name, if_missing: IfMissing::Create }).unwrap() {
                    Reply::Database(id) => id,
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        let looks = kernel.looks.load(Ordering::SeqCst);
        // Many in flight, and nobody waits for them.
        let answered = Arc::new(AtomicUsize::new(0));
        for id in 0..200 {
            let answered = Arc::clone(&answered);
            docdb.submit(request(id, databases[id as usize % 2]), move |_| {
                answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        if closes {
            docdb.close().unwrap();
        } else {
            drop(docdb);
        }
        assert_eq!(answered.load(Ordering::SeqCst), 200);
        assert!(kernel.looks.load(Ordering::SeqCst) > looks, "operations followed");
        assert_eq!(kernel.free.load(Ordering::SeqCst), 0, "closed in order: {closes}");
        // And it is free afterwards.
        DocDb::open(&data).unwrap().close().unwrap();
    }
}
