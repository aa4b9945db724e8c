//! The server: one data directory, one socket, many connections, and an orderly end.
//!
//! Order at the start: the data directory first, which takes its lock; the socket only with the lock held.
//! Order at the end: no new connections, no new requests, everything outstanding answered, the directory
//! synced and closed, the socket removed. It takes no more connections than leave descriptors for the files of open
//! databases. It never touches a frame.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docdb_protocol::{Error, ErrorCode, wire};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::budget::TotalBudget;
use crate::connection::{self, Shared};
use crate::descriptors;
use crate::limits::Limits;
use crate::socket::{self, SocketFile};
use crate::store::Store;

/// How long accepting rests after the operating system refused a connection, for example for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server serves, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; created when missing.
    pub data_dir: PathBuf,
    /// The socket; `<DATA_DIR>.sock` when not named.
    pub socket: Option<PathBuf>,
    /// What it allows.
    pub limits: Limits,
}

/// A server that is open and listening, and not yet serving.
pub struct Server {
    store: Store,
    listener: UnixListener,
    socket: SocketFile,
    socket_path: PathBuf,
    databases: usize,
    limits: Limits,
    few_descriptors: Option<u64>,
}

/// How a server ended.
#[derive(Debug)]
pub struct Stopped {
    /// Connections that were still busy when the time was up, and were cut.
    pub connections_cut: usize,
    /// Whether the data directory was closed, and in time.
    pub closed: Result<(), Error>,
}

impl Server {
    /// Opens the data directory, then binds the socket. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// Of the host for the directory; [`ErrorCode::FileOpen`] naming the socket for the socket.
    pub async fn open(config: Config) -> Result<Server, Error> {
        let Config { data_dir, socket, mut limits } = config;
        let descriptors = descriptors::limit();
        let room = descriptors::connections_max(descriptors);
        let few_descriptors = (limits.connections_max > room).then_some(descriptors);
        limits.connections_max = limits.connections_max.min(room);
        let (store, databases, data_dir) = tokio::task::spawn_blocking(move || {
            let store = Store::open(&data_dir)?;
            let databases = store.databases()?.len();
            Ok::<_, Error>((store, databases, data_dir))
        })
        .await
        .map_err(|error| Error::new(ErrorCode::FileOpen).detail(error.to_string()))??;
        match bind(&data_dir, socket) {
            Ok((listener, socket, socket_path)) => {
                Ok(Server { store, listener, socket, socket_path, databases, limits, few_descriptors })
            }
            Err(error) => {
                // The reason to give is the socket's; the directory was only opened.
                let _ = tokio::task::spawn_blocking(move || store.close()).await;
                Err(error)
            }
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn socket_path(&self) -> &Path {
        &self.socket_path
    }

    /// How many databases the catalog had at the start.
    #[must_use]
    pub fn databases(&self) -> usize {
        self.databases
    }

    /// How many connections it takes at one time.
    #[must_use]
    pub fn connections_max(&self) -> usize {
        self.limits.connections_max
    }

    /// The process's limit of descriptors, when fewer connections than configured are taken because of it.
    #[must_use]
    pub fn few_descriptors(&self) -> Option<u64> {
        self.few_descriptors
    }

    /// Serves until `stop` is done, then ends in order, within the time the limits allow.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Stopped {
        let Server { store, listener, socket, limits, .. } = self;
        let limits = Arc::new(limits);
        let (stopping, stopping_seen) = watch::channel(false);
        let shared = Shared { store: store.clone(), limits: Arc::clone(&limits), stopping: stopping_seen };
        let mut connections = accept_until(stop, &listener, &shared).await;
        let deadline = Instant::now() + limits.shutdown_time_max;
        drop(listener);
        drop(shared);
        stopping.send_replace(true);
        let drained = timeout_at(deadline, async { while connections.join_next().await.is_some() {} }).await;
        let connections_cut = connections.len();
        if drained.is_err() {
            connections.shutdown().await;
        }
        let closing = tokio::task::spawn_blocking(move || store.close());
        // Half the time again for the closing when the connections used it all up.
        let deadline = deadline.max(Instant::now() + limits.shutdown_time_max / 2);
        let closed = match timeout_at(deadline, closing).await {
            Ok(Ok(closed)) => closed,
            Ok(Err(panicked)) => Err(Error::new(ErrorCode::PoolStopped).detail(panicked.to_string())),
            Err(_) => Err(Error::new(ErrorCode::PoolStopped).detail("closing took too long")),
        };
        drop(socket);
        Stopped { connections_cut, closed }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("socket", &self.socket_path).finish_non_exhaustive()
    }
}

fn bind(data_dir: &Path, socket: Option<PathBuf>) -> Result<(UnixListener, SocketFile, PathBuf), Error> {
    let failed = |path: &Path, error: &io::Error| {
        Error::new(ErrorCode::FileOpen).detail(format!("cannot listen on {}: {error}", path.display()))
    };
    let path = match socket {
        Some(path) => path,
        None => socket::default_path(data_dir).map_err(|error| failed(data_dir, &error))?,
    };
    let bound = socket::bind(&path).and_then(|(listener, file)| {
        listener.set_nonblocking(true)?;
        Ok((UnixListener::from_std(listener)?, file))
    });
    match bound {
        Ok((listener, file)) => Ok((listener, file, path)),
        Err(error) => Err(failed(&path, &error)),
    }
}

async fn accept_until(stop: impl Future<Output = ()>, listener: &UnixListener, shared: &Shared) -> JoinSet<()> {
    let total = TotalBudget::new(&shared.limits);
    let mut connections = JoinSet::new();
    let mut pause_until = Instant::now();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => return connections,
            Some(_) = connections.join_next() => continue,
            accepted = async { sleep_until(pause_until).await; listener.accept().await } => accepted,
        };
        match accepted {
            Ok((stream, _)) if connections.len() >= shared.limits.connections_max => refuse(&stream),
            Ok((stream, _)) => {
                let budget = total.connection(&shared.limits);
                connections.spawn(connection::serve(stream, shared.clone(), budget));
            }
            // The connection waits in the backlog; asking again at once would only spin.
            Err(_) => pause_until = Instant::now() + ACCEPT_PAUSE,
        }
    }
}

/// Sends one client too many its error, or the part of it that the socket takes at once.
fn refuse(stream: &UnixStream) {
    let mut bytes = Vec::new();
    wire::encode_error(0, &ErrorCode::TooManyConnections.into(), &mut bytes);
    let _ = stream.try_write(&bytes);
}
