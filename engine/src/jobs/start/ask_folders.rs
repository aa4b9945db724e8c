//! Asking folders that the catalog does not name for their ids and their epochs.
//!
//! ```text
//! list the folder; a sealed segment's name gives its epoch
//! read the headers of the active segment and of the next one
//! where those give no id: of sealed ones, the newest first
//! ```
//!
//! It changes nothing, and has one file open at a time. Beside a whole catalog no error keeps anybody from starting. Without
//! one, a folder that cannot be read ends the start: a catalog that leaves it out would give its name and id away.

use std::sync::Arc;
use std::vec;

use docdb_protocol::{DatabaseName, Error, ErrorCode};

use super::known::Known;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::jobs::listing::{Listing, Page};
use crate::jobs::paths::databases_path;
use crate::jobs::read_header::{Head, ReadHeader, Reading};
use crate::log::{SegmentHeader, SegmentName};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct AskFolders {
    /// One page of a listing.
    names_max: u32,
    /// Those that come next.
    folders: vec::IntoIter<Arc<str>>,
    folder: Folder,
    step: Step,
}

/// The folder at hand.
#[derive(Clone, Debug)]
struct Folder {
    path: DiskPath,
    /// `None` when no database can have its name: then none of its files is a segment.
    database: Option<DatabaseName>,
    /// Its segments; the last one is asked first.
    segments: Vec<(SegmentName, Arc<str>)>,
    /// Whether one of them gave the folder's id.
    is_identified: bool,
}

#[derive(Clone, Debug)]
enum Step {
    List(Listing),
    Open(FileId),
    ReadHeader(ReadHeader),
}

impl AskFolders {
    /// Begins with the first folder; `None` when there is none.
    pub(super) fn new(folders: Vec<Arc<str>>, names_max: u32) -> Option<(AskFolders, DiskOp)> {
        let mut folders = folders.into_iter();
        let folder = Folder::new(&folders.next()?);
        let (listing, first) = Listing::new(folder.path.clone(), names_max);
        Some((AskFolders { names_max, folders, folder, step: Step::List(listing) }, first))
    }

    pub(super) fn step(&mut self, result: DiskResult, known: &mut Known, io: &mut Io) -> Progress<()> {
        match &mut self.step {
            Step::List(listing) => {
                let page = listing.step(result);
                self.listed(page, known, io)
            }
            Step::Open(file) => {
                let file = *file;
                self.opened(file, result, known, io)
            }
            Step::ReadHeader(read) => match read.step(result) {
                Reading::More(op) => Progress::Submit(op),
                Reading::Ended(head) => {
                    io.close(read.file);
                    self.read(head, known, io)
                }
            },
        }
    }

    /// Ends with the operation that was in flight: what it left open is closed.
    pub(super) fn abandon(&self, result: &DiskResult, io: &mut Io) {
        match (&self.step, result) {
            (Step::Open(file), Ok(_)) => io.close(*file),
            (Step::ReadHeader(read), Ok(_) | Err(_)) => io.close(read.file),
            (Step::List(_), Ok(_) | Err(_)) | (Step::Open(_), Err(_)) => {}
        }
    }

    fn listed(&mut self, page: Result<Page, DiskError>, known: &mut Known, io: &mut Io) -> Progress<()> {
        match page {
            Ok(Page { names, more }) => {
                self.folder.keep_segments(names, known);
                if let Some(op) = more {
                    return Progress::Submit(op);
                }
                self.folder.segments.sort_unstable_by_key(|(name, _)| asked_late_to_early(*name));
                self.open_segment(io)
            }
            Err(error) if !known.is_whole && hides_a_folder(error.kind) => self.failed(ErrorCode::FileRead, &error),
            Err(_) => self.open_segment(io),
        }
    }

    fn opened(&mut self, file: FileId, result: DiskResult, known: &Known, io: &mut Io) -> Progress<()> {
        match result {
            Ok(_) => {
                let (read, first) = ReadHeader::new(file);
                self.step = Step::ReadHeader(read);
                Progress::Submit(first)
            }
            Err(error) if !known.is_whole && hides_a_folder(error.kind) => self.failed(ErrorCode::FileOpen, &error),
            Err(_) => self.open_segment(io),
        }
    }

