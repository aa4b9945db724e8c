//! Answers: ready ones, and promises of ones that the engine still owes.
//!
//! Owns how operations that the daemon refused and operations that the engine answered become one reply again. It
//! never changes an error and never re-encodes a document.

use docdb_protocol::wire;
use docdb_protocol::{Error, ErrorCode, OperationReply, OperationResult, Reply, Response};

use crate::budget::Share;
use crate::store::Waiting;

/// Room for everything of a reply that is neither documents nor the texts of errors: headers and lengths.
const OVERHEAD_BYTES: usize = 64;

/// Room for one entry of the list of databases, its name of 64 bytes included.
const LISTED_DATABASE_BYTES: usize = 256;

/// Either a whole answer or what it takes to make one.
pub(crate) struct Promise {
    state: State,
    /// The bytes this answer is counted with; given back when it is written.
    share: Option<Share>,
}

enum State {
    Ready(Vec<u8>),
    /// The engine answers; what the daemon refused is merged in.
    Waiting {
        request_id: u64,
        waiting: Waiting,
        slots: Slots,
    },
}

/// What is known of each operation of a frame before the engine has answered: `None` is the engine's.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<Option<OperationResult>>);

/// A whole answer, before it is bytes.
#[derive(Debug)]
pub(crate) enum Answer {
    /// As the engine gave it.
    Response(Response),
    /// Data that the daemon made.
    Data(Result<Vec<u8>, Error>),
}

impl Promise {
    pub(crate) fn ready(bytes: Vec<u8>, share: Option<Share>) -> Promise {
        Promise { state: State::Ready(bytes), share }
    }

    pub(crate) fn error(request_id: u64, error: &Error, share: Option<Share>) -> Promise {
        let mut bytes = Vec::new();
        wire::encode_error(request_id, error, &mut bytes);
        Promise::ready(bytes, share)
    }

    pub(crate) fn waiting(request_id: u64, waiting: Waiting, slots: Slots, share: Share) -> Promise {
        Promise { state: State::Waiting { request_id, waiting, slots }, share: Some(share) }
    }

    /// Whether [`Promise::write_to`] has nothing to wait for.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.state {
            State::Ready(_) => true,
            State::Waiting { waiting, .. } => waiting.is_here(),
        }
    }

    /// Waits for the answer and appends it. The share belongs to the bytes appended.
    pub(crate) async fn write_to(self, out: &mut Vec<u8>) -> Option<Share> {
        match self.state {
            State::Ready(bytes) => out.extend_from_slice(&bytes),
            State::Waiting { request_id, waiting, slots } => {
                let response = slots.merge(waiting.response().await);
                wire::encode_response(request_id, &response, out);
            }
        }
        self.share
    }
}

impl Slots {
    pub(crate) fn new(slots: Vec<Option<OperationResult>>) -> Slots {
        Slots(slots)
    }

    /// Puts the engine's results where the daemon refused nothing. A request that failed as a whole, when it had
    /// several operations, failed for each that the engine was given: the others keep their own errors.
    pub(crate) fn merge(self, response: Response) -> Response {
        let Slots(slots) = self;
        if slots.is_empty() {
            return response;
        }
        let results: Vec<OperationResult> = match response {
            Ok(Reply::Executed(results)) => {
                let mut results = results.into_iter();
                let missing = || Err(Error::new(ErrorCode::OutcomeUnknown).detail("the engine gave no result"));
                slots.into_iter().map(|slot| slot.or_else(|| results.next()).unwrap_or_else(missing)).collect()
            }
            Err(error) if slots.iter().any(Option::is_some) => {
                slots.into_iter().map(|slot| slot.unwrap_or_else(|| Err(error.clone()))).collect()
            }
            other => return other,
        };
        Ok(Reply::Executed(results))
    }
}

fn error_bytes(error: &Error) -> usize {
    OVERHEAD_BYTES + wire::error_text(error).len()
}

impl Answer {
    /// At least the bytes of the frame, and at most one whole frame.
    pub(crate) fn bytes_max(&self) -> usize {
        let data_bytes = match self {
            Answer::Data(Ok(data)) => data.len(),
            Answer::Response(Ok(Reply::Executed(results))) => results
                .iter()
                .map(|result| match result {
                    Ok(OperationReply::Document(document)) => document.len() + 4,
                    Ok(OperationReply::Written(_) | OperationReply::Inserted(..) | OperationReply::AsExpected) => {
                        OVERHEAD_BYTES
                    }
                    Err(error) => error_bytes(error),
                })
                .sum(),
            Answer::Response(Ok(Reply::Databases(databases))) => databases.len() * LISTED_DATABASE_BYTES,
            Answer::Response(Err(error)) | Answer::Data(Err(error)) => error_bytes(error),
            Answer::Response(Ok(Reply::Database(_) | Reply::Closed | Reply::Stats(_))) => OVERHEAD_BYTES,
        };
        (data_bytes + OVERHEAD_BYTES).min(docdb_protocol::limits::FRAME_BODY_BYTES_MAX)
    }

    pub(crate) fn encode(&self, request_id: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Answer::Response(response) => wire::encode_response(request_id, response, &mut bytes),
            Answer::Data(data) => wire::encode_result(request_id, data, &mut bytes),
        }
        bytes
    }
}
