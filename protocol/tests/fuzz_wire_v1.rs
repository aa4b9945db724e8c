//! Fuzzing the codec of version 1: it never panics, what it encodes it decodes to the same, a call of valid parts has one
//! encoding, memory follows what has come, and a frame that is sound has somebody to answer.
//!
//! Bounded under `cargo test`; `cargo bolero test` runs the same without end.

#![allow(clippy::unwrap_used, reason = "a helper of tests, like a test, fails where it stands")]

use std::ops::Bound;

use bolero::TypeGenerator;
use docdb_protocol::wire::v1::{
    Answer, Answered, Call, CountedCollection, Figures, Hello, MAGIC, OperationAnswer, Page, Received, ScanCall,
    Scanned, Welcome, cursor_after, frame_reader,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseInfo, DatabaseName, Document, DocumentId, Error, ErrorCode,
    Expectation, IfMissing, Operation, TxId, limits,
};

/// The one body of a frame, given to the reader in two pieces.
fn body(frame: &[u8], split: u8) -> Vec<u8> {
    let (mut first, mut second) = frame.split_at(usize::from(split).min(frame.len()));
    let mut reader = frame_reader();
    let early = reader.next_body(&mut first).unwrap();
    let body = early.or_else(|| reader.next_body(&mut second).unwrap()).unwrap();
    assert!(first.is_empty() && second.is_empty() && !reader.is_within_frame());
    body
}

#[test]
fn any_body_is_decoded_or_has_somebody_to_answer() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().with_iterations(40_000).for_each(|(kind, bytes)| {
        decode_everything(bytes);
        // The same behind the header of each kind, so that its fields are reached.
        let header = [&7_u64.to_le_bytes()[..], &[kind % 12]].concat();
        decode_everything(&[&header[..], bytes].concat());
        // And behind what stands in front of operations and of results.
        let count = u32::from(bytes.len() as u8 % 4).to_le_bytes();
        decode_everything(&[&header[..], &1_u64.to_le_bytes(), &[kind % 2], &count, bytes].concat());
        decode_everything(&[&7_u64.to_le_bytes()[..], &[7], &count, bytes].concat());
    });
}

fn decode_everything(body: &[u8]) {
    match Received::decode(body) {
        Ok(received) => {
            assert_ne!(received.request_id, 0);
            if let Some(call) = sendable(&received.call) {
                let mut frame = Vec::new();
                call.encode(received.request_id, &mut frame).unwrap();
                if !matches!(call, Call::Hello(_)) {
                    assert_eq!(&frame[4..], body, "{call:?}");
                }
                assert_eq!(Received::decode(&frame[4..]).unwrap(), received);
            }
            if let Call::Scan(scan) = &received.call {
                let _ = scan.rest();
            }
        }
        Err(refused) => {
            let has_id = body.len() >= 9 && body[..8] != [0; 8];
            assert_eq!(refused.request_id.is_some(), has_id, "{:?}", refused.error);
        }
    }
    if let Ok(answered) = Answered::decode(body) {
        assert_round_trip(&answered, 0);
    }
}

/// The call as a client would send it, unless it has operations that break a rule.
fn sendable(call: &Call<Result<Operation, Error>>) -> Option<Call> {
    Some(match call.clone() {
        Call::Hello(hello) => Call::Hello(hello),
        Call::OpenDatabase { name, if_missing } => Call::OpenDatabase { name, if_missing },
        Call::CloseDatabase(database) => Call::CloseDatabase(database),
        Call::Databases => Call::Databases,
        Call::Collections(database) => Call::Collections(database),
        Call::Count { database, collection } => Call::Count { database, collection },
        Call::Execute { database, atomicity, operations } => {
            let operations = operations.into_iter().collect::<Result<_, _>>().ok()?;
            Call::Execute { database, atomicity, operations }
        }
        Call::Scan(scan) => Call::Scan(scan),
        Call::Statistics => Call::Statistics,
        Call::Patch { database, collection, id, patch } => Call::Patch { database, collection, id, patch },
    })
}

fn assert_round_trip(answered: &Answered, split: u8) {
    let mut frame = Vec::new();
    answered.encode(&mut frame);
    assert!(frame.len() <= answered.bytes_max(), "{} of {}", frame.len(), answered.bytes_max());
    let body = body(&frame, split);
    let again = Answered::decode(&body).unwrap();
    assert_eq!(&again, answered);
    if let (Err(got), Err(given)) = (&again.outcome, &answered.outcome) {
        assert_eq!(got.context(), given.context());
    }
    assert!(Answered::decode(&body[..body.len() - 1]).is_err());
}

