//! Bytes in flight: a share of the connection's allowance and a share of the whole server's.
//!
//! Owns the counters. A [`Share`] gives its bytes back when it is dropped, so the code that holds the bytes
//! holds the share. What all connections together may hold has two halves, so that neither can use the
//! other up:
//!
//! - *arriving*: requests longer than [`READ_CHUNK_BYTES`]. Their bytes are taken while they arrive, never
//!   more than twice what is there ([`Share::grow`]): a length that is only announced takes nothing.
//! - *whole*: shorter requests, taken when they are complete, and answers. A part of this half is for those alone
//!   that are no longer than [`READ_CHUNK_BYTES`], which take of the rest as well: clients that do not take their long
//!   answers keep nobody from a short one.
//!
//! Waiting never becomes a deadlock. Nobody waits for *whole* while holding a share: a request's share is
//! dropped before its answer's is asked for. Requests that arrive do hold bytes while they wait for more;
//! so bytes for one whole message are kept for the *turn*: the request that has it needs nothing further, and a
//! client that lets it wait is cut when its time for the frame is over.

use std::sync::Arc;

use docdb_protocol::wire::v1::FRAME_BODY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{Limits, READ_CHUNK_BYTES};

/// The largest message there is, of either version of the protocol, its length field included.
const MESSAGE_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX + 4;

/// The most that is taken at once for a request that arrives.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// Which part of the half for what is whole is for short messages alone.
const SHORT_FRACTION: usize = 4;

/// What all connections together may hold.
#[derive(Clone, Debug)]
pub(crate) struct TotalBudget {
    whole: Arc<Semaphore>,
    short: Arc<Semaphore>,
    arriving: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// What one connection may hold, within the total.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    connection: Arc<Semaphore>,
    total: TotalBudget,
}

/// Bytes taken; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    _connection: OwnedSemaphorePermit,
    total: Total,
}

/// The part of a share that is the whole server's.
#[derive(Debug)]
enum Total {
    /// A complete request, or an answer, of whichever part.
    Whole { _bytes: OwnedSemaphorePermit },
    /// A request that arrives, with the bytes taken so far.
    Arriving { bytes: OwnedSemaphorePermit, turn: Option<OwnedSemaphorePermit>, total: TotalBudget },
}

