//! Opening a log: what is read is not durable yet, and what cannot be read may be damage.
//!
//! ```text
//! read the log up to the first place without a whole batch
//! something proves that it was durable beyond that place -> report damage, change nothing
//! otherwise what is missing is a torn tail, and is dropped
//! a new segment, from a place `start` below which all is durable for certain:
//!     write everything read beyond `start` as its tail; sync
//!     write the header, which claims that all below `start` is durable
//!     make it durable under its name                  see the specification of rotation
//! no space for it -> show readers what is proven, and nothing beyond; begin anew when there is space
//! show readers what was read
//! afterwards the log grows: a batch may be there once it is written, and is once it was synced
//! ```
//!
//! **Invariants.** Whatever a reader was shown is on the platter. Nothing claims that more is durable than is.
//! So damage is reported when, and only when, something durable was destroyed; and after a crash, within an
//! opening too, everything that was ever shown is found again.
//!
//! **What stands for what.** A [`Mark`] is a place in the log with the last transaction below it. The log is on
//! the platter up to one mark whatever happens, and may be there up to another: written and not synced, or read
//! from a cache that a failed sync has left clean without its bytes being written. The world may destroy durable bytes;
//! only what something claims differs from a torn tail, so only that is destroyed here.

use super::{Crash, Spec};

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The last transaction below it.
    pub tx: u64,
    /// The Lsn where the last batch with transactions ends.
    pub lsn: u64,
    /// The Lsn where the log ends, with the proofs behind that batch.
    pub end: u64,
}

/// The engine's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Not open.
    Down,
    /// It has read the log up to this transaction.
    Reading {
        /// The last transaction found.
        found: u64,
    },
    /// It writes what has to be written again.
    Tail {
        /// The last transaction found.
        found: u64,
        /// Where the tail begins and ends.
        from: u64,
        /// See `from`.
        to: u64,
        /// Where its last batch with transactions ends; `None` for proofs alone.
        lsn: Option<u64>,
        /// Whether it was synced.
        synced: bool,
    },
    /// The header says that all below `start` is durable.
    Vouched {
        /// The last transaction found.
        found: u64,
        /// The claim.
        start: u64,
        /// Where the tail ends; `start` without one.
        to: u64,
        /// Where its last batch with transactions ends; `None` for proofs alone.
        lsn: Option<u64>,
    },
    /// The new segment is durable under its name.
    Ready {
        /// The last transaction found.
        found: u64,
    },
    /// Readers see what is proven; there was no space to go on.
    Glimpsed,
    /// Readers see the log, and it grows.
    Open,
    /// Damage was reported; nothing is written.
    Damaged,
}

/// The whole state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What the engine does.
    pub engine: Engine,
    /// Up to here the log is there after any crash.
    pub platter: Mark,
    /// Up to here it may be.
    pub written: Mark,
    /// All below is durable, says some watermark, header or catalog that is durable itself.
    pub claimed: u64,
    /// Where destroyed bytes begin, as the last transaction below.
    pub destroyed: Option<u64>,
    /// The last transaction that any reader saw.
    pub shown: u64,
    /// Whether an opening ever wrote something again.
    pub rewritten: bool,
    /// Whether an opening ever found less than was written.
    pub torn: bool,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An opening reads the log and finds everything up to this transaction.
    Read {
        /// The last one found.
        found: u64,
    },
    /// It writes everything from `from` on again.
    Tail {
        /// Where the tail begins.
        from: u64,
        /// Where it ends.
        to: u64,
        /// Its last transaction, and where the batch with that ends; `None` for proofs alone.
        upto: Option<(u64, u64)>,
    },
    /// The tail was synced.
    TailSynced,
    /// It writes a header which says that all below is durable.
    Vouch {
        /// The claim.
        start: u64,
    },
    /// The new segment is durable under its name.
    Promoted,
    /// What was written of the tail is given up, to be written again otherwise.
    GiveTailUp,
    /// There is no space: readers see everything up to this transaction, and nothing is written.
    ShowProven(u64),
    /// Something failed; the opening is over.
    Abandon,
    /// Readers see everything up to this transaction.
    Publish(u64),
    /// The engine says that acknowledged data is damaged.
    ReportDamage,
    /// A batch is being written.
    MayHold(Mark),
    /// The log is durable up to here, and something durable claims that all below `claims` was before.
    Holds {
        /// Up to where.
        mark: Mark,
        /// The claim.
        claims: u64,
    },
    /// The database is closed.
    Close,
    /// The process dies.
    CrashProcess,
    /// Power goes; this is the last transaction that the log still has.
    CrashPower {
        /// See the variant.
        survives: u64,
    },
    /// The device destroys durable bytes behind this transaction.
    Destroy {
        /// See the variant.
        behind: u64,
    },
}

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// What was read is taken for durable.
    TailNotRewritten,
    /// The log goes on behind the bad record.
    ResumeBehindBadRecord,
    /// What was read is shown before the new segment is durable.
    PublishBeforePromoted,
    /// Without space, all that was read is shown.
    UnprovenShown,
    /// The first bad record is the end, whatever proves more.
    DamageIsTornTail,
    /// Whatever cannot be read is damage.
    TornTailIsDamage,
    /// A batch claims that it is durable itself.
    WatermarkAhead,
}

