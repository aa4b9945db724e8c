//! Who watches a world for the situations that must occur, and sets their marks.
//!
//! It sees what everybody at the engine's seams sees (operations, answers, views, alerts) and never looks inside. It
//! judges nothing: a mark that is missing makes a range of seeds worthless, not wrong.

use std::collections::BTreeMap;

use docdb_engine::{AlertKind, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};
use docdb_protocol::{ErrorCode, OperationReply, Reply, Response};

use crate::chronicle::Event;
use crate::disk::{FaultCounts, FaultKind};
use crate::marks::{Mark, Marks};
use crate::oracle::Recovered;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness {
    pub(crate) marks: Marks,
    /// Operations in flight that a mark may follow from.
    pending: BTreeMap<OpId, Interest>,
    /// Names under which files were opened.
    files: BTreeMap<FileId, String>,
    folders: BTreeMap<String, Folder>,
    /// Requests answered as written since readers last saw something new.
    acknowledged: u32,
    told_unknown: bool,
    told_full: bool,
    opening_failed_to_read: bool,
    /// The faults counted before the last crash.
    at_crash: FaultCounts,
}

/// What is known of one database's folder since the process started.
#[derive(Clone, Copy, Debug, Default)]
struct Folder {
    /// Its log is being read, or was and nothing was promoted since.
    is_opening: bool,
    /// A write or a sync of its log failed since the last promotion.
    has_failed: bool,
    /// The active segment lost its name, and no other got it yet.
    is_sealed: bool,
    /// A checkpoint was made since it was opened.
    has_checkpoint: bool,
}

#[derive(Clone, Debug)]
enum Interest {
    Seal(String),
    Promote(String),
    TakeSpare,
    RemoveSpare,
    RemoveSealed(String),
    Checkpoint(String),
    LoadTable,
    OfLog(String),
}

