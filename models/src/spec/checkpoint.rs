//! A checkpoint: a table, two copies of the metadata that names it, and a log that is trimmed behind both.
//!
//! ```text
//! freeze; write the table; sync it
//! sync the directory                          the table's name is durable before anything names it
//! write the new manifest; sync it
//! rename it to `manifest`                     from here on the job only goes forward
//! sync the directory                          the first copy
//! write the record; sync it                   the second copy
//! let the memtable go
//! trim: take the segments below away          renamed to spares, or unlinked
//! sync the directory; overwrite the spares
//!
//! a failure before the rename:                unlink the table; begin anew, higher
//! a failed sync of the directory behind it:   write both copies anew, higher
//! a failed record:                            write it again, in a new segment
//! a failed sync of the directory is one for every job whose names it was to make durable
//!
//! opening: of manifest and record the higher one counts; replay the log behind it
//!          before anything is trimmed or a table is added: both copies anew, higher
//! ```
//!
//! **Invariants.** After any crash, and with one of the two copies damaged, every transaction that was acknowledged is in the
//! log that is left, or in a table that the metadata names.
//!
//! **What stands for what.** A transaction is a segment of the log, durable when it is committed, and a table holds all
//! that the metadata's transaction says. Names change at once and are durable when the directory was synced; of those that
//! are not, a power loss keeps any, those of `manifest` in their order. A failed sync made nothing durable for certain, and no
//! later one does, until the same name is changed again. The flags of a table's frames are left out: they count for
//! tables that nothing names. What a lost attempt called itself may be given again here, since nothing of it is seen any more;
//! on a device that brings old bytes back it may not. Opening makes the log that it read durable, its records too, as its own specification says.

use super::rotation::Part;
use super::{Crash, Spec};

/// Transactions in the checker's scope.
pub const TRANSACTIONS: u8 = 2;
/// Tables that are ever made in it.
pub const TABLES: u8 = 2;
/// The highest generation in it.
pub const GENERATIONS: u8 = 4;

/// What a copy of the metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metadata {
    /// The higher one counts.
    pub generation: u8,
    /// The log behind this transaction is to be replayed.
    pub tx: u8,
    /// The live tables, a bit each.
    pub tables: u8,
}

/// A name that comes or goes once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name {
    /// Whether it is seen.
    pub cached: bool,
    /// Whether it is on the platter.
    pub durable: bool,
    /// Whether the sync that was to make the difference durable failed.
    pub unsure: bool,
}

impl Name {
    fn sync(&mut self) {
        if !self.unsure {
            self.durable = self.cached;
        }
    }

    fn fail(&mut self) {
        self.unsure |= self.cached != self.durable;
    }

    fn lose_power(&mut self, keeps: bool) {
        self.cached = if keeps { self.cached } else { self.durable };
        *self = Name { cached: self.cached, durable: self.cached, unsure: false };
    }
}

/// One table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// Its name.
    pub name: Name,
    /// What is in it.
    pub data: Part,
}

/// One segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Its name as a part of the log.
    pub name: Name,
    /// Whether something else was written into it.
    pub is_overwritten: bool,
}

/// A manifest that was renamed into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// What it says; nothing once it is damaged.
    pub says: Option<Metadata>,
    /// Whether it was synced before.
    pub data: Part,
    /// Whether the sync that was to make its name durable failed.
    pub unsure: bool,
}

/// How far a job is, as the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// There is none.
    Idle,
    /// Its table is written.
    TableWritten,
    /// And synced.
    TableSynced,
    /// And its name is durable: everything that the metadata names is.
    Named,
    /// The new manifest is written.
    ManifestWritten,
    /// And synced.
    ManifestSynced,
    /// And renamed into place.
    Renamed,
    /// And that is durable.
    ManifestDurable,
    /// The record is written.
    RecordWritten,
}

/// The engine, while a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    /// The metadata in force.
    pub metadata: Metadata,
    /// Whether both copies say so, durably, as the engine knows.
    pub is_proven: bool,
    /// The job.
    pub stage: Stage,
    /// What it writes.
    pub next: Metadata,
    /// Whether a manifest of it was renamed into place: there is no way back, whatever became of the directory's sync.
    pub is_renamed: bool,
    /// The highest generation that was given to anything.
    pub generation: u8,
}

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// `None` while no process runs.
    pub engine: Option<Engine>,
    /// The last transaction that was acknowledged.
    pub committed: u8,
    /// The log, a segment a transaction.
    pub log: Vec<Segment>,
    /// Every table that was ever begun.
    pub tables: Vec<Table>,
    /// What the job wrote and did not rename yet.
    pub new_manifest: Part,
    /// The manifest on the platter.
    pub manifest: Option<Metadata>,
    /// Those that were renamed over it, and that is not durable, oldest first.
    pub renamed: Vec<Manifest>,
    /// The record on the platter.
    pub record: Option<Metadata>,
    /// The one behind it that is written.
    pub written: Option<(Metadata, Part)>,
    /// Whether a copy was damaged.
    pub is_damaged: bool,
}

