//! The part that lists the collections of the database as they were when the table was written.
//!
//! It serves `repair` alone, where all metadata is lost: names and next numbers come back from the newest of these lists.
//! No lookup reads it.
//!
//! ```text
//! u32 number of collections, then of each: u32 id, u64 next number, u8 length of the name, name
//! ```
//!
//! Invariants: ids ascend.

use docdb_protocol::limits::COLLECTIONS_PER_DATABASE_MAX;
use docdb_protocol::{CollectionId, CollectionName};

use super::part::{self, PartError, PartKind, TableIdentity};
use crate::log::{Fields, put_u32, put_u64};

/// A collection as a table knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCollection {
    /// Its id.
    pub id: CollectionId,
    /// Its name.
    pub name: CollectionName,
    /// One above the highest number that was ever used in it.
    pub next_number: u64,
}

impl TableCollection {
    /// All of the part that was read at `offset`.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode_all(identity: TableIdentity, offset: u64, bytes: &[u8]) -> Result<Vec<TableCollection>, PartError> {
        let body = part::open(identity, PartKind::Collections, offset, bytes)?.into_raw()?;
        read(&body).ok_or(PartError::Damaged)
    }
}

/// What the part holds.
pub(super) fn encode(collections: &[TableCollection]) -> Vec<u8> {
    assert!(collections.len() <= COLLECTIONS_PER_DATABASE_MAX, "a database has no more");
    let mut body = Vec::new();
    put_u32(&mut body, u32::try_from(collections.len()).expect("a database has no more"));
    for collection in collections {
        put_u32(&mut body, collection.id.0);
        put_u64(&mut body, collection.next_number);
        put_name(&mut body, &collection.name);
    }
    body
}

fn read(body: &[u8]) -> Option<Vec<TableCollection>> {
    let mut fields = Fields::new(body);
    let count = fields.u32()? as usize;
    let mut collections: Vec<TableCollection> = Vec::new();
    for _ in 0..count {
        let (id, next_number) = (CollectionId(fields.u32()?), fields.count()?);
        let name = take_name(&mut fields)?;
        let ascends = collections.last().is_none_or(|before| before.id < id) && id.0 < u32::MAX;
        if !ascends || collections.len() == COLLECTIONS_PER_DATABASE_MAX {
            return None;
        }
        collections.push(TableCollection { id, name, next_number });
    }
    fields.is_at_end().then_some(collections)
}

/// A name behind its length.
pub(crate) fn put_name(out: &mut Vec<u8>, name: &CollectionName) {
    out.push(u8::try_from(name.as_str().len()).expect("a name has at most 64 bytes"));
    out.extend_from_slice(name.as_str().as_bytes());
}

/// Likewise, read.
pub(crate) fn take_name(fields: &mut Fields<'_>) -> Option<CollectionName> {
    let length = usize::from(fields.u8()?);
    CollectionName::parse(std::str::from_utf8(fields.bytes(length)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_read_back_as_they_were_written() {
        let collection = |id: u32, name: &str| TableCollection {
            id: CollectionId(id),
            name: CollectionName::parse(name).unwrap(),
            next_number: u64::from(id) + 7,
        };
        let collections = vec![collection(0, "_default"), collection(3, "notes")];
        let body = encode(&collections);
        assert_eq!(read(&body), Some(collections));
        for at in 0..body.len() {
            assert_eq!(read(&body[..at]), None, "cut at {at}");
        }
        assert_eq!(read(&encode(&[collection(3, "a"), collection(3, "b")])), None, "an id twice");
        assert_eq!(read(b"\xff\xff\xff\xff"), None, "nothing is set aside for a count");
    }
}
