//! Carries out one operation, or fails it at the profile's rate.
//!
//! A failure that changes nothing is decided before the operation; a write or sync that fails decides
//! what it did all the same. Every failure is counted, so that the checker knows that there was one.

use std::sync::Arc;

use docdb_engine::{DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode, SECTOR_BYTES};

use super::inode::{Content, Fate, Inode, Sector, Sequence};
use super::names::{Entry, InodeId};
use super::{FaultKind, OpenFile, SimDisk, contiguous};
use crate::choice::Choices;

/// A device with less room than this may have none for a name or a sync.
const NEARLY_FULL_BYTES: u64 = 4096;

/// What lasts for a while refuses so many operations at most: more than any back-off makes.
const LASTING_OPERATIONS_MAX: u64 = 40;

type Outcome = Result<DiskReply, DiskErrorKind>;

impl SimDisk {
    pub(super) fn perform(
        &mut self,
        sequence: Sequence,
        op: &DiskOp,
        uncovered: &[Sequence],
        choices: &mut Choices,
    ) -> Outcome {
        let covered = |earlier: Sequence| earlier < sequence && !uncovered.contains(&earlier);
        if self.is_shut_down && super::changes(op) {
            self.injected += 1;
            return Err(DiskErrorKind::Io);
        }
        self.notice(op);
        self.fail_at_start(op, choices)?;
        match op {
            DiskOp::Open { file, path, mode } => self.open_file(sequence, *file, path, *mode, choices),
            DiskOp::Close { file } => {
                if let Some(handle) = self.open.remove(file)
                    && handle.is_owed_an_error
                {
                    self.file_mut(handle.inode).is_error_untold = true;
                }
                Ok(DiskReply::Done)
            }
            DiskOp::MakeDirectory { path } => {
                self.fail_for_shortage(choices)?;
                self.fail_name(choices)?;
                self.fail_for_space(choices)?;
                let id = self.new_inode();
                self.names.create(sequence, path, Entry::Directory(id))?;
                Ok(DiskReply::Done)
            }
            DiskOp::Read { file, offset, bytes, bulk: _ } => self.read(*file, *offset, u64::from(*bytes), choices),
            DiskOp::Write { file, offset, buffers } => {
                let bytes = contiguous(buffers);
                self.write(sequence, *file, *offset, &bytes, choices)
            }
            DiskOp::Allocate { file, offset, bytes } => self.allocate(sequence, *file, *offset, *bytes, choices),
            DiskOp::Length { file } => {
                self.fail_name(choices)?;
                Ok(DiskReply::Length(self.files[&self.inode_of(*file)].bytes()))
            }
            DiskOp::Sync { file } => self.sync(*file, &covered, choices),
            DiskOp::List { path, after, limit } => {
                self.fail_for_shortage(choices)?;
                self.fail_name(choices)?;
                let directory = self.names.directory(path)?;
                let names = self.names.directories[&directory].cached.keys();
                let names = names.filter(|name| **name > *after).take(usize::try_from(*limit).unwrap_or(usize::MAX));
                Ok(DiskReply::Names(names.cloned().collect()))
            }
            DiskOp::Rename { from, to, replace } => {
                self.fail_name(choices)?;
                self.fail_for_space(choices)?;
                self.names.rename(sequence, from, to, *replace)?;
                Ok(DiskReply::Done)
            }
            DiskOp::Link { from, to } => {
                self.fail_name(choices)?;
                self.fail_for_space(choices)?;
                self.names.link(sequence, from, to)?;
                Ok(DiskReply::Done)
            }
            DiskOp::Unlink { path } => {
                self.fail_name(choices)?;
                self.names.unlink(sequence, path)?;
                Ok(DiskReply::Done)
            }
            DiskOp::SyncDirectory { path } => {
                let directory = self.names.directory(path)?;
                self.interrupt(choices)?;
                self.fail_for_space(choices)?;
                if self.strikes(choices, FaultKind::DirectorySyncError) {
                    self.strike(FaultKind::DirectorySyncError, None, None, true);
                    match choices.choice(FaultKind::DirectorySyncError.what(), 3) {
                        0 => {}
                        1 => self.names.lose_sync(directory, &covered),
                        _ => self.names.sync(directory, &covered),
                    }
                    return Err(DiskErrorKind::Io);
                }
                self.names.sync(directory, &covered);
                if self.is_gone(path.as_str()) { Err(DiskErrorKind::Gone) } else { Ok(DiskReply::Done) }
            }
            DiskOp::FreeSpace => {
                let used = self.used();
                Ok(DiskReply::Space(self.quota.map_or(1 << 40, |quota| quota.saturating_sub(used))))
            }
        }
    }

