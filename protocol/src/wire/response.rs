//! Responses: what a server answers, as bytes and as types.
//!
//! Every function that encodes appends exactly one frame. An answer above the frame's limit becomes the
//! error `ResponseTooLarge`, so a client that can send a request can always be answered.
//!
//! An error crosses the wire as its fixed text. Where no client of the ancestor compares that text with what it knows, `: `
//! and the reason follow it: file, byte and detail. What was asked about, the client knows. It never invents a text.

use std::borrow::Cow;

use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::limits::FRAME_BODY_BYTES_MAX;
use crate::request::{OperationReply, OperationResult, Reply, Response};
use crate::wire::read::Cursor;
use crate::wire::{frame, listing, stats};

/// Request id, status, length of the data.
pub(super) const HEADER_BYTES: usize = 8 + 1 + 4;

/// The most that an answer's data can be.
const DATA_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX - HEADER_BYTES;

/// The smallest part of an Execute's answer: its length.
const PART_BYTES_MIN: usize = 4;

/// The longest document that an Execute can answer: its count and one length stand in front of it.
const DOCUMENT_BYTES_MAX: usize = DATA_BYTES_MAX - 4 - PART_BYTES_MIN;

/// Between an error's fixed text and the reason.
const REASON_MARK: &str = ": ";

/// What clients of the ancestor know of a document that is no JSON.
const NO_JSON_TEXT: &str = "payload must be valid JSON (forbidden prefixes: raw: hex:)";

/// What they know of a collection's name with a slash in it.
pub(super) const SLASH_TEXT: &str = "collection name cannot contain '/'";

/// The most that a reason takes; what is longer is cut.
const REASON_BYTES_MAX: usize = 512;

/// How a document is read that no frame of this protocol holds.
pub const TOO_LONG_ADVICE: &str = "docdbsh DIR and the crate docdb read it while no daemon runs";

/// What became of a request, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It succeeded; the data is the answer.
    Ok,
    /// It failed in a way no other status names. As for all that follow, the data is the error's text.
    Error,
    /// The document is not there.
    NotFound,
    /// The document is there already, or another write came first.
    Conflict,
    /// The memory allowed is used up.
    MemoryLimit,
}

/// One response, its data borrowed from the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireResponse<'a> {
    /// The id of the request that is answered.
    pub request_id: u64,
    /// What became of it.
    pub status: Status,
    /// The answer, or the error's text.
    pub data: &'a [u8],
}

/// The status that tells clients of an error.
#[must_use]
pub const fn status_of(code: ErrorCode) -> Status {
    match code {
        ErrorCode::DocNotFound => Status::NotFound,
        ErrorCode::DocExists | ErrorCode::Conflict => Status::Conflict,
        ErrorCode::MemoryLimit => Status::MemoryLimit,
        _ => Status::Error,
    }
}

/// Appends the frame of an answer that succeeded.
pub fn encode_ok(request_id: u64, data: &[u8], out: &mut Vec<u8>) {
    encode_parts(request_id, Status::Ok, &[data], out);
}

/// Appends the frame of an error.
pub fn encode_error(request_id: u64, error: &Error, out: &mut Vec<u8>) {
    encode_parts(request_id, status_of(error.code()), &[error_text(error).as_bytes()], out);
}

/// Whether clients of the ancestor compare the whole text of an error with what they know.
const fn stands_alone(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::InvalidJson
            | E::DocExists
            | E::DocNotFound
            | E::DbNotOpen
            | E::MemoryLimit
            | E::CollectionNotFound
            | E::CollectionExists
            | E::CollectionNotEmpty
            | E::CannotDeleteDefault
            | E::DbNotFound
            | E::InvalidDatabaseName
            | E::InvalidCollectionName
            | E::InvalidDatabaseId
            | E::InvalidPatch
            | E::InvalidPath
            | E::UnknownOperation
            | E::PayloadTooLarge
            | E::PoolStopped
            | E::QueueFull
            | E::FrameTooLarge
            | E::InvalidFrame
            | E::InvalidRequest
    )
}

