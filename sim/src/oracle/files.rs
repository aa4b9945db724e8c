//! How the engine treats its files, judged as it asks: rules that hold whatever a crash would show.
//!
//! - A file of which a write, an allocation or a sync failed is never written or synced again: what it holds is unknown.
//! - A segment is written where space was allocated, so that no full disk is met when an outcome can no longer be known.
//! - An epoch exceeds every other one of its database that the process could know of.
//! - An active segment that holds a batch is neither removed nor replaced, whatever the catalog says of its name.
//! - At rest no folder lies about that a creation made which came to nothing.
//! - At rest no spare and no `next` lies about that nobody holds, nor a segment that others say again.
//!
//! It sees what is asked and what comes back, never the engine's inside, and counts a file from its opening on.

use std::collections::{BTreeMap, BTreeSet};

use docdb_engine::{Buffer, Completion, DiskErrorKind, DiskOp, DiskReply, FileId, OpId};

use super::{Checker, Tracked, Violation, violation};
use crate::disk::{BATCH_MAGIC, FaultKind, SimDisk, file_of};
use crate::refine::written::{Header, SEGMENT_HEADER_BYTES, bytes_of, header, whole_header};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    open: BTreeMap<FileId, File>,
    in_flight: BTreeMap<OpId, Asked>,
    /// The largest epoch known of each folder.
    epochs: BTreeMap<String, u64>,
    /// Names that could not be removed.
    kept: BTreeSet<String>,
    /// Folders of databases that this process made.
    made: BTreeSet<String>,
    /// Databases of which this process asked for a folder.
    begun: BTreeSet<String>,
    /// Segments that were sealed since their database was opened: what they say may be superseded before the next opening.
    sealed: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct File {
    path: String,
    has_failed: bool,
    allocated_bytes: u64,
}

/// What is in flight.
#[derive(Clone, Debug)]
enum Asked {
    Write { file: FileId, bytes: u64 },
    Allocate { file: FileId, end: u64 },
    Sync { file: FileId },
    Unlink { path: String },
    MakeDirectory { path: String },
}

impl Files {
    /// The engine asks for an operation.
    pub(super) fn submitted(
        &mut self,
        id: OpId,
        op: &DiskOp,
        disk: &SimDisk,
        is_in_doubt: bool,
    ) -> Result<(), Violation> {
        let changes = matches!(op, DiskOp::Write { .. } | DiskOp::Allocate { .. } | DiskOp::Sync { .. });
        let failed =
            file_of(op).filter(|_| changes).and_then(|file| self.open.get(&file)).filter(|file| file.has_failed);
        if let Some(file) = failed {
            return violation!("{} is gone on with after a failure: {op:?}", file.path);
        }
        match op {
            DiskOp::Open { file, path, .. } => {
                let path = path.as_str().to_owned();
                self.open.insert(*file, File { path, has_failed: false, allocated_bytes: 0 });
            }
            DiskOp::Close { file } => drop(self.open.remove(file)),
            DiskOp::Write { file, offset, buffers } => {
                let bytes = buffers.iter().map(|buffer| buffer.len() as u64).sum();
                self.written(*file, *offset, bytes, buffers, disk, is_in_doubt)?;
                self.in_flight.insert(id, Asked::Write { file: *file, bytes });
            }
            DiskOp::Allocate { file, offset, bytes } => {
                self.in_flight.insert(id, Asked::Allocate { file: *file, end: offset + bytes });
            }
            DiskOp::Sync { file } => drop(self.in_flight.insert(id, Asked::Sync { file: *file })),
            DiskOp::Unlink { path } => {
                let path = path.as_str().to_owned();
                holds_no_batch(&path, disk)?;
                if let Some(folder) = path.strip_suffix(".wal.next").and_then(folder_of) {
                    self.know(folder, epoch_at(&path, disk));
                }
                self.in_flight.insert(id, Asked::Unlink { path });
            }
            DiskOp::Rename { to, replace: true, .. } => holds_no_batch(to.as_str(), disk)?,
            DiskOp::Rename { from, to, .. } if from.as_str().ends_with(".wal") => {
                self.sealed.insert(to.as_str().to_owned());
            }
            DiskOp::MakeDirectory { path } => {
                self.begun.extend(path.as_str().strip_prefix("db/").map(str::to_owned));
                self.in_flight.insert(id, Asked::MakeDirectory { path: path.as_str().to_owned() });
            }
            DiskOp::Read { .. }
            | DiskOp::Length { .. }
            | DiskOp::List { .. }
            | DiskOp::Rename { .. }
            | DiskOp::Link { .. }
            | DiskOp::SyncDirectory { .. }
            | DiskOp::FreeSpace => {}
        }
        Ok(())
    }