/// A copy of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copy {
    /// The file of that name.
    Manifest,
    /// The newest record in the log.
    Record,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A transaction is durable in the log, and acknowledged.
    Commit,
    /// The memtable is frozen, and its table written.
    WriteTable,
    /// The table is synced.
    SyncTable {
        /// Whether that succeeded.
        ok: bool,
    },
    /// The directory is synced.
    SyncDirectory {
        /// Whether the job asked for it, or who trims.
        by_job: bool,
        /// Whether that succeeded.
        ok: bool,
    },
    /// Both copies are to be written anew, with nothing new in them.
    Rewrite,
    /// The new manifest is written.
    WriteManifest,
    /// It is synced.
    SyncManifest {
        /// Whether that succeeded.
        ok: bool,
    },
    /// It is renamed into place.
    Rename,
    /// The record is written.
    WriteRecord,
    /// It is synced.
    SyncRecord {
        /// Whether that succeeded.
        ok: bool,
    },
    /// The first segment of the log is taken away.
    Trim,
    /// A segment that was taken away is used for something else.
    Overwrite {
        /// The transaction that was in it.
        tx: u8,
    },
    /// The next process opens the database.
    Open,
    /// A copy on the platter is damaged; once.
    Damage(Copy),
    /// The process dies.
    CrashProcess,
    /// Power goes.
    CrashPower {
        /// How many of the renamed manifests are there, from the oldest on.
        manifests: u8,
        /// Whether the record that was written is there.
        record: bool,
        /// Which tables that are not durable are there, a bit each.
        tables: u8,
        /// Of the segments that were taken away, and not durably: which still are away, a bit each.
        trimmed: u8,
    },
}

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// The manifest names a table that was not synced.
    TableNotSynced,
    /// The manifest is renamed before the name of its table is durable.
    NameNotSynced,
    /// The manifest is renamed before it is synced.
    ManifestNotSynced,
    /// The rename of the manifest is not made durable.
    RenameNotSynced,
    /// The record is not synced.
    RecordNotSynced,
    /// The log is trimmed when the first copy is durable.
    TrimBeforeRecord,
    /// A failed sync of the directory is tried again, and believed.
    FailedSyncRetried,
    /// A failed sync of the directory counts only for the job that asked for it.
    FailureOfOthersIgnored,
    /// A failed sync of the record is tried again, and believed.
    RecordSyncRetried,
    /// A failure behind the rename removes the table.
    UndoneAfterRename,
    /// A second attempt at the manifest fails, and the table goes, although the first was renamed.
    UndoneAgain,
    /// What an opening reads is taken for durable in both copies.
    ReadIsDurable,
    /// A segment is overwritten before it is durable that it was taken away. No mistake in truth: what both copies stand
    /// for is read by nobody.
    OverwrittenTooSoon,
}

/// The specification, or a broken variant of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checkpoint {
    /// The mistake, if any.
    pub broken: Option<Broken>,
}

