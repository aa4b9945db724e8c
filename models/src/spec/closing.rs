//! The catalog: that a database exists, and where its log ended when it was closed.
//!
//! ```text
//! write the catalog anew, at each start, when its journal is full, and when that failed:
//!     unlink `catalog.new`; create it; write all entries; sync
//!     rename it over `catalog`; sync the data directory
//!     now it is durable: answer those who wait; from now on changes go into its journal
//! change an entry:  append what it says now to the journal; sync
//!     now it is durable: answer those who wait
//!     either fails -> the file is never written again; write the catalog anew
//! create a database:  a durable catalog names it before its creation is answered
//! close it:
//!     everything that gathered is durable, and proven by a batch of its own
//!     the entry says where the log ends; write the catalog
//!     answer those who wait for the closing
//! start:  read `catalog` up to the first change that is not whole; write it anew    what was read may not be durable
//! open:   a log that ends below the stored end is damaged
//! ```
//!
//! **Invariants.** `catalog` is whole after any crash: the old one or the new one. A database whose creation was answered is in it.
//! The stored end is never beyond what is durable. Once the closing was answered, a log that loses its end is
//! reported as damaged and never opened as if it were shorter.
//!
//! **What stands for what.** One database's entry: none, or the end that it stores (zero before the first closing).
//! A rename is seen at once and durable when the data directory was synced; before that a power loss may take it
//! back, the last ones first. A sync that failed may have made it durable or not, and no later one does; a later rename
//! that is durable says what counts. Changes stand behind each other, so that one counts when all before it are whole: a
//! power loss keeps some of those that were not synced, the first ones. A change whose write failed may be there or not. What
//! concerns other databases alone says of this one what was said before. Closing may go without an end when the log could not be proven (the new segment for it
//! failed): that is said here by [`Action::Excuse`].

use super::rotation::Part;
use super::{Crash, Spec};

/// What a catalog says of the database: nothing, or where its log ended when it was closed last.
pub type Entry = Option<u64>;

/// An operation on the catalog's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Remove `catalog.new`.
    Unlink,
    /// Create it.
    Create,
    /// Write it, with this entry.
    Write(Entry),
    /// Sync it.
    Sync,
    /// Rename it over `catalog`.
    Rename,
    /// Sync the data directory.
    SyncRoot,
    /// Append changes to `catalog`: it says this of the database from now on.
    Append(Entry),
    /// Sync what was appended.
    SyncAppended,
}

/// How far the writer of the catalog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writer {
    /// Nothing is being written.
    Idle,
    /// `catalog.new` is there.
    Created,
    /// It is written.
    Written,
    /// And synced.
    Synced,
    /// And has taken the place of `catalog`.
    Renamed,
    /// Changes stand in the journal and are not synced.
    Appended,
}

/// The database's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not open.
    Shut(Shut),
    /// Open; its log may grow.
    Open {
        /// Whether the last batch is proven, by a batch behind it or a header.
        proven: bool,
        /// Whether it may be closed without storing its end.
        excused: bool,
    },
    /// Damage was reported.
    Damaged,
}

/// How a database came to be shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shut {
    /// It was not open in this process.
    Untouched,
    /// A durable entry says where its log ends.
    Recorded,
    /// It could not be proven where its log ends, or it was damaged.
    Excused,
    /// None does, though it could.
    Unrecorded,
}

/// A catalog that was renamed into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Renamed {
    entry: Entry,
    whole: bool,
    /// A sync that was to make it durable failed.
    unsure: bool,
}

