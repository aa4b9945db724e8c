//! Going on in a new segment: which names the files of a log have, and what a crash makes of them.
//!
//! ```text
//! unlink `next`                          an attempt that failed may have left one
//! create `next`, take space for it       or rename the spare to it
//! write the tail; sync                   before a header vouches for it
//! write the header; sync
//! sync the directory                     `next` is there before `wal` goes
//! rename `wal` to `sealed`; sync the directory
//! rename `next` to `wal`; sync the directory
//! use it                                 publish, acknowledge, write on
//!
//! a failure before `wal` lost its name: unlink `next`; try again or give up
//! a failure after it:                   change nothing more; an opening finishes
//!
//! opening: `wal` is there -> it is the last segment; a `next` beside it is nothing
//!          only `next`    -> sync the directory; rename `next` to `wal`; sync the directory
//!          then a new segment behind it, as above
//! ```
//!
//! **Invariants.** After any crash one segment is the last one of the log: `wal`, or `next` when there is no
//! `wal`. Its header is durable, and so is the tail that the header vouches for. Once a new segment was
//! used it is that one. The segments before have names, always: `wal` or a sealed one.
//!
//! **What stands for what.** Four files: the old segment, which is whole and durable, and the one before it; the new one,
//! of whose tail and header this knows whether they are written and durable; and whatever an earlier attempt left,
//! which must never be taken for the log. Names change at once and are durable when the directory was synced;
//! after a power loss any of the pending changes may be there, as long as a change comes with the
//! earlier ones of the same name (posix). A sync that failed made nothing durable for certain, and no later one of
//! that file or directory does; of a directory, until a later change of the same name is made durable, and those before it
//! with it. When another is begun behind the new segment, that one becomes the old one, so the log may grow for ever.

mod folder;

pub use folder::{Change, File, Folder, Name};

use super::{Crash, Spec};

/// A part of the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Not written.
    Absent,
    /// Written, and not synced: it may be there.
    Dirty,
    /// A write or a sync of it failed: it may be there, and no sync says so.
    Unsure,
    /// It is there after any crash.
    Durable,
}

/// How far the engine is, as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// No process, or one that has not looked yet.
    Down,
    /// `wal` is the last segment; a `next`, if any, is nothing.
    Ready,
    /// `next` is the new file.
    Created,
    /// Its tail is written.
    TailWritten,
    /// And synced.
    TailSynced,
    /// Its header is written.
    HeaderWritten,
    /// And synced.
    HeaderSynced,
    /// And its name is durable.
    NextSynced,
    /// `wal` was renamed.
    Sealed,
    /// And that is durable.
    SealedSynced,
    /// `next` was renamed.
    Promoted,
    /// And that is durable: it may be used.
    Done,
    /// The attempt failed before `wal` lost its name.
    Failed,
    /// It failed after that: an opening has to finish.
    Latched,
    /// An opening found `next` alone.
    Found,
    /// And made what it saw durable.
    FoundSynced,
    /// And renamed it.
    FoundPromoted,
}

/// One disk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Remove the name `next`.
    Unlink,
    /// Make `next`, or rename the spare to it.
    Create,
    /// Take space for it, filled with zeros.
    Allocate,
    /// Write the tail behind the place of the header.
    WriteTail,
    /// Write the header.
    WriteHeader,
    /// Sync the new file.
    SyncFile,
    /// Sync the directory.
    SyncDirectory,
    /// Rename `wal` to its sealed name.
    Seal,
    /// Rename `next` to `wal`.
    Promote,
}

