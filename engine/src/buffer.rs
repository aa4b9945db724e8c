//! Shared, immutable bytes on their way to the disk or back.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use docdb_protocol::Document;

/// A range of one shared allocation. A clone or a slice shares it; the bytes never change.
#[derive(Clone)]
pub struct Buffer {
    bytes: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Buffer {
    /// All of `bytes`, which are at most 4 GiB.
    ///
    /// # Panics
    /// When they are more, which no limit of the product allows.
    #[must_use]
    pub fn new(bytes: Arc<[u8]>) -> Buffer {
        let end = u32::try_from(bytes.len()).expect("no message, batch or read comes near 4 GiB");
        Buffer { bytes, start: 0, end }
    }

    /// The part `range` of this buffer.
    ///
    /// # Panics
    /// When the range is not within the buffer.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Buffer {
        assert!(range.start <= range.end && range.end <= self.len(), "the slice lies within its buffer");
        let at = |offset: usize| self.start + u32::try_from(offset).expect("checked against the buffer's length");
        Buffer { bytes: Arc::clone(&self.bytes), start: at(range.start), end: at(range.end) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Equal when the bytes are, wherever they lie.
impl PartialEq for Buffer {
    fn eq(&self, other: &Buffer) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Buffer {}

impl Hash for Buffer {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.as_slice().hash(hasher);
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Buffer {
        Buffer::new(bytes.into())
    }
}

impl From<&Document> for Buffer {
    fn from(document: &Document) -> Buffer {
        Buffer::new(Arc::clone(document.shared()))
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Buffer({} bytes)", self.len())
    }
}
