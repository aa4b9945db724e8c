//! Part of a collection, in the order of ids, and where the next part begins.

use std::ops::Bound;

use docdb_protocol::{DocumentId, Error, ErrorCode};

/// Which documents of a collection, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lower end.
    pub from: Bound<DocumentId>,
    /// The upper end.
    pub to: Bound<DocumentId>,
    /// From the upper end down.
    pub descending: bool,
    /// Without the documents: each has no bytes.
    pub ids_only: bool,
}

impl Range {
    /// Every document.
    pub const ALL: Range = Range { from: Bound::Unbounded, to: Bound::Unbounded, descending: false, ids_only: false };

    /// Everything from a bound on.
    #[must_use]
    pub fn from(from: Bound<DocumentId>) -> Range {
        Range { from, ..Range::ALL }
    }
}

/// Part of a collection, in the order of ids.
#[derive(Debug, Default)]
pub struct Page {
    /// The documents, as stored, or why one cannot be shown: it is damaged.
    pub documents: Vec<(DocumentId, Result<Vec<u8>, Error>)>,
    /// Whether there are documents behind the last one.
    pub more: bool,
    /// What keeps documents away that are not named, if anything does.
    pub missing: Vec<Missing>,
}

/// Why documents are missing from a collection without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A part of the log is lost.
    Lost,
    /// They are there, and nobody is shown them before there is space to make them durable.
    Withheld,
}

impl Missing {
    /// The error that says so.
    #[must_use]
    pub fn error(self) -> Error {
        match self {
            Missing::Lost => Error::new(ErrorCode::CorruptRecord)
                .detail("a part of the log is lost, and documents with it that nothing names"),
            Missing::Withheld => Error::new(ErrorCode::DiskFull)
                .detail("documents written last are withheld; nothing is lost, make room and open the database again"),
        }
    }
}

impl Page {
    /// What is left of the range that this page is the beginning of; `None` when this is the last. A page that says there is
    /// more always has a document; one that has none would go round for ever.
    #[must_use]
    pub fn next(&self, range: Range) -> Option<Range> {
        let (last, _) = self.documents.last().filter(|_| self.more)?;
        let behind = Bound::Excluded(last.clone());
        Some(if range.descending { Range { to: behind, ..range } } else { Range { from: behind, ..range } })
    }
}