    fn written(
        &mut self,
        id: FileId,
        offset: u64,
        bytes: u64,
        buffers: &[Buffer],
        disk: &SimDisk,
        is_in_doubt: bool,
    ) -> Result<(), Violation> {
        let Some(file) = self.open.get(&id).filter(|file| file.path.contains(".wal")) else { return Ok(()) };
        if offset == 0 {
            let path = file.path.clone();
            let epoch = header(&bytes_of(buffers)).map_or(0, |header| header.epoch);
            return self.epoch_is_new(&path, epoch, disk, is_in_doubt);
        }
        let (end, allocated) = (offset + bytes, file.allocated_bytes);
        if end > allocated {
            return violation!("{} has {allocated} bytes and is written up to {end}", file.path);
        }
        Ok(())
    }

    fn epoch_is_new(&mut self, path: &str, epoch: u64, disk: &SimDisk, is_in_doubt: bool) -> Result<(), Violation> {
        let Some(folder) = folder_of(path) else { return Ok(()) };
        let known = self.epochs.get(folder).copied().unwrap_or(0);
        let others = disk.beginnings(SEGMENT_HEADER_BYTES).filter(|(other, _)| folder_of(other) == Some(folder));
        // What a spare shows stood there before it.
        let others = others.filter(|(other, _)| other != path && !other.ends_with(".spare"));
        let named = others.filter_map(|(_, beginning)| Some(whole_header(&beginning)?.epoch)).max().unwrap_or(0);
        if epoch <= known.max(named) && !is_in_doubt {
            return violation!("{path} gets the epoch {epoch}, and {} was given before", known.max(named));
        }
        self.know(folder, epoch);
        Ok(())
    }

    fn know(&mut self, folder: &str, epoch: u64) {
        let known = self.epochs.entry(folder.to_owned()).or_default();
        *known = epoch.max(*known);
    }

    /// Whether a name could not be removed.
    pub(super) fn could_not_remove(&self, path: &str) -> bool {
        self.kept.contains(path)
    }

    /// Whether this process asked for the folder of a database.
    pub(super) fn has_begun(&self, name: &str) -> bool {
        self.begun.contains(name)
    }

    /// Readers see a database again: what its opening sealed is behind it.
    pub(super) fn opened(&mut self, folder: &str) {
        self.sealed.retain(|path| folder_of(path) != Some(folder));
    }

    /// The engine hears of a completion.
    pub(super) fn delivered(&mut self, completion: &Completion) {
        let (file, is_well) = match (self.in_flight.remove(&completion.id), &completion.result) {
            (Some(Asked::Write { file, bytes }), result) => {
                (file, matches!(result, Ok(DiskReply::Written(written)) if *written == bytes))
            }
            (Some(Asked::Allocate { file, end }), result) => {
                if let Some(file) = self.open.get_mut(&file).filter(|_| result.is_ok()) {
                    file.allocated_bytes = file.allocated_bytes.max(end);
                }
                (file, result.is_ok())
            }
            (Some(Asked::Sync { file }), result) => (file, result.is_ok()),
            (Some(Asked::Unlink { path }), Err(error)) if error.kind != DiskErrorKind::NotFound => {
                self.kept.insert(path);
                return;
            }
            (Some(Asked::MakeDirectory { path }), result) => {
                if result.is_ok() {
                    self.made.insert(path);
                }
                return;
            }
            (Some(Asked::Unlink { path }), _) => {
                self.made.remove(&path);
                return;
            }
            (None, _) => return,
        };
        if let Some(file) = self.open.get_mut(&file).filter(|_| !is_well) {
            file.has_failed = true;
        }
    }
}

impl Checker {
    /// The engine hears of a completion.
    ///
    /// # Errors
    /// When what it ended is not as it has to be.
    pub(crate) fn delivered(&mut self, completion: &Completion, disk: &SimDisk) -> Result<(), Violation> {
        self.files.delivered(completion);
        self.attempts.delivered(completion, disk);
        self.catalog.delivered(completion);
        self.rebuilds.delivered(completion);
        self.format_delivered(completion);
        self.watch_delivered(completion, disk)
    }
}

