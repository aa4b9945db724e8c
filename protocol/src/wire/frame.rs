//! Frames: a stream cut into bodies, and bodies put into a stream.
//!
//! The daemon and its clients read frames with the same reader. Its invariants: it holds at most twice the bytes it was
//! given for the body in hand (and a few bytes), and at most [`ROOM_BYTES_MAX`] more than it was given, whatever
//! length was announced; how the stream is split makes no difference; once it has refused a frame it takes nothing more,
//! for where the next frame would begin is unknown or not worth waiting for.
//!
//! It never does IO and knows nothing of time: its caller bounds how long it waits for the rest of a frame, and may read
//! no more at once than [`FrameReader::bytes_missing`] says, if it wants nothing of the frame behind.

use crate::error::{Error, ErrorCode};
use crate::limits::FRAME_BODY_BYTES_MAX;

/// Bytes of the length in front of every body.
const LENGTH_BYTES: usize = 4;

/// Bytes of the request id, first in every body.
const REQUEST_ID_BYTES: usize = 8;

/// The reader sets aside at most this much for bytes of a body that have not come.
const ROOM_BYTES_MAX: usize = 1024 * 1024;

/// Cuts what a peer sends into bodies, from slices of any size.
///
/// ```
/// use docdb_protocol::wire::FrameReader;
///
/// let mut reader = FrameReader::new();
/// let mut received: &[u8] = &[2, 0, 0, 0, b'h', b'i', 1, 0];
/// assert_eq!(reader.next_body(&mut received).unwrap().unwrap(), b"hi");
/// assert_eq!(reader.next_body(&mut received).unwrap(), None); // more has to come
/// assert!(received.is_empty() && reader.is_within_frame());
/// ```
#[derive(Debug)]
pub struct FrameReader {
    state: State,
    body_bytes_max: usize,
}

/// Of version 0.
impl Default for FrameReader {
    fn default() -> FrameReader {
        FrameReader::with_limit(FRAME_BODY_BYTES_MAX)
    }
}

/// A frame that can never become a body. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFrame {
    /// Whom to answer.
    pub request_id: u64,
    /// The length that was announced.
    pub body_bytes: u32,
    /// The longest that is taken.
    pub body_bytes_max: usize,
}

#[derive(Debug)]
enum State {
    /// The length is coming; `count` of its bytes are here.
    Length { bytes: [u8; LENGTH_BYTES], count: usize },
    /// The length is within the limit; the body is coming.
    Body { length: usize, received: Vec<u8> },
    /// The length is above the limit. The request id is read on for, so that the refusal finds its request.
    TooLarge { length: u32, id: [u8; REQUEST_ID_BYTES], count: usize },
    /// Refused, and refused again whatever comes.
    Refused(RefusedFrame),
}

impl Default for State {
    fn default() -> State {
        State::Length { bytes: [0; LENGTH_BYTES], count: 0 }
    }
}

impl FrameReader {
    /// A reader at the start of a stream of version 0.
    #[must_use]
    pub fn new() -> FrameReader {
        FrameReader::default()
    }

    /// A reader of bodies of up to so many bytes, at the start of a stream.
    #[must_use]
    pub fn with_limit(body_bytes_max: usize) -> FrameReader {
        FrameReader { state: State::default(), body_bytes_max }
    }

    /// Takes bytes off the front of `input` until a body is complete, and answers the body; `None` when
    /// `input` is used up before that. What is left in `input` belongs to the next frame.
    ///
    /// # Errors
    /// [`RefusedFrame`] for a length above the limit, as soon as the request id behind the
    /// length is here too; the same again at every later call. In between,
    /// [`FrameReader::is_refusing`] tells.
    pub fn next_body(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, RefusedFrame> {
        loop {
            match &mut self.state {
                State::Length { bytes, count } => {
                    if !fill(bytes, count, input) {
                        return Ok(None);
                    }
                    self.state = State::for_length(u32::from_le_bytes(*bytes), self.body_bytes_max);
                }
                State::Body { length, received } => {
                    take_body(*length, received, input);
                    if received.len() < *length {
                        return Ok(None);
                    }
                    let body = std::mem::take(received);
                    self.state = State::default();
                    return Ok(Some(body));
                }
                State::TooLarge { length, id, count } => {
                    if !fill(id, count, input) {
                        return Ok(None);
                    }
                    let request_id = u64::from_le_bytes(*id);
                    let body_bytes_max = self.body_bytes_max;
                    self.state = State::Refused(RefusedFrame { request_id, body_bytes: *length, body_bytes_max });
                }
                State::Refused(refused) => return Err(refused.clone()),
            }
        }
    }

    /// Whether the stream, if it ended here, would end within a frame.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        !matches!(self.state, State::Length { count: 0, .. })
    }

