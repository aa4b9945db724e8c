//! Deciding a write whose key memory may not know: what a writer brings, what the engine looks up, what freezing changes.
//!
//! ```text
//! a writer:
//!     take a view: memtables and tables, of one published transaction t
//!     look the key up in it                      present since some transaction, or absent, as of t
//!     ask, with what was found, or with nothing
//! the engine, for each request in order:
//!     a memtable knows the key                   decide by its newest version, pending ones too
//!     else the evidence is of t >= left          decide by it
//!     else                                       gather it from the tables of now, then decide
//!     answer once what the decision rests on is durable
//! a freeze, between two batches:                 later ones gather in a new memtable
//! a frozen memtable leaves, once it is durable and its table is:
//!     bring what waits and what gathers up to what it knows of their key
//!     left := its newest transaction             from here on the tables know it
//! a batch is given up:
//!     the memtables are what was published, and a freeze behind the batch is undone
//!     decide again what was decided by it
//! ```
//!
//! **Invariants.** A decision that is answered is right: it found what the newest version before it says. A view finds
//! what was published. A request gathers once at most, however many memtables leave; and no memtable waits for a
//! request.
//!
//! **What stands for what.** One database, one key, one request. A memtable is its newest transaction and the newest version
//! of the key in it; the tables are the key's version in all of them, and the newest transaction that left memory.
//! Writers of the same key, and of others, put transactions in as they like. Beside what the engine keeps stands the
//! truth: the key's newest version, pending and published. Writing a table is one step; what makes it durable is another
//! specification's affair.

use super::{Crash, Spec};

/// A version of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// The transaction that wrote it.
    pub tx: u64,
    /// Whether it is a document; a tombstone otherwise.
    pub is_live: bool,
}

impl Version {
    fn found(self) -> Option<u64> {
        self.is_live.then_some(self.tx)
    }
}

/// Versions that are not yet in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memtable {
    /// The last transaction in it.
    pub newest: u64,
    /// The newest version of the key, if it knows one.
    pub key: Option<Version>,
}

/// The memtables, one value for what is pending and one for what is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Where batches gather.
    pub active: Memtable,
    /// What is on its way into a table.
    pub frozen: Option<Memtable>,
    /// The key as it truly is: the transaction of its document, if it has one.
    pub truth: Option<u64>,
    /// The last transaction.
    pub newest: u64,
}

impl Memory {
    fn key(&self) -> Option<Version> {
        self.active.key.or(self.frozen.and_then(|frozen| frozen.key))
    }
}

/// The tables, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tables {
    /// The transaction of the key's document, if they hold one.
    pub key: Option<u64>,
    /// The newest transaction that left memory.
    pub left: u64,
}

/// What is known of the key as of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// As of which transaction.
    pub at: u64,
    /// The transaction of the document that was found; `None` where there was none.
    pub found: Option<u64>,
}

/// A request that waits in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// What it came with, or what was gathered.
    pub evidence: Option<Evidence>,
    /// What a gathering under way will find.
    pub gathering: Option<Evidence>,
    /// How many gatherings were begun for it.
    pub gatherings: u8,
    /// What was decided: the document found, and the one that it should have found.
    pub decided: Option<Decision>,
}

/// See [`Request::decided`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// What the engine took for the key's document.
    pub found: Option<u64>,
    /// What it was.
    pub truth: Option<u64>,
    /// The newest transaction then: the answer waits until it is durable.
    pub newest: u64,
}