/// A change of names that is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    change: Change,
    /// A sync that was to make it durable failed.
    unsure: bool,
}

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// How far the engine is.
    pub stage: Stage,
    /// The operation in flight.
    pub busy: Option<Op>,
    /// The names as they are seen.
    pub cached: Folder,
    /// The names on the platter.
    pub durable: Folder,
    /// Changes that are seen and not durable, oldest first.
    pub pending: Vec<Pending>,
    /// The tail of the new file.
    pub tail: Part,
    /// The header of the new file.
    pub header: Part,
    /// Whether the new segment has a tail.
    pub tailed: bool,
    /// Whether something that was shown rests on the new segment.
    pub used: bool,
    /// Whether something that was shown rests on the old one, and not on the one before it.
    pub used_before: bool,
    /// Whether an opening ever finished the renames of a process that died.
    pub finished: bool,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The engine begins an operation.
    Begin(Op),
    /// It learns how the operation ended.
    End {
        /// Whether it succeeded. To find nothing to unlink is success.
        ok: bool,
    },
    /// Something is shown, or written, that rests on the new segment.
    Use,
    /// An opening looks at the names.
    Survey {
        /// Whether there is a `wal`.
        wal: bool,
        /// Whether there is a `next`.
        next: bool,
    },
    /// The process dies.
    CrashProcess {
        /// Whether the change of names in flight was carried out.
        done: bool,
    },
    /// Power goes.
    CrashPower {
        /// Whether the change of names in flight was carried out.
        done: bool,
        /// Which pending changes are there, oldest first in the lowest bit.
        kept: u8,
    },
}

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// `wal` loses its name before the header of `next` is durable.
    SealBeforeHeaderSync,
    /// The tail is synced with the header, not before it. No mistake in truth: the checker finds nothing.
    TailSyncedWithHeader,
    /// The last rename is not made durable before the segment is used. No mistake in truth either.
    PromotedNotSynced,
    /// `wal` loses its name before the name `next` is durable.
    NextNotSynced,
    /// The directory is never synced.
    NoDirectorySync,
    /// A failure removes `next` although `wal` has lost its name.
    UndoAfterSeal,
    /// A sync of `next` that failed is tried again and believed.
    RetryFailedSync,
}

/// The specification, or a broken variant of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// The mistake, if any.
    pub broken: Option<Broken>,
}

/// Changes of names that wait for a sync of the directory, in the checker's scope.
pub const PENDING: usize = 5;

impl Rotation {
    fn has(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// Whether the engine may begin `op`.
    fn may_begin(&self, state: &State, op: Op) -> bool {
        let no_names = self.has(Broken::NoDirectorySync);
        match (op, state.stage) {
            (Op::Unlink, Stage::Ready | Stage::Done | Stage::Failed) => true,
            (Op::Unlink, Stage::Promoted) => no_names || self.has(Broken::PromotedNotSynced),
            (Op::Unlink, Stage::Latched) => self.has(Broken::UndoAfterSeal),
            (Op::Create, Stage::Ready) => true,
            (Op::Allocate | Op::WriteTail, Stage::Created) => true,
            (Op::WriteHeader, Stage::Created | Stage::TailSynced) => true,
            (Op::WriteHeader, Stage::TailWritten) => self.has(Broken::TailSyncedWithHeader),
            (Op::SyncFile, Stage::TailWritten) => !self.has(Broken::TailSyncedWithHeader),
            (Op::SyncFile, Stage::HeaderWritten) => true,
            (Op::SyncDirectory, Stage::HeaderSynced | Stage::Sealed | Stage::Promoted) => !no_names,
            (Op::SyncDirectory, Stage::Found | Stage::FoundPromoted) => true,
            (Op::SyncDirectory, Stage::HeaderWritten) => self.has(Broken::SealBeforeHeaderSync),
            (Op::Seal, Stage::NextSynced) => true,
            (Op::Seal, Stage::HeaderSynced) => self.has(Broken::NextNotSynced) || no_names,
            (Op::Promote, Stage::SealedSynced | Stage::FoundSynced) => true,
            (Op::Promote, Stage::Sealed) => no_names,
            (
                Op::Unlink
                | Op::Create
                | Op::Allocate
                | Op::WriteTail
                | Op::WriteHeader
                | Op::SyncFile
                | Op::SyncDirectory
                | Op::Seal
                | Op::Promote,
                _,
            ) => false,
        }
    }

    /// What the engine knows once `op` has succeeded.
    fn reached(&self, stage: Stage, op: Op) -> Stage {
        match (op, stage) {
            (Op::Unlink, Stage::Latched) => Stage::Latched,
            (Op::Unlink, _) => Stage::Ready,
            (Op::Create | Op::Allocate, _) => Stage::Created,
            (Op::WriteTail, _) => Stage::TailWritten,
            (Op::WriteHeader, _) => Stage::HeaderWritten,
            (Op::SyncFile, Stage::TailWritten) => Stage::TailSynced,
            (Op::SyncFile, _) => Stage::HeaderSynced,
            (Op::SyncDirectory, Stage::Sealed) => Stage::SealedSynced,
            (Op::SyncDirectory, Stage::Promoted) => Stage::Done,
            (Op::SyncDirectory, Stage::Found) => Stage::FoundSynced,
            (Op::SyncDirectory, Stage::FoundPromoted) => Stage::Ready,
            (Op::SyncDirectory, _) => Stage::NextSynced,
            (Op::Seal, _) => Stage::Sealed,
            (Op::Promote, Stage::FoundSynced) => Stage::FoundPromoted,
            (Op::Promote, _) => Stage::Promoted,
        }
    }

    /// What the engine takes a failure of `op` for.
    fn failed(&self, stage: Stage, op: Op) -> Stage {
        match (stage, op) {
            (_, Op::SyncFile) if self.has(Broken::RetryFailedSync) => stage,
            (Stage::Sealed | Stage::SealedSynced | Stage::Promoted | Stage::Latched, _) => Stage::Latched,
            // An opening that fails is tried again from the beginning.
            (Stage::Found | Stage::FoundSynced | Stage::FoundPromoted, _) => Stage::Down,
            (
                Stage::Down
                | Stage::Ready
                | Stage::Created
                | Stage::TailWritten
                | Stage::TailSynced
                | Stage::HeaderWritten
                | Stage::HeaderSynced
                | Stage::NextSynced
                | Stage::Done
                | Stage::Failed,
                _,
            ) => Stage::Failed,
        }
    }
}

impl State {
    /// The change of names that `op` makes, if any.
    fn change(&self, op: Op) -> Option<Change> {
        let rename = |from, to| {
            let file = self.cached.at(from)?;
            self.cached.at(to).is_none().then_some(Change { clears: Some(from), sets: Some((to, file)) })
        };
        match op {
            Op::Unlink => self.cached.at(Name::Next).map(|_| Change { clears: Some(Name::Next), sets: None }),
            Op::Create => Some(Change { clears: None, sets: Some((Name::Next, File::New)) }),
            Op::Seal => rename(Name::Wal, Name::Sealed),
            Op::Promote => rename(Name::Next, Name::Wal),
            Op::Allocate | Op::WriteTail | Op::WriteHeader | Op::SyncFile | Op::SyncDirectory => None,
        }
    }

