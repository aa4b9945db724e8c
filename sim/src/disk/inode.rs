//! One file's bytes: what the cache shows, what is durable, and everything in between.
//!
//! Invariants: a sector's `dirty` holds, oldest first, each content it had in the cache since the last
//! sync; while it is empty the sector is clean, and then `lost` says whether the cache shows something
//! that never reached the disk. The same for the sizes. Files only grow, but for a failed sync that takes
//! a growth back: the disk has no truncation.
//!
//! It knows nothing of names, handles or failures' rates; the disk calls it for each thing that happens.

use std::sync::Arc;

use docdb_engine::SECTOR_BYTES;

/// The content of a sector, shared between versions and forks.
pub(crate) type Content = Arc<[u8; SECTOR_BYTES]>;

/// Says when an operation was submitted; grows by one with each.
pub(crate) type Sequence = u64;

#[derive(Clone, Debug)]
pub(crate) struct Sector {
    pub(crate) durable: Content,
    pub(crate) dirty: Vec<(Sequence, Content)>,
    pub(crate) lost: Option<Content>,
    /// Space that was taken and never written: the device may show there what it held before.
    pub(crate) is_raw: bool,
    /// What was durable before `durable`.
    pub(crate) previous: Option<Content>,
    /// Cannot be read until it is written again.
    pub(crate) is_bad: bool,
}

thread_local! {
    /// Most sectors of a simulated disk are this one.
    static ZEROS: Content = Arc::new([0; SECTOR_BYTES]);
}

impl Sector {
    fn zeros() -> Sector {
        Sector {
            durable: ZEROS.with(Arc::clone),
            dirty: Vec::new(),
            lost: None,
            is_raw: true,
            previous: None,
            is_bad: false,
        }
    }

    pub(crate) fn cached(&self) -> &Content {
        self.dirty.last().map(|(_, content)| content).or(self.lost.as_ref()).unwrap_or(&self.durable)
    }

    /// The newest content becomes a version of its own, unless it is that of the version before: no crash and no sync
    /// knows which of the two it was. A sector that was lost is another matter, for a write makes it dirty again.
    fn write(&mut self, sequence: Sequence, at: usize, bytes: &[u8]) {
        if self.lost.is_none() && self.cached()[at..at + bytes.len()] == *bytes {
            return;
        }
        let mut content = **self.cached();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        self.dirty.push((sequence, Arc::new(content)));
        self.lost = None;
        self.is_bad = false;
    }

    /// The device holds this now.
    pub(crate) fn store(&mut self, content: Content) {
        self.previous = Some(std::mem::replace(&mut self.durable, content));
        self.is_raw = false;
    }

    /// The covered versions become durable.
    fn sync(&mut self, covered: &dyn Fn(Sequence) -> bool) {
        let Some(last) = self.dirty.iter().rposition(|(sequence, _)| covered(*sequence)) else { return };
        let content = Arc::clone(&self.dirty[last].1);
        self.store(content);
        self.dirty.drain(..=last);
    }

    /// The page was marked clean, but nothing was written.
    pub(crate) fn lose(&mut self) {
        let cached = Arc::clone(self.cached());
        self.dirty.clear();
        self.lost = Some(cached);
    }

    /// The cache shows what the device holds.
    pub(crate) fn revert(&mut self) {
        self.dirty.clear();
        self.lost = None;
    }

    /// The page of a failed write leaves the cache: what is read from now on is on the device.
    pub(crate) fn evict(&mut self) {
        self.lost = None;
        self.is_raw = false;
    }
}

/// A file without its name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    pub(crate) sectors: Vec<Sector>,
    pub(crate) durable_bytes: u64,
    pub(crate) sizes: Vec<(Sequence, u64)>,
    /// A write-back failed and no handle has reported it: the next one opened does.
    pub(crate) is_error_untold: bool,
}

/// What becomes of one dirty sector in a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Synced,
    Lost,
    Reverted,
}

