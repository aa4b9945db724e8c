//! What the ids of a file say: of which kind they are, where each stood, how many there were, which number comes next.
//!
//! Owns what is remembered of a file while it is read, within a bound. It stores nothing.

use std::collections::HashMap;
use std::ops::Bound;

use docdb_protocol::{CollectionName, DatabaseId, DocumentId, Error, ErrorCode};
use serde_json::value::RawValue;

use crate::backend::{Backend, Range};
use crate::entry::End;
use crate::split::Place;

/// Ids of the file that are kept to say where one stood that comes again: some MiB. The database refuses those
/// beyond as well, and knows no lines.
const IDS_KEPT_MAX: usize = 100_000;

/// Which of the two a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Exported,
    Plain,
}

/// What the ids of the file so far say about the next one.
#[derive(Default)]
pub(super) struct IdsSoFar {
    pub(super) kind: Option<Kind>,
    pub(super) next: NextId,
    seen: HashMap<(CollectionName, DocumentId), Place>,
    /// Since the beginning of the file, or the last line that says how much there was.
    pub(super) counted: u64,
    checksum: crc32fast::Hasher,
}

/// What a document alone gets for an id.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum NextId {
    /// The collection has not been asked yet.
    #[default]
    Unknown,
    Free(u64),
    NoneLeft,
}

impl IdsSoFar {
    /// The first document decides what the file holds.
    pub(super) fn hold_to(&mut self, kind: Kind) -> Result<(), Error> {
        let first = *self.kind.get_or_insert(kind);
        if first == kind {
            return Ok(());
        }
        let detail = match kind {
            Kind::Exported => "this has an id, the documents before have none",
            Kind::Plain => "this is no {\"id\":7,\"doc\":...}, as the documents before are",
        };
        let detail = format!("{detail}; import the two kinds from two files, or all as plain documents with --plain");
        Err(Error::new(ErrorCode::InvalidRequest).detail(detail))
    }

    pub(super) fn count(&mut self, line: &[u8]) {
        self.counted += 1;
        self.checksum.update(line);
        self.checksum.update(b"\n");
    }

    /// Holds what was read against what the export says; what follows is counted anew, as of files that were put together.
    pub(super) fn check(&mut self, end: &End) -> Result<(), Error> {
        let counted = std::mem::take(&mut self.counted);
        let checksum = std::mem::take(&mut self.checksum).finalize();
        if counted != end.documents {
            let detail = format!(
                "the last line says {} documents, and there are {counted}: the file is not whole",
                end.documents
            );
            return Err(Error::new(ErrorCode::CrcMismatch).detail(detail));
        }
        if checksum != end.crc32 {
            let detail = "the file is not as it was exported: it was damaged or changed; if that is meant, take out its last line";
            return Err(Error::new(ErrorCode::CrcMismatch).detail(detail));
        }
        Ok(())
    }

    /// Notes where an id stands, unless it stood before.
    pub(super) fn claim(&mut self, collection: &CollectionName, id: &DocumentId, place: Place) -> Result<(), Error> {
        let key = (collection.clone(), id.clone());
        if let Some(first) = self.seen.get(&key) {
            let detail = format!("{first} has the same id; give one of the two another");
            return Err(Error::new(ErrorCode::DocExists).document(id).detail(detail));
        }
        if self.seen.len() < IDS_KEPT_MAX {
            self.seen.insert(key, place);
        }
        Ok(())
    }
}

/// The id in a top-level member: a text, or the digits that stand there, never read as a floating-point number.
pub(super) fn id_in(document: &[u8], field: &str) -> Result<DocumentId, Error> {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_slice(document).unwrap_or_default();
    let value = members.get(field).map(|value| value.get());
    if let Some(text) = value.and_then(|value| serde_json::from_str::<String>(value).ok()) {
        return DocumentId::text(&text);
    }
    let number = value.and_then(|value| value.parse().ok()).map(DocumentId::Number);
    number.ok_or_else(|| {
        Error::new(ErrorCode::InvalidRequest).detail(format!("no unsigned integer and no text in the field {field:?}"))
    })
}

/// One more than the highest number among the ids of a collection, 0 when it is empty, `None` when the highest is the last.
///
/// Found by halving: whether anything is there from an id on is one small question, and 64 of them
/// find the highest, however many documents there are.
pub(super) fn first_free_id(
    backend: &mut dyn Backend,
    database: DatabaseId,
    collection: &CollectionName,
) -> Result<Option<u64>, Error> {
    let mut any_from = |id: u64| {
        let page = backend.scan(database, collection, &Range::from(Bound::Included(DocumentId::Number(id))))?;
        // A damaged document has an id as well.
        Ok::<_, Error>(page.documents.iter().rev().find_map(|(id, _)| id.as_number()))
    };
    // Every id from `free` on is free; `free` is one beyond the range at first.
    let (mut taken, mut free): (Option<u64>, u128) = (None, 1 << 64);
    loop {
        let low = taken.map_or(0, |id| u128::from(id) + 1);
        if low >= free {
            return Ok(u64::try_from(low).ok());
        }
        let middle = low + (free - low - 1) / 2;
        match any_from(u64::try_from(middle).expect("below 2^64"))? {
            Some(id) => taken = Some(id),
            None => free = middle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_digits_that_stand_there() {
        assert_eq!(id_in(br#"{"n":18446744073709551615}"#, "n").unwrap(), DocumentId::Number(u64::MAX));
        assert_eq!(id_in(br#"{"n":"1"}"#, "n").unwrap().as_text(), Some("1"));
        for without in [r#"{"n":-1}"#, r#"{"n":1.0}"#, r#"{"m":1}"#, "[1]", "1"] {
            assert_eq!(id_in(without.as_bytes(), "n").unwrap_err().code(), ErrorCode::InvalidRequest, "{without}");
        }
    }
}