#[derive(Clone, Debug, TypeGenerator)]
enum AnyId {
    Number(u64),
    Text(Vec<u8>),
}

impl AnyId {
    fn id(&self) -> DocumentId {
        match self {
            AnyId::Number(number) => DocumentId::Number(*number),
            AnyId::Text(bytes) => DocumentId::text(&name(bytes, limits::DOCUMENT_ID_BYTES_MAX)).unwrap(),
        }
    }
}

/// A text that keeps the rules for names, as long as it may be.
fn name(bytes: &[u8], bytes_max: usize) -> String {
    let text = String::from_utf8_lossy(bytes).replace(|c: char| c.is_control() || "/.\\".contains(c), "ä");
    format!("n{}", &text[..text.floor_char_boundary(bytes_max - 1)])
}

fn collection(bytes: &[u8]) -> CollectionName {
    CollectionName::parse(&name(bytes, limits::NAME_BYTES_MAX)).unwrap()
}

fn document(bytes: &[u8]) -> Document {
    Document::parse(&serde_json::to_vec(&String::from_utf8_lossy(bytes)).unwrap()).unwrap()
}

#[derive(Debug, TypeGenerator)]
struct AnyOperation {
    kind: u8,
    collection: Vec<u8>,
    id: AnyId,
    version: u64,
    document: Vec<u8>,
}

impl AnyOperation {
    fn operation(&self) -> Operation {
        let (id, document) = (self.id.id(), document(&self.document));
        let action = match self.kind % 8 {
            0 => Action::Create(id, document),
            1 => Action::Read(id),
            2 => Action::Update(id, document),
            3 => Action::Delete(id),
            4 => Action::Put(id, document),
            5 => Action::Insert(document),
            6 => Action::Expect(id, Expectation::Absent),
            _ => Action::Expect(id, Expectation::Version(TxId(self.version.max(1)))),
        };
        Operation { collection: collection(&self.collection), action }
    }
}

#[derive(Debug, TypeGenerator)]
struct AnyCall {
    kind: u8,
    request_id: u64,
    database: u64,
    text: Vec<u8>,
    number: u64,
    flags: (bool, bool),
    from: (u8, AnyId),
    to: (u8, AnyId),
    operations: Vec<AnyOperation>,
}

fn bound((kind, id): &(u8, AnyId)) -> Bound<DocumentId> {
    match kind % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(id.id()),
        _ => Bound::Excluded(id.id()),
    }
}

impl AnyCall {
    fn call(&self) -> Call {
        let database = DatabaseId::new(self.database.max(1)).unwrap();
        let collection = collection(&self.text);
        match self.kind % 10 {
            0 => Call::Hello(Hello {
                version_min: self.number as u16,
                version_max: self.database as u16,
                features: self.number,
                client: name(&self.text, 255),
            }),
            1 => Call::OpenDatabase {
                name: DatabaseName::parse(&name(&self.text, limits::NAME_BYTES_MAX)).unwrap(),
                if_missing: if self.flags.0 { IfMissing::Create } else { IfMissing::Fail },
            },
            2 => Call::CloseDatabase(database),
            3 => Call::Databases,
            4 => Call::Collections(database),
            5 => Call::Count { database, collection },
            6 => Call::Scan(ScanCall {
                database,
                collection,
                descending: self.flags.0,
                ids_only: self.flags.1,
                from: bound(&self.from),
                to: bound(&self.to),
                entries_max: self.number as u32,
                cursor: if self.flags.0 { cursor_after(&self.to.1.id()) } else { self.text.clone() },
            }),
            7 => Call::Statistics,
            8 => Call::Patch { database, collection, id: self.from.1.id(), patch: self.text.clone() },
            _ if self.operations.is_empty() => Call::Statistics,
            _ => Call::Execute {
                database,
                atomicity: if self.flags.0 { Atomicity::AllOrNothing } else { Atomicity::EachAlone },
                operations: self.operations.iter().map(AnyOperation::operation).collect(),
            },
        }
    }
}