impl Inode {
    /// The length that the cache shows.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.last().map_or(self.durable_bytes, |(_, bytes)| *bytes)
    }

    /// Space taken on the device.
    pub(crate) fn space(&self) -> u64 {
        (self.sectors.len() * SECTOR_BYTES) as u64
    }

    /// Whether a power loss changes nothing about it.
    pub(crate) fn is_clean(&self) -> bool {
        let clean = |sector: &Sector| sector.dirty.is_empty() && sector.lost.is_none();
        self.sizes.is_empty() && !self.is_error_untold && self.sectors.iter().all(clean)
    }

    pub(crate) fn read(&self, offset: u64, bytes: u64) -> Vec<u8> {
        let end = self.bytes().min(offset.saturating_add(bytes));
        let mut read = Vec::new();
        let mut at = offset;
        while at < end {
            let (sector, within) = place(at);
            let count = (SECTOR_BYTES - within).min(usize::try_from(end - at).expect("a read fits into memory"));
            match self.sectors.get(sector) {
                Some(sector) => read.extend_from_slice(&sector.cached()[within..within + count]),
                None => read.resize(read.len() + count, 0),
            }
            at += count as u64;
        }
        read
    }

    /// Changes the cache; grows the file where needed.
    pub(crate) fn write(&mut self, sequence: Sequence, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        let mut done = 0;
        while done < bytes.len() {
            let (sector, within) = place(offset + done as u64);
            let count = (SECTOR_BYTES - within).min(bytes.len() - done);
            if self.sectors.len() <= sector {
                self.sectors.resize_with(sector + 1, Sector::zeros);
            }
            self.sectors[sector].write(sequence, within, &bytes[done..done + count]);
            done += count;
        }
        if end > self.bytes() {
            self.sizes.push((sequence, end));
        }
    }

    /// Makes durable what `covered` says.
    pub(crate) fn sync(&mut self, covered: &dyn Fn(Sequence) -> bool) {
        for sector in &mut self.sectors {
            sector.sync(covered);
        }
        self.sync_size(covered);
    }

    fn sync_size(&mut self, covered: &dyn Fn(Sequence) -> bool) {
        let Some(last) = self.sizes.iter().rposition(|(sequence, _)| covered(*sequence)) else { return };
        self.durable_bytes = self.sizes[last].1;
        self.sizes.drain(..=last);
    }

    /// A sync failed: each dirty sector has a fate of its own. The length is durable, unless it goes back.
    pub(crate) fn sync_failing(
        &mut self,
        covered: &dyn Fn(Sequence) -> bool,
        is_size_kept: bool,
        mut fate: impl FnMut(usize) -> Fate,
    ) {
        for (index, sector) in self.sectors.iter_mut().enumerate().filter(|(_, sector)| !sector.dirty.is_empty()) {
            match fate(index) {
                Fate::Synced => sector.sync(covered),
                Fate::Lost => sector.lose(),
                Fate::Reverted => sector.revert(),
            }
        }
        if is_size_kept {
            self.sync_size(covered);
        } else {
            self.cut(self.durable_bytes);
            self.sizes.clear();
        }
    }

    /// What lies behind `bytes` is gone; it reads as zeros when the file grows again.
    fn cut(&mut self, bytes: u64) {
        let (last, within) = place(bytes);
        self.sectors.truncate(last + usize::from(within > 0));
        if within > 0
            && let Some(sector) = self.sectors.get_mut(last)
        {
            Arc::make_mut(&mut sector.durable)[within..].fill(0);
            for (_, content) in &mut sector.dirty {
                Arc::make_mut(content)[within..].fill(0);
            }
            if let Some(content) = &mut sector.lost {
                Arc::make_mut(content)[within..].fill(0);
            }
        }
    }

    /// Power came back: the disk is all there is, and it ends at `bytes`.
    pub(crate) fn restart_at(&mut self, bytes: u64) {
        for sector in &mut self.sectors {
            sector.revert();
        }
        self.cut(bytes);
        self.durable_bytes = bytes;
        self.sizes.clear();
        self.is_error_untold = false;
    }
}

/// The sector a byte lies in, and where.
fn place(offset: u64) -> (usize, usize) {
    let sector = usize::try_from(offset / SECTOR_BYTES as u64).expect("a simulated file fits into memory");
    let within = usize::try_from(offset % SECTOR_BYTES as u64).expect("less than a sector");
    (sector, within)
}
