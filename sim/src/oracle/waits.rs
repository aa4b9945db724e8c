//! How long clients wait for nothing: a write that no operation of the disk keeps waiting is waited with no longer than its
//! batch may gather, or than a retry may back off; and a retry waits before it begins.
//!
//! It knows of each log when its last batch was handed to the disk and when it was durable, how many were answered, and what
//! its last attempt at a new segment met. Where anything of the database is under way, nothing is judged.

use std::collections::BTreeMap;

use docdb_engine::{DiskErrorKind, Instant};

use super::touched::{Deed, End, Part, Touch};
use super::{Violation, violation};

/// A batch gathers for at most this part of the time that the last one took.
const GATHER_FRACTION: u64 = 4;

/// The delays of a retry, and how many there are.
const FIRST_DELAY_NS: u64 = 10_000_000;
const DELAYS: u32 = 5;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    logs: BTreeMap<usize, Log>,
    gather_ns_max: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Log {
    /// When the last batch was handed to the disk.
    begun: Instant,
    /// Until when the next one may gather.
    gathers_until: Option<Instant>,
    /// Whether one became durable in this turn, and how many clients were answered since.
    has_ended: bool,
    answered: usize,
    attempt: Attempt,
    /// How many attempts in a row met something that passes.
    passing: u32,
}

/// The last attempt at a new segment.
#[derive(Clone, Copy, Debug, Default)]
enum Attempt {
    /// None is on its way, or none failed.
    #[default]
    None,
    UnderWay,
    /// It failed before its header, perhaps for want of something that passes, and what it has made is being removed.
    Undone {
        passes: bool,
        is_removed: bool,
    },
    /// It came to its header: if it fails now, it is not made again.
    Vouched,
    /// The next one waits for its time.
    WaitsSince(Instant),
}

impl Waits {
    /// The engine that runs from now on lets batches gather for so long at most.
    pub(super) fn bound(&mut self, gather_ns_max: u64) {
        self.crashed();
        self.gather_ns_max = gather_ns_max;
    }

    /// The process died.
    pub(super) fn crashed(&mut self) {
        self.logs.clear();
    }

    /// The engine asks for an operation. `is_shown` says whether readers see the database.
    ///
    /// # Errors
    /// When an attempt is made again without a pause.
    pub(super) fn submitted(&mut self, touch: &Touch, now: Instant, is_shown: bool) -> Result<(), Violation> {
        let Some(database) = touch.database.filter(|_| is_shown) else { return Ok(()) };
        let log = self.logs.entry(database).or_default();
        match (touch.part, touch.deed, log.attempt) {
            (Part::Active, Deed::Write { .. }, _) => {
                (log.begun, log.gathers_until, log.attempt) = (now, None, Attempt::None);
            }
            (Part::Next, Deed::Remove, Attempt::Undone { passes, is_removed: false }) => {
                log.attempt = Attempt::Undone { passes, is_removed: true };
            }
            (Part::Next, Deed::Remove, Attempt::Vouched) => {}
            (Part::Next, Deed::Remove, attempt) => {
                log.gathers_until = None;
                log.attempt = Attempt::UnderWay;
                if let Attempt::WaitsSince(failed) = attempt
                    && log.passing <= DELAYS
                    && now < failed.after(FIRST_DELAY_NS / 2)
                {
                    return violation!("a segment is tried again at {now:?}, and failed at {failed:?}");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// An operation has ended, of which the engine hears now.
    pub(super) fn delivered(&mut self, touch: &Touch, end: End, now: Instant) {
        let Some(log) = touch.database.and_then(|database| self.logs.get_mut(&database)) else { return };
        match (touch.part, touch.deed, end) {
            (Part::Active, Deed::Sync, End::Well) => {
                let took_ns = now.0.saturating_sub(log.begun.0);
                log.gathers_until = Some(now.after((took_ns / GATHER_FRACTION).min(self.gather_ns_max)));
                (log.passing, log.has_ended) = (0, true);
            }
            (Part::Next, Deed::Write { offset: 0, .. }, _) => log.attempt = Attempt::Vouched,
            (Part::Next, Deed::Remove, _) if matches!(log.attempt, Attempt::Undone { is_removed: true, .. }) => {
                let passes = matches!(log.attempt, Attempt::Undone { passes: true, .. });
                log.attempt = if passes { Attempt::WaitsSince(now) } else { Attempt::None };
            }
            (Part::Next, _, End::Failed(kind)) if matches!(log.attempt, Attempt::UnderWay) => {
                let passes = matches!(kind, DiskErrorKind::Transient | DiskErrorKind::Shortage);
                log.passing += u32::from(passes);
                log.attempt = Attempt::Undone { passes, is_removed: false };
            }
            (Part::Active, Deed::Become, End::Well) => (log.passing, log.attempt) = (0, Attempt::None),
            _ => {}
        }
    }

    /// A client of this database was answered.
    pub(super) fn answered(&mut self, database: usize) {
        if let Some(log) = self.logs.get_mut(&database) {
            log.answered += 1;
        }
    }

    /// A database latched, or refused what waits.
    ///
    /// # Errors
    /// When what it lacked may have passed, and was not tried as often as it has to be.
    pub(super) fn gives_up(&self, database: usize) -> Result<(), Violation> {
        match self.logs.get(&database) {
            Some(Log { attempt: Attempt::Undone { passes: true, .. } | Attempt::WaitsSince(_), passing, .. })
                if *passing <= DELAYS =>
            {
                violation!("a segment was tried {passing} times, what it lacked may pass, and it is given up")
            }
            _ => Ok(()),
        }
    }

    /// Readers see nothing of a database any more.
    pub(super) fn closed(&mut self, database: usize) {
        self.logs.remove(&database);
    }

    /// The engine has said all that it says at this moment, and asked to be woken at `wake`. `waiting` says of a database
    /// how many wait for it, where none of its operations, nor any of the catalog, is under way.
    ///
    /// # Errors
    /// When clients wait for nothing, or for too long.
    pub(super) fn turn_over(
        &mut self,
        now: Instant,
        wake: Option<Instant>,
        waiting: impl Fn(usize) -> Option<usize>,
    ) -> Result<(), Violation> {
        for (database, log) in &mut self.logs {
            let (has_ended, answered) = (std::mem::take(&mut log.has_ended), std::mem::take(&mut log.answered));
            let Some(waiting) = waiting(*database) else { continue };
            // A lone one is not waited for.
            if has_ended && answered + waiting < 2 {
                log.gathers_until = None;
            }
            if waiting == 0 {
                continue;
            }
            let until = match (log.attempt, log.gathers_until) {
                (Attempt::WaitsSince(failed), _) => failed.after(FIRST_DELAY_NS << log.passing.clamp(1, DELAYS) >> 1),
                (_, Some(until)) => until,
                (_, None) => now,
            };
            // A timer that is due already is late; that is not the engine's doing.
            if wake.is_none_or(|wake| wake > until) {
                return violation!(
                    "{waiting} wait for a write at {now:?}, nothing is under way, and the engine wakes at {wake:?}: {log:?}"
                );
            }
        }
        Ok(())
    }
}
