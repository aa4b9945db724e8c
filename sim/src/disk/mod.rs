#![doc = include_str!("model.md")]

mod crash;
mod damage;
mod fault;
mod identity;
mod inode;
mod names;
mod perform;
mod places;
mod profile;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::Hash as _;
use std::ops::Range;
use std::sync::Arc;

use docdb_engine::{Buffer, Completion, Disk, DiskError, DiskErrorKind, DiskOp, FileId, OpId};

use crate::choice::Choices;
use crate::hash::Hash;
use inode::{Content, Inode, Sequence};
use names::{InodeId, Names};

pub use crash::{CrashKind, Mood, Names as LostNames, Unit, decide_by, decide_in};
pub use damage::Damaged;
pub(crate) use damage::{BATCH_MAGIC, is_proof};
pub use fault::{FaultCounts, FaultKind, FaultSet};
pub use profile::{NameOrder, Profile};

/// The model in words, which `explain` prints.
pub const MODEL: &str = include_str!("model.md");

/// Sectors of removed files that are remembered.
const REMAINS_MAX: usize = 64;

/// A fault that struck, and where, if it has a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struck {
    pub(crate) kind: FaultKind,
    pub(crate) file: Option<InodeId>,
    pub(crate) offset: Option<u64>,
}

/// A file that the engine opened.
#[derive(Clone, Copy, Debug)]
struct OpenFile {
    inode: InodeId,
    writable: bool,
    /// A write-back of the file failed, and this handle has not reported it.
    is_owed_an_error: bool,
}

/// An operation that was submitted and not carried out.
#[derive(Clone, Debug)]
struct InFlight {
    id: OpId,
    sequence: Sequence,
    op: DiskOp,
    /// For syncs: operations submitted earlier whose completions were not delivered.
    uncovered: Vec<Sequence>,
}

/// An operation that was carried out and whose completion nobody has seen.
#[derive(Clone, Debug)]
struct Finished {
    sequence: Sequence,
    op: DiskOp,
    completion: Completion,
    /// The room that there was, where it was too little.
    room: Option<u64>,
}

/// The whole disk as plain data; a clone is a fork of the world.
#[derive(Clone, Debug)]
pub struct SimDisk {
    files: BTreeMap<InodeId, Arc<Inode>>,
    names: Names,
    open: BTreeMap<FileId, OpenFile>,
    used_ids: BTreeSet<FileId>,
    in_flight: Vec<InFlight>,
    finished: VecDeque<Finished>,
    profile: Profile,
    quota: Option<u64>,
    next_sequence: Sequence,
    next_inode: InodeId,
    injected: u64,
    effects: u64,
    counts: FaultCounts,
    struck: Vec<Struck>,
    damaged: Vec<Damaged>,
    /// The file system allows no changes any more.
    is_shut_down: bool,
    /// How many more operations are refused: because the device is busy, and for a shortage.
    lasting: [u64; 2],
    /// The folders that are gone for whoever has files open in them.
    gone: BTreeSet<String>,
    /// The catalog that a start has open, until it writes one.
    starting: Option<FileId>,
    /// What removed files held, newest last: it may turn up in space that is given out again.
    remains: VecDeque<Content>,
    hash: Hash,
}

impl SimDisk {
    /// An empty data directory on a device of this profile.
    #[must_use]
    pub fn new(profile: Profile) -> SimDisk {
        SimDisk {
            files: BTreeMap::new(),
            names: Names::new(),
            open: BTreeMap::new(),
            used_ids: BTreeSet::new(),
            in_flight: Vec::new(),
            finished: VecDeque::new(),
            profile,
            quota: None,
            next_sequence: 1,
            next_inode: names::ROOT + 1,
            injected: 0,
            effects: 0,
            counts: FaultCounts::default(),
            struck: Vec::new(),
            damaged: Vec::new(),
            is_shut_down: false,
            lasting: [0; 2],
            gone: BTreeSet::new(),
            starting: None,
            remains: VecDeque::new(),
            hash: Hash::default(),
        }
    }

