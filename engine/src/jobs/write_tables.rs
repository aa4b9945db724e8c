//! Writing everything that a view holds as tables, for a checkpoint.
//!
//! ```text
//! for each table, until every version is written:
//!     create NAME.data.N              a number that was never given before
//!     write frame after frame         none vouches for itself yet
//!     sync
//!     set the flags; sync             what a flag says is true only behind a sync
//! ```
//!
//! One frame is in memory at a time, so that commits go on beside it. Nothing names the tables yet: a crash leaves files that
//! are no part of the data, and a failure removes them.

use docdb_protocol::{Error, ErrorCode};

use super::new_segment::written;
use super::opening::Subject;
use super::undo::Undo;
use crate::buffer::Buffer;
use crate::disk::{DiskError, DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error};
use crate::metadata::{LiveTable, table};
use crate::table::{
    Builder, BuilderOptions, Built, Closing, Job, Piece, TableCollection, TableIdentity, VERIFIED_SECTOR,
};
use crate::view::Snapshot;

/// The level on which a checkpoint puts its tables.
const LEVEL: u8 = 0;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct WriteTables {
    subject: Subject,
    snapshot: Snapshot,
    options: BuilderOptions,
    generation: u64,
    collections: Vec<TableCollection>,
    /// Those that are whole.
    tables: Vec<LiveTable>,
    /// All that were begun.
    paths: Vec<DiskPath>,
    file: FileId,
    source: Source,
    step: Step,
}

/// Where the pieces of the table at hand come from.
#[derive(Clone, Debug)]
enum Source {
    None,
    Building(Box<Builder>),
    Built(Box<Built>),
}

#[derive(Clone, Debug)]
enum Step {
    Create,
    Write {
        bytes: u64,
    },
    /// The flags come after it.
    SyncFrames,
    /// So many are still to be set.
    SetFlag {
        left: usize,
    },
    SyncFlags,
    /// After a failure, or because nobody wants the tables any more.
    Undo(Undo),
}

impl WriteTables {
    /// Begins; done at once where the view holds nothing.
    pub(crate) fn new(
        subject: Subject,
        snapshot: Snapshot,
        generation: u64,
        options: BuilderOptions,
        io: &mut Io,
    ) -> (WriteTables, Progress<Vec<LiveTable>>) {
        let collections = snapshot.table_collections();
        let (tables, paths, file, source, step) = (Vec::new(), Vec::new(), FileId(0), Source::None, Step::Create);
        let mut job =
            WriteTables { subject, snapshot, options, generation, collections, tables, paths, file, source, step };
        let first = job.next_table(io);
        (job, first)
    }

