//! Captured conversations with the ancestor, byte for byte: what its clients send is understood, what they expect is what is
//! answered, and DocDB's own client says the same.

#![allow(clippy::unwrap_used, reason = "a helper of tests, like a test, fails where it stands")]

use docdb_protocol::wire::{
    Command, FrameReader, ScanReply, ScanReplyBuilder, Status, WireAction, WireOp, WireRequest, WireResponse,
    encode_error, encode_executed, encode_ok, encode_response, part_outcome,
};
use docdb_protocol::{
    Action, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, ErrorCode, Operation,
    OperationReply, Reply, TxId,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The one body of a frame.
fn body(frame: &[u8]) -> Vec<u8> {
    let mut rest = frame;
    let body = FrameReader::new().next_body(&mut rest).unwrap().unwrap();
    assert!(rest.is_empty());
    body
}

fn encoded(request: &WireRequest<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    request.encode(&mut frame).unwrap();
    frame
}

fn operation(action: impl FnOnce(DocumentId) -> Action) -> Operation {
    Operation { collection: CollectionName::default_collection(), action: action(DocumentId::Number(7)) }
}

#[test]
fn open_database() {
    let sent = bytes("25000000 0100000000000000 0000000000000000 01 01000000 01 0000 0000000000000000 01000000 61");
    let expected = bytes("15000000 0100000000000000 00 08000000 0100000000000000");

    let name = DatabaseName::parse("a").unwrap();
    assert_eq!(encoded(&WireRequest::open_database(1, &name)), sent);
    let body_sent = body(&sent);
    let request = WireRequest::decode(&body_sent).unwrap();
    assert_eq!((request.request_id, request.command), (1, Command::OpenDatabase));
    assert_eq!(request.database_name().unwrap(), name);

    let mut answer = Vec::new();
    encode_response(1, &Ok(Reply::Database(DatabaseId::FIRST)), &mut answer);
    assert_eq!(answer, expected);
    assert_eq!(WireResponse::decode(&body(&answer)).unwrap().database_id().unwrap(), DatabaseId::FIRST);
}

#[test]
fn create() {
    let sent = bytes(
        "33000000 0200000000000000 0100000000000000 03 01000000
         01 0800 5f64656661756c74 0700000000000000 07000000 7b2261223a317d",
    );
    let expected = bytes("15000000 0200000000000000 00 08000000 01000000 00000000");

    let operations = [operation(|id| Action::Create(id, Document::parse(br#"{"a":1}"#).unwrap()))];
    assert_eq!(encoded(&WireRequest::execute(2, DatabaseId::FIRST, &operations).unwrap()), sent);
    let body_sent = body(&sent);
    let request = WireRequest::decode(&body_sent).unwrap();
    assert_eq!(request.database().unwrap(), DatabaseId::FIRST);
    assert_eq!(request.ops[0].to_operation().unwrap(), operations[0]);

    let mut answer = Vec::new();
    encode_executed(2, &[Ok(OperationReply::Written(TxId(1)))], &mut answer);
    assert_eq!(answer, expected);
    assert_eq!(WireResponse::decode(&body(&answer)).unwrap().executed().unwrap(), [b""]);
}

#[test]
fn read() {
    let sent = bytes(
        "2c000000 0300000000000000 0100000000000000 03 01000000
         02 0800 5f64656661756c74 0700000000000000 00000000",
    );
    let expected = bytes("1c000000 0300000000000000 00 0f000000 01000000 07000000 7b2261223a317d");

    let operations = [operation(Action::Read)];
    assert_eq!(encoded(&WireRequest::execute(3, DatabaseId::FIRST, &operations).unwrap()), sent);
    let body_sent = body(&sent);
    assert_eq!(WireRequest::decode(&body_sent).unwrap().ops[0].to_operation().unwrap(), operations[0]);

    let mut answer = Vec::new();
    let document = Document::parse(br#"{"a":1}"#).unwrap();
    encode_executed(3, &[Ok(OperationReply::Document(document))], &mut answer);
    assert_eq!(answer, expected);
    assert_eq!(WireResponse::decode(&body(&answer)).unwrap().executed().unwrap(), [br#"{"a":1}"#]);
}

#[test]
fn close_database() {
    let sent = bytes("15000000 0700000000000000 0100000000000000 02 00000000");
    assert_eq!(encoded(&WireRequest::new(7, Command::CloseDatabase, Some(DatabaseId::FIRST))), sent);
    let mut answer = Vec::new();
    encode_response(7, &Ok(Reply::Closed), &mut answer);
    assert_eq!(answer, bytes("0d000000 0700000000000000 00 00000000"));
}

#[test]
fn one_failed_op_gives_its_status_and_several_give_parts() {
    let failure = |code| Err(Error::new(code));
    let cases = [
        (ErrorCode::DocNotFound, Status::NotFound),
        (ErrorCode::DocExists, Status::Conflict),
        (ErrorCode::Conflict, Status::Conflict),
        (ErrorCode::MemoryLimit, Status::MemoryLimit),
        (ErrorCode::InvalidJson, Status::Error),
    ];
    for (code, status) in cases {
        let mut answer = Vec::new();
        encode_executed(9, &[failure(code)], &mut answer);
        let answer = body(&answer);
        let response = WireResponse::decode(&answer).unwrap();
        let text = match code {
            ErrorCode::InvalidJson => "payload must be valid JSON (forbidden prefixes: raw: hex:)",
            _ => code.text(),
        };
        assert_eq!((response.request_id, response.status, response.data), (9, status, text.as_bytes()));
        assert_eq!(response.outcome().unwrap_err().code(), code);
    }

    let mut answer = Vec::new();
    let results = [failure(ErrorCode::DocExists), Ok(OperationReply::Written(TxId(3)))];
    encode_executed(9, &results, &mut answer);
    let answer = body(&answer);
    let response = WireResponse::decode(&answer).unwrap();
    assert_eq!(response.status, Status::Ok);
    let parts = response.executed().unwrap();
    assert_eq!(part_outcome(parts[0]).unwrap_err().code(), ErrorCode::DocExists);
    assert_eq!(part_outcome(parts[1]).unwrap(), b"");
}

#[test]
fn an_error_is_its_text_alone() {
    let mut answer = Vec::new();
    encode_error(5, &ErrorCode::DocNotFound.into(), &mut answer);
    assert_eq!(&answer[..], [&bytes("1f000000 0500000000000000 02 12000000")[..], b"document not found"].concat());
}

#[test]
fn an_answer_above_the_frames_limit_becomes_an_error() {
    let header_bytes = 8 + 1 + 4;
    let largest = vec![b'1'; 16 * 1024 * 1024 - header_bytes];
    let mut answer = Vec::new();
    WireResponse { request_id: 4, status: Status::Ok, data: &largest }.encode(&mut answer);
    assert_eq!(WireResponse::decode(&body(&answer)).unwrap().outcome().unwrap().len(), largest.len());

    let one_more = [&largest[..], b"1"].concat();
    answer.clear();
    WireResponse { request_id: 4, status: Status::Ok, data: &one_more }.encode(&mut answer);
    let answered = body(&answer);
    let response = WireResponse::decode(&answered).unwrap();
    assert_eq!((response.request_id, response.status), (4, Status::Error));
    assert_eq!(response.outcome().unwrap_err().code(), ErrorCode::ResponseTooLarge);

    // Each of two documents fits, the two together do not.
    let half = Document::trusted(vec![b'1'; 9 * 1024 * 1024].into());
    let results = [Ok(OperationReply::Document(half.clone())), Ok(OperationReply::Document(half))];
    answer.clear();
    encode_executed(4, &results, &mut answer);
    let answered = body(&answer);
    let response = WireResponse::decode(&answered).unwrap();
    assert_eq!(response.outcome().unwrap_err().code(), ErrorCode::ResponseTooLarge);
}

#[test]
fn a_text_that_is_not_on_our_list_keeps_its_status_and_is_told() {
    let response = WireResponse { request_id: 1, status: Status::NotFound, data: b"gone fishing" };
    let error = response.outcome().unwrap_err();
    assert_eq!(error.code(), ErrorCode::DocNotFound);
    assert_eq!(error.context().unwrap().detail.as_deref(), Some("gone fishing"));
}

#[test]
fn scan_is_command_64() {
    let collection = CollectionName::parse("c").unwrap();
    let frame = encoded(&WireRequest::scan(6, DatabaseId::FIRST, &collection, u64::MAX));
    let expected = bytes("25000000 0600000000000000 0100000000000000 40 01000000 02 0100 63 ffffffffffffffff 00000000");
    assert_eq!(frame, expected);
    let body_sent = body(&frame);
    let request = WireRequest::decode(&body_sent).unwrap();
    assert_eq!(request.command, Command::Scan);
    assert_eq!(request.scan_start().unwrap(), (collection, u64::MAX));
}

fn op<'a>(action: WireAction<'a>, collection: &'a [u8], payload: &'a [u8]) -> WireOp<'a> {
    WireOp { action, collection, document_id: 0, payload }
}

#[test]
fn an_op_becomes_an_operation_or_an_error_of_its_own() {
    let refused = |op: WireOp<'_>| op.to_operation().unwrap_err().code();
    assert_eq!(op(WireAction::Read, b"", b"").to_operation().unwrap().collection.as_str(), "_default");
    assert_eq!(op(WireAction::Read, b"", b"ignored").to_operation().unwrap().action, Action::Read(DocumentId::FIRST));
    assert_eq!(op(WireAction::Delete, b"c", b"").to_operation().unwrap().action, Action::Delete(DocumentId::FIRST));
    assert_eq!(refused(op(WireAction::Read, b"a.b", b"")), ErrorCode::InvalidCollectionName);
    assert_eq!(refused(op(WireAction::Read, b"\xff", b"")), ErrorCode::InvalidCollectionName);
    assert_eq!(refused(op(WireAction::Create, b"", b"{")), ErrorCode::InvalidJson);
    assert_eq!(refused(op(WireAction::Update, b"", b"")), ErrorCode::InvalidJson);
    for number in [0, 5, 6, 8, 9, 10, 255] {
        assert_eq!(refused(op(WireAction::Unknown(number), b"", b"{}")), ErrorCode::UnknownOperation);
    }
}

/// The layout of an op with a patch: the patch stands between the document id and the payload.
#[test]
fn a_patch_has_a_field_of_its_own() {
    // The last byte lies behind the last op and is ignored.
    let body_sent = body(&bytes(
        "2c000000 0100000000000000 0100000000000000 03 01000000
         07 0000 0500000000000000 02000000 5b5d 01000000 78 ff",
    ));
    let request = WireRequest::decode(&body_sent).unwrap();
    let expected = WireOp { action: WireAction::Patch(b"[]"), collection: b"", document_id: 5, payload: b"x" };
    assert_eq!(request.ops, [expected]);
}

#[test]
fn what_is_no_request_is_refused_with_its_id_where_there_is_one() {
    let good = body(&bytes(
        "2c000000 0300000000000000 0100000000000000 03 01000000 02 0800 5f64656661756c74 0700000000000000 00000000",
    ));
    for length in 0..good.len() {
        let refused = WireRequest::decode(&good[..length]).unwrap_err();
        if length < 8 {
            assert_eq!((refused.request_id, refused.error.code()), (None, ErrorCode::InvalidRequestId));
        } else {
            assert_eq!((refused.request_id, refused.error.code()), (Some(3), ErrorCode::InvalidFrame));
        }
    }
    assert!(WireRequest::decode(&[&good[..], b"behind the last op"].concat()).is_ok());

    // 65,535 ops are legal, one more is not, however many bytes there are.
    for (count, legal) in [(65_535_u32, true), (65_536, false), (u32::MAX, false)] {
        let mut many = good[..17].to_vec();
        many.extend_from_slice(&count.to_le_bytes());
        many.extend(std::iter::repeat_n([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 65_536).flatten());
        assert_eq!(WireRequest::decode(&many).is_ok(), legal, "{count}");
    }
}

/// Else 21 bytes could have megabytes set aside: each count is refused where it stands, before its items.
#[test]
fn a_count_without_the_bytes_for_it_is_refused_at_once() {
    let offset = |error: &Error| error.context().and_then(|context| context.offset);
    let header = bytes("0300000000000000 0100000000000000 03");
    let request = [&header[..], &2_u32.to_le_bytes(), &[2; 29]].concat();
    let refused = WireRequest::decode(&request).unwrap_err();
    assert_eq!((refused.error.code(), offset(&refused.error)), (ErrorCode::InvalidFrame, Some(21)));

    let data = [&3_u32.to_le_bytes()[..], &[0; 11]].concat();
    let error = WireResponse { request_id: 1, status: Status::Ok, data: &data }.executed().unwrap_err();
    assert_eq!((error.code(), offset(&error)), (ErrorCode::InvalidFrame, Some(4)));

    let page = [&[1][..], &2_u32.to_le_bytes(), &[0; 23]].concat();
    let error = ScanReply::decode(&page).unwrap_err();
    assert_eq!((error.code(), offset(&error)), (ErrorCode::InvalidFrame, Some(5)));
}

#[test]
fn a_request_that_cannot_be_sent_is_refused_and_leaves_nothing_behind() {
    let mut out = b"before".to_vec();
    let request = |ops| WireRequest { request_id: 1, database_id: 1, command: Command::Execute, ops };
    let long_name = vec![b'x'; 65_536];
    let error = request(vec![op(WireAction::Read, &long_name, b"")]).encode(&mut out).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidCollectionName);
    let error = request(vec![op(WireAction::Read, b"", b""); 65_536]).encode(&mut out).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
    let large = vec![b'1'; 16 * 1024 * 1024];
    let error = request(vec![op(WireAction::Create, b"", &large)]).encode(&mut out).unwrap_err();
    assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
    assert_eq!(out, b"before");
}

/// The messages of FORMAT.md: what each `>` line asks, and what each `<` line answers.
#[test]
fn the_examples_of_the_format_page_are_what_is_written() {
    let text = include_str!("../../FORMAT.md").split("## Wire, version 1").next().expect("a text has a beginning");
    let messages = |mark: &str| -> Vec<Vec<u8>> {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(mark)).map(bytes).collect()
    };
    let (requests, answers) = (messages("> "), messages("< "));
    assert_eq!((requests.len(), answers.len()), (2, 2));
    let read = [operation(Action::Read)];
    assert_eq!(encoded(&WireRequest::execute(3, DatabaseId::FIRST, &read).unwrap()), requests[0]);
    let mut answer = Vec::new();
    encode_executed(3, &[Ok(OperationReply::Document(Document::parse(b"{\"a\":1}").unwrap()))], &mut answer);
    assert_eq!(answer, answers[0]);
    let books = CollectionName::parse("books").unwrap();
    assert_eq!(encoded(&WireRequest::scan(4, DatabaseId::FIRST, &books, 0)), requests[1]);
    let mut page = ScanReplyBuilder::new();
    assert!(page.push(5, Some(b"{}")) && page.push(6, None));
    page.texts();
    let mut answer = Vec::new();
    encode_ok(4, &page.finish(), &mut answer);
    assert_eq!(answer, answers[1]);
}
