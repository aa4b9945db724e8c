//! The conversation of FORMAT.md, "Wire, version 1": what it says is what is written, and is read back as that.

#![allow(clippy::unwrap_used, reason = "a helper of tests, like a test, fails where it stands")]

use docdb_protocol::wire::v1::{
    Answer, Answered, Call, Figures, Hello, MAGIC, OperationAnswer, Page, Received, ScanCall, Scanned, Welcome,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, Expectation,
    IfMissing, Operation, TxId,
};

/// The messages, without the marks of their direction.
fn messages() -> Vec<(char, Vec<u8>)> {
    let page = include_str!("../../FORMAT.md");
    let example = page.split("<!-- example of wire 1 -->").nth(1).unwrap().split("<!-- end").next().unwrap();
    let mut messages: Vec<(char, Vec<u8>)> = Vec::new();
    for line in example.lines().filter_map(|line| line.strip_prefix("    ")) {
        let mark = line.chars().next().unwrap();
        if mark != ' ' {
            messages.push((mark, Vec::new()));
        }
        let digits: Vec<u8> = line.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        messages.last_mut().unwrap().1.extend(digits.chunks(2).map(pair));
    }
    messages
}

fn asked(request_id: u64, call: &Call) -> (char, Vec<u8>) {
    let mut frame = Vec::new();
    call.encode(request_id, &mut frame).unwrap();
    assert_eq!(Received::decode(&frame[4..]).unwrap().request_id, request_id);
    ('>', frame)
}

fn answered(request_id: u64, answer: Answer) -> (char, Vec<u8>) {
    let answered = Answered { request_id, outcome: Ok(answer) };
    let mut frame = Vec::new();
    answered.encode(&mut frame);
    assert_eq!(Answered::decode(&frame[4..]).unwrap(), answered);
    ('<', frame)
}

#[test]
fn the_conversation_of_the_format_page_is_what_is_written() {
    let database = DatabaseId::FIRST;
    let novels = CollectionName::parse("novels").unwrap();
    let momo = || DocumentId::text("momo").unwrap();
    let document = || Document::parse(b"{\"a\":1}").unwrap();
    let execute = |atomicity, actions: Vec<Action>| {
        let operation = |action| Operation { collection: novels.clone(), action };
        Call::Execute { database, atomicity, operations: actions.into_iter().map(operation).collect() }
    };
    let welcome = Welcome {
        version: 1,
        features: 0,
        server: "docdbd 0.1.0".to_owned(),
        limits: Figures::new().with("frame_bytes_max", 17 * 1024 * 1024),
    };
    let open = Call::OpenDatabase { name: DatabaseName::parse("books").unwrap(), if_missing: IfMissing::Create };
    let put = vec![Action::Expect(momo(), Expectation::Absent), Action::Put(momo(), document())];
    let read = vec![Action::Read(momo()), Action::Read(7_u64.into())];
    let missing = Error::new(ErrorCode::DocNotFound).document(7_u64);
    let scan = ScanCall { ids_only: true, entries_max: 10, ..ScanCall::new(database, novels.clone()) };
    let expected = [
        ('>', MAGIC.to_vec()),
        ('<', MAGIC.to_vec()),
        asked(1, &Call::Hello(Hello::new("example 1"))),
        answered(1, Answer::Welcome(welcome)),
        asked(2, &open),
        answered(2, Answer::Database(database)),
        asked(3, &execute(Atomicity::AllOrNothing, put)),
        answered(3, Answer::Executed(vec![Ok(OperationAnswer::AsExpected), Ok(OperationAnswer::Written(TxId(1)))])),
        asked(4, &execute(Atomicity::EachAlone, read)),
        answered(4, Answer::Executed(vec![Ok(OperationAnswer::Document(document(), Some(TxId(1)))), Err(missing)])),
        asked(5, &Call::Scan(scan)),
        answered(5, Answer::Page(Page { entries: vec![(momo(), Scanned::IdOnly)], ..Page::default() })),
    ];
    let written = messages();
    assert_eq!(written.len(), expected.len());
    for (written, expected) in written.iter().zip(&expected) {
        assert_eq!(written, expected);
    }
}
