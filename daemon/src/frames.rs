//! Frames from a socket, within the time and the bytes that the daemon allows.
//!
//! Owns the reading half of a connection: when it reads, how much at once, and how long it waits. The protocol's
//! [`FrameReader`] cuts what was read into bodies. Memory grows with the bytes that have arrived, never with the length
//! announced, and so do the bytes taken from the budget; the first [`READ_CHUNK_BYTES`] of a frame are the connection's own
//! and counted when the frame is complete. [`Frames::next`] may be dropped at any await and called again: nothing is
//! lost. It never looks into a body, except for the request id of a frame that is refused.

use std::io;
use std::time::Duration;

use docdb_protocol::wire::{FrameReader, RefusedFrame, v1};
use docdb_protocol::{Error, ErrorCode};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use crate::budget::{Budget, Share};
use crate::limits::{Limits, READ_CHUNK_BYTES};

const LENGTH_BYTES: usize = 4;

/// What came next.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A whole body, and the bytes it is counted with.
    Body(Vec<u8>, Share),
    /// The client is done, or was cut off: nothing can be answered any more but what is outstanding.
    End,
    /// It is too long, or was begun and not finished in time. Behind it nothing can be read. The id is what could be read of
    /// it, else 0.
    Refused(u64, Error),
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The ancestor's.
    V0,
    /// Our own.
    V1,
}

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    stream: R,
    reader: FrameReader,
    /// What was read last.
    buffer: Vec<u8>,
    /// Where the bytes of `buffer` begin that the reader has not been given: they are of the next frame.
    start: usize,
    /// A whole body whose share is waited for.
    body: Option<Vec<u8>>,
    begun: Option<Instant>,
    /// Until when the request id of a frame that is too large is waited for.
    refused_until: Option<Instant>,
    /// Since when the frame begun waits for bytes of the budget.
    waiting: Option<Instant>,
    share: Option<Share>,
    /// Up to how many bytes of the long frame begun are taken from the budget.
    readable: usize,
    budget: Budget,
    limits: Limits,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(stream: R, budget: Budget, limits: Limits) -> Frames<R> {
        Frames {
            stream,
            reader: FrameReader::new(),
            buffer: Vec::new(),
            start: 0,
            body: None,
            begun: None,
            refused_until: None,
            waiting: None,
            share: None,
            readable: 0,
            budget,
            limits,
        }
    }

    /// What the client speaks, as its first bytes say; `None` when it ends before. Called until it has answered, and before
    /// [`Frames::next`]. Waits for the first byte without a bound, and for those behind it as long as a frame may take.
    pub(crate) async fn protocol(&mut self) -> Option<Protocol> {
        while v1::MAGIC.starts_with(&self.buffer) {
            if self.buffer.len() == v1::MAGIC.len() {
                self.buffer.clear();
                self.begun = None;
                self.reader = v1::frame_reader();
                return Some(Protocol::V1);
            }
            let missing = v1::MAGIC.len() - self.buffer.len();
            let mut stream = (&mut self.stream).take(missing as u64);
            let read = stream.read_buf(&mut self.buffer);
            let read = match self.begun {
                None => read.await.ok(),
                Some(begun) => timeout_at(begun + self.limits.frame_time_max, read).await.ok().and_then(Result::ok),
            };
            if read.is_none_or(|bytes| bytes == 0) {
                break;
            }
            self.begun.get_or_insert_with(Instant::now);
        }
        // What came is of a frame of version 0, cut short or not.
        self.begun = None;
        (!self.buffer.is_empty()).then_some(Protocol::V0)
    }

    /// The next frame. Waits for its first byte without a bound; the caller has one for that.
    pub(crate) async fn next(&mut self) -> Frame {
        while self.body.is_none() {
            match self.cut() {
                Ok(Some(body)) => self.body = Some(body),
                Ok(None) => {
                    if let Err(end) = self.read_more().await {
                        return end;
                    }
                }
                Err(refused) => return Frame::Refused(refused.request_id, refused.error()),
            }
        }
        if self.share.is_none() {
            // A short frame is complete by now: what it waits for here is not taken from its client's time.
            let frame_bytes = LENGTH_BYTES + self.body.as_ref().map_or(0, Vec::len);
            self.share = Some(self.budget.take(frame_bytes).await);
        }
        // What is left in the buffer belongs to a frame whose time begins now.
        self.begun = None;
        self.readable = 0;
        let body = self.body.take().expect("the loop above ends with a body");
        let share = self.share.take().expect("taken above, before the body is handed on");
        Frame::Body(body, share)
    }

    /// Whether the next frame has begun to arrive.
    pub(crate) fn begun(&self) -> bool {
        self.body.is_some() || self.reader.is_within_frame() || self.start < self.buffer.len()
    }

    /// The reading half, to look at what is left in it.
    pub(crate) fn into_stream(self) -> R {
        self.stream
    }

    /// Gives the reader what it has not been given. Without a body, nothing is left then.
    fn cut(&mut self) -> Result<Option<Vec<u8>>, RefusedFrame> {
        let mut unread = &self.buffer[self.start..];
        let body = self.reader.next_body(&mut unread);
        self.start = self.buffer.len() - unread.len();
        body
    }

    /// Reads once, within the time that the frame in hand may take.
    async fn read_more(&mut self) -> Result<(), Frame> {
        if !self.reader.is_within_frame() {
            return if self.fill(READ_CHUNK_BYTES).await { Ok(()) } else { Err(Frame::End) };
        }
        if self.reader.is_refusing() {
            let until = *self.refused_until.get_or_insert_with(|| Instant::now() + self.limits.refused_id_time_max);
            let read = timeout_at(until, self.fill(READ_CHUNK_BYTES)).await;
            return if matches!(read, Ok(true)) {
                Ok(())
            } else {
                Err(Frame::Refused(0, ErrorCode::FrameTooLarge.into()))
            };
        }
        self.begun.get_or_insert_with(Instant::now);
        let count = self.readable_now().await;
        let begun = *self.begun.get_or_insert_with(Instant::now);
        match timeout_at(begun + self.limits.frame_time_max, self.fill(count)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Frame::End),
            Err(_) => {
                let seconds = self.limits.frame_time_max.as_secs();
                let error = Error::new(ErrorCode::FrameTimeout).detail(format!("a frame may take {seconds} seconds"));
                Err(Frame::Refused(self.reader.request_id().unwrap_or(0), error))
            }
        }
    }

    /// How much may be read at once. The bytes of a long frame are taken from the budget before they are read.
    async fn readable_now(&mut self) -> usize {
        let there = self.reader.bytes_received();
        let frame_bytes = match self.reader.body_bytes() {
            Some(body_bytes) if LENGTH_BYTES + body_bytes > READ_CHUNK_BYTES => LENGTH_BYTES + body_bytes,
            Some(_) | None => return READ_CHUNK_BYTES,
        };
        if there >= READ_CHUNK_BYTES.max(self.readable) {
            self.waiting.get_or_insert_with(Instant::now);
            if self.share.is_none() {
                self.share = Some(self.budget.begin(frame_bytes).await);
            }
            let share = self.share.as_mut().expect("taken above");
            self.readable = there + share.grow(there, frame_bytes - there).await;
            // That wait was the daemon's, and is not taken from the client's time.
            let waited = self.waiting.take().map_or(Duration::ZERO, |since| since.elapsed());
            self.begun = self.begun.map(|begun| begun + waited);
        }
        (self.readable.max(READ_CHUNK_BYTES) - there).min(READ_CHUNK_BYTES)
    }

    /// Reads up to so many bytes, once; says whether there were any. The reader has been given all that was read before.
    async fn fill(&mut self, count: usize) -> bool {
        debug_assert_eq!(self.start, self.buffer.len(), "the reader takes all until it has a body");
        self.buffer.clear();
        self.start = 0;
        self.buffer.reserve_exact(count);
        let read: io::Result<usize> = (&mut self.stream).take(count as u64).read_buf(&mut self.buffer).await;
        matches!(read, Ok(bytes) if bytes > 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use docdb_protocol::limits::FRAME_BODY_BYTES_MAX;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::budget::TotalBudget;

    fn frames(limits: &Limits) -> (DuplexStream, Frames<DuplexStream>, Budget) {
        let (client, server) = duplex(1024);
        let budget = TotalBudget::new(limits).connection(limits);
        (client, Frames::new(server, budget.clone(), limits.clone()), budget)
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], body].concat()
    }

    /// All the memory that a connection takes for what it reads.
    fn held(frames: &Frames<DuplexStream>) -> usize {
        frames.buffer.capacity() + frames.reader.bytes_allocated()
    }

    async fn refused(frames: &mut Frames<DuplexStream>) -> (u64, ErrorCode) {
        match frames.next().await {
            Frame::Refused(request_id, error) => (request_id, error.code()),
            other => panic!("{other:?}"),
        }
    }

    async fn body(frames: &mut Frames<DuplexStream>) -> Vec<u8> {
        match frames.next().await {
            Frame::Body(body, _) => body,
            other => panic!("{other:?}"),
        }
    }

    /// The clock moves only when everybody waits for it, so every time here is exact.
    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_never_finished_is_given_up_after_its_time() {
        let limits = Limits::default();
        for sent in 1..8 {
            let (mut client, mut frames, _) = frames(&limits);
            client.write_all(&frame(b"body")[..sent]).await.unwrap();
            let begun = Instant::now();
            assert_eq!(refused(&mut frames).await, (0, ErrorCode::FrameTimeout), "{sent} bytes");
            assert_eq!(begun.elapsed(), limits.frame_time_max, "{sent} bytes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_given_up_has_the_request_id_that_came() {
        let (mut client, mut frames, _) = frames(&Limits::default());
        client.write_all(&frame(&[&9_u64.to_le_bytes()[..], b"more"].concat())[..12]).await.unwrap();
        assert_eq!(refused(&mut frames).await, (9, ErrorCode::FrameTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_buy_more_time() {
        let limits = Limits::default();
        let (mut client, mut frames, _) = frames(&limits);
        tokio::spawn(async move {
            for byte in frame(&[0; 1000]) {
                client.write_all(&[byte]).await.unwrap();
                sleep(limits.frame_time_max / 10).await;
            }
        });
        let begun = Instant::now();
        assert_eq!(refused(&mut frames).await, (0, ErrorCode::FrameTimeout));
        assert_eq!(begun.elapsed(), limits.frame_time_max);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_bytes_to_hold_is_not_the_clients() {
        let limits = Limits { connection_bytes_max: 0, ..Limits::default() };
        for length in [4, READ_CHUNK_BYTES * 3] {
            let (mut client, mut frames, budget) = frames(&limits);
            let all = budget.take(v1::FRAME_BODY_BYTES_MAX + LENGTH_BYTES).await;
            let begun = Instant::now();
            let patience = limits.frame_time_max * 10;
            let sent = vec![b'x'; length];
            let sending = frame(&sent);
            tokio::spawn(async move {
                // A long frame goes on only when it is read, hence beside the wait.
                tokio::join!(async { client.write_all(&sending).await.unwrap() }, async {
                    sleep(patience).await;
                    drop(all);
                });
                // Kept open until the other side is done with it.
                sleep(patience).await;
            });
            assert_eq!(body(&mut frames).await, sent);
            assert_eq!(begun.elapsed(), patience);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_say_what_a_client_speaks_however_they_come() {
        let limits = Limits::default();
        let v1_frame = [&v1::MAGIC[..], &frame(b"body")].concat();
        for (sent, expected) in [(frame(b"body"), Protocol::V0), (v1_frame, Protocol::V1)] {
            for piece_bytes in [1, 3, 7, 8, 9, 64] {
                let (mut client, mut frames, _) = frames(&limits);
                let sent = sent.clone();
                tokio::spawn(async move {
                    for piece in sent.chunks(piece_bytes) {
                        client.write_all(piece).await.unwrap();
                        sleep(Duration::from_millis(10)).await;
                    }
                    sleep(Duration::from_secs(1)).await;
                });
                // The wait may be given up anywhere, and nothing is lost.
                let protocol = loop {
                    if let Ok(protocol) = timeout(Duration::from_millis(3), frames.protocol()).await {
                        break protocol;
                    }
                };
                assert_eq!(protocol, Some(expected));
                assert_eq!(body(&mut frames).await, b"body");
            }
        }
        // A length that begins as version 1 does, and is none of it.
        let (mut client, mut frames, _) = frames(&limits);
        client.write_all(b"DOCDxxxxxxxxxx").await.unwrap();
        assert_eq!(frames.protocol().await, Some(Protocol::V0));
        assert_eq!(refused(&mut frames).await.1, ErrorCode::FrameTooLarge);
        let (client, mut frames, _) = tests::frames(&limits);
        drop(client);
        assert_eq!(frames.protocol().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_follows_what_arrived_and_a_long_frame_is_whole() {
        let limits = Limits::default();
        let (mut client, mut frames, _) = frames(&limits);
        let sent: Vec<u8> = (0..FRAME_BODY_BYTES_MAX).map(|index| index as u8 ^ (index >> 8) as u8).collect();
        let sending = [frame(&sent), frame(b"next")].concat();
        let middle = READ_CHUNK_BYTES * 5;
        client.write_all(&sending[..100]).await.unwrap();
        assert!(timeout(Duration::from_millis(1), frames.next()).await.is_err());
        assert!(frames.share.is_none() && held(&frames) <= READ_CHUNK_BYTES + 200, "it is only announced");
        let rest = sending.clone();
        let (pause, paused) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            client.write_all(&rest[100..middle]).await.unwrap();
            paused.await.unwrap();
            client.write_all(&rest[middle..]).await.unwrap();
        });
        assert!(timeout(Duration::from_millis(1), frames.next()).await.is_err());
        assert_eq!(frames.reader.bytes_received(), middle);
        assert!(held(&frames) <= READ_CHUNK_BYTES + 2 * middle, "{} bytes for {middle}", held(&frames));
        pause.send(()).unwrap();
        assert!(body(&mut frames).await == sent);
        assert_eq!(body(&mut frames).await, b"next");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_frame_is_read_no_further_than_its_bytes_are_taken_from_the_budget() {
        // Nothing is there for requests that arrive, but for the one that has the turn.
        let limits = Limits { total_bytes_max: 0, ..Limits::default() };
        let total = TotalBudget::new(&limits);
        let begun = || {
            let (client, server) = duplex(4 * READ_CHUNK_BYTES);
            (client, Frames::new(server, total.connection(&limits), limits.clone()))
        };
        let sent = frame(&vec![b'x'; 3 * READ_CHUNK_BYTES]);
        let (mut first_client, mut first) = begun();
        let (mut second_client, mut second) = begun();
        first_client.write_all(&sent[..2 * READ_CHUNK_BYTES]).await.unwrap();
        second_client.write_all(&sent).await.unwrap();
        for frames in [&mut first, &mut second] {
            assert!(timeout(Duration::from_millis(1), frames.next()).await.is_err());
        }
        assert_eq!(first.reader.bytes_received(), 2 * READ_CHUNK_BYTES, "it has the turn");
        assert_eq!(second.reader.bytes_received(), READ_CHUNK_BYTES, "nobody else has");
        drop(first);
        assert_eq!(body(&mut second).await.len(), 3 * READ_CHUNK_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_frame_shows_its_id_soon_or_has_none() {
        let limits = Limits::default();
        let too_large = u32::try_from(FRAME_BODY_BYTES_MAX + 1).unwrap().to_le_bytes();
        let (mut client, mut with_id, _) = frames(&limits);
        client.write_all(&[&too_large[..], &7_u64.to_le_bytes()].concat()).await.unwrap();
        assert_eq!(refused(&mut with_id).await, (7, ErrorCode::FrameTooLarge));
        let (mut client, mut without, _) = frames(&limits);
        client.write_all(&too_large).await.unwrap();
        let begun = Instant::now();
        assert_eq!(refused(&mut without).await, (0, ErrorCode::FrameTooLarge));
        assert_eq!(begun.elapsed(), limits.refused_id_time_max);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_may_be_given_up_anywhere_and_nothing_is_lost() {
        let limits = Limits::default();
        let (mut client, mut frames, _) = frames(&limits);
        let bodies = [&b"first"[..], b"", b"the third"];
        tokio::spawn(async move {
            for byte in bodies.map(frame).concat() {
                client.write_all(&[byte]).await.unwrap();
                sleep(Duration::from_millis(10)).await;
            }
        });
        for expected in bodies {
            let got = loop {
                if let Ok(frame) = timeout(Duration::from_millis(3), frames.next()).await {
                    break frame;
                }
            };
            assert!(matches!(got, Frame::Body(body, _) if body == expected));
        }
        assert!(!frames.begun());
        assert!(matches!(frames.next().await, Frame::End));
    }
}
