//! Where jobs run, and which may run at a time.
//!
//! A job occupies a slot of its database, or of the data directory. The table of a place (`overlap_table!`) has one row for
//! each kind of job: its type, its slot, and the kinds that may run beside it. [`Slots::begin`] holds every job that begins
//! against it. A kind that stands in no row cannot be made, and one that is not named beside another never runs with it.
//!
//! It starts nothing and ends nothing.

use std::fmt::Debug;

/// What a job occupies while it runs. One operation is in flight for each slot that is occupied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Of a database: what reads and writes its log.
    Log,
    /// Of a database: what prepares the next segment.
    Spare,
    /// Of a database: what makes a checkpoint.
    Checkpoint,
    /// Of the data directory: what reads and writes the catalog.
    Catalog,
    /// Of the data directory: what makes the folder of a new database.
    Creation,
}

/// A job that stands in a table.
pub(crate) trait Tabled {
    /// Its kind.
    type Kind: Copy + Debug + PartialEq + 'static;

    fn kind(&self) -> Self::Kind;

    /// The slot that this kind occupies.
    fn slot(kind: Self::Kind) -> Slot;

    /// The kinds that may run beside this one.
    fn beside(kind: Self::Kind) -> &'static [Self::Kind];
}

/// The jobs that run in one place.
#[derive(Clone, Debug)]
pub(crate) struct Slots<J> {
    /// At most one of each slot.
    jobs: Vec<J>,
}

impl<J> Default for Slots<J> {
    fn default() -> Slots<J> {
        Slots { jobs: Vec::new() }
    }
}

impl<J: Tabled> Slots<J> {
    /// Occupies the job's slot.
    ///
    /// # Panics
    /// When the table does not let it run beside those that do.
    pub(crate) fn begin(&mut self, job: J) {
        let kind = job.kind();
        for other in &self.jobs {
            let other = other.kind();
            assert!(J::beside(kind).contains(&other), "{kind:?} may not run beside {other:?}");
        }
        self.jobs.push(job);
    }

    /// Takes the job out whose operation has come back; [`Slots::resume`] takes it in again where it goes on.
    ///
    /// # Panics
    /// When no job is there: an operation belongs to a job in its slot.
    pub(crate) fn take(&mut self, slot: Slot) -> J {
        let at = self.jobs.iter().position(|job| J::slot(job.kind()) == slot);
        self.jobs.swap_remove(at.expect("the job stays in its slot while it has an operation in flight"))
    }

    /// Takes a job in again that goes on with one more operation.
    pub(crate) fn resume(&mut self, job: J) {
        self.jobs.push(job);
    }

    pub(crate) fn is_free(&self, slot: Slot) -> bool {
        self.get(slot).is_none()
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&J> {
        self.jobs.iter().find(|job| J::slot(job.kind()) == slot)
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut J> {
        self.jobs.iter_mut().find(|job| J::slot(job.kind()) == slot)
    }
}

/// The jobs of a place as one closed enum, from the table of their slots and overlaps.
macro_rules! overlap_table {
    ($(#[$about:meta])* $job:ident, $kind:ident { $($row:ident($of:ty) in $slot:ident beside [$($other:ident),*];)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub(super) enum $job {
            $($row($of),)*
        }

        #[doc = concat!("The kinds of [`", stringify!($job), "`].")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $kind {
            $($row,)*
        }

        impl $kind {
            #[cfg(test)]
            const ALL: &'static [$kind] = &[$($kind::$row,)*];
        }

        impl $crate::jobs::slots::Tabled for $job {
            type Kind = $kind;

            fn kind(&self) -> $kind {
                match self {
                    $($job::$row(_) => $kind::$row,)*
                }
            }

            fn slot(kind: $kind) -> $crate::jobs::slots::Slot {
                match kind {
                    $($kind::$row => $crate::jobs::slots::Slot::$slot,)*
                }
            }

            fn beside(kind: $kind) -> &'static [$kind] {
                match kind {
                    $($kind::$row => &[$($kind::$other),*],)*
                }
            }
        }
    };
}
pub(crate) use overlap_table;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A table says the same from both sides, and lets no two run in one slot.
    pub(crate) fn check_table<J: Tabled>(kinds: &[J::Kind]) {
        for one in kinds {
            for other in kinds {
                let is_beside = J::beside(*one).contains(other);
                assert_eq!(is_beside, J::beside(*other).contains(one), "{one:?} and {other:?}");
                assert!(!is_beside || J::slot(*one) != J::slot(*other), "{one:?} and {other:?} share a slot");
            }
        }
    }

    overlap_table! {
        /// Jobs that do nothing.
        Idle, IdleKind {
            Long(u8) in Log beside [Aside];
            Alone(()) in Log beside [];
            Aside(u8) in Spare beside [Long];
        }
    }

    #[test]
    fn a_slot_is_free_again_when_its_job_does_not_resume() {
        check_table::<Idle>(IdleKind::ALL);
        let mut slots = Slots::default();
        slots.begin(Idle::Long(1));
        slots.begin(Idle::Aside(2));
        let job = slots.take(Slot::Log);
        assert!(matches!(job, Idle::Long(1)) && slots.is_free(Slot::Log) && !slots.is_free(Slot::Spare));
        slots.resume(job);
        assert!(matches!(slots.get(Slot::Log), Some(Idle::Long(1))));
        assert!(matches!(slots.get(Slot::Spare), Some(Idle::Aside(2))));
    }

    #[test]
    #[should_panic(expected = "Alone may not run beside Aside")]
    fn what_the_table_does_not_name_does_not_begin() {
        let mut slots = Slots::default();
        slots.begin(Idle::Aside(0));
        slots.begin(Idle::Alone(()));
    }

    #[test]
    #[should_panic(expected = "Long may not run beside Long")]
    fn a_slot_holds_one_job() {
        let mut slots = Slots::default();
        slots.begin(Idle::Long(0));
        slots.begin(Idle::Long(0));
    }
}
