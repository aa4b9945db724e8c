//! Making the folder and first segment of a new database.
//!
//! ```text
//! make db/NAME                      a folder that is there may be left of a creation that the catalog never named:
//!                                   its file and the folder are removed, and the folder is made anew
//! create NAME.wal, zero-fill, write its header, sync it
//! sync db/NAME, sync db             every directory up to the data directory
//! ```
//!
//! Only then may the catalog name the database. A folder that the catalog does not name and that
//! holds more than a creation leaves is not touched: it may be somebody's data. A failure removes what was made.
//!
//! A folder that was left is never used: the sync of its name may have failed, and then no later one has anything to
//! write for it. Only a name that this job gave is known to be durable once it was synced.

use docdb_protocol::{DatabaseName, Error, ErrorCode};

use super::new_segment::{Made, written};
use super::paths::databases_path;
use super::undo::Undo;
use crate::buffer::Buffer;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode, SECTOR_BYTES};
use crate::io::{DiskResult, Progress, disk_error};
use crate::log::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName, active};
use crate::options::Options;

/// A creation leaves one file. Two names are asked for, so that a second file is noticed.
const LEFTOVERS_MAX: u32 = 2;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub(crate) header: SegmentHeader,
    name: DatabaseName,
    directory: DiskPath,
    made: Made,
    /// For the new file, when the first id was spent on looking at what was left.
    second_file: FileId,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    MakeDirectory,
    /// The folder that was left is removed.
    MakeDirectoryAnew,
    ListLeftovers,
    OpenLeftover,
    ReadLeftover,
    CloseLeftover {
        is_unused: bool,
    },
    UnlinkLeftover,
    RemoveDirectory,
    CreateFile,
    Allocate,
    WriteHeader,
    SyncFile,
    /// The file's name.
    SyncFolder,
    /// The folder's name.
    SyncParent,
    /// After a failure, with the file still open if it ever was.
    Undo {
        undo: Undo,
        is_open: bool,
    },
}

impl Create {
    pub(crate) fn new(
        header: SegmentHeader,
        name: DatabaseName,
        files: [FileId; 2],
        options: &Options,
    ) -> (Create, DiskOp) {
        let directory = databases_path().join(name.as_str());
        let [file, second_file] = files;
        let made = Made { file, file_bytes: options.segment_bytes_min };
        let first = DiskOp::MakeDirectory { path: directory.clone() };
        let job = Create { header, name, directory, made, second_file, step: Step::MakeDirectory };
        (job, first)
    }

    /// The file to close when the job has failed, if it is open.
    pub(crate) fn opened(&self) -> Option<FileId> {
        match self.step {
            Step::MakeDirectory
            | Step::MakeDirectoryAnew
            | Step::ListLeftovers
            | Step::OpenLeftover
            | Step::CloseLeftover { .. }
            | Step::UnlinkLeftover
            | Step::RemoveDirectory
            | Step::CreateFile
            | Step::Undo { is_open: false, .. } => None,
            Step::ReadLeftover
            | Step::Undo { is_open: true, .. }
            | Step::Allocate
            | Step::WriteHeader
            | Step::SyncFile
            | Step::SyncFolder
            | Step::SyncParent => Some(self.made.file),
        }
    }

    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<Made> {
        match result {
            Ok(reply) => self.done(reply),
            Err(error) => self.not_done(&error),
        }
    }

    /// The operation of the step was carried out.
    fn done(&mut self, reply: DiskReply) -> Progress<Made> {
        let file = self.made.file;
        match &mut self.step {
            Step::MakeDirectory | Step::MakeDirectoryAnew => self.create_file(),
            Step::ListLeftovers => self.leftovers_listed(reply),
            Step::OpenLeftover => self.read_leftover(),
            Step::ReadLeftover => self.leftover_read(reply),
            Step::CloseLeftover { is_unused: true } => self.unlink_leftover(),
            Step::CloseLeftover { is_unused: false } => self.refused(),
            Step::UnlinkLeftover => self.remove_directory(),
            Step::RemoveDirectory => {
                self.go(Step::MakeDirectoryAnew, DiskOp::MakeDirectory { path: self.directory.clone() })
            }
            Step::CreateFile => {
                self.go(Step::Allocate, DiskOp::Allocate { file, offset: 0, bytes: self.made.file_bytes })
            }
            Step::Allocate => {
                let buffers = vec![Buffer::from(self.header.encode())];
                self.go(Step::WriteHeader, DiskOp::Write { file, offset: 0, buffers })
            }
            Step::WriteHeader => match written(&reply, SEGMENT_HEADER_BYTES as u64) {
                Ok(()) => self.go(Step::SyncFile, DiskOp::Sync { file }),
                Err(error) => self.failed(ErrorCode::FileWrite, &error),
            },
            Step::SyncFile => self.go(Step::SyncFolder, DiskOp::SyncDirectory { path: self.directory.clone() }),
            Step::SyncFolder => self.go(Step::SyncParent, DiskOp::SyncDirectory { path: databases_path() }),
            Step::SyncParent => Progress::Done(self.made),
            Step::Undo { undo, .. } => undo.step(),
        }
    }

