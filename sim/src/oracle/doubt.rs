//! What may be expected of a disk that damages what is durable, or that lies.
//!
//! - *Damage*: never a wrong answer, never silence about a lost document. A document is reported as damaged only when
//!   bytes of its record were hit, unless a lost part of the log names no documents. Of what was acknowledged, only the
//!   last batches may be missing in silence, one for each sector of their log damaged since that was last found to be whole: the
//!   proof that they were durable is a later record, and that may be what was hit. What a closing proved is missing in
//!   silence only when catalogs were hit as well, in two sectors: those may have been both copies of one. One damaged
//!   sector of what stands twice, a header or the catalog, is no reason for anything to be missing.
//! - *Lies*: a prefix of what was committed, or an explicit error.

use std::collections::{BTreeMap, BTreeSet};

use docdb_engine::SECTOR_BYTES;

use super::Tracked;
use crate::disk::{Damaged, FaultCounts, FaultKind, is_proof};

/// A record's header stands before its document.
const RECORD_HEADER_BYTES: u64 = 64;

/// The header of a segment, with both its copies.
const SEGMENT_HEADER_BYTES: u64 = 4096;

/// What a closing proved is only lost in silence with both copies of the catalog. It does not know which copy was hit.
const SECTORS_OF_THE_CATALOG: usize = 2;

/// How every document of the simulator begins and ends.
const DOCUMENT_BEGINS: &[u8] = b"{\"n\":";
const DOCUMENT_ENDS: &[u8] = b"\"}";

/// What gives reason to doubt what the disk holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    /// Places that were damaged.
    places: usize,
    /// Sectors that were damaged, each counted as often as it was.
    sectors: usize,
    /// Of those, the ones behind the header of a segment. Up to there everything stands twice; so does all of a catalog.
    unique_sectors: usize,
    /// Of all, the ones of a catalog.
    catalog_sectors: usize,
    /// Some sync succeeded and was none.
    has_lied: bool,
    /// The documents whose records were hit.
    hit: BTreeSet<Vec<u8>>,
    /// Of each folder, how many sectors of its log were damaged, those of spares left out, and those of headers as long as
    /// one copy is left.
    of_folders: BTreeMap<String, usize>,
    /// Files of which a sector of the header was damaged.
    headers: BTreeSet<String>,
    /// Sectors of files that had no name.
    nameless_sectors: usize,
    /// Of each database's folder, how many bits turned in it, that of a proof behind another one left out. `None` where other things befell it as well.
    turned: BTreeMap<String, Option<usize>>,
    /// Folders in which a manifest was damaged: whose opening may go by a longer log, the beginning of which no batch repeats.
    manifests: BTreeSet<String>,
    /// Operations that failed openly.
    errors: u64,
}

/// What fails openly beside what is damaged.
const OPEN_FAILURES: [FaultKind; 11] = [
    FaultKind::ReadError,
    FaultKind::StickyReadError,
    FaultKind::WriteError,
    FaultKind::ShortWrite,
    FaultKind::NameError,
    FaultKind::Interrupted,
    FaultKind::Busy,
    FaultKind::Shortage,
    FaultKind::Denied,
    FaultKind::StartError,
    FaultKind::DirectorySyncError,
];

impl Doubt {
    /// Takes note of what the disk did since the last time.
    pub(super) fn take_note(&mut self, damaged: &[Damaged], faults: &FaultCounts) {
        for (number, damage) in damaged.iter().enumerate().skip(self.places) {
            let previous = number.checked_sub(1).map(|previous| &damaged[previous]);
            self.hit.extend(documents_hit(damage));
            if let Some((folder, _)) = damage.path.as_deref().and_then(|path| path.strip_prefix("db/")?.split_once('/'))
            {
                let turned = self.turned.entry(folder.to_owned()).or_insert(Some(0));
                let is_turned = damage.kind == FaultKind::BitFlip;
                // The proof behind a batch is one of two that name what it holds: the batch is still alone.
                let is_other = !previous.is_some_and(|previous| is_of_its_proof(previous, damage));
                *turned = turned.filter(|_| is_turned).map(|turned| turned + usize::from(is_other));
            }
            let bytes = damage.range.end - damage.range.start;
            let sectors = usize::try_from(bytes.div_ceil(SECTOR_BYTES as u64)).expect("a small number");
            self.sectors += sectors;
            if damage.is_of_catalog {
                self.catalog_sectors += sectors;
            } else {
                self.count_in_folder(damage, sectors);
            }
            let stands_twice = damage.range.end <= SEGMENT_HEADER_BYTES && !is_table(damage) || is_manifest(damage);
            if !stands_twice && !damage.is_of_catalog {
                self.unique_sectors += sectors;
            }
        }
        self.places = damaged.len();
        self.errors = OPEN_FAILURES.iter().map(|kind| faults.of(*kind)).sum();
        self.has_lied = faults.of(FaultKind::LyingSync) + faults.of(FaultKind::SyncExt4Data) > 0;
    }