/// What an error is on the wire.
#[must_use]
pub fn error_text(error: &Error) -> Cow<'static, str> {
    match error.code() {
        ErrorCode::InvalidJson => return Cow::Borrowed(NO_JSON_TEXT),
        ErrorCode::InvalidCollectionName if error.reason().as_deref() == Some(SLASH_TEXT) => {
            return Cow::Borrowed(SLASH_TEXT);
        }
        _ => {}
    }
    let text = error.code().text();
    let Some(mut reason) = error.reason().filter(|_| !stands_alone(error.code())) else { return Cow::Borrowed(text) };
    while reason.len() > REASON_BYTES_MAX {
        reason.pop();
    }
    // The text of an error is one line.
    let reason: String = reason.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    Cow::Owned(format!("{text}{REASON_MARK}{reason}"))
}

/// The error that a text is; `None` when it begins with no error's.
fn error_of(text: &[u8]) -> Option<Error> {
    if text == NO_JSON_TEXT.as_bytes() {
        return Some(Error::new(ErrorCode::InvalidJson));
    }
    if text == SLASH_TEXT.as_bytes() {
        return Some(Error::new(ErrorCode::InvalidCollectionName).detail(SLASH_TEXT));
    }
    ErrorCode::ALL.iter().find_map(|code| {
        let rest = text.strip_prefix(code.text().as_bytes())?;
        if rest.is_empty() {
            return Some(Error::new(*code));
        }
        let reason = rest.strip_prefix(REASON_MARK.as_bytes())?;
        Some(Error::new(*code).detail(String::from_utf8_lossy(reason)))
    })
}

/// Appends the frame of either.
pub fn encode_result<T: AsRef<[u8]>>(request_id: u64, result: &Result<T, Error>, out: &mut Vec<u8>) {
    match result {
        Ok(data) => encode_ok(request_id, data.as_ref(), out),
        Err(error) => encode_error(request_id, error, out),
    }
}

/// Appends the frame of what the engine answered.
pub fn encode_response(request_id: u64, response: &Response, out: &mut Vec<u8>) {
    match response {
        Ok(Reply::Database(id)) => encode_ok(request_id, &id.get().to_le_bytes(), out),
        Ok(Reply::Closed) => encode_ok(request_id, b"", out),
        Ok(Reply::Executed(results)) => encode_executed(request_id, results, out),
        Ok(Reply::Stats(counts)) => encode_ok(request_id, &stats::encode(counts), out),
        Ok(Reply::Databases(databases)) => encode_ok(request_id, &listing::databases_to_json(databases), out),
        Err(error) => encode_error(request_id, error, out),
    }
}

