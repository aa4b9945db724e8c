//! The end of a server, in phases.
//!
//! ```text
//! no connection and no request is taken any more
//! drain:  each connection ends when its client has taken the answers to what it asked       until `drain`
//! wait:   connections whose requests the engine still works on have time for their answers  until `wait`
//! cut:    the connections that are left
//! close:  the engine answers what is pending, syncs and closes every database               until `close`
//! force:  the process ends as it is
//! ```
//!
//! Times count from the signal. A second signal forces at once, in any phase. Whatever is forced, what was acknowledged is
//! durable: only the next start has more to read. Owns the order of the phases and what is logged of them; it never decides
//! what a connection does in them.

use std::pin::Pin;
use std::time::Duration;

use docdb_protocol::{Error, ErrorCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};
use tracing::{info, warn};

use crate::log::words::{count, seconds};
use crate::store::Store;

/// How often the phase that waits looks whether the engine still works on requests.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// When each phase ends, from the signal to stop on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownTimes {
    /// Until when clients may take the answers that they asked for.
    pub drain: Duration,
    /// Until when requests that the engine works on are waited for.
    pub wait: Duration,
    /// Until when everything has to be closed.
    pub close: Duration,
}

impl Default for ShutdownTimes {
    fn default() -> ShutdownTimes {
        ShutdownTimes { drain: Duration::from_secs(5), wait: Duration::from_secs(25), close: Duration::from_secs(30) }
    }
}

/// How a server ended.
#[derive(Debug)]
pub struct Stopped {
    /// Connections that were still busy when the time was up, and were cut.
    pub connections_cut: usize,
    /// Whether the data directory was closed, and in time.
    pub closed: Result<(), Error>,
}

/// How a phase ended.
#[derive(Debug)]
enum Phase<T> {
    Done(T),
    TimeUp,
    Forced,
}

/// Ends what is left of a server that takes nothing any more. `force` is done when the operator wants no further waiting.
pub(crate) async fn end(
    store: Store,
    mut connections: JoinSet<()>,
    times: ShutdownTimes,
    force: impl Future<Output = ()>,
) -> Stopped {
    let begun = Instant::now();
    tokio::pin!(force);
    info!(
        "shutdown: nothing new is taken; {} may take the answers to what was asked, for up to {}",
        count(connections.len() as u64, "connection"),
        seconds(times.drain)
    );
    let drained = phase(begun + times.drain, force.as_mut(), all_end(&mut connections)).await;
    let waited = match drained {
        Phase::Done(()) | Phase::Forced => drained,
        Phase::TimeUp => {
            info!(
                "shutdown: {} left, {} in work; waiting for these for up to {} in all",
                count(connections.len() as u64, "connection"),
                count(store.in_flight(), "request"),
                seconds(times.wait)
            );
            phase(begun + times.wait, force.as_mut(), all_answered(&mut connections, &store)).await
        }
    };
    let connections_cut = connections.len();
    if connections_cut > 0 {
        warn!("shutdown: {} cut", count(connections_cut as u64, "busy connection"));
    }
    if let Phase::Forced = waited {
        return forced(store, connections_cut);
    }
    connections.shutdown().await;
    info!(
        "shutdown: closing all databases, {} after the signal, for up to {}",
        seconds(begun.elapsed()),
        seconds(times.close)
    );
    let closing = tokio::task::spawn_blocking(move || store.close());
    let closed = match phase(begun + times.close, force.as_mut(), closing).await {
        Phase::Done(Ok(closed)) => closed,
        Phase::Done(Err(panicked)) => Err(Error::new(ErrorCode::PoolStopped).detail(panicked.to_string())),
        Phase::TimeUp => {
            warn!("shutdown: closing takes longer than {}, the end is forced", seconds(times.close));
            Err(Error::new(ErrorCode::PoolStopped).detail("closing took too long"))
        }
        Phase::Forced => {
            warn!("shutdown: forced by a second signal while closing");
            Err(Error::new(ErrorCode::PoolStopped).detail("forced by a second signal"))
        }
    };
    Stopped { connections_cut, closed }
}

/// Runs one phase until it is done, its time is up, or the operator forces the end.
async fn phase<T>(
    until: Instant,
    force: Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> Phase<T> {
    tokio::select! {
        biased;
        done = work => Phase::Done(done),
        () = force => Phase::Forced,
        () = sleep_until(until) => Phase::TimeUp,
    }
}

async fn all_end(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Until no connection is left, or the engine works on nothing any more: then clients only leave their answers untaken.
async fn all_answered(connections: &mut JoinSet<()>, store: &Store) {
    let mut look = interval(LOOK_EVERY);
    // Between two requests of one frame there is none for a moment: so it looks twice.
    let mut looks_without = 0;
    while looks_without < 2 {
        tokio::select! {
            biased;
            ended = connections.join_next() => {
                if ended.is_none() {
                    return;
                }
            }
            _ = look.tick() => {
                looks_without = if store.in_flight() == 0 { looks_without + 1 } else { 0 };
            }
        }
    }
}

fn forced(store: Store, connections_cut: usize) -> Stopped {
    warn!("shutdown: forced by a second signal; the next start has more to read");
    // Dropping the last handle closes, and waits for it; the process does not.
    std::thread::spawn(move || drop(store));
    Stopped { connections_cut, closed: Err(Error::new(ErrorCode::PoolStopped).detail("forced by a second signal")) }
}