impl Checkpoint {
    fn has(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    fn write_table(state: &mut State) -> Option<()> {
        let engine = state.engine.as_mut()?;
        // Without a new transaction there is nothing to write.
        let has_news = state.committed > engine.metadata.tx;
        if engine.stage != Stage::Idle || !engine.is_proven || !has_news || state.tables.len() == usize::from(TABLES) {
            return None;
        }
        let table = 1 << state.tables.len();
        state.tables.push(Table { name: Name { cached: true, ..Name::default() }, data: Part::Dirty });
        engine.generation += 1;
        engine.next =
            Metadata { generation: engine.generation, tx: state.committed, tables: engine.metadata.tables | table };
        engine.stage = Stage::TableWritten;
        Some(())
    }

    /// What the job made so far goes. The metadata in force stays.
    fn undo(state: &mut State) {
        let Some(engine) = &mut state.engine else { return };
        let new = engine.next.tables & !engine.metadata.tables;
        for (at, table) in state.tables.iter_mut().enumerate() {
            if new & (1 << at) != 0 {
                table.name.cached = false;
            }
        }
        state.new_manifest = Part::Absent;
        engine.stage = Stage::Idle;
    }

    /// The same again, in a higher generation.
    fn write_again(engine: &mut Engine) {
        engine.generation += 1;
        engine.next.generation = engine.generation;
        engine.stage = Stage::Named;
    }

    fn sync_directory(&self, state: &mut State, by_job: bool, ok: bool) -> Option<()> {
        let engine = state.engine.as_mut()?;
        if ok {
            state.tables.iter_mut().for_each(|table| table.name.sync());
            state.log.iter_mut().for_each(|segment| segment.name.sync());
            if let Some(last) = state.renamed.last().filter(|last| !last.unsure) {
                state.manifest = last.says.filter(|_| last.data == Part::Durable);
                state.renamed.clear();
            }
            engine.stage = match engine.stage {
                stage if !by_job => stage,
                Stage::TableSynced => Stage::Named,
                Stage::Renamed => Stage::ManifestDurable,
                stage => stage,
            };
            return Some(());
        }
        state.tables.iter_mut().for_each(|table| table.name.fail());
        state.log.iter_mut().for_each(|segment| segment.name.fail());
        state.renamed.iter_mut().for_each(|manifest| manifest.unsure = true);
        match engine.stage {
            _ if self.has(Broken::FailedSyncRetried) && by_job => {}
            _ if self.has(Broken::FailureOfOthersIgnored) && !by_job => {}
            Stage::TableWritten | Stage::TableSynced => Checkpoint::undo(state),
            Stage::Renamed if self.has(Broken::UndoneAfterRename) => Checkpoint::undo(state),
            Stage::Renamed => Checkpoint::write_again(engine),
            // No name of the job waits for a sync.
            Stage::Idle
            | Stage::Named
            | Stage::ManifestWritten
            | Stage::ManifestSynced
            | Stage::ManifestDurable
            | Stage::RecordWritten => {}
        }
        Some(())
    }

    fn rename(&self, state: &mut State) -> Option<()> {
        let engine = state.engine.as_mut()?;
        match engine.stage {
            Stage::ManifestSynced => {}
            Stage::ManifestWritten if self.has(Broken::ManifestNotSynced) => {}
            _ => return None,
        }
        let data = std::mem::replace(&mut state.new_manifest, Part::Absent);
        engine.is_renamed = true;
        state.renamed.push(Manifest { says: Some(engine.next), data, unsure: false });
        engine.stage = if self.has(Broken::RenameNotSynced) { Stage::ManifestDurable } else { Stage::Renamed };
        Some(())
    }

    fn sync_record(&self, state: &mut State, ok: bool) -> Option<()> {
        let engine = state.engine.as_mut()?;
        let (says, data) = state.written.as_mut()?;
        if engine.stage != Stage::RecordWritten {
            return None;
        }
        if !ok {
            *data = Part::Unsure;
            if !self.has(Broken::RecordSyncRetried) {
                engine.stage = Stage::ManifestDurable;
            }
            return Some(());
        }
        if *data == Part::Dirty {
            state.record = Some(*says);
            state.written = None;
        }
        Checkpoint::finish(engine);
        Some(())
    }

    fn finish(engine: &mut Engine) {
        (engine.metadata, engine.is_proven, engine.is_renamed) = (engine.next, true, false);
        engine.stage = Stage::Idle;
    }

    fn trim(&self, state: &mut State) -> Option<()> {
        let engine = state.engine.as_ref()?;
        let is_early = self.has(Broken::TrimBeforeRecord) && engine.stage == Stage::ManifestDurable;
        let upto = match is_early {
            true => engine.next.tx,
            false if engine.is_proven => engine.metadata.tx,
            false => return None,
        };
        let first = state.log.iter().position(|segment| segment.name.cached)?;
        let segment = state.log.get_mut(first).filter(|_| first < usize::from(upto))?;
        segment.name.cached = false;
        Some(())
    }

    fn open(&self, state: &mut State) -> Option<()> {
        if state.engine.is_some() {
            return None;
        }
        let metadata = in_force(state)?;
        if let Some((says, _)) = state.written.take() {
            state.record = Some(says);
        }
        state.new_manifest = Part::Absent;
        let is_proven = self.has(Broken::ReadIsDurable);
        let generation = metadata.generation;
        let (stage, next) = (Stage::Idle, metadata);
        state.engine = Some(Engine { metadata, is_proven, stage, next, is_renamed: false, generation });
        Some(())
    }

    fn damage(state: &mut State, copy: Copy) -> Option<()> {
        if std::mem::replace(&mut state.is_damaged, true) {
            return None;
        }
        match copy {
            Copy::Manifest => {
                // What is on its way there replaces it.
                state.manifest.take()?;
            }
            Copy::Record => {
                state.record.take()?;
            }
        }
        Some(())
    }

    fn lose_power(state: &mut State, manifests: u8, record: bool, (tables, trimmed): (u8, u8)) -> Option<()> {
        let kept = usize::from(manifests);
        if kept > state.renamed.len() || (record && state.written.is_none()) {
            return None;
        }
        if let Some(last) = state.renamed.get(..kept)?.last() {
            state.manifest = last.says.filter(|_| last.data == Part::Durable);
        }
        state.renamed.clear();
        if let Some((says, _)) = state.written.take().filter(|_| record) {
            state.record = Some(says);
        }
        for (at, table) in state.tables.iter_mut().enumerate() {
            let keeps = tables & (1 << at) != 0;
            table.name.lose_power(keeps);
            if table.data != Part::Durable {
                table.data = if keeps { Part::Durable } else { Part::Absent };
            }
        }
        for (at, segment) in state.log.iter_mut().enumerate() {
            segment.name.lose_power(trimmed & (1 << at) != 0);
        }
        state.engine = None;
        Some(())
    }
}

/// The metadata that an opening takes: the higher of what it can read.
fn in_force(state: &State) -> Option<Metadata> {
    let manifest = state.renamed.last().map_or(state.manifest, |last| last.says);
    let record = state.written.map_or(state.record, |(says, _)| Some(says));
    manifest.max(record)
}

impl Spec for Checkpoint {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let made = Metadata { generation: 1, tx: 0, tables: 0 };
        let (is_proven, is_renamed) = (true, false);
        State {
            engine: Some(Engine {
                metadata: made,
                is_proven,
                stage: Stage::Idle,
                next: made,
                is_renamed,
                generation: 1,
            }),
            committed: 0,
            log: Vec::new(),
            tables: Vec::new(),
            new_manifest: Part::Absent,
            manifest: Some(made),
            renamed: Vec::new(),
            record: Some(made),
            written: None,
            is_damaged: false,
        }
    }

