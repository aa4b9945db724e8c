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
mod order;
mod store;

use std::collections::BTreeMap;

use docdb_engine::{Completion, DiskOp, FileId, OpId, Options};

use self::batch::{Batch, Segment};
use self::catalogs::{Catalogs, Known};
use self::log::Log;
use self::order::Order;
use self::store::Store;
use super::files::folder_of;
use super::{Checker, Tracked, Violation, violation};
use crate::disk::SimDisk;
use crate::refine::written::{SEGMENT_HEADER_BYTES, bytes_of};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    files: BTreeMap<FileId, File>,
    logs: BTreeMap<String, Log>,
    stores: BTreeMap<String, Store>,
    order: Order,
    /// Manifests that are being written.
    manifests: BTreeMap<FileId, String>,
    catalogs: Catalogs,
    /// Limits of the engine that runs.
    batch_bytes_max: u64,
    merge_bytes_max: u64,
    segments_kept: usize,
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
        self.segments_kept = options.segments_kept;
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
        self.manifests.clear();
        self.order.crashed();
        self.stores.values_mut().for_each(Store::crashed);
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
        let (is_append, folder) = (file.header.is_some(), file.folder.clone());
        if is_in_doubt {
            self.logs.remove(&folder);
        }
        let tracked = databases.iter().find(|tracked| tracked.name.as_str() == folder);
        self.records_are_named(id, &batches, tracked.is_some_and(|tracked| tracked.shown.is_some()))?;
        let Some(log) = self.logs.get_mut(&folder) else { return Ok(()) };
        let model = tracked.filter(|tracked| tracked.id.is_some()).map(|tracked| &tracked.model);
        for batch in &batches {
            log.append(batch, model)?;
        }
        if is_append && let Some(model) = model {
            self.is_short(first, model)?;
        }
        self.merges_little(&batches)
    }

    /// The records of checkpoints say what the manifest says that was named last; what an opening writes again may be older.
    fn records_are_named(&mut self, file: FileId, batches: &[Batch<'_>], is_open: bool) -> Result<(), Violation> {
        let Some(File { folder, header, .. }) = self.files.get(&file) else { return Ok(()) };
        let named = self.stores.get(folder).and_then(|store| store.named.as_deref());
        let mut records =
            batches.iter().flat_map(|batch| &batch.records).filter(|record| record.kind == batch::CHECKPOINT);
        let is_named = |record: &batch::Record<'_>| named == Some(record.payload);
        if header.is_some() && !records.clone().all(is_named) {
            return violation!("a checkpoint's record is not what the manifest says: {named:?}");
        }
        if records.any(is_named) {
            self.order.recorded(folder, file, is_open)?;
        }
        Ok(())
    }

    /// A batch without its last request holds less than it may, or that one would not have come into it.
    fn is_short(&self, batch: &Batch<'_>, model: &docdb_models::Database) -> Result<(), Violation> {
        let of_transactions = || batch.records.iter().filter(|record| record.kind != batch::CHECKPOINT);
        let Some(last_tx) = of_transactions().next_back().map(|record| record.tx) else { return Ok(()) };
        let first_of_last = model.first_of_its_request(last_tx).unwrap_or(last_tx);
        let others = of_transactions().filter(|record| record.tx < first_of_last);
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

impl Format {
    /// Whether a batch with this transaction may be the last one below a snapshot that an opening went by: the next one, written
    /// then, does not repeat it, and a power loss may have brought an older manifest back.
    pub(super) fn may_be_unrepeated(&self, folder: &str, tx: u64) -> bool {
        self.stores.get(folder).is_some_and(|store| tx <= store.last_tx)
    }
}

impl Checker {
    /// The engine asks for an operation.
    ///
    /// # Errors
    /// When it writes what FORMAT.md does not say.
    pub(super) fn format_submitted(&mut self, id: OpId, op: &DiskOp, disk: &SimDisk) -> Result<(), Violation> {
        let is_in_doubt = self.doubt.is_any();
        let Checker { format, databases, stopping, .. } = self;
        let (directory, segments_kept) = (format.directory, format.segments_kept);
        let touched = match op {
            DiskOp::Unlink { path } => folder_of(path.as_str()),
            _ => None,
        };
        let tracked = databases.iter().find(|tracked| Some(tracked.name.as_str()) == touched);
        format.order.submitted(id, op, tracked.is_some_and(|tracked| tracked.shown.is_some()))?;
        let known = Known { databases, disk, is_stopping: *stopping, is_in_doubt, directory };
        match op {
            DiskOp::Open { file, path, .. } => {
                let path = path.as_str();
                if path == "catalog.new" {
                    format.catalogs.file = Some(*file);
                }
                if let Some(folder) = folder_of(path).filter(|_| path.ends_with(".manifest.new")) {
                    format.manifests.insert(*file, folder.to_owned());
                }
                let Some(folder) = folder_of(path).filter(|_| path.contains(".wal")) else { return Ok(()) };
                let (folder, is_first) = (folder.to_owned(), path.ends_with(".wal"));
                format.files.insert(*file, File { folder, is_first, header: None, tail: None });
            }
            DiskOp::Close { file } => drop((format.files.remove(file), format.manifests.remove(file))),
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
            DiskOp::Write { file, buffers, .. } if format.manifests.contains_key(file) => {
                let folder = format.manifests[file].clone();
                let tracked = databases.iter().find(|tracked| tracked.name.as_str() == folder);
                let model =
                    tracked.filter(|tracked| tracked.id.is_some() && !is_in_doubt).map(|tracked| &tracked.model);
                let log = format.logs.get(&folder).filter(|_| !is_in_doubt);
                let known = store::Known { folder: &folder, directory, disk, model, log, is_in_doubt, segments_kept };
                let store = format.stores.entry(folder.clone()).or_default();
                let judged = store.manifest(&bytes_of(buffers), &known);
                let tables = store.written_tables();
                format.order.manifest(&folder, tables.into_iter());
                judged.map_err(|Violation(why)| Violation(format!("the manifest of {folder} is written: {why}")))?;
            }
            DiskOp::List { path, .. } => {
                let folder = path.as_str().strip_prefix("db/").unwrap_or_default();
                let tracked = databases.iter().find(|tracked| tracked.name.as_str() == folder);
                if let Some((tracked, store)) = tracked.zip(format.stores.get_mut(folder)) {
                    store.listed(tracked.id, tracked.shown.is_some());
                }
                if tracked.is_some_and(|tracked| tracked.shown.is_none()) {
                    format.order.opens(folder);
                }
            }
            DiskOp::Rename { from, .. } if from.as_str() == "catalog" => format.catalogs.put_aside(disk)?,
            DiskOp::Rename { to, .. } if to.as_str().ends_with(".manifest") => {
                let folder = folder_of(to.as_str()).unwrap_or_default().to_owned();
                let Format { logs, stores, .. } = format;
                let store = stores.entry(folder.clone()).or_default();
                store.renamed()?;
                if let Some(log) = logs.get_mut(&folder) {
                    log.named_floors.extend(store.named.as_ref().and_then(|body| store::floor_of(log.owner.1, body)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The engine hears of a completion.
    pub(super) fn format_delivered(&mut self, completion: &Completion) {
        self.format.order.delivered(completion);
    }

    /// A checkpoint of the database with this name is said to have failed.
    ///
    /// # Errors
    /// When what it made lies about.
    pub(super) fn checkpoint_failed(&self, name: &str, disk: &SimDisk) -> Result<(), Violation> {
        let mut left = self.format.order.unnamed(name);
        let lies_about = |path: &String| disk.listing().contains_key(path) && !self.files.could_not_remove(path);
        match left.find(lies_about) {
            Some(path) => violation!("a checkpoint of {name} failed, and {path} is left"),
            None => Ok(()),
        }
    }

    /// A process starts on what lies on this disk.
    pub(crate) fn starts_on(&mut self, disk: &SimDisk) {
        self.format.starts(disk);
    }
}