/// A change in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Appended {
    entry: Entry,
    /// Whether it is whole in the file as it is seen.
    whole: bool,
    /// A sync that was to make it durable failed.
    unsure: bool,
}

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What the database does.
    pub phase: Phase,
    /// Where its durable log ends, proofs not counted.
    pub end: u64,
    /// How far the catalog's writer is, and what is in flight.
    pub writer: Writer,
    /// See `writer`.
    pub busy: Option<Op>,
    /// `catalog.new`: its entry, and whether its bytes are durable.
    pub new: (Entry, Part),
    /// The entry in `catalog` as it is seen.
    pub cached: Entry,
    /// The same on the platter.
    pub durable: Entry,
    /// Renames that are seen and not durable, oldest first.
    pub pending: Vec<Renamed>,
    /// Changes behind what is durable, in the file whose name is, oldest first.
    pub appended: Vec<Appended>,
    /// Whether `catalog` takes changes: this process wrote it, it is durable, and nothing failed since.
    pub takes_changes: bool,
    /// The entry that this process wrote last, or read.
    pub memory: Entry,
    /// The entry that this process knows to be durable.
    pub known: Entry,
    /// A power loss left a catalog without its bytes.
    pub torn: bool,
    /// The creation of the database was answered.
    pub exists: bool,
    /// Its closing was answered, with its log ending here, and nothing was opened since.
    pub closed: Option<u64>,
    /// The device destroyed the end of the log; it ends here now.
    pub destroyed: Option<u64>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The engine begins an operation on the catalog's files.
    Begin(Op),
    /// It learns how the operation ended. To find nothing to unlink is success.
    End {
        /// Whether it succeeded.
        ok: bool,
    },
    /// The database is opened, with a log that ends here.
    Open {
        /// See the variant.
        found: u64,
    },
    /// An opening says that acknowledged data is damaged.
    ReportDamage,
    /// The log grew: it is durable up to here, proofs not counted.
    Grown(u64),
    /// Its last batch is proven.
    Proven,
    /// A new segment failed, so the log may be left without a proof.
    Excuse,
    /// The database is not open any more.
    Shut {
        /// Whether it is known where its log ends; whatever catalog is written next says so.
        proven: bool,
    },
    /// The creation is answered.
    TellExists,
    /// The closing is answered.
    TellClosed,
    /// The process dies.
    CrashProcess {
        /// Whether the rename in flight was carried out.
        done: bool,
        /// Whether the change is whole whose write was in flight, or had failed.
        landed: bool,
        /// How many of the changes whose sync failed are not in the cache any more, the last ones: a page that such a sync
        /// has left clean turns back when it is evicted, and the next process reads it from the device.
        evicted: usize,
    },
    /// Power goes.
    CrashPower {
        /// Whether the rename in flight was carried out.
        done: bool,
        /// How many of the pending renames are there.
        kept: usize,
        /// How many of the changes are, if none of those is.
        appended: usize,
    },
    /// The device destroys the end of a log that was closed, the proof with it.
    Destroy,
}

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// Closing does not store the end.
    EndNotStored,
    /// The end is stored before the last batch is durable.
    StoredTooSoon,
    /// The catalog is renamed into place before its bytes are synced.
    RenameBeforeSync,
    /// The data directory is not synced after the rename.
    RootNotSynced,
    /// A catalog that was read is held for durable once the data directory was synced.
    ReadIsDurable,
    /// A creation is answered before a durable catalog names the database.
    ToldBeforeCatalog,
    /// A change is held for durable when it is written.
    ChangeNotSynced,
    /// A sync of the journal that failed is tried again on the same file, and believed.
    ChangeSyncRetried,
    /// Changes go on behind one whose write or sync failed.
    JournalGoesOn,
    /// A process goes on in the journal that it read.
    ReadJournalGoesOn,
}

/// The specification, or a broken variant of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Closing {
    /// The mistake, if any.
    pub broken: Option<Broken>,
}

/// Batches in the checker's scope.
pub const BATCHES: u64 = 2;
/// Renames that wait for a sync of the data directory, in the checker's scope.
pub const PENDING: usize = 2;
/// Changes behind what is durable of the journal, in the checker's scope.
pub const APPENDED: usize = 2;