/// Of a process at rest: what was begun and came to nothing is gone, and so is what nobody will read any more.
///
/// # Errors
/// When something lies about that is no part of a log, and that nobody holds.
pub(crate) fn nothing_lies_about(disk: &SimDisk, checker: &Checker, what: &str) -> Result<(), Violation> {
    let is_known = |tracked: &&Tracked| tracked.opened && !tracked.is_damaged && !tracked.is_glimpsed;
    for tracked in checker.databases().iter().filter(is_known) {
        let is_shut = tracked.shown.is_none() && tracked.closing_told && !tracked.was_cut_off;
        let takes_writes = tracked.shown.is_some() && !tracked.is_latched;
        let spare = format!("db/{0}/{0}.wal.spare", tracked.name);
        let next = format!("db/{0}/{0}.wal.next", tracked.name);
        let spare = Some(spare).filter(|_| is_shut || tracked.shown.is_some());
        // Whether one that latched promoted its `next` is not certain.
        let next = Some(next).filter(|_| takes_writes);
        for path in [spare, next].into_iter().flatten() {
            let lies_about = disk.listing().contains_key(&path) && !disk.is_open(&path);
            if lies_about && !checker.files.kept.contains(&path) {
                return violation!("{what}: {path} is left, and nobody holds it");
            }
        }
        if takes_writes && !checker.doubt.is_any() {
            none_is_superseded(disk, &checker.files, tracked.name.as_str(), what)?;
        }
    }
    Ok(())
}

/// Of a process at rest, before anybody asks for anything again: a creation that came to nothing left no folder.
///
/// # Errors
/// When one is there, and its log is not open: no answer said that there is such a database.
pub(crate) fn no_folder_lies_about(disk: &SimDisk, checker: &Checker, what: &str) -> Result<(), Violation> {
    let is_told =
        |name: &str| checker.databases().iter().any(|tracked| tracked.name.as_str() == name && tracked.id.is_some());
    for path in checker.files.made.difference(&checker.files.kept) {
        let Some(name) = path.strip_prefix("db/") else { continue };
        let is_held = disk.is_open(&format!("{path}/{name}.wal"));
        if !is_held && !is_told(name) && disk.has_directory(path) {
            return violation!("{what}: {path} is left of a creation that came to nothing");
        }
    }
    Ok(())
}

/// What a later segment says again is removed by the opening that made it.
fn none_is_superseded(disk: &SimDisk, files: &Files, folder: &str, what: &str) -> Result<(), Violation> {
    let headers: Vec<(String, Header)> = disk
        .beginnings(SEGMENT_HEADER_BYTES)
        .filter(|(path, _)| folder_of(path) == Some(folder) && !path.ends_with(".spare"))
        .filter_map(|(path, beginning)| Some((path, whole_header(&beginning)?)))
        .collect();
    let says_again = |header: &Header| {
        let later = headers.iter().filter(|(_, later)| later.epoch > header.epoch);
        later.map(|(_, later)| later.start_lsn).min().is_some_and(|start_lsn| start_lsn <= header.start_lsn)
    };
    let is_excused = |path: &String| files.kept.contains(path) || files.sealed.contains(path);
    match headers.iter().find(|(path, header)| says_again(header) && !is_excused(path)) {
        Some((path, _)) => violation!("{what}: {path} is left, and all of it is said again"),
        None => Ok(()),
    }
}

/// What is about to be removed or replaced is no active segment with a batch in it.
fn holds_no_batch(path: &str, disk: &SimDisk) -> Result<(), Violation> {
    if !path.ends_with(".wal") || folder_of(path).is_none() || disk.faults().of(FaultKind::StaleRead) > 0 {
        return Ok(());
    }
    let found = disk.beginnings(SEGMENT_HEADER_BYTES + 512).find(|(found, _)| found == path);
    let holds_batch = found.is_some_and(|(_, bytes)| {
        bytes.get(SEGMENT_HEADER_BYTES as usize..).is_some_and(|first| first.starts_with(BATCH_MAGIC))
    });
    if holds_batch { violation!("{path} holds a batch, and is about to be removed or replaced") } else { Ok(()) }
}

/// The folder of a file of some database.
pub(super) fn folder_of(path: &str) -> Option<&str> {
    path.strip_prefix("db/")?.split_once('/').map(|(folder, _)| folder)
}

/// What the header of a file says, or zero.
fn epoch_at(path: &str, disk: &SimDisk) -> u64 {
    let found = disk.beginnings(SEGMENT_HEADER_BYTES).find(|(name, _)| name == path);
    found.and_then(|(_, beginning)| whole_header(&beginning)).map_or(0, |header| header.epoch)
}