impl TotalBudget {
    pub(crate) fn new(limits: &Limits) -> TotalBudget {
        let half = limits.total_bytes_max / 2;
        // Less than one whole message would make the largest answers wait for ever.
        let short = (half / SHORT_FRACTION).clamp(READ_CHUNK_BYTES, Semaphore::MAX_PERMITS);
        let whole = half.saturating_sub(short).clamp(MESSAGE_BYTES_MAX, Semaphore::MAX_PERMITS);
        // The message that the turn is good for is part of this half.
        let arriving = half.saturating_sub(MESSAGE_BYTES_MAX).min(Semaphore::MAX_PERMITS);
        TotalBudget {
            whole: Arc::new(Semaphore::new(whole)),
            short: Arc::new(Semaphore::new(short)),
            arriving: Arc::new(Semaphore::new(arriving)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The allowance of a new connection.
    pub(crate) fn connection(&self, limits: &Limits) -> Budget {
        let bytes = limits.connection_bytes_max.clamp(MESSAGE_BYTES_MAX, Semaphore::MAX_PERMITS);
        Budget { connection: Arc::new(Semaphore::new(bytes)), total: self.clone() }
    }

    /// Bytes for something that is whole. Long ones are kept from the part of the short ones alone.
    async fn whole(&self, bytes: usize) -> OwnedSemaphorePermit {
        if bytes > READ_CHUNK_BYTES {
            return taken(&self.whole, bytes).await;
        }
        tokio::select! {
            biased;
            of_short = taken(&self.short, bytes) => of_short,
            of_all = taken(&self.whole, bytes) => of_all,
        }
    }
}

impl Budget {
    /// Waits until so many bytes are free, for a request that is complete or for an answer. `bytes` is at most
    /// one message.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        // The connection's own first: a connection at its limit must not sit on bytes that others could use.
        let connection = taken(&self.connection, bytes).await;
        Share { _connection: connection, total: Total::Whole { _bytes: self.total.whole(bytes).await } }
    }

    /// Begins the share of a request of so many bytes that arrives: they are the connection's own from now on,
    /// and nothing of the total until the share is grown.
    pub(crate) async fn begin(&self, bytes: usize) -> Share {
        let connection = taken(&self.connection, bytes).await;
        let bytes = taken(&self.total.arriving, 0).await;
        Share { _connection: connection, total: Total::Arriving { bytes, turn: None, total: self.total.clone() } }
    }
}

impl Share {
    /// Takes what the next part of an arriving request needs, of which `there` bytes have arrived and `missing`
    /// have not. Says up to how many further bytes may be read. May be dropped at any await: nothing is lost.
    pub(crate) async fn grow(&mut self, there: usize, missing: usize) -> usize {
        let (held, turn, total) = match &mut self.total {
            Total::Whole { .. } => return missing,
            Total::Arriving { turn: Some(_), .. } => return missing,
            Total::Arriving { bytes, turn, total } => (bytes, turn, total),
        };
        let piece = missing.min(there.clamp(READ_CHUNK_BYTES, PIECE_BYTES_MAX));
        tokio::select! {
            biased;
            more = taken(&total.arriving, piece) => {
                held.merge(more);
                piece
            }
            one = taken(&total.turn, 1) => {
                *turn = Some(one);
                missing
            }
        }
    }
}

async fn taken(from: &Arc<Semaphore>, count: usize) -> OwnedSemaphorePermit {
    assert!(count <= MESSAGE_BYTES_MAX, "a message is at most {MESSAGE_BYTES_MAX} bytes, asked {count}");
    let permits = u32::try_from(count).expect("a message is far below 4 GiB");
    let permit = Arc::clone(from).acquire_many_owned(permits).await;
    permit.expect("no semaphore of a budget is ever closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Time stands still until everybody waits, so a wait that ends by the clock would never have ended.
    async fn waits(wait: impl Future<Output = Share>) -> bool {
        timeout(Duration::from_secs(3600), wait).await.is_err()
    }

    fn limits(connection_messages: usize, total_messages: usize) -> Limits {
        Limits {
            connection_bytes_max: connection_messages * MESSAGE_BYTES_MAX,
            // Half of it for what is whole.
            total_bytes_max: 2 * total_messages * MESSAGE_BYTES_MAX,
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_waits_at_its_own_limit_and_others_go_on() {
        let limits = limits(1, 4);
        let total = TotalBudget::new(&limits);
        let (first, second) = (total.connection(&limits), total.connection(&limits));
        let share = first.take(MESSAGE_BYTES_MAX).await;
        assert!(waits(first.take(1)).await);
        let _other = second.take(MESSAGE_BYTES_MAX).await;
        drop(share);
        let _again = first.take(MESSAGE_BYTES_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_connections_together_wait_at_the_total() {
        let limits = limits(2, 3);
        let total = TotalBudget::new(&limits);
        let connections: Vec<Budget> = (0..3).map(|_| total.connection(&limits)).collect();
        let share = connections[0].take(MESSAGE_BYTES_MAX).await;
        let _other = connections[1].take(MESSAGE_BYTES_MAX).await;
        assert!(waits(connections[2].take(MESSAGE_BYTES_MAX)).await);
        drop(share);
        let _third = connections[2].take(MESSAGE_BYTES_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_smallest_budget_holds_the_largest_message() {
        let limits = Limits { connection_bytes_max: 0, total_bytes_max: 0, ..Limits::default() };
        let _share = TotalBudget::new(&limits).connection(&limits).take(MESSAGE_BYTES_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_announced_takes_nothing_of_the_total() {
        let limits = limits(1, 2);
        let total = TotalBudget::new(&limits);
        let mut arriving = Vec::new();
        for _ in 0..100 {
            arriving.push(total.connection(&limits).begin(MESSAGE_BYTES_MAX).await);
        }
        let mut share = total.connection(&limits).begin(MESSAGE_BYTES_MAX).await;
        let mut there = READ_CHUNK_BYTES;
        while there < MESSAGE_BYTES_MAX {
            let more = share.grow(there, MESSAGE_BYTES_MAX - there).await;
            assert!(more > 0 && more <= there, "at most twice of what is there is held");
            there += more;
        }
        let Total::Arriving { turn: None, .. } = share.total else { panic!("the bytes were there: {share:?}") };
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_hold_bytes_and_wait_for_more_end_one_after_the_other() {
        let limits = Limits { connection_bytes_max: 0, total_bytes_max: 0, ..Limits::default() };
        for total_bytes_max in [0, 5 * MESSAGE_BYTES_MAX] {
            let limits = Limits { total_bytes_max, ..limits.clone() };
            let total = TotalBudget::new(&limits);
            let mut requests = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let budget = total.connection(&limits);
                requests.spawn(async move {
                    let mut share = budget.begin(MESSAGE_BYTES_MAX).await;
                    let mut there = READ_CHUNK_BYTES;
                    while there < MESSAGE_BYTES_MAX {
                        there += share.grow(there, MESSAGE_BYTES_MAX - there).await;
                        // Others take their pieces meanwhile.
                        tokio::task::yield_now().await;
                    }
                });
            }
            let all = async { while requests.join_next().await.is_some() {} };
            timeout(Duration::from_secs(3600), all).await.expect("nobody waits for ever");
        }
    }

    /// Eight answers that their clients did not take once kept every other client waiting until those were cut.
    #[tokio::test(start_paused = true)]
    async fn long_answers_that_nobody_takes_leave_room_for_short_messages() {
        let limits = limits(1, 8);
        let total = TotalBudget::new(&limits);
        let mut stuck = Vec::new();
        loop {
            let budget = total.connection(&limits);
            match timeout(Duration::from_secs(3600), budget.take(MESSAGE_BYTES_MAX)).await {
                Ok(share) => stuck.push(share),
                Err(_) => break,
            }
        }
        let budget = total.connection(&limits);
        let request = timeout(Duration::from_secs(3600), budget.take(100)).await.expect("a short request is taken");
        drop(request);
        let _answer = timeout(Duration::from_secs(3600), budget.take(READ_CHUNK_BYTES)).await.expect("and answered");
        // What long ones leave is for short ones too.
        stuck.clear();
        for _ in 0..100 {
            let budget = total.connection(&limits);
            stuck.push(timeout(Duration::from_secs(3600), budget.take(READ_CHUNK_BYTES)).await.expect("there is room"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_arrive_leave_room_for_what_is_whole() {
        let limits = limits(1, 2);
        let total = TotalBudget::new(&limits);
        let mut stuck = Vec::new();
        loop {
            let mut share = total.connection(&limits).begin(MESSAGE_BYTES_MAX).await;
            let grown = timeout(Duration::from_secs(3600), share.grow(PIECE_BYTES_MAX, PIECE_BYTES_MAX)).await;
            stuck.push(share);
            if grown.is_err() {
                break;
            }
        }
        let (answering, budget) = (Duration::from_secs(3600), total.connection(&limits));
        timeout(answering, budget.take(MESSAGE_BYTES_MAX)).await.expect("an answer has its own half");
    }
}