impl Closing {
    fn has(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Whether the catalog may say this of the database now.
    fn may_store(&self, state: &State, entry: Entry) -> bool {
        let Some(end) = entry else { return state.memory.is_none() };
        // What was known before, the beginning of a new database, or the end of a log that is proven.
        let proven = matches!(state.phase, Phase::Open { proven: true, .. });
        let too_soon = self.has(Broken::StoredTooSoon) && matches!(state.phase, Phase::Open { .. });
        entry == state.memory
            || (end == 0 && state.memory.is_none())
            || (end == state.end && proven && !self.has(Broken::EndNotStored))
            || (end == state.end + 1 && too_soon)
    }

    fn may_begin(&self, state: &State, op: Op) -> bool {
        match (op, state.writer) {
            (Op::Unlink, _) => true,
            (Op::Create, Writer::Idle) => true,
            (Op::Write(entry), Writer::Created) => self.may_store(state, entry),
            (Op::Sync, Writer::Written) => true,
            (Op::Rename, Writer::Synced) => true,
            (Op::Rename, Writer::Written) => self.has(Broken::RenameBeforeSync),
            (Op::SyncRoot, Writer::Idle | Writer::Renamed) => true,
            (Op::Append(entry), Writer::Idle) => {
                let says_more = entry.is_some() && self.may_store(state, entry);
                state.takes_changes && (entry == state.cached || says_more)
            }
            (Op::SyncAppended, Writer::Appended) => true,
            (
                Op::Create | Op::Write(_) | Op::Sync | Op::Rename | Op::SyncRoot | Op::Append(_) | Op::SyncAppended,
                _,
            ) => false,
        }
    }
}

impl State {
    fn rename(&mut self) {
        let (entry, part) = self.new;
        self.pending.push(Renamed { entry, whole: part == Part::Durable, unsure: false });
        self.cached = entry;
    }

    /// What the file whose name is durable says, as it is seen: up to the first change that is not whole.
    fn see_changes(&mut self) {
        if let Some(last) = self.appended.iter().take_while(|change| change.whole).last() {
            self.cached = last.entry;
        }
    }

    /// The changes that this can make durable: up to the first one that is not whole, or that no sync writes any more.
    fn sync_changes(&mut self) {
        let count = self.appended.iter().take_while(|change| change.whole && !change.unsure).count();
        if let Some(last) = self.appended.drain(..count).next_back() {
            self.durable = last.entry;
        }
    }

    /// Takes the last changes back, whose sync failed.
    fn evict(&mut self, count: usize) -> Option<()> {
        let left = self.appended.len().checked_sub(count)?;
        if self.appended.drain(left..).any(|change| !change.unsure) {
            return None;
        }
        if count > 0 && self.pending.is_empty() {
            self.cached = self.durable;
            self.see_changes();
        }
        Some(())
    }

    /// The change that may be whole or not.
    fn open_change(&self) -> Option<usize> {
        self.appended.iter().position(|change| !change.whole)
    }

    fn crash(&mut self, busy: Option<Op>, done: bool) -> Option<()> {
        match (busy, done) {
            (Some(Op::Rename), true) => self.rename(),
            (_, true) => return None,
            (_, false) => {}
        }
        (self.busy, self.writer) = (None, Writer::Idle);
        self.phase = Phase::Shut(Shut::Untouched);
        self.known = None;
        Some(())
    }

    /// The last rename that this can make durable, and those before it.
    fn sync_root(&mut self) {
        if let Some(last) = self.pending.iter().rposition(|renamed| !renamed.unsure) {
            self.durable = self.pending[last].entry;
            self.pending.drain(..=last);
            // They stood in the file whose name this took.
            self.appended.clear();
        }
    }
}

impl Spec for Closing {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State {
            phase: Phase::Shut(Shut::Untouched),
            end: 0,
            writer: Writer::Idle,
            busy: None,
            new: (None, Part::Absent),
            cached: None,
            durable: None,
            pending: Vec::new(),
            appended: Vec::new(),
            takes_changes: false,
            memory: None,
            known: None,
            torn: false,
            exists: false,
            closed: None,
            destroyed: None,
        }
    }