    fn step(&self, state: &State, action: &Action) -> Option<State> {
        let mut after = state.clone();
        let stage = state.engine.map(|engine| engine.stage);
        let go = |state: &mut State, to| state.engine.as_mut().map(|engine| engine.stage = to);
        match *action {
            Action::Commit => {
                stage?;
                after.committed += 1;
                let name = Name { cached: true, durable: true, unsure: false };
                after.log.push(Segment { name, is_overwritten: false });
            }
            Action::WriteTable => Checkpoint::write_table(&mut after)?,
            Action::SyncTable { ok } => {
                let (Some(Stage::TableWritten), Some(table)) = (stage, after.tables.last_mut()) else { return None };
                match ok {
                    _ if self.has(Broken::TableNotSynced) => go(&mut after, Stage::TableSynced)?,
                    true => {
                        table.data = Part::Durable;
                        go(&mut after, Stage::TableSynced)?;
                    }
                    false => Checkpoint::undo(&mut after),
                }
                if self.has(Broken::NameNotSynced) && ok {
                    go(&mut after, Stage::Named)?;
                }
            }
            Action::SyncDirectory { by_job, ok } => self.sync_directory(&mut after, by_job, ok)?,
            Action::Rewrite => {
                let engine = after.engine.as_mut()?;
                if engine.stage != Stage::Idle || engine.is_proven {
                    return None;
                }
                engine.next = engine.metadata;
                Checkpoint::write_again(engine);
            }
            Action::WriteManifest => {
                (stage == Some(Stage::Named)).then_some(())?;
                after.new_manifest = Part::Dirty;
                go(&mut after, Stage::ManifestWritten)?;
            }
            Action::SyncManifest { ok } => {
                (stage == Some(Stage::ManifestWritten)).then_some(())?;
                if ok {
                    after.new_manifest = Part::Durable;
                    go(&mut after, Stage::ManifestSynced)?;
                } else if state.engine.is_some_and(|engine| engine.is_renamed) && !self.has(Broken::UndoneAgain) {
                    Checkpoint::write_again(after.engine.as_mut()?);
                } else {
                    Checkpoint::undo(&mut after);
                }
            }
            Action::Rename => self.rename(&mut after)?,
            Action::WriteRecord => {
                (stage == Some(Stage::ManifestDurable)).then_some(())?;
                let engine = after.engine.as_mut()?;
                after.written = Some((engine.next, Part::Dirty));
                engine.stage = Stage::RecordWritten;
                if self.has(Broken::RecordNotSynced) {
                    Checkpoint::finish(engine);
                }
            }
            Action::SyncRecord { ok } => self.sync_record(&mut after, ok)?,
            Action::Trim => self.trim(&mut after)?,
            Action::Overwrite { tx } => {
                stage?;
                let segment = after.log.get_mut(usize::from(tx).checked_sub(1)?)?;
                let is_gone = !segment.name.cached && (!segment.name.durable || self.has(Broken::OverwrittenTooSoon));
                if !is_gone || std::mem::replace(&mut segment.is_overwritten, true) {
                    return None;
                }
            }
            Action::Open => self.open(&mut after)?,
            Action::Damage(copy) => Checkpoint::damage(&mut after, copy)?,
            Action::CrashProcess => {
                stage?;
                after.engine = None;
            }
            Action::CrashPower { manifests, record, tables, trimmed } => {
                Checkpoint::lose_power(&mut after, manifests, record, (tables, trimmed))?;
            }
        }
        Some(after)
    }

