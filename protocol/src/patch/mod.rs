//! Patches: what is to become of a document, said by its differences.
//!
//! Three languages: a merge patch (RFC 7396) is any JSON but an array; an array is a JSON patch (RFC 6902), whose operations may
//! also be those of the ancestor: `set`, `delete`, `insert`. What a patch does not touch keeps its bytes: numbers of any size, the
//! order of members, escapes, blanks. What it brings stands in the result as it stands in the patch.
//!
//! Of a name that an object has twice the last one counts, and removing it removes both. What a patch copies is bounded. Nothing
//! here recurses deeper than a document or a patch may nest, since an operation that would nest a value deeper is refused first.

mod equal;
mod merge;
mod operations;
mod pointer;
mod tree;

use crate::document::Document;
use crate::error::Error;

use operations::Operations;
use tree::Value;

/// A patch that has passed the rules of its language; whether it fits a document, that document decides.
///
/// ```
/// use docdb_protocol::{Document, Patch};
///
/// let book = Document::parse(br#"{ "title": "Momo", "price": 1.10e1, "tags": ["old"] }"#)?;
/// let merged = Patch::parse(br#"{"tags": null, "year": 1973}"#)?.apply(&book)?;
/// assert_eq!(merged.bytes(), br#"{ "title": "Momo", "price": 1.10e1, "year": 1973 }"#);
/// let patched = Patch::parse(br#"[{"op": "add", "path": "/tags/0", "value": "new"}]"#)?.apply(&book)?;
/// assert_eq!(patched.bytes(), br#"{ "title": "Momo", "price": 1.10e1, "tags": ["new","old"] }"#);
/// # Ok::<(), docdb_protocol::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch(Document);

impl Patch {
    /// Reads a patch: an array is a JSON patch, all else a merge patch.
    ///
    /// # Errors
    /// Of [`Document::parse`]; [`crate::ErrorCode::InvalidPatch`], [`crate::ErrorCode::UnknownOperation`] and
    /// [`crate::ErrorCode::InvalidPath`], with the operation counted from 0; [`crate::ErrorCode::LimitExceeded`] above
    /// [`crate::limits::PATCH_OPERATIONS_MAX`] operations.
    pub fn parse(bytes: &[u8]) -> Result<Patch, Error> {
        let document = Document::parse(bytes)?;
        if is_array(&document) {
            Operations::parse(document.bytes())?;
        }
        Ok(Patch(document))
    }

    /// The patch as it was given.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The document that comes of it.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidPath`] where the document has no such place; [`crate::ErrorCode::Conflict`] where it is not what
    /// the patch tests for; [`crate::ErrorCode::PayloadTooLarge`], and [`crate::ErrorCode::InvalidJson`] where an operation would
    /// nest it too deep, even if a later one undid that.
    pub fn apply(&self, document: &Document) -> Result<Document, Error> {
        let (before, inner, behind) = tree::without_blanks(document.bytes());
        let mut value = Value::from(inner);
        if is_array(&self.0) {
            Operations::parse(self.0.bytes())?.apply(&mut value)?;
        } else {
            merge::merge(&mut value, self.0.bytes().trim_ascii());
        }
        let mut patched = before.to_vec();
        value.write(&mut patched);
        patched.extend_from_slice(behind);
        Document::parse(&patched)
    }
}

fn is_array(document: &Document) -> bool {
    document.bytes().trim_ascii_start().starts_with(b"[")
}

#[cfg(test)]
mod tests;
