//! The bytes of a footer, and of the trailer by which one is found that nothing names.
//!
//! ```text
//! u32 version | u64 features to read | u64 features to write | u64 database | u64 table number | u64 generation
//! u64 oldest TxId | u64 newest TxId | u64 values | u64 tombstones | u64 damaged documents | u64 bytes of documents
//! u32 next collection id | place of the collections
//! key: first | key: last
//! u32 inputs, u64 each | u32 outputs before, u64 each | u8 is the last output
//! u32 sections, each:       key: first | key: last | u32 keys | u64 blocks from | u64 to | place of index | place of filter
//! u32 damaged ranges, each: key: first | key: last | u64 newest TxId | place of filter, or zeros
//!
//! key: u16 length, bytes        place: u64 offset, u32 bytes
//! trailer, the last bytes of the last payload: u64 offset of the footer | u32 its bytes | "DOCDBEND"
//! ```
//!
//! Invariants: nothing is set aside for a count that was read; a list grows by what is there.

use docdb_protocol::{CollectionId, DatabaseId, TxId};

use super::footer::{
    Counts, DAMAGED_RANGES_MAX, DamagedRange, Footer, FooterPlace, JOB_TABLES_MAX, Job, SECTIONS_MAX, Section,
};
use super::frame::{CRC_BYTES, FRAME_SECTOR_BYTES};
use super::key::KEY_BYTES_MAX;
use super::part::{self, PART_BYTES_MAX, PART_HEADER_BYTES, PartError, PartKind, PartPlace, TableIdentity};
use crate::log::{FORMAT_VERSION, Fields, put_u32, put_u64};

const TRAILER_MAGIC: &[u8; 8] = b"DOCDBEND";
pub(super) const TRAILER_BYTES: usize = 20;

/// The last bytes of the last payload.
pub(super) fn trailer(footer: PartPlace) -> Vec<u8> {
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    put_u64(&mut trailer, footer.offset);
    put_u32(&mut trailer, footer.bytes);
    trailer.extend_from_slice(TRAILER_MAGIC);
    trailer
}

impl Footer {
    /// Where a table that nothing names says that its footer is: of its last two sectors, which are `tail`, and of its
    /// length. The footer's own checksum judges what is found there.
    #[must_use]
    pub fn find(file_bytes: u64, tail: &[u8]) -> Option<PartPlace> {
        let sector = tail.get(tail.len().checked_sub(2 * FRAME_SECTOR_BYTES)?..)?.get(..FRAME_SECTOR_BYTES)?;
        let mut fields = Fields::new(&sector[FRAME_SECTOR_BYTES - CRC_BYTES - TRAILER_BYTES..]);
        let (offset, bytes) = (fields.u64()?, fields.u32()?);
        let is_within = offset.checked_add(u64::from(bytes))? < file_bytes;
        let is_possible = is_within && bytes as usize <= PART_HEADER_BYTES + PART_BYTES_MAX;
        (is_possible && fields.bytes(8)? == TRAILER_MAGIC).then_some(PartPlace {
            kind: PartKind::Footer,
            offset,
            bytes,
        })
    }

    /// The footer that was read at `offset`.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode(identity: TableIdentity, offset: u64, bytes: &[u8]) -> Result<Footer, PartError> {
        let body = part::open(identity, PartKind::Footer, offset, bytes)?.into_raw()?;
        let mut fields = Fields::new(&body);
        let (version, to_read) = versions(&mut fields).ok_or(PartError::Damaged)?;
        if version > FORMAT_VERSION || to_read != 0 {
            return Err(PartError::Newer);
        }
        let footer = read(fields).filter(|footer| version == FORMAT_VERSION && footer.identity == identity);
        footer.filter(Footer::is_consistent).ok_or(PartError::Damaged)
    }

    /// Likewise, of a table that live metadata names: another footer than the one it names is damage.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode_named(identity: TableIdentity, place: FooterPlace, bytes: &[u8]) -> Result<Footer, PartError> {
        let is_named = bytes.first_chunk() == Some(&place.crc32.to_le_bytes());
        if is_named { Footer::decode(identity, place.offset, bytes) } else { Err(PartError::Damaged) }
    }
}

