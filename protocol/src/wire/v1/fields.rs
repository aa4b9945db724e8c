//! The fields that frames are made of, both ways: texts, names, ids, bounds, documents.
//!
//! Reading takes two steps where a value has rules: first its bytes, which fails when the frame is cut short, then the value,
//! which fails when a rule is broken. So an operation that breaks a rule does not hide those behind it.

use std::ops::Bound;

use crate::document_id::DocumentId;
use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::names::{CollectionName, DatabaseName};
use crate::wire::read::Cursor;

const NUMBER: u8 = 0;
const TEXT: u8 = 1;

const UNBOUNDED: u8 = 0;
const INCLUDED: u8 = 1;
const EXCLUDED: u8 = 2;

/// An id as it came.
#[derive(Clone, Copy)]
pub(super) enum RawId<'a> {
    Number(u64),
    Text(&'a [u8]),
}

impl RawId<'_> {
    pub(super) fn value(self) -> Result<DocumentId, Error> {
        match self {
            RawId::Number(number) => Ok(DocumentId::Number(number)),
            RawId::Text(bytes) => DocumentId::text(utf8(bytes, ErrorCode::InvalidDocumentId)?),
        }
    }
}

pub(super) fn bytes8<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Error> {
    let length = cursor.u8()?;
    cursor.bytes(usize::from(length))
}

/// A text without rules of its own.
pub(super) fn text8(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let bytes = bytes8(cursor)?;
    utf8(bytes, ErrorCode::InvalidFrame).map(str::to_owned)
}

pub(super) fn id<'a>(cursor: &mut Cursor<'a>) -> Result<RawId<'a>, Error> {
    match cursor.u8()? {
        NUMBER => cursor.u64().map(RawId::Number),
        TEXT => bytes8(cursor).map(RawId::Text),
        _ => Err(cursor.invalid("the kind of an id is neither 0 nor 1")),
    }
}

pub(super) fn bound(cursor: &mut Cursor<'_>) -> Result<Bound<DocumentId>, Error> {
    match cursor.u8()? {
        UNBOUNDED => Ok(Bound::Unbounded),
        INCLUDED => id(cursor)?.value().map(Bound::Included),
        EXCLUDED => id(cursor)?.value().map(Bound::Excluded),
        _ => Err(cursor.invalid("the kind of a bound is neither 0, 1 nor 2")),
    }
}

pub(super) fn database(cursor: &mut Cursor<'_>) -> Result<DatabaseId, Error> {
    DatabaseId::new(cursor.u64()?).ok_or_else(|| Error::new(ErrorCode::InvalidDatabaseId))
}

pub(super) fn database_name(bytes: &[u8]) -> Result<DatabaseName, Error> {
    DatabaseName::parse(utf8(bytes, ErrorCode::InvalidDatabaseName)?)
}

pub(super) fn collection_name(bytes: &[u8]) -> Result<CollectionName, Error> {
    CollectionName::parse(utf8(bytes, ErrorCode::InvalidCollectionName)?)
}

pub(super) fn utf8(bytes: &[u8], otherwise: ErrorCode) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::new(otherwise).detail("it is not UTF-8"))
}

/// At most 255 bytes; more are cut off at the end of a character.
pub(super) fn put_text8(out: &mut Vec<u8>, text: &str) {
    let text = cut(text, usize::from(u8::MAX));
    out.push(u8::try_from(text.len()).expect("it was cut to what fits"));
    out.extend_from_slice(text.as_bytes());
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

pub(super) fn put_id(out: &mut Vec<u8>, id: &DocumentId) {
    match id {
        DocumentId::Number(number) => {
            out.push(NUMBER);
            out.extend_from_slice(&number.to_le_bytes());
        }
        DocumentId::Text(text) => {
            out.push(TEXT);
            put_text8(out, text.as_str());
        }
    }
}

pub(super) fn put_bound(out: &mut Vec<u8>, bound: Bound<&DocumentId>) {
    match bound {
        Bound::Unbounded => out.push(UNBOUNDED),
        Bound::Included(id) => {
            out.push(INCLUDED);
            put_id(out, id);
        }
        Bound::Excluded(id) => {
            out.push(EXCLUDED);
            put_id(out, id);
        }
    }
}

/// A document, or another run of bytes that is far below 4 GiB.
pub(super) fn put_bytes32(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A count or a length. One that does not fit belongs to a frame that is refused as too large.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// How many bytes [`put_id`] writes.
pub(super) fn id_bytes(id: &DocumentId) -> usize {
    match id {
        DocumentId::Number(_) => 1 + 8,
        DocumentId::Text(text) => 2 + text.as_str().len(),
    }
}
