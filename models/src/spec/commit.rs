//! The way of a batch, with everything that can go wrong on it.
//!
//! ```text
//! for ever:
//!     batch := the transactions that have gathered            or none: a proof
//!     write the batch where the durable log ends
//!     sync the file
//!     publish the batch to readers
//!     acknowledge its transactions
//! a write or sync failed:
//!     this file is never written or synced again              what it holds is unknown for ever
//!     make a new segment, with the batch as its tail          see the specification of rotation
//!     publish, acknowledge
//! the new segment failed as well:
//!     try again with the same tail, or give the batch up:
//!     answer its clients "unknown", take no more writes, go on reading
//! crash:
//!     a process: the log reads up to what was written, or less
//!     power: it reads to some place between what is durable and what was written
//!     what was read is durable before it is published         see the specification of opening
//! ```
//!
//! **Invariants.** What was acknowledged, and what any reader was shown, is on the platter, and is there
//! again after every recovery. Readers see a transaction before its writer is answered. Nothing is written behind
//! a batch whose outcome is not known.
//!
//! **What stands for what.** Transactions are numbers that grow by one; a batch is a range of them. Of
//! the disk it matters only up to which transaction the log is on the platter, whatever happens, and up to
//! which it may be: a batch that is not synced, or whose sync failed, lies in between. Making a new
//! segment is one step here. Damage to what is durable is not part of this one.

use super::{Crash, Spec};

/// A batch in the log: bytes `from..to`, with the transactions `after + 1 ..= upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// The Lsn where it begins.
    pub from: u64,
    /// The Lsn where the next one begins.
    pub to: u64,
    /// The transaction before its first.
    pub after: u64,
    /// Its last transaction; `after` when it has none, being a proof.
    pub upto: u64,
}

impl Batch {
    fn is_proof(self) -> bool {
        self.after == self.upto
    }
}

/// What the log's one operation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing is on its way.
    Idle,
    /// The batch is being written.
    Writing(Batch),
    /// It is written; nothing has been synced.
    Written(Batch),
    /// It is being synced.
    Syncing(Batch),
    /// A write, a sync or a new segment failed; the batch is owed a place in the log.
    Failed(Option<Batch>),
    /// A new segment is being made, with this tail.
    Moving {
        /// What it begins with.
        tail: Option<Batch>,
        /// What it should begin with.
        owed: Option<Batch>,
    },
    /// Given up: reads go on, writes do not.
    Latched,
}

/// The engine's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The database is not open.
    Down,
    /// It is.
    Up {
        /// What is in flight.
        phase: Phase,
        /// The Lsn where the next batch goes.
        end: u64,
        /// The last transaction that the engine takes for durable.
        durable: u64,
        /// The last transaction that readers see.
        published: u64,
        /// Whether a write or sync of the active file failed, as the engine remembers.
        spoiled: bool,
    },
}

/// What is true of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// Up to here every transaction is there after any crash.
    pub platter: u64,
    /// Up to here it may be.
    pub written: u64,
    /// A write or sync of the file failed: a later sync that succeeds has written nothing of it.
    pub failed: bool,
}

/// What somebody knows outside, whom no crash makes forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// The last transaction whose writer was acknowledged.
    pub acknowledged: u64,
    /// The last transaction that any reader saw.
    pub seen: u64,
    /// What became of the last batch whose clients were answered "unknown".
    pub unknown: Unknown,
}

/// See [`Told::unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// No client was ever answered so.
    Never,
    /// It ends with this transaction; no opening has decided it.
    Open(u64),
    /// An opening found it.
    Kept,
    /// An opening did not find it.
    Lost,
}

/// The whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What the engine believes.
    pub engine: Engine,
    /// What is true.
    pub disk: Disk,
    /// What was answered and shown.
    pub told: Told,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The engine writes a batch into the active file.
    Write(Batch),
    /// The write ended; `whole` when it took every byte.
    WriteEnded {
        /// Whether it succeeded.
        whole: bool,
    },
    /// The engine syncs the active file.
    Sync,
    /// The sync ended.
    SyncEnded {
        /// Whether it succeeded.
        ok: bool,
    },
    /// Readers see everything up to this transaction.
    Publish(u64),
    /// The writer of this transaction is acknowledged.
    Acknowledge(u64),
    /// The engine goes on in a new segment.
    Move {
        /// What the segment begins with.
        tail: Option<Batch>,
    },
    /// The new segment is durable under its name.
    Moved,
    /// It could not be made.
    MoveFailed,
    /// What was on its way is given up, and its clients are answered "unknown".
    GiveUp,
    /// The database is closed.
    Close,
    /// An opening shows readers everything up to `tx`; the log goes on at `end`.
    Recover {
        /// The last transaction found.
        tx: u64,
        /// The Lsn where the next batch goes.
        end: u64,
    },
    /// The process dies.
    CrashProcess,
    /// Power goes; this is the last transaction that the log on the platter still has.
    CrashPower {
        /// See the variant.
        survives: u64,
    },
}

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Writers are acknowledged as soon as the batch is written.
    AckBeforeSync,
    /// Readers see the batch as soon as it is written.
    PublishBeforeSync,
    /// A failed sync is tried again on the same file, and believed.
    RetryFailedSync,
    /// The new segment begins without the batch that failed.
    TailNotWritten,
    /// Readers see a batch that was given up.
    GivenUpStaysVisible,
}