    fn step(&self, state: &State, action: &Action) -> Option<State> {
        let mut after = state.clone();
        match (*action, state.busy) {
            (Action::Begin(op), None) => {
                if !self.may_begin(state, op) {
                    return None;
                }
                match op {
                    Op::Write(entry) => {
                        // From now on a crash may find it in part, under a name that nobody reads.
                        after.new = (entry, Part::Dirty);
                        after.memory = entry;
                    }
                    Op::Append(entry) => {
                        after.appended.push(Appended { entry, whole: false, unsure: false });
                        if entry != state.cached {
                            after.memory = entry;
                        }
                    }
                    Op::Create => after.takes_changes = false,
                    Op::Unlink | Op::Sync | Op::Rename | Op::SyncRoot | Op::SyncAppended => {}
                }
                after.busy = Some(op);
            }
            (Action::End { ok }, Some(op)) => {
                after.busy = None;
                after.writer = match (op, ok) {
                    (Op::Unlink, _) => state.writer,
                    (Op::Create, true) => Writer::Created,
                    (Op::Write(_), true) => Writer::Written,
                    (Op::Sync, true) => {
                        after.new.1 = Part::Durable;
                        Writer::Synced
                    }
                    (Op::Rename, true) => {
                        after.rename();
                        let unsynced = self.has(Broken::RootNotSynced);
                        if unsynced {
                            after.known = after.cached;
                        }
                        if unsynced { Writer::Idle } else { Writer::Renamed }
                    }
                    (Op::SyncRoot, true) => {
                        after.sync_root();
                        // Only of what this process renamed is it known that no sync of it failed.
                        if state.writer == Writer::Renamed || self.has(Broken::ReadIsDurable) {
                            after.known = state.cached;
                        }
                        after.takes_changes |= state.writer == Writer::Renamed;
                        Writer::Idle
                    }
                    (Op::SyncRoot, false) => {
                        after.pending.iter_mut().for_each(|renamed| renamed.unsure = true);
                        Writer::Idle
                    }
                    (Op::Append(entry), true) => {
                        if let Some(last) = after.appended.last_mut() {
                            last.whole = true;
                        }
                        after.see_changes();
                        let unsynced = self.has(Broken::ChangeNotSynced);
                        if unsynced {
                            after.known = entry;
                        }
                        if unsynced { Writer::Idle } else { Writer::Appended }
                    }
                    (Op::SyncAppended, true) => {
                        after.known = after.appended.last().map_or(state.known, |last| last.entry);
                        after.sync_changes();
                        Writer::Idle
                    }
                    (Op::SyncAppended, false) => {
                        after.appended.iter_mut().for_each(|change| change.unsure = true);
                        let retried = self.has(Broken::ChangeSyncRetried);
                        after.takes_changes = retried || self.has(Broken::JournalGoesOn);
                        if retried { Writer::Appended } else { Writer::Idle }
                    }
                    (Op::Append(_), false) => {
                        after.takes_changes = self.has(Broken::JournalGoesOn);
                        Writer::Idle
                    }
                    (Op::Create | Op::Write(_) | Op::Sync | Op::Rename, false) => Writer::Idle,
                };
            }
            (Action::Open { found }, _) => {
                let Phase::Shut(_) = state.phase else { return None };
                let possible = state.destroyed.is_none_or(|destroyed| found == destroyed);
                if !possible || state.cached.is_some_and(|end| end > found) {
                    return None;
                }
                // A proof at the end, which nothing proves, may have been left out.
                after.end = found;
                // The header of the segment that an opening makes proves what is below it.
                after.phase = Phase::Open { proven: true, excused: false };
                after.closed = None;
            }
            (Action::ReportDamage, _) => {
                let Phase::Shut(_) = state.phase else { return None };
                let found = state.destroyed.unwrap_or(state.end);
                state.cached.filter(|end| *end > found)?;
                after.phase = Phase::Damaged;
            }
            (Action::Grown(end), _) => {
                let Phase::Open { excused, .. } = state.phase else { return None };
                if end < state.end {
                    return None;
                }
                after.end = end;
                after.phase = Phase::Open { proven: false, excused };
            }
            (Action::Proven, _) => {
                let Phase::Open { .. } = state.phase else { return None };
                after.phase = Phase::Open { proven: true, excused: false };
            }
            (Action::Excuse, _) => {
                let Phase::Open { proven, .. } = state.phase else { return None };
                after.phase = Phase::Open { proven, excused: true };
            }
            (Action::Shut { proven }, _) => {
                match state.phase {
                    Phase::Open { proven: true, .. } if proven => {
                        if !self.has(Broken::EndNotStored) {
                            after.memory = Some(state.end);
                        }
                    }
                    Phase::Open { excused: true, .. } | Phase::Damaged if !proven => {}
                    Phase::Open { .. } | Phase::Damaged | Phase::Shut(_) => return None,
                }
                after.phase = Phase::Shut(match state.phase {
                    Phase::Open { .. } if state.known == Some(state.end) => Shut::Recorded,
                    Phase::Open { excused: true, .. } | Phase::Damaged => Shut::Excused,
                    Phase::Open { excused: false, .. } => Shut::Unrecorded,
                    Phase::Shut(_) => return None,
                });
            }
            (Action::TellExists, _) => {
                if state.known.is_none() && !(self.has(Broken::ToldBeforeCatalog) && state.memory.is_some()) {
                    return None;
                }
                after.exists = true;
            }
            (Action::TellClosed, _) => match state.phase {
                Phase::Shut(Shut::Recorded) => after.closed = Some(state.end),
                Phase::Shut(Shut::Unrecorded) if self.has(Broken::EndNotStored) => after.closed = Some(state.end),
                // Who asks again is answered when the end is recorded after all.
                Phase::Shut(Shut::Unrecorded) if state.known == Some(state.end) => after.closed = Some(state.end),
                Phase::Shut(Shut::Untouched | Shut::Excused) => {}
                Phase::Shut(Shut::Unrecorded) | Phase::Open { .. } | Phase::Damaged => return None,
            },
            (Action::CrashProcess { done, landed, evicted }, busy) => {
                after.crash(busy, done)?;
                // While another catalog is seen, nobody looks at the changes.
                match after.open_change().filter(|_| after.pending.is_empty()) {
                    Some(open) if landed => {
                        after.appended[open].whole = true;
                        after.see_changes();
                    }
                    Some(open) => after.appended.truncate(open),
                    None if landed => return None,
                    None => {}
                }
                // It may have failed before it was heard of.
                if evicted > 0 && busy == Some(Op::SyncAppended) {
                    after.appended.iter_mut().for_each(|change| change.unsure = true);
                }
                after.evict(evicted)?;
                after.takes_changes = self.has(Broken::ReadJournalGoesOn) && after.pending.is_empty();
                after.memory = after.cached;
            }
            (Action::CrashPower { done, kept, appended }, busy) => {
                after.crash(busy, done)?;
                let (renames, changes) = (std::mem::take(&mut after.pending), std::mem::take(&mut after.appended));
                if kept > renames.len() || appended > changes.len() || (kept > 0 && appended > 0) {
                    return None;
                }
                if let Some(last) = renames[..kept].last() {
                    after.durable = last.entry;
                    after.torn |= !last.whole;
                }
                if let Some(last) = changes[..appended].last() {
                    after.durable = last.entry;
                }
                after.takes_changes = false;
                after.cached = after.durable;
                after.memory = after.cached;
            }
            (Action::Destroy, _) => {
                let Phase::Shut(_) = state.phase else { return None };
                state.closed.filter(|end| *end > 0 && *end == state.end && state.destroyed.is_none())?;
                after.destroyed = Some(state.end - 1);
            }
            (Action::Begin(_), Some(_)) | (Action::End { .. }, None) => return None,
        }
        Some(after)
    }

