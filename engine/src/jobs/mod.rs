//! The jobs: everything that takes more than one disk operation, one file each.
//!
//! A job is an enum of steps, each named after the one effect it waits for. It advances only on a
//! completion, has one operation in flight, and ends in [`crate::io::Progress::Done`] or `Failed`. It never
//! answers a client: whoever started it does, once it is done.
//!
//! Which jobs of one database may run together is the table in `database/job.rs`, which is held against each job that begins
//! (`slots`). Databases do not wait for each other. Of the data directory, the start is alone; then one job for the catalog
//! and one creation may run together, beside whatever databases do.
//!
//! Appending to the catalog, writing it anew and syncing the one that was read are one job there: one is in flight at a time.
//!
//! Of the jobs that sync one directory, one is in flight: a sync that fails takes the names of the others along.

pub(crate) mod catalog_append;
pub(crate) mod catalog_sync;
pub(crate) mod catalog_write;
pub(crate) mod create;
pub(crate) mod new_segment;
pub(crate) mod opening;
pub(crate) mod slots;
pub(crate) mod spare;
pub(crate) mod start;
mod undo;