    fn crashes(&self, state: &State, kind: Crash) -> Vec<Action> {
        if kind == Crash::Process {
            return vec![Action::CrashProcess];
        }
        let is_open = |name: &Name| name.cached != name.durable;
        let tables = mask(&state.tables, |table| is_open(&table.name) || table.data != Part::Durable);
        let trimmed = mask(&state.log, |segment| is_open(&segment.name));
        let mut crashes = Vec::new();
        for manifests in 0..=state.renamed.len() {
            let manifests = u8::try_from(manifests).expect("generations are few");
            for record in [false, true].into_iter().take(1 + usize::from(state.written.is_some())) {
                for tables in subsets(tables) {
                    let crash = |trimmed| Action::CrashPower { manifests, record, tables, trimmed };
                    crashes.extend(subsets(trimmed).map(crash));
                }
            }
        }
        crashes
    }

    fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = self.crashes(state, Crash::Process);
        actions.extend(self.crashes(state, Crash::Power));
        let generation = state.engine.map_or(0, |engine| engine.generation);
        if state.committed < TRANSACTIONS {
            actions.push(Action::Commit);
        }
        if generation < GENERATIONS {
            actions.extend([Action::WriteTable, Action::Rewrite]);
            actions.extend([true, false].map(|by_job| Action::SyncDirectory { by_job, ok: false }));
            actions.push(Action::SyncManifest { ok: false });
        }
        actions.extend([true, false].map(|by_job| Action::SyncDirectory { by_job, ok: true }));
        actions.push(Action::SyncManifest { ok: true });
        actions.extend([true, false].map(|ok| Action::SyncTable { ok }));
        actions.extend([true, false].map(|ok| Action::SyncRecord { ok }));
        actions.extend([Action::WriteManifest, Action::Rename, Action::WriteRecord, Action::Trim, Action::Open]);
        actions.extend((1..=TRANSACTIONS).map(|tx| Action::Overwrite { tx }));
        actions.extend([Copy::Manifest, Copy::Record].map(Action::Damage));
        actions
    }
}

fn mask<T>(of: &[T], is_open: impl Fn(&T) -> bool) -> u8 {
    of.iter().enumerate().filter(|(_, one)| is_open(one)).fold(0, |mask, (at, _)| mask | 1 << at)
}

/// Every subset of the bits of `mask`.
fn subsets(mask: u8) -> impl Iterator<Item = u8> {
    (0..=mask).filter(move |subset| subset & !mask == 0)
}

/// What was acknowledged is in the log that is left, or in a table that the metadata names.
#[must_use]
pub fn everything_is_found(state: &State) -> bool {
    if state.engine.is_some() {
        return true;
    }
    let Some(metadata) = in_force(state) else { return false };
    let mut tables = state.tables.iter().enumerate().filter(|(at, _)| metadata.tables & (1 << at) != 0);
    let mut log = state.log.iter().skip(usize::from(metadata.tx));
    tables.all(|(_, table)| table.name.cached && table.data != Part::Absent)
        && log.all(|segment| segment.name.cached && !segment.is_overwritten)
}
