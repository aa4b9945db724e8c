//! Frames from a byte stream: a length, then that many bytes.
//!
//! Owns the connection's read buffer. The memory grows with the bytes that have arrived, never with
//! the length announced, and so do the bytes taken from the budget; the first [`READ_CHUNK_BYTES`] of a
//! frame are the connection's own and counted when the frame is complete. [`Frames::next`] may be dropped at any await
//! and called again: nothing is lost.
//! It never looks into a body, except for the request id of a frame that is refused.

use std::io;
use std::time::Duration;

use docdb_protocol::limits::FRAME_BODY_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use crate::budget::{Budget, Share};
use crate::limits::{Limits, READ_CHUNK_BYTES};

const LENGTH_BYTES: usize = 4;
const REQUEST_ID_BYTES: usize = 8;

/// What came next.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A whole body, and the bytes it is counted with.
    Body(Vec<u8>, Share),
    /// The length is above the limit. The id is what could be read of it, else 0.
    TooLarge(u64),
    /// The client is done, or was cut off: nothing can be answered any more but what is outstanding.
    End,
    /// A frame was begun and not finished in time.
    Slow,
}

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Where the unread bytes of `buffer` begin.
    start: usize,
    begun: Option<Instant>,
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
        let buffer = Vec::new();
        Frames { stream, buffer, start: 0, begun: None, waiting: None, share: None, readable: 0, budget, limits }
    }

    /// The next frame. Waits for its first byte without a bound; the caller has one for that.
    pub(crate) async fn next(&mut self) -> Frame {
        if !self.fill_to(1).await {
            return Frame::End;
        }
        match self.within_time(LENGTH_BYTES).await {
            Ok(true) => {}
            Ok(false) => return Frame::End,
            Err(_) => return Frame::Slow,
        }
        let length = *self.unread().first_chunk::<LENGTH_BYTES>().expect("four bytes were asked for");
        let body_bytes = u32::from_le_bytes(length) as usize;
        if body_bytes > FRAME_BODY_BYTES_MAX {
            return Frame::TooLarge(self.refused_id().await);
        }
        let frame_bytes = LENGTH_BYTES + body_bytes;
        let whole = if frame_bytes <= READ_CHUNK_BYTES {
            self.within_time(frame_bytes).await
        } else {
            self.arrive(frame_bytes).await
        };
        match whole {
            Ok(true) => {}
            Ok(false) => return Frame::End,
            Err(_) => return Frame::Slow,
        }
        if self.share.is_none() {
            // A short frame is complete by now: what it waits for here is not taken from its client's time.
            self.share = Some(self.budget.take(frame_bytes).await);
        }
        let body = if self.start == 0 && self.buffer.len() == frame_bytes {
            // Large frames come alone; their memory is handed on and not kept for small ones.
            let mut body = std::mem::take(&mut self.buffer);
            body.drain(..LENGTH_BYTES);
            body
        } else {
            let body = self.unread()[LENGTH_BYTES..frame_bytes].to_vec();
            self.start += frame_bytes;
            body
        };
        // What is left in the buffer belongs to a frame whose time begins now.
        self.begun = None;
        self.readable = 0;
        let share = self.share.take().expect("taken above, before the body is handed on");
        Frame::Body(body, share)
    }

    /// Reads a long frame, whose bytes are taken from the budget as they arrive.
    async fn arrive(&mut self, frame_bytes: usize) -> Result<bool, Elapsed> {
        while self.unread().len() < frame_bytes {
            let there = self.unread().len();
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
            if !self.within_time(there + 1).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the next frame has begun to arrive.
    pub(crate) fn begun(&self) -> bool {
        !self.unread().is_empty()
    }

    /// The reading half, to look at what is left in it.
    pub(crate) fn into_stream(self) -> R {
        self.stream
    }

    /// Fills up to so many unread bytes, within the time a frame may take.
    async fn within_time(&mut self, bytes: usize) -> Result<bool, Elapsed> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        timeout_at(begun + self.limits.frame_time_max, self.fill_to(bytes)).await
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    async fn refused_id(&mut self) -> u64 {
        let end = LENGTH_BYTES + REQUEST_ID_BYTES;
        let wait = self.limits.refused_id_time_max;
        match timeout(wait, self.fill_to(end)).await {
            Ok(true) => {
                let id = self.unread()[LENGTH_BYTES..end].first_chunk().expect("eight bytes were asked for");
                u64::from_le_bytes(*id)
            }
            Ok(false) | Err(_) => 0,
        }
    }

    async fn fill_to(&mut self, bytes: usize) -> bool {
        while self.unread().len() < bytes {
            match self.fill().await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        true
    }

    async fn fill(&mut self) -> io::Result<usize> {
        // Only the part of a frame is left here, so that little is moved, and once a read.
        self.buffer.drain(..self.start);
        self.start = 0;
        // Never beyond what is taken from the budget, so that memory follows it.
        let count = self.readable.max(READ_CHUNK_BYTES).saturating_sub(self.buffer.len()).max(1);
        self.buffer.reserve_exact(count);
        (&mut self.stream).take(count as u64).read_buf(&mut self.buffer).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::sleep;

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
            assert!(matches!(frames.next().await, Frame::Slow), "{sent} bytes");
            assert_eq!(begun.elapsed(), limits.frame_time_max, "{sent} bytes");
        }
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
        assert!(matches!(frames.next().await, Frame::Slow));
        assert_eq!(begun.elapsed(), limits.frame_time_max);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_bytes_to_hold_is_not_the_clients() {
        let limits = Limits { connection_bytes_max: 0, ..Limits::default() };
        for length in [4, READ_CHUNK_BYTES * 3] {
            let (mut client, mut frames, budget) = frames(&limits);
            let all = budget.take(FRAME_BODY_BYTES_MAX + LENGTH_BYTES).await;
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
    async fn memory_follows_what_arrived_and_a_long_frame_is_whole() {
        let limits = Limits::default();
        let (mut client, mut frames, _) = frames(&limits);
        let sent: Vec<u8> = (0..FRAME_BODY_BYTES_MAX).map(|index| index as u8 ^ (index >> 8) as u8).collect();
        let sending = [frame(&sent), frame(b"next")].concat();
        let middle = READ_CHUNK_BYTES * 5;
        client.write_all(&sending[..100]).await.unwrap();
        assert!(timeout(Duration::from_millis(1), frames.next()).await.is_err());
        assert!(frames.share.is_none() && frames.buffer.capacity() <= READ_CHUNK_BYTES, "it is only announced");
        let rest = sending.clone();
        let (pause, paused) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            client.write_all(&rest[100..middle]).await.unwrap();
            paused.await.unwrap();
            client.write_all(&rest[middle..]).await.unwrap();
        });
        assert!(timeout(Duration::from_millis(1), frames.next()).await.is_err());
        assert_eq!(frames.buffer.len(), middle);
        assert!(frames.buffer.capacity() <= 2 * middle, "{} bytes for {middle}", frames.buffer.capacity());
        pause.send(()).unwrap();
        assert!(body(&mut frames).await == sent);
        assert_eq!(body(&mut frames).await, b"next");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_frame_shows_its_id_soon_or_has_none() {
        let limits = Limits::default();
        let too_large = u32::try_from(FRAME_BODY_BYTES_MAX + 1).unwrap().to_le_bytes();
        let (mut client, mut with_id, _) = frames(&limits);
        client.write_all(&[&too_large[..], &7_u64.to_le_bytes()].concat()).await.unwrap();
        assert!(matches!(with_id.next().await, Frame::TooLarge(7)));
        let (mut client, mut without, _) = frames(&limits);
        client.write_all(&too_large).await.unwrap();
        let begun = Instant::now();
        assert!(matches!(without.next().await, Frame::TooLarge(0)));
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
