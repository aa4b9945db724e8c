//! Whether what the engine writes is what FORMAT.md says, judged as it is written: every byte of the segments of each log
//! and of the catalog.
//!
//! What a disk holds after a crash can show a mistake only if something reads it that way; what is written shows it at once.
//!
//! - Headers and batches are whole, and nothing stands where zeros are to be.
//! - All headers of a database say the same directory, id and time of creation; a new database was created when the clock
//!   said so.
//! - What a batch says follows from those before it (`log`), and from what clients asked for.
//! - A batch takes no further request once it holds what it may; an opening takes over no more batches than it may.
//!
//! - A catalog follows from the one before it (`catalogs`).
//!
//! On a disk in doubt it looks at each write alone: what stands before it is not known.

mod batch;
mod catalog;
mod catalogs;
mod fields;
mod log;

use std::collections::BTreeMap;

use docdb_engine::{DiskOp, FileId, Options};

use self::batch::{Batch, Segment};
use self::catalogs::{Catalogs, Known};
use self::log::Log;
use super::files::folder_of;
use super::{Checker, Tracked, Violation, violation};
use crate::disk::SimDisk;
use crate::refine::written::{SEGMENT_HEADER_BYTES, bytes_of};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    files: BTreeMap<FileId, File>,
    logs: BTreeMap<String, Log>,
    catalogs: Catalogs,
    /// Limits of the engine that runs.
    batch_bytes_max: u64,
    merge_bytes_max: u64,
    directory: u128,
    /// What the wall clock said since the process started, at least and at most.
    walls: Option<(u64, u64)>,
}

/// A file of a log that is open.
#[derive(Clone, Debug)]
struct File {
    folder: String,
    is_first: bool,
    header: Option<Segment>,
    /// Epoch and place of what was written before the header.
    tail: Option<(u64, u64)>,
}

impl Format {
    /// The engine that runs from now on has these limits.
    pub(super) fn bound(&mut self, options: &Options) {
        self.batch_bytes_max = options.batch_bytes_max as u64;
        self.merge_bytes_max = options.merge_bytes_max;
        self.directory = options.new_directory.0;
    }

    /// It is `wall`, by the clock that people set.
    pub(super) fn time_is(&mut self, wall: u64) {
        let (first, last) = self.walls.unwrap_or((wall, wall));
        self.walls = Some((first.min(wall), last.max(wall)));
    }

    /// A process starts on what lies on this disk.
    pub(super) fn starts(&mut self, disk: &SimDisk) {
        self.catalogs.starts(disk);
    }

    /// The operator hears that the catalog was rebuilt.
    pub(super) fn rebuilt(&mut self) {
        self.catalogs.rebuilt();
    }

    /// The process died.
    pub(super) fn crashed(&mut self) {
        self.files.clear();
        self.walls = None;
    }

