//! A daemon, over its Unix socket, with one request in flight at a time.
//!
//! Owns the connection, and makes a new one when the old one has ended, as after a time of idleness or a restart of the
//! daemon. The databases that were opened are opened again there, by their names, and only if they have the ids that
//! they had: an id may mean another database to another daemon.
//!
//! - What was not sent whole cannot have been carried out, so it is sent again, once.
//! - What was sent and not answered is asked again, once, if asking twice changes nothing. A write never is: its outcome
//!   is unknown, and the error says so.
//! - A reply that is not the one asked for ends the connection: nothing after it could be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use docdb_protocol::wire::listing::{self, ListedDatabase};
use docdb_protocol::wire::stats;
use docdb_protocol::wire::{
    Command, FrameReader, ScanReply, Scanned, TOO_LONG_ADVICE, WireRequest, WireResponse, part_outcome,
};
use docdb_protocol::{
    Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, IfMissing, Operation,
    OperationReply, OperationResult, Patch, Stats, TxId,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{Backend, Feature, ListedCollection, Missing, Page, Range, texts_not_shown};
use crate::interrupt::{Interrupt, Patient};

/// An answer is read in pieces of at most this size.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// A daemon, and the connection to it while there is one.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    interrupt: Interrupt,
    connection: Option<Connection>,
    /// The name by which each database was opened.
    names: BTreeMap<DatabaseId, DatabaseName>,
    next_request_id: u64,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    /// What was opened over this connection, so that its ids are known to mean what they meant.
    opened: BTreeSet<DatabaseId>,
}

/// What it does to ask again for something that may have been carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twice {
    Harmless,
    Harmful,
}

/// How a request got no answer.
enum Lost {
    /// The daemon cannot have got all of it.
    NotSent(io::Error),
    NotAnswered(io::Error),
}

impl Socket {
    /// Connects. Whatever `interrupt` ends is over as if the connection had been lost.
    ///
    /// # Errors
    /// [`ErrorCode::ConnectionLost`] with the operating system's words.
    pub fn connect(path: &Path, interrupt: &Interrupt) -> Result<Socket, Error> {
        let connection = Some(Connection::new(path)?);
        let (path, interrupt) = (path.to_owned(), interrupt.clone());
        Ok(Socket { path, interrupt, connection, names: BTreeMap::new(), next_request_id: 1 })
    }

