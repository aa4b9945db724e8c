//! Fuzzing the wire codec: it never panics, what it encodes it decodes to the same, how a stream is split
//! makes no difference, and memory follows what has come, not what was announced.
//!
//! Bounded under `cargo test`; `cargo bolero test` runs the same without end.

#![allow(clippy::unwrap_used, reason = "a helper of tests, like a test, fails where it stands")]

use bolero::TypeGenerator;
use docdb_protocol::wire::{
    Command, FrameReader, RefusedFrame, ScanReply, ScanReplyBuilder, Scanned, Status, WireAction, WireOp, WireRequest,
    WireResponse, listing, part_outcome, stats,
};
use docdb_protocol::{ErrorCode, Stats};

/// The frames of a stream that came in the given pieces, the refusal that ended it, if any, and whether it
/// ended within a frame.
fn frames(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<RefusedFrame>, bool) {
    let mut reader = FrameReader::new();
    let mut bodies = Vec::new();
    let mut received = 0;
    for piece in pieces {
        let mut rest = *piece;
        received += piece.len();
        loop {
            match reader.next_body(&mut rest) {
                Ok(Some(body)) => bodies.push(body),
                Ok(None) => break,
                Err(refused) => return (bodies, Some(refused), reader.is_within_frame()),
            }
        }
        assert!(rest.is_empty(), "what is not a body yet is kept by the reader");
        assert!(reader.bytes_allocated() <= 2 * received, "{} of {received}", reader.bytes_allocated());
    }
    (bodies, None, reader.is_within_frame())
}

/// The frames of a stream whose reader is never given a byte that may belong to the next one, as a client without a buffer
/// reads. A body of nothing needs no further byte.
fn frames_by_what_is_missing(stream: &[u8], piece_bytes_max: usize) -> (Vec<Vec<u8>>, Option<RefusedFrame>, bool) {
    let (mut reader, mut bodies, mut rest) = (FrameReader::new(), Vec::new(), stream);
    loop {
        let wanted = reader.bytes_missing().min(piece_bytes_max.max(1));
        let (mut piece, behind) = rest.split_at(wanted.min(rest.len()));
        let is_end = wanted > 0 && piece.is_empty();
        rest = behind;
        match reader.next_body(&mut piece) {
            Ok(Some(body)) => bodies.push(body),
            Ok(None) if is_end => return (bodies, None, reader.is_within_frame()),
            Ok(None) => {}
            Err(refused) => return (bodies, Some(refused), reader.is_within_frame()),
        }
        assert!(piece.is_empty(), "what a reader misses it takes");
    }
}

