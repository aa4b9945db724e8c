//! The wire protocol over a real socket: the captured conversation, order, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::path::PathBuf;

use common::{Client, Daemon, files, one, several};
use docdb_protocol::wire::{Command, WireAction, WireOp, WireRequest};

/// A directory that is removed at the end, and the data directory in it.
/// What clients of the ancestor know of a document that is no JSON, and of a name with a slash in it.
const NO_JSON: &str = "payload must be valid JSON (forbidden prefixes: raw: hex:)";
const SLASH: &str = "collection name cannot contain '/'";

fn data_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    (dir, data)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn exchange(client: &mut Client, request: &str, expected: &str) {
    client.send_raw(&bytes(request));
    let expected = bytes(expected);
    let mut got = vec![0; expected.len()];
    std::io::Read::read_exact(&mut client.stream, &mut got).unwrap();
    assert_eq!(got, expected, "to {request}");
}

#[test]
fn the_captured_conversation_is_answered_byte_for_byte() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    exchange(
        &mut client,
        "25000000 0100000000000000 0000000000000000 01 01000000 01 0000 0000000000000000 01000000 61",
        "15000000 0100000000000000 00 08000000 0100000000000000",
    );
    exchange(
        &mut client,
        "33000000 0200000000000000 0100000000000000 03 01000000 01 0800 5f64656661756c74 0700000000000000
         07000000 7b2261223a317d",
        "15000000 0200000000000000 00 08000000 01000000 00000000",
    );
    exchange(
        &mut client,
        "2c000000 0300000000000000 0100000000000000 03 01000000 02 0800 5f64656661756c74 0700000000000000 00000000",
        "1c000000 0300000000000000 00 0f000000 01000000 07000000 7b2261223a317d",
    );
    exchange(
        &mut client,
        "15000000 0700000000000000 0100000000000000 02 00000000",
        "0d000000 0700000000000000 00 00000000",
    );
    // A closed database opens again with its next use, and its id stays.
    exchange(
        &mut client,
        "2c000000 0300000000000000 0100000000000000 03 01000000 02 0800 5f64656661756c74 0700000000000000 00000000",
        "1c000000 0300000000000000 00 0f000000 01000000 07000000 7b2261223a317d",
    );
}

#[test]
fn pipelined_requests_are_answered_in_order_and_reads_see_the_writes_before_them() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    let rounds = 50_u64;
    let documents: Vec<String> = (0..rounds).map(|n| format!("{{\"n\":{n}}}")).collect();
    // Fewer in flight than the socket's buffers and the queue hold, so that one thread can do both.
    let mut expected = Vec::new();
    for (n, document) in documents.iter().enumerate() {
        let action = if n == 0 { WireAction::Create } else { WireAction::Update };
        let id = n as u64 * 2;
        client.send(&one(id, db, action, b"", 1, document.as_bytes())).unwrap();
        client.send(&one(id + 1, db, WireAction::Read, b"", 1, b"")).unwrap();
        expected.push((id, Vec::new()));
        expected.push((id + 1, document.clone().into_bytes()));
    }
    for (id, part) in expected {
        let answer = client.receive();
        assert_eq!(answer.request_id, id);
        assert_eq!(answer.parts(), [part]);
    }
}

