//! What an operation of the disk is about, for the judges that follow the engine's jobs by what they ask for: whose it is, and
//! which part of a log or of the catalog it touches.
//!
//! It follows the names under which files are made and which they get later, and keeps what is under way. It judges nothing.

use std::collections::BTreeMap;

use docdb_engine::{Completion, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};

use super::Tracked;

/// The part that an operation touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The first segment of a log, before anything is appended to it.
    Creating,
    /// The segment that batches are appended to.
    Active,
    /// The segment being made.
    Next,
    Spare,
    /// A table, or a manifest, that a checkpoint makes.
    Store,
    /// Anything else in a database's folder: what is read of it, and its names.
    Folder,
    NewCatalog,
    /// The catalog that this process wrote, behind which changes are appended.
    Journal,
    /// A catalog that was read and is put aside.
    DamagedCatalog,
    /// The directory of all databases, in which creations make their folders.
    Databases,
    /// Anything else in the data directory.
    Directory,
}

/// What an operation does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Create,
    /// Opening what is there, and what changes or lists names.
    Name,
    Remove,
    /// A rename: the file is what `part` says from now on.
    Become,
    Read,
    Allocate {
        until: u64,
    },
    Write {
        offset: u64,
        bytes: u64,
    },
    Sync,
    SyncNames,
    Close,
    FreeSpace,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    /// Which database; `None` for the data directory.
    pub(super) database: Option<usize>,
    pub(super) part: Part,
    pub(super) deed: Deed,
    pub(super) file: Option<FileId>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Well,
    /// What was to be removed is not there, or what was to be made is.
    AsGoodAsWell,
    Failed(DiskErrorKind),
    /// There is little space left.
    Short,
}

/// A device that may be filled says that it has less than this.
const SHORT_BYTES: u64 = 1 << 30;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Touches {
    files: BTreeMap<FileId, (Option<usize>, Part)>,
    in_flight: BTreeMap<OpId, Touch>,
}

impl Touches {
    /// The engine asks for an operation.
    pub(super) fn submitted(&mut self, id: OpId, op: &DiskOp, databases: &[Tracked]) -> Touch {
        let touch = self.touch(op, databases);
        match touch.deed {
            Deed::Create | Deed::Name if touch.file.is_some() => {
                self.files.extend(touch.file.map(|file| (file, (touch.database, touch.part))));
            }
            Deed::Close => drop(touch.file.map(|file| self.files.remove(&file))),
            Deed::Write { offset, .. } if touch.part == Part::Active && offset > 0 => {
                self.files.extend(touch.file.map(|file| (file, (touch.database, Part::Active))));
            }
            Deed::Become => {
                let before = match touch.part {
                    Part::Next => Part::Spare,
                    Part::Active => Part::Next,
                    _ => Part::NewCatalog,
                };
                let renamed = self.files.values_mut().filter(|file| **file == (touch.database, before));
                renamed.for_each(|file| file.1 = touch.part);
            }
            _ => {}
        }
        self.in_flight.insert(id, touch);
        touch
    }

    /// The engine hears of a completion.
    pub(super) fn delivered(&mut self, completion: &Completion) -> Option<(Touch, End)> {
        let touch = self.in_flight.remove(&completion.id)?;
        let end = match (&completion.result, touch.deed) {
            (Ok(DiskReply::Written(written)), Deed::Write { bytes, .. }) if *written != bytes => {
                End::Failed(DiskErrorKind::Io)
            }
            (Ok(DiskReply::Space(bytes)), _) if *bytes < SHORT_BYTES => End::Short,
            (Ok(_), _) => End::Well,
            // What is to be read has to be there.
            (Err(error), deed)
                if deed != Deed::Read && matches!(error.kind, DiskErrorKind::NotFound | DiskErrorKind::Exists) =>
            {
                End::AsGoodAsWell
            }
            (Err(error), _) => End::Failed(error.kind),
        };
        Some((touch, end))
    }

    /// Whether anything of this database, or of the data directory, is under way; nobody waits for files to be closed.
    pub(super) fn is_busy(&self, database: Option<usize>) -> bool {
        self.in_flight.values().any(|touch| touch.database == database && touch.deed != Deed::Close)
    }

    /// Whether anything is under way for tables of a database.
    pub(super) fn is_busy_with_tables(&self, database: usize) -> bool {
        self.in_flight.values().any(|touch| {
            let is_of_tables = touch.part == Part::Store || matches!(touch.deed, Deed::SyncNames | Deed::Read);
            touch.database == Some(database) && touch.deed != Deed::Close && is_of_tables
        })
    }

