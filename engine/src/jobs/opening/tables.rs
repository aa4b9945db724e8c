//! Loading what the tables hold: the state at a checkpoint, from which the log is replayed.
//!
//! ```text
//! for each live table: open it; read its header; walk through its blocks, a chunk at a time
//! ```
//!
//! It changes nothing. A read that fails is an error, never damage. Where blocks are lost, the keys between those that are left
//! are lost and nothing else; the metadata counts the entries of a table, so that blocks which read as zeros are missed too.

use std::ops::Bound;

use docdb_protocol::{Error, ErrorCode};

use super::memory;
use super::subject::Subject;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::metadata::{LiveTable, Metadata, table};
use crate::options::Options;
use crate::table::{BlockView, TABLE_HEADER_BYTES, TableHeader, Version, Walk, WalkStep};
use crate::view::{Key, LostKeys, View};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct LoadTables {
    subject: Subject,
    tables: Vec<LiveTable>,
    at: usize,
    view: View,
    /// Of all databases together.
    memory_bytes_max: u64,
    file: FileId,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    /// It says whether a later version wrote the table.
    ReadHeader {
        bytes: Vec<u8>,
    },
    Walk(Box<Walked>),
}

/// What came of the table at hand so far.
#[derive(Clone, Debug)]
struct Walked {
    walk: Walk,
    /// Bytes that were asked for at this offset, and those that came; a read may give fewer.
    wanted: Option<(u64, u32, Vec<u8>)>,
    entries: u64,
    /// The last key that was met.
    before: Option<Box<[u8]>>,
    /// Where no block could be read behind that key.
    lost_at: Option<u64>,
    /// Between these keys blocks may be lost: where one could not be read, or does not stand directly behind the one before.
    lost: Vec<LostKeys>,
}

impl LoadTables {
    /// Begins; done at once where there are no tables.
    pub(super) fn new(
        subject: Subject,
        metadata: &Metadata,
        options: &Options,
        io: &mut Io,
    ) -> (LoadTables, Progress<View>) {
        let mut tables = metadata.tables.clone();
        tables.sort_by(|one, next| one.first_key.cmp(&next.first_key));
        let view = View::of_metadata(metadata, options.map_fanout);
        let (file, step) = (FileId(0), Step::Open);
        let memory_bytes_max = options.memory_bytes_max;
        let mut job = LoadTables { subject, tables, at: 0, view, memory_bytes_max, file, step };
        let first = job.open(io);
        (job, first)
    }

