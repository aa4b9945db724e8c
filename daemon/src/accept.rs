//! Taking connections: who is served, how many, and what is counted of it.
//!
//! Owns the decision to serve a connection or to refuse it, and the loop that takes them. It never touches a frame. What
//! clients can cause again and again is logged once a second at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docdb_protocol::{Error, ErrorCode, wire};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::budget::TotalBudget;
use crate::connection::{self, Shared};
use crate::descriptors;
use crate::limits::Limits;
use crate::log::Repeated;
use crate::peer::Allowed;
use crate::store::Store;

/// How long accepting rests after the operating system refused a connection, for example for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What may change while a server serves. Each connection keeps those that it began with.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) limits: Arc<Limits>,
    allowed: Allowed,
}

impl Rules {
    /// Of the limits, those of connections that leave descriptors for the files of open databases.
    pub(crate) fn new(mut limits: Limits, allowed: Allowed) -> Rules {
        limits.connections_max = limits.connections_max.min(descriptors::connections_max(descriptors::limit()));
        Rules { limits: Arc::new(limits), allowed }
    }
}

/// What is counted from the start on.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that are served now.
    pub(crate) connections: AtomicU64,
    /// Connections that were served, with these.
    pub(crate) served: AtomicU64,
    /// Connections that were refused.
    pub(crate) refused: AtomicU64,
}

/// Counts a connection for as long as it is served.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: &Arc<Counters>) -> Counted {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        counters.served.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(counters))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes connections.
pub(crate) struct Accepting {
    pub(crate) store: Store,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) rules: watch::Receiver<Rules>,
    pub(crate) counters: Arc<Counters>,
}

impl Accepting {
    /// Takes connections until `stop` is done; the ones that are still served.
    pub(crate) async fn until(self, stop: impl Future<Output = ()>, listener: &UnixListener) -> JoinSet<()> {
        let total = TotalBudget::new(&self.rules.borrow().limits);
        let mut connections = JoinSet::new();
        let mut pause_until = Instant::now();
        let (mut refused, mut failed) = (Repeated::default(), Repeated::default());
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => return connections,
                Some(_) = connections.join_next() => continue,
                accepted = async { sleep_until(pause_until).await; listener.accept().await } => accepted,
            };
            match accepted {
                Ok((stream, _)) => match self.admit(&stream, connections.len()) {
                    Ok(limits) => {
                        let budget = total.connection(&limits);
                        let (store, stopping) = (self.store.clone(), self.stopping.clone());
                        let serving = connection::serve(stream, Shared { store, limits, stopping }, budget);
                        let counted = Counted::new(&self.counters);
                        connections.spawn(async move {
                            serving.await;
                            drop(counted);
                            debug!("a connection has ended");
                        });
                    }
                    Err(error) => {
                        self.counters.refused.fetch_add(1, Ordering::Relaxed);
                        if let Some(more) = refused.again(Instant::now()) {
                            warn!("a connection was refused: {error}{more}");
                        }
                        refuse(&stream, &error);
                    }
                },
                Err(error) => {
                    if let Some(more) = failed.again(Instant::now()) {
                        warn!("a connection could not be taken, and waits: {error}{more}");
                    }
                    // The connection waits in the backlog; asking again at once would only spin.
                    pause_until = Instant::now() + ACCEPT_PAUSE;
                }
            }
        }
    }

    /// The limits of a new connection beside so many others, or why there is none.
    fn admit(&self, stream: &UnixStream, others: usize) -> Result<Arc<Limits>, Error> {
        let rules = self.rules.borrow();
        // Without credentials nobody is let in who is not everybody.
        let (uid, gid, pid) =
            stream.peer_cred().map_or((u32::MAX, u32::MAX, None), |peer| (peer.uid(), peer.gid(), peer.pid()));
        let pid = pid.unwrap_or_default();
        if !rules.allowed.lets_in(uid, gid) {
            let detail =
                format!("neither user {uid} nor group {gid} of process {pid} is among allowed_uids and allowed_gids");
            return Err(Error::new(ErrorCode::PermissionDenied).detail(detail));
        }
        if others >= rules.limits.connections_max {
            return Err(ErrorCode::TooManyConnections.into());
        }
        debug!("process {pid} of user {uid} has connected");
        Ok(Arc::clone(&rules.limits))
    }
}

/// Sends a client that is not served its error, or the part of it that the socket takes at once.
fn refuse(stream: &UnixStream, error: &Error) {
    let mut bytes = Vec::new();
    wire::encode_error(0, error, &mut bytes);
    let _ = stream.try_write(&bytes);
}
