//! What a server answers, one frame an answer: of the request's kind, or an error.
//!
//! An answer fits into its frame, whatever it is made of. Of an execute, results that no longer fit are replaced, one by one: a
//! document by an error that says so, an error by itself without its context. What was written is said of each operation
//! in any case.

use super::call::{
    CLOSE_DATABASE, COLLECTIONS, COUNT, DATABASES, EXECUTE, HELLO, OPEN_DATABASE, PATCH, SCAN, STATISTICS,
};
use super::fields::{bytes8, collection_name, database, database_name, put_bytes32, put_count, put_text8};
use super::{ERROR, FRAME_BODY_BYTES_MAX, Figures, HEADER_BYTES, Page, Welcome, error, framed};
use crate::document::Document;
use crate::error::{Error, ErrorCode};
use crate::ids::{DatabaseId, TxId};
use crate::names::CollectionName;
use crate::request::DatabaseInfo;
use crate::wire::read::Cursor;

const OPEN: u8 = 1;
const READ_ONLY: u8 = 2;

const CREATED_AT_UNIX_NS: &str = "created_at_unix_ns";
const LOG_BYTES: &str = "log_bytes";
const MEMORY_BYTES: &str = "memory_bytes";
const DOCUMENTS: &str = "documents";

const FAILED: u8 = 0;
const WRITTEN: u8 = 1;
const INSERTED: u8 = 2;
const FOUND: u8 = 3;
const AS_EXPECTED: u8 = 4;

/// Name of at least one byte, id, flags, count of figures.
const DATABASE_BYTES_MIN: usize = 2 + 8 + 1 + 2;

/// Name of at least one byte, count.
const COLLECTION_BYTES_MIN: usize = 2 + 8;

/// What every frame has room for besides its results.
const OVERHEAD_BYTES: usize = HEADER_BYTES + 4;

/// Stands for a version that is not said.
const NO_VERSION: u64 = 0;

/// The answer to a call that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To hello.
    Welcome(Welcome),
    /// The database is open under this id.
    Database(DatabaseId),
    /// The database is closed and its log's end is recorded.
    Closed,
    /// The databases, by name.
    Databases(Vec<DatabaseInfo>),
    /// The collections, by name.
    Collections(Vec<CountedCollection>),
    /// How many documents there are, damaged ones not counted.
    Count(u64),
    /// One result an operation, in their order. What was written is durable.
    Executed(Vec<Result<OperationAnswer, Error>>),
    /// Part of a collection.
    Page(Page),
    /// Counts of the whole data directory.
    Statistics(Figures),
    /// The document is changed, and durable, by this transaction.
    Patched(TxId),
}

/// The answer to an operation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationAnswer {
    /// Written, and durable, by this transaction.
    Written(TxId),
    /// Written, and durable, by this transaction, under the collection's next number.
    Inserted(u64, TxId),
    /// The document read, and the transaction that wrote it, which a request that writes does not say.
    Document(Document, Option<TxId>),
    /// The document is as expected.
    AsExpected,
}

/// A collection and how many documents it has, damaged ones not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedCollection {
    /// Its name.
    pub name: CollectionName,
    /// Its documents.
    pub documents: u64,
}

/// An answer as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which request it belongs to; [`super::CONNECTION_ID`] for the connection as a whole.
    pub request_id: u64,
    /// What came of it.
    pub outcome: Result<Answer, Error>,
}