/// The specification, or a broken variant of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    /// The mistake, if any.
    pub broken: Option<Broken>,
}

/// Transactions in the checker's scope; each is a batch of one byte.
pub const TRANSACTIONS: u64 = 4;

impl Opening {
    fn has(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Whether a header may claim `start`, and which transactions of the tail it rests on.
    fn may_vouch(&self, state: &State, found: u64, start: u64, has_tail: bool) -> bool {
        let platter = state.platter;
        if self.has(Broken::TailNotRewritten) && !has_tail {
            return start == found;
        }
        if self.has(Broken::ResumeBehindBadRecord) && !has_tail {
            return start == found + 1;
        }
        // All below is durable; and without a tail nothing was read beyond it.
        start <= platter.end && (has_tail || is_below(state, found, start))
    }
}

impl Spec for Opening {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let start = Mark { tx: 0, lsn: 0, end: 0 };
        State {
            engine: Engine::Down,
            platter: start,
            written: start,
            claimed: 0,
            destroyed: None,
            shown: 0,
            rewritten: false,
            torn: false,
        }
    }

    fn step(&self, state: &State, action: &Action) -> Option<State> {
        let mut after = *state;
        match (state.engine, *action) {
            (Engine::Down, Action::Read { found }) => {
                let possible = match state.destroyed {
                    Some(behind) => found == behind,
                    None => (state.platter.tx..=state.written.tx).contains(&found),
                };
                if !possible {
                    return None;
                }
                after.torn |= found < state.written.tx;
                after.engine = Engine::Reading { found };
            }
            (Engine::Reading { found }, Action::ReportDamage) => {
                let torn = found < state.written.tx && self.has(Broken::TornTailIsDamage);
                let proven_gone = state.destroyed.is_some() || state.claimed > state.platter.end;
                if !proven_gone && !torn {
                    return None;
                }
                after.engine = Engine::Damaged;
            }
            (Engine::Reading { found }, Action::ShowProven(tx)) => {
                let is_there = tx <= state.platter.tx || self.has(Broken::UnprovenShown);
                let is_damaged = state.destroyed.is_some() || state.claimed > state.platter.end;
                if tx > found || !is_there || is_damaged {
                    return None;
                }
                after.shown = state.shown.max(tx);
                after.engine = Engine::Glimpsed;
            }
            (Engine::Tail { found, .. }, Action::GiveTailUp) => after.engine = Engine::Reading { found },
            (Engine::Reading { .. }, _)
                if is_progress(action)
                    && (state.destroyed.is_some() || state.claimed > state.platter.end)
                    && !self.has(Broken::DamageIsTornTail) =>
            {
                // Something proves that more was durable: nothing may be built on what is left.
                return None;
            }
            (Engine::Reading { found }, Action::Tail { from, to, upto }) => {
                let is_all = upto.map_or_else(|| is_below(state, found, from), |(upto, _)| upto == found);
                if !is_all || from > state.platter.end || to <= from {
                    return None;
                }
                after.engine = Engine::Tail { found, from, to, lsn: upto.map(|(_, lsn)| lsn), synced: false };
            }
            (Engine::Tail { found, from, to, lsn, synced: false }, Action::TailSynced) => {
                after.engine = Engine::Tail { found, from, to, lsn, synced: true };
            }
            (Engine::Reading { found }, Action::Vouch { start }) => {
                if !self.may_vouch(state, found, start, false) {
                    return None;
                }
                after.engine = Engine::Vouched { found, start, to: start, lsn: None };
            }
            (Engine::Tail { found, from, to, lsn, synced: true }, Action::Vouch { start }) => {
                if start != from || !self.may_vouch(state, found, start, true) {
                    return None;
                }
                after.engine = Engine::Vouched { found, start, to, lsn };
            }
            (Engine::Vouched { found, start, to, lsn }, Action::Promoted) => {
                if to > start {
                    let lsn = lsn.unwrap_or(state.platter.lsn);
                    let mark = Mark { tx: found, lsn, end: to };
                    (after.platter, after.written) = (mark, mark);
                    after.rewritten = true;
                } else if self.broken.is_some() {
                    // Without a tail, what was read stays where it was, durable or not.
                    after.written = Mark { tx: found, ..state.written };
                } else {
                    let mark = Mark { end: start, ..state.platter };
                    (after.platter, after.written) = (mark, mark);
                }
                // What earlier segments say at or beyond `start` exists for no reader, their claims included.
                after.claimed = start;
                after.engine = Engine::Ready { found };
            }
            (Engine::Ready { found }, Action::Publish(tx)) if tx == found => shown(&mut after, tx),
            (Engine::Vouched { found, .. }, Action::Publish(tx))
                if tx == found && self.has(Broken::PublishBeforePromoted) =>
            {
                shown(&mut after, tx);
            }
            (
                Engine::Reading { .. }
                | Engine::Tail { .. }
                | Engine::Vouched { .. }
                | Engine::Ready { .. }
                | Engine::Glimpsed,
                Action::Abandon,
            ) => after.engine = Engine::Down,
            (Engine::Open, Action::Publish(tx)) if (state.shown..=state.platter.tx).contains(&tx) => after.shown = tx,
            (Engine::Open, Action::MayHold(mark)) if mark >= state.platter => after.written = mark,
            (Engine::Open, Action::Holds { mark, claims }) => {
                let ahead = self.has(Broken::WatermarkAhead);
                let reached = (state.platter.tx..=state.written.tx).contains(&mark.tx);
                let shrinks = mark.end < state.platter.end;
                if !reached || shrinks || (claims > state.platter.end && !ahead) {
                    return None;
                }
                (after.platter, after.written) = (mark, mark);
                after.claimed = state.claimed.max(claims);
            }
            (Engine::Open | Engine::Damaged, Action::Close) => after.engine = Engine::Down,
            (_, Action::CrashProcess) => after.engine = Engine::Down,
            (_, Action::CrashPower { survives }) => {
                if !(state.platter.tx..=state.written.tx).contains(&survives) {
                    return None;
                }
                let kept = Mark { tx: survives, ..state.written };
                after.written = if survives == state.platter.tx { state.platter } else { kept };
                after.engine = Engine::Down;
            }
            (Engine::Down, Action::Destroy { behind }) if behind < state.claimed && behind < state.platter.tx => {
                after.destroyed = Some(state.destroyed.map_or(behind, |before| before.min(behind)));
            }
            (
                Engine::Down
                | Engine::Reading { .. }
                | Engine::Tail { .. }
                | Engine::Vouched { .. }
                | Engine::Ready { .. }
                | Engine::Glimpsed
                | Engine::Open
                | Engine::Damaged,
                Action::Read { .. }
                | Action::Tail { .. }
                | Action::TailSynced
                | Action::Vouch { .. }
                | Action::Promoted
                | Action::GiveTailUp
                | Action::ShowProven(_)
                | Action::Abandon
                | Action::Publish(_)
                | Action::ReportDamage
                | Action::MayHold(_)
                | Action::Holds { .. }
                | Action::Close
                | Action::Destroy { .. },
            ) => return None,
        }
        Some(after)
    }

