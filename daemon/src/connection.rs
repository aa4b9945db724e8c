//! One connection: what it speaks, and for version 0 of the protocol frames in, answers out, in the order of the frames. What
//! speaks version 1 is handed on to `v1`.
//!
//! Two halves share one bounded queue. The reading half decodes a frame, starts what it asks for and
//! puts a promise of the answer into the queue; the writing half takes the promises in order, waits for
//! each and writes it. So writes of one connection are in flight together, and a full queue stops the
//! reading, which is what holds a fast client back.
//!
//! A frame with reads, or one that changes what later frames see, waits until every earlier frame of the
//! connection is answered. It never waits for other connections and never decides anything about data.

use std::io;
use std::sync::Arc;

use docdb_protocol::{ErrorCode, wire};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::answer::Promise;
use crate::budget::{Budget, Share};
use crate::frames::{Frame, Frames, Protocol};
use crate::limits::{Limits, WRITE_GATHER_BYTES};
use crate::outstanding::Outstanding;
use crate::requests;
use crate::store::Store;
use crate::v1;

/// What every connection of a server shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) limits: Arc<Limits>,
    /// True once the server is to stop.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Serves one client until it goes, misbehaves, or the server stops.
pub(crate) async fn serve(stream: UnixStream, shared: Shared, budget: Budget) {
    let (reading, writing) = stream.into_split();
    let mut frames = Frames::new(reading, budget.clone(), (*shared.limits).clone());
    match protocol(&mut frames, &shared).await {
        Some(Protocol::V0) => serve_v0(frames, writing, shared, budget).await,
        Some(Protocol::V1) => v1::serve(frames, writing, shared, budget).await,
        None => discard(&frames.into_stream()),
    }
}

/// What the client speaks; `None` when it says nothing before its idle time is over, the server stops, or it goes.
async fn protocol(frames: &mut Frames<OwnedReadHalf>, shared: &Shared) -> Option<Protocol> {
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        biased;
        _ = stopping.wait_for(|stopping| *stopping) => None,
        protocol = timeout(shared.limits.idle_time_max, frames.protocol()) => match protocol {
            Ok(protocol) => protocol,
            // A first byte that came late has its time as a frame of version 0.
            Err(_) => frames.begun().then_some(Protocol::V0),
        },
    }
}

async fn serve_v0(frames: Frames<OwnedReadHalf>, writing: OwnedWriteHalf, shared: Shared, budget: Budget) {
    let (queue, promises) = mpsc::channel(shared.limits.requests_per_connection_max.max(1));
    let limits = Arc::clone(&shared.limits);
    let reader = Reader { frames, queue, outstanding: Outstanding::new(), budget, shared };
    // When the writing half ends first, the client takes no answers: the queue is closed, and the
    // reading half ends at its next frame or is dropped here.
    let writer = write_all(writing, promises, limits);
    tokio::pin!(writer);
    let mut leftover = None;
    tokio::select! {
        rest = reader.run() => {
            leftover = Some(rest);
            writer.await;
        }
        () = &mut writer => {}
    }
    if let Some(reading) = leftover {
        discard(&reading);
    }
}

/// Throws away what the client sent behind its last frame, so that it sees an orderly end rather than a reset
/// that could take the last answer with it. Bounded: what comes later is not waited for.
pub(crate) fn discard(reading: &OwnedReadHalf) {
    const PIECES_MAX: usize = 64;
    let mut piece = [0; 16 * 1024];
    for _ in 0..PIECES_MAX {
        if !matches!(reading.try_read(&mut piece), Ok(bytes) if bytes > 0) {
            return;
        }
    }
}

/// Ends when nothing has been owed for the idle time.
pub(crate) async fn idle(owed: &Outstanding, limits: &Limits) {
    owed.none().await;
    sleep(limits.idle_time_max).await;
}

struct Reader {
    frames: Frames<OwnedReadHalf>,
    queue: mpsc::Sender<Promise>,
    outstanding: Outstanding,
    budget: Budget,
    shared: Shared,
}

