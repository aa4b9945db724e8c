//! The DocDB daemon: a Unix socket in front of a data directory.
//!
//! One request goes `frames` (bytes to a body) -> `requests` (body to a plan) -> `store` (the host) ->
//! `answer` (reply to bytes), all within `connection`, of which `server` runs many. A client of version 1 of the protocol
//! is served by `v1` in the place of `requests` and `answer`. `budget`, `outstanding` and `limits` bound them; `config` says
//! what they are set to, and `peer` who is served.
//!
//! The daemon decides nothing about data: what is valid, `docdb_protocol` says; what is stored and when it
//! is durable, the engine says. It never reads or writes a file of the data directory.

mod answer;
mod args;
mod budget;
mod config;
mod connection;
mod descriptors;
mod frames;
mod limits;
mod outstanding;
mod peer;
mod requests;
mod server;
mod socket;
mod store;
mod v1;

pub use args::{Args, Task, command};
pub use config::{ConfigError, ConfigErrors, Difference, Loaded, Settings};
pub use descriptors::{DESCRIPTORS_MIN, raise_descriptor_limit};
pub use limits::Limits;
pub use peer::Allowed;
pub use server::{Config, Control, Server, Stopped};
pub use socket::Access;
pub use store::EngineOptions;