#[test]
fn a_call_is_decoded_to_what_was_encoded() {
    bolero::check!().with_type::<(AnyCall, u8)>().with_iterations(20_000).for_each(|(any, split)| {
        let (request_id, call) = (any.request_id.max(1), any.call());
        let mut frame = Vec::new();
        call.encode(request_id, &mut frame).unwrap();
        if let Call::Execute { operations, .. } = &call {
            assert!(Call::fits(operations).is_ok());
        }
        let body = body(&frame, *split);
        let received = Received::decode(&body).unwrap();
        assert_eq!((received.request_id, sendable(&received.call).as_ref()), (request_id, Some(&call)));
        let cut = Received::decode(&body[..body.len() - 1]).unwrap_err();
        assert!(matches!(cut.error.code(), ErrorCode::InvalidFrame | ErrorCode::InvalidRequestId), "{:?}", cut.error);
        let followed = Received::decode(&[&body[..], b"x"].concat());
        assert_eq!(followed.is_ok(), matches!(call, Call::Hello(_)), "only hello may have fields that are not known");
    });
}

#[derive(Debug, TypeGenerator)]
struct AnyAnswer {
    kind: u8,
    request_id: u64,
    number: u64,
    other: u64,
    text: Vec<u8>,
    flags: (bool, bool),
    entries: Vec<(AnyId, u8, Vec<u8>, u64)>,
}

impl AnyAnswer {
    fn error(&self, text: &[u8]) -> Error {
        let code = ErrorCode::ALL[self.number as usize % ErrorCode::ALL.len()];
        let error = Error::new(code);
        if self.flags.0 {
            return error;
        }
        error
            .database("books")
            .document(self.other)
            .operation(3)
            .file("db/a")
            .offset(self.number)
            .detail(name(text, 4096))
    }

    fn figures(&self) -> Figures {
        self.entries.iter().fold(Figures::new(), |figures, (_, _, text, value)| figures.with(&name(text, 255), *value))
    }

    fn outcome(&self) -> Result<Answer, Error> {
        let database = DatabaseId::new(self.number.max(1)).unwrap();
        Ok(match self.kind % 11 {
            0 => Answer::Welcome(Welcome {
                version: self.number as u16,
                features: self.other,
                server: name(&self.text, 255),
                limits: self.figures(),
            }),
            1 => Answer::Database(database),
            2 => Answer::Closed,
            3 => Answer::Databases(self.entries.iter().map(|entry| self.database_info(entry)).collect()),
            4 => {
                let counted = |(_, _, text, documents): &(AnyId, u8, Vec<u8>, u64)| CountedCollection {
                    name: collection(text),
                    documents: *documents,
                };
                Answer::Collections(self.entries.iter().map(counted).collect())
            }
            5 => Answer::Count(self.number),
            6 => Answer::Executed(self.entries.iter().map(|entry| self.result(entry)).collect()),
            7 => {
                let entry = |(id, kind, bytes, _): &(AnyId, u8, Vec<u8>, u64)| {
                    let scanned = match kind % 3 {
                        0 => Scanned::Document(document(bytes)),
                        1 => Scanned::Damaged,
                        _ => Scanned::IdOnly,
                    };
                    (id.id(), scanned)
                };
                let (lost, withheld) = self.flags;
                let entries = self.entries.iter().map(entry).collect();
                Answer::Page(Page { cursor: self.text.clone(), lost, withheld, entries })
            }
            8 => Answer::Statistics(self.figures()),
            9 => Answer::Patched(TxId(self.number)),
            _ => return Err(self.error(&self.text)),
        })
    }

    fn database_info(&self, (_, kind, text, number): &(AnyId, u8, Vec<u8>, u64)) -> DatabaseInfo {
        DatabaseInfo {
            name: DatabaseName::parse(&name(text, limits::NAME_BYTES_MAX)).unwrap(),
            id: DatabaseId::new((*number).max(1)).unwrap(),
            created_at_unix_ns: self.number,
            open: self.flags.0,
            read_only: self.flags.1,
            log_bytes: (kind % 2 == 0).then_some(*number),
            memory_bytes: self.other,
            documents: (kind % 3 == 0).then_some(*number),
        }
    }