    fn rename_files(&mut self, rename: impl Fn(File) -> Option<File>) {
        let folder = |folder: &mut Folder| folder.rename_files(&rename);
        folder(&mut self.cached);
        folder(&mut self.durable);
        for Pending { change, .. } in &mut self.pending {
            change.sets = change.sets.and_then(|(name, file)| Some((name, rename(file)?)));
        }
    }

    /// The new segment, which is called `wal`, is the old one from now on. That one's names may not be durable yet; those
    /// of the one before it must be.
    fn settle(&mut self) -> Option<()> {
        if self.cached.at(Name::Wal) != Some(File::New) {
            return Some(());
        }
        (self.durable.at(Name::Earlier) == Some(File::Earlier)).then_some(())?;
        self.rename_files(|file| match file {
            File::Earlier => None,
            File::Old => Some(File::Earlier),
            File::New => Some(File::Old),
            File::Stale => Some(File::Stale),
        });
        self.cached.shift();
        self.durable.shift();
        self.pending.iter_mut().for_each(|pending| pending.change.shift());
        self.used_before = self.used;
        self.forget_new();
        Some(())
    }

    /// A power loss took back that the old segment is the last one: the one before it is that again, and the names of the
    /// segment before that are durable.
    fn unsettle(&mut self) {
        if self.durable.at(Name::Wal) != Some(File::Earlier) || !self.pending.is_empty() {
            return;
        }
        self.rename_files(|file| match file {
            File::Earlier => Some(File::Old),
            File::Old | File::New | File::Stale => Some(File::Stale),
        });
        self.cached.add_earlier();
        self.durable.add_earlier();
        self.used_before = false;
        self.forget_new();
    }

    fn forget_new(&mut self) {
        (self.tail, self.header, self.tailed, self.used) = (Part::Absent, Part::Absent, false, false);
    }

    fn carry_out(&mut self, op: Op) {
        if op == Op::Create {
            // Whatever an earlier attempt left under the name is another file.
            self.rename_files(|file| Some(if file == File::New { File::Stale } else { file }));
            self.forget_new();
        }
        if let Some(change) = self.change(op) {
            self.cached.apply(change);
            self.pending.push(Pending { change, unsure: false });
            self.carry_along(self.pending.len() - 1);
            self.forget_repetitions();
        }
    }

