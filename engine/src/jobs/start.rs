//! Starting: what databases are there?
//!
//! ```text
//! read catalog
//!   whole      -> make db, where it is missing
//!                 ask every folder in db that it does not name for its id and its epochs
//!   none, and nothing in db -> make db, removing one that is there; sync the data directory
//!   damaged, or none -> ask every folder in db that is not named by what is left of it for its id and its epochs,
//!                       and rebuild it
//!                       a damaged one is kept as catalog.damaged, for whoever wants to look
//! then, whatever was found, the catalog is written, before anybody is told of it
//! ```
//!
//! A folder is asked by the headers of its active and its next segment, and of a sealed one where those give no id; sealed
//! ones tell their epochs by their names.
//!
//! A folder that a whole catalog does not name is what a creation left that came to nothing. Or the catalog is an older one,
//! which a copy, a write gone astray or a lying sync brought back. The folder's id and epochs are not given again, lest
//! it be taken for part of another database; it is left where it is, and no error in it keeps anybody from starting. Numbers
//! far beyond those that were given are passed over: a folder that somebody put there must not use them up.
//!
//! What can be read need not be durable: the sync of its name may have failed, and then no later one has anything to
//! write for it. So the catalog is written again, under its name, and a `db` that no catalog vouches for is made again. A
//! catalog that was ever durable vouches for `db`, which was durable before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use docdb_protocol::{DatabaseId, DatabaseName, Error, ErrorCode};

use super::catalog_write::{damaged_path, path};
use crate::catalog::{CATALOG_BYTES_MAX, Catalog, Closed, Entry, Reach, Unreadable};
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::log::{DirectoryId, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentName};
use crate::options::Options;

/// One read of the catalog.
const CATALOG_READ_BYTES_MAX: u32 = 1024 * 1024;

/// Where the databases' folders are.
pub(crate) fn databases_path() -> DiskPath {
    DiskPath::root().join("db")
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    /// To be written before anything else.
    pub(crate) catalog: Catalog,
    /// Set when it was rebuilt: why, and what could not be read.
    pub(crate) rebuilt: Option<Error>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    step: Step,
    /// One page of a listing.
    names_max: u32,
    file: FileId,
    bytes: Vec<u8>,
    found: Option<Catalog>,
    /// Databases that are named by what is left of a damaged catalog.
    named: BTreeSet<DatabaseId>,
    /// Whether it is the catalog as it was read.
    is_whole: bool,
    /// How far what it does not know of can go.
    reach: Reach,
    lost: Option<Error>,
    /// Whether the folder of the databases was made just now, or cannot be made anew.
    is_made: bool,
    /// The last name of the last page.
    listed_to: Arc<str>,
    /// Those to be asked.
    folders: Vec<Arc<str>>,
    folder: usize,
    /// The segments of the folder; the last one is asked first.
    segments: Vec<(SegmentName, Arc<str>)>,
    /// Whether one of them told the folder's id.
    is_identified: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    OpenCatalog,
    ReadCatalog,
    MakeFolder,
    SyncRoot,
    ListFolders,
    /// It is empty, and its name may not be durable.
    RemoveFolder,
    ListFiles,
    OpenSegment,
    ReadHeader,
    KeepDamaged,
}

impl Start {
    pub(crate) fn new(options: &Options, io: &mut Io) -> (Start, DiskOp) {
        let file = io.new_file();
        let job = Start {
            step: Step::OpenCatalog,
            names_max: options.listed_names_max,
            file,
            bytes: Vec::new(),
            found: None,
            named: BTreeSet::new(),
            is_whole: false,
            reach: Reach::UNKNOWN,
            lost: None,
            is_made: false,
            listed_to: "".into(),
            folders: Vec::new(),
            folder: 0,
            segments: Vec::new(),
            is_identified: false,
        };
        (job, DiskOp::Open { file, path: path(), mode: OpenMode::Read })
    }