/// The specification, or a broken variant of it, and the scope in which the checker walks it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commit {
    /// The mistake, if any.
    pub broken: Option<Broken>,
}

/// Transactions in the checker's scope.
pub const TRANSACTIONS: u64 = 3;
/// Batches, proofs among them, in one segment of the checker's scope.
pub const BATCHES: u64 = 5;

impl Commit {
    fn has(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// The last transaction that may be acknowledged or shown.
    fn showable(&self, phase: Phase, durable: u64, early: Broken) -> u64 {
        match phase {
            Phase::Written(batch) | Phase::Syncing(batch) if self.has(early) => batch.upto,
            _ => durable,
        }
    }
}

impl Spec for Commit {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State {
            engine: Engine::Down,
            disk: Disk { platter: 0, written: 0, failed: false },
            told: Told { acknowledged: 0, seen: 0, unknown: Unknown::Never },
        }
    }

    fn step(&self, state: &State, action: &Action) -> Option<State> {
        let mut after = *state;
        let State { engine, disk, told } = &mut after;
        let Engine::Up { phase, end, durable, published, spoiled } = engine else {
            match *action {
                Action::Recover { tx, end } if (disk.platter..=disk.written).contains(&tx) => {
                    *disk = Disk { platter: tx, written: tx, failed: false };
                    told.seen = told.seen.max(tx);
                    told.unknown = match told.unknown {
                        Unknown::Open(unknown) if tx >= unknown => Unknown::Kept,
                        Unknown::Open(_) => Unknown::Lost,
                        decided => decided,
                    };
                    *engine = Engine::Up { phase: Phase::Idle, end, durable: tx, published: tx, spoiled: false };
                }
                Action::CrashProcess => {}
                Action::CrashPower { survives } => after.disk = power(*disk, survives)?,
                _ => return None,
            }
            return Some(after);
        };
        match (*phase, *action) {
            // Behind the durable log, in a file without a failure, when readers have caught up.
            (Phase::Idle | Phase::Failed(None), Action::Write(batch)) => {
                let fits = batch.from == *end && batch.to > *end && batch.after == *durable && batch.upto >= *durable;
                if !fits || *spoiled || *published != *durable {
                    return None;
                }
                // From now on a crash may find it.
                disk.written = batch.upto;
                *phase = Phase::Writing(batch);
            }
            (Phase::Writing(batch), Action::WriteEnded { whole: true }) => *phase = Phase::Written(batch),
            (Phase::Writing(batch), Action::WriteEnded { whole: false }) => {
                disk.failed = true;
                *spoiled = true;
                *phase = Phase::Failed(Some(batch));
            }
            (Phase::Written(batch), Action::Sync) => *phase = Phase::Syncing(batch),
            (Phase::Syncing(batch), Action::SyncEnded { ok: true }) => {
                if !disk.failed {
                    disk.platter = disk.written;
                }
                (*end, *durable) = (batch.to, batch.upto);
                *phase = Phase::Idle;
            }
            (Phase::Syncing(batch), Action::SyncEnded { ok: false }) => {
                disk.failed = true;
                if self.has(Broken::RetryFailedSync) {
                    *phase = Phase::Written(batch);
                } else {
                    *spoiled = true;
                    *phase = Phase::Failed(Some(batch));
                }
            }
            (Phase::Idle | Phase::Failed(_), Action::Move { tail }) => {
                let owed = match *phase {
                    Phase::Failed(owed) => owed,
                    _ => None,
                };
                let same = match (owed, tail) {
                    (None, None) => true,
                    // A proof proves nothing that the new header does not say.
                    (Some(owed), None) => owed.is_proof() || self.has(Broken::TailNotWritten),
                    (Some(owed), Some(tail)) => {
                        (tail.from, tail.after, tail.upto) == (*end, *durable, owed.upto) && tail.to > tail.from
                    }
                    (None, Some(_)) => false,
                };
                if !same || *published != *durable {
                    return None;
                }
                *phase = Phase::Moving { tail, owed };
            }
            (Phase::Moving { tail, owed }, Action::Moved) => {
                // What the old file says behind the start of the new one exists for no reader.
                let there = tail.map_or(*durable, |batch| batch.upto);
                *disk = Disk { platter: there, written: there, failed: false };
                let believed = if self.has(Broken::TailNotWritten) { owed } else { tail };
                if let Some(batch) = believed {
                    (*end, *durable) = (batch.to, batch.upto);
                }
                *spoiled = false;
                *phase = Phase::Idle;
            }
            (Phase::Moving { owed, .. }, Action::MoveFailed) => *phase = Phase::Failed(owed),
            (Phase::Idle, Action::MoveFailed) => *phase = Phase::Failed(None),
            (Phase::Failed(_), Action::MoveFailed) => {}
            (Phase::Failed(owed), Action::GiveUp) => {
                if let Some(batch) = owed.filter(|batch| !batch.is_proof()) {
                    told.unknown = Unknown::Open(batch.upto);
                }
                *phase = Phase::Latched;
            }
            (phase_now, Action::Publish(tx)) => {
                let newest = self.showable(phase_now, *durable, Broken::PublishBeforeSync);
                let given_up = self.has(Broken::GivenUpStaysVisible) && phase_now == Phase::Latched;
                if tx < *published || (tx != newest && !(given_up && tx == disk.written)) {
                    return None;
                }
                *published = tx;
                told.seen = told.seen.max(tx);
            }
            (phase_now, Action::Acknowledge(tx)) => {
                let early = self.showable(phase_now, *published, Broken::AckBeforeSync);
                if tx > (*published).max(early) {
                    return None;
                }
                told.acknowledged = told.acknowledged.max(tx);
            }
            (Phase::Idle | Phase::Failed(None) | Phase::Latched, Action::Close) => *engine = Engine::Down,
            (Phase::Failed(Some(batch)), Action::Close) if batch.is_proof() => *engine = Engine::Down,
            (_, Action::CrashProcess) => *engine = Engine::Down,
            (_, Action::CrashPower { survives }) => {
                *disk = power(*disk, survives)?;
                *engine = Engine::Down;
            }
            (
                Phase::Idle
                | Phase::Writing(_)
                | Phase::Written(_)
                | Phase::Syncing(_)
                | Phase::Failed(_)
                | Phase::Moving { .. }
                | Phase::Latched,
                Action::Write(_)
                | Action::WriteEnded { .. }
                | Action::Sync
                | Action::SyncEnded { .. }
                | Action::Move { .. }
                | Action::Moved
                | Action::MoveFailed
                | Action::GiveUp
                | Action::Close
                | Action::Recover { .. },
            ) => return None,
        }
        Some(after)
    }

