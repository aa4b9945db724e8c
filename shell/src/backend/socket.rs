//! A daemon, over its Unix socket, with one request in flight at a time.
//!
//! Owns the connection. A reply that is not the one asked for ends it: nothing after it could be trusted.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use docdb_protocol::limits::FRAME_BODY_BYTES_MAX;
use docdb_protocol::wire::listing::{self, ListedDatabase};
use docdb_protocol::wire::{Command, ScanReply, WireRequest, WireResponse, part_outcome};
use docdb_protocol::{
    Action, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, Operation,
    OperationReply, OperationResult, TxId,
};

use super::{Backend, Page};

/// A connection to a daemon.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
    next_request_id: u64,
}

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// [`ErrorCode::ConnectionLost`] with the operating system's words.
    pub fn connect(path: &Path) -> Result<Socket, Error> {
        let stream = UnixStream::connect(path).map_err(|error| {
            Error::new(ErrorCode::ConnectionLost).detail(format!("cannot connect to {}: {error}", path.display()))
        })?;
        Ok(Socket { stream, next_request_id: 1 })
    }

    /// Sends one request and hands its response to `take`.
    fn ask<T>(
        &mut self,
        make: impl FnOnce(u64) -> Result<Vec<u8>, Error>,
        take: impl FnOnce(&WireResponse<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let request_id = self.next_request_id;
        self.next_request_id += 1;
        let frame = make(request_id)?;
        // A daemon that refuses us answers before it reads; what it said is worth more than a broken pipe.
        let sent = self.stream.write_all(&frame);
        let body = match (self.receive(), sent) {
            (Ok(body), _) => body,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(lost(&error)),
        };
        let response = WireResponse::decode(&body)?;
        if response.request_id == request_id {
            return take(&response);
        }
        // Id 0 is never ours: the daemon speaks of the connection as a whole.
        response.outcome()?;
        Err(Error::new(ErrorCode::InvalidRequestId).detail(format!("an answer to request {}", response.request_id)))
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME_BODY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer larger than a frame may be"));
        }
        let mut body = Vec::new();
        // Grows with what arrives, not with what was announced.
        Read::by_ref(&mut self.stream).take(length as u64).read_to_end(&mut body)?;
        if body.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
    }
}

fn lost(error: &io::Error) -> Error {
    Error::new(ErrorCode::ConnectionLost).detail(error.to_string())
}

fn encoded(request: &WireRequest<'_>) -> Result<Vec<u8>, Error> {
    let mut frame = Vec::new();
    request.encode(&mut frame)?;
    Ok(frame)
}

impl Backend for Socket {
    fn open(&mut self, name: &DatabaseName) -> Result<DatabaseId, Error> {
        self.ask(|id| encoded(&WireRequest::open_database(id, name)), |response| response.database_id())
    }

    fn close(&mut self, database: DatabaseId) -> Result<(), Error> {
        self.ask(
            |id| encoded(&WireRequest::new(id, Command::CloseDatabase, Some(database))),
            |response| response.outcome().map(|_| ()),
        )
    }

    fn databases(&mut self) -> Result<Vec<ListedDatabase>, Error> {
        self.ask(
            |id| encoded(&WireRequest::new(id, Command::ListDatabases, None)),
            |response| listing::databases_from_json(response.outcome()?),
        )
    }

    fn collections(&mut self, database: DatabaseId) -> Result<Vec<CollectionName>, Error> {
        self.ask(
            |id| encoded(&WireRequest::new(id, Command::ListCollections, Some(database))),
            |response| listing::collections_from_json(response.outcome()?),
        )
    }

    fn execute(&mut self, database: DatabaseId, operations: Vec<Operation>) -> Result<Vec<OperationResult>, Error> {
        self.ask(
            |id| encoded(&WireRequest::execute(id, database, &operations)),
            |response| {
                // One operation answers as the frame's own status; several answer in parts.
                let parts = match response.executed() {
                    Ok(parts) => parts,
                    Err(error) if operations.len() == 1 => return Ok(vec![Err(error)]),
                    Err(error) => return Err(error),
                };
                if parts.len() != operations.len() {
                    let detail = format!("{} results for {} operations", parts.len(), operations.len());
                    return Err(Error::new(ErrorCode::InvalidFrame).detail(detail));
                }
                Ok(parts.into_iter().zip(&operations).map(|(part, operation)| result(part, operation)).collect())
            },
        )
    }

    fn scan(&mut self, database: DatabaseId, collection: &CollectionName, first: DocumentId) -> Result<Page, Error> {
        self.ask(
            |id| encoded(&WireRequest::scan(id, database, collection, first)),
            |response| {
                let page = ScanReply::decode(response.outcome()?)?;
                let documents = page.documents.into_iter().map(|(id, bytes)| (id, bytes.map(<[u8]>::to_vec))).collect();
                Ok(Page { documents, more: page.more, lost: page.lost })
            },
        )
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn result(part: &[u8], operation: &Operation) -> OperationResult {
    let bytes = part_outcome(part).map_err(|error| error.document(operation.document_id))?;
    match operation.action {
        Action::Read => Document::parse(bytes).map(OperationReply::Document),
        // The wire does not tell the transaction; zero stands for "not told".
        Action::Create(_) | Action::Update(_) | Action::Delete => Ok(OperationReply::Written(TxId(0))),
    }
}
