//! Directories: what their names show, what is durable of them, and the changes in between.
//!
//! A change of names (create, link, rename, unlink) is seen at once, takes effect as a whole, and is
//! durable when every directory it touches was synced. Pending changes stand in the order they were
//! carried out. A change never becomes durable before an earlier one of the same name.
//!
//! It knows nothing of the bytes of files: an entry is the number of an inode.

use std::collections::BTreeMap;
use std::sync::Arc;

use docdb_engine::{DiskErrorKind, DiskPath};

use super::inode::Sequence;

/// Names a file's bytes or a directory; never used again.
pub(crate) type InodeId = u64;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    File(InodeId),
    Directory(InodeId),
}

type Listing = BTreeMap<Arc<str>, Entry>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) cached: Listing,
    pub(crate) durable: Listing,
}

/// A name within a directory.
type Place = (InodeId, Arc<str>);

/// One change of names, atomic, not yet durable.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) sequence: Sequence,
    pub(crate) entries: Vec<(Place, Option<Entry>)>,
    /// Directories that must still be synced.
    pub(crate) unsynced: Vec<InodeId>,
    /// A sync that was to make it durable failed, and no later one has anything to write for it. A later change
    /// of one of its names takes it along.
    pub(crate) is_lost: bool,
}

impl Change {
    fn shares_a_name(&self, other: &Change) -> bool {
        self.entries.iter().any(|(place, _)| other.entries.iter().any(|(theirs, _)| theirs == place))
    }
}

/// All directories.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) directories: BTreeMap<InodeId, Directory>,
    pub(crate) pending: Vec<Change>,
}

/// The data directory; it exists and its own name is durable.
pub(crate) const ROOT: InodeId = 0;

impl Names {
    pub(crate) fn new() -> Names {
        Names { directories: BTreeMap::from([(ROOT, Directory::default())]), pending: Vec::new() }
    }

    pub(crate) fn directory(&self, path: &DiskPath) -> Result<InodeId, DiskErrorKind> {
        let mut at = ROOT;
        for part in path.as_str().split('/').filter(|part| !part.is_empty()) {
            match self.directories[&at].cached.get(part) {
                Some(Entry::Directory(inner)) => at = *inner,
                Some(Entry::File(_)) => return Err(DiskErrorKind::Io),
                None => return Err(DiskErrorKind::NotFound),
            }
        }
        Ok(at)
    }

    fn place(&self, path: &DiskPath) -> Result<Place, DiskErrorKind> {
        let parent = path.parent().expect("the engine names something within the data directory");
        Ok((self.directory(&parent)?, path.name().into()))
    }

    fn at(&self, place: &Place) -> Option<Entry> {
        self.directories[&place.0].cached.get(&place.1).copied()
    }

    pub(crate) fn find(&self, path: &DiskPath) -> Result<Entry, DiskErrorKind> {
        self.at(&self.place(path)?).ok_or(DiskErrorKind::NotFound)
    }

    fn change(&mut self, sequence: Sequence, entries: Vec<(Place, Option<Entry>)>) {
        let mut unsynced: Vec<InodeId> = entries.iter().map(|((directory, _), _)| *directory).collect();
        unsynced.dedup();
        for ((directory, name), entry) in &entries {
            set(&mut self.directories, *directory, name, *entry, |directory| &mut directory.cached);
        }
        self.pending.push(Change { sequence, entries, unsynced, is_lost: false });
    }

    pub(crate) fn create(&mut self, sequence: Sequence, path: &DiskPath, entry: Entry) -> Result<(), DiskErrorKind> {
        let place = self.place(path)?;
        if self.at(&place).is_some() {
            return Err(DiskErrorKind::Exists);
        }
        if let Entry::Directory(id) = entry {
            self.directories.insert(id, Directory::default());
        }
        self.change(sequence, vec![(place, Some(entry))]);
        Ok(())
    }

    pub(crate) fn link(&mut self, sequence: Sequence, from: &DiskPath, to: &DiskPath) -> Result<(), DiskErrorKind> {
        match self.find(from)? {
            Entry::Directory(_) => Err(DiskErrorKind::Permission),
            file @ Entry::File(_) => self.create(sequence, to, file),
        }
    }

    pub(crate) fn unlink(&mut self, sequence: Sequence, path: &DiskPath) -> Result<(), DiskErrorKind> {
        match self.find(path)? {
            Entry::Directory(id) if !self.directories[&id].cached.is_empty() => return Err(DiskErrorKind::Exists),
            Entry::Directory(_) | Entry::File(_) => {}
        }
        let place = self.place(path)?;
        self.change(sequence, vec![(place, None)]);
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        sequence: Sequence,
        from: &DiskPath,
        to: &DiskPath,
        replace: bool,
    ) -> Result<(), DiskErrorKind> {
        let (old, new) = (self.place(from)?, self.place(to)?);
        let entry = self.at(&old).ok_or(DiskErrorKind::NotFound)?;
        match self.at(&new) {
            // Two names of one file: POSIX's rename leaves both and reports success.
            Some(same @ Entry::File(_)) if replace && same == entry => return Ok(()),
            Some(Entry::File(_)) if replace && matches!(entry, Entry::File(_)) => {}
            Some(_) => return Err(DiskErrorKind::Exists),
            None => {}
        }
        if old != new {
            self.change(sequence, vec![(old, None), (new, Some(entry))]);
        }
        Ok(())
    }