    /// Whether the frame in hand is too large already, so that at most its request id is worth waiting
    /// for, and not for long.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        matches!(self.state, State::TooLarge { .. } | State::Refused(_))
    }

    /// The length of the body in hand, once it is known and within the limit.
    #[must_use]
    pub fn body_bytes(&self) -> Option<usize> {
        match &self.state {
            State::Body { length, .. } => Some(*length),
            State::Length { .. } | State::TooLarge { .. } | State::Refused(_) => None,
        }
    }

    /// How many bytes of the frame in hand have come, those of its length included.
    #[must_use]
    pub fn bytes_received(&self) -> usize {
        match &self.state {
            State::Length { count, .. } => *count,
            State::Body { received, .. } => LENGTH_BYTES + received.len(),
            State::TooLarge { count, .. } => LENGTH_BYTES + count,
            State::Refused(_) => LENGTH_BYTES + REQUEST_ID_BYTES,
        }
    }

    /// How many further bytes belong to the frame in hand for certain: those that its length still misses, then those that
    /// its body misses. None belong to one that is refused.
    #[must_use]
    pub fn bytes_missing(&self) -> usize {
        match &self.state {
            State::Length { count, .. } => LENGTH_BYTES - count,
            State::Body { length, received } => length - received.len(),
            State::TooLarge { count, .. } => REQUEST_ID_BYTES - count,
            State::Refused(_) => 0,
        }
    }

    /// The request id of the frame in hand, once it has come.
    #[must_use]
    pub fn request_id(&self) -> Option<u64> {
        match &self.state {
            State::Body { received, .. } => {
                received.first_chunk::<REQUEST_ID_BYTES>().map(|id| u64::from_le_bytes(*id))
            }
            State::Refused(refused) => Some(refused.request_id),
            State::Length { .. } | State::TooLarge { .. } => None,
        }
    }

    /// Bytes of memory set aside for the body in hand.
    #[must_use]
    pub fn bytes_allocated(&self) -> usize {
        match &self.state {
            State::Body { received, .. } => received.capacity(),
            State::Length { .. } | State::TooLarge { .. } | State::Refused(_) => 0,
        }
    }
}

impl State {
    fn for_length(length: u32, body_bytes_max: usize) -> State {
        match usize::try_from(length) {
            Ok(length) if length <= body_bytes_max => State::Body { length, received: Vec::new() },
            _ => State::TooLarge { length, id: [0; REQUEST_ID_BYTES], count: 0 },
        }
    }
}

impl RefusedFrame {
    /// `FrameTooLarge`, with the length that was announced.
    #[must_use]
    pub fn error(&self) -> Error {
        let detail = format!("{} bytes, at most {}", self.body_bytes, self.body_bytes_max);
        Error::new(ErrorCode::FrameTooLarge).detail(detail)
    }
}

/// Moves bytes from `input` until `bytes` is full, and tells whether it is.
fn fill(bytes: &mut [u8], count: &mut usize, input: &mut &[u8]) -> bool {
    let taken = input.len().min(bytes.len() - *count);
    let (front, rest) = input.split_at(taken);
    bytes[*count..*count + taken].copy_from_slice(front);
    *count += taken;
    *input = rest;
    *count == bytes.len()
}

/// Moves bytes of the body. The room at most doubles each time, so that a body in small pieces is not
/// copied over and over, and grows by at most [`ROOM_BYTES_MAX`] beyond what has come; it never exceeds the body.
fn take_body(length: usize, received: &mut Vec<u8>, input: &mut &[u8]) {
    let taken = input.len().min(length - received.len());
    let (front, rest) = input.split_at(taken);
    if received.capacity() - received.len() < taken {
        let room = taken.max(received.len().min(ROOM_BYTES_MAX)).min(length - received.len());
        received.reserve_exact(room);
    }
    received.extend_from_slice(front);
    *input = rest;
}

