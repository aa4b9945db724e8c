//! The bounds of the daemon: every queue, wait and number of things has its name here.
//!
//! Owns nothing else. A bound that can be configured has its default here and its row in `config/table.rs`.

use std::time::Duration;

use crate::shutdown::ShutdownTimes;

/// What one server allows. [`Limits::default`] is fit for production; tests make them small.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at one time. Each further one gets `too many connections` and is closed.
    pub connections_max: usize,
    /// Requests of one connection that are read but not yet answered. At this number the daemon stops
    /// reading from the connection, and the socket's own buffer holds the client back.
    pub requests_per_connection_max: usize,
    /// Bytes of requests and answers that one connection may hold in memory. At least one frame each way.
    pub connection_bytes_max: usize,
    /// Bytes of requests and answers that all connections together may hold in memory.
    pub total_bytes_max: usize,
    /// A connection with no frame begun and nothing to be answered is closed after this long.
    pub idle_time_max: Duration,
    /// From the first byte of a frame to its last, and from the first byte of an answer to its last.
    pub frame_time_max: Duration,
    /// How long a refused, oversized frame may take to show its request id before it is answered with 0.
    pub refused_id_time_max: Duration,
    /// How long each phase of the end may take.
    pub shutdown: ShutdownTimes,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 1024,
            requests_per_connection_max: 128,
            connection_bytes_max: 48 * 1024 * 1024,
            total_bytes_max: 256 * 1024 * 1024,
            idle_time_max: Duration::from_secs(15 * 60),
            frame_time_max: Duration::from_secs(30),
            refused_id_time_max: Duration::from_millis(50),
            shutdown: ShutdownTimes::default(),
        }
    }
}

/// Bytes asked of the socket in one read.
pub(crate) const READ_CHUNK_BYTES: usize = 64 * 1024;

/// Answers are gathered into one write up to this many bytes.
pub(crate) const WRITE_GATHER_BYTES: usize = 64 * 1024;