    fn count_in_folder(&mut self, damage: &Damaged, sectors: usize) {
        let Some(path) = damage.path.as_deref() else {
            self.nameless_sectors += sectors;
            return;
        };
        let Some((folder, file)) = path.strip_prefix("db/").and_then(|path| path.split_once('/')) else { return };
        if is_manifest(damage) {
            self.manifests.insert(folder.to_owned());
        }
        // A table holds no part of the log.
        if is_table(damage) {
            return;
        }
        let is_of_header = damage.range.end <= SEGMENT_HEADER_BYTES || is_manifest(damage);
        // One sector of what stands twice is no loss.
        let is_harmless = is_of_header && sectors == 1 && self.headers.insert(path.to_owned());
        if !file.ends_with(".spare") && !is_harmless {
            *self.of_folders.entry(folder.to_owned()).or_default() += sectors;
        }
    }

    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        self.places > 0 || self.has_lied
    }

    pub(super) fn has_lied(&self) -> bool {
        self.has_lied
    }

    /// How many sectors were damaged so far.
    pub(super) fn sectors(&self) -> usize {
        self.sectors
    }

    /// Whether anything at all may be missing: one sector of what stands twice is no loss.
    pub(super) fn may_lose_anything(&self) -> bool {
        self.has_lied || self.sectors > 1 || self.unique_sectors > 0
    }

    /// How many sectors of the log in this folder were damaged so far.
    pub(super) fn sectors_of(&self, folder: &str) -> usize {
        self.of_folders.get(folder).copied().unwrap_or(0) + self.nameless_sectors
    }

    /// Whether a database, or the catalog, may be gone as a whole: all of a catalog stands twice.
    pub(super) fn may_lose_a_database(&self) -> bool {
        self.has_lied || self.catalog_sectors >= SECTORS_OF_THE_CATALOG
    }

    /// How many operations failed openly so far.
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// How many transactions of a database at least must have survived, of those that `must_survive`. For each sector that
    /// was damaged since its log was found to be whole, one batch may be missing. Up to what a closing stored the catalog
    /// proves that they were durable, twice; and up to where its process came to rest, a proof in its log does: one sector
    /// may be in a batch or in its proof. That holds for the next opening alone.
    pub(super) fn low(&self, must_survive: u64, tracked: &Tracked) -> u64 {
        if self.has_lied {
            return 0;
        }
        let batches = &tracked.batches;
        let sectors = self.sectors_of(tracked.name.as_str()) - tracked.whole_from;
        let kept = batches.len().saturating_sub(sectors);
        let last = batches[..kept].last().copied().unwrap_or(0);
        let is_proven = self.catalog_sectors < SECTORS_OF_THE_CATALOG;
        let proven = if is_proven { tracked.stored } else { 0 };
        let rested = if sectors <= 1 && tracked.begun_since_rest <= 1 { tracked.rested } else { 0 };
        must_survive.min(last.max(proven).max(rested))
    }

    /// Where one bit alone ever turned in the folder of a database, the documents that it may have hit.
    pub(super) fn alone_hit(&self, folder: &str) -> impl Iterator<Item = &Vec<u8>> {
        let is_alone = !self.has_lied && self.turned.get(folder) == Some(&Some(1));
        self.hit.iter().filter(move |_| is_alone)
    }

    /// Whether a document of the database in this folder may be reported as damaged.
    pub(super) fn may_be_damaged(&self, folder: &str, content: &[u8]) -> bool {
        self.has_lied || self.hit.contains(content) || self.manifests.contains(folder)
    }
}

/// Whether a table was damaged: of it nothing stands twice.
fn is_table(damage: &Damaged) -> bool {
    damage.path.as_deref().is_some_and(|path| path.contains(".data."))
}

/// Whether a manifest was damaged: the log has what it says, or else all that it stands for.
fn is_manifest(damage: &Damaged) -> bool {
    damage.path.as_deref().is_some_and(|path| path.ends_with(".manifest"))
}

/// Whether `damage` is of a proof that stands in the sector behind `previous`.
fn is_of_its_proof(previous: &Damaged, damage: &Damaged) -> bool {
    let sector_of = |damage: &Damaged| damage.range.start / SECTOR_BYTES as u64;
    let begins = (sector_of(damage) * SECTOR_BYTES as u64).checked_sub(damage.before_offset);
    let bytes = begins.and_then(|begins| damage.before.get(usize::try_from(begins).ok()?..));
    previous.path == damage.path && sector_of(previous) + 1 == sector_of(damage) && bytes.is_some_and(is_proof)
}

/// The documents of which a byte, or one of their record's header, lies in the damaged place.
fn documents_hit(damage: &Damaged) -> Vec<Vec<u8>> {
    let Damaged { range, before, before_offset, .. } = damage;
    let mut hit = Vec::new();
    let mut from = 0;
    while let Some(at) = find(&before[from..], DOCUMENT_BEGINS) {
        let start = from + at;
        let Some(length) = find(&before[start..], DOCUMENT_ENDS) else { break };
        let end = start + length + DOCUMENT_ENDS.len();
        let header_bytes = header_bytes(&before[..start], end - start);
        let record = (before_offset + start as u64).saturating_sub(header_bytes)..before_offset + end as u64;
        if record.start < range.end && range.start < record.end {
            hit.push(before[start..end].to_vec());
        }
        // Not behind its end: an earlier hit may have made that of another one of it.
        from = start + DOCUMENT_BEGINS.len();
    }
    hit
}

/// How long the record's header is that ends `before` a document of `document_bytes`: the fixed part, and a text that is its id,
/// of which the fixed part says the length, as it does of the document.
fn header_bytes(before: &[u8], document_bytes: usize) -> u64 {
    let is_its = |text_bytes: &u8| {
        let begins = before.len().checked_sub(RECORD_HEADER_BYTES as usize + usize::from(*text_bytes));
        let header = begins.and_then(|begins| before.get(begins..));
        header.is_some_and(|header| {
            let length = header[52..].first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
            header[5] == *text_bytes && length == Some(document_bytes)
        })
    };
    RECORD_HEADER_BYTES + (0..=u8::MAX).find(is_its).map_or(0, u64::from)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
