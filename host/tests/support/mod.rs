//! Drives a disk one operation at a time, as no engine would: submit, carry out, see the answer.

use docdb::internals::Kernel;
use docdb::internals::{FileDisk, Worker};
use docdb_engine::{Disk, DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, OpId};

/// A disk whose queue is carried out on the spot.
pub(crate) struct Direct {
    pub(crate) disk: FileDisk,
    operations: u64,
}

impl Direct {
    #[allow(dead_code, reason = "not every test leaves the system calls as they are")]
    pub(crate) fn open(root: &std::path::Path) -> Direct {
        Direct { disk: FileDisk::open(root).expect("the directory exists"), operations: 0 }
    }

    #[allow(dead_code, reason = "not every test has system calls of its own")]
    pub(crate) fn over(root: &std::path::Path, kernel: std::sync::Arc<dyn Kernel>) -> Direct {
        Direct { disk: FileDisk::over(root, kernel).expect("the directory exists"), operations: 0 }
    }

    /// Runs one operation to its end.
    pub(crate) fn run(&mut self, op: DiskOp) -> Result<DiskReply, DiskError> {
        self.operations += 1;
        let id = OpId(self.operations);
        self.disk.submit(id, op);
        while let Some(task) = self.disk.take(Worker::Lane) {
            let finished = task.run();
            self.disk.finish(finished);
        }
        let completion = self.disk.poll().expect("the queue was carried out");
        assert_eq!(completion.id, id);
        assert_eq!(self.disk.poll(), None, "one operation has one completion");
        assert_eq!(self.disk.in_flight(), 0);
        completion.result
    }

    /// As [`Direct::run`], when only the kind of failure matters.
    pub(crate) fn kind(&mut self, op: DiskOp) -> Result<DiskReply, DiskErrorKind> {
        self.run(op).map_err(|error| error.kind)
    }
}

pub(crate) fn path(text: &str) -> DiskPath {
    text.split('/').filter(|part| !part.is_empty()).fold(DiskPath::root(), |path, part| path.join(part))
}
