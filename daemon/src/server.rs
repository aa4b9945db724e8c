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
use crate::config::Settings;
use crate::connection::{self, Shared};
use crate::descriptors;
use crate::limits::Limits;
use crate::peer::Allowed;
use crate::socket::{self, Access, SocketFile};
use crate::store::{EngineOptions, Store};

/// How long accepting rests after the operating system refused a connection, for example for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server serves, where, and to whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory; created when missing.
    pub data_dir: PathBuf,
    /// The socket; `<DATA_DIR>.sock` when not named.
    pub socket: Option<PathBuf>,
    /// Who may use it.
    pub access: Access,
    /// What it allows.
    pub limits: Limits,
    /// The settings of the engine.
    pub engine: EngineOptions,
}

impl Config {
    /// A data directory with everything else by default.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Config {
        Config {
            data_dir: data_dir.into(),
            socket: None,
            access: Access::default(),
            limits: Limits::default(),
            engine: EngineOptions::default(),
        }
    }

    /// What the settings say; `None` where they name no data directory.
    #[must_use]
    pub fn from_settings(settings: Settings) -> Option<Config> {
        let Settings { data_dir, socket, access, limits, engine } = settings;
        Some(Config { data_dir: data_dir?, socket, access, limits, engine })
    }
}

/// A server that is open and listening, and not yet serving.
pub struct Server {
    store: Store,
    listener: UnixListener,
    socket: SocketFile,
    socket_path: PathBuf,
    databases: usize,
    rules: watch::Sender<Rules>,
    few_descriptors: Option<u64>,
}

/// What may change while a server serves. Each connection keeps those that it began with.
#[derive(Clone, Debug)]
struct Rules {
    limits: Arc<Limits>,
    allowed: Allowed,
}

impl Rules {
    /// Of the limits, those of connections that leave descriptors for the files of open databases.
    fn new(mut limits: Limits, allowed: Allowed) -> Rules {
        limits.connections_max = limits.connections_max.min(descriptors::connections_max(descriptors::limit()));
        Rules { limits: Arc::new(limits), allowed }
    }
}

/// Changes a server that runs.
#[derive(Clone, Debug)]
pub struct Control {
    rules: watch::Sender<Rules>,
}

impl Control {
    /// Serves by these from the next connection on. Connections that are open keep the limits that they began with.
    pub fn change(&self, limits: Limits, allowed: Allowed) {
        self.rules.send_replace(Rules::new(limits, allowed));
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

impl Server {
    /// Opens the data directory, then binds the socket. Needs a tokio runtime around it. What can be known to be wrong
    /// is said before anything is made.
    ///
    /// # Errors
    /// Of the host for the directory; [`ErrorCode::FileOpen`] naming the socket for the socket.
    pub async fn open(config: Config) -> Result<Server, Error> {
        let Config { data_dir, socket, access, limits, engine } = config;
        let descriptors = descriptors::limit();
        let few_descriptors =
            (limits.connections_max > descriptors::connections_max(descriptors)).then_some(descriptors);
        let socket_path = match socket {
            Some(path) => path,
            None => socket::default_path(&data_dir).map_err(|error| cannot_listen(&data_dir, &error))?,
        };
        socket::check(&socket_path).map_err(|error| cannot_listen(&socket_path, &error))?;
        let (store, databases) = tokio::task::spawn_blocking(move || {
            let store = Store::open(&data_dir, engine)?;
            let databases = store.databases()?.len();
            Ok::<_, Error>((store, databases))
        })
        .await
        .map_err(|error| Error::new(ErrorCode::FileOpen).detail(error.to_string()))??;
        let (listener, socket) = match bind(&socket_path, &access) {
            Ok(bound) => bound,
            Err(error) => {
                // The reason to give is the socket's; the directory was only opened.
                let _ = tokio::task::spawn_blocking(move || store.close()).await;
                return Err(cannot_listen(&socket_path, &error));
            }
        };
        let rules = watch::Sender::new(Rules::new(limits, access.allowed));
        Ok(Server { store, listener, socket, socket_path, databases, rules, few_descriptors })
    }

    /// What changes this server while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control { rules: self.rules.clone() }
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
        self.rules.borrow().limits.connections_max
    }

    /// The process's limit of descriptors, when fewer connections than configured are taken because of it.
    #[must_use]
    pub fn few_descriptors(&self) -> Option<u64> {
        self.few_descriptors
    }

    /// Serves until `stop` is done, then ends in order, within the time the limits allow.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Stopped {
        let Server { store, listener, socket, rules, .. } = self;
        let (stopping, stopping_seen) = watch::channel(false);
        let accepting = Accepting { store: store.clone(), stopping: stopping_seen, rules: rules.subscribe() };
        let mut connections = accepting.until(stop, &listener).await;
        let limits = Arc::clone(&rules.borrow().limits);
        let deadline = Instant::now() + limits.shutdown_time_max;
        drop(listener);
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

fn cannot_listen(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::FileOpen).detail(format!("cannot listen on {}: {error}", path.display()))
}

fn bind(path: &Path, access: &Access) -> io::Result<(UnixListener, SocketFile)> {
    let (listener, file) = socket::bind(path, access)?;
    listener.set_nonblocking(true)?;
    Ok((UnixListener::from_std(listener)?, file))
}

/// Takes connections.
struct Accepting {
    store: Store,
    stopping: watch::Receiver<bool>,
    rules: watch::Receiver<Rules>,
}

impl Accepting {
    async fn until(self, stop: impl Future<Output = ()>, listener: &UnixListener) -> JoinSet<()> {
        let total = TotalBudget::new(&self.rules.borrow().limits);
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
                Ok((stream, _)) => match self.admit(&stream, connections.len()) {
                    Ok(limits) => {
                        let budget = total.connection(&limits);
                        let (store, stopping) = (self.store.clone(), self.stopping.clone());
                        connections.spawn(connection::serve(stream, Shared { store, limits, stopping }, budget));
                    }
                    Err(error) => refuse(&stream, &error),
                },
                // The connection waits in the backlog; asking again at once would only spin.
                Err(_) => pause_until = Instant::now() + ACCEPT_PAUSE,
            }
        }
    }

    /// The limits of a new connection beside so many others, or why there is none.
    fn admit(&self, stream: &UnixStream, others: usize) -> Result<Arc<Limits>, Error> {
        let rules = self.rules.borrow();
        // A process that is gone has credentials all the same; without them nobody is let in.
        let (uid, gid) = stream.peer_cred().map_or((u32::MAX, u32::MAX), |peer| (peer.uid(), peer.gid()));
        if !rules.allowed.lets_in(uid, gid) {
            let detail = format!("neither user {uid} nor group {gid} is among allowed_uids and allowed_gids");
            return Err(Error::new(ErrorCode::PermissionDenied).detail(detail));
        }
        if others >= rules.limits.connections_max {
            return Err(ErrorCode::TooManyConnections.into());
        }
        Ok(Arc::clone(&rules.limits))
    }
}

/// Sends a client that is not served its error, or the part of it that the socket takes at once.
fn refuse(stream: &UnixStream, error: &Error) {
    let mut bytes = Vec::new();
    wire::encode_error(0, error, &mut bytes);
    let _ = stream.try_write(&bytes);
}
