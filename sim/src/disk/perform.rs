//! Carries out one operation, or fails it at the profile's rate.
//!
//! A failure that changes nothing is decided before the operation; a write or sync that fails decides
//! what it did all the same. Every failure is counted, so that the checker knows that there was one.

use std::sync::Arc;

use docdb_engine::{DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode, SECTOR_BYTES};

use super::inode::{Fate, Inode, Sequence};
use super::names::{Entry, InodeId};
use super::{FaultKind, OpenFile, SimDisk, contiguous};
use crate::choice::Choices;

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
        match op {
            DiskOp::Open { file, path, mode } => self.open_file(sequence, *file, path, *mode, choices),
            DiskOp::Close { file } => {
                self.open.remove(file);
                Ok(DiskReply::Done)
            }
            DiskOp::MakeDirectory { path } => {
                self.fail_name(choices)?;
                let id = self.new_inode();
                self.names.create(sequence, path, Entry::Directory(id))?;
                Ok(DiskReply::Done)
            }
            DiskOp::Read { file, offset, bytes } => self.read(*file, *offset, u64::from(*bytes), choices),
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
                self.fail_name(choices)?;
                let directory = self.names.directory(path)?;
                let names = self.names.directories[&directory].cached.keys();
                let names = names.filter(|name| **name > *after).take(usize::try_from(*limit).unwrap_or(usize::MAX));
                Ok(DiskReply::Names(names.cloned().collect()))
            }
            DiskOp::Rename { from, to, replace } => {
                self.fail_name(choices)?;
                self.names.rename(sequence, from, to, *replace)?;
                Ok(DiskReply::Done)
            }
            DiskOp::Link { from, to } => {
                self.fail_name(choices)?;
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
                self.fail(choices, FaultKind::DirectorySyncError)?;
                self.names.sync(directory, &covered);
                Ok(DiskReply::Done)
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
    fn strikes(&mut self, choices: &mut Choices, kind: FaultKind) -> bool {
        choices.chance(kind.strikes(), self.profile.rate(kind))
    }

    fn fail(&mut self, choices: &mut Choices, kind: FaultKind) -> Result<(), DiskErrorKind> {
        if self.strikes(choices, kind) {
            self.strike(kind, None, None, true);
            return Err(DiskErrorKind::Io);
        }
        Ok(())
    }

    fn fail_name(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
        self.interrupt(choices)?;
        self.fail(choices, FaultKind::NameError)
    }

    fn interrupt(&mut self, choices: &mut Choices) -> Result<(), DiskErrorKind> {
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
        self.open.insert(file, OpenFile { inode, writable: mode != OpenMode::Read });
        Ok(DiskReply::Done)
    }

    fn read(&mut self, file: FileId, offset: u64, bytes: u64, choices: &mut Choices) -> Outcome {
        self.interrupt(choices)?;
        self.fail(choices, FaultKind::ReadError)?;
        let inode = self.inode_of(file);
        let mut data = self.files[&inode].read(offset, bytes);
        if data.len() > 1 && self.strikes(choices, FaultKind::ShortRead) {
            // No reason for an error: it is within the contract.
            self.strike(FaultKind::ShortRead, Some(inode), Some(offset), false);
            data.truncate(1 + pick(choices, FaultKind::ShortRead.what(), data.len() as u64 - 1));
        }
        Ok(DiskReply::Data(data.into()))
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
        self.file_mut(inode).write(sequence, offset, bytes);
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
        for kind in FaultKind::SYNC_FAILURES {
            if !self.strikes(choices, *kind) {
                continue;
            }
            self.strike(*kind, Some(inode), None, true);
            let failed = match kind {
                FaultKind::SyncBtrfs => Fate::Reverted,
                FaultKind::SyncFalseAlarm => Fate::Synced,
                _ => Fate::Lost,
            };
            let fates = [failed, Fate::Synced];
            self.file_mut(inode).sync_failing(covered, |_| fates[pick(choices, kind.what(), 2)]);
            return Err(DiskErrorKind::Io);
        }
        self.file_mut(inode).sync(covered);
        Ok(DiskReply::Done)
    }
}

fn pick(choices: &mut Choices, label: &'static str, bound: u64) -> usize {
    usize::try_from(choices.choice(label, bound)).expect("a bound of a simulated file's size fits into memory")
}
