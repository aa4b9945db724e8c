//! Version 1 of the protocol over a real socket, by the client that shell and tests use.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::ops::Bound;
use std::path::PathBuf;

use common::{Daemon, one};
use docdb_client::{Answer, Call, Client, OperationAnswer, Page, ScanCall, Scanned};
use docdb_protocol::wire::WireAction;
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, Document, DocumentId, Error, ErrorCode, Expectation, IfMissing,
    Operation,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A directory that is removed at the end, and the data directory in it.
fn data_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

fn connect(daemon: &Daemon) -> Client {
    Client::connect(&daemon.socket).unwrap()
}

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

fn name(text: &str) -> CollectionName {
    CollectionName::parse(text).unwrap()
}

fn operation(collection: &str, action: Action) -> Operation {
    Operation { collection: name(collection), action }
}

#[test]
fn a_document_of_either_kind_of_id_goes_through_its_whole_life() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    assert!(client.welcome().server.starts_with("docdbd "));
    assert_eq!(client.welcome().limits.get("requests_under_way_max"), Some(128));
    let missing = client.open_database("a", IfMissing::Fail).unwrap_err();
    assert_eq!(missing.code(), ErrorCode::DbNotFound);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    assert_eq!(client.open_database("a", IfMissing::Fail).unwrap(), db);
    for id in [DocumentId::Number(7), DocumentId::text("momo").unwrap()] {
        assert_eq!(client.get(db, "books", &id).unwrap(), None);
        let created = client.create(db, "books", &id, document("1")).unwrap();
        assert_eq!(client.get(db, "books", &id).unwrap(), Some((document("1"), created)));
        let exists = client.create(db, "books", &id, document("1")).unwrap_err();
        assert_eq!((exists.code(), &exists.context().unwrap().document), (ErrorCode::DocExists, &Some(id.clone())));
        let put = client.put(db, "books", &id, document("{\"a\": 2.0}")).unwrap();
        assert!(put > created);
        let over =
            |client: &mut Client, seen| client.put_if(db, "books", &id, document("3"), Expectation::Version(seen));
        let conflict = over(&mut client, created).unwrap_err();
        let (code, context) = (conflict.code(), conflict.context().unwrap());
        assert_eq!((code, context.operation), (ErrorCode::Conflict, Some(0)));
        assert!(context.detail.as_ref().unwrap().contains("expected the version of transaction"), "{conflict}");
        client.patch(db, "books", &id, b"{\"b\": 1}").unwrap();
        let (patched, version) = client.get(db, "books", &id).unwrap().unwrap();
        assert_eq!(patched, document("{\"a\": 2.0,\"b\": 1}"));
        over(&mut client, version).unwrap();
        client.update(db, "books", &id, document("4")).unwrap();
        client.delete(db, "books", &id).unwrap();
        let gone = client.update(db, "books", &id, document("4")).unwrap_err();
        assert_eq!(gone.code(), ErrorCode::DocNotFound);
    }
    // 7 was used, so the next number is 8.
    assert_eq!(client.insert(db, "books", document("5")).unwrap().0, 8);
    client.close_database(db).unwrap();
    assert_eq!(client.count(db, "books").unwrap(), 1);
    let unknown = client.count(DatabaseId::new(99).unwrap(), "books").unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::DbNotFound);
}

#[test]
fn operations_stand_or_fall_as_was_asked() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    let create = |id: u64, text| operation("books", Action::Create(id.into(), document(text)));
    let read = |id: u64| operation("books", Action::Read(id.into()));
    client.execute(db, Atomicity::AllOrNothing, vec![create(1, "1"), create(2, "2")]).unwrap();
    let refused = client.execute(db, Atomicity::AllOrNothing, vec![create(3, "3"), create(1, "1")]).unwrap_err();
    assert_eq!((refused.code(), refused.context().unwrap().operation), (ErrorCode::DocExists, Some(1)));
    assert_eq!(client.count(db, "books").unwrap(), 2);
    let results =
        client.execute(db, Atomicity::EachAlone, vec![create(1, "1"), create(3, "3"), read(3), read(4)]).unwrap();
    let codes: Vec<Option<ErrorCode>> = results.iter().map(|result| result.as_ref().err().map(Error::code)).collect();
    assert_eq!(codes, [Some(ErrorCode::DocExists), None, None, Some(ErrorCode::DocNotFound)]);
    // A request that writes reads what it wrote.
    assert!(matches!(&results[2], Ok(OperationAnswer::Document(found, _)) if *found == document("3")));
    // Preconditions and reads alone are of one moment, and all or nothing as well.
    let absent = |id: u64| operation("books", Action::Expect(id.into(), Expectation::Absent));
    let alone = client.execute(db, Atomicity::EachAlone, vec![absent(9), absent(1), read(1)]).unwrap();
    assert!(matches!(alone[0], Ok(OperationAnswer::AsExpected)));
    assert_eq!(alone[1].as_ref().unwrap_err().code(), ErrorCode::Conflict);
    let together = client.execute(db, Atomicity::AllOrNothing, vec![read(1), absent(1)]).unwrap_err();
    assert_eq!((together.code(), together.context().unwrap().operation), (ErrorCode::Conflict, Some(1)));
    assert_eq!(together.context().unwrap().document, Some(DocumentId::Number(1)));
}