    /// Sends one request and hands its response to `take`.
    fn ask<T>(
        &mut self,
        database: Option<DatabaseId>,
        twice: Twice,
        make: impl FnOnce(u64) -> Result<Vec<u8>, Error>,
        take: impl FnOnce(&WireResponse<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let request_id = self.request_id();
        let frame = make(request_id)?;
        let body = match self.try_once(database, &frame)? {
            Ok(body) => body,
            Err(lost) if self.may_ask_again(&lost, twice) => match self.try_once(database, &frame)? {
                Ok(body) => body,
                Err(lost) => return Err(described(&lost, twice)),
            },
            Err(lost) => return Err(described(&lost, twice)),
        };
        self.taken(request_id, &body, take)
    }

    fn may_ask_again(&self, lost: &Lost, twice: Twice) -> bool {
        match lost {
            _ if self.interrupt.is_set() => false,
            Lost::NotSent(_) => true,
            Lost::NotAnswered(_) => twice == Twice::Harmless,
        }
    }

    /// The frame over a connection that was there a moment ago; it is gone when the answer is.
    fn try_once(&mut self, database: Option<DatabaseId>, frame: &[u8]) -> Result<Result<Vec<u8>, Lost>, Error> {
        self.connected()?;
        if let Some(database) = database {
            self.opened_again(database)?;
        }
        Ok(self.exchange(frame))
    }

    /// Makes sure of a connection that has not ended, as can be seen without asking.
    fn connected(&mut self) -> Result<&mut Connection, Error> {
        let connection = match self.connection.take() {
            Some(connection) if !connection.has_ended() => connection,
            Some(_) | None => Connection::new(&self.path)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Opens over a new connection what was opened over an earlier one. By its name alone it could be another database,
    /// or be created; so the list is asked first.
    fn opened_again(&mut self, database: DatabaseId) -> Result<(), Error> {
        let opened = self.connection.as_ref().is_some_and(|connection| connection.opened.contains(&database));
        let Some(name) = self.names.get(&database).filter(|_| !opened).cloned() else { return Ok(()) };
        let list = WireRequest::new(self.request_id(), Command::ListDatabases, None);
        let databases = self.simply(&list, |response| listing::databases_from_json(response.outcome()?))?;
        if !databases.iter().any(|listed| listed.id == database && listed.name == name) {
            let detail =
                format!("the daemon does not have it any more; .open {name} opens, or creates, what it has now");
            return Err(Error::new(ErrorCode::DbNotOpen).database(name.as_str()).detail(detail));
        }
        let open = WireRequest::open_database(self.request_id(), &name);
        self.simply(&open, |response| response.database_id())?;
        self.note_opened(database);
        Ok(())
    }

    fn note_opened(&mut self, database: DatabaseId) {
        if let Some(connection) = &mut self.connection {
            connection.opened.insert(database);
        }
    }

    /// A request on the way to another one, which is what is asked again if need be.
    fn simply<T>(
        &mut self,
        request: &WireRequest<'_>,
        take: impl FnOnce(&WireResponse<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let body = self.exchange(&encoded(request)?).map_err(|lost| described(&lost, Twice::Harmless))?;
        self.taken(request.request_id, &body, take)
    }

    fn taken<T>(
        &mut self,
        request_id: u64,
        body: &[u8],
        take: impl FnOnce(&WireResponse<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let response = WireResponse::decode(body).inspect_err(|_| self.connection = None)?;
        if response.request_id == request_id {
            return take(&response);
        }
        self.connection = None;
        // The shell asks nothing with id 0: with it the daemon speaks of the connection as a whole.
        response.outcome()?;
        Err(Error::new(ErrorCode::InvalidRequestId).detail(format!("an answer to request {}", response.request_id)))
    }

    fn request_id(&mut self) -> u64 {
        let request_id = self.next_request_id;
        self.next_request_id += 1;
        request_id
    }

    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, Lost> {
        let ended = || Lost::NotSent(io::ErrorKind::NotConnected.into());
        let connection = self.connection.as_ref().ok_or_else(ended)?;
        let mut stream = Patient::new(&connection.stream, &self.interrupt);
        // A daemon that refuses a connection answers before it reads; what it said is worth more than a broken pipe.
        let sent = stream.write_all(frame);
        let lost = match (receive(&mut stream), sent) {
            (Ok(body), _) => return Ok(body),
            (Err(_), Err(error)) => Lost::NotSent(error),
            (Err(error), Ok(())) => Lost::NotAnswered(error),
        };
        self.connection = None;
        Err(lost)
    }
}

impl Connection {
    fn new(path: &Path) -> Result<Connection, Error> {
        let connected = UnixStream::connect(path).and_then(|stream| {
            stream.set_nonblocking(true)?;
            Ok(Connection { stream, opened: BTreeSet::new() })
        });
        connected.map_err(|error| {
            Error::new(ErrorCode::ConnectionLost).detail(format!("cannot connect to {}: {error}", path.display()))
        })
    }

    /// Whether the daemon has closed it. What else it may have said unasked is read with the next answer.
    fn has_ended(&self) -> bool {
        match recv(&self.stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, bytes)) => bytes == 0,
            Err(error) => error != Errno::AGAIN && error != Errno::INTR,
        }
    }
}

/// The next body. Never reads behind its frame, where an answer to nothing asked yet may stand.
fn receive(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut reader = FrameReader::new();
    let mut piece = vec![0; PIECE_BYTES_MAX];
    loop {
        let count = reader.bytes_missing().min(piece.len());
        let read = match count {
            // A body without a byte is whole as soon as its length is.
            0 => 0,
            _ => match stream.read(&mut piece[..count])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            },
        };
        match reader.next_body(&mut &piece[..read]) {
            Ok(Some(body)) => return Ok(body),
            Ok(None) => {}
            Err(refused) => return Err(io::Error::new(io::ErrorKind::InvalidData, refused.error().to_string())),
        }
    }
}

fn described(lost: &Lost, twice: Twice) -> Error {
    match (lost, twice) {
        (Lost::NotSent(error), _) | (Lost::NotAnswered(error), Twice::Harmless) => {
            Error::new(ErrorCode::ConnectionLost).detail(words(error))
        }
        (Lost::NotAnswered(error), Twice::Harmful) => {
            let detail =
                format!("{} before an answer came; nothing was sent again: look whether it is written", words(error));
            Error::new(ErrorCode::OutcomeUnknown).detail(detail)
        }
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the daemon closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

fn encoded(request: &WireRequest<'_>) -> Result<Vec<u8>, Error> {
    let mut frame = Vec::new();
    request.encode(&mut frame)?;
    Ok(frame)
}

/// What to do about it.
const ELSEWHERE: &str = "docdbsh DIR has it while no daemon runs";

/// The error for what only an embedded shell can be asked.
fn no_word(what: &str) -> Error {
    let detail = format!("the daemon's protocol has no word for {what}; {ELSEWHERE}");
    Error::new(ErrorCode::InvalidRequest).detail(detail)
}

impl Backend for Socket {
    fn require(&self, feature: Feature) -> Result<(), Error> {
        Err(no_word(match feature {
            Feature::Transactions => "transactions",
            Feature::Descending => "descending order",
            Feature::Patches => "patches",
        }))
    }

    fn check(&self, operations: &[Operation]) -> Result<(), Error> {
        WireRequest::execute(0, DatabaseId::FIRST, operations).map(drop).map_err(|error| {
            let reason = error.context().and_then(|context| context.detail.clone()).unwrap_or_default();
            error.detail(format!("{reason}; {ELSEWHERE}"))
        })
    }

    fn place(&self) -> String {
        format!("the daemon at {}", self.path.display())
    }

    fn unmade(&self) -> Option<String> {
        None
    }

    fn open(&mut self, name: &DatabaseName, if_missing: IfMissing) -> Result<DatabaseId, Error> {
        // The protocol opens by creating, so the list is asked first.
        if if_missing == IfMissing::Fail && !self.databases()?.iter().any(|listed| listed.name == *name) {
            return Err(Error::new(ErrorCode::DbNotFound).database(name.as_str()));
        }
        let make = |id| encoded(&WireRequest::open_database(id, name));
        let database = self.ask(None, Twice::Harmless, make, |response| response.database_id())?;
        self.names.insert(database, name.clone());
        self.note_opened(database);
        Ok(database)
    }

    fn close(&mut self, database: DatabaseId) -> Result<(), Error> {
        self.ask(
            Some(database),
            Twice::Harmless,
            |id| encoded(&WireRequest::new(id, Command::CloseDatabase, Some(database))),
            |response| response.outcome().map(|_| ()),
        )
    }

    fn databases(&mut self) -> Result<Vec<ListedDatabase>, Error> {
        self.ask(
            None,
            Twice::Harmless,
            |id| encoded(&WireRequest::new(id, Command::ListDatabases, None)),
            |response| listing::databases_from_json(response.outcome()?),
        )
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.ask(
            None,
            Twice::Harmless,
            |id| encoded(&WireRequest::new(id, Command::Stats, None)),
            |response| stats::decode(response.outcome()?),
        )
    }

    fn is_read_only(&mut self, _: DatabaseId) -> bool {
        false
    }

    fn collections(&mut self, database: DatabaseId) -> Result<Vec<ListedCollection>, Error> {
        let names = self.ask(
            Some(database),
            Twice::Harmless,
            |id| encoded(&WireRequest::new(id, Command::ListCollections, Some(database))),
            |response| listing::collections_from_json(response.outcome()?),
        )?;
        Ok(names.into_iter().map(|name| ListedCollection { name, documents: None }).collect())
    }

    /// The protocol has no count, so the documents are read.
    fn count(&mut self, database: DatabaseId, collection: &CollectionName) -> Result<u64, Error> {
        let (mut count, mut next) = (0, Some(Range::ALL));
        while let Some(range) = next {
            let page = self.scan(database, collection, &range)?;
            if page.texts {
                return Err(texts_not_shown().collection(collection.as_str()));
            }
            let is_damaged = |shown: &Result<Vec<u8>, Error>| {
                shown.as_ref().is_err_and(|error| error.code() == ErrorCode::CorruptRecord)
            };
            count += page.documents.iter().filter(|(_, shown)| !is_damaged(shown)).count() as u64;
            next = page.next(range);
        }
        Ok(count)
    }

    fn execute(
        &mut self,
        database: DatabaseId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
    ) -> Result<Vec<OperationResult>, Error> {
        if atomicity == Atomicity::AllOrNothing && operations.len() > 1 {
            self.require(Feature::Transactions)?;
        }
        // What the protocol has no word for is refused before anything is sent.
        self.check(&operations)?;
        let reads = operations.iter().all(|operation| operation.action.is_read());
        self.ask(
            Some(database),
            if reads { Twice::Harmless } else { Twice::Harmful },
            |id| encoded(&WireRequest::execute(id, database, &operations)?),
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

    fn version(
        &mut self,
        _: DatabaseId,
        _: &CollectionName,
        _: &DocumentId,
    ) -> Result<Option<(Document, TxId)>, Error> {
        Err(no_word("versions of documents"))
    }

    fn patch(&mut self, _: DatabaseId, _: &CollectionName, _: &DocumentId, _: &Patch) -> Result<TxId, Error> {
        Err(no_word("patches"))
    }

    fn scan(&mut self, database: DatabaseId, collection: &CollectionName, range: &Range) -> Result<Page, Error> {
        if range.descending {
            self.require(Feature::Descending)?;
        }
        let first = match &range.from {
            Bound::Unbounded => Some(0),
            Bound::Included(id) => id.as_number(),
            Bound::Excluded(id) => id.as_number().and_then(|number| number.checked_add(1)),
        };
        // Behind the last number there are only texts.
        let Some(first) = first else { return Err(texts_not_shown()) };
        self.ask(
            Some(database),
            Twice::Harmless,
            |id| encoded(&WireRequest::scan(id, database, collection, first)),
            |response| {
                let page = ScanReply::decode(response.outcome()?)?;
                let documents = page.documents.into_iter();
                let documents = documents.map(|(id, scanned)| (DocumentId::Number(id), shown(scanned)));
                let missing = [(page.lost, Missing::Lost), (page.withheld, Missing::Withheld)];
                let missing = missing.into_iter().filter_map(|(is_so, why)| is_so.then_some(why)).collect();
                let page = Page { documents: documents.collect(), more: page.more, missing, texts: page.texts };
                Ok(up_to(page, range.to.as_ref()))
            },
        )
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// The protocol knows no upper end: what is beyond it is left out here.
fn up_to(mut page: Page, to: Bound<&DocumentId>) -> Page {
    let is_within = |id: &DocumentId| match to {
        Bound::Unbounded => true,
        Bound::Included(to) => id <= to,
        Bound::Excluded(to) => id < to,
    };
    let within = page.documents.partition_point(|(id, _)| is_within(id));
    page.more &= within == page.documents.len();
    page.documents.truncate(within);
    // Texts come behind all numbers.
    page.texts &= !matches!(to, Bound::Included(DocumentId::Number(_)) | Bound::Excluded(DocumentId::Number(_)));
    page
}

fn shown(scanned: Scanned<'_>) -> Result<Vec<u8>, Error> {
    match scanned {
        Scanned::Document(bytes) => Ok(bytes.to_vec()),
        Scanned::Damaged => Err(Error::new(ErrorCode::CorruptRecord)),
        Scanned::TooLong => {
            let detail = format!("the document is longer than an answer of the daemon's protocol; {TOO_LONG_ADVICE}");
            Err(Error::new(ErrorCode::ResponseTooLarge).detail(detail))
        }
    }
}

fn result(part: &[u8], operation: &Operation) -> OperationResult {
    let bytes = part_outcome(part).map_err(|error| match operation.action.document_id() {
        Some(id) => error.document(id),
        None => error,
    })?;
    if operation.action.is_read() {
        return Document::parse(bytes).map(OperationReply::Document);
    }
    // The wire does not carry the transaction; zero stands for "not known".
    Ok(OperationReply::Written(TxId(0)))
}