fn split<'a>(stream: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = stream;
    for &length in lengths {
        let (piece, behind) = rest.split_at(usize::from(length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

#[test]
fn a_stream_of_any_bytes_gives_the_same_frames_however_it_is_split() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>)>().with_iterations(20_000).for_each(|(stream, lengths)| {
        let whole = frames(&[stream]);
        assert_eq!(frames(&split(stream, lengths)), whole);
        assert_eq!(frames_by_what_is_missing(stream, lengths.len()), whole);
    });
}

#[test]
fn a_stream_of_frames_gives_their_bodies_however_it_is_split() {
    bolero::check!().with_type::<(Vec<Vec<u8>>, Vec<u8>)>().with_iterations(20_000).for_each(|(bodies, lengths)| {
        let mut stream = Vec::new();
        for body in bodies {
            stream.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
            stream.extend_from_slice(body);
        }
        let (read, refused, within) = frames(&split(&stream, lengths));
        assert_eq!((&read, refused, within), (bodies, None, false));
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(&frames(&single).0, bodies);
        assert_eq!(&frames_by_what_is_missing(&stream, lengths.len()).0, bodies);
    });
}

/// After every single piece the reader holds at most twice the body's bytes that have come.
#[test]
fn memory_follows_what_has_come() {
    bolero::check!().with_type::<(u32, Vec<Vec<u8>>)>().with_iterations(20_000).for_each(|(length, pieces)| {
        let length = length % (16 * 1024 * 1024 + 1);
        let mut reader = FrameReader::new();
        assert!(matches!(reader.next_body(&mut &length.to_le_bytes()[..]), Ok(None | Some(_))));
        assert_eq!(reader.bytes_allocated(), 0);
        let mut received = 0;
        for piece in pieces {
            received += piece.len();
            if received >= length as usize || !matches!(reader.next_body(&mut &piece[..]), Ok(None)) {
                break;
            }
            assert!(reader.bytes_allocated() <= 2 * received, "{} of {received}", reader.bytes_allocated());
        }
    });
}

#[test]
fn any_body_is_decoded_or_refused() {
    bolero::check!().with_iterations(20_000).for_each(|body: &[u8]| {
        decode_everything(body);
        // The same behind a plausible header, so that ops are reached.
        let header = [&[0; 16][..], &[3], &u32::from(body.len() as u8 % 8).to_le_bytes()].concat();
        decode_everything(&[&header[..], body].concat());
    });
}

fn decode_everything(body: &[u8]) {
    match WireRequest::decode(body) {
        Ok(request) => {
            assert!(request.ops.capacity() <= body.len() / 15);
            let _ = (request.database(), request.database_name(), request.scan_start());
            for op in &request.ops {
                if let Ok(operation) = op.to_operation() {
                    assert_eq!(WireOp::from_operation(&operation).unwrap().to_operation().unwrap(), operation);
                }
            }
            assert_round_trip(&request);
        }
        Err(refused) => assert_eq!(refused.request_id.is_none(), body.len() < 8),
    }
    if let Ok(response) = WireResponse::decode(body) {
        let _ = (response.outcome().is_ok(), response.database_id().is_ok(), response.executed().is_ok());
        assert_round_trip_of_response(&response);
    }
    if let Ok(page) = ScanReply::decode(body) {
        assert!(page.documents.capacity() <= body.len() / 12);
    }
    let all_ok = WireResponse { request_id: 0, status: Status::Ok, data: body };
    if let Ok(parts) = all_ok.executed() {
        assert!(parts.capacity() <= body.len() / 4);
    }
    let _ = (part_outcome(body).is_ok(), stats::decode(body).is_ok());
    let _ = (listing::databases_from_json(body).is_ok(), listing::collections_from_json(body).is_ok());
}

#[derive(Debug, TypeGenerator)]
struct AnyRequest {
    request_id: u64,
    database_id: u64,
    command: u8,
    ops: Vec<AnyOp>,
    behind: Vec<u8>,
}

#[derive(Debug, TypeGenerator)]
struct AnyOp {
    kind: u8,
    collection: Vec<u8>,
    document_id: u64,
    patch: Vec<u8>,
    payload: Vec<u8>,
}

impl AnyOp {
    fn wire(&self) -> WireOp<'_> {
        let action = match self.kind % 16 {
            1 => WireAction::Create,
            2 => WireAction::Read,
            3 => WireAction::Update,
            4 => WireAction::Delete,
            7 => WireAction::Patch(&self.patch),
            other => WireAction::Unknown(other),
        };
        WireOp { action, collection: &self.collection, document_id: self.document_id, payload: &self.payload }
    }
}

#[test]
fn a_request_is_decoded_to_what_was_encoded() {
    bolero::check!().with_type::<AnyRequest>().with_iterations(20_000).for_each(|any| {
        let request = WireRequest {
            request_id: any.request_id,
            database_id: any.database_id,
            command: Command::from_number(any.command),
            ops: any.ops.iter().map(AnyOp::wire).collect(),
        };
        assert_eq!(request.command.number(), any.command);
        let body = assert_round_trip(&request);
        let followed = [&body[..], &any.behind].concat();
        assert_eq!(WireRequest::decode(&followed).unwrap(), request, "bytes behind the last op are ignored");
        if let Some(cut) = body.len().checked_sub(1 + any.behind.len()) {
            let refused = WireRequest::decode(&body[..cut]).unwrap_err();
            assert!(matches!(refused.error.code(), ErrorCode::InvalidFrame | ErrorCode::InvalidRequestId));
        }
    });
}