    pub(super) fn new_inode(&mut self) -> InodeId {
        let id = self.next_inode;
        self.next_inode += 1;
        id
    }

    pub(super) fn inode_of(&self, file: FileId) -> InodeId {
        self.open.get(&file).expect("contract: the file is open, checked when the operation was submitted").inode
    }

    pub(super) fn file_mut(&mut self, inode: InodeId) -> &mut Inode {
        Arc::make_mut(self.files.get_mut(&inode).expect("an open or named file has an inode"))
    }

    /// Whether a fault of this kind strikes now.
    pub(super) fn strikes(&mut self, choices: &mut Choices, kind: FaultKind) -> bool {
        choices.chance(kind.strikes(), self.profile.rate(kind))
    }

    fn fail(&mut self, choices: &mut Choices, kind: FaultKind) -> Result<(), DiskErrorKind> {
        if self.strikes(choices, kind) {
            self.strike(kind, None, None, true);
            return Err(DiskErrorKind::Io);
        }
        Ok(())
    }

    /// Whether something that lasts for a while is under way, or begins now.
    fn is_lasting(&mut self, choices: &mut Choices, kind: FaultKind) -> bool {
        let at = usize::from(kind == FaultKind::Shortage);
        if self.lasting[at] == 0 && self.strikes(choices, kind) {
            self.lasting[at] = 1 + choices.choice(kind.what(), LASTING_OPERATIONS_MAX);
        }
        if self.lasting[at] == 0 {
            return false;
        }
        self.lasting[at] -= 1;
        self.strike(kind, None, None, true);
        true
    }

    /// An operation that needs a descriptor may get none.
    fn fail_for_shortage(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        if self.is_lasting(choices, FaultKind::Shortage) { Err(DiskErrorKind::Shortage) } else { Ok(()) }
    }

    fn fail_name(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        self.interrupt(choices)?;
        self.fail_for_permission(choices)?;
        self.fail(choices, FaultKind::NameError)
    }

    /// Whether there is too little room even for something small, on a device that is full now and then.
    fn is_nearly_full(&mut self, choices: &mut Choices) -> bool {
        let kind = FaultKind::NoSpace;
        self.profile.rate(kind) > 0 && self.no_space_for(NEARLY_FULL_BYTES) && choices.choice(kind.what(), 4) == 3
    }

    /// Near the end of its space a device may refuse what takes but little of it.
    fn fail_for_space(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        if self.is_nearly_full(choices) {
            self.strike(FaultKind::NoSpace, None, None, true);
            return Err(DiskErrorKind::NoSpace);
        }
        Ok(())
    }

    fn interrupt(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        if self.is_lasting(choices, FaultKind::Busy) {
            return Err(DiskErrorKind::Transient);
        }
        if self.strikes(choices, FaultKind::Interrupted) {
            self.strike(FaultKind::Interrupted, None, None, true);
            return Err(DiskErrorKind::Transient);
        }
        Ok(())
    }

    pub(super) fn open_file(
        &mut self,
        sequence: Sequence,
        file: FileId,
        path: &DiskPath,
        mode: OpenMode,
        choices: &mut Choices,
    ) -> Outcome {
        self.fail_for_shortage(choices)?;
        self.fail_name(choices)?;
        let inode = match mode {
            OpenMode::CreateNew => {
                if self.no_space_for(1) {
                    self.strike(FaultKind::NoSpace, None, None, true);
                    return Err(DiskErrorKind::NoSpace);
                }
                let id = self.new_inode();
                self.names.create(sequence, path, Entry::File(id))?;
                self.files.insert(id, Arc::default());
                id
            }
            OpenMode::Read | OpenMode::Write => match self.names.find(path)? {
                Entry::File(id) => id,
                Entry::Directory(_) => return Err(DiskErrorKind::Io),
            },
        };
        let is_owed_an_error = std::mem::take(&mut self.file_mut(inode).is_error_untold);
        self.open.insert(file, OpenFile { inode, writable: mode != OpenMode::Read, is_owed_an_error });
        Ok(DiskReply::Done)
    }

