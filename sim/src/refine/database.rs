//! One database: operations on its folder and its log, publishes and answers, as actions of the four specifications.
//!
//! It knows the names of the log's files, which open file is which of them, and what was written into
//! each (see [`super::written`]). What begins is fed when the engine submits it; what it achieved, when the engine hears of
//! it. An operation of which the engine never heard is the crash's to decide.
//!
//! A database is *born* when readers first see it. Before that nothing can have been answered, and its
//! files may come and go as they like.

use docdb_engine::{DiskErrorKind, DiskOp, DiskReply, FileId, OpenMode};
use docdb_models::spec::closing::{self, Closing};
use docdb_models::spec::commit::{self, Commit};
use docdb_models::spec::opening::{self, Mark, Opening};
use docdb_models::spec::rotation::{self, Op, Rotation};
use docdb_models::spec::{Crash, commit::Batch};
use docdb_protocol::DatabaseId;

use super::possible::Possible;
use super::written::{self, SEGMENT_HEADER_BYTES};
use super::{DiskOutcome, Refused};

/// What an operation in flight is to achieve.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Listing the folder.
    Survey { is_first: bool, names_max: u32 },
    /// Writing a batch of so many bytes into the active segment.
    Batch { bytes: u64 },
    /// Syncing it.
    BatchSync,
    /// A step of a rotation; a write has to take so many bytes.
    Rotation { op: Op, bytes: Option<u64> },
}

/// The segment that batches are written to.
#[derive(Clone, Copy, Debug)]
struct Active {
    file: FileId,
    epoch: u64,
    start_lsn: u64,
}

/// The segment being made.
#[derive(Clone, Copy, Debug)]
struct Next {
    file: FileId,
    tail: Option<Tail>,
    header: Option<written::Header>,
}

/// What a new segment begins with: one batch, or several that were written again.
#[derive(Clone, Copy, Debug)]
struct Tail {
    epoch: u64,
    from: u64,
    to: u64,
    first_tx: Option<u64>,
    last_tx: Option<u64>,
    /// Where the batch with that ends.
    last_lsn: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Database {
    folder: String,
    name: String,
    id: Option<DatabaseId>,
    is_born: bool,
    is_up: bool,
    /// It was found damaged: what follows until the next start is not the specifications' matter.
    is_paused: bool,
    /// Whether readers see what is proven, and there was no space to go on.
    is_glimpsed: bool,
    /// Whether it was closed again after that.
    is_unchanged: bool,
    commit: Possible<Commit>,
    rotation: Possible<Rotation>,
    opening: Possible<Opening>,
    pub(super) closing: Possible<Closing>,
    /// The first segment, while the database is being created.
    creating: Option<FileId>,
    spare: Option<FileId>,
    /// A segment that was active in this process, and is not any more.
    sealed: Option<FileId>,
    active: Option<Active>,
    next: Option<Next>,
    is_promoted: bool,
    /// The largest epoch given to any segment, whatever became of it.
    epoch: u64,
    /// Where the durable log ends.
    mark: Mark,
    /// The batch on its way, and its watermark.
    batch: Option<(Mark, u64)>,
    /// Whether the pages of a listing so far showed an active segment, and a next one.
    listed: (bool, bool),
}

const START: Mark = Mark { tx: 0, lsn: 0, end: 0 };

impl Database {
    /// A database of which nothing was seen; the catalog has a history already.
    pub(super) fn new(name: &str, closing: Possible<Closing>) -> Database {
        Database {
            folder: format!("db/{name}"),
            name: name.to_owned(),
            id: None,
            is_born: false,
            is_up: false,
            is_paused: false,
            is_glimpsed: false,
            is_unchanged: false,
            commit: Possible::new("commit", Commit::default()),
            rotation: Possible::new("rotation", Rotation::default()),
            opening: Possible::new("opening", Opening::default()),
            closing,
            creating: None,
            spare: None,
            sealed: None,
            active: None,
            next: None,
            is_promoted: false,
            epoch: 0,
            mark: START,
            batch: None,
            listed: (false, false),
        }
    }

    /// Its id, once a header of its own was written.
    pub(super) fn id(&self) -> Option<DatabaseId> {
        self.id
    }

