//! Starting: what databases are there?
//!
//! ```text
//! read catalog
//!   whole      -> make db, where it is missing
//!                 ask every folder in db that it does not name for its id and its epochs
//!   none, and nothing in db -> make db, removing one that is there; sync the data directory
//!   damaged, or none -> ask every folder in db that is not named by what is left of it for its id and its epochs,
//!                       and rebuild it
//!                       a damaged one is kept as catalog.damaged, for an engineer who wants to look
//! then, whatever was found, the catalog is written, before any client is answered from it
//! ```
//!
//! `ask_folders` asks the folders, and `known` is what the start knows by then.
//!
//! A folder that a whole catalog does not name is what a creation left that came to nothing. Or the catalog is an older one,
//! which a copy, a write gone astray or a lying sync brought back. The folder's id and epochs are not given again, lest
//! it be taken for part of another database; it is left where it is, and no error in it keeps anybody from starting.
//!
//! What can be read need not be durable: the sync of its name may have failed, and then no later one has anything to
//! write for it. So the catalog is written again, under its name, and a `db` that no catalog vouches for is made again. A
//! catalog that was ever durable vouches for `db`, which was durable before it.

mod ask_folders;
mod known;

use std::sync::Arc;

use docdb_protocol::{Error, ErrorCode};

use super::listing::{Listing, Page};
use super::paths::{catalog_path, damaged_catalog_path, databases_path};
use crate::catalog::{CATALOG_BYTES_MAX, Catalog, Unreadable};
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpenMode};
use crate::io::{DiskResult, Io, Progress, disk_error, newer_format};
use crate::options::Options;
use ask_folders::AskFolders;
use known::Known;

/// One read of the catalog.
const CATALOG_READ_BYTES_MAX: u32 = 1024 * 1024;

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
    known: Known,
    /// Whether the folder of the databases was made just now, or cannot be made anew.
    is_made: bool,
    /// Folders that the catalog does not name.
    folders: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
enum Step {
    OpenCatalog(FileId),
    ReadCatalog {
        file: FileId,
        bytes: Vec<u8>,
    },
    MakeFolder,
    SyncRoot,
    ListFolders(Listing),
    /// It is empty, and its name may not be durable.
    RemoveFolder,
    AskFolders(Box<AskFolders>),
    KeepDamaged,
}

impl Start {
    pub(crate) fn new(options: &Options, io: &mut Io) -> (Start, DiskOp) {
        let file = io.new_file();
        let job = Start {
            step: Step::OpenCatalog(file),
            names_max: options.listed_names_max,
            known: Known::nothing(),
            is_made: false,
            folders: Vec::new(),
        };
        (job, DiskOp::Open { file, path: catalog_path(), mode: OpenMode::Read })
    }

    pub(crate) fn step(&mut self, result: DiskResult, io: &mut Io) -> Progress<Started> {
        match &mut self.step {
            Step::OpenCatalog(file) => {
                let file = *file;
                self.catalog_opened(file, result)
            }
            Step::ReadCatalog { file, bytes } => {
                let (file, bytes) = (*file, std::mem::take(bytes));
                self.catalog_read(file, bytes, result, io)
            }
            Step::MakeFolder => self.folder_made(result),
            Step::SyncRoot => self.root_synced(result),
            Step::ListFolders(listing) => {
                let page = listing.step(result);
                self.folders_listed(page)
            }
            Step::RemoveFolder => self.folder_removed(result),
            Step::AskFolders(job) => match job.step(result, &mut self.known, io) {
                Progress::Submit(op) => Progress::Submit(op),
                Progress::Done(()) => self.folders_asked(),
                Progress::Failed(error) => Progress::Failed(error),
            },
            Step::KeepDamaged => self.damaged_kept(result),
        }
    }

    /// Ends with the operation that was in flight: what it left open is closed.
    pub(crate) fn abandon(&mut self, result: &DiskResult, io: &mut Io) {
        match (&self.step, result) {
            (Step::OpenCatalog(file), Ok(_)) | (Step::ReadCatalog { file, .. }, Ok(_) | Err(_)) => io.close(*file),
            (Step::AskFolders(job), result) => job.abandon(result, io),
            (Step::OpenCatalog(_), Err(_))
            | (
                Step::MakeFolder | Step::SyncRoot | Step::ListFolders(_) | Step::RemoveFolder | Step::KeepDamaged,
                Ok(_) | Err(_),
            ) => {}
        }
    }

