//! The deterministic engine of DocDB: a state machine over the [`Disk`] and [`Clock`] traits.
//!
//! It has one door: [`Engine::handle`] takes one [`Input`], then [`Engine::poll_output`] is drained.
//! It makes every decision about what is stored, in which order it becomes durable, and when each client is answered.
//!
//! It never touches a file, a socket, a thread, a clock or randomness of its own, and its whole
//! state is plain data that a simulator can clone at any step.

mod alert;
mod batch;
mod buffer;
mod catalog;
mod clock;
mod database;
mod disk;
mod driver;
mod engine;
mod execute;
mod io;
mod jobs;
mod log;
mod map;
mod message;
pub mod metadata;
mod options;
pub mod read;
mod retry;
pub mod table;
mod view;

pub use alert::{Alert, AlertKind};
pub use buffer::Buffer;
pub use catalog::{CATALOG_HEADER_OFFSETS, CATALOG_MAGIC};
pub use clock::{Clock, Instant, Now, WallTime};
pub use disk::{
    Completion, Disk, DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply, FileId, OpId, OpenMode, SECTOR_BYTES,
};
pub use driver::{Driver, Outside};
pub use engine::Engine;
pub use log::{DirectoryId, FORMAT_VERSION, Lsn};
pub use message::{Input, Output, RequestId};
pub use options::Options;
pub use view::{Lookup, Scanned, View};
