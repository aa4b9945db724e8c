//! What the engine wrote, read back from the bytes of its writes by FORMAT.md's tables.
//!
//! It shares no code with the engine's own reading and checks no checksum, but for [`whole_header`]: it is asked about what
//! was submitted, not about what a disk gave back. Bytes that the engine did not write read as `None`.

use docdb_engine::Buffer;

/// Where the first batch of a segment begins in its file.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;

const SECTOR_BYTES: u64 = 512;
const HEADER_COPY_BYTES: usize = 84;
/// How far behind the first copy of a header the second one stands.
const SECOND_COPY_OFFSET: usize = 2048;
const BATCH_FIXED_BYTES: usize = 72;
const RECORD_BYTES: usize = 64;
/// Where a record says how long the text is that is its document's id, and stands behind the fixed part.
const TEXT_LENGTH_OFFSET: usize = 5;
const COMMIT: u8 = 5;
/// It belongs to no transaction.
const CHECKPOINT: u8 = 255;
/// Both headers of a catalog.
const CATALOG_HEADERS_BYTES: usize = 1024;
/// A change, with both its copies.
const CHANGE_BYTES: usize = 1024;
/// What stands before the entry in a change.
const CHANGE_FIXED_BYTES: usize = 52;
/// What stands before the name in an entry.
const ENTRY_FIXED_BYTES: usize = 42;

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) database: u64,
    pub(crate) epoch: u64,
    pub(crate) start_lsn: u64,
}

/// A batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) epoch: u64,
    pub(crate) lsn: u64,
    pub(crate) start_lsn: u64,
    pub(crate) watermark: u64,
    /// In whole sectors.
    pub(crate) bytes: u64,
    /// The transaction of the first record of any.
    pub(crate) first_tx: Option<u64>,
    /// The transaction of the last commit record, if there is one.
    pub(crate) last_tx: Option<u64>,
}

/// All bytes of a write.
pub(crate) fn bytes_of(buffers: &[Buffer]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(buffers.iter().map(Buffer::len).sum());
    buffers.iter().for_each(|buffer| bytes.extend_from_slice(buffer.as_slice()));
    bytes
}

/// The header of a file that begins with these bytes, when one of its copies is whole.
pub(crate) fn whole_header(bytes: &[u8]) -> Option<Header> {
    [0, SECOND_COPY_OFFSET].into_iter().find_map(|offset| {
        let copy = bytes.get(offset..offset + HEADER_COPY_BYTES)?;
        let (covered, checksum) = copy.split_last_chunk()?;
        (crc32fast::hash(covered) == u32::from_le_bytes(*checksum)).then(|| header(copy))?
    })
}

pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let ours = bytes.starts_with(b"DOCDBLOG");
    ours.then_some(Header { database: u64_at(bytes, 48)?, epoch: u64_at(bytes, 56)?, start_lsn: u64_at(bytes, 64)? })
}

/// The batches of one write, one behind the other.
pub(super) fn batches(bytes: &[u8]) -> Option<Vec<Batch>> {
    let mut batches = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let batch = batch(rest)?;
        rest = rest.get(usize::try_from(batch.bytes).ok()?..)?;
        batches.push(batch);
    }
    Some(batches)
}

/// The batch that begins here.
pub(crate) fn batch(bytes: &[u8]) -> Option<Batch> {
    if !bytes.starts_with(b"DBAT") {
        return None;
    }
    let (header_bytes, body_bytes) = (u32_at(bytes, 8)? as usize, u32_at(bytes, 12)? as usize);
    let (mut first_tx, mut last_tx) = (None, None);
    let mut at = header_bytes.max(BATCH_FIXED_BYTES);
    for _ in 0..u32_at(bytes, 64)? {
        let tx = u64_at(bytes, at + 32)?;
        let kind = *bytes.get(at + 4)?;
        if kind != CHECKPOINT {
            first_tx.get_or_insert(tx);
        }
        if kind == COMMIT {
            last_tx = Some(tx);
        }
        let text_bytes = usize::from(*bytes.get(at + TEXT_LENGTH_OFFSET)?);
        at += RECORD_BYTES + text_bytes + u32_at(bytes, at + 52)? as usize;
    }
    Some(Batch {
        epoch: u64_at(bytes, 24)?,
        lsn: u64_at(bytes, 32)?,
        start_lsn: u64_at(bytes, 40)?,
        watermark: u64_at(bytes, 48)?,
        bytes: (header_bytes as u64 + body_bytes as u64).next_multiple_of(SECTOR_BYTES),
        first_tx,
        last_tx,
    })
}

/// The entries of a catalog's snapshot: name, id, and the stored end of the log.
pub(super) fn catalog(bytes: &[u8]) -> Option<Vec<(String, u64, u64)>> {
    if !bytes.starts_with(b"DOCDBCAT") {
        return None;
    }
    let mut entries = Vec::new();
    let mut at = CATALOG_HEADERS_BYTES + 20;
    for _ in 0..u32_at(bytes, CATALOG_HEADERS_BYTES + 16)? {
        let entry = entry(bytes, at)?;
        at += ENTRY_FIXED_BYTES + entry.0.len();
        entries.push(entry);
    }
    Some(entries)
}

/// The entries of the changes in one write, each read from its first copy.
pub(super) fn changes(bytes: &[u8]) -> Option<Vec<(String, u64, u64)>> {
    let change = |bytes: &[u8]| if bytes.starts_with(b"DCHG") { entry(bytes, CHANGE_FIXED_BYTES) } else { None };
    bytes.chunks(CHANGE_BYTES).map(change).collect()
}

fn entry(bytes: &[u8], at: usize) -> Option<(String, u64, u64)> {
    let name_bytes = usize::from(*bytes.get(at + ENTRY_FIXED_BYTES - 1)?);
    let name = bytes.get(at + ENTRY_FIXED_BYTES..at + ENTRY_FIXED_BYTES + name_bytes)?;
    let name = std::str::from_utf8(name).ok()?;
    Some((name.to_owned(), u64_at(bytes, at)?, u64_at(bytes, at + 16)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
