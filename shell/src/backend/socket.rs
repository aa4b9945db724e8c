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
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use docdb_client::{
    Answer, Call, Client, CountedCollection, Failure, OperationAnswer, Page as WirePage, ScanCall, Scanned,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseInfo, DatabaseName, Document, DocumentId, Error, ErrorCode,
    IfMissing, Operation, OperationReply, OperationResult, Patch, Stats, TxId,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{Backend, Missing, Page, Range};
use crate::interrupt::{Interrupt, Patient};

/// A daemon, and the connection to it while there is one.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    interrupt: Interrupt,
    connection: Option<Connection>,
    /// The name by which each database was opened.
    names: BTreeMap<DatabaseId, DatabaseName>,
}

#[derive(Debug)]
struct Connection {
    client: Client<Patient<UnixStream>>,
    /// What was opened over this connection, so that its ids are known to mean what they meant.
    opened: BTreeSet<DatabaseId>,
}

impl Socket {
    /// Connects. Whatever `interrupt` ends is over as if the connection had been lost.
    ///
    /// # Errors
    /// [`ErrorCode::ConnectionLost`] with the operating system's words.
    pub fn connect(path: &Path, interrupt: &Interrupt) -> Result<Socket, Error> {
        let connection = Some(Connection::new(path, interrupt)?);
        let (path, interrupt) = (path.to_owned(), interrupt.clone());
        Ok(Socket { path, interrupt, connection, names: BTreeMap::new() })
    }

    /// Asks, and asks again where that cannot do harm.
    fn ask(&mut self, database: Option<DatabaseId>, call: &Call) -> Result<Answer, Error> {
        let answered = match self.try_once(database, call) {
            Err(failure) if self.may_ask_again(&failure) => self.try_once(database, call),
            answered => answered,
        };
        Ok(answered?)
    }

    fn may_ask_again(&self, failure: &Failure) -> bool {
        match failure {
            _ if self.interrupt.is_set() => false,
            Failure::Refused(_) => false,
            Failure::NotSent(_) => true,
            Failure::NotAnswered { is_harmless, .. } => *is_harmless,
        }
    }

    /// Over a connection that was there a moment ago; it is gone when it is lost.
    fn try_once(&mut self, database: Option<DatabaseId>, call: &Call) -> Result<Answer, Failure> {
        self.connected().map_err(Failure::Refused)?;
        if let Some(database) = database {
            self.opened_again(database)?;
        }
        self.exchange(call)
    }

    fn exchange(&mut self, call: &Call) -> Result<Answer, Failure> {
        let Some(connection) = &mut self.connection else {
            return Err(Failure::NotSent(std::io::ErrorKind::NotConnected.into()));
        };
        let answered = connection.client.call(call);
        if connection.client.is_over() {
            self.connection = None;
        }
        answered
    }

    /// Makes sure of a connection that has not ended, as can be seen without asking.
    fn connected(&mut self) -> Result<(), Error> {
        if self.connection.as_ref().is_none_or(Connection::has_ended) {
            self.connection = None;
            self.connection = Some(Connection::new(&self.path, &self.interrupt)?);
        }
        Ok(())
    }

    /// Opens over a new connection what was opened over an earlier one. By its name alone it could be another database.
    fn opened_again(&mut self, database: DatabaseId) -> Result<(), Failure> {
        let opened = self.connection.as_ref().is_some_and(|connection| connection.opened.contains(&database));
        let Some(name) = self.names.get(&database).filter(|_| !opened).cloned() else { return Ok(()) };
        let open = Call::OpenDatabase { name: name.clone(), if_missing: IfMissing::Fail };
        match self.exchange(&open) {
            Ok(Answer::Database(found)) if found == database => {
                self.note_opened(database);
                Ok(())
            }
            Ok(_) => Err(Failure::Refused(gone(&name))),
            Err(Failure::Refused(error)) if error.code() == ErrorCode::DbNotFound => Err(Failure::Refused(gone(&name))),
            // The call itself was not sent, whatever became of this one.
            Err(Failure::NotSent(error) | Failure::NotAnswered { error, .. }) => Err(Failure::NotSent(error)),
            Err(Failure::Refused(error)) => Err(Failure::Refused(error)),
        }
    }

    fn note_opened(&mut self, database: DatabaseId) {
        if let Some(connection) = &mut self.connection {
            connection.opened.insert(database);
        }
    }

    /// What asks about a database: an answer to another question is none.
    fn of<T>(
        &mut self,
        database: Option<DatabaseId>,
        call: &Call,
        take: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, Error> {
        let answer = self.ask(database, call)?;
        take(answer).ok_or_else(|| Error::new(ErrorCode::InvalidFrame).detail("an answer to another question"))
    }
}

impl Connection {
    fn new(path: &Path, interrupt: &Interrupt) -> Result<Connection, Error> {
        let connected = UnixStream::connect(path).and_then(|stream| {
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        let stream = connected.map_err(|error| {
            Error::new(ErrorCode::ConnectionLost).detail(format!("cannot connect to {}: {error}", path.display()))
        })?;
        let client = Client::over(Patient::new(stream, interrupt))?;
        Ok(Connection { client, opened: BTreeSet::new() })
    }

    /// Whether the daemon has closed it. What else it may have said unasked is read with the next answer.
    fn has_ended(&self) -> bool {
        match recv(self.client.stream().get_ref(), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, bytes)) => bytes == 0,
            Err(error) => error != Errno::AGAIN && error != Errno::INTR,
        }
    }
}

fn gone(name: &DatabaseName) -> Error {
    let detail = format!("the daemon does not have it any more; .open {name} opens, or creates, what it has now");
    Error::new(ErrorCode::DbNotOpen).database(name.as_str()).detail(detail)
}

impl Backend for Socket {
    /// A frame holds less than the largest transaction.
    fn check(&self, operations: &[Operation]) -> Result<(), Error> {
        Call::fits(operations)
    }