    pub(crate) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Started> {
        match (self.step, result) {
            (Step::OpenCatalog, Ok(_)) => self.read_catalog(),
            (Step::OpenCatalog, Err(error)) if error.kind == DiskErrorKind::NotFound => self.make_folder(),
            (Step::ReadCatalog, Ok(DiskReply::Data(data))) if !data.is_empty() => {
                self.bytes.extend_from_slice(data.as_slice());
                if self.bytes.len() as u64 > CATALOG_BYTES_MAX {
                    io.close(self.file);
                    return self.catalog_read(Err(Unreadable::Damaged(None)));
                }
                self.read_catalog()
            }
            (Step::ReadCatalog, Ok(_)) => {
                io.close(self.file);
                let read = Catalog::decode(&self.bytes);
                self.catalog_read(read)
            }
            (Step::MakeFolder, Err(error)) if error.kind != DiskErrorKind::Exists => {
                failed(ErrorCode::FileOpen, &databases_path(), &error)
            }
            (Step::MakeFolder, Ok(_)) => {
                self.is_made = true;
                self.go(Step::SyncRoot, DiskOp::SyncDirectory { path: DiskPath::root() })
            }
            (Step::MakeFolder, Err(_)) | (Step::SyncRoot, Ok(_)) => self.list_folders(),
            (Step::RemoveFolder, Ok(_)) => self.make_folder(),
            // Something is in it that no listing shows, or it is a mount point: then it is not we who made it.
            (Step::RemoveFolder, Err(error)) if error.kind == DiskErrorKind::Exists => {
                self.is_made = true;
                self.go(Step::SyncRoot, DiskOp::SyncDirectory { path: DiskPath::root() })
            }
            (Step::ListFolders, Ok(DiskReply::Names(names))) => {
                let more = self.listed(&names);
                self.keep_unknown(names);
                if more {
                    return self.list_folders();
                }
                if self.is_whole {
                    return self.ask_folder();
                }
                if self.folders.is_empty() && self.lost.is_none() && !self.is_made {
                    return self.go(Step::RemoveFolder, DiskOp::Unlink { path: databases_path() });
                }
                if !self.folders.is_empty() {
                    let missing = Error::new(ErrorCode::CatalogDamaged).file(path().as_str());
                    self.lost.get_or_insert(missing);
                }
                self.found.get_or_insert_with(Catalog::empty);
                self.ask_folder()
            }
            (Step::ListFiles, Ok(DiskReply::Names(names))) => {
                let more = self.listed(&names);
                self.keep_segments(names);
                if more {
                    return self.list_files();
                }
                self.segments.sort_unstable_by_key(|(name, _)| asked_late_to_early(*name));
                self.open_segment(io)
            }
            (Step::OpenSegment, Ok(_)) => {
                self.bytes.clear();
                self.read_header()
            }
            (Step::ReadHeader, Ok(DiskReply::Data(data))) => {
                self.bytes.extend_from_slice(data.as_slice());
                if !data.is_empty() && self.bytes.len() < SEGMENT_HEADER_BYTES {
                    return self.read_header();
                }
                io.close(self.file);
                match SegmentHeader::decode(&self.bytes) {
                    // Without a catalog nothing says which of the two this directory is, and to leave one out would give
                    // its names and ids away.
                    Some(header) if !self.is_whole && !self.is_of(header.directory) => {
                        let detail = "the catalog is lost, and this folder is of another data directory than the one before \
                                      it; move those out that do not belong here";
                        let path = self.folder_path();
                        Progress::Failed(Error::new(ErrorCode::CatalogDamaged).file(path.as_str()).detail(detail))
                    }
                    Some(header) => {
                        self.found_header(header);
                        self.open_segment(io)
                    }
                    // A catalog that leaves it out would give its name and id away.
                    None if SegmentHeader::is_newer(&self.bytes) && !self.is_whole => {
                        Progress::Failed(newer_format(&self.folder_path()))
                    }
                    None => self.open_segment(io),
                }
            }
            // A catalog that leaves out what could not be read would give its name and id away.
            (Step::ReadHeader, Err(error)) if !self.is_whole => {
                io.close(self.file);
                failed(ErrorCode::FileRead, &self.folder_path(), &error)
            }
            (Step::OpenSegment | Step::ListFiles, Err(error))
                if !self.is_whole
                    && matches!(
                        error.kind,
                        DiskErrorKind::Permission
                            | DiskErrorKind::Transient
                            | DiskErrorKind::Shortage
                            | DiskErrorKind::Gone
                            | DiskErrorKind::Io
                    ) =>
            {
                failed(ErrorCode::FileOpen, &self.folder_path(), &error)
            }
            (Step::ReadHeader, Ok(_) | Err(_)) => {
                io.close(self.file);
                self.open_segment(io)
            }
            (Step::ListFiles, Ok(_) | Err(_)) | (Step::OpenSegment, Err(_)) => self.open_segment(io),
            (Step::KeepDamaged, Err(error)) if error.kind != DiskErrorKind::NotFound => {
                failed(ErrorCode::FileOpen, &path(), &error)
            }
            (Step::KeepDamaged, Ok(_) | Err(_)) => {
                if self.lost.is_some() {
                    self.catalog().allow_for_unseen_starts();
                }
                self.done()
            }
            (Step::ListFolders, Ok(_) | Err(_)) if self.is_whole => self.ask_folder(),
            (Step::ListFolders, Ok(_)) => {
                failed(ErrorCode::FileRead, &databases_path(), &DiskError::new(DiskErrorKind::Io))
            }
            (Step::ListFolders, Err(error)) => failed(ErrorCode::FileRead, &databases_path(), &error),
            (Step::RemoveFolder, Err(error)) => failed(ErrorCode::FileOpen, &databases_path(), &error),
            (Step::OpenCatalog, Err(error)) => failed(ErrorCode::FileOpen, &path(), &error),
            (Step::ReadCatalog, Err(error)) => {
                io.close(self.file);
                failed(ErrorCode::FileRead, &path(), &error)
            }
            (Step::SyncRoot, Err(error)) => failed(ErrorCode::FileSync, &DiskPath::root(), &error),
        }
    }