impl Witness {
    /// Something happened.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            Event::Submitted { id, op } => self.submitted(*id, op),
            Event::Performed { id, result } => self.performed(*id, result),
            Event::Answered { response, .. } => self.answered(response),
            Event::Published { .. } => self.acknowledged = 0,
            Event::Alerted(alert) => match alert.kind {
                AlertKind::ReadOnly(_) => self.marks.set(Mark::LatchedReadOnly),
                AlertKind::CatalogRebuilt(_) => self.marks.set(Mark::CatalogRebuilt),
                AlertKind::NoSpace(_) => self.marks.set(Mark::OpenedWithoutSpace),
                AlertKind::CheckpointFailed(_) => self.marks.set(Mark::CheckpointFailed),
                AlertKind::LogFailed(_) | AlertKind::Damage(_) | AlertKind::PreparationFailed(_) => {}
            },
            Event::Stopped => self.marks.set(Mark::ShutDown),
            Event::Crashed(_) => {
                *self = self.after_crash();
            }
            Event::Requested { .. }
            | Event::ShutdownAsked
            | Event::Timer
            | Event::Fault { .. }
            | Event::Delivered { .. }
            | Event::Decided { .. }
            | Event::Restarted => {}
        }
    }

    /// What is still known when the process has died.
    pub(crate) fn after_crash(&self) -> Witness {
        let Witness { marks, opening_failed_to_read, at_crash, .. } = *self;
        Witness { marks, opening_failed_to_read, at_crash, ..Witness::default() }
    }

    /// A crash is over; `faults` are those counted up to its beginning.
    pub(crate) fn crashed(&mut self, faults: FaultCounts) {
        self.at_crash = faults;
    }

    /// A database was opened again, with something unacknowledged lost or kept.
    pub(crate) fn recovered(&mut self, faults: &FaultCounts, recovered: Recovered) {
        let Recovered { dropped, kept, is_in_doubt, has_lied, is_named, is_unnamed, is_shorter } = recovered;
        let since = |kind: FaultKind| faults.of(kind) > self.at_crash.of(kind);
        let marks = [
            (Mark::TailDropped, dropped),
            (Mark::TailKept, kept),
            (Mark::ShornSurvived, since(FaultKind::ShornSector)),
            (Mark::GarbageSurvived, since(FaultKind::StaleGarbage)),
            (Mark::DamageNamed, is_named && !has_lied),
            (Mark::DamageUnnamed, is_unnamed && !has_lied),
            (Mark::DamageHarmless, is_in_doubt && !has_lied && !is_named && !is_unnamed && !is_shorter),
            (Mark::LiarCaught, has_lied && (is_named || is_unnamed)),
            (Mark::PrefixAfterLie, has_lied && is_shorter && !is_named && !is_unnamed),
            (Mark::ReadFailedAtOpening, std::mem::take(&mut self.opening_failed_to_read)),
        ];
        marks.into_iter().filter(|(_, occurred)| *occurred).for_each(|(mark, _)| self.marks.set(mark));
    }

    /// A fault struck.
    pub(crate) fn struck(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::SyncExt4Ordered => self.marks.set(Mark::SyncExt4Ordered),
            FaultKind::SyncExt4Data => self.marks.set(Mark::SyncExt4Data),
            FaultKind::SyncBtrfs => self.marks.set(Mark::SyncBtrfs),
            FaultKind::SyncShutdown => self.marks.set(Mark::SyncShutdown),
            FaultKind::SyncFalseAlarm => self.marks.set(Mark::SyncFalseAlarm),
            FaultKind::Eviction => self.marks.set(Mark::EvictionSeen),
            _ => {}
        }
    }

    fn submitted(&mut self, id: OpId, op: &DiskOp) {
        let interest = match op {
            DiskOp::Open { file, path, mode } => {
                if let Some((folder, file_name)) = path.as_str().rsplit_once('/') {
                    if *mode == OpenMode::Read && file_name.contains(".wal") {
                        self.folders.entry(folder.to_owned()).or_default().is_opening = true;
                    }
                    self.files.insert(*file, path.as_str().to_owned());
                }
                let is_load = *mode == OpenMode::Read && path.as_str().contains(".data.");
                is_load.then_some(Interest::LoadTable)
            }
            DiskOp::Rename { from, to, .. } => {
                let folder = || from.as_str().rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                if from.as_str().ends_with(".wal.spare") {
                    Some(Interest::TakeSpare)
                } else if from.as_str().ends_with(".wal.next") {
                    Some(Interest::Promote(folder()))
                } else if to.as_str().ends_with(".manifest") {
                    Some(Interest::Checkpoint(folder()))
                } else if from.as_str().ends_with(".wal") && to.as_str().contains(".wal.") {
                    Some(Interest::Seal(folder()))
                } else {
                    None
                }
            }
            DiskOp::Unlink { path } => {
                let (folder, file_name) = path.as_str().rsplit_once('/').unwrap_or_default();
                let number = file_name.rsplit_once(".wal.").map(|(_, number)| number);
                match number {
                    Some("spare") => Some(Interest::RemoveSpare),
                    Some(number) if number.parse::<u64>().is_ok() => Some(Interest::RemoveSealed(folder.to_owned())),
                    Some(_) | None => None,
                }
            }
            DiskOp::Write { file, offset, .. } => {
                let path = self.files.get(file);
                if path.is_some_and(|path| path.ends_with(".wal.next") && *offset > 0 && self.folder(path).is_opening) {
                    self.marks.set(Mark::TailRewritten);
                }
                self.of_log(*file)
            }
            DiskOp::Sync { file } => self.of_log(*file),
            DiskOp::Close { .. }
            | DiskOp::MakeDirectory { .. }
            | DiskOp::Read { .. }
            | DiskOp::Allocate { .. }
            | DiskOp::Length { .. }
            | DiskOp::List { .. }
            | DiskOp::Link { .. }
            | DiskOp::SyncDirectory { .. }
            | DiskOp::FreeSpace => None,
        };
        if let Some(interest) = interest {
            self.pending.insert(id, interest);
        }
    }

    fn folder(&self, path: &str) -> Folder {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.folders.get(folder).copied().unwrap_or_default()
    }

    fn of_log(&self, file: FileId) -> Option<Interest> {
        let (folder, file_name) = self.files.get(&file)?.rsplit_once('/')?;
        (file_name.contains(".wal") && !file_name.ends_with(".spare")).then(|| Interest::OfLog(folder.to_owned()))
    }

    fn performed(&mut self, id: OpId, result: &Result<DiskReply, DiskErrorKind>) {
        let Some(interest) = self.pending.remove(&id) else { return };
        match (interest, result) {
            (Interest::OfLog(folder), Err(_)) => self.folders.entry(folder).or_default().has_failed = true,
            (Interest::Seal(folder), Ok(_)) => self.folders.entry(folder).or_default().is_sealed = true,
            (Interest::Promote(folder), Ok(_)) => {
                let folder = self.folders.entry(folder).or_default();
                let mark = match (folder.is_opening, folder.is_sealed, folder.has_failed) {
                    (true, false, _) => Some(Mark::NextPromoted),
                    (true, true, _) => None,
                    (false, _, true) => Some(Mark::SegmentAfterFailure),
                    (false, _, false) => Some(Mark::Rotated),
                };
                // An opening that finished old renames goes on to a new segment of its own.
                let has_checkpoint = folder.has_checkpoint && !folder.is_opening;
                *folder =
                    Folder { is_opening: folder.is_opening && !folder.is_sealed, has_checkpoint, ..Folder::default() };
                if let Some(mark) = mark {
                    self.marks.set(mark);
                }
            }
            (Interest::TakeSpare, Ok(_)) => self.marks.set(Mark::SpareTaken),
            (Interest::RemoveSpare, Ok(_)) => self.marks.set(Mark::SpareRemoved),
            (Interest::RemoveSealed(folder), Ok(_)) => {
                let is_trimmed = self.folders.get(&folder).is_some_and(|folder| folder.has_checkpoint);
                self.marks.set(if is_trimmed { Mark::LogTrimmed } else { Mark::SegmentsMerged });
            }
            (Interest::Checkpoint(folder), Ok(_)) => {
                self.folders.entry(folder).or_default().has_checkpoint = true;
                self.marks.set(Mark::CheckpointMade);
            }
            (Interest::LoadTable, Ok(_)) => self.marks.set(Mark::OpenedFromTables),
            (Interest::OfLog(_), Ok(_))
            | (
                Interest::Seal(_)
                | Interest::Promote(_)
                | Interest::TakeSpare
                | Interest::RemoveSpare
                | Interest::RemoveSealed(_)
                | Interest::Checkpoint(_)
                | Interest::LoadTable,
                Err(_),
            ) => {}
        }
    }

    fn answered(&mut self, response: &Response) {
        match response {
            Ok(Reply::Closed) => self.marks.set(Mark::ClosingStored),
            Ok(Reply::Executed(results)) => {
                if results.iter().any(|result| matches!(result, Ok(OperationReply::Written(_)))) {
                    self.marks.set(Mark::Acknowledged);
                    self.acknowledged += 1;
                    if self.acknowledged > 1 {
                        self.marks.set(Mark::GroupCommitted);
                    }
                    if self.told_full {
                        self.marks.set(Mark::SpaceReturned);
                    }
                }
                results.iter().filter_map(|result| result.as_ref().err()).for_each(|error| self.told(error.code()));
            }
            Ok(Reply::Database(_) | Reply::Databases(_) | Reply::Stats(_)) => {}
            Err(error) => self.told(error.code()),
        }
    }

    fn told(&mut self, code: ErrorCode) {
        match code {
            ErrorCode::OutcomeUnknown => {
                self.told_unknown = true;
                self.marks.set(Mark::OutcomeUnknown);
            }
            ErrorCode::ReadOnly if self.told_unknown => self.marks.set(Mark::BatchGivenUp),
            ErrorCode::DiskFull => {
                self.told_full = true;
                self.marks.set(Mark::DiskFullRefused);
            }
            ErrorCode::QueueFull => self.marks.set(Mark::QueueFull),
            ErrorCode::MemoryLimit => self.marks.set(Mark::MemoryRefused),
            ErrorCode::FileRead => self.opening_failed_to_read = true,
            _ => {}
        }
    }
}