    fn place(&self) -> String {
        format!("the daemon at {}", self.path.display())
    }

    fn unmade(&self) -> Option<String> {
        None
    }

    fn open(&mut self, name: &DatabaseName, if_missing: IfMissing) -> Result<DatabaseId, Error> {
        let call = Call::OpenDatabase { name: name.clone(), if_missing };
        let database = self.of(None, &call, |answer| match answer {
            Answer::Database(database) => Some(database),
            _ => None,
        })?;
        self.names.insert(database, name.clone());
        self.note_opened(database);
        Ok(database)
    }

    fn close(&mut self, database: DatabaseId) -> Result<(), Error> {
        let call = Call::CloseDatabase(database);
        self.of(Some(database), &call, |answer| matches!(answer, Answer::Closed).then_some(()))
    }

    fn databases(&mut self) -> Result<Vec<DatabaseInfo>, Error> {
        self.of(None, &Call::Databases, |answer| match answer {
            Answer::Databases(databases) => Some(databases),
            _ => None,
        })
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.of(None, &Call::Statistics, |answer| match answer {
            Answer::Statistics(figures) => Some(figures.stats()),
            _ => None,
        })
    }

    fn collections(&mut self, database: DatabaseId) -> Result<Vec<CountedCollection>, Error> {
        self.of(Some(database), &Call::Collections(database), |answer| match answer {
            Answer::Collections(collections) => Some(collections),
            _ => None,
        })
    }

    fn count(&mut self, database: DatabaseId, collection: &CollectionName) -> Result<u64, Error> {
        let call = Call::Count { database, collection: collection.clone() };
        self.of(Some(database), &call, |answer| match answer {
            Answer::Count(documents) => Some(documents),
            _ => None,
        })
    }

    fn execute(
        &mut self,
        database: DatabaseId,
        operations: Vec<Operation>,
        atomicity: Atomicity,
    ) -> Result<Vec<OperationResult>, Error> {
        let count = operations.len();
        let call = Call::Execute { database, atomicity, operations };
        self.of(Some(database), &call, |answer| match answer {
            Answer::Executed(results) if results.len() == count => {
                Some(results.into_iter().map(|result| result.map(reply)).collect())
            }
            _ => None,
        })
    }

    fn version(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
    ) -> Result<Option<(Document, TxId)>, Error> {
        let operations = vec![Operation { collection: collection.clone(), action: Action::Read(id.clone()) }];
        let call = Call::Execute { database, atomicity: Atomicity::EachAlone, operations };
        let result = self.of(Some(database), &call, |answer| match answer {
            Answer::Executed(results) => results.into_iter().next(),
            _ => None,
        })?;
        match result {
            Ok(OperationAnswer::Document(document, Some(version))) => Ok(Some((document, version))),
            Ok(_) => Err(Error::new(ErrorCode::InvalidFrame).detail("no document with its version")),
            Err(error) if error.code() == ErrorCode::DocNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn patch(
        &mut self,
        database: DatabaseId,
        collection: &CollectionName,
        id: &DocumentId,
        patch: &Patch,
    ) -> Result<TxId, Error> {
        let (collection, id, patch) = (collection.clone(), id.clone(), patch.bytes().to_vec());
        let call = Call::Patch { database, collection, id, patch };
        self.of(Some(database), &call, |answer| match answer {
            Answer::Patched(tx) => Some(tx),
            _ => None,
        })
    }

    fn scan(&mut self, database: DatabaseId, collection: &CollectionName, range: &Range) -> Result<Page, Error> {
        let Range { from, to, descending, ids_only } = range.clone();
        let scan = ScanCall { from, to, descending, ids_only, ..ScanCall::new(database, collection.clone()) };
        self.of(Some(database), &Call::Scan(scan), |answer| match answer {
            Answer::Page(page) => Some(shown(page)),
            _ => None,
        })
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn shown(page: WirePage) -> Page {
    let WirePage { cursor, lost, withheld, entries } = page;
    let document = |(id, scanned)| {
        let shown = match scanned {
            Scanned::Document(document) => Ok(document.bytes().to_vec()),
            Scanned::IdOnly => Ok(Vec::new()),
            Scanned::Damaged => Err(Error::new(ErrorCode::CorruptRecord)),
        };
        (id, shown)
    };
    let missing = [(lost, Missing::Lost), (withheld, Missing::Withheld)];
    Page {
        documents: entries.into_iter().map(document).collect(),
        more: !cursor.is_empty(),
        missing: missing.into_iter().filter_map(|(is_so, why)| is_so.then_some(why)).collect(),
    }
}

fn reply(answer: OperationAnswer) -> OperationReply {
    match answer {
        OperationAnswer::Written(tx) => OperationReply::Written(tx),
        OperationAnswer::Inserted(number, tx) => OperationReply::Inserted(number, tx),
        OperationAnswer::Document(document, _) => OperationReply::Document(document),
        OperationAnswer::AsExpected => OperationReply::AsExpected,
    }
}
