//! The bytes of the journal: one change behind the other, each twice, in a sector of its own.
//!
//! A change says behind which snapshot it stands, its number, where it is, and how many changes were durable when it was
//! written. So no bytes that were left on the device pass for a change. Changes that are written together may reach the device
//! in any order, so a power loss can leave a hole; a later change that was written when the hole's was durable shows that it
//! is damage instead.
//!
//! FORMAT.md has the table.

use docdb_protocol::DatabaseId;

use super::bounds::COPIES;
use super::entry::{Change, put_entry, read_entry};
use crate::disk::SECTOR_BYTES;
use crate::log::{Fields, put_u32, put_u64};

const MAGIC: &[u8; 4] = b"DCHG";
/// The one kind of change there is.
const KIND_ENTRY: u32 = 1;

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    /// The changes before the first hole: a change of which no copy is whole.
    pub(super) counted: Vec<Change>,
    /// The changes behind that hole.
    pub(super) behind: Vec<Change>,
    /// Whether the hole was a durable change, which is lost.
    pub(super) is_damaged: bool,
}

/// The bytes of changes that are written together, from number `index` on. All before them are durable.
pub(crate) fn encode_changes(changes: &[Change], generation: u64, index: u64, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(changes.len() * COPIES * SECTOR_BYTES);
    for (number, change) in (index..).zip(changes) {
        for _ in 0..COPIES {
            let mut covered = Vec::with_capacity(SECTOR_BYTES);
            put_u64(&mut covered, generation);
            put_u64(&mut covered, number);
            put_u64(&mut covered, index);
            put_u64(&mut covered, offset + bytes.len() as u64);
            put_u32(&mut covered, KIND_ENTRY);
            put_u64(&mut covered, change.next_database.get());
            put_entry(&mut covered, change.id, &change.entry);
            covered.resize(SECTOR_BYTES - MAGIC.len() - 4, 0);
            bytes.extend_from_slice(MAGIC);
            put_u32(&mut bytes, crc32fast::hash(&covered));
            bytes.extend_from_slice(&covered);
        }
    }
    bytes
}

/// Reads the journal behind a snapshot. `None` when a later version wrote in it.
pub(super) fn read(bytes: &[u8], generation: u64, offset: usize) -> Option<Read> {
    let mut read = Read::default();
    let mut hole = None;
    let places = (offset..bytes.len()).step_by(COPIES * SECTOR_BYTES);
    for (number, place) in (0..).zip(places) {
        let mut copies = (0..COPIES).map(|copy| place + copy * SECTOR_BYTES);
        match copies.find_map(|place| copy_at(bytes, generation, number, place)) {
            Some(Found::Newer) => return None,
            Some(Found::Whole { change, durable }) => match hole {
                None => read.counted.push(change),
                Some(hole) => {
                    read.is_damaged |= durable > hole;
                    read.behind.push(change);
                }
            },
            None => hole = hole.or(Some(number)),
        }
    }
    Some(read)
}

enum Found {
    Whole {
        change: Change,
        /// How many changes were durable when it was written.
        durable: u64,
    },
    Newer,
}

fn copy_at(bytes: &[u8], generation: u64, number: u64, place: usize) -> Option<Found> {
    let sector = bytes.get(place..)?.get(..SECTOR_BYTES)?;
    let mut fields = Fields::new(sector);
    let (magic, crc32) = (fields.bytes(MAGIC.len())?, fields.u32()?);
    if magic != MAGIC || crc32 != crc32fast::hash(fields.rest()) {
        return None;
    }
    let (is_behind, is_next) = (fields.u64()? == generation, fields.u64()? == number);
    let (durable, stands_here) = (fields.u64()?, fields.u64()? == place as u64);
    if !is_behind || !is_next || !stands_here {
        return None;
    }
    if fields.u32()? != KIND_ENTRY {
        return Some(Found::Newer);
    }
    let next_database = DatabaseId::new(fields.u64()?)?;
    let (id, entry) = read_entry(&mut fields)?;
    let is_zero = fields.rest().iter().all(|byte| *byte == 0);
    is_zero.then_some(Found::Whole { change: Change { next_database, id, entry }, durable })
}