    fn header(&mut self, file: FileId, bytes: &[u8], is_in_doubt: bool) -> Result<(), Violation> {
        let header = batch::segment(bytes)?;
        let Some(file) = self.files.get_mut(&file) else { return Ok(()) };
        if header.directory != self.directory {
            return violation!("{header:?} is not of this directory");
        }
        if file.tail.is_some_and(|tail| tail != (header.epoch, header.start_lsn)) {
            return violation!("{header:?} stands before what is of {:?}", file.tail);
        }
        file.header = Some(header);
        if file.is_first {
            let (first, last) = self.walls.unwrap_or_default();
            if header.start_lsn != 0 || header.created_at < first || header.created_at > last {
                return violation!(
                    "a database is created from {first} to {last}, and its first segment says {header:?}"
                );
            }
            self.logs.insert(file.folder.clone(), Log::created(&header));
            return Ok(());
        }
        if is_in_doubt {
            self.logs.remove(&file.folder);
        }
        let log = self.logs.get_mut(&file.folder);
        match log {
            Some(log) if log.owner != (header.directory, header.database, header.created_at) => {
                violation!("{header:?} is not of {:?}", log.owner)
            }
            Some(log) if !log.may_begin(header.start_lsn) => {
                violation!("{header:?} does not begin where a batch ends: the log ends at {:?}", log.ends())
            }
            // What stands behind that was not proven.
            Some(log) if file.tail.is_none() => {
                log.end_at(header.start_lsn);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn batches(
        &mut self,
        id: FileId,
        offset: u64,
        bytes: &[u8],
        databases: &[Tracked],
        is_in_doubt: bool,
    ) -> Result<(), Violation> {
        let batches = batch::batches(bytes)?;
        let Some(file) = self.files.get_mut(&id) else { return Ok(()) };
        let Some(first) = batches.first() else { return violation!("nothing is written") };
        let place = match file.header {
            Some(header) => (header.epoch, header.start_lsn),
            None => *file.tail.insert((first.epoch, first.lsn)),
        };
        let follow = batches.windows(2).all(|pair| pair[0].lsn + pair[0].bytes == pair[1].lsn);
        let stands = offset == SEGMENT_HEADER_BYTES + first.lsn.wrapping_sub(place.1);
        let is_same = |batch: &Batch<'_>| (batch.epoch, batch.start_lsn) == place && batch.database == first.database;
        if !follow || !stands || !batches.iter().all(is_same) || (file.header.is_some() && batches.len() > 1) {
            return violation!("batches of {place:?} stand at {offset}: {batches:?}");
        }
        let is_append = file.header.is_some();
        if is_in_doubt {
            self.logs.remove(&file.folder);
        }
        let Some(log) = self.logs.get_mut(&file.folder) else { return Ok(()) };
        let tracked = databases.iter().find(|tracked| tracked.name.as_str() == file.folder);
        let model = tracked.filter(|tracked| tracked.id.is_some()).map(|tracked| &tracked.model);
        for batch in &batches {
            log.append(batch, model)?;
        }
        if is_append && let Some(model) = model {
            self.is_short(first, model)?;
        }
        self.merges_little(&batches)
    }

    /// A batch without its last request holds less than it may, or that one would not have come into it.
    fn is_short(&self, batch: &Batch<'_>, model: &docdb_models::Database) -> Result<(), Violation> {
        let Some(last_tx) = batch.records.last().map(|record| record.tx) else { return Ok(()) };
        let first_of_last = model.first_of_its_request(last_tx).unwrap_or(last_tx);
        let others = batch.records.iter().filter(|record| record.tx < first_of_last);
        let bytes: usize = others.map(batch::Record::bytes).sum();
        if bytes as u64 >= self.batch_bytes_max {
            let most = self.batch_bytes_max;
            return violation!("a batch takes a request behind {bytes} bytes, and is full at {most}");
        }
        Ok(())
    }

    /// Of what a new segment begins with, all but the last batch was read by an opening.
    fn merges_little(&self, batches: &[Batch<'_>]) -> Result<(), Violation> {
        let Some((last, merged)) = batches.split_last() else { return Ok(()) };
        let proofs = if last.records.is_empty() && !merged.is_empty() { last.bytes } else { 0 };
        let bytes = merged.iter().map(|batch| batch.bytes).sum::<u64>() + proofs;
        let most = self.merge_bytes_max;
        if bytes > most { violation!("an opening takes over {bytes} bytes of log, at most {most}") } else { Ok(()) }
    }
}

impl Checker {
    /// The engine asks for an operation.
    ///
    /// # Errors
    /// When it writes what FORMAT.md does not say.
    pub(super) fn format_submitted(&mut self, op: &DiskOp, disk: &SimDisk) -> Result<(), Violation> {
        let is_in_doubt = self.doubt.is_any();
        let Checker { format, databases, stopping, .. } = self;
        let directory = format.directory;
        let known = Known { databases, disk, is_stopping: *stopping, is_in_doubt, directory };
        match op {
            DiskOp::Open { file, path, .. } => {
                let path = path.as_str();
                if path == "catalog.new" {
                    format.catalogs.file = Some(*file);
                }
                let Some(folder) = folder_of(path).filter(|_| path.contains(".wal")) else { return Ok(()) };
                let (folder, is_first) = (folder.to_owned(), path.ends_with(".wal"));
                format.files.insert(*file, File { folder, is_first, header: None, tail: None });
            }
            DiskOp::Close { file } => drop(format.files.remove(file)),
            DiskOp::Write { file, offset, buffers } if format.files.contains_key(file) => {
                let bytes = bytes_of(buffers);
                let judged = if *offset == 0 {
                    format.header(*file, &bytes, is_in_doubt)
                } else {
                    format.batches(*file, *offset, &bytes, databases, is_in_doubt)
                };
                let folder = format.files.get(file).map_or("", |file| &file.folder);
                judged.map_err(|Violation(why)| Violation(format!("the log of {folder} is written: {why}")))?;
            }
            DiskOp::Write { file, offset, buffers } if format.catalogs.file == Some(*file) => {
                let bytes = bytes_of(buffers);
                let Format { catalogs, logs, .. } = format;
                let log = |name: &str| logs.get(name);
                let judged = if *offset == 0 {
                    catalogs.snapshot(&bytes, &known, log)
                } else {
                    catalogs.changes(*offset, &bytes, &known, log)
                };
                judged.map_err(|Violation(why)| Violation(format!("the catalog is written: {why}")))?;
            }
            DiskOp::Rename { from, .. } if from.as_str() == "catalog" => format.catalogs.put_aside(disk)?,
            _ => {}
        }
        Ok(())
    }

    /// A process starts on what lies on this disk.
    pub(crate) fn starts_on(&mut self, disk: &SimDisk) {
        self.format.starts(disk);
    }
}