    fn crashes(&self, state: &State, kind: Crash) -> Vec<Action> {
        let dones = if state.busy == Some(Op::Rename) { &[false, true][..] } else { &[false] };
        let mut crashes = Vec::new();
        for &done in dones {
            match kind {
                Crash::Process => {
                    let is_open = state.open_change().is_some() && state.pending.is_empty() && !done;
                    let landings = if is_open { &[false, true][..] } else { &[false] };
                    let is_syncing = state.busy == Some(Op::SyncAppended);
                    let is_evictable = |change: &&Appended| change.whole && (change.unsure || is_syncing);
                    let evictable = state.appended.iter().rev().take_while(is_evictable).count();
                    crashes.extend(landings.iter().flat_map(|&landed| {
                        (0..=evictable).map(move |evicted| Action::CrashProcess { done, landed, evicted })
                    }));
                }
                Crash::Power => {
                    let renames = state.pending.len() + usize::from(done);
                    crashes.extend((1..=renames).map(|kept| Action::CrashPower { done, kept, appended: 0 }));
                    let changes = 0..=state.appended.len();
                    crashes.extend(changes.map(|appended| Action::CrashPower { done, kept: 0, appended }));
                }
            }
        }
        crashes
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = self.crashes(state, Crash::Process);
        actions.extend(self.crashes(state, Crash::Power));
        actions.extend([Op::Unlink, Op::Create, Op::Sync, Op::SyncRoot, Op::SyncAppended].map(Action::Begin));
        if state.pending.len() < PENDING {
            actions.push(Action::Begin(Op::Rename));
        }
        actions.push(Action::Begin(Op::Write(None)));
        actions.extend((0..=BATCHES + 1).map(|end| Action::Begin(Op::Write(Some(end)))));
        if state.appended.len() < APPENDED {
            actions.push(Action::Begin(Op::Append(None)));
            actions.extend((0..=BATCHES + 1).map(|end| Action::Begin(Op::Append(Some(end)))));
        }
        actions.extend([true, false].map(|ok| Action::End { ok }));
        if state.end < BATCHES {
            actions.push(Action::Grown(state.end + 1));
        }
        // A client that opens it knows that it exists.
        if state.exists {
            actions.push(Action::Open { found: state.destroyed.unwrap_or(state.end) });
        }
        actions.extend([
            Action::ReportDamage,
            Action::Proven,
            Action::Excuse,
            Action::Shut { proven: true },
            Action::Shut { proven: false },
            Action::TellExists,
            Action::TellClosed,
            Action::Destroy,
        ]);
        actions
    }
}

/// The catalog is whole after any crash.
#[must_use]
pub fn the_catalog_is_whole(state: &State) -> bool {
    !state.torn
}

/// A database whose creation was answered is in the catalog.
#[must_use]
pub fn what_exists_is_named(state: &State) -> bool {
    !state.exists || state.cached.is_some()
}

/// The stored end is never beyond what was durable.
#[must_use]
pub fn stored_ends_are_true(state: &State) -> bool {
    let appended = state.appended.iter().map(|change| change.entry);
    [state.cached, state.durable].into_iter().chain(appended).all(|entry| entry.unwrap_or(0) <= state.end)
}

/// A log that lost its end after it was closed is not opened as if it were shorter.
#[must_use]
pub fn lost_ends_are_noticed(state: &State) -> bool {
    state.destroyed.is_none() || !matches!(state.phase, Phase::Open { .. })
}