    fn go(&mut self, step: Step, op: DiskOp) -> Progress<Started> {
        self.step = step;
        Progress::Submit(op)
    }

    fn catalog_opened(&mut self, file: FileId, result: DiskResult) -> Progress<Started> {
        match result {
            Ok(_) => self.read_catalog(file, Vec::new()),
            Err(error) if error.kind == DiskErrorKind::NotFound => self.make_folder(),
            Err(error) => failed(ErrorCode::FileOpen, &catalog_path(), &error),
        }
    }

    fn read_catalog(&mut self, file: FileId, bytes: Vec<u8>) -> Progress<Started> {
        let offset = bytes.len() as u64;
        let op = DiskOp::Read { file, offset, bytes: CATALOG_READ_BYTES_MAX, bulk: false };
        self.go(Step::ReadCatalog { file, bytes }, op)
    }

    fn catalog_read(&mut self, file: FileId, mut bytes: Vec<u8>, result: DiskResult, io: &mut Io) -> Progress<Started> {
        let read = match result {
            Ok(DiskReply::Data(data)) if !data.is_empty() => {
                bytes.extend_from_slice(data.as_slice());
                if bytes.len() as u64 <= CATALOG_BYTES_MAX {
                    return self.read_catalog(file, bytes);
                }
                Err(Unreadable::Damaged(None))
            }
            Ok(_) => Catalog::decode(&bytes),
            Err(error) => {
                io.close(file);
                return failed(ErrorCode::FileRead, &catalog_path(), &error);
            }
        };
        io.close(file);
        self.known = match read {
            Ok(catalog) => Known::whole(catalog),
            Err(Unreadable::Newer) => return Progress::Failed(newer_format(&catalog_path())),
            Err(Unreadable::Damaged(left)) => Known::damaged(left.map(|left| *left)),
        };
        self.make_folder()
    }

    fn make_folder(&mut self) -> Progress<Started> {
        self.go(Step::MakeFolder, DiskOp::MakeDirectory { path: databases_path() })
    }

    fn folder_made(&mut self, result: DiskResult) -> Progress<Started> {
        match result {
            Ok(_) => self.sync_root(),
            Err(error) if error.kind == DiskErrorKind::Exists => self.list_folders(),
            Err(error) => failed(ErrorCode::FileOpen, &databases_path(), &error),
        }
    }

    /// The folder stays as it is now.
    fn sync_root(&mut self) -> Progress<Started> {
        self.is_made = true;
        self.go(Step::SyncRoot, DiskOp::SyncDirectory { path: DiskPath::root() })
    }

    fn root_synced(&mut self, result: DiskResult) -> Progress<Started> {
        match result {
            Ok(_) => self.list_folders(),
            Err(error) => failed(ErrorCode::FileSync, &DiskPath::root(), &error),
        }
    }

    fn list_folders(&mut self) -> Progress<Started> {
        let (listing, first) = Listing::new(databases_path(), self.names_max);
        self.go(Step::ListFolders(listing), first)
    }

    fn folders_listed(&mut self, page: Result<Page, DiskError>) -> Progress<Started> {
        match page {
            Ok(Page { names, more }) => {
                self.keep_unknown(names);
                match more {
                    Some(op) => Progress::Submit(op),
                    None => self.all_folders_listed(),
                }
            }
            Err(_) if self.known.is_whole => self.ask_folders(),
            Err(error) => failed(ErrorCode::FileRead, &databases_path(), &error),
        }
    }

    /// Of these folders, keeps those that the catalog does not name.
    fn keep_unknown(&mut self, names: Vec<Arc<str>>) {
        let catalog = &self.known.catalog;
        self.folders.extend(names.into_iter().filter(|name| !catalog.has_name(name)));
    }

