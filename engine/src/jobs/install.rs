//! Naming new tables: the first copy of the metadata, the manifest.
//!
//! ```text
//! sync the directory                   the tables' names are durable before anything names them
//! unlink NAME.manifest.new             an attempt that failed may have left one
//! create NAME.manifest.new; write; sync
//! rename it to NAME.manifest           from here on the job only goes forward
//! sync the directory                   the first copy is durable
//! ```
//!
//! A failure before the rename removes what was made. Behind it nothing is removed: which manifest a crash leaves is unknown, so
//! the tables that either names stay.
//!
//! No other job syncs this directory meanwhile: one that failed would take these names along.

use docdb_protocol::{Error, ErrorCode};

use super::new_segment::written;
use super::opening::Subject;
use super::undo::Undo;
use crate::buffer::Buffer;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error};
use crate::metadata::{Manifest, Metadata, manifest, new_manifest};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    subject: Subject,
    metadata: Box<Metadata>,
    /// The tables' files.
    tables: Vec<DiskPath>,
    file: FileId,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    SyncNames,
    UnlinkStale,
    Create,
    Write {
        bytes: u64,
    },
    /// A manifest takes its name only once it is durable.
    Sync,
    Rename,
    /// The last one: the log may be trimmed on the strength of this name, and of the record that follows.
    SyncRenamed,
    /// After a failure before the rename.
    Undo(Undo),
}

impl Install {
    pub(crate) fn new(
        subject: Subject,
        metadata: Box<Metadata>,
        tables: Vec<DiskPath>,
        file: FileId,
    ) -> (Install, DiskOp) {
        let path = subject.directory.clone();
        (Install { subject, metadata, tables, file, step: Step::SyncNames }, DiskOp::SyncDirectory { path })
    }

    pub(crate) fn into_metadata(self) -> Box<Metadata> {
        self.metadata
    }

    pub(crate) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<()> {
        let file = self.file;
        match (&mut self.step, result) {
            (Step::Undo(undo), Ok(_) | Err(_)) => undo.step(),
            (Step::SyncNames, Ok(_)) => {
                self.step = Step::UnlinkStale;
                Progress::Submit(DiskOp::Unlink { path: self.new_path() })
            }
            (Step::UnlinkStale, Err(error)) if error.kind != DiskErrorKind::NotFound => {
                self.failed(ErrorCode::FileOpen, &error)
            }
            (Step::UnlinkStale, Ok(_) | Err(_)) => {
                self.step = Step::Create;
                Progress::Submit(DiskOp::Open { file, path: self.new_path(), mode: OpenMode::CreateNew })
            }
            (Step::Create, Ok(_)) => {
                let bytes = Manifest::encode(io.directory(), &self.metadata);
                self.step = Step::Write { bytes: bytes.len() as u64 };
                Progress::Submit(DiskOp::Write { file, offset: 0, buffers: vec![Buffer::from(bytes)] })
            }
            (Step::Write { bytes }, Ok(reply)) => match written(&reply, *bytes) {
                Ok(()) => {
                    self.step = Step::Sync;
                    Progress::Submit(DiskOp::Sync { file })
                }
                Err(error) => self.failed_open(ErrorCode::FileWrite, &error, io),
            },
            (Step::Sync, Ok(_)) => {
                io.close(file);
                let (from, to) = (self.new_path(), self.path());
                self.step = Step::Rename;
                Progress::Submit(DiskOp::Rename { from, to, replace: true })
            }
            (Step::Rename, Ok(_)) => {
                self.step = Step::SyncRenamed;
                Progress::Submit(DiskOp::SyncDirectory { path: self.subject.directory.clone() })
            }
            (Step::SyncRenamed, Ok(_)) => Progress::Done(()),
            (Step::SyncNames, Err(error)) => self.failed(ErrorCode::FileSync, &error),
            (Step::Create, Err(error)) => self.failed(ErrorCode::FileOpen, &error),
            (Step::Write { .. }, Err(error)) => self.failed_open(ErrorCode::FileWrite, &error, io),
            (Step::Sync, Err(error)) => self.failed_open(ErrorCode::FileSync, &error, io),
            // Nobody knows which manifest counts now, so nothing is undone.
            (Step::Rename, Err(error)) => Progress::Failed(self.error(ErrorCode::FileOpen, &error)),
            (Step::SyncRenamed, Err(error)) => Progress::Failed(self.error(ErrorCode::FileSync, &error)),
        }
    }

    /// Closes the file where it is open: the job stops here, and undoes nothing.
    pub(crate) fn stop(self, step_succeeded: bool, io: &mut Io) {
        match self.step {
            Step::Create if !step_succeeded => {}
            Step::Create | Step::Write { .. } | Step::Sync => io.close(self.file),
            Step::SyncNames | Step::UnlinkStale | Step::Rename | Step::SyncRenamed | Step::Undo(_) => {}
        }
    }

    fn path(&self) -> DiskPath {
        self.subject.directory.join(&manifest(&self.subject.name))
    }

    fn new_path(&self) -> DiskPath {
        self.subject.directory.join(&new_manifest(&self.subject.name))
    }

    fn error(&self, code: ErrorCode, error: &DiskError) -> Error {
        disk_error(code, &self.path(), error).database(self.subject.name.as_str())
    }

    fn failed_open(&mut self, code: ErrorCode, error: &DiskError, io: &mut Io) -> Progress<()> {
        io.close(self.file);
        self.failed(code, error)
    }

    fn failed(&mut self, code: ErrorCode, error: &DiskError) -> Progress<()> {
        let error = self.error(code, error);
        let mut paths = std::mem::take(&mut self.tables);
        paths.push(self.new_path());
        let mut undo = Undo::new(error, paths);
        let first = undo.step();
        self.step = Step::Undo(undo);
        first
    }
}