/// Appends the frame of an Execute: a single failed op gives the frame its status and text; all else is
/// status 0 and one part an op, empty for a write, the document for a read, the text for a failure.
pub fn encode_executed(request_id: u64, results: &[OperationResult], out: &mut Vec<u8>) {
    if let [Err(error)] = results {
        return encode_error(request_id, error, out);
    }
    let bytes_of = |parts: &[Cow<'_, [u8]>]| 4 + parts.iter().map(|part| PART_BYTES_MIN + part.len()).sum::<usize>();
    let mut parts: Vec<Cow<'_, [u8]>> = results.iter().map(part_of).collect();
    if bytes_of(&parts) > DATA_BYTES_MAX {
        // Reasons must not make an answer too large that has room without them.
        for (part, result) in parts.iter_mut().zip(results) {
            if let Err(error) = result {
                *part = Cow::Borrowed(error.code().text().as_bytes());
            }
        }
    }
    let data_bytes = bytes_of(&parts);
    let longest = parts.iter().map(|part| part.len()).max().unwrap_or_default();
    if longest > DOCUMENT_BYTES_MAX {
        return encode_error(request_id, &too_long(longest, DOCUMENT_BYTES_MAX), out);
    }
    if !begin(request_id, Status::Ok, data_bytes, out) {
        return;
    }
    frame::put_length(out, parts.len());
    for part in parts {
        frame::put_length(out, part.len());
        out.extend_from_slice(&part);
    }
}

fn part_of(result: &OperationResult) -> Cow<'_, [u8]> {
    match result {
        Ok(OperationReply::Written(_) | OperationReply::Inserted(..) | OperationReply::AsExpected) => {
            Cow::Borrowed(b"")
        }
        Ok(OperationReply::Document(document)) => Cow::Borrowed(document.bytes()),
        Err(error) => match error_text(error) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
}

/// The error for a document that no frame holds.
fn too_long(document_bytes: usize, bytes_max: usize) -> Error {
    let detail = format!(
        "the document has {document_bytes} bytes, and an answer of this protocol holds {bytes_max}; {TOO_LONG_ADVICE}"
    );
    Error::new(ErrorCode::ResponseTooLarge).detail(detail)
}

/// What one part of an Execute's answer says: the bytes of a success, or the error whose text it is.
///
/// The two cannot be mixed up: no error's text is valid JSON, and a write answers nothing.
///
/// # Errors
/// The error whose text the part is.
pub fn part_outcome(part: &[u8]) -> Result<&[u8], Error> {
    error_of(part).map_or(Ok(part), Err)
}

fn encode_parts(request_id: u64, status: Status, parts: &[&[u8]], out: &mut Vec<u8>) {
    if begin(request_id, status, parts.iter().map(|part| part.len()).sum(), out) {
        for part in parts {
            out.extend_from_slice(part);
        }
    }
}

/// Appends everything in front of the data and answers true, or appends a whole frame that says the data
/// is too large.
fn begin(request_id: u64, status: Status, data_bytes: usize, out: &mut Vec<u8>) -> bool {
    if data_bytes > DATA_BYTES_MAX {
        let detail = format!("the answer has {data_bytes} bytes of at most {DATA_BYTES_MAX}; ask for less at once");
        encode_error(request_id, &Error::new(ErrorCode::ResponseTooLarge).detail(detail), out);
        return false;
    }
    frame::begin(out, HEADER_BYTES + data_bytes);
    out.extend_from_slice(&request_id.to_le_bytes());
    out.push(status.number());
    frame::put_length(out, data_bytes);
    true
}

impl Status {
    /// The byte on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Status::Ok => 0,
            Status::Error => 1,
            Status::NotFound => 2,
            Status::Conflict => 3,
            Status::MemoryLimit => 4,
        }
    }

    /// The status of a byte; `None` when there is none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Status> {
        match number {
            0 => Some(Status::Ok),
            1 => Some(Status::Error),
            2 => Some(Status::NotFound),
            3 => Some(Status::Conflict),
            4 => Some(Status::MemoryLimit),
            _ => None,
        }
    }

    /// The error of a status whose text is not on the list.
    fn code_without_text(self) -> ErrorCode {
        match self {
            Status::Ok | Status::Error => ErrorCode::InvalidFrame,
            Status::NotFound => ErrorCode::DocNotFound,
            Status::Conflict => ErrorCode::Conflict,
            Status::MemoryLimit => ErrorCode::MemoryLimit,
        }
    }
}