    /// What was loaded so far takes up.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.view.memory_bytes()
    }

    /// `memory_bytes_free` is what all other databases leave of the limit.
    pub(super) fn step(&mut self, result: DiskResult, memory_bytes_free: u64, io: &mut Io) -> Progress<View> {
        let data = match (&mut self.step, result) {
            (Step::Open, Ok(_)) => {
                self.step = Step::ReadHeader { bytes: Vec::new() };
                return self.read_header();
            }
            // What metadata names was there: it is lost.
            (Step::Open, Err(error)) if error.kind == DiskErrorKind::NotFound => {
                let table = self.table().clone();
                self.lose_all(&table);
                self.at += 1;
                return self.open(io);
            }
            (Step::Open, Err(error)) => return self.failed(ErrorCode::FileOpen, &error),
            (Step::ReadHeader { .. } | Step::Walk(_), Ok(DiskReply::Data(data))) => data,
            (Step::ReadHeader { .. } | Step::Walk(_), Ok(_)) => {
                io.close(self.file);
                return self.failed(ErrorCode::FileRead, &DiskError::new(DiskErrorKind::Io));
            }
            (Step::ReadHeader { .. } | Step::Walk(_), Err(error)) => {
                io.close(self.file);
                return self.failed(ErrorCode::FileRead, &error);
            }
        };
        match std::mem::replace(&mut self.step, Step::Open) {
            Step::Open => unreachable!("a header is read once its file is open"),
            Step::ReadHeader { mut bytes } => {
                bytes.extend_from_slice(data.as_slice());
                if !data.is_empty() && bytes.len() < TABLE_HEADER_BYTES {
                    self.step = Step::ReadHeader { bytes };
                    return self.read_header();
                }
                if matches!(TableHeader::decode(&bytes), TableHeader::Newer) {
                    io.close(self.file);
                    return self.named(newer_format(&self.path()));
                }
                let table = self.table();
                let walk = Walk::new(table.identity, TABLE_HEADER_BYTES as u64, table.footer.offset);
                let (wanted, entries, before, lost_at, lost) = (None, 0, None, None, Vec::new());
                self.walk(Box::new(Walked { walk, wanted, entries, before, lost_at, lost }), memory_bytes_free, io)
            }
            Step::Walk(mut walked) => {
                if let Some((_, bytes, so_far)) = &mut walked.wanted {
                    so_far.extend_from_slice(data.as_slice());
                    if !data.is_empty() && so_far.len() < *bytes as usize {
                        self.step = Step::Walk(walked);
                        return self.read_wanted();
                    }
                }
                self.walk(walked, memory_bytes_free, io)
            }
        }
    }

    fn table(&self) -> &LiveTable {
        &self.tables[self.at]
    }

    fn path(&self) -> DiskPath {
        self.subject.directory.join(&table(&self.subject.name, self.table().number))
    }

    /// Opens the next table.
    fn open(&mut self, io: &mut Io) -> Progress<View> {
        if self.at == self.tables.len() {
            self.view.loaded();
            return Progress::Done(self.view.clone());
        }
        self.file = io.new_file();
        self.step = Step::Open;
        Progress::Submit(DiskOp::Open { file: self.file, path: self.path(), mode: OpenMode::Read })
    }

    fn read_header(&mut self) -> Progress<View> {
        let Step::ReadHeader { bytes } = &self.step else { unreachable!("it was set by the caller") };
        let offset = bytes.len();
        let bytes = u32::try_from(TABLE_HEADER_BYTES - offset).expect("one sector");
        Progress::Submit(DiskOp::Read { file: self.file, offset: offset as u64, bytes, bulk: true })
    }

    fn read_wanted(&mut self) -> Progress<View> {
        let Step::Walk(walked) = &self.step else { unreachable!("it was set by the caller") };
        let (offset, bytes, so_far) = walked.wanted.as_ref().expect("it was set by the caller");
        let offset = offset + so_far.len() as u64;
        let bytes = *bytes - u32::try_from(so_far.len()).expect("fewer than were asked for");
        Progress::Submit(DiskOp::Read { file: self.file, offset, bytes, bulk: true })
    }

    /// Takes in the blocks at hand, and asks for more.
    fn walk(&mut self, mut walked: Box<Walked>, memory_bytes_free: u64, io: &mut Io) -> Progress<View> {
        if let Some((_, _, bytes)) = walked.wanted.take() {
            walked.walk.feed(&bytes);
        }
        let table = self.tables[self.at].clone();
        loop {
            match walked.walk.step() {
                WalkStep::Need { offset, bytes } => {
                    if memory::is_over(self.view.memory_bytes(), memory_bytes_free) {
                        io.close(self.file);
                        let needed = self.view.memory_bytes();
                        return Progress::Failed(memory::too_large(
                            &self.subject,
                            needed,
                            memory_bytes_free,
                            self.memory_bytes_max,
                        ));
                    }
                    walked.wanted = Some((offset, bytes, Vec::new()));
                    self.step = Step::Walk(walked);
                    return self.read_wanted();
                }
                WalkStep::Block { offset, follows, block, .. } => {
                    let first = block.key(0).unwrap_or_default();
                    // Zeros may be what follows the last block of a frame, or a block that was lost.
                    if let Some(at) = walked.lost_at.take().or((!follows).then_some(offset)) {
                        let lost = self.lost(&table, walked.before.as_deref(), Some(first), at);
                        walked.lost.push(lost);
                    }
                    let (entries, last) = load(&mut self.view, &block);
                    if walked.before.as_deref().is_some_and(|before| before >= first) {
                        walked.lost_at = Some(offset);
                    }
                    walked.entries += entries;
                    walked.before = last;
                }
                WalkStep::Lost { from, .. } => walked.lost_at = walked.lost_at.or(Some(from)),
                WalkStep::End => break,
            }
        }
        io.close(self.file);
        let is_at_end = walked.before.as_deref() == Some(&*table.last_key);
        if let Some(at) = walked.lost_at.take().or((!is_at_end).then_some(table.footer.offset)) {
            let lost = self.lost(&table, walked.before.as_deref(), None, at);
            walked.lost.push(lost);
        }
        if walked.entries != table.entries {
            if walked.lost.is_empty() {
                self.lose_all(&table);
            }
            // Where every entry is there, what could not be read held none.
            walked.lost.into_iter().for_each(|lost| self.view.add_lost(lost));
        }
        self.at += 1;
        self.open(io)
    }

    /// What lies between two keys that are left, or the ends of the table.
    fn lost(&self, table: &LiveTable, before: Option<&[u8]>, next: Option<&[u8]>, at: u64) -> LostKeys {
        let key = |key: &[u8]| Key::of_table(key);
        let from = match before {
            Some(before) => key(before).map_or(Bound::Unbounded, Bound::Excluded),
            None => key(&table.first_key).map_or(Bound::Unbounded, Bound::Included),
        };
        let to = match next {
            Some(next) => key(next).map_or(Bound::Unbounded, Bound::Excluded),
            None => key(&table.last_key).map_or(Bound::Unbounded, Bound::Included),
        };
        let detail = "documents of a checkpoint are damaged";
        let error = Error::new(ErrorCode::CorruptRecord).file(self.path().as_str()).offset(at).detail(detail);
        LostKeys { from, to, error: error.database(self.subject.name.as_str()) }
    }

    /// All that a table held.
    fn lose_all(&mut self, table: &LiveTable) {
        let lost = self.lost(table, None, None, 0);
        self.view.add_lost(lost);
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<View> {
        self.named(disk_error(code, &self.path(), error))
    }

    fn named(&self, error: Error) -> Progress<View> {
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}

/// Takes in a block: how many entries it has, and the last key.
fn load(view: &mut View, block: &BlockView<'_>) -> (u64, Option<Box<[u8]>>) {
    let mut entries = 0;
    for entry in (0..block.len()).filter_map(|index| block.entry(index).ok()) {
        let Some(key) = Key::of_table(entry.key) else { continue };
        match entry.version {
            Version::Value { document, .. } => view.load(key, entry.tx, document),
            // A checkpoint of everything holds none; what is deleted is not there.
            Version::Tombstone => {}
            // Nor is a database with damage written as tables. It counts as lost.
            Version::Damaged { .. } => continue,
        }
        entries += 1;
    }
    (entries, block.key(block.len() - 1).ok().map(Box::from))
}
