//! The jobs of a database: which there are, which slot each occupies, and which may run at a time.
//!
//! A new kind of job is a file that implements [`DatabaseJob`], and a row here.

use super::checkpoint_jobs::{Installing, Trimming, Writing};
use super::commit::Append;
use super::rotation::Rotation;
use super::spare_jobs::RemoveSpare;
use super::state::{Arrival, DatabaseJob, State, Turn};
use crate::jobs::opening::Opening;
use crate::jobs::slots::overlap_table;
use crate::jobs::spare::SpareJob;

macro_rules! database_jobs {
    ($($row:ident($of:ty) in $slot:ident beside $others:tt;)*) => {
        overlap_table! {
            /// See the module.
            Job, JobKind { $($row($of) in $slot beside $others;)* }
        }

        impl DatabaseJob for Job {
            fn completed(self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Job> {
                match self {
                    $(Job::$row(job) => job.completed(arrival, state, turn).map(Job::$row),)*
                }
            }
        }
    };
}

// Closing is no job of its own: it waits until no other runs. A rotation and an installation both sync the folder.
database_jobs! {
    Opening(Box<Opening>) in Log beside [];
    Append(Append) in Log beside [MakeSpare, Writing, Installing, Trimming];
    Rotation(Rotation) in Log beside [MakeSpare, Writing, Trimming];
    MakeSpare(SpareJob) in Spare beside [Append, Rotation, Writing, Installing, Trimming];
    RemoveSpare(RemoveSpare) in Spare beside [];
    Writing(Writing) in Checkpoint beside [Append, Rotation, MakeSpare];
    Installing(Installing) in Checkpoint beside [Append, MakeSpare];
    Trimming(Trimming) in Checkpoint beside [Append, Rotation, MakeSpare];
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