    fn all_folders_listed(&mut self) -> Progress<Started> {
        if self.known.is_whole {
            return self.ask_folders();
        }
        if self.folders.is_empty() && self.known.lost.is_none() && !self.is_made {
            return self.go(Step::RemoveFolder, DiskOp::Unlink { path: databases_path() });
        }
        if !self.folders.is_empty() {
            self.known.has_lost_a_catalog();
        }
        self.ask_folders()
    }

    fn folder_removed(&mut self, result: DiskResult) -> Progress<Started> {
        match result {
            Ok(_) => self.make_folder(),
            // Something is in it that no listing shows, or it is a mount point: then DocDB did not make it.
            Err(error) if error.kind == DiskErrorKind::Exists => self.sync_root(),
            Err(error) => failed(ErrorCode::FileOpen, &databases_path(), &error),
        }
    }

    fn ask_folders(&mut self) -> Progress<Started> {
        match AskFolders::new(std::mem::take(&mut self.folders), self.names_max) {
            Some((job, first)) => self.go(Step::AskFolders(Box::new(job)), first),
            None => self.folders_asked(),
        }
    }

    fn folders_asked(&mut self) -> Progress<Started> {
        if self.known.is_whole {
            return self.done();
        }
        let keep = DiskOp::Rename { from: catalog_path(), to: damaged_catalog_path(), replace: true };
        self.go(Step::KeepDamaged, keep)
    }

    fn damaged_kept(&mut self, result: DiskResult) -> Progress<Started> {
        match result {
            Err(error) if error.kind != DiskErrorKind::NotFound => failed(ErrorCode::FileOpen, &catalog_path(), &error),
            Ok(_) | Err(_) => {
                if self.known.lost.is_some() {
                    self.known.catalog.allow_for_unseen_starts();
                }
                self.done()
            }
        }
    }

    fn done(&mut self) -> Progress<Started> {
        let known = std::mem::replace(&mut self.known, Known::nothing());
        Progress::Done(Started { catalog: known.catalog, rebuilt: known.lost })
    }
}

fn failed(code: ErrorCode, path: &DiskPath, error: &DiskError) -> Progress<Started> {
    Progress::Failed(disk_error(code, path, error))
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{DatabaseId, DatabaseName};

    use super::*;
    use crate::buffer::Buffer;
    use crate::catalog::{Closed, Entry};
    use crate::clock::WallTime;

    /// The folders in `db`, listed three at a time, beside a catalog that names all but the second and the last.
    #[test]
    fn only_folders_that_the_catalog_does_not_name_are_asked() {
        let names: Vec<Arc<str>> = (0..8).map(|number| format!("d{number}").into()).collect();
        let mut catalog = Catalog::empty();
        for (number, name) in (1..).zip(&names).filter(|(number, _)| ![2, 8].contains(number)) {
            let name = DatabaseName::parse(name).unwrap();
            let entry = Entry { name, created_at: WallTime(0), closed: Closed::default() };
            catalog.insert(DatabaseId::new(number).unwrap(), entry);
        }
        let (bytes, mut io) = (catalog.encode(), Io::default());
        let options = Options { listed_names_max: 3, ..Options::default() };
        let (mut job, mut op) = Start::new(&options, &mut io);
        let mut asked = Vec::new();
        loop {
            let result = match op {
                DiskOp::Read { offset, .. } => {
                    let rest = bytes[usize::try_from(offset).unwrap()..].to_vec();
                    Ok(DiskReply::Data(Buffer::from(rest)))
                }
                DiskOp::MakeDirectory { .. } => Err(DiskError::new(DiskErrorKind::Exists)),
                DiskOp::List { path, after, .. } if path == databases_path() => {
                    let page = names.iter().filter(|name| ***name > *after).take(3);
                    Ok(DiskReply::Names(page.cloned().collect()))
                }
                DiskOp::List { path, .. } => {
                    asked.push(path.name().to_owned());
                    Ok(DiskReply::Names(Vec::new()))
                }
                _ => Ok(DiskReply::Done),
            };
            match job.step(result, &mut io) {
                Progress::Submit(next) => op = next,
                Progress::Done(_) => break,
                Progress::Failed(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(asked, ["d1", "d7"]);
    }
}