    /// How many actions each specification has taken.
    pub(super) fn taken(&self) -> [u64; 4] {
        [self.commit.taken(), self.rotation.taken(), self.opening.taken(), self.closing.taken()]
    }

    /// Whether this is a file of its log that is being written.
    pub(super) fn has(&self, file: FileId) -> bool {
        self.active.is_some_and(|active| active.file == file)
            || self.next.is_some_and(|next| next.file == file)
            || [self.creating, self.spare, self.sealed].contains(&Some(file))
    }

    /// Whether a sync of the folder is one for tables and their manifest.
    fn is_installing(&self) -> bool {
        self.is_up && self.next.is_none_or(|next| next.header.is_none())
    }

    fn is_watched(&self) -> bool {
        self.is_born && !self.is_paused
    }

    /// What the path names within the log: the part behind `NAME.wal`.
    fn suffix<'path>(&self, path: &'path str) -> Option<&'path str> {
        path.strip_prefix(self.folder.as_str())?
            .strip_prefix('/')?
            .strip_prefix(self.name.as_str())?
            .strip_prefix(".wal")
    }

    /// The engine asks for an operation.
    pub(super) fn submitted(&mut self, op: &DiskOp) -> Result<Option<Effect>, Refused> {
        match op {
            DiskOp::List { path, after, limit } if path.as_str() == self.folder => {
                Ok(Some(Effect::Survey { is_first: after.is_empty(), names_max: *limit }))
            }
            // A new segment's names are synced once its header is there; an installation of tables syncs theirs.
            DiskOp::SyncDirectory { path } if path.as_str() == self.folder && !self.is_installing() => {
                self.begin(Op::SyncDirectory)
            }
            DiskOp::Unlink { path } if self.suffix(path.as_str()) == Some(".next") => self.begin(Op::Unlink),
            DiskOp::Open { file, path, mode: OpenMode::CreateNew } => match self.suffix(path.as_str()) {
                Some("") => {
                    self.creating = Some(*file);
                    Ok(None)
                }
                Some(".next") => self.create(*file),
                Some(".spare") => {
                    self.spare = Some(*file);
                    Ok(None)
                }
                _ => Ok(None),
            },
            DiskOp::Rename { from, to, .. } => match (self.suffix(from.as_str()), self.suffix(to.as_str())) {
                (Some(".spare"), Some(".next")) => match self.spare.take() {
                    Some(file) => self.create(file),
                    None => self.refused("a spare is used that is none"),
                },
                (Some(".next"), Some("")) => self.begin(Op::Promote),
                (Some(""), Some(_)) => self.begin(Op::Seal),
                _ => Ok(None),
            },
            DiskOp::Write { file, offset, buffers } => self.write(*file, *offset, &written::bytes_of(buffers)),
            DiskOp::Sync { file } => self.sync(*file),
            DiskOp::Allocate { file, .. } if self.next.is_some_and(|next| next.file == *file) => {
                self.begin(Op::Allocate)
            }
            _ => Ok(None),
        }
    }

    fn begin(&mut self, op: Op) -> Result<Option<Effect>, Refused> {
        self.begin_writing(op, None)
    }

    fn begin_writing(&mut self, op: Op, bytes: Option<u64>) -> Result<Option<Effect>, Refused> {
        // While a database is created, or adopted by a rebuilt catalog, nothing rests on its names.
        if self.is_watched() {
            let action = rotation::Action::Begin(op);
            self.rotation.feed(&action).map_err(|refused| self.named(&refused))?;
        }
        Ok(Some(Effect::Rotation { op, bytes }))
    }

    fn create(&mut self, file: FileId) -> Result<Option<Effect>, Refused> {
        self.next = Some(Next { file, tail: None, header: None });
        self.is_promoted = false;
        self.begin(Op::Create)
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<Option<Effect>, Refused> {
        if self.next.is_some_and(|next| next.file == file) {
            return if offset == 0 { self.write_header(bytes) } else { self.write_tail(offset, bytes) };
        }
        if self.creating == Some(file) && self.active.is_none() {
            let header = written::header(bytes);
            self.id = header.and_then(|header| DatabaseId::new(header.database)).or(self.id);
            self.epoch = header.map_or(0, |header| header.epoch);
            return Ok(None);
        }
        match self.active {
            Some(active) if active.file == file => self.write_batch(active, offset, bytes),
            _ if self.sealed == Some(file) => self.refused("a segment that is sealed is written"),
            _ => Ok(None),
        }
    }

    fn write_batch(&mut self, active: Active, offset: u64, bytes: &[u8]) -> Result<Option<Effect>, Refused> {
        let batches = written::batches(bytes);
        let Some([batch]) = batches.as_deref() else { return self.refused("what is written to the log is no batch") };
        let place = (active.epoch, active.start_lsn, SEGMENT_HEADER_BYTES + batch.lsn.wrapping_sub(active.start_lsn));
        if (batch.epoch, batch.start_lsn, offset) != place {
            return self.refused(&format!("{batch:?} at {offset} does not stand where it says, in {active:?}"));
        }
        let to = batch.lsn + batch.bytes;
        let after = batch.first_tx.map_or(self.mark.tx, |tx| tx.saturating_sub(1));
        let upto = batch.last_tx.unwrap_or(after);
        let mark =
            if batch.first_tx.is_some() { Mark { tx: upto, lsn: to, end: to } } else { Mark { end: to, ..self.mark } };
        self.batch = Some((mark, batch.watermark));
        if self.is_watched() {
            let write = commit::Action::Write(Batch { from: batch.lsn, to, after, upto });
            self.commit.feed(&write).map_err(|refused| self.named(&refused))?;
            self.opening.feed(&opening::Action::MayHold(mark)).map_err(|refused| self.named(&refused))?;
        }
        Ok(Some(Effect::Batch { bytes: bytes.len() as u64 }))
    }

    fn write_tail(&mut self, offset: u64, bytes: &[u8]) -> Result<Option<Effect>, Refused> {
        let batches = written::batches(bytes).unwrap_or_default();
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return self.refused("the tail of a new segment is no batch");
        };
        let follow = batches.windows(2).all(|pair| pair[0].lsn + pair[0].bytes == pair[1].lsn);
        let same = batches.iter().all(|batch| (batch.epoch, batch.start_lsn) == (first.epoch, first.lsn));
        if !follow || !same || offset != SEGMENT_HEADER_BYTES {
            return self.refused(&format!("{batches:?} at {offset} do not stand where they say"));
        }
        self.give(first.epoch)?;
        let last_written = batches.iter().rev().find(|batch| batch.last_tx.is_some());
        let tail = Tail {
            epoch: first.epoch,
            from: first.lsn,
            to: last.lsn + last.bytes,
            first_tx: batches.iter().find_map(|batch| batch.first_tx),
            last_tx: last_written.and_then(|batch| batch.last_tx),
            last_lsn: last_written.map_or(0, |batch| batch.lsn + batch.bytes),
        };
        if let Some(next) = &mut self.next {
            next.tail = Some(tail);
        }
        let effect = self.begin_writing(Op::WriteTail, Some(bytes.len() as u64))?;
        if self.is_watched() && !self.is_up {
            let again = opening::Action::Tail {
                from: tail.from,
                to: tail.to,
                upto: tail.last_tx.map(|tx| (tx, tail.last_lsn)),
            };
            self.opening.feed(&again).map_err(|refused| self.named(&refused))?;
        }
        Ok(effect)
    }

    fn write_header(&mut self, bytes: &[u8]) -> Result<Option<Effect>, Refused> {
        let Some(header) = written::header(bytes) else { return self.refused("a header is none") };
        self.id = DatabaseId::new(header.database).or(self.id);
        let Some(next) = &mut self.next else { return Ok(None) };
        next.header = Some(header);
        let tail = next.tail;
        match tail {
            None => self.give(header.epoch)?,
            Some(tail) if (tail.epoch, tail.from) == (header.epoch, header.start_lsn) => {}
            Some(tail) => return self.refused(&format!("{header:?} is not that of {tail:?}")),
        }
        let effect = self.begin_writing(Op::WriteHeader, Some(bytes.len() as u64))?;
        if self.is_watched() {
            let refused = if self.is_up {
                let after = |tail: Tail| tail.first_tx.map_or(self.mark.tx, |tx| tx.saturating_sub(1));
                let batch = |tail: Tail| {
                    let after = after(tail);
                    Batch { from: tail.from, to: tail.to, after, upto: tail.last_tx.unwrap_or(after) }
                };
                self.commit.feed(&commit::Action::Move { tail: tail.map(batch) })
            } else {
                self.opening.feed(&opening::Action::Vouch { start: header.start_lsn })
            };
            refused.map_err(|refused| self.named(&refused))?;
        }
        Ok(effect)
    }

    /// A segment begins. What an earlier one of its epoch left on the device could be taken for its own.
    fn give(&mut self, epoch: u64) -> Result<(), Refused> {
        if self.is_watched() && epoch <= self.epoch {
            return self.refused(&format!("epoch {epoch} is given again, or is not larger than {}", self.epoch));
        }
        self.epoch = epoch;
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> Result<Option<Effect>, Refused> {
        if self.next.is_some_and(|next| next.file == file) {
            return self.begin(Op::SyncFile);
        }
        if self.active.is_none_or(|active| active.file != file) {
            return Ok(None);
        }
        if self.is_watched() {
            self.commit.feed(&commit::Action::Sync).map_err(|refused| self.named(&refused))?;
        }
        Ok(Some(Effect::BatchSync))
    }

    /// The engine hears how an operation ended.
    pub(super) fn delivered(&mut self, effect: Effect, outcome: &DiskOutcome) -> Result<(), Refused> {
        let took = |bytes: u64| matches!(outcome, Ok(DiskReply::Written(written)) if *written == bytes);
        match effect {
            Effect::Survey { is_first, names_max } => self.surveyed(outcome, is_first, names_max),
            Effect::Batch { bytes } if self.is_watched() => {
                self.commit.feed(&commit::Action::WriteEnded { whole: took(bytes) })
            }
            Effect::BatchSync if self.is_watched() => self.batch_synced(outcome.is_ok()),
            Effect::Batch { .. } | Effect::BatchSync => Ok(()),
            Effect::Rotation { op, bytes } => {
                let nothing_there = op == Op::Unlink && *outcome == Err(DiskErrorKind::NotFound);
                self.rotated(op, bytes.map_or(outcome.is_ok() || nothing_there, took))
            }
        }
        .map_err(|refused| self.named(&refused))
    }

    /// An opening looks at the folder; or a start, or a creation, which then does no harm.
    fn surveyed(&mut self, outcome: &DiskOutcome, is_first: bool, names_max: u32) -> Result<(), Refused> {
        let Ok(DiskReply::Names(names)) = outcome else { return Ok(()) };
        let is_there = |suffix: &str| {
            let named = |name: &str| name.strip_prefix(self.name.as_str()) == Some(suffix);
            names.iter().any(|name| named(name))
        };
        let (wal, next) = (is_there(".wal"), is_there(".wal.next"));
        let before = if is_first { (false, false) } else { self.listed };
        self.listed = (before.0 || wal, before.1 || next);
        let (wal, next) = self.listed;
        // There is another page, and nothing is known before it is seen.
        if names.len() as u64 == u64::from(names_max) {
            return Ok(());
        }
        if !self.is_watched() || self.is_up {
            return Ok(());
        }
        // What an opening before this one came to make, it had to give up.
        (self.next, self.is_promoted, self.is_unchanged) = (None, false, false);
        self.rotation.feed(&rotation::Action::Survey { wal, next })?;
        self.abandon()?;
        self.opening.feed_any(|state, actions| {
            let found = state.platter.tx..=state.written.tx;
            actions.extend(found.map(|found| opening::Action::Read { found }));
        })
    }

    fn abandon(&mut self) -> Result<(), Refused> {
        if self.opening.states().iter().any(|state| state.engine != opening::Engine::Down) {
            self.opening.feed(&opening::Action::Abandon)?;
        }
        Ok(())
    }

    fn batch_synced(&mut self, ok: bool) -> Result<(), Refused> {
        self.commit.feed(&commit::Action::SyncEnded { ok })?;
        match self.batch.filter(|_| ok) {
            Some((mark, claims)) => self.holds(mark, claims),
            None => Ok(()),
        }
    }

    /// The log is durable up to `mark`, and what stands at its end says that it was up to `claims`.
    fn holds(&mut self, mark: Mark, claims: u64) -> Result<(), Refused> {
        let grew = mark.lsn > self.mark.lsn;
        self.mark = mark;
        self.opening.feed(&opening::Action::Holds { mark, claims })?;
        self.closing.feed(&if grew { closing::Action::Grown(mark.lsn) } else { closing::Action::Proven })
    }

    fn rotated(&mut self, op: Op, ok: bool) -> Result<(), Refused> {
        let in_use = self.is_watched() && self.is_up;
        if self.is_watched() {
            self.rotation.feed(&rotation::Action::End { ok })?;
        }
        if !ok {
            self.is_promoted = false;
            if in_use {
                self.commit.feed(&commit::Action::MoveFailed)?;
                self.closing.feed(&closing::Action::Excuse)?;
            }
            let has_tail = |state: &opening::State| matches!(state.engine, opening::Engine::Tail { .. });
            if self.is_watched() && !self.is_up && self.opening.states().iter().any(has_tail) {
                self.opening.feed(&opening::Action::GiveTailUp)?;
            }
            return Ok(());
        }
        match (op, self.next) {
            (Op::SyncFile, Some(Next { header: None, .. })) if self.is_watched() && !self.is_up => {
                self.opening.feed(&opening::Action::TailSynced)
            }
            (Op::Promote, Some(_)) => {
                self.is_promoted = true;
                Ok(())
            }
            (Op::SyncDirectory, Some(next)) if self.is_promoted => self.switched(next),
            _ => Ok(()),
        }
    }

    /// The new segment is durable under its name.
    fn switched(&mut self, Next { file, tail, header }: Next) -> Result<(), Refused> {
        let Some(header) = header else { return Err(format!("a segment without a header is used: {file:?}")) };
        self.sealed = self.active.take().map(|active| active.file);
        self.active = Some(Active { file, epoch: header.epoch, start_lsn: header.start_lsn });
        (self.next, self.is_promoted) = (None, false);
        if !self.is_watched() {
            return Ok(());
        }
        if !self.is_up {
            return self.opening.feed(&opening::Action::Promoted);
        }
        self.rotation.feed(&rotation::Action::Use)?;
        self.commit.feed(&commit::Action::Moved)?;
        let mark = match tail {
            Some(Tail { to, last_tx: Some(tx), last_lsn, .. }) => Mark { tx, lsn: last_lsn, end: to },
            Some(Tail { to, last_tx: None, .. }) => Mark { end: to, ..self.mark },
            None => Mark { end: header.start_lsn, ..self.mark },
        };
        self.holds(mark, header.start_lsn)
    }

    /// Readers see what is proven, up to `tx`: there is no space to go on.
    pub(super) fn glimpsed(&mut self, tx: u64) -> Result<(), Refused> {
        if !self.is_watched() {
            return Ok(());
        }
        self.is_glimpsed = true;
        self.opening.feed(&opening::Action::ShowProven(tx)).map_err(|refused| self.named(&refused))
    }

    /// Readers see everything up to `tx`.
    pub(super) fn published(&mut self, tx: u64) -> Result<(), Refused> {
        if self.is_paused {
            return Ok(());
        }
        if !self.is_born {
            self.born();
        }
        let published = if self.is_up { self.publish(tx) } else { self.recover(tx) };
        published.map_err(|refused| self.named(&refused))
    }

    fn publish(&mut self, tx: u64) -> Result<(), Refused> {
        self.commit.feed(&commit::Action::Publish(tx))?;
        self.opening.feed(&opening::Action::Publish(tx))
    }

    /// Its first segment is there, and nothing in it.
    fn born(&mut self) {
        self.is_born = true;
        if let Some(file) = self.creating.take() {
            self.active = Some(Active { file, epoch: self.epoch, start_lsn: 0 });
        }
        let steps =
            [opening::Action::Read { found: 0 }, opening::Action::Vouch { start: 0 }, opening::Action::Promoted];
        for step in steps {
            self.opening.feed(&step).expect("an opening of an empty log");
        }
    }

    fn recover(&mut self, tx: u64) -> Result<(), Refused> {
        self.opening.feed(&opening::Action::Publish(tx))?;
        let used = |state: &rotation::State, actions: &mut Vec<rotation::Action>| {
            // A database just created is in its first segment, which no rotation made.
            if state.stage == rotation::Stage::Ready && tx == 0 {
                actions.push(rotation::Action::Survey { wal: true, next: false });
            }
            actions.push(rotation::Action::Use);
        };
        self.rotation.feed_any(used)?;
        self.mark = self.opening.states()[0].platter;
        self.commit.feed(&commit::Action::Recover { tx, end: self.mark.end })?;
        self.closing.feed(&closing::Action::Open { found: self.mark.end })?;
        if self.mark.end > self.active.map_or(0, |active| active.start_lsn) {
            // The tail is durable, and nothing behind it says so yet.
            self.closing.feed(&closing::Action::Grown(self.mark.end))?;
        }
        (self.is_up, self.is_glimpsed) = (true, false);
        Ok(())
    }

    /// The writer of `tx` was acknowledged.
    pub(super) fn acknowledged(&mut self, tx: u64) -> Result<(), Refused> {
        if !self.is_watched() {
            return Ok(());
        }
        self.commit.feed(&commit::Action::Acknowledge(tx)).map_err(|refused| self.named(&refused))
    }

    /// The engine latched the database.
    pub(super) fn gave_up(&mut self) -> Result<(), Refused> {
        if !self.is_watched() {
            return Ok(());
        }
        self.commit.feed(&commit::Action::GiveUp).map_err(|refused| self.named(&refused))?;
        self.closing.feed(&closing::Action::Excuse).map_err(|refused| self.named(&refused))
    }

    /// The engine says that acknowledged data is damaged.
    pub(super) fn reported_damage(&mut self) -> Result<(), Refused> {
        let told = if self.is_watched() { self.opening.feed(&opening::Action::ReportDamage) } else { Ok(()) };
        self.is_paused = true;
        told.map_err(|refused| self.named(&refused))
    }

    /// Readers see nothing any more.
    pub(super) fn shut(&mut self) -> Result<(), Refused> {
        if !self.is_watched() {
            return Ok(());
        }
        self.forget_files();
        if std::mem::take(&mut self.is_glimpsed) {
            // Nothing was changed, and so nothing is recorded.
            self.is_unchanged = true;
            return self.abandon().map_err(|refused| self.named(&refused));
        }
        let shut = |database: &mut Database| {
            database.commit.feed(&commit::Action::Close)?;
            database.opening.feed(&opening::Action::Close)?;
            // Where an excuse allows both, the next catalog shows which it was.
            database
                .closing
                .feed_any(|_, actions| actions.extend([true, false].map(|proven| closing::Action::Shut { proven })))
        };
        shut(self).map_err(|refused| self.named(&refused))
    }

    /// Its creation was answered.
    pub(super) fn told_exists(&mut self) -> Result<(), Refused> {
        self.closing.feed(&closing::Action::TellExists).map_err(|refused| self.named(&refused))
    }

    /// Its closing was answered.
    pub(super) fn told_closed(&mut self) -> Result<(), Refused> {
        if !self.is_watched() || self.is_unchanged {
            return Ok(());
        }
        self.closing.feed(&closing::Action::TellClosed).map_err(|refused| self.named(&refused))
    }

    /// The process or the machine died.
    pub(super) fn crashed(&mut self, kind: Crash) {
        self.forget_files();
        (self.is_paused, self.is_glimpsed, self.is_unchanged) = (false, false, false);
        self.closing.crash(kind);
        // One that no answer named may be created anew.
        self.is_born &= self.closing.states().iter().any(|state| state.exists);
        if !self.is_born {
            self.forget_log();
        } else {
            self.commit.crash(kind);
            self.rotation.crash(kind);
            self.opening.crash(kind);
        }
    }

    fn forget_log(&mut self) {
        self.commit = Possible::new("commit", Commit::default());
        self.rotation = Possible::new("rotation", Rotation::default());
        self.opening = Possible::new("opening", Opening::default());
        (self.id, self.epoch, self.mark) = (None, 0, START);
    }

    fn forget_files(&mut self) {
        (self.creating, self.spare, self.sealed, self.active, self.next) = (None, None, None, None, None);
        (self.is_up, self.is_promoted, self.batch) = (false, false, None);
    }

    fn named(&self, refused: &str) -> Refused {
        format!("database {}: {refused}", self.name)
    }

    fn refused<T>(&self, why: &str) -> Result<T, Refused> {
        Err(self.named(&format!("the log's format: {why}")))
    }
}
