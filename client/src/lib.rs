//! A client of the DocDB daemon: version 1 of its protocol, over one blocking connection.
//!
//! [`Client`] says hello and then has a method for each thing that a daemon can be asked. Several calls may be under way at once:
//! [`Client::begin`] sends one without waiting, [`Client::finish`] waits for its answer, [`Client::next_answer`] for whichever comes first.
//!
//! ```no_run
//! use docdb_client::{Client, Failure};
//! use docdb_protocol::{Document, IfMissing};
//!
//! # fn main() -> Result<(), docdb_protocol::Error> {
//! let mut client = Client::connect("data.sock".as_ref())?;
//! let library = client.open_database("library", IfMissing::Create)?;
//! let written = client.put(library, "books", "momo", Document::parse(br#"{"title": "Momo"}"#)?)?;
//! let (document, version) = client.get(library, "books", "momo")?.expect("it was put");
//! assert_eq!((document.bytes(), version), (&br#"{"title": "Momo"}"#[..], written));
//! # Ok(())
//! # }
//! ```
//!
//! What to hold on to:
//!
//! - A call that got no answer says whether it can have been carried out ([`Failure`]). Nothing is ever sent twice here.
//! - After a connection is lost, or an answer makes no sense, the client is over: each further call says so.
//! - No more calls are under way than the daemon takes at once, so neither side waits for the other to read.
//!
//! It never opens a data directory, starts no thread, and takes no time for an answer: whoever wants a time-out sets it on
//! the stream.

mod calls;
mod connection;
mod failure;

pub use calls::Got;
pub use docdb_protocol::wire::v1::{
    Answer, Answered, Call, CountedCollection, Figures, OperationAnswer, Page, ScanCall, Scanned, Welcome,
};
pub use failure::Failure;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use docdb_protocol::wire::v1::{CONNECTION_ID, Hello};
use docdb_protocol::{Error, ErrorCode, Operation};

use connection::Connection;

const CLIENT: &str = concat!("docdb-client ", env!("CARGO_PKG_VERSION"));

/// How a server says how many calls it takes at once.
const UNDER_WAY_MAX: &str = "requests_under_way_max";

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client<S = UnixStream> {
    connection: Connection<S>,
    welcome: Welcome,
    next_request_id: u64,
    /// Whether asking it twice would be harmless, for each call under way.
    under_way: BTreeMap<u64, bool>,
    /// Answers that came while another was waited for.
    early: BTreeMap<u64, Result<Answer, Error>>,
}

impl Client {
    /// Connects to the socket of a daemon and says hello.
    ///
    /// # Errors
    /// [`ErrorCode::ConnectionLost`] with the operating system's words, [`ErrorCode::TooManyConnections`],
    /// [`ErrorCode::UnsupportedVersion`].
    pub fn connect(socket: &Path) -> Result<Client, Error> {
        let stream = UnixStream::connect(socket).map_err(|error| {
            Error::new(ErrorCode::ConnectionLost).detail(format!("cannot connect to {}: {error}", socket.display()))
        })?;
        Ok(Client::over(stream)?)
    }
}