    /// What it writes.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Vec<LiveTable>> {
        match (&mut self.step, result) {
            (Step::Undo(undo), Ok(_) | Err(_)) => undo.step(),
            (Step::Create, Ok(_)) => self.write_next(),
            (Step::Write { bytes }, Ok(reply)) => match written(&reply, *bytes) {
                Ok(()) => self.write_next(),
                Err(error) => self.failed(ErrorCode::FileWrite, &error, io),
            },
            (Step::SyncFrames, Ok(_)) => {
                let left = self.flags().len();
                self.set_flag(left)
            }
            (Step::SetFlag { left }, Ok(reply)) => {
                let left = *left - 1;
                match written(&reply, VERIFIED_SECTOR.len() as u64) {
                    Ok(()) => self.set_flag(left),
                    Err(error) => self.failed(ErrorCode::FileWrite, &error, io),
                }
            }
            (Step::SyncFlags, Ok(_)) => {
                io.close(self.file);
                if let Source::Built(built) = &self.source {
                    self.tables.push(LiveTable::new(LEVEL, built));
                }
                self.next_table(io)
            }
            (Step::Create, Err(error)) => {
                let failed = self.error(ErrorCode::FileOpen, &error);
                // It was not made here: what has its name already is somebody's.
                self.paths.pop();
                self.undo(failed)
            }
            (Step::Write { .. } | Step::SetFlag { .. }, Err(error)) => self.failed(ErrorCode::FileWrite, &error, io),
            (Step::SyncFrames | Step::SyncFlags, Err(error)) => self.failed(ErrorCode::FileSync, &error, io),
        }
    }

    /// Nobody wants the tables any more: they are removed, once the operation in flight has ended.
    pub(crate) fn abandon(&mut self, result: &DiskResult, io: &mut Io) -> Progress<Vec<LiveTable>> {
        match &mut self.step {
            Step::Undo(undo) => undo.step(),
            Step::Create | Step::Write { .. } | Step::SyncFrames | Step::SetFlag { .. } | Step::SyncFlags => {
                self.close(result.is_ok(), io);
                self.undo(Error::new(ErrorCode::PoolStopped))
            }
        }
    }

    /// The files of all tables that were begun.
    pub(crate) fn into_paths(self) -> Vec<DiskPath> {
        self.paths
    }

    /// Closes the file at hand, where it came to be opened.
    pub(crate) fn close(&self, step_succeeded: bool, io: &mut Io) {
        match self.step {
            Step::Create if !step_succeeded => {}
            Step::Create | Step::Write { .. } | Step::SyncFrames | Step::SetFlag { .. } | Step::SyncFlags => {
                io.close(self.file);
            }
            Step::Undo(_) => {}
        }
    }

    /// Begins one more table, where versions are left.
    fn next_table(&mut self, io: &mut Io) -> Progress<Vec<LiveTable>> {
        if self.snapshot.is_written() {
            return Progress::Done(std::mem::take(&mut self.tables));
        }
        // An attempt that failed has used its number up.
        let number = io.new_epoch(self.generation);
        let identity = TableIdentity { database: self.subject.id, number };
        self.source = Source::Building(Box::new(Builder::new(io.directory(), identity, self.options)));
        self.file = io.new_file();
        let path = self.subject.directory.join(&table(&self.subject.name, number));
        self.paths.push(path.clone());
        self.step = Step::Create;
        Progress::Submit(DiskOp::Open { file: self.file, path, mode: OpenMode::CreateNew })
    }

    fn write_next(&mut self) -> Progress<Vec<LiveTable>> {
        let Some(Piece { offset, bytes }) = self.next_piece() else {
            self.step = Step::SyncFrames;
            return Progress::Submit(DiskOp::Sync { file: self.file });
        };
        self.step = Step::Write { bytes: bytes.len() as u64 };
        Progress::Submit(DiskOp::Write { file: self.file, offset, buffers: vec![Buffer::from(bytes)] })
    }

    fn next_piece(&mut self) -> Option<Piece> {
        loop {
            let builder = match &mut self.source {
                Source::None => return None,
                Source::Built(built) => return built.pieces.pop_front(),
                Source::Building(builder) => builder,
            };
            if let Some(piece) = builder.take_piece() {
                return Some(piece);
            }
            if !self.snapshot.is_written() && !builder.is_full() {
                self.snapshot.write(builder);
                continue;
            }
            let Source::Building(builder) = std::mem::replace(&mut self.source, Source::None) else { return None };
            let closing = Closing {
                generation: self.generation,
                job: Job::default(),
                next_collection: self.snapshot.next_collection(),
                collections: &self.collections,
            };
            self.source = Source::Built(Box::new(builder.finish(closing)));
        }
    }

    fn flags(&self) -> &[u64] {
        match &self.source {
            Source::Built(built) => &built.flags,
            Source::None | Source::Building(_) => &[],
        }
    }

    /// Sets the last of the flags that are left.
    fn set_flag(&mut self, left: usize) -> Progress<Vec<LiveTable>> {
        let Some(at) = left.checked_sub(1) else {
            self.step = Step::SyncFlags;
            return Progress::Submit(DiskOp::Sync { file: self.file });
        };
        let offset = self.flags()[at];
        self.step = Step::SetFlag { left };
        let buffers = vec![Buffer::from(VERIFIED_SECTOR.to_vec())];
        Progress::Submit(DiskOp::Write { file: self.file, offset, buffers })
    }

    fn failed(&mut self, code: ErrorCode, error: &DiskError, io: &mut Io) -> Progress<Vec<LiveTable>> {
        let error = self.error(code, error);
        self.close(false, io);
        self.undo(error)
    }

    fn error(&self, code: ErrorCode, error: &DiskError) -> Error {
        let path = self.paths.last().unwrap_or(&self.subject.directory);
        disk_error(code, path, error).database(self.subject.name.as_str())
    }

    fn undo(&mut self, error: Error) -> Progress<Vec<LiveTable>> {
        self.snapshot.release();
        let mut undo = Undo::new(error, self.paths.clone());
        let first = undo.step();
        self.step = Step::Undo(undo);
        first
    }
}