    fn read(&mut self, file: FileId, offset: u64, bytes: u64, choices: &mut Choices) -> Outcome {
        self.interrupt(choices)?;
        self.fail(choices, FaultKind::ReadError)?;
        let inode = self.inode_of(file);
        let sectors = sectors_of(offset, bytes);
        let is_bad = |sector: &Sector| sector.is_bad && sector.dirty.is_empty() && sector.lost.is_none();
        if self.files[&inode].sectors.iter().take(sectors.end).skip(sectors.start).any(is_bad) {
            self.injected += 1;
            return Err(DiskErrorKind::Io);
        }
        let mut data = self.files[&inode].read(offset, bytes);
        if self.strikes(choices, FaultKind::StaleRead) {
            self.read_stale(inode, offset, &mut data, choices);
        }
        if data.len() > 1 && self.strikes(choices, FaultKind::ShortRead) {
            // No reason for an error: it is within the contract.
            self.strike(FaultKind::ShortRead, Some(inode), Some(offset), false);
            data.truncate(1 + pick(choices, FaultKind::ShortRead.what(), data.len() as u64 - 1));
        }
        Ok(DiskReply::Data(data.into()))
    }

    /// One sector of what was read is what the device held there before.
    fn read_stale(&mut self, inode: InodeId, offset: u64, data: &mut [u8], choices: &mut Choices) {
        let sectors = sectors_of(offset, data.len() as u64);
        let held: Vec<(usize, Content)> = self.files[&inode]
            .sectors
            .iter()
            .enumerate()
            .take(sectors.end)
            .skip(sectors.start)
            .filter_map(|(number, sector)| Some((number, Arc::clone(sector.previous.as_ref()?))))
            .collect();
        if held.is_empty() {
            return;
        }
        let (number, content) = &held[pick(choices, FaultKind::StaleRead.what(), held.len() as u64)];
        let start = (number * SECTOR_BYTES) as u64;
        self.note_damage(FaultKind::StaleRead, inode, start..start + SECTOR_BYTES as u64);
        for (at, byte) in content.iter().enumerate() {
            let place = (start + at as u64).checked_sub(offset).and_then(|place| usize::try_from(place).ok());
            if let Some(shown) = place.and_then(|place| data.get_mut(place)) {
                *shown = *byte;
            }
        }
    }

    fn no_space_for(&mut self, bytes: u64) -> bool {
        self.quota.is_some_and(|quota| self.used() + bytes > quota)
    }

    /// The space that a write up to `end` takes on top of what the file has.
    fn growth(&self, inode: InodeId, end: u64) -> u64 {
        end.next_multiple_of(SECTOR_BYTES as u64).saturating_sub(self.files[&inode].space())
    }

    fn write(&mut self, sequence: Sequence, file: FileId, offset: u64, bytes: &[u8], choices: &mut Choices) -> Outcome {
        let inode = self.inode_of(file);
        let growth = self.growth(inode, offset + bytes.len() as u64);
        let full = growth > 0 && self.no_space_for(growth);
        if !full {
            self.interrupt(choices)?;
        }
        if full || self.strikes(choices, FaultKind::WriteError) {
            let kind = if full { FaultKind::NoSpace } else { FaultKind::WriteError };
            self.strike(kind, Some(inode), Some(offset), true);
            // A failed write may have written a part of its bytes; none is likely too.
            if !full && choices.choice(kind.what(), 2) == 1 {
                let part = pick(choices, kind.what(), bytes.len() as u64 + 1);
                self.file_mut(inode).write(sequence, offset, &bytes[..part]);
            }
            return Err(if full { DiskErrorKind::NoSpace } else { DiskErrorKind::Io });
        }
        if bytes.len() > 1 && self.strikes(choices, FaultKind::ShortWrite) {
            self.strike(FaultKind::ShortWrite, Some(inode), Some(offset), true);
            let what = FaultKind::ShortWrite.what();
            let taken = pick(choices, what, bytes.len() as u64);
            // Which of the rest arrived is unknown.
            let arrived = taken + pick(choices, what, (bytes.len() - taken) as u64 + 1);
            self.file_mut(inode).write(sequence, offset, &bytes[..arrived]);
            return Ok(DiskReply::Written(taken as u64));
        }
        if offset.is_multiple_of(SECTOR_BYTES as u64)
            && bytes.len().is_multiple_of(SECTOR_BYTES)
            && self.strikes(choices, FaultKind::MisdirectedWrite)
        {
            self.misdirect(sequence, inode, offset, bytes, choices);
        } else {
            self.file_mut(inode).write(sequence, offset, bytes);
        }
        Ok(DiskReply::Written(bytes.len() as u64))
    }

