//! What the engine tried in the folder of a database and did not get, judged when it says what follows: a database latches
//! for want of something only when a batch may be in its log or not, and is opened for reading alone only when there was
//! no room for the smallest segment.
//!
//! It sees what is asked and what comes back, and counts nothing: of each folder it keeps the last failure of a kind.

use std::collections::{BTreeMap, BTreeSet};

use docdb_engine::{Completion, DiskError, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, SECTOR_BYTES};
use docdb_protocol::{DatabaseName, ErrorCode};

use super::files::folder_of;
use super::{Violation, violation};
use crate::disk::{BATCH_MAGIC, SimDisk, file_of, is_proof};
use crate::refine::written::{SEGMENT_HEADER_BYTES, bytes_of};

/// A device with less room may refuse a name or a sync as well: see `disk/perform.rs`.
const ROOM_FOR_NAMES_BYTES: u64 = 4096;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    /// The folder of each log file that is open, and whether what was written to it last is a proof.
    open: BTreeMap<FileId, (String, bool)>,
    /// Of the operations under way in a folder: which one, and whether it writes.
    in_flight: BTreeMap<OpId, Asked>,
    /// Folders in whose logs a batch with operations failed, which nobody knows to be there.
    uncertain: BTreeSet<String>,
    /// Folders in which a header of a new segment was written since the last one was begun.
    headers: BTreeSet<String>,
    /// What was refused last for want of room.
    refused: BTreeMap<String, Refused>,
}

/// An operation for which there was no room.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// The room that there was.
    room: u64,
    /// Whether it asked for space, and not for a name or a sync.
    is_space: bool,
}

/// An operation in a folder.
#[derive(Clone, Debug)]
struct Asked {
    folder: String,
    appended: Option<Appended>,
    is_space: bool,
}

/// A write or a sync of a log.
#[derive(Clone, Copy, Debug)]
struct Appended {
    /// What a write has to have taken.
    bytes: Option<u64>,
    is_proof: bool,
}

impl Attempts {
    /// The engine asks for an operation.
    pub(super) fn submitted(&mut self, id: OpId, op: &DiskOp) {
        let mut appended = None;
        match op {
            DiskOp::Open { file, path, .. } => {
                let Some(folder) = folder_of(path.as_str()) else { return };
                if path.as_str().ends_with(".wal.next") {
                    self.headers.remove(folder);
                }
                self.open.insert(*file, (folder.to_owned(), false));
            }
            DiskOp::Rename { from, .. } => {
                if let Some(folder) = from.as_str().strip_suffix(".wal.spare").and_then(folder_of) {
                    self.headers.remove(folder);
                }
            }
            DiskOp::Close { file } => drop(self.open.remove(file)),
            DiskOp::Write { file, offset, buffers } => {
                let Some((folder, last)) = self.open.get_mut(file) else { return };
                if *offset == 0 {
                    self.headers.insert(folder.clone());
                } else {
                    let written = bytes_of(buffers);
                    *last = is_proof(&written);
                    appended = Some(Appended { bytes: Some(written.len() as u64), is_proof: *last });
                }
            }
            DiskOp::Sync { file } => {
                let Some((_, last)) = self.open.get(file) else { return };
                appended = Some(Appended { bytes: None, is_proof: *last });
            }
            DiskOp::MakeDirectory { .. }
            | DiskOp::Read { .. }
            | DiskOp::Allocate { .. }
            | DiskOp::Length { .. }
            | DiskOp::List { .. }
            | DiskOp::Link { .. }
            | DiskOp::Unlink { .. }
            | DiskOp::SyncDirectory { .. }
            | DiskOp::FreeSpace => {}
        }
        let folder = match op {
            DiskOp::Open { path, .. } | DiskOp::Rename { from: path, .. } => folder_of(path.as_str()),
            DiskOp::SyncDirectory { path } => path.as_str().strip_prefix("db/"),
            _ => file_of(op).and_then(|file| self.open.get(&file)).map(|(folder, _)| folder.as_str()),
        };
        if let Some(folder) = folder {
            let is_space = matches!(op, DiskOp::Allocate { .. });
            self.in_flight.insert(id, Asked { folder: folder.to_owned(), appended, is_space });
        }
    }

    /// The engine hears of a completion.
    pub(super) fn delivered(&mut self, completion: &Completion, disk: &SimDisk) {
        let Some(Asked { folder, appended, is_space }) = self.in_flight.remove(&completion.id) else { return };
        if let (Err(DiskError { kind: DiskErrorKind::NoSpace, .. }), Some(room)) =
            (&completion.result, disk.room_refused())
        {
            self.refused.insert(folder.clone(), Refused { room, is_space });
        }
        let Some(Appended { bytes, is_proof: false }) = appended else { return };
        let is_well = match &completion.result {
            Ok(DiskReply::Written(written)) => bytes == Some(*written),
            Ok(_) => true,
            Err(_) => false,
        };
        if !is_well {
            self.uncertain.insert(folder);
        }
    }

    /// Readers see a database: what they see is certain, and nothing else is in question.
    pub(super) fn shown(&mut self, folder: &str) {
        self.uncertain.remove(folder);
    }

    /// A database latches.
    ///
    /// # Errors
    /// When it was for want of space or descriptors, and nothing that somebody waits for may be in its log.
    pub(super) fn latches(&self, name: &DatabaseName, code: ErrorCode) -> Result<(), Violation> {
        let is_shortage = matches!(code, ErrorCode::DiskFull | ErrorCode::OutOfResources);
        let is_unknown = self.uncertain.contains(name.as_str()) || self.headers.contains(name.as_str());
        if is_shortage && !is_unknown {
            return violation!("{name} latched for want of something, and nothing in its log is uncertain: {code:?}");
        }
        Ok(())
    }

    /// A database is opened for reading alone, for want of space for a new segment.
    ///
    /// # Errors
    /// When there was room for one.
    pub(super) fn has_no_room(&self, name: &DatabaseName, disk: &SimDisk) -> Result<(), Violation> {
        let Some(Refused { room, is_space }) = self.refused.get(name.as_str()) else {
            return violation!("{name} is opened without space, and nothing was refused for want of it");
        };
        let needed = needed_bytes(name, disk) + if *is_space { 0 } else { ROOM_FOR_NAMES_BYTES };
        if *room >= needed {
            return violation!("{name} is opened without space, where there were {room} bytes and {needed} are enough");
        }
        Ok(())
    }
}

/// What a new segment takes at most that says again what is not proven, with a proof of it: one whole batch and one that is
/// torn, which make one together. What is proven may stand in an earlier segment.
fn needed_bytes(name: &DatabaseName, disk: &SimDisk) -> u64 {
    let active = format!("db/{name}/{name}.wal");
    let (mut said_last, mut longest) = (0, 0);
    for (path, bytes) in disk.beginnings(u64::MAX).filter(|(path, _)| path.starts_with(&active)) {
        let log = bytes.get(SEGMENT_HEADER_BYTES as usize..).unwrap_or_default();
        let end = log.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / SECTOR_BYTES + 1);
        let begins = |sector: &usize| log[sector * SECTOR_BYTES..].starts_with(BATCH_MAGIC);
        let begun: Vec<usize> = (0..end).filter(begins).chain([end]).collect();
        let lengths = begun.windows(2).map(|pair| pair[1] - pair[0]);
        longest = lengths.chain(begun.first().copied()).max().unwrap_or(0).max(longest);
        if path == active {
            said_last = end;
        }
    }
    SEGMENT_HEADER_BYTES + ((said_last.min(2 * longest) + longest + 1) * SECTOR_BYTES) as u64
}