/// The whole state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// With everything that was decided.
    pub pending: Memory,
    /// As readers see it: all of it is durable.
    pub published: Memory,
    /// The tables.
    pub tables: Tables,
    /// What the writer found and has not asked with.
    pub in_hand: Option<Evidence>,
    /// The writer's request.
    pub request: Option<Request>,
    /// Whether a memtable left while the request waited.
    pub left_beside: bool,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The writer looks the key up in the published view.
    Look,
    /// It asks.
    Ask {
        /// Whether it brings what it found.
        with_evidence: bool,
    },
    /// The engine begins to look the key up in the tables.
    Gather,
    /// It has found it.
    Gathered,
    /// The engine decides the request.
    Decide,
    /// It answers.
    Answer,
    /// Somebody else writes the key, or deletes it.
    Write {
        /// Whether a document is written.
        is_live: bool,
    },
    /// Somebody writes another key.
    WriteOther,
    /// What is pending is durable, and published.
    Publish,
    /// What is pending is given up.
    GiveUp,
    /// The active memtable is frozen.
    Freeze,
    /// The frozen one is in a table, and leaves memory.
    Leave,
}

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A delete takes the key out of the memtable where no table holds it.
    TombstoneForgotten,
    /// Evidence is believed whatever left memory since.
    StaleBelieved,
    /// A memtable leaves, and evidence that waits is not brought up to it.
    WaitingNotBroughtUp,
    /// A memtable leaves, and a gathering under way is not brought up to it.
    GatheringNotBroughtUp,
    /// What a gathering finds is not brought up to what leaves meanwhile, but dated by when it ends.
    GatheringDatedLate,
    /// The writer looks the key up among what is pending.
    PendingSeen,
    /// The engine looks the key up in the active memtable alone.
    FrozenNotAsked,
    /// A batch is given up, and a freeze behind it stays.
    FreezeStays,
    /// A batch is given up, and what was decided by it stays.
    DecisionStays,
    /// A frozen memtable leaves before what is in it is durable.
    LeavesBeforeDurable,
}

/// The specification, or a broken variant of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deciding {
    /// The mistake, if any.
    pub broken: Option<Broken>,
}

/// Transactions in the checker's scope.
pub const TRANSACTIONS: u64 = 5;

impl Deciding {
    fn has(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn look(&self, state: &State) -> Evidence {
        let memory = if self.has(Broken::PendingSeen) { &state.pending } else { &state.published };
        let found = memory.key().map_or(state.tables.key, Version::found);
        Evidence { at: memory.newest, found }
    }

    /// What the engine may take for the key's document, where it may take anything.
    fn find(&self, state: &State, request: &Request) -> Option<Option<u64>> {
        let known = if self.has(Broken::FrozenNotAsked) { state.pending.active.key } else { state.pending.key() };
        if let Some(version) = known {
            return Some(version.found());
        }
        let holds = |evidence: &Evidence| evidence.at >= state.tables.left || self.has(Broken::StaleBelieved);
        request.evidence.filter(holds).map(|evidence| evidence.found)
    }

    fn write(&self, memory: &mut Memory, tables: &Tables, version: Option<bool>) {
        memory.newest += 1;
        memory.active.newest = memory.newest;
        let Some(is_live) = version else { return };
        let version = Version { tx: memory.newest, is_live };
        let below = memory.frozen.and_then(|frozen| frozen.key).map_or(tables.key, Version::found);
        let forgets = self.has(Broken::TombstoneForgotten) && !is_live && below.is_none();
        memory.active.key = (!forgets).then_some(version);
        memory.truth = version.found();
    }

    /// What is known as of before `leaving` becomes what is known as of its newest transaction.
    fn bring_up(evidence: &mut Option<Evidence>, leaving: &Memtable, left: u64) {
        let Some(evidence) = evidence else { return };
        // What was out of date before says nothing that a later memtable could complete. Newer evidence may be replaced by
        // what is older: a memtable that stays knows the newer version, and brings it when it leaves.
        if evidence.at < left {
            return;
        }
        evidence.found = leaving.key.map_or(evidence.found, Version::found);
        evidence.at = evidence.at.max(leaving.newest);
    }

    fn leave(&self, state: &mut State) -> Option<()> {
        let frozen = state.pending.frozen?;
        let is_durable = state.published.frozen == Some(frozen);
        if !is_durable && !self.has(Broken::LeavesBeforeDurable) {
            return None;
        }
        let left = state.tables.left;
        if let Some(request) = &mut state.request {
            if !self.has(Broken::WaitingNotBroughtUp) {
                Deciding::bring_up(&mut request.evidence, &frozen, left);
            }
            if !self.has(Broken::GatheringNotBroughtUp) && !self.has(Broken::GatheringDatedLate) {
                Deciding::bring_up(&mut request.gathering, &frozen, left);
            }
            state.left_beside = true;
        }
        state.tables.key = frozen.key.map_or(state.tables.key, Version::found);
        state.tables.left = frozen.newest;
        state.pending.frozen = None;
        if is_durable {
            state.published.frozen = None;
        }
        Some(())
    }

    fn give_up(&self, state: &mut State) {
        let frozen = state.pending.frozen.filter(|_| self.has(Broken::FreezeStays));
        state.pending = state.published;
        if let Some(frozen) = frozen {
            state.pending.frozen = Some(frozen);
            state.pending.active = Memtable::default();
            state.published = state.pending;
        }
        let Some(request) = &mut state.request else { return };
        // What was decided by published versions alone stands.
        let Some(decided) = request.decided.filter(|decided| decided.newest > state.published.newest) else { return };
        let stays = Decision { truth: state.published.truth, newest: state.published.newest, ..decided };
        request.decided = self.has(Broken::DecisionStays).then_some(stays);
    }
}

impl Spec for Deciding {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State::default()
    }

