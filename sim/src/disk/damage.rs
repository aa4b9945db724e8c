//! Damage to what was durable: bits that turn, sectors that cannot be read, writes that land elsewhere.
//!
//! Whatever is damaged is written down with what stood there before, so that a judge knows which documents were hit.

use std::ops::Range;
use std::sync::Arc;

use docdb_engine::SECTOR_BYTES;

use super::SimDisk;
use super::fault::FaultKind;
use super::inode::{Sector, Sequence};
use super::names::InodeId;
use super::perform::pick;
use crate::choice::Choices;

/// Where a bit of the catalog turned, so many times in a thousand one of the other copy did too.
const BOTH_PER_MILLE: u64 = 500;

/// How much of a file before a damaged place is remembered: more than any document of the simulator takes.
const BEFORE_BYTES: u64 = 4096;

/// Bits turn so many times as often between two processes as during one operation.
const IDLE_FACTOR: u64 = 100;

/// The names that a catalog has in its life.
const CATALOG: &str = "catalog";
const CATALOG_NAMES: [&str; 2] = ["catalog.new", CATALOG];

/// How many sectors at the end of a file may turn together: a small batch, and what proves it.
const STRETCH_SECTORS: usize = 2;

/// How a batch begins, and where the number of its records stands.
pub(crate) const BATCH_MAGIC: &[u8] = b"DBAT";
const BATCH_RECORDS_AT: usize = 64;
const BATCH_HEADER_BYTES_AT: usize = 8;
const RECORD_KIND_AT: usize = 4;
/// The kind of a checkpoint's record.
const CHECKPOINT: u8 = 255;

/// A place whose bytes are not what was written.
#[derive(Clone, Debug)]
pub struct Damaged {
    /// How it came about.
    pub kind: FaultKind,
    /// Whether it lies in the catalog, or in what was to become it.
    pub is_of_catalog: bool,
    /// What the file is called, if it has a name.
    pub path: Option<String>,
    /// The bytes concerned, as offsets in the file.
    pub range: Range<u64>,
    /// What stood at and before the place; it ends some way behind it.
    pub before: Vec<u8>,
    /// Where `before` begins in the file.
    pub before_offset: u64,
}

impl SimDisk {
    /// What was damaged so far.
    #[must_use]
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// Sectors that could not be read can be read again: the operator had the device repaired.
    pub fn repair(&mut self) {
        for file in self.files.values_mut().filter(|file| file.sectors.iter().any(|sector| sector.is_bad)) {
            Arc::make_mut(file).sectors.iter_mut().for_each(|sector| sector.is_bad = false);
        }
    }

    /// What may go wrong by itself, whatever is asked of the disk.
    pub(super) fn decay(&mut self, choices: &mut Choices) {
        if self.strikes(choices, FaultKind::Eviction) {
            self.evict(choices);
        }
        if self.strikes(choices, FaultKind::BitFlip)
            && let Some((inode, sector)) = self.durable_sector(choices, FaultKind::BitFlip.what())
        {
            self.flip(choices, FaultKind::BitFlip.what(), inode, sector);
        }
        if self.strikes(choices, FaultKind::StickyReadError)
            && let Some((inode, sector)) = self.durable_sector(choices, FaultKind::StickyReadError.what())
        {
            self.strike(FaultKind::StickyReadError, Some(inode), Some((sector * SECTOR_BYTES) as u64), true);
            self.file_mut(inode).sectors[sector].is_bad = true;
        }
    }

    /// What turned for as long as nothing ran. Often it is what was written last: what a device holds longest in its own
    /// memory, and what a log's end rests on; and now and then a stretch, so that a batch goes with its proof.
    pub fn lie_idle(&mut self, choices: &mut Choices) {
        let kind = FaultKind::BitFlip;
        if choices.chance(kind.strikes(), IDLE_FACTOR * self.profile.rate(kind))
            && let Some((inode, sector)) = self.durable_sector(choices, kind.what())
        {
            let last = self.files[&inode].sectors.iter().rposition(holds_something).unwrap_or(sector);
            let stretch = match pick(choices, kind.what(), 4) {
                0 | 1 => sector..sector + 1,
                2 => last..last + 1,
                _ => (last + 1).saturating_sub(STRETCH_SECTORS)..last + 1,
            };
            // Of what stands twice, both copies now and then.
            let twin =
                (self.is_of_catalog(inode) && stretch.len() == 1 && choices.chance("twins/both", BOTH_PER_MILLE))
                    .then_some(stretch.start ^ 1);
            let held = self.files[&inode].sectors.len();
            for sector in stretch.chain(twin.filter(|twin| *twin < held)) {
                self.flip(choices, FaultKind::BitFlip.what(), inode, sector);
            }
        }
    }