impl Reader {
    async fn run(mut self) -> OwnedReadHalf {
        let mut stopping = self.shared.stopping.clone();
        loop {
            let frame = tokio::select! {
                biased;
                // A closed channel means the server is gone, which is a stop as well.
                _ = stopping.wait_for(|stopping| *stopping) => break,
                // No client of the ancestor connects again: one that has spoken may be silent for as long as it likes.
                frame = self.frames.next() => frame,
            };
            if !self.handle(frame).await {
                return self.frames.into_stream();
            }
        }
        self.refuse_until_answered().await;
        self.frames.into_stream()
    }

    /// While earlier requests are still being answered, the client may go on asking; each answer says that
    /// the server stops.
    async fn refuse_until_answered(&mut self) {
        let outstanding = self.outstanding.clone();
        let answered = outstanding.none();
        tokio::pin!(answered);
        loop {
            let frame = tokio::select! {
                frame = self.frames.next() => frame,
                () = &mut answered => return,
            };
            let Frame::Body(body, share) = frame else { return };
            let Some(request_id) = requests::request_id(&body) else { continue };
            if !self.promise(Promise::error(request_id, &ErrorCode::PoolStopped.into(), Some(share))).await {
                return;
            }
        }
    }

    /// Says whether the connection goes on.
    async fn handle(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Body(body, share) => self.request(body, share).await,
            Frame::Refused(request_id, error) => {
                self.promise(Promise::error(request_id, &error, None)).await;
                false
            }
            Frame::End => false,
        }
    }

    async fn request(&mut self, body: Vec<u8>, share: Share) -> bool {
        let request = match wire::WireRequest::decode(&body) {
            Ok(request) => request,
            Err(refused) => {
                // A client of the ancestor sends a frame of four bytes before each request; it passes over such frames.
                let Some(request_id) = refused.request_id else { return true };
                self.promise(Promise::error(request_id, &refused.error, Some(share))).await;
                return false;
            }
        };
        let request_id = request.request_id;
        let plan = requests::plan(&request);
        drop(request);
        drop(body);
        if !plan.waits() {
            let promise = requests::start(plan, request_id, &self.shared.store, &self.outstanding, share);
            return self.promise(promise).await;
        }
        self.outstanding.none().await;
        let answer = requests::run(plan, &self.shared.store, &self.outstanding).await;
        // The request's bytes are given back before the answer's are asked for: see `budget`.
        drop(share);
        let share = self.budget.take(answer.bytes_max()).await;
        self.promise(Promise::ready(answer.encode(request_id), Some(share))).await
    }

    async fn promise(&mut self, promise: Promise) -> bool {
        self.queue.send(promise).await.is_ok()
    }
}

/// Writes the answers in order until there are no more, or the client takes none.
async fn write_all(mut writing: OwnedWriteHalf, mut promises: mpsc::Receiver<Promise>, limits: Arc<Limits>) {
    let mut gathered = Vec::new();
    let mut shares = Vec::new();
    while let Some(promise) = promises.recv().await {
        let mut next = Some(promise);
        // Answers that are there already leave in one write.
        while let Some(promise) = next.take() {
            if !promise.is_ready() && !gathered.is_empty() {
                if flush(&mut writing, &mut gathered, &limits).await.is_err() {
                    return;
                }
                shares.clear();
            }
            shares.extend(promise.write_to(&mut gathered).await);
            if gathered.len() < WRITE_GATHER_BYTES {
                next = promises.try_recv().ok();
            }
        }
        if flush(&mut writing, &mut gathered, &limits).await.is_err() {
            return;
        }
        shares.clear();
    }
    // The client may have gone already.
    let _ = writing.shutdown().await;
}

