//! The bytes of a catalog by FORMAT.md: read strictly as they are written, and as a start has to read them from what a crash left.
//!
//! It shares no code with the engine. What it makes of a damaged file is what the engine has to make of it: the same entries,
//! or that something durable is missing.

use docdb_protocol::DatabaseName;

use super::fields::{Fields, file_header, has_crc32, is_zero};
use crate::oracle::{Violation, violation};

const SECTOR_BYTES: usize = 512;
const HEADER_BYTES: usize = 68;
/// Both copies of the header.
const HEADERS_BYTES: usize = 2 * SECTOR_BYTES;
/// Both copies of a change.
pub(super) const CHANGE_BYTES: usize = 2 * SECTOR_BYTES;
/// What stands before the entries of a body.
const BODY_FIXED_BYTES: usize = 20;
const KIND_ENTRY: u32 = 1;

/// What is known of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) created_at: u64,
    pub(super) log_end: u64,
    pub(super) log_bytes: u64,
    pub(super) documents: u64,
    pub(super) is_known: bool,
    pub(super) name: String,
}

/// What a catalog says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) directory: u128,
    pub(super) generation: u64,
    pub(super) starts: u64,
    pub(super) next_database: u64,
    pub(super) entries: Vec<Entry>,
    /// Where its journal begins.
    pub(super) bytes: usize,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) durable: u64,
    pub(super) next_database: u64,
    pub(super) entry: Entry,
}

/// What a start finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This is what it goes on with.
    Whole(Snapshot),
    /// Something durable is missing.
    Damaged,
}

/// All bytes of a snapshot that is written.
pub(super) fn snapshot(bytes: &[u8]) -> Result<Snapshot, Violation> {
    let (Some(first), Some(second)) = (bytes.get(..SECTOR_BYTES), bytes.get(SECTOR_BYTES..HEADERS_BYTES)) else {
        return violation!("a catalog has {} bytes", bytes.len());
    };
    let header = header(first)?;
    let copy_bytes = header.body_bytes.next_multiple_of(SECTOR_BYTES);
    let (bodies, end) = (&bytes[HEADERS_BYTES..], HEADERS_BYTES + 2 * copy_bytes);
    if first != second || bytes.len() != end || bodies[..copy_bytes] != bodies[copy_bytes..] {
        return violation!("the copies of a catalog differ, in {} bytes", bytes.len());
    }
    is_zero(&first[HEADER_BYTES..], "what stands behind a catalog's header")?;
    is_zero(&bodies[header.body_bytes..copy_bytes], "what stands behind a catalog's body")?;
    has_crc32(&bodies[..header.body_bytes], header.body_crc32, "a catalog's body")?;
    body(&header, &bodies[..header.body_bytes])
}

/// A change that is written as the number `number` behind the snapshot of this generation, with both its copies, at `offset`.
pub(super) fn change(bytes: &[u8], generation: u64, number: u64, offset: u64) -> Result<Change, Violation> {
    let (first, second) = bytes.split_at(SECTOR_BYTES);
    let (one, other) =
        (copy(first, generation, number, offset)?, copy(second, generation, number, offset + SECTOR_BYTES as u64)?);
    if one == other { Ok(one) } else { violation!("the copies of a change differ: {one:?}, {other:?}") }
}

/// What is found in a file, whatever became of it.
pub(super) fn read(bytes: &[u8]) -> Found {
    let headers = [0, SECTOR_BYTES].into_iter().filter_map(|at| header(bytes.get(at..at + SECTOR_BYTES)?).ok());
    let of = |header: Header| {
        let copy_bytes = header.body_bytes.next_multiple_of(SECTOR_BYTES);
        let copies = [HEADERS_BYTES, HEADERS_BYTES + copy_bytes].into_iter();
        let mut whole = copies.filter_map(|at| {
            let bytes = bytes.get(at..at + header.body_bytes)?;
            has_crc32(bytes, header.body_crc32, "a catalog's body").and_then(|()| body(&header, bytes)).ok()
        });
        whole.next()
    };
    let mut wholes = headers.filter_map(of);
    match wholes.next() {
        Some(snapshot) => with_journal(snapshot, bytes),
        None => Found::Damaged,
    }
}