    fn read(&mut self, head: Result<Head, DiskError>, known: &mut Known, io: &mut Io) -> Progress<()> {
        match head {
            // Without a catalog nothing says which of the two this directory is, and to leave one out would give its names
            // and ids away.
            Ok(Head::Header(header)) if !known.is_whole && !known.may_be(header.directory) => {
                let detail = "the catalog is lost, and this folder is of another data directory than the one before it; move \
                              those out that do not belong here";
                let path = self.folder.path.as_str();
                return Progress::Failed(Error::new(ErrorCode::CatalogDamaged).file(path).detail(detail));
            }
            Ok(Head::Header(header)) => self.folder.found_header(&header, known),
            Ok(Head::Newer) if !known.is_whole => return Progress::Failed(newer_format(&self.folder.path)),
            Err(error) if !known.is_whole => return self.failed(ErrorCode::FileRead, &error),
            Ok(Head::Newer | Head::Nothing) | Err(_) => {}
        }
        self.open_segment(io)
    }

    /// Opens the next segment of this folder that has something to say, or goes on to the next folder.
    fn open_segment(&mut self, io: &mut Io) -> Progress<()> {
        match self.folder.segments.pop() {
            // Its name gave its epoch.
            Some((SegmentName::Sealed(_), _)) if self.folder.is_identified => self.next_folder(),
            Some((_, name)) => {
                let (file, path) = (io.new_file(), self.folder.path.join(&name));
                self.step = Step::Open(file);
                Progress::Submit(DiskOp::Open { file, path, mode: OpenMode::Read })
            }
            None => self.next_folder(),
        }
    }

    fn next_folder(&mut self) -> Progress<()> {
        let Some(folder) = self.folders.next() else { return Progress::Done(()) };
        self.folder = Folder::new(&folder);
        let (listing, first) = Listing::new(self.folder.path.clone(), self.names_max);
        self.step = Step::List(listing);
        Progress::Submit(first)
    }

    fn failed(&self, code: ErrorCode, error: &DiskError) -> Progress<()> {
        Progress::Failed(disk_error(code, &self.folder.path, error))
    }
}

impl Folder {
    fn new(name: &str) -> Folder {
        let database = DatabaseName::parse(name).ok();
        Folder { path: databases_path().join(name), database, segments: Vec::new(), is_identified: false }
    }

    /// Of these files, keeps those that may be segments.
    fn keep_segments(&mut self, names: Vec<Arc<str>>, known: &mut Known) {
        let Some(database) = &self.database else { return };
        for file in names {
            match SegmentName::parse(database, &file) {
                Some(name @ SegmentName::Sealed(epoch)) => {
                    known.found_epoch(epoch);
                    self.segments.push((name, file));
                }
                Some(name @ (SegmentName::Active | SegmentName::Next)) => self.segments.push((name, file)),
                Some(SegmentName::Spare) | None => {}
            }
        }
    }

    fn found_header(&mut self, header: &SegmentHeader, known: &mut Known) {
        // What was put here from another data directory says nothing of this one.
        if !known.may_be(header.directory) {
            return;
        }
        known.found_segment(header);
        if !std::mem::replace(&mut self.is_identified, true) {
            let name = self.database.as_ref().expect("only the files of a folder with a database's name are segments");
            known.found_database(name, header);
        }
    }
}

/// Whether an error may hide a database that is there.
fn hides_a_folder(kind: DiskErrorKind) -> bool {
    match kind {
        DiskErrorKind::Permission
        | DiskErrorKind::Transient
        | DiskErrorKind::Shortage
        | DiskErrorKind::Gone
        | DiskErrorKind::Io => true,
        DiskErrorKind::NotFound | DiskErrorKind::Exists | DiskErrorKind::NoSpace => false,
    }
}

/// The active segment is known to be the database's; a next one may show what stood there before.
fn asked_late_to_early(name: SegmentName) -> (u8, u64) {
    match name {
        SegmentName::Sealed(epoch) => (0, epoch),
        SegmentName::Spare | SegmentName::Next => (1, 0),
        SegmentName::Active => (2, 0),
    }
}