    fn allocate(
        &mut self,
        sequence: Sequence,
        file: FileId,
        offset: u64,
        bytes: u64,
        choices: &mut Choices,
    ) -> Outcome {
        let inode = self.inode_of(file);
        let growth = self.growth(inode, offset + bytes);
        if growth > 0 && self.no_space_for(growth) {
            self.strike(FaultKind::NoSpace, Some(inode), Some(offset), true);
            return Err(DiskErrorKind::NoSpace);
        }
        self.interrupt(choices)?;
        self.fail(choices, FaultKind::WriteError)?;
        let zeros = vec![0; usize::try_from(bytes).expect("a simulated file fits into memory")];
        self.file_mut(inode).write(sequence, offset, &zeros);
        Ok(DiskReply::Done)
    }

    fn sync(&mut self, file: FileId, covered: &dyn Fn(Sequence) -> bool, choices: &mut Choices) -> Outcome {
        let inode = self.inode_of(file);
        let handle = self.open.get_mut(&file).expect("checked when the operation was submitted");
        if std::mem::take(&mut handle.is_owed_an_error) {
            self.injected += 1;
            return Err(DiskErrorKind::Io);
        }
        self.interrupt(choices)?;
        for kind in FaultKind::SYNC_FAILURES.iter().copied() {
            if self.strikes(choices, kind) {
                self.strike(kind, Some(inode), None, true);
                return self.fail_sync(kind, file, covered, choices);
            }
        }
        if self.is_nearly_full(choices) {
            // Space was promised and is not there: what could not be placed is as lost as in ext4.
            self.strike(FaultKind::NoSpace, Some(inode), None, true);
            self.fail_sync(FaultKind::SyncExt4Ordered, file, covered, choices).expect_err("it says so");
            return Err(DiskErrorKind::NoSpace);
        }
        if self.strikes(choices, FaultKind::LyingSync) {
            self.strike(FaultKind::LyingSync, Some(inode), None, true);
            let fates = [Fate::Lost, Fate::Synced];
            self.file_mut(inode).sync_failing(covered, true, |_| fates[pick(choices, FaultKind::LyingSync.what(), 2)]);
            return Ok(DiskReply::Done);
        }
        self.file_mut(inode).sync(covered);
        if self.is_folder_gone(inode, choices) { Err(DiskErrorKind::Gone) } else { Ok(DiskReply::Done) }
    }

    /// The table of the module, row by row.
    fn fail_sync(
        &mut self,
        kind: FaultKind,
        file: FileId,
        covered: &dyn Fn(Sequence) -> bool,
        choices: &mut Choices,
    ) -> Outcome {
        let inode = self.inode_of(file);
        let (failed, is_size_kept, are_names_kept) = match kind {
            FaultKind::SyncBtrfs => (Fate::Reverted, false, false),
            FaultKind::SyncFalseAlarm => (Fate::Synced, true, true),
            FaultKind::SyncShutdown => {
                self.is_shut_down = true;
                return Err(DiskErrorKind::Io);
            }
            _ => (Fate::Lost, true, true),
        };
        let fates = [failed, Fate::Synced];
        self.file_mut(inode).sync_failing(covered, is_size_kept, |_| fates[pick(choices, kind.what(), 2)]);
        if are_names_kept {
            self.names.sync_all(covered);
        }
        // Each handle of the file reports it once; this one reports it now, unless the error comes late.
        let others = self.open.iter_mut().filter(|(id, handle)| **id != file && handle.inode == inode);
        others.for_each(|(_, handle)| handle.is_owed_an_error = true);
        if kind == FaultKind::SyncExt4Data {
            self.open.get_mut(&file).expect("it is open").is_owed_an_error = true;
            return Ok(DiskReply::Done);
        }
        Err(DiskErrorKind::Io)
    }
}

/// The sectors that a range of bytes touches.
fn sectors_of(offset: u64, bytes: u64) -> std::ops::Range<usize> {
    let sector = |at: u64| usize::try_from(at).expect("a simulated file fits into memory");
    let end = offset.saturating_add(bytes).div_ceil(SECTOR_BYTES as u64);
    sector(offset / SECTOR_BYTES as u64)..sector(end)
}

/// A chosen index below `bound`.
pub(super) fn pick(choices: &mut Choices, label: &'static str, bound: u64) -> usize {
    usize::try_from(choices.choice(label, bound)).expect("a bound of a simulated file's size fits into memory")
}