    /// Whatever makes the change at `later` durable does so with all before it of the same names.
    fn carry_along(&mut self, later: usize) {
        for earlier in (0..later).rev() {
            let shares = self.pending[earlier].change.shares_a_name(self.pending[later].change);
            if shares && std::mem::take(&mut self.pending[earlier].unsure) {
                self.carry_along(earlier);
            }
        }
    }

    /// Attempts that fail again and again make and remove `next` again and again: what any number of them may leave is
    /// what two leave.
    fn forget_repetitions(&mut self) {
        let of_next =
            |Pending { change, .. }: &Pending| change.names().into_iter().flatten().all(|name| name == Name::Next);
        let repeats = |four: &[Pending]| four[..2] == four[2..] && four.iter().all(of_next);
        while let Some(at) = self.pending.windows(4).position(repeats) {
            self.pending.drain(at..at + 2);
        }
    }

    /// Makes durable what no failed sync left unsure.
    fn sync_directory(&mut self) {
        for pending in self.pending.extract_if(.., |pending| !pending.unsure) {
            self.durable.apply(pending.change);
        }
    }

    /// Keeps the chosen changes; `None` when one is kept without an earlier one of the same name.
    fn lose_power(&mut self, kept: u8) -> Option<()> {
        let pending = std::mem::take(&mut self.pending);
        assert!(pending.len() < 8, "a directory is synced before the next change but one of `wal`: {pending:?}");
        if usize::from(kept) >= 1 << pending.len() {
            return None;
        }
        let is_kept = |at: usize| kept & (1 << at) != 0;
        for (at, Pending { change, .. }) in pending.iter().enumerate().filter(|(at, _)| is_kept(*at)) {
            if (0..at).any(|earlier| !is_kept(earlier) && pending[earlier].change.shares_a_name(*change)) {
                return None;
            }
            self.durable.apply(*change);
        }
        self.cached = self.durable;
        Some(())
    }
}

fn unsure(part: Part) -> Part {
    if part == Part::Dirty { Part::Unsure } else { part }
}

impl Spec for Rotation {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let folder = Folder::of_old();
        State {
            stage: Stage::Ready,
            busy: None,
            cached: folder,
            durable: folder,
            pending: Vec::new(),
            tail: Part::Absent,
            header: Part::Absent,
            tailed: false,
            used: false,
            used_before: false,
            finished: false,
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
                    Op::Unlink => after.settle()?,
                    // From now on a crash may find it.
                    Op::WriteTail => (after.tail, after.tailed) = (Part::Dirty, true),
                    Op::WriteHeader => after.header = Part::Dirty,
                    Op::Create | Op::Allocate | Op::SyncFile | Op::SyncDirectory | Op::Seal | Op::Promote => {}
                }
                after.busy = Some(op);
            }
            (Action::End { ok: true }, Some(op)) => {
                let impossible = match op {
                    Op::Create => state.cached.at(Name::Next).is_some(),
                    Op::Seal | Op::Promote => state.change(op).is_none(),
                    Op::Unlink | Op::Allocate | Op::WriteTail | Op::WriteHeader | Op::SyncFile | Op::SyncDirectory => {
                        false
                    }
                };
                if impossible {
                    return None;
                }
                after.carry_out(op);
                match op {
                    Op::SyncFile => {
                        let synced = |part| if part == Part::Dirty { Part::Durable } else { part };
                        (after.tail, after.header) = (synced(state.tail), synced(state.header));
                    }
                    Op::SyncDirectory => after.sync_directory(),
                    Op::Unlink
                    | Op::Create
                    | Op::Allocate
                    | Op::WriteTail
                    | Op::WriteHeader
                    | Op::Seal
                    | Op::Promote => {}
                }
                if state.stage == Stage::FoundPromoted {
                    after.finished = true;
                    after.settle()?;
                }
                after.stage = self.reached(state.stage, op);
                after.busy = None;
            }
            (Action::End { ok: false }, Some(op)) => {
                if matches!(op, Op::SyncFile | Op::WriteTail | Op::WriteHeader) {
                    (after.tail, after.header) = (unsure(state.tail), unsure(state.header));
                }
                if op == Op::SyncDirectory {
                    after.pending.iter_mut().for_each(|pending| pending.unsure = true);
                }
                after.stage = self.failed(state.stage, op);
                after.busy = None;
            }
            (Action::Use, None) => {
                let unsynced = self.has(Broken::NoDirectorySync) || self.has(Broken::PromotedNotSynced);
                if state.stage != Stage::Done && !(unsynced && state.stage == Stage::Promoted) {
                    return None;
                }
                after.used = true;
            }
            (Action::Survey { wal, next }, None) => {
                let seen = (state.cached.at(Name::Wal).is_some(), state.cached.at(Name::Next).is_some());
                if (wal, next) != seen {
                    return None;
                }
                after.stage = match seen {
                    (true, _) => Stage::Ready,
                    (false, true) => Stage::Found,
                    // Neither: damage, and nothing is changed any more.
                    (false, false) => Stage::Down,
                };
                after.settle()?;
                after.unsettle();
            }
            (Action::CrashProcess { done }, busy) => {
                crash(&mut after, busy, done)?;
                after.stage = Stage::Down;
            }
            (Action::CrashPower { done, kept }, busy) => {
                crash(&mut after, busy, done)?;
                after.lose_power(kept)?;
                after.stage = Stage::Down;
            }
            (Action::Begin(_) | Action::Use | Action::Survey { .. }, Some(_)) | (Action::End { .. }, None) => {
                return None;
            }
        }
        Some(after)
    }

    fn crashes(&self, state: &State, kind: Crash) -> Vec<Action> {
        let changes = state.busy.is_some_and(|op| state.change(op).is_some());
        let dones = if changes { &[false, true][..] } else { &[false] };
        let mut crashes = Vec::new();
        for &done in dones {
            match kind {
                Crash::Process => crashes.push(Action::CrashProcess { done }),
                Crash::Power => {
                    let pending = state.pending.len() + usize::from(done);
                    let masks = 0..u8::try_from((1 << pending) - 1).unwrap_or(u8::MAX);
                    let kept = masks.chain([u8::try_from((1 << pending) - 1).unwrap_or(u8::MAX)]);
                    crashes.extend(kept.map(|kept| Action::CrashPower { done, kept }));
                }
            }
        }
        crashes
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = self.crashes(state, Crash::Process);
        actions.extend(self.crashes(state, Crash::Power));
        let seen = |name| state.cached.at(name).is_some();
        actions.push(Action::Survey { wal: seen(Name::Wal), next: seen(Name::Next) });
        actions.extend([Action::Use, Action::End { ok: true }, Action::End { ok: false }]);
        let ops = [
            Op::Unlink,
            Op::Create,
            Op::Allocate,
            Op::WriteTail,
            Op::WriteHeader,
            Op::SyncFile,
            Op::SyncDirectory,
            Op::Seal,
            Op::Promote,
        ];
        let room = |op: &Op| state.pending.len() < PENDING || state.change(*op).is_none();
        actions.extend(ops.into_iter().filter(room).map(Action::Begin));
        actions
    }
}