pub(crate) async fn flush(writing: &mut OwnedWriteHalf, gathered: &mut Vec<u8>, limits: &Limits) -> io::Result<()> {
    let written = timeout(limits.frame_time_max, writing.write_all(gathered)).await;
    // A large answer's memory is not kept for the small ones that may follow.
    gathered.clear();
    gathered.shrink_to(WRITE_GATHER_BYTES);
    written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use docdb_protocol::Error;
    use docdb_protocol::wire::{Command, WireRequest};
    use tokio::io::AsyncReadExt;
    use tokio::time::Instant;

    use super::*;
    use crate::budget::TotalBudget;
    use crate::store::EngineOptions;

    /// A connection being served. No test here asks anything of the store, whose threads a clock that stands
    /// still would not wait for.
    struct Served {
        client: UnixStream,
        serving: tokio::task::JoinHandle<()>,
        _stop: watch::Sender<bool>,
        _directory: tempfile::TempDir,
    }

    fn serving(limits: &Limits) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let (stop, stopping) = watch::channel(false);
        let store = Store::open(&directory.path().join("data"), EngineOptions::default()).unwrap();
        let shared = Shared { store, limits: Arc::new(limits.clone()), stopping };
        let (client, server) = UnixStream::pair().unwrap();
        let budget = TotalBudget::new(limits).connection(limits);
        let serving = tokio::spawn(serve(server, shared, budget));
        Served { client, serving, _stop: stop, _directory: directory }
    }

    /// A request that is refused without the store.
    fn refused() -> Vec<u8> {
        let mut frame = Vec::new();
        WireRequest::new(1, Command::Unknown(99), None).encode(&mut frame).unwrap();
        frame
    }

    async fn closed(client: &mut UnixStream) -> bool {
        client.read(&mut [0; 64]).await.unwrap() == 0
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed_after_the_idle_time() {
        let limits = Limits::default();
        let mut served = serving(&limits);
        let begun = Instant::now();
        assert!(closed(&mut served.client).await);
        assert_eq!(begun.elapsed(), limits.idle_time_max);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_of_the_ancestor_that_has_spoken_may_be_silent_and_send_frames_that_say_nothing() {
        let limits = Limits::default();
        let mut served = serving(&limits);
        for _ in 0..3 {
            // Four bytes, and then the request.
            served.client.write_all(&[4, 0, 0, 0, 21, 0, 0, 0]).await.unwrap();
            served.client.write_all(&refused()).await.unwrap();
            assert!(!closed(&mut served.client).await, "the answer");
            sleep(limits.idle_time_max * 3).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_frame_does_not_keep_a_connection() {
        // Whichever of the two times is the longer one.
        for idle_time_max in [Limits::default().frame_time_max / 4, Limits::default().frame_time_max * 4] {
            let limits = Limits { idle_time_max, ..Limits::default() };
            let mut served = serving(&limits);
            served.client.write_all(&refused()[..5]).await.unwrap();
            let begun = Instant::now();
            // The reason, and then the end. No byte of the request's id had come.
            let mut answer = Vec::new();
            served.client.read_to_end(&mut answer).await.unwrap();
            let response = wire::WireResponse::decode(&answer[4..]).unwrap();
            let expected = Error::new(ErrorCode::FrameTimeout);
            assert_eq!((response.request_id, response.outcome()), (0, Err(expected)));
            assert_eq!(begun.elapsed(), limits.frame_time_max);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_answers_is_held_back_and_then_cut() {
        const SENT_BYTES_MAX: usize = 64 * 1024 * 1024;
        let limits = Limits { requests_per_connection_max: 4, ..Limits::default() };
        let mut served = serving(&limits);
        let request = refused();
        let begun = Instant::now();
        let mut sent = 0;
        // Ends with an error: the daemon takes no more, and then takes itself away.
        while sent < SENT_BYTES_MAX {
            match served.client.write(&request).await {
                Ok(bytes) => sent += bytes,
                Err(_) => break,
            }
        }
        assert!(sent < 4 * 1024 * 1024, "{sent} bytes were taken from a client that takes none");
        served.serving.await.unwrap();
        assert_eq!(begun.elapsed(), limits.frame_time_max);
    }
}
