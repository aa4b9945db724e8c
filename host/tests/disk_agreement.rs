//! The real disk and the simulated one keep the same contract: what one answers, the other does.
//!
//! Without this, the simulator would prove the engine right on a disk that does not exist. Operations
//! are drawn at random, within the contract and without faults, and run to their end one by one.

mod support;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use docdb::internals::{Kernel, System};
use docdb_engine::{Buffer, Disk, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};
use docdb_sim::choice::Choices;
use docdb_sim::disk::{Profile, SimDisk};
use proptest::prelude::*;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use support::{Direct, path};

/// Few names, so that they collide; `a/x` needs `a` to be a directory.
const NAMES: [&str; 7] = ["a", "b", "c", "a/x", "a/y", "b/x", "b/y/z"];
/// Where names of the test may be changed without a directory ending up in itself.
const LEAVES: [&str; 5] = ["c", "a/x", "a/y", "b/x", "b/y/z"];
/// Offsets and lengths around sectors and pages, where off-by-ones live.
const POSITIONS: [u64; 8] = [0, 1, 511, 512, 513, 4095, 4096, 10_000];
const FILES: u64 = 4;

/// An operation before file slots become ids: a slot is reopened under a new id each time.
#[derive(Clone, Debug)]
enum Step {
    Open { slot: u64, name: &'static str, mode: OpenMode },
    Close { slot: u64 },
    Read { slot: u64, offset: u64, bytes: u32 },
    Write { slot: u64, offset: u64, fill: u8, parts: Vec<u16> },
    Allocate { slot: u64, offset: u64, bytes: u64 },
    Length { slot: u64 },
    Sync { slot: u64 },
    Name(DiskOp),
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

fn leaf() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&LEAVES[..])
}

fn directory() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "a", "b", "b/y", "c"][..])
}

fn position() -> impl Strategy<Value = u64> {
    prop::sample::select(&POSITIONS[..])
}

fn steps() -> impl Strategy<Value = Step> {
    let slot = || 0..FILES;
    let mode = prop::sample::select(&[OpenMode::Read, OpenMode::Write, OpenMode::CreateNew, OpenMode::CreateNew][..]);
    let parts = prop::collection::vec(0_u16..3000, 1..4);
    prop_oneof![
        4 => (slot(), name(), mode).prop_map(|(slot, name, mode)| Step::Open { slot, name, mode }),
        1 => slot().prop_map(|slot| Step::Close { slot }),
        6 => (slot(), position(), 1_u32..20_000).prop_map(|(slot, offset, bytes)| Step::Read { slot, offset, bytes }),
        6 => (slot(), position(), any::<u8>(), parts)
            .prop_map(|(slot, offset, fill, parts)| Step::Write { slot, offset, fill, parts }),
        2 => (slot(), position(), 1_u64..100_000)
            .prop_map(|(slot, offset, bytes)| Step::Allocate { slot, offset, bytes }),
        2 => slot().prop_map(|slot| Step::Length { slot }),
        2 => slot().prop_map(|slot| Step::Sync { slot }),
        2 => prop::sample::select(&["a", "b", "b/y", "c"][..])
            .prop_map(|name| Step::Name(DiskOp::MakeDirectory { path: path(name) })),
        2 => (directory(), name(), 0_u32..5).prop_map(|(at, after, limit)| {
            Step::Name(DiskOp::List { path: path(at), after: Arc::from(after), limit })
        }),
        3 => (leaf(), leaf(), any::<bool>()).prop_map(|(from, to, replace)| {
            Step::Name(DiskOp::Rename { from: path(from), to: path(to), replace })
        }),
        2 => (name(), leaf()).prop_map(|(from, to)| Step::Name(DiskOp::Link { from: path(from), to: path(to) })),
        2 => name().prop_map(|name| Step::Name(DiskOp::Unlink { path: path(name) })),
        2 => directory().prop_map(|at| Step::Name(DiskOp::SyncDirectory { path: path(at) })),
    ]
}

/// The simulated disk, carried out on the spot.
struct Simulated {
    disk: SimDisk,
    choices: Choices,
    operations: u64,
}

