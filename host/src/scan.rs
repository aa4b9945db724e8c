//! Scans of one collection, as an application holds them: one moment, in either direction or in both at once.
//!
//! A scan holds its view and takes a page of documents from it at a time. What lies between its two ends has not been given
//! out yet; both directions meet where nothing is left. What is missing without a name is said once, by the end that gets there
//! first.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use docdb_engine::{Scanned, View};
use docdb_protocol::{CollectionName, Document, DocumentId, Error};

/// A scan takes this many documents from its view at a time.
const PAGE_DOCUMENTS: usize = 256;

/// A document with its id, or why it cannot be shown.
type Entry = Result<(DocumentId, Document), Error>;

/// The documents of one collection at one moment, in the order of their ids. See [`Collection::scan`](crate::Collection::scan).
#[derive(Debug)]
pub struct Scan {
    view: Arc<View>,
    collection: CollectionName,
    /// What has not been taken from the view yet lies between these.
    from: Bound<DocumentId>,
    to: Bound<DocumentId>,
    /// Taken from the lower end, in ascending order, and not given out yet.
    front: VecDeque<Entry>,
    /// Taken from the upper end, in descending order, and not given out yet.
    back: VecDeque<Entry>,
    /// Whether the view has nothing more between the bounds.
    is_taken: bool,
    /// Said once, behind everything else.
    loss: Option<Error>,
}

impl Scan {
    pub(crate) fn new(
        view: Arc<View>,
        collection: CollectionName,
        from: Bound<DocumentId>,
        to: Bound<DocumentId>,
    ) -> Scan {
        let loss = view.loss(collection.as_str(), from.as_ref(), to.as_ref());
        let (front, back) = (VecDeque::new(), VecDeque::new());
        Scan { view, collection, from, to, front, back, is_taken: false, loss }
    }

    /// The ids alone.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// # let library = docdb.database("library")?;
    /// let books = library.collection("books")?;
    /// books.create("momo", &1973)?;
    /// let ids: Vec<docdb::DocumentId> = books.scan()?.ids().collect::<Result<_, _>>()?;
    /// assert_eq!(ids, ["momo".try_into()?]);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    pub fn ids(self) -> impl DoubleEndedIterator<Item = Result<DocumentId, Error>> {
        self.map(|entry| entry.map(|(id, _)| id))
    }

    fn take_front(&mut self) {
        let entries = self.view.range(self.collection.as_str(), self.from.as_ref(), self.to.as_ref());
        self.front.extend(entries.take(PAGE_DOCUMENTS).map(owned));
        match self.front.back().and_then(id_of) {
            Some(last) if self.front.len() == PAGE_DOCUMENTS => self.from = Bound::Excluded(last),
            Some(_) | None => self.is_taken = true,
        }
    }

    fn take_back(&mut self) {
        let entries = self.view.range_back(self.collection.as_str(), self.from.as_ref(), self.to.as_ref());
        self.back.extend(entries.take(PAGE_DOCUMENTS).map(owned));
        match self.back.back().and_then(id_of) {
            Some(last) if self.back.len() == PAGE_DOCUMENTS => self.to = Bound::Excluded(last),
            Some(_) | None => self.is_taken = true,
        }
    }
}

impl Iterator for Scan {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.front.is_empty() && !self.is_taken {
            self.take_front();
        }
        // The other end may have taken what is left.
        self.front.pop_front().or_else(|| self.back.pop_back()).or_else(|| self.loss.take().map(Err))
    }
}

impl DoubleEndedIterator for Scan {
    fn next_back(&mut self) -> Option<Entry> {
        if self.back.is_empty() && !self.is_taken {
            self.take_back();
        }
        self.back.pop_front().or_else(|| self.front.pop_back()).or_else(|| self.loss.take().map(Err))
    }
}

fn owned(scanned: Scanned<'_>) -> Entry {
    scanned.map(|(id, document)| (id, document.clone()))
}

/// The document that an entry is about: a damaged one is named by its error.
fn id_of(entry: &Entry) -> Option<DocumentId> {
    match entry {
        Ok((id, _)) => Some(id.clone()),
        Err(error) => error.context().and_then(|context| context.document.clone()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{DocDb, DocumentId};

    /// More than a page, in both kinds of ids.
    const NUMBERS: u64 = 700;

    #[test]
    fn both_ends_meet_and_give_out_each_document_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let docdb = DocDb::open(directory.path()).expect("it opens");
        let library = docdb.database("library").expect("a database");
        let books = library.collection("books").expect("a name");
        let mut transaction = library.transaction();
        for number in 0..NUMBERS {
            transaction.create("books", number, &number).expect("a document");
        }
        transaction.create("books", "last", &0).expect("a document");
        transaction.commit().expect("it is written");
        let number = |id: &DocumentId| id.as_number().unwrap_or(NUMBERS);
        for from_back in [0, 1, 255, 256, 257, 512, 700, 701, 702] {
            let mut scan = books.scan().expect("a scan").ids().map(|id| number(&id.expect("nothing is damaged")));
            let back: Vec<u64> = scan.by_ref().rev().take(from_back).collect();
            assert!(back.iter().copied().eq((0..=NUMBERS).rev().take(from_back)), "{from_back}");
            let front: Vec<u64> = scan.collect();
            assert!(front.iter().copied().eq(0..(NUMBERS + 1).saturating_sub(from_back as u64)), "{from_back}");
        }
        let turns: Vec<u64> = {
            let mut scan = books.scan().expect("a scan").ids().map(|id| number(&id.expect("nothing is damaged")));
            let mut is_front = false;
            std::iter::from_fn(|| {
                is_front = !is_front;
                if is_front { scan.next() } else { scan.next_back() }
            })
            .collect()
        };
        assert_eq!(turns.len() as u64, NUMBERS + 1);
        assert_eq!(turns[..4], [0, NUMBERS, 1, NUMBERS - 1]);
    }

    #[test]
    fn a_range_has_what_lies_between_its_bounds() {
        let directory = tempfile::tempdir().expect("a directory");
        let docdb = DocDb::open(directory.path()).expect("it opens");
        let books = docdb.database("library").expect("a database").collection("books").expect("a name");
        for id in ["a", "b", "c"] {
            books.put(id, &0).expect("it is written");
        }
        books.put(7, &0).expect("it is written");
        let ids = |scan: super::Scan| -> Vec<String> {
            scan.ids().map(|id| id.expect("nothing is damaged").to_string()).collect()
        };
        assert_eq!(ids(books.range("a".."c").expect("bounds")), ["\"a\"", "\"b\""]);
        assert_eq!(ids(books.range("b"..).expect("bounds")), ["\"b\"", "\"c\""]);
        assert_eq!(ids(books.range(..=7).expect("bounds")), ["7"]);
        assert!(ids(books.range("c".."a").expect("bounds")).is_empty());
        assert!(books.range("".."a").is_err(), "no id is empty");
    }
}