fn with_journal(mut snapshot: Snapshot, bytes: &[u8]) -> Found {
    let mut hole = None;
    for (number, at) in (0..).zip((snapshot.bytes..bytes.len()).step_by(CHANGE_BYTES)) {
        let copy_at = |at: usize| {
            let sector = bytes.get(at..at + SECTOR_BYTES)?;
            copy(sector, snapshot.generation, number, at as u64).ok()
        };
        match (copy_at(at).or_else(|| copy_at(at + SECTOR_BYTES)), hole) {
            (Some(change), None) => {
                snapshot.next_database = snapshot.next_database.max(change.next_database);
                snapshot.entries.retain(|entry| entry.id != change.entry.id);
                snapshot.entries.push(change.entry);
            }
            (Some(change), Some(hole)) if change.durable > hole => return Found::Damaged,
            (Some(_), Some(_)) => {}
            (None, _) => hole = hole.or(Some(number)),
        }
    }
    snapshot.entries.sort_by_key(|entry| entry.id);
    Found::Whole(snapshot)
}

struct Header {
    directory: u128,
    generation: u64,
    body_bytes: usize,
    body_crc32: u32,
}

fn header(sector: &[u8]) -> Result<Header, Violation> {
    let (directory, mut own) = file_header(sector, b"DOCDBCAT", HEADER_BYTES)?;
    let (generation, body_bytes, body_crc32) = (own.u64()?, own.u32()? as usize, own.u32()?);
    Ok(Header { directory, generation, body_bytes, body_crc32 })
}

fn body(header: &Header, bytes: &[u8]) -> Result<Snapshot, Violation> {
    let mut fields = Fields::new(bytes);
    let (starts, next_database, count) = (fields.u64()?, fields.u64()?, fields.u32()?);
    let mut entries = Vec::new();
    let mut entry_bytes = 0;
    for _ in 0..count {
        let entry = entry(&mut fields)?;
        entry_bytes += 42 + entry.name.len();
        entries.push(entry);
    }
    if BODY_FIXED_BYTES + entry_bytes != bytes.len() {
        return violation!("{count} entries of {entry_bytes} bytes stand in a body of {}", bytes.len());
    }
    let bytes = HEADERS_BYTES + 2 * bytes.len().next_multiple_of(SECTOR_BYTES);
    let (directory, generation) = (header.directory, header.generation);
    Ok(Snapshot { directory, generation, starts, next_database, entries, bytes })
}

fn copy(sector: &[u8], generation: u64, number: u64, offset: u64) -> Result<Change, Violation> {
    let mut fields = Fields::new(sector);
    let (magic, crc32) = (fields.bytes(4)?, fields.u32()?);
    has_crc32(&sector[8..], crc32, "a change")?;
    let (behind, told, durable, place, kind) =
        (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?, fields.u32()?);
    if magic != b"DCHG" || (behind, told, place, kind) != (generation, number, offset, KIND_ENTRY) {
        let expected = (generation, number, offset, KIND_ENTRY);
        return violation!("a change says {:?}, expected {expected:?}", (behind, told, place, kind));
    }
    let (next_database, entry) = (fields.u64()?, entry(&mut fields)?);
    fields.only_zeros("what stands behind a change")?;
    Ok(Change { durable, next_database, entry })
}

fn entry(fields: &mut Fields<'_>) -> Result<Entry, Violation> {
    let (id, created_at, log_end) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let (log_bytes, documents, known, name_bytes) = (fields.u64()?, fields.u64()?, fields.u8()?, fields.u8()?);
    let name = String::from_utf8_lossy(fields.bytes(usize::from(name_bytes))?).into_owned();
    let entry = Entry { id, created_at, log_end, log_bytes, documents, is_known: known == 1, name };
    let is_said = known == 1 || (known, log_bytes, documents) == (0, 0, 0);
    if is_said && id > 0 && DatabaseName::parse(&entry.name).is_ok() {
        Ok(entry)
    } else {
        violation!("{entry:?} breaks the format's rules")
    }
}