    fn result(&self, (_, kind, bytes, number): &(AnyId, u8, Vec<u8>, u64)) -> Result<OperationAnswer, Error> {
        Ok(match kind % 6 {
            0 => OperationAnswer::Written(TxId(*number)),
            1 => OperationAnswer::Inserted(*number, TxId(self.other)),
            2 => OperationAnswer::Document(document(bytes), None),
            3 => OperationAnswer::Document(document(bytes), Some(TxId((*number).max(1)))),
            4 => OperationAnswer::AsExpected,
            _ => return Err(self.error(bytes)),
        })
    }
}

#[test]
fn an_answer_is_decoded_to_what_was_encoded() {
    bolero::check!().with_type::<(AnyAnswer, u8)>().with_iterations(20_000).for_each(|(any, split)| {
        let answered = Answered { request_id: any.request_id, outcome: any.outcome() };
        assert_round_trip(&answered, *split);
    });
}

/// An operation that breaks a rule is its own error, and those behind it are read all the same.
#[test]
fn an_operation_that_breaks_a_rule_hides_no_other() {
    bolero::check!().with_type::<(AnyOperation, AnyOperation, u8)>().with_iterations(5_000).for_each(|(a, b, bad)| {
        let (a, b) = (a.operation(), b.operation());
        let database = DatabaseId::FIRST;
        let encoded = |operations| {
            let mut frame = Vec::new();
            Call::Execute { database, atomicity: Atomicity::EachAlone, operations }.encode(1, &mut frame).unwrap();
            frame
        };
        // A collection whose name has a byte that no name has, in place of its first byte.
        let mut frame = encoded(vec![a, b.clone()]);
        let name_at = 4 + 9 + 8 + 1 + 4 + 2;
        frame[name_at] = bad % 32;
        let Call::Execute { operations, .. } = Received::decode(&frame[4..]).unwrap().call else { unreachable!() };
        let refused = operations[0].as_ref().unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidCollectionName);
        assert_eq!(refused.context().unwrap().operation, Some(0));
        assert_eq!(operations[1].as_ref().unwrap(), &b);
    });
}

/// A stream of version 0 that begins like one of version 1 was refused before there was a version 1.
#[test]
fn no_frame_of_version_0_begins_as_version_1_does() {
    let length = u32::from_le_bytes(*MAGIC.first_chunk().unwrap());
    assert!(length as usize > limits::FRAME_BODY_BYTES_MAX);
}

#[test]
fn a_frame_without_an_id_is_answered_to_nobody_and_an_unknown_kind_to_its_request() {
    for body in [&[][..], &[1; 8], &[0, 0, 0, 0, 0, 0, 0, 0, 1]] {
        let refused = Received::decode(body).unwrap_err();
        assert_eq!((refused.request_id, refused.error.code()), (None, ErrorCode::InvalidRequestId));
    }
    for kind in (0..=u8::MAX).filter(|kind| !(1..=10).contains(kind)) {
        let refused = Received::decode(&[&9_u64.to_le_bytes()[..], &[kind, 1, 2, 3]].concat()).unwrap_err();
        assert_eq!((refused.request_id, refused.error.code()), (Some(9), ErrorCode::InvalidRequest), "{kind}");
    }
}

#[test]
fn the_largest_document_fits_and_a_larger_request_is_refused_before_it_is_sent() {
    let text = [&b"\""[..], &vec![b'x'; limits::DOCUMENT_BYTES_MAX - 2], b"\""].concat();
    let operation = || {
        let (id, document) = (DocumentId::text(&"i".repeat(255)).unwrap(), Document::parse(&text).unwrap());
        Operation { collection: collection(&[b'c'; 64]), action: Action::Put(id, document) }
    };
    let call = |count: usize| {
        let operations = (0..count).map(|_| operation()).collect();
        Call::Execute { database: DatabaseId::FIRST, atomicity: Atomicity::AllOrNothing, operations }
    };
    let mut out = b"before".to_vec();
    call(1).encode(1, &mut out).unwrap();
    assert!(Received::decode(&out[6 + 4..]).is_ok());
    out.truncate(6);
    assert_eq!(call(2).encode(1, &mut out).unwrap_err().code(), ErrorCode::PayloadTooLarge);
    assert!(Call::fits(&[operation()]).is_ok());
    assert_eq!(Call::fits(&[operation(), operation()]).unwrap_err().code(), ErrorCode::PayloadTooLarge);
    assert_eq!(call(0).encode(1, &mut out).unwrap_err().code(), ErrorCode::LimitExceeded);
    assert_eq!(out, b"before");
}