    /// The operation of the step failed.
    fn not_done(&mut self, error: &DiskError) -> Progress<Made> {
        match &mut self.step {
            Step::MakeDirectory if error.kind == DiskErrorKind::Exists => self.list_leftovers(),
            Step::MakeDirectory
            | Step::MakeDirectoryAnew
            | Step::OpenLeftover
            | Step::CloseLeftover { .. }
            | Step::UnlinkLeftover
            | Step::RemoveDirectory
            | Step::CreateFile => self.failed(ErrorCode::FileOpen, error),
            Step::ListLeftovers | Step::ReadLeftover => self.failed(ErrorCode::FileRead, error),
            Step::Allocate | Step::WriteHeader => self.failed(ErrorCode::FileWrite, error),
            Step::SyncFile | Step::SyncFolder | Step::SyncParent => self.failed(ErrorCode::FileSync, error),
            Step::Undo { undo, .. } => undo.step(),
        }
    }

    fn list_leftovers(&mut self) -> Progress<Made> {
        let list = DiskOp::List { path: self.directory.clone(), after: "".into(), limit: LEFTOVERS_MAX };
        self.go(Step::ListLeftovers, list)
    }

    fn leftovers_listed(&mut self, reply: DiskReply) -> Progress<Made> {
        let DiskReply::Names(names) = reply else { return self.no_answer() };
        match names.as_slice() {
            [] => self.remove_directory(),
            [name] if SegmentName::parse(&self.name, name) == Some(SegmentName::Active) => {
                let path = self.directory.join(name);
                self.go(Step::OpenLeftover, DiskOp::Open { file: self.made.file, path, mode: OpenMode::Read })
            }
            [..] => self.refused(),
        }
    }

    /// Where its first batch would stand, a segment that was never used holds zeros.
    fn read_leftover(&mut self) -> Progress<Made> {
        let offset = SEGMENT_HEADER_BYTES as u64;
        let bytes = u32::try_from(SECTOR_BYTES).expect("512");
        self.go(Step::ReadLeftover, DiskOp::Read { file: self.made.file, offset, bytes, bulk: false })
    }

    fn leftover_read(&mut self, reply: DiskReply) -> Progress<Made> {
        let DiskReply::Data(data) = reply else { return self.no_answer() };
        let is_unused = data.as_slice().iter().all(|byte| *byte == 0);
        self.go(Step::CloseLeftover { is_unused }, DiskOp::Close { file: self.made.file })
    }

    fn unlink_leftover(&mut self) -> Progress<Made> {
        self.made.file = self.second_file;
        let path = self.directory.join(&active(&self.name));
        self.go(Step::UnlinkLeftover, DiskOp::Unlink { path })
    }

    /// The disk answered something else than was asked.
    fn no_answer(&mut self) -> Progress<Made> {
        self.failed(ErrorCode::FileRead, &DiskError::new(DiskErrorKind::Io))
    }

    /// Refuses a folder that may hold somebody's data, and does not touch it.
    fn refused(&self) -> Progress<Made> {
        let detail = "the folder holds files of a database that the catalog does not know; move it away";
        Progress::Failed(Error::new(ErrorCode::FileOpen).file(self.directory.as_str()).detail(detail))
    }

    fn remove_directory(&mut self) -> Progress<Made> {
        self.go(Step::RemoveDirectory, DiskOp::Unlink { path: self.directory.clone() })
    }

    fn create_file(&mut self) -> Progress<Made> {
        let path = self.directory.join(&active(&self.name));
        self.go(Step::CreateFile, DiskOp::Open { file: self.made.file, path, mode: OpenMode::CreateNew })
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Made> {
        self.step = step;
        Progress::Submit(op)
    }

    fn failed(&mut self, code: ErrorCode, error: &DiskError) -> Progress<Made> {
        let error = disk_error(code, &self.directory, error);
        let made = match self.step {
            Step::MakeDirectory
            | Step::MakeDirectoryAnew
            | Step::ListLeftovers
            | Step::OpenLeftover
            | Step::ReadLeftover
            | Step::CloseLeftover { .. }
            | Step::UnlinkLeftover
            | Step::RemoveDirectory
            | Step::Undo { .. } => Vec::new(),
            Step::CreateFile => vec![self.directory.clone()],
            Step::Allocate | Step::WriteHeader | Step::SyncFile | Step::SyncFolder | Step::SyncParent => {
                vec![self.directory.clone(), self.directory.join(&active(&self.name))]
            }
        };
        let mut undo = Undo::new(error, made);
        let first = undo.step();
        self.step = Step::Undo { undo, is_open: self.opened().is_some() };
        first
    }
}
