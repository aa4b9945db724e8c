//! A disk that is driven one operation at a time, as no engine would.

use docdb_engine::{Buffer, Completion, Disk, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpId, OpenMode};
use docdb_sim::choice::Choices;
use docdb_sim::disk::{CrashKind, Profile, SimDisk, Unit};

pub(crate) struct Story {
    pub(crate) disk: SimDisk,
    pub(crate) choices: Choices,
    next: u64,
}

pub(crate) const FILE: FileId = FileId(1);

pub(crate) fn path(name: &str) -> DiskPath {
    DiskPath::root().join(name)
}

pub(crate) fn lose(_: Unit, _: u64) -> u64 {
    0
}

pub(crate) fn keep(_: Unit, bound: u64) -> u64 {
    bound - 1
}

pub(crate) fn write(offset: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Write { file: FILE, offset, buffers: vec![Buffer::from(bytes.to_vec())] }
}

pub(crate) fn rename(from: &str, to: &str, replace: bool) -> DiskOp {
    DiskOp::Rename { from: path(from), to: path(to), replace }
}

impl Story {
    pub(crate) fn new(profile: Profile) -> Story {
        Story { disk: SimDisk::new(profile), choices: Choices::seeded(1), next: 1 }
    }

    pub(crate) fn submit(&mut self, op: DiskOp) {
        self.disk.submit(OpId(self.next), op);
        self.next += 1;
    }

    pub(crate) fn run(&mut self, index: usize) {
        self.disk.run(index, &mut self.choices);
    }

    pub(crate) fn attempt(&mut self, op: DiskOp) -> Result<DiskReply, DiskErrorKind> {
        self.submit(op);
        self.run(self.disk.ready() - 1);
        let Completion { result, .. } = self.disk.poll().expect("it was carried out");
        result.map_err(|error| error.kind)
    }

    pub(crate) fn done(&mut self, op: DiskOp) -> DiskReply {
        self.attempt(op).expect("nothing fails here")
    }

    pub(crate) fn open(&mut self, name: &str, mode: OpenMode) {
        self.done(DiskOp::Open { file: FILE, path: path(name), mode });
    }

    /// A file with a durable name, open for writing.
    pub(crate) fn file(&mut self, name: &str) {
        self.open(name, OpenMode::CreateNew);
        self.sync_names();
    }

    pub(crate) fn sync_names(&mut self) {
        self.done(DiskOp::SyncDirectory { path: DiskPath::root() });
    }

    pub(crate) fn read(&mut self) -> Vec<u8> {
        match self.done(DiskOp::Read { file: FILE, offset: 0, bytes: 4096, bulk: false }) {
            DiskReply::Data(buffer) => buffer.as_slice().to_vec(),
            other => panic!("a read answers data, not {other:?}"),
        }
    }

    pub(crate) fn read_after(&self, kind: CrashKind, decide: fn(Unit, u64) -> u64, name: &str) -> Vec<u8> {
        let mut story = Story { disk: self.disk.clone(), choices: self.choices.clone(), next: 1 };
        story.disk.crash(kind, &mut { decide });
        story.open(name, OpenMode::Write);
        story.read()
    }

    pub(crate) fn names_after(&self, kind: CrashKind, decide: fn(Unit, u64) -> u64) -> Vec<String> {
        let mut disk = self.disk.clone();
        disk.crash(kind, &mut { decide });
        disk.listing().into_keys().collect()
    }
}