/// What the part holds.
pub(super) fn encode(footer: &Footer) -> Vec<u8> {
    let mut body = Vec::new();
    let out = &mut body;
    put_u32(out, FORMAT_VERSION);
    // No feature so far.
    put_u64(out, 0);
    put_u64(out, 0);
    put_u64(out, footer.identity.database.get());
    put_u64(out, footer.identity.number);
    put_u64(out, footer.generation);
    put_u64(out, footer.first_tx.0);
    put_u64(out, footer.last_tx.0);
    let Counts { values, tombstones, damaged, document_bytes } = footer.counts;
    for count in [values, tombstones, damaged, document_bytes] {
        put_u64(out, count);
    }
    put_u32(out, footer.next_collection.0);
    put_place(out, footer.collections);
    put_key(out, &footer.first_key);
    put_key(out, &footer.last_key);
    for tables in [&footer.job.inputs, &footer.job.outputs_before] {
        assert!(tables.len() <= JOB_TABLES_MAX, "a job has no more tables");
        put_count(out, tables.len());
        tables.iter().for_each(|number| put_u64(out, *number));
    }
    out.push(u8::from(footer.job.is_last_output));
    put_count(out, footer.sections.len());
    for section in &footer.sections {
        put_key(out, &section.first_key);
        put_key(out, &section.last_key);
        put_u32(out, section.keys);
        put_u64(out, section.blocks_from);
        put_u64(out, section.blocks_to);
        put_place(out, Some(section.index));
        put_place(out, Some(section.filter));
    }
    put_count(out, footer.damaged_ranges.len());
    for range in &footer.damaged_ranges {
        put_key(out, &range.first_key);
        put_key(out, &range.last_key);
        put_u64(out, range.newest.0);
        put_place(out, range.filter);
    }
    body
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_u32(out, u32::try_from(count).expect("every list of a footer is bounded"));
}

/// A key behind its length.
pub(crate) fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    out.extend_from_slice(&u16::try_from(key.len()).expect("a key is short").to_le_bytes());
    out.extend_from_slice(key);
}

fn put_place(out: &mut Vec<u8>, place: Option<PartPlace>) {
    put_u64(out, place.map_or(0, |place| place.offset));
    put_u32(out, place.map_or(0, |place| place.bytes));
}

fn versions(fields: &mut Fields<'_>) -> Option<(u32, u64)> {
    Some((fields.u32()?, fields.u64()?))
}

/// All behind the features that a reader must know.
fn read(mut fields: Fields<'_>) -> Option<Footer> {
    let from = &mut fields;
    let is_writable = from.u64()? == 0;
    let identity = TableIdentity { database: DatabaseId::new(from.u64()?)?, number: from.count()? };
    let generation = from.count()?;
    let (first_tx, last_tx) = (TxId(from.count()?), TxId(from.count()?));
    let counts = Counts {
        values: from.count()?,
        tombstones: from.count()?,
        damaged: from.count()?,
        document_bytes: from.count()?,
    };
    let next_collection = CollectionId(from.u32()?);
    let collections = take_place(from, PartKind::Collections)?;
    let (first_key, last_key) = (take_key(from)?, take_key(from)?);
    let (inputs, outputs_before) =
        (take_list(from, JOB_TABLES_MAX, |from| from.count())?, take_list(from, JOB_TABLES_MAX, |from| from.count())?);
    let is_last_output = from.u8().filter(|flag| *flag <= 1)? == 1;
    let job = Job { inputs, outputs_before, is_last_output };
    let sections = take_list(from, SECTIONS_MAX, take_section)?;
    let damaged_ranges = take_list(from, DAMAGED_RANGES_MAX, take_range)?;
    fields.is_at_end().then_some(Footer {
        identity,
        generation,
        first_key,
        last_key,
        first_tx,
        last_tx,
        counts,
        job,
        next_collection,
        collections,
        sections,
        damaged_ranges,
        is_writable,
    })
}

fn take_section(from: &mut Fields<'_>) -> Option<Section> {
    Some(Section {
        first_key: take_key(from)?,
        last_key: take_key(from)?,
        keys: from.u32()?,
        blocks_from: from.count()?,
        blocks_to: from.count()?,
        index: take_place(from, PartKind::Index)??,
        filter: take_place(from, PartKind::Filter)??,
    })
}

fn take_range(from: &mut Fields<'_>) -> Option<DamagedRange> {
    Some(DamagedRange {
        first_key: take_key(from)?,
        last_key: take_key(from)?,
        newest: TxId(from.count()?),
        filter: take_place(from, PartKind::Filter)?,
    })
}

/// A list behind its length, which is at most `most`.
fn take_list<T>(from: &mut Fields<'_>, most: usize, take: impl Fn(&mut Fields<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = from.u32()? as usize;
    let mut list = Vec::new();
    for _ in 0..count {
        if list.len() == most {
            return None;
        }
        list.push(take(from)?);
    }
    Some(list)
}

/// A key behind its length.
pub(crate) fn take_key(from: &mut Fields<'_>) -> Option<Box<[u8]>> {
    let length = usize::from(u16::from_le_bytes(*from.bytes(2)?.first_chunk()?));
    (length <= KEY_BYTES_MAX).then_some(())?;
    from.bytes(length).map(Box::from)
}

/// A place; `Some(None)` where there is none.
fn take_place(from: &mut Fields<'_>, kind: PartKind) -> Option<Option<PartPlace>> {
    let (offset, bytes) = (from.count()?, from.u32()?);
    if bytes == 0 {
        return (offset == 0).then_some(None);
    }
    let is_bounded = bytes as usize <= PART_HEADER_BYTES + PART_BYTES_MAX;
    is_bounded.then_some(Some(PartPlace { kind, offset, bytes }))
}