    /// A bit of some log turns: often in what was written last of a segment. Says whether there was one.
    pub(crate) fn turn_a_bit(&mut self, choices: &mut Choices) -> bool {
        const WHERE: &str = "probe/where";
        let is_log = |path: &str| path.contains(".wal") && !path.ends_with(".spare");
        let logs: Vec<InodeId> = self.named_files().filter(|(path, _)| is_log(path)).map(|(_, inode)| inode).collect();
        if logs.is_empty() {
            return false;
        }
        let inode = logs[pick(choices, WHERE, logs.len() as u64)];
        let held: Vec<usize> = (0..)
            .zip(&self.files[&inode].sectors)
            .filter(|(_, sector)| holds_something(sector))
            .map(|(number, _)| number)
            .collect();
        if held.is_empty() {
            return false;
        }
        let from_end = match pick(choices, WHERE, 4) {
            0 | 1 => pick(choices, WHERE, held.len() as u64),
            near => near - 2,
        };
        let sector = held[held.len().saturating_sub(1 + from_end)];
        self.flip(choices, WHERE, inode, sector);
        // What proves a batch and repeats its operations may go with it: a later batch repeats them as well.
        let file = &self.files[&inode];
        if file.sectors.get(sector + 1).is_some_and(|next| is_proof(&next.durable[..]))
            && choices.choice("probe/proof", 2) == 1
        {
            self.flip(choices, WHERE, inode, sector + 1);
        }
        true
    }

    /// The bytes of the catalog, as they are seen.
    pub(crate) fn catalog(&self) -> Option<Vec<u8>> {
        let (_, inode) = self.named_files().find(|(path, _)| path == CATALOG)?;
        Some(self.files[&inode].read(0, self.files[&inode].bytes()))
    }

    /// A catalog of an earlier time lands where today's is; what stands behind it stays. Says whether there is room for it.
    pub(crate) fn bring_catalog_back(&mut self, earlier: &[u8]) -> bool {
        let Some((_, inode)) = self.named_files().find(|(path, _)| path == CATALOG) else { return false };
        let whole = earlier.chunks_exact(SECTOR_BYTES);
        if self.files[&inode].sectors.len() < whole.len() {
            return false;
        }
        self.note_damage(FaultKind::MisdirectedWrite, inode, 0..earlier.len() as u64);
        for (number, content) in whole.enumerate() {
            let content: [u8; SECTOR_BYTES] = content.try_into().expect("a whole sector");
            self.file_mut(inode).sectors[number].store(Arc::new(content));
        }
        true
    }

    /// A file of some database is gone, or all of its folder: an administrator who restores a copy forgets some, and so does a repaired
    /// file system. Only what is durable under its name and at rest is lost.
    pub fn lose_files(&mut self, choices: &mut Choices) {
        let kind = FaultKind::FileLost;
        if !choices.chance(kind.strikes(), IDLE_FACTOR * self.profile.rate(kind)) {
            return;
        }
        let at_rest = self.names.at_rest();
        let files: Vec<(String, InodeId)> =
            self.named_files().filter(|(path, inode)| path.starts_with("db/") && at_rest.contains(inode)).collect();
        if files.is_empty() {
            return;
        }
        let (path, _) = &files[pick(choices, kind.what(), files.len() as u64)];
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_all = choices.choice(kind.what(), 4) == 3;
        for (lost, inode) in &files {
            if lost == path || is_all && lost.starts_with(&format!("{folder}/")) {
                let bytes = self.files[inode].durable_bytes;
                self.note_damage(kind, *inode, 0..bytes);
                self.names.forget(*inode);
            }
        }
    }

    fn flip(&mut self, choices: &mut Choices, label: &'static str, inode: InodeId, sector: usize) {
        let bit = pick(choices, label, 8 * SECTOR_BYTES as u64);
        let offset = (sector * SECTOR_BYTES + bit / 8) as u64;
        self.note_damage(FaultKind::BitFlip, inode, offset..offset + 1);
        let content = &mut self.file_mut(inode).sectors[sector].durable;
        Arc::make_mut(content)[bit / 8] ^= 1 << (bit % 8);
    }

    /// A page whose write failed leaves the cache.
    fn evict(&mut self, choices: &mut Choices) {
        let lost: Vec<(InodeId, usize)> = self
            .files
            .iter()
            .flat_map(|(inode, file)| {
                let lost = file.sectors.iter().enumerate().filter(|(_, sector)| sector.lost.is_some());
                lost.map(|(number, _)| (*inode, number))
            })
            .collect();
        if lost.is_empty() {
            return;
        }
        let (inode, sector) = lost[pick(choices, FaultKind::Eviction.what(), lost.len() as u64)];
        self.strike(FaultKind::Eviction, Some(inode), Some((sector * SECTOR_BYTES) as u64), false);
        self.file_mut(inode).sectors[sector].evict();
    }