impl Answered {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidFrame`] when it is no answer, and whichever rule something in it breaks.
    pub fn decode(body: &[u8]) -> Result<Answered, Error> {
        let mut cursor = Cursor::new(body);
        let (request_id, kind) = (cursor.u64()?, cursor.u8()?);
        let outcome = match kind {
            ERROR => Err(error::take(&mut cursor)?),
            kind => Ok(take(&mut cursor, kind)?),
        };
        cursor.end()?;
        Ok(Answered { request_id, outcome })
    }

    /// Appends the frame. An answer that no frame holds is replaced by [`ErrorCode::ResponseTooLarge`].
    ///
    /// # Panics
    /// Never: an error is far below a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let framed_answer = match &self.outcome {
            Ok(answer) => framed(out, self.request_id, answer.kind(), |out| answer.put(out)),
            Err(error) => framed(out, self.request_id, ERROR, |out| error::put(out, error)),
        };
        if framed_answer.is_err() {
            let too_large = too_large();
            framed(out, self.request_id, ERROR, |out| error::put(out, &too_large))
                .expect("an error is far below a frame");
        }
    }

    /// At least the bytes of the frame, and at most those of the largest one.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let content = match &self.outcome {
            Ok(answer) => answer.bytes_max(),
            Err(error) => error::bytes_max(error),
        };
        (super::LENGTH_BYTES + OVERHEAD_BYTES).saturating_add(content).min(super::LENGTH_BYTES + FRAME_BODY_BYTES_MAX)
    }
}

fn too_large() -> Error {
    Error::new(ErrorCode::ResponseTooLarge).detail("ask for less at once")
}

fn take(cursor: &mut Cursor<'_>, kind: u8) -> Result<Answer, Error> {
    Ok(match kind {
        HELLO => Answer::Welcome(Welcome::take(cursor)?),
        OPEN_DATABASE => Answer::Database(database(cursor)?),
        CLOSE_DATABASE => Answer::Closed,
        DATABASES => {
            let count = cursor.count(DATABASE_BYTES_MIN)?;
            Answer::Databases((0..count).map(|_| take_database(cursor)).collect::<Result<_, _>>()?)
        }
        COLLECTIONS => {
            let count = cursor.count(COLLECTION_BYTES_MIN)?;
            let collection = |_| {
                let name = collection_name(bytes8(cursor)?)?;
                Ok(CountedCollection { name, documents: cursor.u64()? })
            };
            Answer::Collections((0..count).map(collection).collect::<Result<_, Error>>()?)
        }
        COUNT => Answer::Count(cursor.u64()?),
        EXECUTE => {
            let count = cursor.count(1)?;
            // A result in memory is larger than the byte that announces it: room is made as they come.
            let mut results = Vec::new();
            for _ in 0..count {
                results.push(take_result(cursor)?);
            }
            Answer::Executed(results)
        }
        SCAN => Answer::Page(Page::take(cursor)?),
        STATISTICS => Answer::Statistics(Figures::take(cursor)?),
        PATCH => Answer::Patched(TxId(cursor.u64()?)),
        _ => return Err(cursor.invalid("the kind of an answer is unknown")),
    })
}

fn take_database(cursor: &mut Cursor<'_>) -> Result<DatabaseInfo, Error> {
    let (name, id, flags) = (database_name(bytes8(cursor)?)?, database(cursor)?, cursor.u8()?);
    let figures = Figures::take(cursor)?;
    Ok(DatabaseInfo {
        name,
        id,
        created_at_unix_ns: figures.get(CREATED_AT_UNIX_NS).unwrap_or(0),
        open: flags & OPEN != 0,
        read_only: flags & READ_ONLY != 0,
        log_bytes: figures.get(LOG_BYTES),
        memory_bytes: figures.get(MEMORY_BYTES).unwrap_or(0),
        documents: figures.get(DOCUMENTS),
    })
}

fn figures_of(info: &DatabaseInfo) -> Figures {
    Figures::new()
        .with(CREATED_AT_UNIX_NS, info.created_at_unix_ns)
        .with_known(LOG_BYTES, info.log_bytes)
        .with(MEMORY_BYTES, info.memory_bytes)
        .with_known(DOCUMENTS, info.documents)
}

fn take_result(cursor: &mut Cursor<'_>) -> Result<Result<OperationAnswer, Error>, Error> {
    Ok(Ok(match cursor.u8()? {
        FAILED => return error::take(cursor).map(Err),
        WRITTEN => OperationAnswer::Written(TxId(cursor.u64()?)),
        INSERTED => OperationAnswer::Inserted(cursor.u64()?, TxId(cursor.u64()?)),
        FOUND => {
            let version = cursor.u64()?;
            let document = Document::parse(cursor.bytes_u32()?)?;
            OperationAnswer::Document(document, (version != NO_VERSION).then_some(TxId(version)))
        }
        AS_EXPECTED => OperationAnswer::AsExpected,
        _ => return Err(cursor.invalid("what became of an operation is unknown")),
    }))
}

fn put_result(out: &mut Vec<u8>, result: &Result<OperationAnswer, Error>) {
    match result {
        Ok(OperationAnswer::Written(tx)) => {
            out.push(WRITTEN);
            out.extend_from_slice(&tx.0.to_le_bytes());
        }
        Ok(OperationAnswer::Inserted(number, tx)) => {
            out.push(INSERTED);
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&tx.0.to_le_bytes());
        }
        Ok(OperationAnswer::Document(document, version)) => {
            out.push(FOUND);
            out.extend_from_slice(&version.map_or(NO_VERSION, |version| version.0).to_le_bytes());
            put_bytes32(out, document.bytes());
        }
        Ok(OperationAnswer::AsExpected) => out.push(AS_EXPECTED),
        Err(error) => {
            out.push(FAILED);
            error::put(out, error);
        }
    }
}

/// At least the bytes of a result.
fn result_bytes(result: &Result<OperationAnswer, Error>) -> usize {
    1 + match result {
        Ok(OperationAnswer::Written(_)) => 8,
        Ok(OperationAnswer::Inserted(..)) => 8 + 8,
        Ok(OperationAnswer::Document(document, _)) => 8 + 4 + document.len(),
        Ok(OperationAnswer::AsExpected) => 0,
        Err(error) => error::bytes_max(error),
    }
}

/// What stands for a result that does not fit.
fn short(result: &Result<OperationAnswer, Error>) -> Result<OperationAnswer, Error> {
    match result {
        Ok(OperationAnswer::Document(..)) => Err(too_large()),
        Ok(written) => Ok(written.clone()),
        Err(error) => Err(error.code().into()),
    }
}

fn put_results(out: &mut Vec<u8>, results: &[Result<OperationAnswer, Error>]) {
    put_count(out, results.len());
    let wanted: usize = results.iter().map(result_bytes).sum();
    let room = FRAME_BODY_BYTES_MAX - OVERHEAD_BYTES;
    if wanted <= room {
        results.iter().for_each(|result| put_result(out, result));
        return;
    }
    // Each has room for its short form; the first ones have what is left.
    let least: usize = results.iter().map(|result| result_bytes(&short(result))).sum();
    let mut left = room.saturating_sub(least);
    for result in results {
        let short = short(result);
        let more = result_bytes(result).saturating_sub(result_bytes(&short));
        if more <= left {
            left -= more;
            put_result(out, result);
        } else {
            put_result(out, &short);
        }
    }
}

impl Answer {
    fn kind(&self) -> u8 {
        match self {
            Answer::Welcome(_) => HELLO,
            Answer::Database(_) => OPEN_DATABASE,
            Answer::Closed => CLOSE_DATABASE,
            Answer::Databases(_) => DATABASES,
            Answer::Collections(_) => COLLECTIONS,
            Answer::Count(_) => COUNT,
            Answer::Executed(_) => EXECUTE,
            Answer::Page(_) => SCAN,
            Answer::Statistics(_) => STATISTICS,
            Answer::Patched(_) => PATCH,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Answer::Welcome(welcome) => welcome.put(out),
            Answer::Database(database) => out.extend_from_slice(&database.get().to_le_bytes()),
            Answer::Closed => {}
            Answer::Databases(databases) => {
                put_count(out, databases.len());
                for info in databases {
                    put_text8(out, info.name.as_str());
                    out.extend_from_slice(&info.id.get().to_le_bytes());
                    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
                    out.push(flag(info.open, OPEN) | flag(info.read_only, READ_ONLY));
                    figures_of(info).put(out);
                }
            }
            Answer::Collections(collections) => {
                put_count(out, collections.len());
                for CountedCollection { name, documents } in collections {
                    put_text8(out, name.as_str());
                    out.extend_from_slice(&documents.to_le_bytes());
                }
            }
            Answer::Count(documents) => out.extend_from_slice(&documents.to_le_bytes()),
            Answer::Executed(results) => put_results(out, results),
            Answer::Page(page) => page.put(out),
            Answer::Statistics(figures) => figures.put(out),
            Answer::Patched(tx) => out.extend_from_slice(&tx.0.to_le_bytes()),
        }
    }

    /// At least the bytes that it takes, were there no frame to fit in.
    fn bytes_max(&self) -> usize {
        const NUMBERS_BYTES: usize = 64;
        const DATABASE_BYTES_MAX: usize = 256;
        const COLLECTION_BYTES_MAX: usize = 128;
        match self {
            Answer::Welcome(welcome) => NUMBERS_BYTES + welcome.server.len() + welcome.limits.bytes_max(),
            Answer::Database(_) | Answer::Closed | Answer::Count(_) | Answer::Patched(_) => NUMBERS_BYTES,
            Answer::Databases(databases) => databases.len() * DATABASE_BYTES_MAX,
            Answer::Collections(collections) => collections.len() * COLLECTION_BYTES_MAX,
            Answer::Executed(results) => results.iter().map(result_bytes).sum(),
            Answer::Page(page) => page.bytes_max(),
            Answer::Statistics(figures) => figures.bytes_max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{COLLECTIONS_PER_DATABASE_MAX, DATABASES_MAX, DOCUMENT_BYTES_MAX, OPERATIONS_PER_REQUEST_MAX};
    use crate::names::DatabaseName;

    fn round(answer: Answer) -> Answer {
        let answered = Answered { request_id: 7, outcome: Ok(answer) };
        let mut frame = Vec::new();
        answered.encode(&mut frame);
        assert!(frame.len() <= answered.bytes_max(), "{} of {}", frame.len(), answered.bytes_max());
        assert!(frame.len() <= 4 + FRAME_BODY_BYTES_MAX);
        Answered::decode(&frame[4..]).unwrap().outcome.unwrap()
    }

    fn text(bytes: usize) -> Document {
        Document::parse(&[&b"\""[..], &vec![b'x'; bytes - 2], b"\""].concat()).unwrap()
    }

    #[test]
    fn the_longest_lists_fit_into_a_frame() {
        let name = "x".repeat(64);
        let info = DatabaseInfo {
            name: DatabaseName::parse(&name).unwrap(),
            id: DatabaseId::FIRST,
            created_at_unix_ns: 1,
            open: true,
            read_only: true,
            log_bytes: Some(2),
            memory_bytes: 3,
            documents: Some(4),
        };
        let databases = Answer::Databases(vec![info; DATABASES_MAX]);
        assert!(round(databases.clone()) == databases);
        let collection = CountedCollection { name: CollectionName::parse(&name).unwrap(), documents: 5 };
        let collections = Answer::Collections(vec![collection; COLLECTIONS_PER_DATABASE_MAX]);
        assert!(round(collections.clone()) == collections);
    }

    /// In version 0 two large documents made an answer an error as a whole, after what its writes had done.
    #[test]
    fn what_does_not_fit_is_said_of_each_result_and_what_was_written_is_said_in_any_case() {
        let large = Ok(OperationAnswer::Document(text(DOCUMENT_BYTES_MAX), Some(TxId(3))));
        let small = Ok(OperationAnswer::Document(text(10), None));
        let written = Ok(OperationAnswer::Written(TxId(4)));
        let given = vec![large.clone(), written.clone(), large.clone(), small.clone()];
        let Answer::Executed(got) = round(Answer::Executed(given)) else { panic!("it is executed") };
        assert!(got[0] == large && got[1] == written && got[3] == small);
        assert_eq!(got[2].as_ref().unwrap_err().code(), ErrorCode::ResponseTooLarge);
    }

    #[test]
    fn the_most_errors_with_the_longest_reasons_fit_without_some_of_their_reasons() {
        let error = Error::new(ErrorCode::DiskFull).detail("x".repeat(400));
        let given = vec![Err(error); OPERATIONS_PER_REQUEST_MAX];
        let Answer::Executed(got) = round(Answer::Executed(given.clone())) else { panic!("it is executed") };
        assert!(got == given);
        assert!(got[0].as_ref().unwrap_err().reason().is_some());
        assert!(got.last().unwrap().as_ref().unwrap_err().reason().is_none());
    }
}
