//! The jobs in a checkpoint's slot: tables are written, named, and what they make superfluous is removed.
//!
//! They run beside the log's. A closing does not wait for tables: it lets them be removed. A database that takes no more writes
//! stops its checkpoint wherever it stands, and removes nothing: which metadata counts after a crash may be unknown.

use docdb_protocol::{Error, TxId};

use super::checkpoint::{Checkpoint, Stage, Written};
use super::common::Common;
use super::open::Open;
use super::state::{Arrival, DatabaseJob, Phase, State, Turn};
use crate::alert::AlertKind;
use crate::io::Progress;
use crate::jobs::install::Install;
use crate::jobs::slots::Slot;
use crate::jobs::trim::Trim;
use crate::jobs::write_tables::WriteTables;
use crate::log::Lsn;
use crate::metadata::{LiveTable, Metadata};
use crate::view::{Snapshot, View};

/// Writing tables.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    job: Box<WriteTables>,
    generation: u64,
    /// The log up to here is in them.
    snapshot_offset: Lsn,
}

impl Writing {
    /// Begins with what is published; `None` where there is nothing to write.
    pub(super) fn begin(open: &mut Open, common: &Common, turn: &mut Turn<'_>) -> Option<Writing> {
        // Everything below the end of the log is published, and nothing else is.
        let (snapshot, snapshot_offset) = (Snapshot::new(common.published.clone()), open.log.end);
        // An attempt that failed has used its generation up.
        let generation = turn.io.new_epoch(open.log.epoch.max(open.checkpoint.highest_given()));
        let (job, first) = WriteTables::new(common.subject.clone(), snapshot, generation, turn.options.table, turn.io);
        let writing = Writing { job: Box::new(job), generation, snapshot_offset };
        open.checkpoint.stage = Stage::Writing;
        match first {
            Progress::Submit(op) => {
                turn.io.submit(common.owner(Slot::Checkpoint), op);
                Some(writing)
            }
            Progress::Done(tables) => {
                writing.written(tables, &mut open.checkpoint, common);
                None
            }
            Progress::Failed(_) => unreachable!("no operation has failed yet"),
        }
    }

    /// The state that it writes, which is kept in memory for its sake.
    pub(super) fn view(&self) -> &View {
        self.job.snapshot().view()
    }

    fn written(self, tables: Vec<LiveTable>, checkpoint: &mut Checkpoint, common: &Common) {
        let snapshot = self.job.snapshot();
        let metadata = Box::new(Metadata {
            database: common.subject.id,
            generation: self.generation,
            tx: snapshot.view().last_tx(),
            snapshot_offset: self.snapshot_offset,
            index_consistent: true,
            next_collection: snapshot.next_collection(),
            collections: snapshot.collections(),
            tables,
        });
        assert!(metadata.tx > TxId(0), "a checkpoint of nothing is never due");
        checkpoint.stage = Stage::Written(Written { metadata, paths: self.job.into_paths() });
    }
}

impl DatabaseJob for Writing {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Writing> {
        let common = &state.common;
        let Some(open) = of(&mut state.phase) else {
            self.job.close(arrival.result.is_ok(), turn.io);
            return None;
        };
        let progress = if common.is_closing() {
            self.job.abandon(&arrival.result, turn.io)
        } else {
            self.job.step(arrival.result, turn.io)
        };
        match progress {
            Progress::Submit(op) => {
                turn.io.submit(common.owner(Slot::Checkpoint), op);
                return Some(self);
            }
            Progress::Done(tables) => self.written(tables, &mut open.checkpoint, common),
            Progress::Failed(error) => failed(error, open, common, turn),
        }
        None
    }
}

/// Naming them.
#[derive(Clone, Debug)]
pub(super) struct Installing(Install);

impl Installing {
    pub(super) fn begin(written: Written, common: &Common, turn: &mut Turn<'_>) -> Installing {
        let Written { metadata, paths } = written;
        let (job, first) = Install::new(common.subject.clone(), metadata, paths, turn.io.new_file());
        turn.io.submit(common.owner(Slot::Checkpoint), first);
        Installing(job)
    }
}

impl DatabaseJob for Installing {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Installing> {
        let common = &state.common;
        let Some(open) = of(&mut state.phase) else {
            self.0.stop(arrival.result.is_ok(), turn.io);
            return None;
        };
        match self.0.step(arrival.result, turn.io) {
            Progress::Submit(op) => {
                turn.io.submit(common.owner(Slot::Checkpoint), op);
                return Some(self);
            }
            Progress::Done(()) => open.checkpoint.stage = Stage::Named(self.0.into_metadata(), turn.now.monotonic),
            Progress::Failed(error) => failed(error, open, common, turn),
        }
        None
    }
}

/// Removing what they make superfluous.
#[derive(Clone, Debug)]
pub(super) struct Trimming(Trim);

impl Trimming {
    pub(super) fn begin(open: &mut Open, common: &Common, turn: &mut Turn<'_>) -> Trimming {
        let segments = open.log.trimmable(open.checkpoint.floor(), turn.options.segments_kept);
        let live = open.checkpoint.live();
        let (job, first) = Trim::new(common.subject.clone(), live, segments, turn.options.listed_names_max);
        turn.io.submit(common.owner(Slot::Checkpoint), first);
        open.checkpoint.stage = Stage::Trimming;
        Trimming(job)
    }
}

impl DatabaseJob for Trimming {
    fn completed(mut self, arrival: Arrival, state: &mut State, turn: &mut Turn<'_>) -> Option<Trimming> {
        let common = &state.common;
        let open = of(&mut state.phase)?;
        match self.0.step(arrival.result) {
            Progress::Submit(op) => {
                turn.io.submit(common.owner(Slot::Checkpoint), op);
                return Some(self);
            }
            Progress::Done(trimmed) => {
                open.log.trimmed(&trimmed);
                open.checkpoint.stage = Stage::Idle;
            }
            // All of it is durable, and the next one removes what stays.
            Progress::Failed(error) => {
                alert(error, common, turn);
                open.checkpoint.stage = Stage::Idle;
            }
        }
        None
    }
}

/// The attempt is over: the log grows on.
fn failed(error: Error, open: &mut Open, common: &Common, turn: &mut Turn<'_>) {
    open.checkpoint.failed(open.log.end, turn.options);
    if !common.is_closing() {
        alert(error, common, turn);
    }
}

fn alert(error: Error, common: &Common, turn: &mut Turn<'_>) {
    turn.io.alert(Some(&common.subject.name), AlertKind::CheckpointFailed(error));
}

/// What is there while the database takes writes; `None` once it has stopped taking them.
fn of(phase: &mut Phase) -> Option<&mut Open> {
    match phase {
        Phase::Open(open) => Some(open),
        Phase::ReadOnly => None,
        Phase::Opening | Phase::Unwritten { .. } | Phase::Closed(_) | Phase::Failed(_) => {
            unreachable!("a checkpoint begins while the database is open, and is awaited before it is closed")
        }
    }
}