#[test]
fn one_op_answers_its_status_and_several_answer_parts() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    assert_eq!(client.ask(&one(1, db, WireAction::Create, b"c", 1, b"{}")).status, 0);
    for (action, payload, status, text) in [
        (WireAction::Create, &b"{}"[..], 3, "document already exists"),
        (WireAction::Create, b"{", 1, NO_JSON),
        (WireAction::Unknown(9), b"", 1, "unknown operation type"),
    ] {
        let answer = client.ask(&one(2, db, action, b"c", 1, payload));
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
    }
    for action in [WireAction::Read, WireAction::Update, WireAction::Delete] {
        let answer = client.ask(&one(2, db, action, b"c", 9, b"{}"));
        assert_eq!((answer.status, answer.text().as_str()), (2, "document not found"));
    }
    let op = |action, collection, document_id, payload| WireOp { action, collection, document_id, payload };
    let answer = client.ask(&several(
        3,
        db,
        vec![
            op(WireAction::Create, b"c", 2, b"[2]"),
            op(WireAction::Create, b"c", 3, b"nonsense"),
            op(WireAction::Create, b"a/b", 3, b"3"),
            op(WireAction::Read, b"c", 2, b""),
            op(WireAction::Update, b"c", 2, b"[ 3 ]"),
            op(WireAction::Read, b"c", 2, b""),
            op(WireAction::Read, b"c", 3, b""),
            op(WireAction::Create, b"c", 4, b"4"),
        ],
    ));
    let parts: Vec<String> = answer.parts().iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let expected = ["", NO_JSON, SLASH, "[2]", "", "[ 3 ]", "document not found", ""];
    assert_eq!(parts, expected);
    assert_eq!(client.ask(&one(4, db, WireAction::Read, b"c", 4, b"")).parts(), [b"4"]);
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    let document = br#"{ "big": 12345678901234567890, "b": [1,2], "a": "\u00e4" }"#;
    assert_eq!(client.ask(&one(1, db, WireAction::Create, b"", 7, document)).status, 0);
    // One client writes the keys in small letters, another in capitals.
    let patch = br#"[{"op":"set","path":"/new/deep","value":null},{"Op":"delete","Path":"/b/0"},
                     {"Op":"insert","Path":"/b/0","Value":"x"}]"#;
    assert_eq!(client.ask(&one(2, db, WireAction::Patch(patch), b"", 7, b"")).parts(), [b""]);
    let patched = client.ask(&one(3, db, WireAction::Read, b"", 7, b"")).parts().remove(0);
    let expected = br#"{ "big": 12345678901234567890, "b": ["x",2], "a": "\u00e4", "new": {"deep":null} }"#;
    let same = |bytes: &[u8]| -> String { String::from_utf8_lossy(bytes).split_whitespace().collect() };
    assert_eq!(same(&patched), same(expected));
    for (id, patch, status, text) in [
        (8, &br#"[{"op":"set","path":"/a","value":1}]"#[..], 2, "document not found"),
        (7, br#"{"a":1}"#, 1, "invalid patch operations"),
        (7, b"[", 1, "invalid patch operations"),
        (7, br#"[{"op":"frob","path":"/a"}]"#, 1, "invalid patch operations"),
        (7, br#"[{"op":"delete","path":"/missing"}]"#, 1, "invalid JSON path"),
    ] {
        let answer = client.ask(&one(4, db, WireAction::Patch(patch), b"", id, b""));
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{}", String::from_utf8_lossy(patch));
    }
    // Among others each sees what stands before it in the frame.
    let op = |action, payload| WireOp { action, collection: b"", document_id: 9, payload };
    let set = WireAction::Patch(br#"[{"op":"set","path":"/n","value":2}]"#);
    let ops = vec![op(WireAction::Create, b"{\"n\":1}"), op(set, b""), op(WireAction::Read, b"")];
    let parts = client.ask(&several(5, db, ops)).parts();
    assert_eq!(parts, [&b""[..], b"", b"{\"n\":2}"]);
}

#[test]
fn collections_are_made_and_what_cannot_be_removed_is_said() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    let mut ask = |command, collection: &[u8]| {
        let op = WireOp { action: WireAction::Unknown(8), collection, document_id: 0, payload: b"" };
        let answer = client.ask(&WireRequest { ops: vec![op], ..WireRequest::new(1, command, Some(db)) });
        if answer.status == 0 { String::new() } else { answer.text() }
    };
    assert_eq!(ask(Command::CreateCollection, b"books"), "");
    assert_eq!(ask(Command::CreateCollection, b"books"), "collection already exists");
    assert_eq!(ask(Command::CreateCollection, b"_default"), "collection already exists");
    assert_eq!(ask(Command::CreateCollection, b"a/b"), SLASH);
    assert_eq!(ask(Command::DeleteCollection, b"_default"), "cannot delete default collection");
    assert_eq!(ask(Command::DeleteCollection, b"missing"), "collection not found");
    assert_eq!(ask(Command::DeleteCollection, b"books"), "not supported yet: removing a collection");
    assert_eq!(client.ask(&one(1, db, WireAction::Create, b"books", 1, b"{}")).status, 0);
    let mut ask = |command, collection: &[u8]| {
        let op = WireOp { action: WireAction::Unknown(9), collection, document_id: 0, payload: b"" };
        client.ask(&WireRequest { ops: vec![op], ..WireRequest::new(1, command, Some(db)) }).text()
    };
    assert_eq!(ask(Command::DeleteCollection, b"books"), "collection is not empty");
    // Made, it is there after a kill as well.
    ask(Command::CreateCollection, b"empty");
    daemon.kill();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let answer = client.ask(&WireRequest::new(1, Command::ListCollections, Some(db)));
    assert_eq!(answer.text(), r#"["_default","books","empty"]"#);
    let nothing = client.ask(&one(1, db, WireAction::Read, b"empty", 0, b""));
    assert_eq!((nothing.status, nothing.text().as_str()), (2, "document not found"));
    for name in [&b"missing"[..], b"a/b", b"a.b"] {
        let answer = client.ask(&one(1, db, WireAction::Read, name, 0, b""));
        assert_eq!((answer.status, answer.text().as_str()), (1, "collection not found"));
    }
}

#[test]
fn lists_counts_and_pages() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    for id in [5, 0, u64::MAX] {
        client.ask(&one(1, db, WireAction::Create, b"books", id, id.to_string().as_bytes()));
    }
    let answer = client.ask(&WireRequest::new(1, Command::ListCollections, Some(db)));
    assert_eq!(answer.text(), r#"["_default","books"]"#);
    let answer = client.ask(&WireRequest::new(1, Command::ListDatabases, None));
    assert!(answer.text().starts_with(r#"[{"Name":"a","ID":1,"CreatedAt":"20"#), "{}", answer.text());
    assert!(answer.text().ends_with(r#""DocsLive":3}]"#), "{}", answer.text());
    let answer = client.ask(&WireRequest::new(1, Command::Stats, None));
    let stats = docdb_protocol::wire::stats::decode(&answer.data).unwrap();
    assert_eq!((stats.databases, stats.databases_open, stats.transactions), (1, 1, 3));
    let books = docdb_protocol::CollectionName::parse("books").unwrap();
    let answer = client.ask(&WireRequest::scan(1, db, &books, 1));
    let page = docdb_protocol::wire::ScanReply::decode(&answer.data).unwrap();
    let ids: Vec<u64> = page.documents.iter().map(|(id, _)| *id).collect();
    assert_eq!((ids, page.more), (vec![5, u64::MAX], false));
    for unknown in [14, 0, 255] {
        let answer = client.ask(&WireRequest::new(8, Command::Unknown(unknown), Some(db)));
        assert_eq!((answer.status, answer.text().as_str()), (1, "invalid request"));
    }
    for (number, what) in [(9, "healing"), (10, "healing"), (11, "healing"), (12, "metrics"), (13, "queries")] {
        let answer = client.ask(&WireRequest::new(8, Command::Unknown(number), Some(db)));
        assert_eq!((answer.status, answer.text()), (1, format!("not supported yet: {what}")));
    }
}

#[test]
fn a_frame_too_large_is_refused_with_its_id_and_the_connection_ends_at_once() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let mut frame = 16_777_217_u32.to_le_bytes().to_vec();
    frame.extend_from_slice(&77_u64.to_le_bytes());
    frame.extend_from_slice(b"some more");
    client.send_raw(&frame);
    let answer = client.receive();
    assert_eq!((answer.request_id, answer.status, answer.text().as_str()), (77, 1, "frame too large"));
    assert!(client.is_closed());
    // Without an id to read, 0 is answered, and nothing is waited for.
    let mut client = daemon.connect();
    client.send_raw(&u32::MAX.to_le_bytes());
    assert_eq!((client.receive().request_id, client.is_closed()), (0, true));
    // The daemon serves others as before.
    daemon.connect().open("a");
}

#[test]
fn garbage_is_refused_behind_the_answers_that_are_owed() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    client.send(&one(1, db, WireAction::Create, b"", 1, b"{}")).unwrap();
    let mut garbage = 12_u32.to_le_bytes().to_vec();
    garbage.extend_from_slice(&9_u64.to_le_bytes());
    garbage.extend_from_slice(b"what");
    client.send_raw(&garbage);
    assert_eq!((client.receive().request_id, 1), (1, 1));
    let answer = client.receive();
    assert_eq!((answer.request_id, answer.status, answer.text().as_str()), (9, 1, "invalid frame"));
    assert!(client.is_closed());
    let mut client = daemon.connect();
    // What is too short for an id says nothing, and nothing is said to it.
    client.send_raw(&[3, 0, 0, 0, 1, 2, 3]);
    client.open("a");
}

#[test]
fn what_is_no_json_leaves_no_trace_in_any_file() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    client.ask(&one(1, db, WireAction::Create, b"", 1, b"{}"));
    let deep = [vec![b'['; 129], vec![b']'; 129]].concat();
    client.ask(&WireRequest::new(1, Command::CloseDatabase, Some(db)));
    let before = files(&data);
    for bad in [&b"{"[..], b"", b"{}x", b"\"\xff\"", b"\"\\ud800\"", b"raw:x", b"NaN", b"01", &deep] {
        let answer = client.ask(&one(2, db, WireAction::Update, b"", 1, bad));
        assert_eq!(answer.text(), NO_JSON, "{}", String::from_utf8_lossy(bad));
    }
    assert!(files(&data) == before);
}

#[test]
fn names_that_could_leave_their_folder_are_refused() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let before = files(&data);
    let db = docdb_protocol::DatabaseId::FIRST;
    for name in [&b"a/b"[..], b"..", b"../a", b"a\0b", b"a\\b", b".", b"", b"\xff", &[b'x'; 65]] {
        let op = WireOp { action: WireAction::Create, collection: b"", document_id: 0, payload: name };
        let request = WireRequest { ops: vec![op], ..WireRequest::new(3, Command::OpenDatabase, None) };
        assert_eq!(client.ask(&request).text(), "invalid database name", "{}", String::from_utf8_lossy(name));
    }
    for name in [&b"a/b"[..], b"..", b"a.b", b"a\0b", b"\xff"] {
        let answer = client.ask(&one(4, db, WireAction::Create, name, 1, b"{}"));
        let expected = if name.contains(&b'/') { SLASH } else { "invalid collection name" };
        assert_eq!(answer.text(), expected, "{}", String::from_utf8_lossy(name));
    }
    assert!(files(&data) == before);
    assert_eq!(client.ask(&WireRequest::new(1, Command::CloseDatabase, None)).text(), "invalid database ID");
    assert_eq!(client.ask(&WireRequest::new(1, Command::OpenDatabase, None)).text(), "invalid database name");
    let unknown = docdb_protocol::DatabaseId::new(99).unwrap();
    assert_eq!(client.ask(&WireRequest::new(1, Command::CloseDatabase, Some(unknown))).status, 0);
    assert_eq!(client.ask(&one(1, unknown, WireAction::Read, b"", 1, b"")).text(), "database not found");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start_with(&data, &["--max-connections", "2"]);
    let (mut first, mut second) = (daemon.connect(), daemon.connect());
    // Both are surely accepted once they are answered.
    first.open("a");
    second.open("a");
    let mut third = daemon.connect();
    let answer = third.receive();
    assert_eq!((answer.request_id, answer.status, answer.text().as_str()), (0, 1, "too many connections"));
    assert!(third.is_closed());
    first.open("a");
}

#[test]
fn the_largest_document_of_a_frame_goes_in_and_comes_out() {
    let (_dir, data) = data_dir();
    let daemon = Daemon::start(&data);
    let mut client = daemon.connect();
    let db = client.open("a");
    // 21 bytes of request header and 15 of op, so that the body is 16 MiB to the byte.
    let text = 16 * 1024 * 1024 - 36 - 2;
    let document = [b"\"".to_vec(), vec![b'x'; text], b"\"".to_vec()].concat();
    let mut writer = Client { stream: client.stream.try_clone().unwrap() };
    let sent = document.clone();
    let sending = std::thread::spawn(move || writer.send(&one(1, db, WireAction::Create, b"", 1, &sent)).unwrap());
    assert_eq!(client.receive().parts(), [b""]);
    sending.join().unwrap();
    assert!(client.ask(&one(2, db, WireAction::Read, b"", 1, b"")).parts() == [document]);
    let twice =
        [1, 1].map(|document_id| WireOp { action: WireAction::Read, collection: b"", document_id, payload: b"" });
    let text = client.ask(&several(3, db, twice.to_vec())).text();
    assert!(text.starts_with("response too large: ") && text.ends_with("ask for less at once"), "{text}");
}