impl<S: Read + Write> Client<S> {
    /// Says hello over a stream that was just connected.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn over(stream: S) -> Result<Client<S>, Failure> {
        const HELLO_ID: u64 = CONNECTION_ID + 1;
        let mut connection = Connection::new(stream);
        connection.put(&Call::Hello(Hello::new(CLIENT)), HELLO_ID).map_err(Failure::Refused)?;
        let answered = connection.greeting()?;
        match answered.outcome.map_err(Failure::Refused)? {
            Answer::Welcome(welcome) => Ok(Client {
                connection,
                welcome,
                next_request_id: HELLO_ID + 1,
                under_way: BTreeMap::new(),
                early: BTreeMap::new(),
            }),
            other => Err(Failure::Refused(unexpected(&other))),
        }
    }

    /// What the server said of itself: its version, its features, its limits.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The stream, to be looked at or to have a time-out set.
    #[must_use]
    pub fn stream(&self) -> &S {
        self.connection.stream()
    }

    /// Whether the connection is lost, or what came over it made no sense: whoever goes on makes another client.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.connection.is_over()
    }

    /// How many calls are begun and not answered.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Begins a call; answers its id. It is sent at the latest when an answer is waited for. Where as many are under way as the
    /// server takes at once, an answer is waited for first.
    ///
    /// # Errors
    /// [`Failure::Refused`] when no frame holds it; else as [`Client::next_answer`].
    pub fn begin(&mut self, call: &Call) -> Result<u64, Failure> {
        if self.connection.is_over() {
            return Err(Failure::NotSent(io::ErrorKind::NotConnected.into()));
        }
        let limit = self.welcome.limits.get(UNDER_WAY_MAX).unwrap_or(1).max(1);
        while self.under_way.len() as u64 >= limit {
            let (request_id, outcome) = self.receive()?;
            self.early.insert(request_id, outcome);
        }
        let request_id = self.next_request_id;
        self.connection.put(call, request_id).map_err(Failure::Refused)?;
        self.next_request_id += 1;
        let is_harmless = call.is_harmless_twice(|operation: &Operation| operation.action.is_read());
        self.under_way.insert(request_id, is_harmless);
        Ok(request_id)
    }

    /// Sends what was begun, without waiting for an answer.
    ///
    /// # Errors
    /// [`Failure::NotAnswered`] when the connection is lost: what was begun before may have been carried out.
    pub fn send(&mut self) -> Result<(), Failure> {
        self.connection.send().map_err(|error| self.lost(error, true))
    }

    /// The answer to a call that was begun.
    ///
    /// # Errors
    /// [`Failure::Refused`] when that is an error, or of the connection as a whole; [`Failure::NotSent`], [`Failure::NotAnswered`].
    pub fn finish(&mut self, request_id: u64) -> Result<Answer, Failure> {
        loop {
            if let Some(outcome) = self.early.remove(&request_id) {
                return outcome.map_err(Failure::Refused);
            }
            let (got, outcome) = self.receive()?;
            self.early.insert(got, outcome);
        }
    }

    /// Whichever answer comes first, with the id of its call; those that have come already first.
    ///
    /// # Errors
    /// As [`Client::finish`], but for the answer's own error, which is in it.
    pub fn next_answer(&mut self) -> Result<Answered, Failure> {
        if let Some((request_id, outcome)) = self.early.pop_first() {
            return Ok(Answered { request_id, outcome });
        }
        let (request_id, outcome) = self.receive()?;
        Ok(Answered { request_id, outcome })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// As [`Client::finish`].
    pub fn call(&mut self, call: &Call) -> Result<Answer, Failure> {
        let request_id = self.begin(call)?;
        self.finish(request_id)
    }

    fn receive(&mut self) -> Result<(u64, Result<Answer, Error>), Failure> {
        if self.connection.is_over() {
            return Err(self.lost(io::ErrorKind::NotConnected.into(), true));
        }
        let was_sent = self.connection.send();
        let was_all_sent = was_sent.is_ok();
        // A daemon that refuses a connection answers before it reads; what it said is worth more than a broken pipe.
        let answered = match (self.connection.receive(), was_sent) {
            (Ok(answered), _) => answered,
            (Err(Failure::Refused(error)), _) => return Err(Failure::Refused(error)),
            (Err(_), Err(error)) => return Err(self.lost(error, was_all_sent)),
            (Err(Failure::NotSent(error) | Failure::NotAnswered { error, .. }), Ok(())) => {
                return Err(self.lost(error, was_all_sent));
            }
        };
        let Answered { request_id, outcome } = answered;
        if self.under_way.remove(&request_id).is_some() {
            return Ok((request_id, outcome));
        }
        self.connection.end();
        Err(Failure::Refused(match outcome {
            // What is said of the connection as a whole.
            Err(error) if request_id == CONNECTION_ID => error,
            Ok(_) | Err(_) => {
                let detail = format!("an answer to request {request_id}, which was not asked");
                Error::new(ErrorCode::InvalidRequestId).detail(detail)
            }
        }))
    }

    /// One call under way that was not sent whole was not carried out. Of several, those in front may have been.
    fn lost(&self, error: io::Error, was_all_sent: bool) -> Failure {
        if !was_all_sent && self.under_way.len() <= 1 {
            return Failure::NotSent(error);
        }
        let is_harmless = self.under_way.values().all(|is_harmless| *is_harmless);
        Failure::NotAnswered { error, is_harmless }
    }
}

/// The server answered another question than the one asked.
fn unexpected(answer: &Answer) -> Error {
    Error::new(ErrorCode::InvalidFrame).detail(format!("an unexpected answer: {answer:?}"))
}
