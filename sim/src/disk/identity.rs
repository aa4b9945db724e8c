//! What a crash leaves on a disk, as one number.
//!
//! Everything that a later read, sync or crash may depend on is in it: names as they are seen, as they are durable and
//! in between, and of every file each version of each sector and size, in their order. The numbers of inodes and of
//! operations are not: they only keep things apart, so inodes are numbered anew in the order in which names lead to
//! them.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3Default;

use super::inode::{Inode, Sector};
use super::names::{Change, Directory, Entry, InodeId, Names, ROOT};
use super::{FaultKind, SimDisk};

impl SimDisk {
    /// Names what a crash left, together with `besides`. Equal names, equal futures; 128 bits, so that two of some
    /// millions of images never share one by chance. Nothing is open yet.
    #[must_use]
    pub fn identity(&self, besides: u128) -> u128 {
        let mut hasher = Xxh3Default::new();
        besides.hash(&mut hasher);
        self.identify(&mut hasher);
        hasher.digest128()
    }

    fn identify(&self, hasher: &mut impl Hasher) {
        // Each field is named, so that a new one is not forgotten here.
        let SimDisk {
            files,
            names: Names { directories, pending },
            open,
            used_ids,
            in_flight,
            finished,
            // The same all through a run.
            profile,
            quota,
            next_sequence: _,
            next_inode: _,
            injected,
            effects: _,
            // What is only counted and reported.
            counts: _,
            struck: _,
            hash: _,
            damaged,
            is_shut_down,
            lasting,
            gone,
            starting,
            remains,
        } = self;
        let is_down = open.is_empty() && used_ids.is_empty() && in_flight.is_empty() && finished.is_empty();
        assert!(is_down, "a crash was just here");
        (quota, injected, is_shut_down, lasting, gone, starting.is_some(), damaged.len()).hash(hasher);
        // What is never read again need not make two images differ.
        let is_hostile = [FaultKind::StaleGarbage, FaultKind::StaleRead].iter().any(|kind| profile.rate(*kind) > 0);
        if is_hostile {
            remains.hash(hasher);
        }
        let mut seen = Seen { numbers: BTreeMap::from([(ROOT, 0)]), next: VecDeque::from([Entry::Directory(ROOT)]) };
        for Change { sequence: _, entries, unsynced, is_lost } in pending {
            for ((directory, name), entry) in entries {
                seen.number(Entry::Directory(*directory)).hash(hasher);
                name.hash(hasher);
                entry.map(|entry| seen.number(entry)).hash(hasher);
            }
            for directory in unsynced {
                seen.number(Entry::Directory(*directory)).hash(hasher);
            }
            is_lost.hash(hasher);
            u64::MAX.hash(hasher);
        }
        while let Some(entry) = seen.next.pop_front() {
            match entry {
                Entry::File(id) => identify_file(&files[&id], is_hostile, hasher),
                Entry::Directory(id) => {
                    let Directory { cached, durable } = &directories[&id];
                    for listing in [cached, durable] {
                        listing.len().hash(hasher);
                        for (name, entry) in listing {
                            (name, seen.number(*entry)).hash(hasher);
                        }
                    }
                }
            }
        }
    }
}

/// Numbers inodes as they come up, and remembers which were not looked into yet.
struct Seen {
    numbers: BTreeMap<InodeId, u64>,
    next: VecDeque<Entry>,
}

impl Seen {
    fn number(&mut self, entry: Entry) -> (bool, u64) {
        let (Entry::File(id) | Entry::Directory(id)) = entry;
        let fresh = self.numbers.len() as u64;
        let number = *self.numbers.entry(id).or_insert(fresh);
        if number == fresh {
            self.next.push_back(entry);
        }
        (matches!(entry, Entry::File(_)), number)
    }
}

fn identify_file(inode: &Inode, is_hostile: bool, hasher: &mut impl Hasher) {
    let Inode { sectors, durable_bytes, sizes, is_error_untold } = inode;
    (sectors.len(), durable_bytes, sizes.len(), is_error_untold).hash(hasher);
    for (_, size) in sizes {
        size.hash(hasher);
    }
    for Sector { durable, dirty, lost, is_raw, previous, is_bad } in sectors {
        (durable, dirty.len(), lost, is_bad).hash(hasher);
        if is_hostile {
            (is_raw, previous).hash(hasher);
        }
        for (_, content) in dirty {
            content.hash(hasher);
        }
    }
}
