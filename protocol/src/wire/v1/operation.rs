//! One operation of an execute, both ways.
//!
//! Its bytes are read whole before any of its rules is looked at: a name, an id or a document that breaks one makes this
//! operation an error, and the next begins where it does. Only an unknown type makes all behind it unreadable.

use super::fields::{bytes8, collection_name, id, id_bytes, put_bytes32, put_id, put_text8};
use crate::document::Document;
use crate::error::{Error, ErrorCode};
use crate::ids::TxId;
use crate::request::{Action, Expectation, Operation};
use crate::wire::read::Cursor;

const CREATE: u8 = 1;
const READ: u8 = 2;
const UPDATE: u8 = 3;
const DELETE: u8 = 4;
const PUT: u8 = 5;
const INSERT: u8 = 6;
/// 7 is a patch in version 0, and stays free.
const EXPECT: u8 = 8;

/// Type, collection of at least one byte, length of an empty document: an insert is the shortest of all.
pub(super) const OPERATION_BYTES_MIN: usize = 1 + 1 + 4;

/// Stands for the version of a document that is not there.
const ABSENT: TxId = TxId(0);

pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Result<Operation, Error>, Error> {
    let kind = cursor.u8()?;
    let collection = bytes8(cursor)?;
    let action = match kind {
        CREATE | UPDATE | PUT => {
            let (id, document) = (id(cursor)?, cursor.bytes_u32()?);
            id.value().and_then(|id| {
                let document = Document::parse(document).map_err(|error| error.document(&id))?;
                Ok(match kind {
                    CREATE => Action::Create(id, document),
                    UPDATE => Action::Update(id, document),
                    _ => Action::Put(id, document),
                })
            })
        }
        READ => id(cursor)?.value().map(Action::Read),
        DELETE => id(cursor)?.value().map(Action::Delete),
        INSERT => Document::parse(cursor.bytes_u32()?).map(Action::Insert),
        EXPECT => {
            let (id, version) = (id(cursor)?, TxId(cursor.u64()?));
            let expectation = if version == ABSENT { Expectation::Absent } else { Expectation::Version(version) };
            id.value().map(|id| Action::Expect(id, expectation))
        }
        unknown => return Err(Error::new(ErrorCode::UnknownOperation).detail(format!("type {unknown}"))),
    };
    Ok(collection_name(collection).and_then(|collection| Ok(Operation { collection, action: action? })))
}

pub(super) fn put(out: &mut Vec<u8>, operation: &Operation) {
    let mut begin = |kind: u8| {
        out.push(kind);
        put_text8(out, operation.collection.as_str());
    };
    match &operation.action {
        Action::Create(id, document) => {
            begin(CREATE);
            put_id(out, id);
            put_bytes32(out, document.bytes());
        }
        Action::Put(id, document) => {
            begin(PUT);
            put_id(out, id);
            put_bytes32(out, document.bytes());
        }
        Action::Update(id, document) => {
            begin(UPDATE);
            put_id(out, id);
            put_bytes32(out, document.bytes());
        }
        Action::Insert(document) => {
            begin(INSERT);
            put_bytes32(out, document.bytes());
        }
        Action::Read(id) => {
            begin(READ);
            put_id(out, id);
        }
        Action::Delete(id) => {
            begin(DELETE);
            put_id(out, id);
        }
        Action::Expect(id, expectation) => {
            begin(EXPECT);
            put_id(out, id);
            let version = match expectation {
                Expectation::Absent => ABSENT,
                Expectation::Version(version) => *version,
            };
            out.extend_from_slice(&version.0.to_le_bytes());
        }
    }
}

/// At least the bytes that it takes.
pub(super) fn bytes_max(operation: &Operation) -> usize {
    const VERSION_BYTES: usize = 8;
    let id = operation.action.document_id().map_or(0, id_bytes);
    let document = operation.action.document().map_or(VERSION_BYTES, |document| 4 + document.len());
    1 + 1 + operation.collection.as_str().len() + id + document
}