    /// The same without what is done for a spare.
    pub(super) fn is_busy_beside_spares(&self, database: Option<usize>) -> bool {
        let counts = |touch: &Touch| touch.deed != Deed::Close && touch.part != Part::Spare;
        self.in_flight.values().any(|touch| touch.database == database && counts(touch))
    }

    fn touch(&self, op: &DiskOp, databases: &[Tracked]) -> Touch {
        let of_path = |path: &str, is_made: bool| part_of(path, is_made, databases);
        let of_file = |file: &FileId| self.files.get(file).copied().unwrap_or((None, Part::Directory));
        let (place, deed, file) = match op {
            DiskOp::Open { file, path, mode: OpenMode::CreateNew } => {
                (of_path(path.as_str(), true), Deed::Create, Some(*file))
            }
            DiskOp::Open { file, path, .. } => (of_path(path.as_str(), false), Deed::Name, Some(*file)),
            DiskOp::Close { file } => (of_file(file), Deed::Close, Some(*file)),
            DiskOp::Read { file, .. } | DiskOp::Length { file } => (of_file(file), Deed::Read, Some(*file)),
            DiskOp::Allocate { file, offset, bytes } => {
                (of_file(file), Deed::Allocate { until: offset + bytes }, Some(*file))
            }
            DiskOp::Write { file, offset, buffers } => {
                let bytes = buffers.iter().map(|buffer| buffer.len() as u64).sum();
                let (database, part) = of_file(file);
                let part = if part == Part::Creating && *offset > 0 { Part::Active } else { part };
                ((database, part), Deed::Write { offset: *offset, bytes }, Some(*file))
            }
            DiskOp::Sync { file } => (of_file(file), Deed::Sync, Some(*file)),
            DiskOp::List { path, .. } => (of_path(path.as_str(), false), Deed::Read, None),
            DiskOp::MakeDirectory { path } => (of_path(path.as_str(), false), Deed::Name, None),
            DiskOp::Unlink { path } => {
                let name = path.as_str();
                let (database, part) = of_path(name, true);
                let is_named = matches!(part, Part::Spare | Part::Next | Part::NewCatalog | Part::Store);
                ((database, if is_named { part } else { of_path(name, false).1 }), Deed::Remove, None)
            }
            DiskOp::Rename { from, to, .. } => {
                let (database, part) = of_path(to.as_str(), true);
                let before = of_path(from.as_str(), true).1;
                match (before, part) {
                    (Part::Spare, Part::Next) => ((database, Part::Next), Deed::Become, None),
                    (Part::Next, Part::Creating) => ((database, Part::Active), Deed::Become, None),
                    (Part::NewCatalog, Part::Directory) => ((database, Part::Journal), Deed::Become, None),
                    (Part::Store, Part::Store) => ((database, Part::Store), Deed::Name, None),
                    (_, Part::DamagedCatalog) => ((database, Part::DamagedCatalog), Deed::Name, None),
                    _ => (of_path(from.as_str(), false), Deed::Name, None),
                }
            }
            DiskOp::Link { from, .. } => (of_path(from.as_str(), false), Deed::Name, None),
            DiskOp::SyncDirectory { path } => (of_path(path.as_str(), false), Deed::SyncNames, None),
            DiskOp::FreeSpace => ((None, Part::Directory), Deed::FreeSpace, None),
        };
        Touch { database: place.0, part: place.1, deed, file }
    }
}

/// What a path names; `is_made` where a file comes to have it, or loses it.
fn part_of(path: &str, is_made: bool, databases: &[Tracked]) -> (Option<usize>, Part) {
    let Some(rest) = path.strip_prefix("db/") else {
        let part = match path {
            "catalog.new" if is_made => Part::NewCatalog,
            "catalog.damaged" => Part::DamagedCatalog,
            "db" => Part::Databases,
            _ => Part::Directory,
        };
        return (None, part);
    };
    let (folder, file) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(database) = databases.iter().position(|tracked| tracked.name.as_str() == folder) else {
        return (None, Part::Directory);
    };
    let part = match file.strip_prefix(folder).filter(|_| is_made) {
        Some(".wal") => Part::Creating,
        Some(".wal.next") => Part::Next,
        Some(".wal.spare") => Part::Spare,
        Some(store) if store.starts_with(".data.") || store.starts_with(".manifest") => Part::Store,
        _ => Part::Folder,
    };
    (Some(database), part)
}
