//! What may be expected of a disk that damages what is durable, or that lies.
//!
//! - *Damage*: never a wrong answer, never silence about a lost document. A document is reported as damaged only when
//!   bytes of its record were hit, unless a lost part of the log names no documents. Of what was acknowledged, only the
//!   last batches may be missing in silence, one for each sector damaged: the proof that they were durable is a later
//!   record, and that may be what was hit.
//! - *Lies*: a prefix of what was committed, or an explicit error.

use std::collections::BTreeSet;

use docdb_engine::SECTOR_BYTES;

use crate::disk::{Damaged, FaultCounts, FaultKind};

/// A record's header stands before its document.
const RECORD_HEADER_BYTES: u64 = 64;

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
    /// Some sync succeeded and was none.
    has_lied: bool,
    /// The documents whose records were hit.
    hit: BTreeSet<Vec<u8>>,
}

impl Doubt {
    /// Takes note of what the disk did since the last time.
    pub(super) fn take_note(&mut self, damaged: &[Damaged], faults: &FaultCounts) {
        for damage in damaged.iter().skip(self.places) {
            self.hit.extend(documents_hit(damage));
            let bytes = damage.range.end - damage.range.start;
            self.sectors += usize::try_from(bytes.div_ceil(SECTOR_BYTES as u64)).expect("a small number");
        }
        self.places = damaged.len();
        self.has_lied = faults.of(FaultKind::LyingSync) + faults.of(FaultKind::SyncExt4Data) > 0;
    }

    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        self.places > 0 || self.has_lied
    }

    pub(super) fn has_lied(&self) -> bool {
        self.has_lied
    }

    /// Whether a database, or the catalog, may be gone as a whole.
    pub(super) fn may_lose_a_database(&self) -> bool {
        self.has_lied || self.sectors > 1
    }

    /// Of the batches of a database, each named by the last transaction in it, how many transactions at least must
    /// have survived.
    pub(super) fn low(&self, must_survive: u64, batches: &[u64]) -> u64 {
        if self.has_lied {
            return 0;
        }
        let kept = batches.len().saturating_sub(self.sectors);
        let last = batches[..kept].last().copied().unwrap_or(0);
        must_survive.min(last)
    }

    /// Whether a document may be reported as damaged.
    pub(super) fn may_be_damaged(&self, content: &[u8]) -> bool {
        self.has_lied || self.hit.contains(content)
    }
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
        let record = (before_offset + start as u64).saturating_sub(RECORD_HEADER_BYTES)..before_offset + end as u64;
        if record.start < range.end && range.start < record.end {
            hit.push(before[start..end].to_vec());
        }
        from = end;
    }
    hit
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