impl<'a> WireResponse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidFrame`] when it is cut short, has bytes left over, or an unknown status.
    pub fn decode(body: &'a [u8]) -> Result<WireResponse<'a>, Error> {
        let mut cursor = Cursor::new(body);
        let request_id = cursor.u64()?;
        let status = Status::from_number(cursor.u8()?).ok_or_else(|| cursor.invalid("unknown status"))?;
        let data = cursor.bytes_u32()?;
        cursor.end()?;
        Ok(WireResponse { request_id, status, data })
    }

    /// Appends the frame, length first; `ResponseTooLarge` instead when it exceeds the limit.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_parts(self.request_id, self.status, &[self.data], out);
    }

    /// The data of a success.
    ///
    /// # Errors
    /// The error whose text the data is, with the reason behind it as its detail. For a text that is not on the list, the
    /// nearest the status knows, with the text as its detail.
    pub fn outcome(&self) -> Result<&'a [u8], Error> {
        if self.status == Status::Ok {
            return Ok(self.data);
        }
        let unknown = || Error::new(self.status.code_without_text()).detail(String::from_utf8_lossy(self.data));
        Err(error_of(self.data).unwrap_or_else(unknown))
    }

    /// The database id that OpenDB answers.
    ///
    /// # Errors
    /// As [`WireResponse::outcome`]; [`ErrorCode::InvalidFrame`] when the data is no id.
    pub fn database_id(&self) -> Result<DatabaseId, Error> {
        let mut cursor = Cursor::new(self.outcome()?);
        let id = cursor.u64()?;
        cursor.end()?;
        DatabaseId::new(id).ok_or_else(|| cursor.invalid("zero is no database"))
    }

    /// The parts that Execute answers, one an op; [`part_outcome`] tells what each says.
    ///
    /// # Errors
    /// As [`WireResponse::outcome`]; [`ErrorCode::InvalidFrame`] when the data does not divide into parts.
    pub fn executed(&self) -> Result<Vec<&'a [u8]>, Error> {
        let mut cursor = Cursor::new(self.outcome()?);
        let count = cursor.count(PART_BYTES_MIN)?;
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            parts.push(cursor.bytes_u32()?);
        }
        cursor.end()?;
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    fn part(error: &Error) -> Error {
        let mut frame = Vec::new();
        encode_executed(1, &[Err(error.clone()), Err(error.clone())], &mut frame);
        let response = WireResponse::decode(&frame[4..]).expect("it was encoded");
        let parts = response.executed().expect("it has parts");
        part_outcome(parts[1]).expect_err("an error is one")
    }

    #[test]
    fn a_reason_goes_along_where_no_old_client_compares_the_text() {
        for &code in ErrorCode::ALL {
            let error = Error::new(code).document(7_u64).file("db/a/a.wal").offset(512).detail("EIO (os error 5)\n?");
            let mut frame = Vec::new();
            encode_error(1, &error, &mut frame);
            let answered = WireResponse::decode(&frame[4..]).expect("it was encoded").outcome().expect_err("an error");
            for answered in [answered, part(&error)] {
                assert_eq!(answered, error);
                let reason = "file \"db/a/a.wal\", byte 512: EIO (os error 5) ?";
                assert_eq!(answered.reason().as_deref(), (!stands_alone(code)).then_some(reason), "{code:?}");
            }
        }
    }

    #[test]
    fn a_long_reason_is_cut_and_reasons_never_make_an_answer_too_large() {
        let error = Error::new(ErrorCode::DiskFull).detail("ä".repeat(10_000));
        assert!(error_text(&error).len() <= error.code().text().len() + REASON_MARK.len() + REASON_BYTES_MAX);
        let mut frame = Vec::new();
        encode_executed(1, &vec![Err(error); 65_535], &mut frame);
        let response = WireResponse::decode(&frame[4..]).expect("it was encoded");
        assert_eq!(response.executed().expect("it fits")[0], ErrorCode::DiskFull.text().as_bytes());
    }

    /// Such a document could be stored by the embedded handle, and its reader was only answered that something is too large.
    #[test]
    fn a_document_too_long_for_a_frame_is_refused_with_what_to_do() {
        let document = |bytes: usize| {
            let text = [&b"\""[..], &vec![b'x'; bytes - 2], b"\""].concat();
            Ok(OperationReply::Document(Document::parse(&text).expect("a text is JSON")))
        };
        let mut frame = Vec::new();
        encode_executed(1, &[document(DOCUMENT_BYTES_MAX)], &mut frame);
        assert_eq!(WireResponse::decode(&frame[4..]).expect("it was encoded").status, Status::Ok);
        frame.clear();
        encode_executed(1, &[document(DOCUMENT_BYTES_MAX + 1)], &mut frame);
        let response = WireResponse::decode(&frame[4..]).expect("it was encoded");
        let error = response.outcome().expect_err("it does not fit");
        assert_eq!(error.code(), ErrorCode::ResponseTooLarge);
        assert!(error.reason().is_some_and(|reason| reason.contains(TOO_LONG_ADVICE)), "{error}");
    }
}
