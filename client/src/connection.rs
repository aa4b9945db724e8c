//! Frames over a stream: what is to be sent is gathered, what comes is cut into answers.
//!
//! Once anything went wrong with the stream it is over, and says so to whoever asks next. It never decides what to do about it.

use std::io::{self, Read, Write};

use docdb_protocol::wire::v1::{Answered, Call, MAGIC, frame_reader};
use docdb_protocol::wire::{FrameReader, WireResponse};
use docdb_protocol::{Error, ErrorCode};

use crate::failure::Failure;

/// The stream is read in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Connection<S> {
    stream: S,
    reader: FrameReader,
    unsent: Vec<u8>,
    /// What was read last, and from where on it has not been given to the reader.
    piece: Vec<u8>,
    start: usize,
    is_over: bool,
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Connection<S> {
        let (reader, unsent) = (frame_reader(), MAGIC.to_vec());
        Connection { stream, reader, unsent, piece: Vec::new(), start: 0, is_over: false }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    pub(crate) fn put(&mut self, call: &Call, request_id: u64) -> Result<(), Error> {
        call.encode(request_id, &mut self.unsent)
    }

    pub(crate) fn send(&mut self) -> io::Result<()> {
        if self.is_over {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let unsent = std::mem::take(&mut self.unsent);
        let sent = self.stream.write_all(&unsent).and_then(|()| self.stream.flush());
        self.is_over |= sent.is_err();
        sent
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Nothing more is sent or received.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    /// Sends hello, and takes the server's first bytes and its first answer.
    pub(crate) fn greeting(&mut self) -> Result<Answered, Failure> {
        let sent = self.send();
        let mut magic = [0; MAGIC.len()];
        match (self.stream.read_exact(&mut magic), sent) {
            (Ok(()), _) if magic == *MAGIC => self.receive(),
            // A server that takes no more connections says so before it knows what the client speaks: in version 0.
            (Ok(()), _) => Err(Failure::Refused(self.refusal(&magic))),
            (Err(_), Err(error)) => Err(Failure::NotSent(error)),
            (Err(error), Ok(())) => Err(Failure::NotAnswered { error, is_harmless: true }),
        }
    }

    /// The next answer. Also after sending failed: what the server said before may be there.
    pub(crate) fn receive(&mut self) -> Result<Answered, Failure> {
        let body = self.body().inspect_err(|_| self.is_over = true)?;
        Answered::decode(&body).map_err(|error| {
            self.is_over = true;
            Failure::Refused(error)
        })
    }

    fn body(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            let mut unread = &self.piece[self.start..];
            let body = self.reader.next_body(&mut unread);
            self.start = self.piece.len() - unread.len();
            match body {
                Ok(Some(body)) => return Ok(body),
                Ok(None) => self.read().map_err(|error| Failure::NotAnswered { error, is_harmless: false })?,
                Err(refused) => return Err(Failure::Refused(refused.error())),
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.piece.resize(PIECE_BYTES, 0);
        self.start = 0;
        let bytes = loop {
            match self.stream.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.inspect_err(|_| self.piece.clear())?,
            }
        };
        self.piece.truncate(bytes);
        if bytes == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// What a frame of version 0 says that begins with these bytes.
    fn refusal(&mut self, first_bytes: &[u8]) -> Error {
        self.is_over = true;
        self.reader = FrameReader::new();
        self.piece = first_bytes.to_vec();
        let said = self.body().ok().and_then(|body| WireResponse::decode(&body).ok()?.outcome().err());
        match said {
            // What the magic is as a length.
            Some(error) if error.code() == ErrorCode::FrameTooLarge => {
                Error::new(ErrorCode::UnsupportedVersion).detail("the daemon speaks version 0 alone")
            }
            Some(error) => error,
            None => Error::new(ErrorCode::InvalidFrame).detail("it is no daemon of DocDB"),
        }
    }
}