/// An operation that breaks a rule is its own error alone, or that of all.
#[test]
fn what_breaks_a_rule_is_refused_by_itself_and_leaves_the_connection() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    for (atomicity, documents) in [(Atomicity::AllOrNothing, 0), (Atomicity::EachAlone, 1)] {
        let operations = vec![
            operation("books", Action::Put(1.try_into().unwrap(), document("\"one\""))),
            operation("books", Action::Put(2.try_into().unwrap(), document("\"two\""))),
        ];
        let mut frame = Vec::new();
        Call::Execute { database: db, atomicity, operations }.encode(50, &mut frame).unwrap();
        // The last byte closes the second document's text.
        *frame.last_mut().unwrap() = b'x';
        let mut raw = common::v1_stream(&daemon.socket);
        common::send_all(&mut raw, &frame);
        let answered = common::v1_answer(&mut raw);
        assert_eq!(answered.request_id, 50);
        let refused = match answered.outcome {
            Err(error) => error,
            Ok(Answer::Executed(results)) => {
                assert!(results[0].is_ok());
                results[1].clone().unwrap_err()
            }
            Ok(other) => panic!("{other:?}"),
        };
        let context = refused.context().unwrap();
        assert_eq!((refused.code(), context.operation), (ErrorCode::InvalidJson, Some(1)));
        assert!(context.offset.is_some());
        assert_eq!(client.count(db, "books").unwrap(), documents);
        // The same connection is served on.
        let mut again = Vec::new();
        Call::Statistics.encode(51, &mut again).unwrap();
        common::send_all(&mut raw, &again);
        assert!(matches!(common::v1_answer(&mut raw).outcome, Ok(Answer::Statistics(_))));
    }
}

fn pages(client: &mut Client, mut scan: ScanCall) -> (Vec<DocumentId>, usize) {
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let Page { cursor, lost, withheld, entries } = client.scan(scan.clone()).unwrap();
        assert!(!lost && !withheld);
        assert!(entries.len() <= scan.entries_max as usize || scan.entries_max == 0);
        for (id, scanned) in entries {
            match scanned {
                Scanned::Document(found) => {
                    assert!(!scan.ids_only);
                    assert_eq!(found, document(&id.to_string()));
                }
                Scanned::IdOnly => assert!(scan.ids_only),
                Scanned::Damaged => panic!("nothing is damaged"),
            }
            ids.push(id);
        }
        pages += 1;
        if cursor.is_empty() {
            return (ids, pages);
        }
        scan.cursor = cursor;
    }
}