    fn step(&self, state: &State, action: &Action) -> Option<State> {
        let mut after = *state;
        match *action {
            Action::Look => {
                if state.request.is_some() {
                    return None;
                }
                after.in_hand = Some(self.look(state));
            }
            Action::Ask { with_evidence } => {
                if state.request.is_some() {
                    return None;
                }
                let evidence = if with_evidence { Some(state.in_hand?) } else { None };
                after.request = Some(Request { evidence, gathering: None, gatherings: 0, decided: None });
                (after.in_hand, after.left_beside) = (None, false);
            }
            Action::Gather => {
                let request = after.request.as_mut()?;
                let needs = request.decided.is_none() && request.gathering.is_none();
                if !needs || self.find(state, request).is_some() {
                    return None;
                }
                request.gathering = Some(Evidence { at: state.tables.left, found: state.tables.key });
                request.gatherings = request.gatherings.saturating_add(1);
            }
            Action::Gathered => {
                let request = after.request.as_mut()?;
                let mut found = request.gathering.take()?;
                if self.has(Broken::GatheringDatedLate) {
                    found.at = state.tables.left;
                }
                request.evidence = Some(found);
            }
            Action::Decide => {
                let request = after.request.as_mut()?;
                if request.decided.is_some() || request.gathering.is_some() {
                    return None;
                }
                let found = self.find(state, request)?;
                let Memory { truth, newest, .. } = state.pending;
                request.decided = Some(Decision { found, truth, newest });
            }
            Action::Answer => {
                let decided = state.request?.decided?;
                if decided.newest > state.published.newest {
                    return None;
                }
                after.request = None;
            }
            Action::Write { is_live } => {
                if !is_live && state.pending.truth.is_none() {
                    return None;
                }
                self.write(&mut after.pending, &state.tables, Some(is_live));
            }
            Action::WriteOther => self.write(&mut after.pending, &state.tables, None),
            Action::Publish => {
                if state.pending == state.published {
                    return None;
                }
                after.published = state.pending;
            }
            Action::GiveUp => {
                if state.pending == state.published {
                    return None;
                }
                self.give_up(&mut after);
            }
            Action::Freeze => {
                if state.pending.frozen.is_some() || state.pending.active == Memtable::default() {
                    return None;
                }
                let is_published = state.pending == state.published;
                after.pending.frozen = Some(std::mem::take(&mut after.pending.active));
                if is_published {
                    after.published = after.pending;
                }
            }
            Action::Leave => self.leave(&mut after)?,
        }
        Some(after)
    }

    /// Evidence dies with the process that gathered it, and memtables are made again from the log: nothing to add here.
    fn crashes(&self, _state: &State, _kind: Crash) -> Vec<Action> {
        Vec::new()
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = vec![Action::Look, Action::Gather, Action::Gathered, Action::Decide, Action::Answer];
        actions.extend([true, false].map(|with_evidence| Action::Ask { with_evidence }));
        actions.extend([Action::Publish, Action::GiveUp, Action::Freeze, Action::Leave]);
        if state.pending.newest < TRANSACTIONS {
            actions.extend([true, false].map(|is_live| Action::Write { is_live }));
            actions.push(Action::WriteOther);
        }
        actions
    }
}

/// A decision found what the key was.
#[must_use]
pub fn decisions_are_right(state: &State) -> bool {
    let decided = state.request.and_then(|request| request.decided);
    decided.is_none_or(|decided| decided.found == decided.truth)
}

/// A view of what is published finds what was published.
#[must_use]
pub fn views_are_true(state: &State) -> bool {
    let found = state.published.key().map_or(state.tables.key, Version::found);
    found == state.published.truth
}

/// However many memtables leave, a request gathers once.
#[must_use]
pub fn one_gathering_suffices(state: &State) -> bool {
    state.request.is_none_or(|request| request.gatherings <= 1)
}
