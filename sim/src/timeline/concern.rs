//! What has to do with the document that differs: who asked about it, which writes carried it, and who was shown it.

use std::collections::BTreeMap;
use std::ops::Range;

use docdb_engine::{DiskOp, RequestId};
use docdb_models::Content;
use docdb_protocol::{Action, Error, ErrorCode, Operation, OperationReply, Reply, Request, Response};

use super::fate::bytes_of;
use crate::chronicle::{Chronicle, Entry, Event};
use crate::oracle::{Differs, Place};

/// Documents shorter than this are found in bytes by chance.
const NEEDLE_BYTES_MIN: usize = 6;

/// Of the requests that wrote the document, so many of the last have to do with what it is now.
const WRITERS_MAX: usize = 3;

/// Of those whose answers said something about it and wrote nothing, so many of the last.
const TOLD_MAX: usize = 2;

/// See the module. Without a document nothing has to do with it.
#[derive(Debug, Default)]
pub(super) struct Concern<'chronicle> {
    requests: BTreeMap<RequestId, Vec<usize>>,
    /// Documents are stored exactly as they were sent, so they are found in what is written.
    needles: Vec<&'chronicle Content>,
    /// The events that showed the difference.
    shown: Vec<usize>,
}

impl<'chronicle> Concern<'chronicle> {
    pub(super) fn of(chronicle: &'chronicle Chronicle) -> Concern<'chronicle> {
        let Some(differs) = chronicle.broken().and_then(|broken| broken.differs.as_ref()) else {
            return Concern::default();
        };
        let sides = [&differs.document.expected, &differs.document.found];
        let needles = sides.into_iter().flatten().filter(|content| content.len() >= NEEDLE_BYTES_MIN).collect();
        let entries = chronicle.entries();
        let is_view = |entry: &Entry| matches!(entry.event, Event::Published { view: Some(_), .. });
        let shown = match differs.place {
            Place::View { .. } => entries.iter().rposition(is_view),
            Place::Answer(_) => None,
        };
        Concern { requests: requests(chronicle, differs), needles, shown: shown.into_iter().collect() }
    }

    /// The places of the operations of a request on the document; `None` when it has nothing to do with it.
    pub(super) fn of_request(&self, id: RequestId) -> Option<&[usize]> {
        self.requests.get(&id).map(Vec::as_slice)
    }

    pub(super) fn is_view(&self, event: usize) -> bool {
        self.shown.contains(&event)
    }

    /// Where an operation writes the document, as it must be or as it was found.
    pub(super) fn carried_by(&self, op: &DiskOp) -> Option<Range<u64>> {
        let (range, Some(bytes)) = bytes_of(op)? else { return None };
        self.needles.iter().find_map(|needle| {
            let at = bytes.windows(needle.len()).position(|window| *window == ***needle)? as u64;
            Some(range.start + at..range.start + at + needle.len() as u64)
        })
    }
}

/// A request with operations on the document.
struct Asking {
    id: RequestId,
    places: Vec<usize>,
    /// Whether it writes what had to be there, or what was found.
    is_what_differs: bool,
    /// What it comes to; `None` when it was refused and nothing was said about the document.
    comes_to: Option<ComesTo>,
}

/// What a request comes to, if it was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ComesTo {
    /// It wrote the document, or may have.
    Write,
    /// It said whether the document is there.
    Word,
}

/// The requests to look at, with the places of their operations on the document.
fn requests(chronicle: &Chronicle, differs: &Differs) -> BTreeMap<RequestId, Vec<usize>> {
    let names = super::gather::databases(chronicle);
    let mut asking: Vec<Asking> = Vec::new();
    for entry in chronicle.entries() {
        match &entry.event {
            Event::Requested { id, request: Request::Execute { database, operations, .. } }
                if names.get(database).is_some_and(|name| *name == differs.database) =>
            {
                asking.extend(Asking::of(*id, operations, differs));
            }
            Event::Answered { id, response } => {
                if let Some(asking) = asking.iter_mut().rev().find(|asking| asking.id == *id) {
                    let told = asking.places.iter().filter_map(|place| comes_to(response, *place));
                    asking.comes_to = told.fold(None, |so_far, told| match so_far {
                        Some(ComesTo::Write) => so_far,
                        Some(ComesTo::Word) | None => Some(told),
                    });
                }
            }
            _ => {}
        }
    }
    let is_shown = |asking: &&Asking| asking.is_what_differs || differs.place == Place::Answer(asking.id);
    let last =
        |what: ComesTo, max: usize| asking.iter().rev().filter(move |asking| asking.comes_to == Some(what)).take(max);
    let kept = asking.iter().filter(is_shown).chain(last(ComesTo::Write, WRITERS_MAX));
    kept.chain(last(ComesTo::Word, TOLD_MAX)).map(|asking| (asking.id, asking.places.clone())).collect()
}

impl Asking {
    fn of(id: RequestId, operations: &[Operation], differs: &Differs) -> Option<Asking> {
        let (collection, document) = &differs.document.key;
        let is_about =
            |one: &Operation| one.collection.as_str() == &**collection && one.action.document_id() == Some(document);
        let places: Vec<usize> = (0..operations.len()).filter(|place| is_about(&operations[*place])).collect();
        let of_places = || places.iter().map(|place| &operations[*place].action);
        let sides = [&differs.document.expected, &differs.document.found];
        let writes = |content: &Content| {
            of_places().filter_map(Action::document).any(|document| document.bytes() == &content[..])
        };
        let is_what_differs = sides.into_iter().flatten().any(writes);
        // Until it is answered, a write may have been done, and a read says nothing.
        let comes_to = of_places().any(|action| !action.is_read()).then_some(ComesTo::Write);
        (!places.is_empty()).then_some(Asking { id, places, is_what_differs, comes_to })
    }
}

/// What an operation comes to, as its answer says.
fn comes_to(response: &Response, place: usize) -> Option<ComesTo> {
    let by_error = |error: &Error| match error.code() {
        ErrorCode::OutcomeUnknown => Some(ComesTo::Write),
        ErrorCode::DocExists | ErrorCode::DocNotFound | ErrorCode::Conflict => Some(ComesTo::Word),
        _ => None,
    };
    match response {
        Ok(Reply::Executed(results)) => match results.get(place)? {
            Ok(OperationReply::Written(_) | OperationReply::Inserted(..)) => Some(ComesTo::Write),
            Ok(OperationReply::Document(_) | OperationReply::AsExpected) => Some(ComesTo::Word),
            Err(error) => by_error(error),
        },
        Ok(_) => None,
        // Of a request that failed as a whole, the operation that failed it says something.
        Err(error) => {
            let failed = error.context().and_then(|context| context.operation);
            if failed.is_some_and(|failed| failed != place) { None } else { by_error(error) }
        }
    }
}
