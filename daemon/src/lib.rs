//! The DocDB daemon: a Unix socket in front of a data directory.
//!
//! One request goes `frames` (bytes to a body) -> `requests` (body to a plan) -> `store` (the host) ->
//! `answer` (reply to bytes), all within `connection`, of which `accept` begins many and `shutdown` ends all. A client of
//! version 1 of the protocol is served by `v1` in the place of `requests` and `answer`. `budget`, `outstanding` and `limits`
//! bound them; `config` says what they are set to, `peer` who is served, `log` what the operator reads, and
//! `notify` what the service manager hears. `opening` opens every database before the daemon says that it listens.
//!
//! The daemon decides nothing about data: what is valid, `docdb_protocol` says; what is stored and when it
//! is durable, the engine says. It never reads or writes a file of the data directory.

mod accept;
mod answer;
mod args;
mod budget;
mod config;
mod connection;
mod descriptors;
mod frames;
mod limits;
mod log;
pub mod notify;
mod opening;
mod outstanding;
mod peer;
mod requests;
mod server;
mod shutdown;
mod socket;
mod statistics;
mod store;
mod v1;

pub use args::{Args, Task, command};
pub use config::{ConfigError, ConfigErrors, Difference, Loaded, Settings};
pub use descriptors::{DESCRIPTORS_MIN, raise_descriptor_limit};
pub use limits::Limits;
pub use log::{Log, LogFormat, LogLevel, LogSettings};
pub use peer::Allowed;
pub use server::{Config, Control, Server};
pub use shutdown::{ShutdownTimes, Stopped};
pub use socket::Access;
pub use statistics::Statistics;
pub use store::EngineOptions;
