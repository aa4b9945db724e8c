//! The jobs of the data directory: which there are, which slot each occupies, and which may run at a time.
//!
//! A new kind of job is a file that implements [`DirectoryJob`] for the engine, and a row here. What a database does is in
//! that database's own table, and may run beside any of these.

use crate::clock::Now;
use crate::io::DiskResult;
use crate::jobs::catalog_append::CatalogAppend;
use crate::jobs::catalog_sync::CatalogSync;
use crate::jobs::catalog_write::CatalogWrite;
use crate::jobs::create::Create;
use crate::jobs::slots::overlap_table;
use crate::jobs::start::Start;

/// A job of the data directory, and what `E`, the engine, does about its steps. The table does not know the engine.
pub(super) trait DirectoryJob<E>: Sized {
    /// Carries on with the operation that was in flight. `None` when the job has ended; its slot is free by then.
    fn completed(self, now: Now, result: DiskResult, engine: &mut E) -> Option<Self>;
}

macro_rules! directory_jobs {
    ($($row:ident($of:ty) in $slot:ident beside $others:tt;)*) => {
        overlap_table! {
            /// See the module.
            Job, JobKind { $($row($of) in $slot beside $others;)* }
        }

        impl Job {
            /// See [`DirectoryJob::completed`].
            pub(super) fn completed<E>(self, now: Now, result: DiskResult, engine: &mut E) -> Option<Job>
            where
                $($of: DirectoryJob<E>,)*
            {
                match self {
                    $(Job::$row(job) => job.completed(now, result, engine).map(Job::$row),)*
                }
            }
        }
    };
}

// One job reads or writes the catalog at a time, and creations take turns: all of them sync the one folder, and a sync that
// fails takes along every name that it was to make durable. No database is created before a catalog was written.
directory_jobs! {
    Start(Box<Start>) in Catalog beside [];
    SyncCatalog(CatalogSync) in Catalog beside [];
    AppendCatalog(CatalogAppend) in Catalog beside [Create];
    WriteCatalog(CatalogWrite) in Catalog beside [Create];
    Create(Box<Create>) in Creation beside [AppendCatalog, WriteCatalog];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::slots::tests::check_table;

    #[test]
    fn the_table_says_the_same_from_both_sides() {
        check_table::<Job>(JobKind::ALL);
    }
}
