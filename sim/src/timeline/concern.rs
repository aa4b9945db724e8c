//! What has to do with the document that differs: who asked about it, which writes carried it, and who was shown it.

use std::collections::BTreeMap;

use docdb_engine::{DiskOp, RequestId};
use docdb_models::Content;
use docdb_protocol::{Action, ErrorCode, Operation, OperationReply, Reply, Request, Response};

use super::fate::bytes_of;
use crate::chronicle::{Chronicle, Event};
use crate::oracle::{Differs, Place};

/// Documents shorter than this are found in bytes by chance.
const NEEDLE_BYTES_MIN: usize = 6;

/// See the module. Without a document nothing has to do with it.
#[derive(Debug, Default)]
pub(super) struct Concern<'chronicle> {
    requests: BTreeMap<RequestId, Vec<usize>>,
    /// Documents are stored exactly as they were sent, so they are found in what is written.
    needle: Option<&'chronicle Content>,
    /// The event that showed the difference.
    shown: Option<usize>,
}

impl<'chronicle> Concern<'chronicle> {
    pub(super) fn of(chronicle: &'chronicle Chronicle) -> Concern<'chronicle> {
        let Some(differs) = chronicle.broken().and_then(|broken| broken.differs.as_ref()) else {
            return Concern::default();
        };
        let needle = differs.document.expected.as_ref().or(differs.document.found.as_ref());
        Concern {
            requests: requests(chronicle, differs),
            needle: needle.filter(|content| content.len() >= NEEDLE_BYTES_MIN),
            shown: chronicle.entries().len().checked_sub(1),
        }
    }

    /// The places of the operations of a request that write the document; `None` when it has nothing to do with it.
    pub(super) fn of_request(&self, id: RequestId) -> Option<&[usize]> {
        self.requests.get(&id).map(Vec::as_slice)
    }

    pub(super) fn is_view(&self, event: usize) -> bool {
        self.shown == Some(event)
    }

    pub(super) fn is_written_by(&self, op: &DiskOp) -> bool {
        let (Some(needle), Some((_, Some(bytes)))) = (self.needle, bytes_of(op)) else { return false };
        bytes.windows(needle.len()).any(|window| *window == **needle)
    }
}

/// The requests that write the document, or may have, with the places of their operations on it.
fn requests(chronicle: &Chronicle, differs: &Differs) -> BTreeMap<RequestId, Vec<usize>> {
    let names = super::gather::databases(chronicle);
    let (collection, document) = &differs.document.key;
    let is_write = |one: &Operation| {
        one.collection.as_str() == &**collection && one.document_id.0 == *document && one.action != Action::Read
    };
    let mut requests: BTreeMap<RequestId, Vec<usize>> = BTreeMap::new();
    for entry in chronicle.entries() {
        match &entry.event {
            Event::Requested { id, request: Request::Execute { database, operations, .. } }
                if names.get(database).is_some_and(|name| *name == differs.database) =>
            {
                let places: Vec<usize> = (0..operations.len()).filter(|place| is_write(&operations[*place])).collect();
                if !places.is_empty() {
                    requests.insert(*id, places);
                }
            }
            // What was refused has nothing to do with it, unless it is what shows the difference.
            Event::Answered { id, response } if differs.place != Place::Answer(*id) => {
                let may_be = |place: &usize| may_be_written(response, *place);
                if requests.get(id).is_some_and(|places| !places.iter().any(may_be)) {
                    requests.remove(id);
                }
            }
            _ => {}
        }
    }
    if let Place::Answer(id) = differs.place {
        requests.entry(id).or_default();
    }
    requests
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
