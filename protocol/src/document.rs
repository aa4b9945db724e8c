//! A document: JSON bytes that have passed the validator, exactly as the client sent them.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};
use crate::json;
use crate::limits::DOCUMENT_BYTES_MAX;

/// One valid JSON value in one shared buffer, with the checksum that goes with it to disk.
///
/// A clone shares the bytes. Nothing ever re-encodes them. The checksum is computed here, on the
/// caller's thread, so that the log has only to fold it in.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    bytes: Arc<[u8]>,
    crc32: u32,
    encoding: Encoding,
}

/// How the bytes are written: as JSON text. A byte of its own, whose other values are free: an `Option` or an enum
/// around a document, of which a store holds millions, takes no more room than the document.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Encoding {
    Json = 1,
}

const _: () = assert!(size_of::<Option<Option<Document>>>() == size_of::<Document>());

impl Document {
    /// Validates, and copies the bytes into the one shared buffer.
    ///
    /// # Errors
    /// [`ErrorCode::PayloadTooLarge`] above [`DOCUMENT_BYTES_MAX`]; [`ErrorCode::InvalidJson`] with the
    /// offset of the first byte that cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Document, Error> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let detail = format!("{} bytes, at most {DOCUMENT_BYTES_MAX}", bytes.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge).detail(detail));
        }
        json::validate(bytes)?;
        Ok(Document::trusted(bytes.into()))
    }

    /// Takes bytes that passed the validator before they were stored and whose checksum has been
    /// verified since. Only the log's and the tables' readers have a reason to call this.
    #[must_use]
    pub fn trusted(bytes: Arc<[u8]>) -> Document {
        let crc32 = crc32fast::hash(&bytes);
        Document { bytes, crc32, encoding: Encoding::Json }
    }

    /// The bytes as the client sent them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The shared buffer itself.
    #[must_use]
    pub fn shared(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// CRC32 (IEEE) of the bytes.
    #[must_use]
    pub fn crc32(&self) -> u32 {
        self.crc32
    }

    /// The length in bytes; at most [`DOCUMENT_BYTES_MAX`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a JSON value has at least one byte")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Document({})", String::from_utf8_lossy(&self.bytes))
    }
}