    /// Some sector of a file with a name that is durable and holds something.
    fn durable_sector(&self, choices: &mut Choices, label: &'static str) -> Option<(InodeId, usize)> {
        let files: Vec<InodeId> = self.named_files().map(|(_, inode)| inode).collect();
        if files.is_empty() {
            return None;
        }
        let inode = files[pick(choices, label, files.len() as u64)];
        let sectors: Vec<usize> = self.files[&inode]
            .sectors
            .iter()
            .enumerate()
            .filter(|(_, sector)| holds_something(sector))
            .map(|(number, _)| number)
            .collect();
        (!sectors.is_empty()).then(|| (inode, sectors[pick(choices, label, sectors.len() as u64)]))
    }

    /// Remembers what the device holds there, which is about to change.
    pub(super) fn note_damage(&mut self, kind: FaultKind, inode: InodeId, range: Range<u64>) {
        let before_offset = range.start.saturating_sub(BEFORE_BYTES);
        let file = &self.files[&inode];
        let end = file.durable_bytes.min(range.end + BEFORE_BYTES);
        let mut before = Vec::new();
        for sector in file.sectors.iter().take(end.div_ceil(SECTOR_BYTES as u64) as usize) {
            before.extend_from_slice(&sector.durable[..]);
        }
        before.drain(..before.len().min(before_offset as usize));
        self.strike(kind, Some(inode), Some(range.start), true);
        let (is_of_catalog, path) = (self.is_of_catalog(inode), self.name_of(inode));
        self.damaged.push(Damaged { kind, is_of_catalog, path, range, before, before_offset });
    }

    fn is_of_catalog(&self, inode: InodeId) -> bool {
        self.named_files().any(|(path, named)| named == inode && CATALOG_NAMES.contains(&path.as_str()))
    }

    /// A write lands at another place of the same alignment; the cache shows it where it should be.
    pub(super) fn misdirect(
        &mut self,
        sequence: Sequence,
        inode: InodeId,
        offset: u64,
        bytes: &[u8],
        choices: &mut Choices,
    ) {
        let kind = FaultKind::MisdirectedWrite;
        let end = offset + bytes.len() as u64;
        self.file_mut(inode).write(sequence, offset, bytes);
        let first = (offset / SECTOR_BYTES as u64) as usize;
        let last = end.div_ceil(SECTOR_BYTES as u64) as usize;
        let before_offset = offset;
        self.strike(kind, Some(inode), Some(offset), true);
        let (is_of_catalog, path) = (self.is_of_catalog(inode), self.name_of(inode));
        let (range, before) = (offset..end, bytes.to_vec());
        self.damaged.push(Damaged { kind, is_of_catalog, path, range, before, before_offset });
        for sector in &mut self.file_mut(inode).sectors[first..last] {
            sector.lose();
        }
        let Some((victim, mut sector)) = self.durable_sector(choices, kind.what()) else { return };
        // Where a file begins there is a header, or a catalog: what most rests on.
        if choices.choice(kind.what(), 2) == 1 {
            sector = self.files[&victim].sectors.iter().position(holds_something).unwrap_or(sector);
        }
        let whole = bytes.chunks_exact(SECTOR_BYTES);
        let room = self.files[&victim].sectors.len() - sector;
        let count = whole.len().min(room);
        let place = (sector * SECTOR_BYTES) as u64;
        self.note_damage(kind, victim, place..place + (count * SECTOR_BYTES) as u64);
        for (number, content) in whole.take(count).enumerate() {
            let content: [u8; SECTOR_BYTES] = content.try_into().expect("a whole sector");
            self.file_mut(victim).sectors[sector + number].store(Arc::new(content));
        }
    }
}

/// Whether a batch without operations begins here, with no record or with a checkpoint's alone: it proves what stands before
/// it, and repeats the operations of the last batch that has any.
pub(crate) fn is_proof(batch: &[u8]) -> bool {
    let number = |at: usize| batch.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let first_kind = || batch.get(number(BATCH_HEADER_BYTES_AT)? as usize + RECORD_KIND_AT).copied();
    batch.starts_with(BATCH_MAGIC)
        && match number(BATCH_RECORDS_AT) {
            Some(0) => true,
            Some(1) => first_kind() == Some(CHECKPOINT),
            Some(_) | None => false,
        }
}

/// Whether durable bytes of a sector were ever written.
fn holds_something(sector: &Sector) -> bool {
    !sector.is_raw && sector.durable.iter().any(|byte| *byte != 0)
}
