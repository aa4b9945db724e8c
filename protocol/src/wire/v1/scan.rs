//! A scan and its pages: part of a collection, in either direction, with or without the documents.
//!
//! A page says where the next one begins: its cursor goes into the next call, which is otherwise the same. To a client it is
//! bytes without a meaning. The server keeps nothing between two pages, so each shows the state of its own moment.

use std::ops::{Bound, RangeBounds};

use super::fields::{
    bound, bytes8, collection_name, database, id, id_bytes, put_bound, put_bytes32, put_count, put_id, put_text8,
};
use crate::document::Document;
use crate::document_id::DocumentId;
use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::names::CollectionName;
use crate::wire::read::Cursor;

const DESCENDING: u8 = 1;
const IDS_ONLY: u8 = 2;

const LOST: u8 = 1;
const WITHHELD: u8 = 2;

const DOCUMENT: u8 = 0;
const DAMAGED: u8 = 1;
const ID_ALONE: u8 = 2;

/// Kind and number or length of the id, state.
const ENTRY_BYTES_MIN: usize = 2 + 1;

/// Which documents, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCall {
    /// The database.
    pub database: DatabaseId,
    /// The collection. An unknown one has no documents.
    pub collection: CollectionName,
    /// From the upper end down.
    pub descending: bool,
    /// Without the documents.
    pub ids_only: bool,
    /// The lower end.
    pub from: Bound<DocumentId>,
    /// The upper end.
    pub to: Bound<DocumentId>,
    /// A page has no more entries than this; 0 leaves it to the server.
    pub entries_max: u32,
    /// Of the page before; empty for the first.
    pub cursor: Vec<u8>,
}

/// What a page has of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// Its bytes.
    Document(Document),
    /// It is damaged.
    Damaged,
    /// It is there: more was not asked for.
    IdOnly,
}

/// Part of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// For the call of the next page; empty when this is the last.
    pub cursor: Vec<u8>,
    /// Whether documents of the range may be missing that nothing names: a part of the log is lost. Said with the last page.
    pub lost: bool,
    /// Whether documents of the range are withheld until there is space to make them durable. Said with the last page.
    pub withheld: bool,
    /// In the order that was asked for.
    pub entries: Vec<(DocumentId, Scanned)>,
}

/// The cursor of a page that ends with this document.
#[must_use]
pub fn cursor_after(id: &DocumentId) -> Vec<u8> {
    let mut cursor = Vec::new();
    put_id(&mut cursor, id);
    cursor
}

impl ScanCall {
    /// Every document of a collection, in ascending order.
    #[must_use]
    pub fn new(database: DatabaseId, collection: CollectionName) -> ScanCall {
        ScanCall {
            database,
            collection,
            descending: false,
            ids_only: false,
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            entries_max: 0,
            cursor: Vec::new(),
        }
    }

    /// The bounds of what is left to be shown behind the cursor.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] when the cursor is of no page of this scan.
    pub fn rest(&self) -> Result<(Bound<DocumentId>, Bound<DocumentId>), Error> {
        if self.cursor.is_empty() {
            return Ok((self.from.clone(), self.to.clone()));
        }
        let foreign = || Error::new(ErrorCode::InvalidRequest).detail("the cursor is of no page of this scan");
        let mut cursor = Cursor::new(&self.cursor);
        let last = id(&mut cursor).and_then(|last| cursor.end().and_then(|()| last.value())).map_err(|_| foreign())?;
        if !(self.from.as_ref(), self.to.as_ref()).contains(&last) {
            return Err(foreign());
        }
        let behind = Bound::Excluded(last);
        Ok(if self.descending { (self.from.clone(), behind) } else { (behind, self.to.clone()) })
    }

    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<ScanCall, Error> {
        let (database, collection) = (database(cursor)?, collection_name(bytes8(cursor)?)?);
        let flags = cursor.u8()?;
        if flags & !(DESCENDING | IDS_ONLY) != 0 {
            return Err(cursor.invalid("a flag of a scan is unknown"));
        }
        let (from, to) = (bound(cursor)?, bound(cursor)?);
        let (entries_max, page) = (cursor.u32()?, cursor.bytes_u16()?);
        Ok(ScanCall {
            database,
            collection,
            descending: flags & DESCENDING != 0,
            ids_only: flags & IDS_ONLY != 0,
            from,
            to,
            entries_max,
            cursor: page.to_vec(),
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.database.get().to_le_bytes());
        put_text8(out, self.collection.as_str());
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        out.push(flag(self.descending, DESCENDING) | flag(self.ids_only, IDS_ONLY));
        put_bound(out, self.from.as_ref());
        put_bound(out, self.to.as_ref());
        out.extend_from_slice(&self.entries_max.to_le_bytes());
        put_cursor(out, &self.cursor);
    }
}

impl Page {
    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Page, Error> {
        let next = cursor.bytes_u16()?.to_vec();
        let missing = cursor.u8()?;
        if missing & !(LOST | WITHHELD) != 0 {
            return Err(cursor.invalid("a page misses documents for an unknown reason"));
        }
        let count = cursor.count(ENTRY_BYTES_MIN)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let id = id(cursor)?.value()?;
            let scanned = match cursor.u8()? {
                DOCUMENT => Scanned::Document(Document::parse(cursor.bytes_u32()?)?),
                DAMAGED => Scanned::Damaged,
                ID_ALONE => Scanned::IdOnly,
                _ => return Err(cursor.invalid("the state of a document is neither 0, 1 nor 2")),
            };
            entries.push((id, scanned));
        }
        Ok(Page { cursor: next, lost: missing & LOST != 0, withheld: missing & WITHHELD != 0, entries })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_cursor(out, &self.cursor);
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        out.push(flag(self.lost, LOST) | flag(self.withheld, WITHHELD));
        put_count(out, self.entries.len());
        for (id, scanned) in &self.entries {
            put_id(out, id);
            match scanned {
                Scanned::Document(document) => {
                    out.push(DOCUMENT);
                    put_bytes32(out, document.bytes());
                }
                Scanned::Damaged => out.push(DAMAGED),
                Scanned::IdOnly => out.push(ID_ALONE),
            }
        }
    }

    /// At least the bytes that it takes.
    pub(super) fn bytes_max(&self) -> usize {
        let entries: usize = self.entries.iter().map(|(id, scanned)| scanned.bytes_in_page(id)).sum();
        2 + self.cursor.len() + 1 + 4 + entries
    }
}

impl Scanned {
    /// How many bytes of a page it takes with its id.
    #[must_use]
    pub fn bytes_in_page(&self, id: &DocumentId) -> usize {
        let content = match self {
            Scanned::Document(document) => 4 + document.len(),
            Scanned::Damaged | Scanned::IdOnly => 0,
        };
        id_bytes(id) + 1 + content
    }
}

/// A cursor is an id, far below 64 KiB. What is longer is none, and is cut to none.
fn put_cursor(out: &mut Vec<u8>, cursor: &[u8]) {
    let length = u16::try_from(cursor.len()).unwrap_or(0);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&cursor[..usize::from(length)]);
}
