//! One entry of the catalog, in memory and in bytes: a snapshot and the journal lay it out alike.

use docdb_protocol::{DatabaseId, DatabaseName};

use crate::clock::WallTime;
use crate::log::{Fields, Lsn, put_u64};

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: DatabaseName,
    pub(crate) created_at: WallTime,
    /// What the last closing stored.
    pub(crate) closed: Closed,
}

/// What a closing stores; of a database that was never closed, the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The log reaches at least to here: one that ends earlier is damaged.
    pub(crate) log_end: Lsn,
    /// `None` from the next opening for writing on, until it is closed again: until then only opening it shows them.
    pub(crate) figures: Option<Figures>,
}

/// What a listing shows of a database that is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) log_bytes: u64,
    pub(crate) documents: u64,
}

/// One entry as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) next_database: DatabaseId,
    pub(crate) id: DatabaseId,
    pub(crate) entry: Entry,
}

/// An entry as it stands in a snapshot and in a change.
pub(super) fn put_entry(out: &mut Vec<u8>, id: DatabaseId, entry: &Entry) {
    let figures = entry.closed.figures.unwrap_or_default();
    put_u64(out, id.get());
    put_u64(out, entry.created_at.0);
    put_u64(out, entry.closed.log_end.0);
    put_u64(out, figures.log_bytes);
    put_u64(out, figures.documents);
    out.push(u8::from(entry.closed.figures.is_some()));
    out.push(u8::try_from(entry.name.as_str().len()).expect("a name is at most 64 bytes"));
    out.extend_from_slice(entry.name.as_str().as_bytes());
}

pub(super) fn read_entry(fields: &mut Fields<'_>) -> Option<(DatabaseId, Entry)> {
    let id = DatabaseId::new(fields.u64()?)?;
    let created_at = WallTime(fields.u64()?);
    let log_end = Lsn(fields.count()?);
    let figures = Figures { log_bytes: fields.u64()?, documents: fields.u64()? };
    let figures = match fields.u8()? {
        0 => None,
        1 => Some(figures),
        _ => return None,
    };
    let name_bytes = fields.u8()? as usize;
    let name = DatabaseName::parse(std::str::from_utf8(fields.bytes(name_bytes)?).ok()?).ok()?;
    Some((id, Entry { name, created_at, closed: Closed { log_end, figures } }))
}