fn assert_round_trip(request: &WireRequest<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    request.encode(&mut frame).unwrap();
    let (mut bodies, refused, within) = frames(&[&frame]);
    assert_eq!((bodies.len(), refused, within), (1, None, false));
    let body = bodies.remove(0);
    assert_eq!(&WireRequest::decode(&body).unwrap(), request);
    body
}

#[test]
fn a_response_is_decoded_to_what_was_encoded() {
    bolero::check!().with_type::<(u64, u8, Vec<u8>)>().with_iterations(20_000).for_each(
        |(request_id, status, data)| {
            let Some(status) = Status::from_number(status % 8) else { return };
            assert_round_trip_of_response(&WireResponse { request_id: *request_id, status, data });
        },
    );
}

fn assert_round_trip_of_response(response: &WireResponse<'_>) {
    let mut frame = Vec::new();
    response.encode(&mut frame);
    let (bodies, ..) = frames(&[&frame]);
    assert_eq!(&WireResponse::decode(&bodies[0]).unwrap(), response);
    assert!(WireResponse::decode(&bodies[0][..bodies[0].len() - 1]).is_err());
    assert!(WireResponse::decode(&[&bodies[0][..], b"x"].concat()).is_err());
}

#[test]
fn a_page_is_decoded_to_what_was_gathered() {
    bolero::check!().with_type::<Vec<(u64, Option<Vec<u8>>)>>().with_iterations(20_000).for_each(|documents| {
        let mut builder = ScanReplyBuilder::new();
        for (id, bytes) in documents {
            assert!(builder.push(*id, bytes.as_deref()));
        }
        let data = builder.finish();
        let page = ScanReply::decode(&data).unwrap();
        assert!(!page.more && !page.lost);
        assert_eq!(page.documents.len(), documents.len());
        for ((id, got), (expected_id, bytes)) in page.documents.iter().zip(documents) {
            let expected = bytes.as_deref().map_or(Scanned::Damaged, Scanned::Document);
            assert_eq!((id, *got), (expected_id, expected));
        }
    });
}

#[test]
fn stats_are_decoded_to_what_was_encoded() {
    bolero::check!().with_type::<[u64; 5]>().with_iterations(5_000).for_each(|counts| {
        let [databases, databases_open, transactions, log_bytes, memory_bytes] = *counts;
        let counted = Stats { databases, databases_open, transactions, log_bytes, memory_bytes };
        assert_eq!(stats::decode(&stats::encode(&counted)).unwrap(), counted);
    });
}

/// Small enough to be tried whole: every number of a command, and every number of a status.
#[test]
fn every_number_of_a_command_and_of_a_status_means_itself() {
    bolero::check!().with_type::<u8>().exhaustive().for_each(|number| {
        assert_eq!(Command::from_number(*number).number(), *number);
        let data = [0_u8; 0];
        if let Some(status) = Status::from_number(*number) {
            assert_eq!(status.number(), *number);
            assert_round_trip_of_response(&WireResponse { request_id: 0, status, data: &data });
        }
    });
}

/// Every stream of two bytes, behind every split of it: a frame begins only with a whole length.
#[test]
fn every_start_of_a_length_waits_for_the_rest() {
    bolero::check!().with_type::<[u8; 2]>().exhaustive().for_each(|bytes| {
        let (bodies, refused, within) = frames(&[&bytes[..1], &bytes[1..]]);
        assert_eq!((bodies.len(), refused, within), (0, None, true));
    });
}