    /// How many operations can be carried out now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.in_flight.len()
    }

    /// The operations that can be carried out now, in the order in which they were submitted.
    pub(crate) fn ids_in_flight(&self) -> impl Iterator<Item = OpId> {
        self.in_flight.iter().map(|waiting| waiting.id)
    }

    /// How many completions wait to be delivered.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.finished.len()
    }

    /// How many failures this device has produced since the process started.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected
    }

    /// How many operations that may change something were carried out, ever.
    #[must_use]
    pub fn effects(&self) -> u64 {
        self.effects
    }

    /// How often each kind of fault struck, ever.
    #[must_use]
    pub fn faults(&self) -> &FaultCounts {
        &self.counts
    }

    /// What struck since the last time this was asked.
    pub(crate) fn take_struck(&mut self) -> Vec<Struck> {
        std::mem::take(&mut self.struck)
    }

    /// The first name of a file as it is seen, if it has one.
    pub(crate) fn name_of(&self, inode: InodeId) -> Option<String> {
        self.named_files().find(|(_, file)| *file == inode).map(|(name, _)| name)
    }

    /// A fault strikes; `blames` when an error may follow from it.
    pub(crate) fn strike(&mut self, kind: FaultKind, file: Option<InodeId>, offset: Option<u64>, blames: bool) {
        self.counts.count(kind);
        self.struck.push(Struck { kind, file, offset });
        self.injected += u64::from(blames);
    }

    /// Its failures so far excuse nothing that comes now. Says how many there were.
    pub(crate) fn forgive(&mut self) -> u64 {
        std::mem::take(&mut self.injected)
    }

    /// So many failures may be blamed again.
    pub(crate) fn blame(&mut self, failures: u64) {
        self.injected += failures;
    }

    /// The hash of everything that was carried out.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// The device's profile.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// From now on the device behaves like this.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
        // What has stopped striking does not go on either.
        for (kind, left) in [FaultKind::Busy, FaultKind::Shortage].into_iter().zip(&mut self.lasting) {
            *left = if profile.rate(kind) > 0 { *left } else { 0 };
        }
        if profile.rate(FaultKind::FolderGone) == 0 {
            self.gone.clear();
        }
    }

    /// Bytes that files may take; `None` for no bound.
    pub fn set_quota(&mut self, quota: Option<u64>) {
        self.quota = quota;
    }

    /// Bytes that files take.
    pub fn used(&mut self) -> u64 {
        self.forget_unreachable();
        self.files.values().map(|file| file.space()).sum()
    }

    /// Whether the engine has the file of this name open.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        let named = self.named_files().find(|(name, _)| name == path);
        named.is_some_and(|(_, inode)| self.open.values().any(|file| file.inode == inode))
    }

    /// Whether there is a directory of this name, as it is seen.
    pub(crate) fn has_directory(&self, path: &str) -> bool {
        self.entries().iter().any(|(found, entry)| found == path && matches!(entry, names::Entry::Directory(_)))
    }

    /// The room that there was when the operation whose completion is delivered next was refused for want of it.
    pub(crate) fn room_refused(&self) -> Option<u64> {
        self.finished.front().and_then(|finished| finished.room)
    }

    /// All names of files, with lengths, as they are seen.
    #[must_use]
    pub fn listing(&self) -> BTreeMap<String, u64> {
        self.named_files().map(|(name, file)| (name, self.files[&file].bytes())).collect()
    }

    /// All names of files as they are seen.
    fn named_files(&self) -> impl Iterator<Item = (String, InodeId)> {
        let file = |(path, entry)| match entry {
            names::Entry::File(file) => Some((path, file)),
            names::Entry::Directory(_) => None,
        };
        self.entries().into_iter().filter_map(file)
    }

    /// Every name as it is seen: a file with its bytes, a directory without. A directory stands before what is in it.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut contents = BTreeMap::new();
        for (path, entry) in self.entries() {
            let bytes = match entry {
                names::Entry::File(file) => Some(self.files[&file].read(0, self.files[&file].bytes())),
                names::Entry::Directory(_) => None,
            };
            contents.insert(path, bytes);
        }
        contents
    }

    /// All that a file of this name holds, as it is seen.
    pub(crate) fn content_of(&self, path: &str) -> Option<Vec<u8>> {
        let (_, file) = self.named_files().find(|(name, _)| name == path)?;
        Some(self.files[&file].read(0, u64::MAX))
    }

    /// How each file begins, by its names as they are seen.
    pub(crate) fn beginnings(&self, bytes: u64) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.named_files().map(move |(name, file)| (name, self.files[&file].read(0, bytes)))
    }

    /// The number in [`Unit`] of each file, by its names as they are seen.
    #[must_use]
    pub fn file_numbers(&self) -> BTreeMap<String, u64> {
        self.named_files().collect()
    }

    /// All names as they are seen. A directory stands before what is in it.
    fn entries(&self) -> Vec<(String, names::Entry)> {
        let mut entries = Vec::new();
        let mut open = vec![(String::new(), names::ROOT)];
        while let Some((path, id)) = open.pop() {
            for (name, entry) in &self.names.directories[&id].cached {
                let path = format!("{path}{name}");
                if let names::Entry::Directory(directory) = entry {
                    open.push((format!("{path}/"), *directory));
                }
                entries.push((path, *entry));
            }
        }
        entries
    }

    /// Whether the `index`-th operation in flight may change what is stored.
    #[must_use]
    pub fn is_effect(&self, index: usize) -> bool {
        changes(&self.in_flight[index].op)
    }

    /// The completion that is delivered next.
    #[must_use]
    pub fn next_completion(&self) -> Option<&Completion> {
        self.finished.front().map(|finished| &finished.completion)
    }

    /// The completion that became ready last.
    #[must_use]
    pub fn last_completion(&self) -> Option<&Completion> {
        self.finished.back().map(|finished| &finished.completion)
    }

    /// How many files the engine has open.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Whether a file is about to be synced.
    #[must_use]
    pub fn awaits_sync_of_bytes(&self) -> bool {
        self.in_flight.iter().any(|waiting| matches!(waiting.op, DiskOp::Sync { .. }))
    }

    /// Whether a directory is about to be synced.
    #[must_use]
    pub fn awaits_sync_of_names(&self) -> bool {
        self.in_flight.iter().any(|waiting| matches!(waiting.op, DiskOp::SyncDirectory { .. }))
    }

    /// Whether a power loss could take something.
    #[must_use]
    pub fn has_unsynced(&self) -> bool {
        !self.names.pending.is_empty() || self.files.values().any(|file| !file.is_clean())
    }

    /// Whether the file system allows no changes until the machine starts again.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.is_shut_down
    }

    /// Carries out the `index`-th operation in flight; its completion can be polled afterwards.
    pub fn run(&mut self, index: usize, choices: &mut Choices) {
        let InFlight { id, sequence, op, uncovered } = self.in_flight.remove(index);
        self.decay(choices);
        // What fails may change it.
        let room = self.quota.map(|quota| quota.saturating_sub(self.used()));
        let result = self.perform(sequence, &op, &uncovered, choices);
        if changes(&op) {
            self.effects += 1;
        }
        (&op, &result).hash(&mut self.hash);
        let room = room.filter(|_| result == Err(DiskErrorKind::NoSpace));
        let completion = Completion { id, result: result.map_err(DiskError::new) };
        self.finished.push_back(Finished { sequence, op, completion, room });
    }

    fn forget_unreachable(&mut self) {
        let reachable = self.names.reachable();
        let open = &self.open;
        let gone: Vec<InodeId> = self
            .files
            .keys()
            .copied()
            .filter(|id| !reachable.contains(id) && !open.values().any(|file| file.inode == *id))
            .collect();
        for id in gone {
            let file = self.files.remove(&id).expect("listed just now");
            let held = file.sectors.iter().filter(|sector| !sector.is_raw);
            self.remains.extend(held.map(|sector| Arc::clone(&sector.durable)));
            while self.remains.len() > REMAINS_MAX {
                self.remains.pop_front();
            }
        }
    }

    /// The range of a file that an operation touches, and whether it changes it.
    fn range(&self, op: &DiskOp) -> Option<(InodeId, Range<u64>, bool)> {
        let (file, offset, bytes, changes) = match op {
            DiskOp::Read { file, offset, bytes, bulk: _ } => (file, *offset, u64::from(*bytes), false),
            DiskOp::Write { file, offset, buffers } => {
                (file, *offset, buffers.iter().map(|buffer| buffer.len() as u64).sum(), true)
            }
            DiskOp::Allocate { file, offset, bytes } => (file, *offset, *bytes, true),
            _ => return None,
        };
        Some((self.open.get(file)?.inode, offset..offset + bytes, changes))
    }

    /// Panics when the engine breaks its side of the contract.
    fn check_contract(&self, op: &DiskOp) {
        let undelivered = || self.in_flight.iter().map(|other| &other.op).chain(self.finished.iter().map(|f| &f.op));
        match op {
            DiskOp::Open { file, .. } => {
                assert!(!self.used_ids.contains(file), "contract: {op:?} uses a file id twice");
            }
            DiskOp::Read { bytes, .. } => assert!(*bytes > 0, "contract: {op:?} reads nothing"),
            DiskOp::Close { file } => {
                let busy = undelivered().find(|other| file_of(other) == Some(*file));
                assert!(busy.is_none(), "contract: {op:?} while {busy:?} is in flight");
            }
            _ => {}
        }
        if let Some(file) = file_of(op).filter(|_| !matches!(op, DiskOp::Open { .. })) {
            let Some(open) = self.open.get(&file) else { panic!("contract: {op:?} on a file that is not open") };
            let writes = matches!(op, DiskOp::Write { .. } | DiskOp::Allocate { .. });
            assert!(open.writable || !writes, "contract: {op:?} on a file opened for reading");
            let closing = undelivered().any(|other| matches!(other, DiskOp::Close { file: closed } if *closed == file));
            assert!(!closing, "contract: {op:?} on a file that is being closed");
        }
        let Some((inode, range, changes)) = self.range(op) else { return };
        for other in undelivered() {
            let Some((theirs, their_range, they_change)) = self.range(other) else { continue };
            let overlap = range.start < their_range.end && their_range.start < range.end;
            let conflict = theirs == inode && overlap && (changes || they_change);
            assert!(!conflict, "contract: {op:?} overlaps {other:?}, which is in flight");
        }
    }
}