    fn crashes(&self, state: &State, kind: Crash) -> Vec<Action> {
        match kind {
            Crash::Process => vec![Action::CrashProcess],
            Crash::Power => {
                (state.platter.tx..=state.written.tx).map(|survives| Action::CrashPower { survives }).collect()
            }
        }
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = self.crashes(state, Crash::Process);
        actions.extend(self.crashes(state, Crash::Power));
        actions.extend([Action::TailSynced, Action::Promoted, Action::GiveTailUp, Action::Abandon]);
        actions.extend([Action::ReportDamage, Action::Close]);
        for place in 0..=TRANSACTIONS {
            actions.extend([
                Action::Read { found: place },
                Action::Vouch { start: place },
                Action::Publish(place),
                Action::ShowProven(place),
                Action::Destroy { behind: place },
                Action::Holds { mark: mark(state.written.tx), claims: place },
            ]);
            let upto = [Some((place, place)), None];
            actions.extend((0..place).flat_map(|from| upto.map(|upto| Action::Tail { from, to: place, upto })));
            if place > state.written.tx {
                actions.push(Action::MayHold(mark(place)));
            }
        }
        if self.has(Broken::ResumeBehindBadRecord) {
            actions.push(Action::Vouch { start: TRANSACTIONS + 1 });
        }
        actions
    }
}

/// In the checker's scope a transaction is a batch of one byte.
fn mark(tx: u64) -> Mark {
    Mark { tx, lsn: tx, end: tx }
}

/// Whether all that was found is on the platter, and below `start`.
fn is_below(state: &State, found: u64, start: u64) -> bool {
    found == state.platter.tx && start >= state.platter.lsn
}

/// Steps that build on what was read.
fn is_progress(action: &Action) -> bool {
    matches!(action, Action::Tail { .. } | Action::Vouch { .. })
}

fn shown(state: &mut State, tx: u64) {
    state.shown = state.shown.max(tx);
    state.engine = Engine::Open;
}

/// Whatever was shown is on the platter.
#[must_use]
pub fn what_is_shown_is_on_the_platter(state: &State) -> bool {
    state.shown <= state.platter.tx
}

/// Nothing claims that more is durable than is.
#[must_use]
pub fn claims_are_true(state: &State) -> bool {
    state.claimed <= state.platter.end
}

/// Damage is reported only where durable bytes were destroyed.
#[must_use]
pub fn damage_is_damage(state: &State) -> bool {
    state.engine != Engine::Damaged || state.destroyed.is_some()
}

/// What was destroyed is never dropped in silence.
#[must_use]
pub fn damage_is_reported(state: &State) -> bool {
    let builds =
        matches!(state.engine, Engine::Tail { .. } | Engine::Vouched { .. } | Engine::Ready { .. } | Engine::Open);
    state.destroyed.is_none() || !builds
}
