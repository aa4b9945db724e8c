//! What has to do with the document that differs: who asked about it, which writes carried it, and who was shown it.

use std::collections::BTreeMap;
use std::ops::Range;

use docdb_engine::{DiskOp, RequestId};
use docdb_models::Content;
use docdb_protocol::{Action, ErrorCode, Operation, OperationReply, Reply, Request, Response};

use super::fate::bytes_of;
use crate::chronicle::{Chronicle, Entry, Event};
use crate::oracle::{Differs, Place};

/// Documents shorter than this are found in bytes by chance.
const NEEDLE_BYTES_MIN: usize = 6;

/// Of the requests that wrote the document, so many of the last have to do with what it is now.
const WRITERS_MAX: usize = 3;

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

    /// The places of the operations of a request that write the document; `None` when it has nothing to do with it.
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

/// A request that writes the document, or may have.
struct Writer {
    id: RequestId,
    /// Its operations that do.
    places: Vec<usize>,
    /// Whether it writes what had to be there, or what was found.
    is_what_differs: bool,
}

/// The requests to look at, with the places of their operations on the document.
fn requests(chronicle: &Chronicle, differs: &Differs) -> BTreeMap<RequestId, Vec<usize>> {
    let names = super::gather::databases(chronicle);
    let mut writers: Vec<Writer> = Vec::new();
    for entry in chronicle.entries() {
        match &entry.event {
            Event::Requested { id, request: Request::Execute { database, operations, .. } }
                if names.get(database).is_some_and(|name| *name == differs.database) =>
            {
                writers.extend(writer(*id, operations, differs));
            }
            // What was refused wrote nothing, or should not have.
            Event::Answered { id, response } => writers.retain(|writer| {
                let may_be = |place: &usize| may_be_written(response, *place);
                writer.id != *id || writer.is_what_differs || writer.places.iter().any(may_be)
            }),
            _ => {}
        }
    }
    let last = writers.len().saturating_sub(WRITERS_MAX);
    let kept = writers.into_iter().enumerate().filter(|(index, writer)| *index >= last || writer.is_what_differs);
    let mut requests: BTreeMap<RequestId, Vec<usize>> =
        kept.map(|(_, Writer { id, places, .. })| (id, places)).collect();
    if let Place::Answer(id) = differs.place {
        requests.entry(id).or_default();
    }
    requests
}

fn writer(id: RequestId, operations: &[Operation], differs: &Differs) -> Option<Writer> {
    let (collection, document) = &differs.document.key;
    let is_about = |one: &Operation| one.collection.as_str() == &**collection && one.document_id.0 == *document;
    let is_write = |one: &Operation| is_about(one) && one.action != Action::Read;
    let places: Vec<usize> = (0..operations.len()).filter(|place| is_write(&operations[*place])).collect();
    let sides = [&differs.document.expected, &differs.document.found];
    let writes = |content: &Content| {
        let written = places.iter().filter_map(|place| operations[*place].action.document());
        written.into_iter().any(|document| document.bytes() == &content[..])
    };
    let is_what_differs = sides.into_iter().flatten().any(writes);
    (!places.is_empty()).then_some(Writer { id, places, is_what_differs })
}

/// Whether an operation was written, or may have been, as far as its answer says.
fn may_be_written(response: &Response, place: usize) -> bool {
    let is_unknown = |error: &docdb_protocol::Error| error.code() == ErrorCode::OutcomeUnknown;
    match response {
        Ok(Reply::Executed(results)) => match results.get(place) {
            Some(Ok(OperationReply::Written(_))) => true,
            Some(Ok(OperationReply::Document(_))) | None => false,
            Some(Err(error)) => is_unknown(error),
        },
        Ok(_) => false,
        Err(error) => is_unknown(error),
    }
}