impl Disk for SimDisk {
    fn submit(&mut self, id: OpId, op: DiskOp) {
        self.check_contract(&op);
        if let DiskOp::Open { file, .. } = &op {
            self.used_ids.insert(*file);
        }
        let uncovered = match op {
            DiskOp::Sync { .. } | DiskOp::SyncDirectory { .. } => {
                let waiting = self.in_flight.iter().map(|other| other.sequence);
                waiting.chain(self.finished.iter().map(|finished| finished.sequence)).collect()
            }
            _ => Vec::new(),
        };
        self.in_flight.push(InFlight { id, sequence: self.next_sequence, op, uncovered });
        self.next_sequence += 1;
    }

    fn poll(&mut self) -> Option<Completion> {
        self.finished.pop_front().map(|finished| finished.completion)
    }
}

/// The bytes of a vectored write, one behind the other.
fn contiguous(buffers: &[Buffer]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(buffers.iter().map(Buffer::len).sum());
    for buffer in buffers {
        bytes.extend_from_slice(buffer.as_slice());
    }
    bytes
}

/// The open file an operation names.
pub(crate) fn file_of(op: &DiskOp) -> Option<FileId> {
    match op {
        DiskOp::Open { file, .. }
        | DiskOp::Close { file }
        | DiskOp::Read { file, .. }
        | DiskOp::Write { file, .. }
        | DiskOp::Allocate { file, .. }
        | DiskOp::Length { file }
        | DiskOp::Sync { file } => Some(*file),
        DiskOp::MakeDirectory { .. }
        | DiskOp::List { .. }
        | DiskOp::Rename { .. }
        | DiskOp::Link { .. }
        | DiskOp::Unlink { .. }
        | DiskOp::SyncDirectory { .. }
        | DiskOp::FreeSpace => None,
    }
}

/// Whether an operation may change what a crash leaves behind.
fn changes(op: &DiskOp) -> bool {
    match op {
        DiskOp::Open { mode, .. } => *mode == docdb_engine::OpenMode::CreateNew,
        DiskOp::MakeDirectory { .. }
        | DiskOp::Write { .. }
        | DiskOp::Allocate { .. }
        | DiskOp::Sync { .. }
        | DiskOp::Rename { .. }
        | DiskOp::Link { .. }
        | DiskOp::Unlink { .. }
        | DiskOp::SyncDirectory { .. } => true,
        DiskOp::Close { .. }
        | DiskOp::Read { .. }
        | DiskOp::Length { .. }
        | DiskOp::List { .. }
        | DiskOp::FreeSpace => false,
    }
}