impl Simulated {
    fn run(&mut self, op: DiskOp) -> Result<DiskReply, DiskErrorKind> {
        self.operations += 1;
        self.disk.submit(OpId(self.operations), op);
        self.disk.run(0, &mut self.choices);
        let completion = self.disk.poll().expect("it was carried out");
        assert_eq!(completion.id, OpId(self.operations));
        completion.result.map_err(|error| error.kind)
    }
}

/// Which slots are open, under which id, and whether they may be written: what the contract asks of the engine.
#[derive(Default)]
struct Slots {
    open: [Option<(FileId, bool)>; FILES as usize],
    ids: u64,
}

impl Slots {
    /// The operation of a step, or `None` when the contract forbids it now.
    fn op(&mut self, step: Step) -> Option<DiskOp> {
        let open = |slot: u64| self.open[slot as usize];
        Some(match step {
            Step::Open { slot, name, mode } => {
                if open(slot).is_some() {
                    return None;
                }
                self.ids += 1;
                DiskOp::Open { file: FileId(self.ids), path: path(name), mode }
            }
            Step::Close { slot } => DiskOp::Close { file: self.open[slot as usize].take()?.0 },
            Step::Read { slot, offset, bytes } => DiskOp::Read { file: open(slot)?.0, offset, bytes, bulk: false },
            Step::Write { slot, offset, fill, parts } => {
                let (file, _) = open(slot).filter(|(_, writable)| *writable)?;
                if parts.iter().all(|part| *part == 0) {
                    return None;
                }
                let buffers = parts.iter().map(|part| Buffer::from(vec![fill; usize::from(*part)])).collect();
                DiskOp::Write { file, offset, buffers }
            }
            Step::Allocate { slot, offset, bytes } => {
                let (file, _) = open(slot).filter(|(_, writable)| *writable)?;
                DiskOp::Allocate { file, offset, bytes }
            }
            Step::Length { slot } => DiskOp::Length { file: open(slot)?.0 },
            Step::Sync { slot } => DiskOp::Sync { file: open(slot)?.0 },
            Step::Name(op) => op,
        })
    }
}

/// Bytes are compared, not buffers: two buffers of equal bytes need not be equal allocations.
fn comparable(result: &Result<DiskReply, DiskErrorKind>) -> String {
    match result {
        Ok(DiskReply::Data(buffer)) => format!("{:?}", buffer.as_slice()),
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_disks_answer_alike(steps in prop::collection::vec(steps(), 1..80)) {
        agree(steps, Arc::new(System))?;
    }

    #[test]
    fn both_answer_alike_where_no_rename_can_refuse_to_replace(steps in prop::collection::vec(steps(), 1..80)) {
        agree(steps, Arc::new(WithoutNoReplace))?;
    }
}

/// A file system, or a kernel, without `RENAME_NOREPLACE`.
#[derive(Debug)]
struct WithoutNoReplace;

impl Kernel for WithoutNoReplace {
    fn rename(&self, at: BorrowedFd<'_>, from: &Path, to: &Path, flags: RenameFlags) -> Result<(), Errno> {
        if flags.contains(RenameFlags::NOREPLACE) { Err(Errno::INVAL) } else { System.rename(at, from, to, flags) }
    }
}

fn agree(steps: Vec<Step>, kernel: Arc<dyn Kernel>) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().expect("a place for the files");
    let mut real = Direct::over(directory.path(), kernel);
    let mut simulated = Simulated { disk: SimDisk::new(Profile::CALM), choices: Choices::seeded(0), operations: 0 };
    let mut slots = Slots::default();
    for step in steps {
        let opening = match &step {
            Step::Open { slot, mode, .. } => Some((*slot, *mode)),
            _ => None,
        };
        let Some(op) = slots.op(step) else { continue };
        let theirs = simulated.run(op.clone());
        let ours = real.kind(op.clone());
        prop_assert_eq!(comparable(&ours), comparable(&theirs), "{:?}", op);
        if let Some((slot, mode)) = opening
            && ours.is_ok()
        {
            slots.open[slot as usize] = Some((FileId(slots.ids), mode != OpenMode::Read));
        }
    }
    Ok(())
}
