//! What a power loss could leave of a recorded run: the device's side of it.
//!
//! A file has durable bytes and writes that no sync has covered yet; a directory durable names and changes that
//! none has. A sync covers what had ended before it began. Of the rest a power loss keeps nothing, everything, or
//! some: sectors of writes one by one, changes of names in their order for each name. What a failed sync had to
//! cover is never written any more.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::record::{Entry, NameChange, Node, Place};

const SECTOR_BYTES: usize = 512;

/// What is kept of what no sync has covered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    Synced,
    Some(u64),
    Everything,
}

#[derive(Clone, Debug)]
struct Write {
    begun: usize,
    ended: Option<usize>,
    offset: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct FileState {
    durable: Vec<u8>,
    writes: Vec<Write>,
}

/// One change of one directory: these names become these nodes together.
#[derive(Clone, Debug)]
struct Change {
    at: usize,
    names: Vec<(String, Option<Node>)>,
}

#[derive(Clone, Debug, Default)]
struct DirectoryState {
    durable: BTreeMap<String, Node>,
    /// As everybody sees it.
    seen: BTreeMap<String, Node>,
    changes: Vec<Change>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    files: BTreeMap<Node, FileState>,
    directories: BTreeMap<Node, DirectoryState>,
    /// What began at these lines, of which file or directory.
    begun: BTreeMap<usize, Node>,
}

impl Default for Image {
    fn default() -> Image {
        let directories = BTreeMap::from([(0, DirectoryState::default())]);
        Image { files: BTreeMap::new(), directories, begun: BTreeMap::new() }
    }
}

impl Image {
    pub(crate) fn apply(&mut self, index: usize, entry: &Entry) {
        match entry {
            Entry::WriteBegun { node, offset, bytes } => {
                self.begun.insert(index, *node);
                let write = Write {
                    begun: index,
                    ended: None,
                    offset: usize::try_from(*offset).unwrap(),
                    bytes: bytes.clone(),
                };
                self.files.entry(*node).or_default().writes.push(write);
            }
            Entry::WriteEnded { begun, taken } => {
                let file = self.files.get_mut(&self.begun[begun]).unwrap();
                // A sync that failed meanwhile took it away.
                if let Some(write) = file.writes.iter_mut().find(|write| write.begun == *begun) {
                    write.ended = Some(index);
                    write.bytes.truncate(*taken);
                }
            }
            Entry::SyncBegun { node } | Entry::DirectorySyncBegun { node } => {
                self.begun.insert(index, *node);
            }
            Entry::SyncEnded { begun, succeeded } => {
                let file = self.files.entry(self.begun[begun]).or_default();
                let covered = |write: &Write| write.ended.is_some_and(|ended| ended < *begun);
                for write in file.writes.iter().filter(|write| *succeeded && covered(write)) {
                    overwrite(&mut file.durable, write.offset, &write.bytes);
                }
                file.writes.retain(|write| !covered(write));
            }
            Entry::DirectorySyncEnded { begun } => {
                let Some(directory) = self.directories.get_mut(&self.begun[begun]) else { return };
                for change in directory.changes.iter().filter(|change| change.at < *begun) {
                    set(&mut directory.durable, &change.names);
                }
                directory.changes.retain(|change| change.at >= *begun);
            }
            Entry::Name(change) => self.name(index, change),
            Entry::Told(_) => {}
        }
    }

    fn name(&mut self, at: usize, change: &NameChange) {
        match change {
            NameChange::CreateFile(place, node) => {
                self.files.insert(*node, FileState::default());
                self.set(at, place, Some(*node));
            }
            NameChange::MakeDirectory(place, node) => {
                self.directories.insert(*node, DirectoryState::default());
                self.set(at, place, Some(*node));
            }
            NameChange::Link(from, to) => self.set(at, to, self.seen(from)),
            NameChange::Unlink(place) => self.set(at, place, None),
            NameChange::Rename(from, to) => {
                assert_eq!(from.directory, to.directory, "nothing moves between directories so far");
                let names = vec![(from.name.clone(), None), (to.name.clone(), self.seen(from))];
                self.change(from.directory, Change { at, names });
            }
        }
    }

    fn seen(&self, place: &Place) -> Option<Node> {
        self.directories[&place.directory].seen.get(&place.name).copied()
    }

    fn set(&mut self, at: usize, place: &Place, node: Option<Node>) {
        self.change(place.directory, Change { at, names: vec![(place.name.clone(), node)] });
    }

    fn change(&mut self, directory: Node, change: Change) {
        let directory = self.directories.get_mut(&directory).expect("it was made through here");
        set(&mut directory.seen, &change.names);
        directory.changes.push(change);
    }

    /// Lays out what is left, as files below `into`.
    pub(crate) fn write(&self, keep: Keep, into: &Path) {
        let seed = if let Keep::Some(seed) = keep { seed } else { 0 };
        self.write_directory(0, keep, &mut Random(seed), into);
    }

    fn write_directory(&self, node: Node, keep: Keep, random: &mut Random, into: &Path) {
        let directory = &self.directories[&node];
        let mut names = directory.durable.clone();
        let mut lost: Vec<&str> = Vec::new();
        for change in &directory.changes {
            let follows_lost = change.names.iter().any(|(name, _)| lost.contains(&name.as_str()));
            if !follows_lost && random.keeps(keep, 2) {
                set(&mut names, &change.names);
            } else {
                lost.extend(change.names.iter().map(|(name, _)| name.as_str()));
            }
        }
        for (name, node) in names {
            let path = into.join(name);
            if self.directories.contains_key(&node) {
                fs::create_dir(&path).unwrap();
                self.write_directory(node, keep, random, &path);
            } else {
                let bytes = self.files.get(&node).map(|file| file.left(keep, random)).unwrap_or_default();
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

impl FileState {
    fn left(&self, keep: Keep, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for write in &self.writes {
            // Some writes arrive nearly whole, some hardly at all.
            let one_in = [1, 2, 8][random.below(3)];
            for (number, sector) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
                if random.keeps(keep, one_in) {
                    overwrite(&mut bytes, write.offset + number * SECTOR_BYTES, sector);
                }
            }
        }
        bytes
    }
}

fn set(names: &mut BTreeMap<String, Node>, changes: &[(String, Option<Node>)]) {
    for (name, node) in changes {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

fn overwrite(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if into.len() < offset + bytes.len() {
        into.resize(offset + bytes.len(), 0);
    }
    into[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn keeps(&mut self, keep: Keep, one_in: usize) -> bool {
        match keep {
            Keep::Synced => false,
            Keep::Everything => true,
            Keep::Some(_) => self.below(one_in) == 0,
        }
    }
}