    fn crashes(&self, state: &State, kind: Crash) -> Vec<Action> {
        match kind {
            Crash::Process => vec![Action::CrashProcess],
            Crash::Power => {
                let Disk { platter, written, .. } = state.disk;
                (platter..=written).map(|survives| Action::CrashPower { survives }).collect()
            }
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = self.crashes(state, Crash::Process);
        actions.extend(self.crashes(state, Crash::Power));
        match state.engine {
            Engine::Down => {
                let found = state.disk.platter..=state.disk.written;
                actions.extend(found.map(|tx| Action::Recover { tx, end: tx }));
            }
            Engine::Up { phase, end, durable, .. } => {
                let batch = |upto| Batch { from: end, to: end + 1, after: durable, upto };
                if end < BATCHES {
                    actions.extend((durable..=TRANSACTIONS).map(|upto| Action::Write(batch(upto))));
                }
                let owed = match phase {
                    Phase::Failed(owed) => owed.map(|owed| batch(owed.upto)),
                    _ => None,
                };
                actions.extend([Action::Move { tail: None }, Action::Move { tail: owed }]);
                actions.extend([true, false].map(|whole| Action::WriteEnded { whole }));
                actions.extend([true, false].map(|ok| Action::SyncEnded { ok }));
                actions.extend([Action::Sync, Action::Moved, Action::MoveFailed, Action::GiveUp, Action::Close]);
                for tx in 0..=TRANSACTIONS {
                    actions.extend([Action::Publish(tx), Action::Acknowledge(tx)]);
                }
            }
        }
        actions
    }
}

/// What power leaves of the log.
fn power(disk: Disk, survives: u64) -> Option<Disk> {
    let possible = (disk.platter..=disk.written).contains(&survives);
    possible.then_some(Disk { platter: survives, written: survives, failed: false })
}

/// No crash can take back what was shown or acknowledged.
#[must_use]
pub fn what_is_told_is_on_the_platter(state: &State) -> bool {
    state.told.seen.max(state.told.acknowledged) <= state.disk.platter
}

/// A reader sees everything that was ever acknowledged or seen.
#[must_use]
pub fn what_was_told_is_there(state: &State) -> bool {
    match state.engine {
        Engine::Up { published, .. } => published >= state.told.seen.max(state.told.acknowledged),
        Engine::Down => true,
    }
}

/// Readers see a transaction before its writer is answered.
#[must_use]
pub fn readers_come_first(state: &State) -> bool {
    state.told.acknowledged <= state.told.seen
}