/// Puts a body of at most [`FRAME_BODY_BYTES_MAX`] bytes, of a length known beforehand, into `out`.
pub(super) fn begin(out: &mut Vec<u8>, body_bytes: usize) {
    assert!(body_bytes <= FRAME_BODY_BYTES_MAX, "the caller has refused what is too large");
    out.reserve(LENGTH_BYTES + body_bytes);
    put_length(out, body_bytes);
}

/// Puts a length that a bound of the frame or of an op has limited before.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("a length within a frame fits");
    out.extend_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_legal_and_one_more_is_refused_with_its_request_id() {
        let mut reader = FrameReader::new();
        assert_eq!(reader.next_body(&mut &16_777_216_u32.to_le_bytes()[..]), Ok(None));
        assert!(!reader.is_refusing());
        assert_eq!(reader.bytes_allocated(), 0);

        let mut reader = FrameReader::new();
        assert_eq!(reader.next_body(&mut &16_777_217_u32.to_le_bytes()[..]), Ok(None));
        assert!(reader.is_refusing() && reader.is_within_frame());
        assert_eq!(reader.next_body(&mut &[7, 0, 0][..]), Ok(None));
        let refused = RefusedFrame { request_id: 7, body_bytes: 16_777_217, body_bytes_max: FRAME_BODY_BYTES_MAX };
        let mut rest: &[u8] = &[0, 0, 0, 0, 0, 99];
        assert_eq!(reader.next_body(&mut rest), Err(refused.clone()));
        assert_eq!(rest, [99], "nothing behind the request id is taken");
        assert_eq!(reader.next_body(&mut rest), Err(refused.clone()));
        assert_eq!(refused.error().code(), ErrorCode::FrameTooLarge);
    }

    #[test]
    fn a_whole_body_of_the_largest_size_arrives_in_pieces() {
        let body = vec![0x5a; FRAME_BODY_BYTES_MAX];
        let mut stream = Vec::new();
        begin(&mut stream, body.len());
        stream.extend_from_slice(&body);
        let mut reader = FrameReader::new();
        let mut arrived = None;
        for (index, mut piece) in stream.chunks(65_537).enumerate() {
            assert!(arrived.is_none());
            arrived = reader.next_body(&mut piece).unwrap();
            assert!(piece.is_empty());
            let came = (index + 1) * 65_537;
            let spare = reader.bytes_allocated().saturating_sub(came);
            assert!(spare <= ROOM_BYTES_MAX, "{spare} bytes are set aside for what has not come, behind {came}");
        }
        assert!(arrived.unwrap() == body);
        assert!(!reader.is_within_frame());
    }

    #[test]
    fn a_reader_says_what_it_has_and_what_it_misses() {
        let frame = [&12_u32.to_le_bytes()[..], &7_u64.to_le_bytes(), b"body"].concat();
        let mut reader = FrameReader::new();
        for (count, byte) in frame.iter().enumerate() {
            assert_eq!(reader.bytes_received(), count);
            let end = if count < LENGTH_BYTES { LENGTH_BYTES } else { frame.len() };
            assert_eq!(reader.bytes_missing(), end - count);
            assert_eq!(reader.body_bytes(), (count >= LENGTH_BYTES).then_some(12));
            assert_eq!(reader.request_id(), (count >= 12).then_some(7));
            let body = reader.next_body(&mut &[*byte][..]).unwrap();
            assert_eq!(body.is_some(), count + 1 == frame.len());
        }
        assert_eq!((reader.bytes_received(), reader.bytes_missing(), reader.body_bytes()), (0, LENGTH_BYTES, None));
    }

    #[test]
    fn an_empty_body_is_a_body() {
        let mut input: &[u8] = &[0; 8];
        let mut reader = FrameReader::new();
        assert_eq!(reader.next_body(&mut input), Ok(Some(Vec::new())));
        assert_eq!(reader.next_body(&mut input), Ok(Some(Vec::new())));
        assert_eq!(reader.next_body(&mut input), Ok(None));
    }
}
