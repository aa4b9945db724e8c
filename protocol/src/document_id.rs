//! What a document is called within its collection: a number or a text, chosen by the client, or the next number.
//!
//! Invariants: a text has passed the rules for texts; numbers come before texts, texts stand in the order of their bytes.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};
use crate::limits::DOCUMENT_ID_BYTES_MAX;

/// Unique within a collection, in which numbers and texts may stand side by side.
///
/// Sorted: numbers by their value, then texts by their bytes. `7` and `"7"` are two ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentId {
    /// Any number, zero too.
    Number(u64),
    /// A text.
    Text(TextId),
}

/// 1 to 255 bytes of UTF-8 without control characters (Unicode's category Cc). Clones share the text.
///
/// A thin pointer, so that an id is no larger than a number and its kind: a store holds millions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextId(Arc<Box<str>>);

const _: () = assert!(size_of::<DocumentId>() == 16);

impl DocumentId {
    /// The first of all in the order of ids: where a scan of everything begins.
    pub const FIRST: DocumentId = DocumentId::Number(0);

    /// The largest number that is counted for the next one: every client keeps a number up to here exact, a double too
    /// (RFC 8259, section 6).
    pub const NEXT_NUMBER_MAX: u64 = (1 << 53) - 1;

    /// An id that is a text.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDocumentId`] when a rule is broken; the detail says which.
    pub fn text(text: &str) -> Result<DocumentId, Error> {
        let invalid = |rule: String| Err(Error::new(ErrorCode::InvalidDocumentId).detail(rule));
        if text.is_empty() {
            return invalid("a text needs at least one byte".to_owned());
        }
        if text.len() > DOCUMENT_ID_BYTES_MAX {
            return invalid(format!("a text of {} bytes, at most {DOCUMENT_ID_BYTES_MAX}", text.len()));
        }
        if let Some(at) = text.find(char::is_control) {
            return invalid(format!("a control character at byte {at} of {text:?}"));
        }
        Ok(DocumentId::Text(TextId(Arc::new(text.into()))))
    }

    /// The number; `None` of a text.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        match self {
            DocumentId::Number(number) => Some(*number),
            DocumentId::Text(_) => None,
        }
    }

    /// The text; `None` of a number.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            DocumentId::Number(_) => None,
            DocumentId::Text(text) => Some(text.as_str()),
        }
    }
}

impl TextId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for DocumentId {
    fn from(number: u64) -> DocumentId {
        DocumentId::Number(number)
    }
}

impl From<u32> for DocumentId {
    fn from(number: u32) -> DocumentId {
        DocumentId::Number(number.into())
    }
}

impl From<&DocumentId> for DocumentId {
    fn from(id: &DocumentId) -> DocumentId {
        id.clone()
    }
}

/// So that a literal can stand for an id.
impl TryFrom<i32> for DocumentId {
    type Error = Error;

    fn try_from(number: i32) -> Result<DocumentId, Error> {
        DocumentId::try_from(i64::from(number))
    }
}

impl TryFrom<i64> for DocumentId {
    type Error = Error;

    fn try_from(number: i64) -> Result<DocumentId, Error> {
        let invalid = |_| Error::new(ErrorCode::InvalidDocumentId).detail(format!("{number} is below zero"));
        u64::try_from(number).map(DocumentId::Number).map_err(invalid)
    }
}

impl TryFrom<&str> for DocumentId {
    type Error = Error;

    fn try_from(text: &str) -> Result<DocumentId, Error> {
        DocumentId::text(text)
    }
}

impl TryFrom<&String> for DocumentId {
    type Error = Error;

    fn try_from(text: &String) -> Result<DocumentId, Error> {
        DocumentId::text(text)
    }
}

impl TryFrom<String> for DocumentId {
    type Error = Error;

    fn try_from(text: String) -> Result<DocumentId, Error> {
        DocumentId::text(&text)
    }
}

/// So that what cannot fail may stand where something can.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Error {
        match never {}
    }
}

/// Whatever names a document: a [`DocumentId`], a number, a text.
pub trait IntoDocumentId {
    /// The id.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDocumentId`] for a text that breaks a rule, and a number below zero.
    fn into_document_id(self) -> Result<DocumentId, Error>;
}

impl<T: TryInto<DocumentId>> IntoDocumentId for T
where
    Error: From<T::Error>,
{
    fn into_document_id(self) -> Result<DocumentId, Error> {
        Ok(self.try_into()?)
    }
}

/// A number in digits; a text in quotation marks with the escapes of Rust, so that one is never taken for the other.
impl fmt::Display for DocumentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DocumentId::Number(number) => number.fmt(formatter),
            DocumentId::Text(text) => fmt::Debug::fmt(text.as_str(), formatter),
        }
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for TextId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> DocumentId {
        DocumentId::text(text).expect("it breaks no rule")
    }

    #[test]
    fn a_text_that_breaks_a_rule_is_refused_with_the_rule() {
        let detail = |text: &str| {
            let error = DocumentId::text(text).expect_err("it breaks a rule");
            assert_eq!(error.code(), ErrorCode::InvalidDocumentId);
            error.context().and_then(|context| context.detail.clone()).unwrap()
        };
        assert_eq!(detail(""), "a text needs at least one byte");
        assert_eq!(detail(&"x".repeat(256)), "a text of 256 bytes, at most 255");
        assert_eq!(detail(&"ä".repeat(128)), "a text of 256 bytes, at most 255");
        for control in ['\0', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
            assert!(detail(&format!("a{control}")).starts_with("a control character at byte 1"), "{control:?}");
        }
        for good in [" ", "a", "7", "Ärger/1", "\u{a0}", "\u{10ffff}", &"x".repeat(255)] {
            assert_eq!(text(good).as_text(), Some(good));
        }
    }

    #[test]
    fn numbers_stand_before_texts_and_texts_in_the_order_of_their_bytes() {
        let sorted = [
            DocumentId::Number(0),
            DocumentId::Number(9),
            DocumentId::Number(10),
            DocumentId::Number(u64::MAX),
            text(" "),
            text("10"),
            text("9"),
            text("a"),
            text("a "),
            text("aa"),
            text("z"),
            text("ä"),
        ];
        assert!(sorted.is_sorted_by(|a: &DocumentId, b| a < b), "{sorted:?}");
        assert_ne!(text("7"), DocumentId::Number(7));
    }

    #[test]
    fn what_a_program_has_becomes_an_id() {
        fn id(given: impl IntoDocumentId) -> Result<DocumentId, Error> {
            given.into_document_id()
        }
        assert_eq!(id(7), Ok(DocumentId::Number(7)));
        assert_eq!(id(7_u64), Ok(DocumentId::Number(7)));
        assert_eq!(id("7"), Ok(text("7")));
        let given = DocumentId::Number(7);
        assert_eq!(id(&given), Ok(DocumentId::Number(7)));
        assert_eq!(id(given), Ok(DocumentId::Number(7)));
        assert_eq!(id(-1).unwrap_err().code(), ErrorCode::InvalidDocumentId);
        assert_eq!(id("").unwrap_err().code(), ErrorCode::InvalidDocumentId);
    }
}
