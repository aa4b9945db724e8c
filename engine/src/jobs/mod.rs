//! The jobs: everything that takes more than one disk operation, one file each.
//!
//! A job is an enum of steps, each named after the one effect it waits for. It advances only on a
//! completion, has one operation in flight, and ends in [`crate::io::Progress::Done`] or `Failed`. It never
//! answers a client: the room that began it does, once it is done.
//!
//! Which jobs may run together are two tables, which are held against each job that begins (`slots`): that of a database in
//! `database/job.rs`, and that of the data directory in `engine/job.rs`. Databases do not wait for each other.
//!
//! Of the jobs that sync one directory, one is in flight: a sync that fails takes the names of the others along.

pub(crate) mod catalog_append;
pub(crate) mod catalog_sync;
pub(crate) mod catalog_write;
pub(crate) mod create;
pub(crate) mod install;
mod listing;
pub(crate) mod new_segment;
pub(crate) mod opening;
pub(crate) mod paths;
mod read_header;
pub(crate) mod slots;
pub(crate) mod spare;
pub(crate) mod start;
pub(crate) mod trim;
mod undo;
pub(crate) mod write_tables;
