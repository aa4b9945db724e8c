//! What a view answers: documents by id, preconditions alone, pages, collections, counts.
//!
//! One view serves the whole call, so all of an answer is of one moment. It copies no document and waits for nothing.

use docdb_protocol::wire::v1::{
    Answer, CountedCollection, OperationAnswer, PAGE_BYTES_MAX, Page, ScanCall, Scanned, cursor_after,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, Document, DocumentId, Error, ErrorCode, Expectation, Operation, TxId,
};

pub(super) use crate::store::SharedView;
use crate::store::{self, Lookup};

/// What is to be read.
pub(super) enum Read {
    /// Documents and preconditions; what breaks a rule is its error.
    Documents(Vec<Result<Operation, Error>>, Atomicity),
    Scan(ScanCall),
    Collections,
    Count(CollectionName),
}

impl Read {
    pub(super) fn answer(self, view: &SharedView) -> Result<Answer, Error> {
        Ok(match self {
            Read::Documents(operations, atomicity) => Answer::Executed(documents(view, operations, atomicity)?),
            Read::Scan(scan) => Answer::Page(page(view, &scan)?),
            Read::Collections => {
                let counted = |name: &CollectionName| CountedCollection {
                    name: name.clone(),
                    documents: view.count(name.as_str()),
                };
                Answer::Collections(view.collections().map(counted).collect())
            }
            Read::Count(collection) => Answer::Count(view.count(collection.as_str())),
        })
    }
}

fn documents(
    view: &SharedView,
    operations: Vec<Result<Operation, Error>>,
    atomicity: Atomicity,
) -> Result<Vec<Result<OperationAnswer, Error>>, Error> {
    let results = operations.into_iter().map(|operation| one(view, &operation?));
    match atomicity {
        Atomicity::EachAlone => Ok(results.collect()),
        Atomicity::AllOrNothing => {
            let named = |(index, result): (usize, Result<_, Error>)| match result {
                Ok(found) => Ok(Ok(found)),
                Err(error) => Err(error.operation(index)),
            };
            results.enumerate().map(named).collect()
        }
    }
}

fn one(view: &SharedView, operation: &Operation) -> Result<OperationAnswer, Error> {
    let name = operation.collection.as_str();
    match &operation.action {
        Action::Read(id) => match look_up(view, name, id)? {
            Some((document, version)) => Ok(OperationAnswer::Document(document.clone(), Some(version))),
            None => Err(Error::new(ErrorCode::DocNotFound).document(id)),
        },
        Action::Expect(id, expectation) => {
            let version = look_up(view, name, id)?.map(|(_, version)| version);
            if expectation.holds(version) {
                return Ok(OperationAnswer::AsExpected);
            }
            let found = version.map_or(Expectation::Absent, Expectation::Version);
            let detail = format!("expected {expectation}, found {found}");
            Err(Error::new(ErrorCode::Conflict).document(id).detail(detail))
        }
        Action::Create(..) | Action::Put(..) | Action::Insert(_) | Action::Update(..) | Action::Delete(_) => {
            unreachable!("what writes is the engine's")
        }
    }
}

fn look_up<'view>(
    view: &'view SharedView,
    collection: &str,
    id: &DocumentId,
) -> Result<Option<(&'view Document, TxId)>, Error> {
    match view.lookup(collection, id) {
        Lookup::Found(document, version) => Ok(Some((document, version))),
        Lookup::Absent => Ok(None),
        Lookup::Damaged(error) => Err(error),
    }
}

/// A page ends at its size or at the number of entries asked for, yet always has one entry if there is one, so a reader
/// always gets on. A damaged document is named in its place: leaving it out would say that it is not there.
fn page(view: &SharedView, scan: &ScanCall) -> Result<Page, Error> {
    let name = scan.collection.as_str();
    let (from, to) = scan.rest()?;
    let (from, to) = (from.as_ref(), to.as_ref());
    let found: &mut dyn Iterator<Item = store::Scanned<'_>> =
        if scan.descending { &mut view.range_back(name, from, to) } else { &mut view.range(name, from, to) };
    let entries_max = if scan.entries_max == 0 { usize::MAX } else { scan.entries_max as usize };
    let mut page = Page::default();
    let mut page_bytes = 0;
    for entry in found {
        let (id, scanned) = match entry {
            Ok((id, _)) if scan.ids_only => (id, Scanned::IdOnly),
            Ok((id, document)) => (id, Scanned::Document(document.clone())),
            // Whatever of damage a range has names its document.
            Err(error) => match error.context().and_then(|context| context.document.clone()) {
                Some(id) => (id, Scanned::Damaged),
                None => continue,
            },
        };
        page_bytes += scanned.bytes_in_page(&id);
        let is_full = page.entries.len() >= entries_max || page_bytes > PAGE_BYTES_MAX;
        if let Some((last, _)) = page.entries.last().filter(|_| is_full) {
            page.cursor = cursor_after(last);
            return Ok(page);
        }
        page.entries.push((id, scanned));
    }
    // A client learns of losses with the last page, when it has had all that is there.
    if let Some(loss) = view.loss(name, scan.from.as_ref(), scan.to.as_ref()) {
        page.lost = loss.code() == ErrorCode::CorruptRecord;
        page.withheld = !page.lost;
    }
    Ok(page)
}