/// The process is gone; `done` says whether the change of names in flight was carried out.
fn crash(state: &mut State, busy: Option<Op>, done: bool) -> Option<()> {
    state.busy = None;
    if done {
        let op = busy?;
        if op == Op::Create && state.cached.at(Name::Next).is_some() {
            return None;
        }
        state.change(op)?;
        state.carry_out(op);
    }
    Some(())
}

/// After a crash one segment is the last one, and whole; and none before it is without a name.
#[must_use]
pub fn the_log_is_found(state: &State) -> bool {
    if state.stage != Stage::Down {
        return true;
    }
    let last = state.cached.at(Name::Wal).or(state.cached.at(Name::Next));
    let mut before = [File::Earlier, File::Old].into_iter().take_while(|file| last != Some(*file));
    let is_whole = match last {
        Some(File::Earlier | File::Old) => true,
        Some(File::New) => state.header == Part::Durable && (state.tail == Part::Durable || !state.tailed),
        Some(File::Stale) | None => false,
    };
    is_whole && before.all(|file| state.cached.holds(file))
}

/// What was shown rests on the new segment: then that one is the last.
#[must_use]
pub fn what_was_used_is_the_log(state: &State) -> bool {
    let last = state.cached.at(Name::Wal).or(state.cached.at(Name::Next));
    let is_there = match last {
        Some(File::New) => true,
        Some(File::Old) => !state.used,
        Some(File::Earlier) => !state.used && !state.used_before,
        Some(File::Stale) | None => false,
    };
    state.stage != Stage::Down || is_there
}
