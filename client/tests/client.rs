//! The client against a stream that says what a test wrote down: orders, losses, and answers that make no sense.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::cell::RefCell;
use std::io::{self, Cursor, Read, Write};
use std::rc::Rc;

use docdb_client::{Answer, Answered, Call, Client, Failure, Figures, Welcome};
use docdb_protocol::wire::v1::{MAGIC, Received, frame_reader};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, Document, Error, ErrorCode, Operation, TxId, wire,
};

/// What a server would say, and what was sent to it.
struct Stream {
    said: Cursor<Vec<u8>>,
    /// How much may be sent before the stream breaks.
    takes_bytes: usize,
    sent: Rc<RefCell<Vec<u8>>>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.said.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = self.sent.borrow_mut();
        if sent.len() >= self.takes_bytes {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.takes_bytes - sent.len());
        sent.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A greeted client, over a server that then says these answers; and what is sent to that.
fn client(under_way_max: u64, answers: &[(u64, Result<Answer, Error>)]) -> (Client<Stream>, Rc<RefCell<Vec<u8>>>) {
    client_over(under_way_max, answers, usize::MAX)
}

fn client_over(
    under_way_max: u64,
    answers: &[(u64, Result<Answer, Error>)],
    takes_bytes: usize,
) -> (Client<Stream>, Rc<RefCell<Vec<u8>>>) {
    let limits = Figures::new().with("requests_under_way_max", under_way_max);
    let welcome = Welcome { version: 1, features: 0, server: "a server".to_owned(), limits };
    let mut said = MAGIC.to_vec();
    Answered { request_id: 1, outcome: Ok(Answer::Welcome(welcome)) }.encode(&mut said);
    for (request_id, outcome) in answers.iter().cloned() {
        Answered { request_id, outcome }.encode(&mut said);
    }
    let sent = Rc::default();
    let stream = Stream { said: Cursor::new(said), takes_bytes, sent: Rc::clone(&sent) };
    let client = Client::over(stream).unwrap();
    assert!(sent.borrow().starts_with(MAGIC));
    (client, sent)
}

fn greeting_bytes() -> usize {
    let (_, sent) = client(1, &[]);
    sent.borrow().len()
}

fn put() -> Call {
    let action = Action::Put(1_u64.into(), Document::parse(b"1").unwrap());
    let operations = vec![Operation { collection: CollectionName::default_collection(), action }];
    Call::Execute { database: DatabaseId::FIRST, atomicity: Atomicity::EachAlone, operations }
}

#[test]
fn answers_find_their_calls_in_whichever_order_they_come() {
    let count = |documents| Ok(Answer::Count(documents));
    let (mut client, _) =
        client(8, &[(4, count(40)), (2, count(20)), (3, Err(ErrorCode::DbNotFound.into())), (5, count(50))]);
    let begun: Vec<u64> = (0..4).map(|_| client.begin(&Call::Statistics).unwrap()).collect();
    assert_eq!((begun.as_slice(), client.under_way()), (&[2, 3, 4, 5][..], 4));
    assert_eq!(client.finish(2).unwrap(), Answer::Count(20));
    let Err(Failure::Refused(error)) = client.finish(3) else { panic!("it is refused") };
    assert_eq!(error.code(), ErrorCode::DbNotFound);
    let next: Vec<u64> = (0..2).map(|_| client.next_answer().unwrap().request_id).collect();
    assert_eq!((next, client.under_way()), (vec![4, 5], 0));
}

#[test]
fn no_more_calls_are_under_way_than_the_server_takes() {
    let answers: Vec<(u64, Result<Answer, Error>)> = (2..12).map(|id| (id, Ok(Answer::Count(id)))).collect();
    let (mut client, sent) = client(3, &answers);
    for _ in 0..10 {
        client.begin(&Call::Statistics).unwrap();
        assert!(client.under_way() <= 3);
    }
    for request_id in 2..12 {
        assert_eq!(client.finish(request_id).unwrap(), Answer::Count(request_id));
    }
    // Each was sent once.
    let (sent, mut reader) = (sent.borrow(), frame_reader());
    let mut frames = &sent[MAGIC.len()..];
    let mut ids = Vec::new();
    while let Some(body) = reader.next_body(&mut frames).unwrap() {
        ids.push(Received::decode(&body).unwrap().request_id);
    }
    assert!(ids.iter().copied().eq(1..12), "{ids:?}");
}

#[test]
fn a_lost_call_says_whether_it_can_have_been_carried_out() {
    let greeting = greeting_bytes();
    // Nothing, or not all, of it could be sent.
    for takes in [greeting, greeting + 5] {
        let (mut client, _) = client_over(8, &[], takes);
        let lost = client.call(&put()).unwrap_err();
        assert!(matches!(lost, Failure::NotSent(_)), "{lost}");
        assert_eq!(Error::from(lost).code(), ErrorCode::ConnectionLost);
        // And the client is over.
        assert!(matches!(client.call(&Call::Statistics), Err(Failure::NotSent(_))));
    }
    // All of it, and there is no answer.
    for (call, is_harmless, code) in
        [(put(), false, ErrorCode::OutcomeUnknown), (Call::Databases, true, ErrorCode::ConnectionLost)]
    {
        let (mut client, _) = client(8, &[]);
        let lost = client.call(&call).unwrap_err();
        assert!(matches!(lost, Failure::NotAnswered { is_harmless: is, .. } if is == is_harmless), "{lost}");
        assert_eq!(Error::from(lost).code(), code);
    }
    // Of several under way, those in front may have been sent whole.
    let (mut client, _) = client_over(8, &[], greeting + 60);
    for _ in 0..5 {
        client.begin(&put()).unwrap();
    }
    assert!(matches!(client.next_answer(), Err(Failure::NotAnswered { is_harmless: false, .. })));
}

#[test]
fn an_answer_that_makes_no_sense_ends_the_connection() {
    let stopped = || Err(ErrorCode::PoolStopped.into());
    for (answers, code) in [
        (vec![(9, Ok(Answer::Closed))], ErrorCode::InvalidRequestId),
        (vec![(0, stopped())], ErrorCode::PoolStopped),
        (vec![(2, Ok(Answer::Patched(TxId(1))))], ErrorCode::InvalidFrame),
    ] {
        let (mut client, _) = client(8, &answers);
        let refused = client.statistics().unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
    let (mut client, _) = client(8, &[(9, Ok(Answer::Closed)), (2, Ok(Answer::Closed))]);
    let _ = client.statistics();
    assert!(matches!(client.call(&Call::Statistics), Err(Failure::NotSent(_))), "nothing is believed behind it");
}

#[test]
fn a_server_that_refuses_in_version_0_or_is_none_of_ours_is_understood() {
    let refused = |request_id, code: ErrorCode| {
        let mut frame = Vec::new();
        wire::encode_error(request_id, &code.into(), &mut frame);
        frame
    };
    for (said, code) in [
        (refused(0, ErrorCode::TooManyConnections), ErrorCode::TooManyConnections),
        (refused(0x1f_5249_5742, ErrorCode::FrameTooLarge), ErrorCode::UnsupportedVersion),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), ErrorCode::InvalidFrame),
        (b"hello".to_vec(), ErrorCode::ConnectionLost),
    ] {
        for takes_bytes in [0, usize::MAX] {
            let stream = Stream { said: Cursor::new(said.clone()), takes_bytes, sent: Rc::default() };
            let error = Error::from(Client::over(stream).err().unwrap());
            assert_eq!(error.code(), code, "{error}");
        }
    }
}
