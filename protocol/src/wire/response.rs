//! Responses: what a server answers, as bytes and as types.
//!
//! Every function that encodes appends exactly one frame. An answer above the frame's limit becomes the
//! error `ResponseTooLarge`, so a client that can send a request can always be answered.
//!
//! An error crosses the wire as its fixed text alone; its context stays with the server. It never
//! invents a text.

use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::limits::FRAME_BODY_BYTES_MAX;
use crate::request::{OperationReply, OperationResult, Reply, Response};
use crate::wire::read::Cursor;
use crate::wire::{frame, listing, stats};

/// Request id, status, length of the data.
const HEADER_BYTES: usize = 8 + 1 + 4;

/// The smallest part of an Execute's answer: its length.
const PART_BYTES_MIN: usize = 4;

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
pub fn encode_error(request_id: u64, code: ErrorCode, out: &mut Vec<u8>) {
    encode_parts(request_id, status_of(code), &[code.text().as_bytes()], out);
}

/// Appends the frame of either.
pub fn encode_result<T: AsRef<[u8]>>(request_id: u64, result: &Result<T, Error>, out: &mut Vec<u8>) {
    match result {
        Ok(data) => encode_ok(request_id, data.as_ref(), out),
        Err(error) => encode_error(request_id, error.code(), out),
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
        Err(error) => encode_error(request_id, error.code(), out),
    }
}

/// Appends the frame of an Execute: a single failed op gives the frame its status and text; all else is
/// status 0 and one part an op, empty for a write, the document for a read, the text for a failure.
pub fn encode_executed(request_id: u64, results: &[OperationResult], out: &mut Vec<u8>) {
    if let [Err(error)] = results {
        return encode_error(request_id, error.code(), out);
    }
    let data_bytes = 4 + results.iter().map(|result| 4 + part_of(result).len()).sum::<usize>();
    if !begin(request_id, Status::Ok, data_bytes, out) {
        return;
    }
    frame::put_length(out, results.len());
    for result in results {
        let part = part_of(result);
        frame::put_length(out, part.len());
        out.extend_from_slice(part);
    }
}

fn part_of(result: &OperationResult) -> &[u8] {
    match result {
        Ok(OperationReply::Written(_) | OperationReply::Inserted(..)) => b"",
        Ok(OperationReply::Document(document)) => document.bytes(),
        Err(error) => error.code().text().as_bytes(),
    }
}

/// What one part of an Execute's answer says: the bytes of a success, or the error whose text it is.
///
/// The two cannot be mixed up: no error's text is valid JSON, and a write answers nothing.
///
/// # Errors
/// The error whose text the part is.
pub fn part_outcome(part: &[u8]) -> Result<&[u8], Error> {
    let code = std::str::from_utf8(part).ok().and_then(ErrorCode::from_text);
    code.map_or(Ok(part), |code| Err(Error::new(code)))
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
    if data_bytes > FRAME_BODY_BYTES_MAX - HEADER_BYTES {
        encode_error(request_id, ErrorCode::ResponseTooLarge, out);
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

    /// The error of a status whose text is not on our list.
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
    /// The error whose text the data is. For a text that is not on our list, the nearest the status
    /// knows, with the text as its detail.
    pub fn outcome(&self) -> Result<&'a [u8], Error> {
        if self.status == Status::Ok {
            return Ok(self.data);
        }
        let text = String::from_utf8_lossy(self.data);
        match ErrorCode::from_text(&text) {
            Some(code) => Err(Error::new(code)),
            None => Err(Error::new(self.status.code_without_text()).detail(text)),
        }
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