#[test]
fn a_collection_is_read_in_pages_both_ways_with_and_without_its_documents() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    let numbers = (0..300_u64).map(DocumentId::Number);
    let texts = (0..50).map(|number| DocumentId::text(&format!("t{number:03}")).unwrap());
    let all: Vec<DocumentId> = numbers.chain(texts).collect();
    let put = |id: &DocumentId| operation("books", Action::Put(id.clone(), document(&id.to_string())));
    client.execute(db, Atomicity::AllOrNothing, all.iter().map(put).collect()).unwrap();
    client.put(db, "films", 1, document("1")).unwrap();
    let scan = ScanCall::new(db, name("books"));
    for ids_only in [false, true] {
        for entries_max in [0, 1, 7, 100, 350, 1000] {
            let scan = ScanCall { ids_only, entries_max, ..scan.clone() };
            let (ids, count) = pages(&mut client, scan.clone());
            assert_eq!(ids, all);
            let expected = if entries_max == 0 { 1 } else { 350_usize.div_ceil(entries_max as usize) };
            assert_eq!(count, expected);
            let (mut ids, _) = pages(&mut client, ScanCall { descending: true, ..scan });
            ids.reverse();
            assert_eq!(ids, all);
        }
    }
    // Bounds, of both kinds of ids.
    let (from, to) = (Bound::Excluded(DocumentId::Number(297)), Bound::Included(DocumentId::text("t001").unwrap()));
    for descending in [false, true] {
        let scan = ScanCall { from: from.clone(), to: to.clone(), descending, entries_max: 3, ..scan.clone() };
        let (mut ids, count) = pages(&mut client, scan);
        ids.sort();
        assert_eq!((ids.as_slice(), count), (&all[298..302], 2));
    }
    let inverted = ScanCall { from: to, to: from, ..scan.clone() };
    assert_eq!(pages(&mut client, inverted).0, []);
    assert_eq!(pages(&mut client, ScanCall::new(db, name("unknown"))).0, []);
    for cursor in [b"nonsense".to_vec(), docdb_protocol::wire::v1::cursor_after(&DocumentId::Number(400))] {
        let to = Bound::Included(DocumentId::Number(300));
        let refused = client.scan(ScanCall { cursor, to, ..scan.clone() }).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    }
    let counted: Vec<(String, u64)> = client
        .collections(db)
        .unwrap()
        .into_iter()
        .map(|collection| (collection.name.as_str().to_owned(), collection.documents))
        .collect();
    let expected = [("_default", 0), ("books", 350), ("films", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counted, expected);
    let listed = client.databases().unwrap();
    assert_eq!((listed.len(), listed[0].documents, listed[0].open), (1, Some(351), true));
    let figures = client.statistics().unwrap();
    assert_eq!((figures.get("databases"), figures.get("transactions")), (Some(1), Some(2)));
}

#[test]
fn a_page_ends_at_about_a_mebibyte_and_a_larger_document_is_one_of_its_own() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    let text = |bytes: usize| document(&format!("\"{}\"", "x".repeat(bytes - 2)));
    // The longest there is, which version 0 has no frame for.
    for (id, bytes) in [(1, 400_000), (2, 400_000), (3, 400_000), (4, 16 * 1024 * 1024), (5, 10)] {
        client.put(db, "books", id, text(bytes)).unwrap();
    }
    let mut scan = ScanCall::new(db, name("books"));
    let mut seen = Vec::new();
    loop {
        let page = client.scan(scan.clone()).unwrap();
        seen.push(page.entries.iter().map(|(id, _)| id.as_number().unwrap()).collect::<Vec<_>>());
        if page.cursor.is_empty() {
            break;
        }
        scan.cursor = page.cursor;
    }
    assert_eq!(seen, [vec![1, 2], vec![3], vec![4], vec![5]]);
    assert_eq!(client.get(db, "books", 4).unwrap().unwrap().0, text(16 * 1024 * 1024));
    // Two of them are more than a frame holds: the second says so, and what is written is said all the same.
    let read = |id: u64| operation("books", Action::Read(id.into()));
    let write = operation("films", Action::Insert(document("1")));
    let results = client.execute(db, Atomicity::EachAlone, vec![read(4), write, read(4), read(5)]).unwrap();
    assert!(matches!(&results[0], Ok(OperationAnswer::Document(found, _)) if found.len() == 16 * 1024 * 1024));
    assert!(matches!(results[1], Ok(OperationAnswer::Inserted(1, _))));
    assert_eq!(results[2].as_ref().unwrap_err().code(), ErrorCode::ResponseTooLarge);
    assert!(results[3].is_ok());
}

#[test]
fn many_calls_are_under_way_at_once_and_each_gets_its_own_answer() {
    const CALLS: u64 = 2_000;
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    client.put(db, "books", 1, document("1")).unwrap();
    let execute = |action| Call::Execute {
        database: db,
        atomicity: Atomicity::AllOrNothing,
        operations: vec![operation("books", action)],
    };
    let mut begun = Vec::new();
    for number in 0..CALLS {
        let action = match number % 3 {
            0 => Action::Put(DocumentId::Number(1000), document(&number.to_string())),
            1 => Action::Insert(document(&number.to_string())),
            _ => Action::Read(DocumentId::Number(1)),
        };
        begun.push((number, client.begin(&execute(action)).unwrap()));
        assert!(client.under_way() <= 128);
    }
    client.send().unwrap();
    let mut puts = Vec::new();
    for (number, request_id) in begun {
        let Answer::Executed(results) = client.finish(request_id).unwrap() else { panic!("it was an execute") };
        match (number % 3, results[0].as_ref().unwrap()) {
            (0, OperationAnswer::Written(tx)) => puts.push(*tx),
            (1, OperationAnswer::Inserted(..)) => {}
            (2, OperationAnswer::Document(found, Some(_))) => assert_eq!(*found, document("1")),
            (_, other) => panic!("{other:?}"),
        }
    }
    // Writes of one connection take effect in the order in which they were sent.
    assert!(puts.is_sorted());
    let last = (0..CALLS).rev().find(|number| number % 3 == 0).unwrap();
    assert_eq!(client.get(db, "books", 1000).unwrap().unwrap().0, document(&last.to_string()));
}

