//! An error on the wire: its number, its class, its text, and its context field by field.
//!
//! The class says what helps to a client that does not know the number. Fields are told apart by a tag each, and one that is
//! not known is passed over.

use super::fields::{bytes8, cut, id, put_id, put_text8, utf8};
use crate::error::{Context, Error, ErrorClass, ErrorCode};
use crate::wire::read::Cursor;

const DATABASE: u8 = 1;
const COLLECTION: u8 = 2;
const DOCUMENT: u8 = 3;
const OPERATION: u8 = 4;
const FILE: u8 = 5;
const OFFSET: u8 = 6;
const DETAIL: u8 = 7;

/// A longer text of a context is cut.
const FIELD_BYTES_MAX: usize = 4096;

/// Number, class, length of the text, count of the fields.
pub(super) const ERROR_BYTES_MIN: usize = 2 + 1 + 1 + 1;

pub(super) fn put(out: &mut Vec<u8>, error: &Error) {
    let code = error.code();
    out.extend_from_slice(&code.number().to_le_bytes());
    out.push(class_number(code.class()));
    put_text8(out, code.text());
    let count_at = out.len();
    out.push(0);
    let mut put_field = |tag: u8, bytes: &[u8]| {
        out[count_at] += 1;
        out.push(tag);
        out.extend_from_slice(&u16::try_from(bytes.len()).expect("a field is cut to 4 KiB").to_le_bytes());
        out.extend_from_slice(bytes);
    };
    let Some(context) = error.context() else { return };
    let Context { database, collection, document, operation, file, offset, detail } = context;
    let mut put_text = |tag, text: &Option<String>| {
        if let Some(text) = text {
            put_field(tag, cut(text, FIELD_BYTES_MAX).as_bytes());
        }
    };
    put_text(DATABASE, database);
    put_text(COLLECTION, collection);
    put_text(FILE, file);
    put_text(DETAIL, detail);
    if let Some(document) = document {
        let mut bytes = Vec::new();
        put_id(&mut bytes, document);
        put_field(DOCUMENT, &bytes);
    }
    if let Some(operation) = operation {
        put_field(OPERATION, &(*operation as u64).to_le_bytes());
    }
    if let Some(offset) = offset {
        put_field(OFFSET, &offset.to_le_bytes());
    }
}

pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Error, Error> {
    let (number, class) = (cursor.u16()?, cursor.u8()?);
    let text = bytes8(cursor)?;
    let mut error = match ErrorCode::from_number(number) {
        Some(code) => Error::new(code),
        // Of a later version: what is known of it is its class and what it says.
        None => Error::new(of_class(class)),
    };
    let mut detail = None;
    for _ in 0..cursor.u8()? {
        let (tag, bytes) = (cursor.u8()?, cursor.bytes_u16()?);
        let mut field = Cursor::new(bytes);
        match tag {
            DATABASE => error = error.database(text_of(bytes)?),
            COLLECTION => error = error.collection(text_of(bytes)?),
            FILE => error = error.file(text_of(bytes)?),
            DETAIL => detail = Some(text_of(bytes)?.to_owned()),
            DOCUMENT => error = error.document(id(&mut field)?.value()?),
            OPERATION => error = error.operation(usize::try_from(field.u64()?).unwrap_or(usize::MAX)),
            OFFSET => error = error.offset(field.u64()?),
            _ => {}
        }
    }
    if ErrorCode::from_number(number).is_none() {
        let said = format!("error {number}, which this client does not know: {}", text_of(text)?);
        detail = Some(detail.map_or(said.clone(), |detail| format!("{said}: {detail}")));
    }
    Ok(match detail {
        Some(detail) => error.detail(detail),
        None => error,
    })
}

/// At least the bytes that it takes.
pub(super) fn bytes_max(error: &Error) -> usize {
    const FIELD_HEADER_BYTES: usize = 1 + 2;
    const NUMBERS_AND_ID_BYTES_MAX: usize = 3 * FIELD_HEADER_BYTES + 8 + 8 + 257;
    let text_bytes = |text: &Option<String>| text.as_ref().map_or(0, |text| FIELD_HEADER_BYTES + text.len());
    let context = error.context().map_or(0, |context| {
        let Context { database, collection, file, detail, .. } = context;
        NUMBERS_AND_ID_BYTES_MAX + [database, collection, file, detail].into_iter().map(text_bytes).sum::<usize>()
    });
    ERROR_BYTES_MIN + error.code().text().len() + context
}

fn text_of(bytes: &[u8]) -> Result<&str, Error> {
    utf8(bytes, ErrorCode::InvalidFrame)
}

const fn class_number(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Transient => 1,
        ErrorClass::Permanent => 2,
        ErrorClass::Critical => 3,
        ErrorClass::Validation => 4,
        ErrorClass::Network => 5,
    }
}

/// What stands for a number that is not known, so that its class is the one that was sent.
const fn of_class(class: u8) -> ErrorCode {
    match class {
        1 => ErrorCode::QueueFull,
        3 => ErrorCode::OutcomeUnknown,
        5 => ErrorCode::ConnectionLost,
        _ => ErrorCode::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document_id::DocumentId;

    fn taken(bytes: &[u8]) -> Error {
        let mut cursor = Cursor::new(bytes);
        let error = take(&mut cursor).unwrap();
        cursor.end().unwrap();
        error
    }

    #[test]
    fn every_error_keeps_its_number_and_all_of_its_context() {
        for &code in ErrorCode::ALL {
            let error = Error::new(code)
                .database("books")
                .collection("novels")
                .document(DocumentId::text("momo").unwrap())
                .operation(7)
                .file("db/books/books.wal")
                .offset(512)
                .detail("EIO (os error 5)");
            for error in [error, Error::new(code)] {
                let mut bytes = Vec::new();
                put(&mut bytes, &error);
                assert!(bytes.len() <= bytes_max(&error));
                let got = taken(&bytes);
                assert_eq!((got.code(), got.context()), (code, error.context()));
            }
        }
    }

    #[test]
    fn an_error_of_a_later_version_keeps_its_class_and_its_words() {
        let mut bytes = 999_u16.to_le_bytes().to_vec();
        bytes.push(class_number(ErrorClass::Transient));
        put_text8(&mut bytes, "the moon is full");
        bytes.extend_from_slice(&[2, 99, 1, 0, 5, DETAIL, 2, 0, b'h', b'm']);
        let error = taken(&bytes);
        assert_eq!(error.code().class(), ErrorClass::Transient);
        let reason = error.reason().unwrap();
        assert!(reason.contains("999") && reason.contains("the moon is full: hm"), "{reason}");
    }

    #[test]
    fn a_long_text_is_cut_at_the_end_of_a_character() {
        let error = Error::new(ErrorCode::DiskFull).detail("ä".repeat(10_000));
        let mut bytes = Vec::new();
        put(&mut bytes, &error);
        assert_eq!(taken(&bytes).reason().unwrap(), "ä".repeat(FIELD_BYTES_MAX / 2));
    }
}