    /// Ends with the operation that was in flight: what it left open is closed.
    pub(crate) fn abandon(&mut self, result: &DiskResult, io: &mut Io) {
        match (self.step, result) {
            (Step::OpenCatalog | Step::OpenSegment, Ok(_)) | (Step::ReadCatalog | Step::ReadHeader, _) => {
                io.close(self.file);
            }
            (Step::OpenCatalog | Step::OpenSegment, Err(_))
            | (
                Step::MakeFolder
                | Step::SyncRoot
                | Step::ListFolders
                | Step::RemoveFolder
                | Step::ListFiles
                | Step::KeepDamaged,
                _,
            ) => {}
        }
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Started> {
        self.step = step;
        Progress::Submit(op)
    }

    fn read_catalog(&mut self) -> Progress<Started> {
        let op = DiskOp::Read {
            file: self.file,
            offset: self.bytes.len() as u64,
            bytes: CATALOG_READ_BYTES_MAX,
            bulk: false,
        };
        self.go(Step::ReadCatalog, op)
    }

    /// What the catalog says; of one that is damaged, what is left of it.
    fn catalog_read(&mut self, read: Result<Catalog, Unreadable>) -> Progress<Started> {
        self.bytes.clear();
        match read {
            Ok(catalog) => {
                self.is_whole = true;
                self.reach = catalog.reach();
                self.found = Some(catalog);
            }
            Err(Unreadable::Newer) => return Progress::Failed(newer_format(&path())),
            Err(Unreadable::Damaged(left)) => {
                self.named = left.iter().flat_map(|left| left.entries.keys().copied()).collect();
                self.found = left.map(|left| *left);
                self.lost = Some(Error::new(ErrorCode::CatalogDamaged).file(path().as_str()));
            }
        }
        self.make_folder()
    }

    fn make_folder(&mut self) -> Progress<Started> {
        self.go(Step::MakeFolder, DiskOp::MakeDirectory { path: databases_path() })
    }

    fn list_folders(&mut self) -> Progress<Started> {
        self.list(Step::ListFolders, databases_path())
    }

    fn list(&mut self, step: Step, path: DiskPath) -> Progress<Started> {
        let after = Arc::clone(&self.listed_to);
        self.go(step, DiskOp::List { path, after, limit: self.names_max })
    }

    /// Takes note of a page. Says whether there may be another.
    fn listed(&mut self, names: &[Arc<str>]) -> bool {
        if let Some(last) = names.last() {
            self.listed_to = Arc::clone(last);
        }
        names.len() as u64 == u64::from(self.names_max)
    }

    /// Of these folders, those that the catalog does not name are asked.
    fn keep_unknown(&mut self, names: Vec<Arc<str>>) {
        let entries = self.found.iter().flat_map(|catalog| catalog.entries.values());
        let known: BTreeSet<&str> = entries.map(|entry| entry.name.as_str()).collect();
        self.folders.extend(names.into_iter().filter(|name| !known.contains(&**name)));
    }

    fn done(&mut self) -> Progress<Started> {
        let catalog = self.found.take().expect("set before the first folder is asked");
        Progress::Done(Started { catalog, rebuilt: self.lost.take() })
    }

    fn list_files(&mut self) -> Progress<Started> {
        let Some(folder) = self.folders.get(self.folder) else {
            if self.is_whole {
                return self.done();
            }
            let keep = DiskOp::Rename { from: path(), to: damaged_path(), replace: true };
            return self.go(Step::KeepDamaged, keep);
        };
        let path = databases_path().join(folder);
        self.list(Step::ListFiles, path)
    }

    fn folder_path(&self) -> DiskPath {
        self.folders.get(self.folder).map_or_else(databases_path, |folder| databases_path().join(folder))
    }

    fn next_folder(&mut self) -> Progress<Started> {
        self.folder += 1;
        self.ask_folder()
    }

    /// Begins with a folder, if there is one left.
    fn ask_folder(&mut self) -> Progress<Started> {
        self.listed_to = "".into();
        self.segments.clear();
        self.is_identified = false;
        self.list_files()
    }

    /// Of these files, those that may be segments are asked.
    fn keep_segments(&mut self, names: Vec<Arc<str>>) {
        let Ok(database) = DatabaseName::parse(&self.folders[self.folder]) else { return };
        for file in names {
            match SegmentName::parse(&database, &file) {
                Some(name @ SegmentName::Sealed(epoch)) => {
                    self.found_epoch(epoch);
                    self.segments.push((name, file));
                }
                Some(name @ (SegmentName::Active | SegmentName::Next)) => self.segments.push((name, file)),
                Some(SegmentName::Spare) | None => {}
            }
        }
    }

    /// Opens the next segment of this folder that has something to tell.
    fn open_segment(&mut self, io: &mut Io) -> Progress<Started> {
        match self.segments.pop() {
            // It has told its epoch.
            Some((SegmentName::Sealed(_), _)) if self.is_identified => self.next_folder(),
            Some((_, file)) => {
                self.file = io.new_file();
                let path = self.folder_path().join(&file);
                self.go(Step::OpenSegment, DiskOp::Open { file: self.file, path, mode: OpenMode::Read })
            }
            None => self.next_folder(),
        }
    }

    fn read_header(&mut self) -> Progress<Started> {
        let offset = self.bytes.len();
        let bytes = u32::try_from(SEGMENT_HEADER_BYTES - offset).expect("at most 4096");
        self.go(Step::ReadHeader, DiskOp::Read { file: self.file, offset: offset as u64, bytes, bulk: false })
    }

    fn found_epoch(&mut self, epoch: u64) {
        if self.reach.has_epoch(epoch) {
            self.catalog().found_epoch(epoch);
        }
    }

    /// Whether this may be the data directory of a segment: what is known of it says nothing else.
    fn is_of(&mut self, directory: DirectoryId) -> bool {
        let known = self.catalog().directory;
        known == DirectoryId::NONE || known == directory
    }

    fn found_header(&mut self, header: SegmentHeader) {
        // What was put here from another data directory says nothing of this one.
        if !self.is_of(header.directory) {
            return;
        }
        self.catalog().found_directory(header.directory);
        self.found_epoch(header.epoch);
        if std::mem::replace(&mut self.is_identified, true) {
            return;
        }
        if self.reach.has_id(header.database) {
            self.catalog().found_id(header.database);
        }
        if !self.is_whole && !self.named.contains(&header.database) {
            let name = DatabaseName::parse(&self.folders[self.folder]).expect("only then files of it are kept");
            let entry = Entry { name, created_at: header.created_at, closed: Closed::default() };
            self.catalog().insert(header.database, entry);
        }
    }

    fn catalog(&mut self) -> &mut Catalog {
        self.found.as_mut().expect("set before the first folder is asked")
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

fn failed(code: ErrorCode, path: &DiskPath, error: &DiskError) -> Progress<Started> {
    Progress::Failed(disk_error(code, path, error))
}