#[test]
fn both_versions_are_served_on_one_socket_and_see_each_others_documents() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let (mut old, mut new) = (daemon.connect(), connect(&daemon));
    let db = old.open("a");
    assert_eq!(new.open_database("a", IfMissing::Fail).unwrap(), db);
    new.put(db, "_default", 1, document("[1]")).unwrap();
    assert_eq!(old.ask(&one(1, db, WireAction::Read, b"", 1, b"")).parts(), [b"[1]"]);
    assert_eq!(old.ask(&one(2, db, WireAction::Update, b"", 1, b"[2]")).status, 0);
    assert_eq!(new.get(db, "_default", 1).unwrap().unwrap().0, document("[2]"));
}

#[test]
fn one_connection_too_many_is_answered_so() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start_with(&data, &["--max-connections", "1"]);
    let mut first = connect(&daemon);
    first.open_database("a", IfMissing::Create).unwrap();
    let refused = Client::connect(&daemon.socket).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TooManyConnections);
    first.databases().unwrap();
}

#[test]
fn a_lost_connection_says_whether_the_call_was_sent() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    daemon.kill();
    let lost = client.put(db, "books", 1, document("1")).unwrap_err();
    assert!(matches!(lost.code(), ErrorCode::ConnectionLost | ErrorCode::OutcomeUnknown), "{lost}");
    let over = client.get(db, "books", 1).unwrap_err();
    assert_eq!(over.code(), ErrorCode::ConnectionLost);
}

/// Frames that are sound, whatever stands in them: each is answered, by its own id, and the daemon goes on.
#[test]
fn frames_of_random_bytes_are_each_answered() {
    const FRAMES: u64 = 2_000;
    let seed = std::env::var("DOCDB_DRILL_SEED").map_or(20_261_129, |seed| seed.parse().unwrap());
    println!("DOCDB_DRILL_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = connect(&daemon);
    let db = client.open_database("a", IfMissing::Create).unwrap();
    client.put(db, "books", 1, document("1")).unwrap();
    let mut stream = common::v1_stream(&daemon.socket);
    for request_id in 2..FRAMES {
        let kind = (random.next_u64() % 16) as u8;
        let mut body = [&request_id.to_le_bytes()[..], &[kind]].concat();
        // Half of them ask of a database that is there, and small bytes make counts and lengths that fit.
        if random.next_u64().is_multiple_of(2) {
            body.extend_from_slice(&db.get().to_le_bytes());
        }
        let length = random.next_u64() % 40;
        body.extend((0..length).map(|_| (random.next_u64() % 8) as u8));
        common::send_all(&mut stream, &u32::try_from(body.len()).unwrap().to_le_bytes());
        common::send_all(&mut stream, &body);
        // Fewer under way than the daemon takes at once.
        assert_eq!(common::v1_answer(&mut stream).request_id, request_id, "kind {kind}");
    }
    assert_eq!(client.get(db, "books", 1).unwrap().unwrap().0, document("1"));
    let (status, said) = daemon.terminate();
    assert!(status.success(), "{said}");
}

/// The conversation of FORMAT.md, byte for byte; what a server says of itself in its hello is its own.
#[test]
fn the_example_of_the_format_page_is_what_is_answered() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let example = common::example(include_str!("../../FORMAT.md"));
    let mut stream = std::os::unix::net::UnixStream::connect(&daemon.socket).unwrap();
    for (index, (asked, answered)) in example.into_iter().enumerate() {
        common::send_all(&mut stream, &asked);
        if index == 1 {
            assert!(matches!(common::v1_answer(&mut stream).outcome, Ok(Answer::Welcome(_))));
            continue;
        }
        let mut got = vec![0; answered.len()];
        std::io::Read::read_exact(&mut stream, &mut got).unwrap();
        assert_eq!(got, answered, "message {index}");
    }
}
