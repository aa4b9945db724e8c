//! A connection of version 1: calls in, answers out as they are ready.
//!
//! The reading half begins calls in the order in which they come, so writes reach the engine in that order. Nobody waits for
//! an earlier call: whatever is ready is put into the queue, by whichever thread has it, and the writing half sends what is
//! there. Only so many calls are under way at once; then nothing is read until an answer is sent, which holds a fast client back.
//!
//! A frame that is sound is answered and never ends the connection, except before hello. What ends it: a frame that is too long,
//! late, or has no id to answer; the idle time, which runs only while nothing is owed; the stop of the server.
//!
//! It never waits for other connections and never decides anything about data.

mod calls;
mod debt;
mod reads;

use std::sync::Arc;

use docdb_protocol::ErrorCode;
use docdb_protocol::wire::v1::{CONNECTION_ID, MAGIC, Received, Refused};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::budget::{Budget, Share};
use crate::connection::{Shared, discard, flush, idle};
use crate::frames::{Frame, Frames};
use crate::limits::{Limits, WRITE_GATHER_BYTES};
use crate::outstanding::Outstanding;
use debt::{Debt, Due};

/// Serves one client, whose first bytes are read, until it goes, misbehaves, or the server stops.
pub(crate) async fn serve(frames: Frames<OwnedReadHalf>, writing: OwnedWriteHalf, shared: Shared, budget: Budget) {
    let (queue, due) = mpsc::unbounded_channel();
    let limits = Arc::clone(&shared.limits);
    let connection = Connection { frames, queue, owed: Outstanding::new(), budget, shared, is_greeted: false };
    // When the writing half ends first, the client takes no answers.
    let writer = write_all(writing, due, limits);
    tokio::pin!(writer);
    let mut leftover = None;
    tokio::select! {
        rest = connection.run() => {
            leftover = Some(rest);
            writer.await;
        }
        () = &mut writer => {}
    }
    if let Some(reading) = leftover {
        discard(&reading);
    }
}

struct Connection {
    frames: Frames<OwnedReadHalf>,
    queue: mpsc::UnboundedSender<Due>,
    /// Calls whose answers are not sent yet.
    owed: Outstanding,
    budget: Budget,
    shared: Shared,
    is_greeted: bool,
}

impl Connection {
    async fn run(mut self) -> OwnedReadHalf {
        let mut stopping = self.shared.stopping.clone();
        let under_way_max = self.shared.limits.requests_per_connection_max.max(1);
        loop {
            let next = async {
                self.owed.below(under_way_max).await;
                self.frames.next().await
            };
            let frame = tokio::select! {
                biased;
                // A closed channel means the server is gone, which is a stop as well.
                _ = stopping.wait_for(|stopping| *stopping) => break,
                frame = next => frame,
                () = idle(&self.owed, &self.shared.limits) => {
                    if self.frames.begun() {
                        continue;
                    }
                    return self.frames.into_stream();
                }
            };
            if !self.handle(frame).await {
                return self.frames.into_stream();
            }
        }
        self.refuse_until_answered().await;
        self.frames.into_stream()
    }

    /// While earlier calls are still being answered, the client may go on asking; each answer says that the server
    /// stops. Nobody waits for these answers, so a client that asks without end keeps nothing up.
    async fn refuse_until_answered(&mut self) {
        let (owed, refused) = (self.owed.clone(), Outstanding::new());
        let answered = owed.none();
        tokio::pin!(answered);
        loop {
            let next = async {
                refused.below(self.shared.limits.requests_per_connection_max.max(1)).await;
                self.frames.next().await
            };
            let frame = tokio::select! {
                biased;
                () = &mut answered => return,
                frame = next => frame,
            };
            let Frame::Body(body, share) = frame else { return };
            let request_id = match Received::decode(&body) {
                Ok(Received { request_id, .. }) | Err(Refused { request_id: Some(request_id), .. }) => request_id,
                Err(Refused { request_id: None, .. }) => return,
            };
            let debt = Debt::new(request_id, self.queue.clone(), refused.begin(), Some(share));
            debt.answer(Err(ErrorCode::PoolStopped.into()));
        }
    }

    /// Says whether the connection goes on.
    async fn handle(&mut self, frame: Frame) -> bool {
        match frame {
            Frame::Body(body, share) => self.body(body, share).await,
            Frame::Refused(request_id, error) => {
                self.debt(request_id, None).answer(Err(error));
                false
            }
            Frame::End => false,
        }
    }

    async fn body(&mut self, body: Vec<u8>, share: Share) -> bool {
        let received = Received::decode(&body);
        drop(body);
        match received {
            Ok(Received { request_id, call }) => {
                let debt = self.debt(request_id, Some(share));
                self.call(call, debt).await
            }
            Err(Refused { request_id: Some(request_id), error }) => {
                self.debt(request_id, Some(share)).answer(Err(error));
                self.is_greeted
            }
            Err(Refused { request_id: None, error }) => {
                self.debt(CONNECTION_ID, Some(share)).answer(Err(error));
                false
            }
        }
    }

    fn debt(&self, request_id: u64, share: Option<Share>) -> Debt {
        Debt::new(request_id, self.queue.clone(), self.owed.begin(), share)
    }
}

/// Sends the answers until there are no more, or the client takes none.
async fn write_all(mut writing: OwnedWriteHalf, mut due: mpsc::UnboundedReceiver<Due>, limits: Arc<Limits>) {
    let mut gathered = MAGIC.to_vec();
    let mut sent = Vec::new();
    if flush(&mut writing, &mut gathered, &limits).await.is_err() {
        return;
    }
    while let Some(first) = due.recv().await {
        let mut next = Some(first);
        // Answers that are there already leave in one write.
        while let Some(due_now) = next.take() {
            sent.push(due_now.append_to(&mut gathered));
            if gathered.len() < WRITE_GATHER_BYTES {
                next = due.try_recv().ok();
            }
        }
        if flush(&mut writing, &mut gathered, &limits).await.is_err() {
            return;
        }
        // Given back: the bytes, and the place of each call among those under way.
        sent.clear();
    }
    // The client may have gone already.
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut writing).await;
}

#[cfg(test)]
mod tests;