    /// Makes durable what was changed in `directory` by covered operations.
    pub(crate) fn sync(&mut self, directory: InodeId, covered: &dyn Fn(Sequence) -> bool) {
        let mut done: Vec<bool> = Vec::new();
        for change in &mut self.pending {
            if covered(change.sequence) {
                change.unsynced.retain(|unsynced| *unsynced != directory);
            }
            done.push(change.unsynced.is_empty() && !change.is_lost);
        }
        self.keep(&mut done);
    }

    /// A sync of `directory` failed, and what it was to write counts as written.
    pub(crate) fn lose_sync(&mut self, directory: InodeId, covered: &dyn Fn(Sequence) -> bool) {
        for change in &mut self.pending {
            change.is_lost |= covered(change.sequence) && change.unsynced.contains(&directory);
        }
    }

    /// Makes durable what was changed anywhere by covered operations.
    pub(crate) fn sync_all(&mut self, covered: &dyn Fn(Sequence) -> bool) {
        let mut done: Vec<bool> =
            self.pending.iter().map(|change| covered(change.sequence) && !change.is_lost).collect();
        self.keep(&mut done);
    }

    /// Applies the changes marked in `kept`, and all earlier ones of the same names, to what is durable.
    fn keep(&mut self, kept: &mut [bool]) {
        for later in (0..self.pending.len()).rev().filter(|later| kept[*later]).collect::<Vec<usize>>() {
            self.mark_needed(later, kept);
        }
        self.apply(kept);
    }

    /// Applies the changes marked in `kept`, in their order.
    fn apply(&mut self, kept: &[bool]) {
        let pending = std::mem::take(&mut self.pending);
        for (change, kept) in pending.into_iter().zip(kept) {
            if *kept {
                for ((directory, name), entry) in &change.entries {
                    set(&mut self.directories, *directory, name, *entry, |directory| &mut directory.durable);
                }
            } else {
                self.pending.push(change);
            }
        }
    }

    fn mark_needed(&self, later: usize, kept: &mut [bool]) {
        for earlier in (0..later).rev() {
            if !kept[earlier] && self.pending[earlier].shares_a_name(&self.pending[later]) {
                kept[earlier] = true;
                self.mark_needed(earlier, kept);
            }
        }
    }

    /// Power was lost: a pending change is kept when `keep` says so and all earlier ones of its names were.
    pub(crate) fn lose_power(&mut self, is_apart: bool, mut keep: impl FnMut(&Change) -> bool) {
        let mut kept: Vec<bool> = Vec::new();
        for index in 0..self.pending.len() {
            let change = &self.pending[index];
            let follows = |earlier: usize| kept[earlier] || !self.pending[earlier].shares_a_name(change);
            let possible = is_apart || (0..index).all(follows);
            kept.push(possible && keep(change));
        }
        if is_apart {
            self.apply(&kept);
        } else {
            self.keep(&mut kept);
        }
        self.pending.clear();
        for directory in self.directories.values_mut() {
            directory.cached = directory.durable.clone();
        }
    }

    /// The files whose names are durable, and about to change in nothing.
    pub(crate) fn at_rest(&self) -> Vec<InodeId> {
        let changing = |directory: InodeId, name: &Arc<str>| {
            let mut places = self.pending.iter().flat_map(|change| &change.entries);
            places.any(|((within, changed), _)| *within == directory && changed == name)
        };
        let mut found = Vec::new();
        for (id, directory) in &self.directories {
            for (name, entry) in &directory.durable {
                if let Entry::File(file) = entry
                    && directory.cached.get(name) == Some(entry)
                    && !changing(*id, name)
                {
                    found.push(*file);
                }
            }
        }
        found
    }

    /// A file has no name any more, in the cache or on the device, and nobody asked for it.
    pub(crate) fn forget(&mut self, inode: InodeId) {
        for directory in self.directories.values_mut() {
            directory.cached.retain(|_, entry| *entry != Entry::File(inode));
            directory.durable.retain(|_, entry| *entry != Entry::File(inode));
        }
    }

    /// Every inode that some name, now or after a crash, stands for; forgets directories without a name.
    pub(crate) fn reachable(&mut self) -> Vec<InodeId> {
        let mut reached = vec![ROOT];
        let mut next = 0;
        while let Some(id) = reached.get(next).copied() {
            next += 1;
            let Some(directory) = self.directories.get(&id) else { continue };
            let shown = directory.cached.values().chain(directory.durable.values()).copied();
            let coming = self.pending.iter().flat_map(|change| &change.entries);
            let coming = coming.filter(|((within, _), _)| *within == id).filter_map(|(_, entry)| *entry);
            let found: Vec<InodeId> = shown.chain(coming).map(|(Entry::File(id) | Entry::Directory(id))| id).collect();
            for id in found {
                if !reached.contains(&id) {
                    reached.push(id);
                }
            }
        }
        self.directories.retain(|id, _| reached.contains(id));
        for change in &mut self.pending {
            change.entries.retain(|((directory, _), _)| reached.contains(directory));
            change.unsynced.retain(|directory| reached.contains(directory));
        }
        reached
    }
}

fn set(
    directories: &mut BTreeMap<InodeId, Directory>,
    directory: InodeId,
    name: &Arc<str>,
    entry: Option<Entry>,
    listing: impl Fn(&mut Directory) -> &mut Listing,
) {
    let listing = listing(directories.get_mut(&directory).expect("a directory outlives the changes in it"));
    match entry {
        Some(entry) => listing.insert(Arc::clone(name), entry),
        None => listing.remove(name),
    };
}
