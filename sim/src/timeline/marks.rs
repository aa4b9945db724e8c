//! Makes marks of events: the one place that says what is drawn, where, and in which words.

use std::ops::Range;

use docdb_engine::{Alert, AlertKind, DiskErrorKind, DiskOp, DiskReply, RequestId, SECTOR_BYTES, View};
use docdb_protocol::{DatabaseId, Request, Response};

use super::concern::Concern;
use super::gather::{Gathered, changes_names};
use super::model::{Fate, Kind, LaneId, Life, Mark, Moment, Row, Timeline};
use super::words;
use crate::chronicle::{Chronicle, Event};
use crate::disk::FaultKind;

/// The timeline of what a chronicle kept; what has to do with the document that differs is marked.
#[must_use]
pub fn timeline(chronicle: &Chronicle) -> Timeline {
    let gathered = Gathered::of(chronicle);
    let mut painter = Painter {
        concern: Concern::of(chronicle),
        carriers: Vec::new(),
        gathered: &gathered,
        life: Life::default(),
        next: 0,
    };
    let mut lives = Vec::new();
    for (event, entry) in chronicle.entries().iter().enumerate() {
        let moment = Moment { event, step: entry.step };
        if matches!(entry.event, Event::Crashed(_)) {
            painter.life.crash = gathered.crash(lives.len());
            lives.push(std::mem::take(&mut painter.life));
        }
        painter.paint(moment, &entry.event);
    }
    lives.push(painter.life);
    for life in &mut lives {
        life.marks.sort_by_key(|mark| mark.moment);
    }
    let mut timeline = Timeline { lanes: Vec::new(), lives };
    name_lanes(&gathered, &mut timeline);
    timeline.lanes = gathered.lanes;
    timeline
}

/// A file's new name is a mark in its own lane, in the life in which it got it.
fn name_lanes(gathered: &Gathered<'_>, timeline: &mut Timeline) {
    for (lane, (moment, name)) in
        gathered.lanes.iter().enumerate().flat_map(|(lane, it)| it.names.iter().map(move |named| (lane, named)))
    {
        let life = gathered.crashes.partition_point(|crash| crash.moment < *moment);
        let is_by_crash = gathered
            .chronicle
            .entries()
            .get(moment.event)
            .is_some_and(|entry| matches!(entry.event, Event::Crashed(_) | Event::Decided { .. }));
        let (Some(life), false) = (timeline.lives.get_mut(life), is_by_crash) else { continue };
        let last = name.as_deref().map(|name| name.rsplit('/').next().unwrap_or(name));
        let label = last.unwrap_or("removed").to_owned();
        let words = name.as_ref().map_or("has no name any more".to_owned(), |name| format!("is called {name} now"));
        let mark = Mark { label, words, ..Mark::new(*moment, Row::File(lane), Kind::Named) };
        let place = life.marks.partition_point(|other| other.moment <= *moment);
        life.marks.insert(place, mark);
    }
}

struct Painter<'chronicle> {
    concern: Concern<'chronicle>,
    /// Where the document that differs was written: which sectors of which files.
    carriers: Vec<(LaneId, Range<u64>)>,
    gathered: &'chronicle Gathered<'chronicle>,
    life: Life,
    /// The number of the operation that is submitted next.
    next: usize,
}

impl Mark {
    fn new(moment: Moment, row: Row, kind: Kind) -> Mark {
        Mark {
            moment,
            row,
            kind,
            label: String::new(),
            words: String::new(),
            brief: None,
            request: None,
            span: None,
            is_failed: false,
            is_in_flight: false,
            is_concerned: false,
        }
    }
}

impl<'chronicle> Painter<'chronicle> {
    fn paint(&mut self, moment: Moment, event: &'chronicle Event) {
        let mark = match event {
            Event::Requested { id, request } => self.requested(moment, *id, request),
            Event::Answered { id, response } => self.answered(moment, *id, response),
            Event::Published { database, view } => self.published(moment, *database, view.as_ref()),
            Event::Alerted(alert) => alerted(moment, alert),
            Event::ShutdownAsked => Mark {
                label: "shut down".to_owned(),
                words: "the operator asks the engine to shut down".to_owned(),
                ..Mark::new(moment, Row::Machine, Kind::Operator)
            },
            Event::Stopped => Mark {
                label: "stopped".to_owned(),
                words: "the engine has shut down".to_owned(),
                ..Mark::new(moment, Row::Machine, Kind::Operator)
            },
            Event::Fault { kind, file, offset } => {
                let Some(mark) = self.fault(moment, *kind, file.as_deref(), *offset) else { return };
                mark
            }
            // Everything about an operation is drawn where it was carried out, or else where it was submitted.
            Event::Submitted { .. } => {
                let index = self.next;
                self.next += 1;
                let Some(mut mark) = self.operation(index) else { return };
                let carried = self.concern.carried_by(self.gathered.operations[index].op);
                if let (Row::File(lane), Some(bytes)) = (mark.row, carried) {
                    mark.is_concerned = true;
                    self.carriers.push((lane, bytes));
                }
                mark
            }
            Event::Performed { .. }
            | Event::Delivered { .. }
            | Event::Timer
            | Event::Crashed(_)
            | Event::Decided { .. }
            | Event::Restarted => return,
        };
        self.life.marks.push(mark);
    }

    fn requested(&self, moment: Moment, id: RequestId, request: &Request) -> Mark {
        let concerned = self.concern.of_request(id);
        let (label, words) = words::request(request, &self.gathered.databases, concerned.unwrap_or_default());
        Mark {
            label: format!("{} {label}", id.0),
            words: format!("request {}: {words}", id.0),
            brief: concerned.and_then(|places| words::part_of_request(request, places)),
            request: Some(id.0),
            is_concerned: concerned.is_some(),
            ..Mark::new(moment, Row::Asked, Kind::Request)
        }
    }

    fn answered(&self, moment: Moment, id: RequestId, response: &Response) -> Mark {
        let concerned = self.concern.of_request(id);
        let (label, words, is_good) = words::response(response, concerned.unwrap_or_default());
        let kind = if is_good { Kind::Answer } else { Kind::Refusal };
        Mark {
            label: format!("{} {label}", id.0),
            words: format!("answer to request {}: {words}", id.0),
            brief: concerned.and_then(|places| words::part_of_response(response, places)),
            request: Some(id.0),
            is_concerned: concerned.is_some(),
            ..Mark::new(moment, Row::Answered, kind)
        }
    }

    fn published(&self, moment: Moment, database: DatabaseId, view: Option<&View>) -> Mark {
        let name = words::database(database, &self.gathered.databases);
        let (label, words) = match view {
            Some(view) => {
                let tx = view.last_tx().0;
                (format!("{name} {tx}"), format!("readers of {name} see the state after transaction {tx} from now on"))
            }
            None => (format!("{name} –"), format!("readers of {name} see nothing any more: it was closed")),
        };
        let is_concerned = self.concern.is_view(moment.event);
        Mark { label, words, is_concerned, ..Mark::new(moment, Row::Readers, Kind::View) }
    }

    fn fault(&self, moment: Moment, kind: FaultKind, file: Option<&str>, offset: Option<u64>) -> Option<Mark> {
        let told_with_the_crash = match kind {
            FaultKind::ProcessCrash
            | FaultKind::PowerCrash
            | FaultKind::NestedCrash
            | FaultKind::TotalLoss
            | FaultKind::SectorLost
            | FaultKind::SizeLost
            | FaultKind::NamesLost
            | FaultKind::ShornSector
            | FaultKind::StaleGarbage
            | FaultKind::TornInFlight => true,
            FaultKind::SyncExt4Ordered
            | FaultKind::SyncExt4Data
            | FaultKind::SyncBtrfs
            | FaultKind::SyncShutdown
            | FaultKind::SyncFalseAlarm
            | FaultKind::Eviction
            | FaultKind::DirectorySyncError
            | FaultKind::LyingSync
            | FaultKind::NoSpace
            | FaultKind::WriteError
            | FaultKind::ShortWrite
            | FaultKind::MisdirectedWrite
            | FaultKind::ReadError
            | FaultKind::StickyReadError
            | FaultKind::ShortRead
            | FaultKind::StaleRead
            | FaultKind::BitFlip
            | FaultKind::NameError
            | FaultKind::Interrupted
            | FaultKind::Busy
            | FaultKind::Shortage
            | FaultKind::FileLost
            | FaultKind::FolderGone
            | FaultKind::Denied
            | FaultKind::StartError
            | FaultKind::WallStep
            | FaultKind::Stall => false,
        };
        if told_with_the_crash {
            return None;
        }
        let lane = file.and_then(|file| self.gathered.lane_named(file, moment.event));
        let at = offset.map_or(String::new(), |offset| format!(" at byte {offset}"));
        let within = file.map_or(String::new(), |file| format!(" in {file}{at}"));
        Some(Mark {
            label: kind.name().to_owned(),
            words: format!("FAULT {kind}{within}: {}", kind.sentence()),
            is_concerned: lane.is_some_and(|lane| self.hits_document(kind, lane, offset)),
            ..Mark::new(moment, lane.map_or(Row::Machine, Row::File), Kind::Fault)
        })
    }

    /// Whether a fault strikes where the document that differs was written, and may have to do with it.
    fn hits_document(&self, kind: FaultKind, lane: LaneId, offset: Option<u64>) -> bool {
        let sector = |offset: u64| offset / SECTOR_BYTES as u64;
        let is_there = |(carrier, bytes): &(LaneId, Range<u64>)| {
            let sectors = sector(bytes.start)..=sector(bytes.end.saturating_sub(1));
            *carrier == lane && offset.is_none_or(|offset| sectors.contains(&sector(offset)))
        };
        !matches!(kind, FaultKind::ShortRead | FaultKind::Interrupted | FaultKind::Busy)
            && self.carriers.iter().any(is_there)
    }

    fn operation(&self, index: usize) -> Option<Mark> {
        let operation = &self.gathered.operations[index];
        let op = operation.op;
        let row = operation.lane.map(Row::File);
        let (row, kind) = match op {
            DiskOp::Unlink { .. } => (Some(Row::Names), Kind::Removal(self.gathered.fate(index))),
            _ if changes_names(op) => (Some(Row::Names), Kind::NameChange(self.gathered.fate(index))),
            DiskOp::SyncDirectory { .. } => (Some(Row::Names), Kind::SyncDirectory),
            DiskOp::Write { .. } => (row, Kind::Write(self.gathered.fate(index))),
            DiskOp::Allocate { .. } => (row, Kind::Zeros(self.gathered.fate(index))),
            DiskOp::Sync { .. } => (row, Kind::Sync),
            DiskOp::List { .. } => (Some(Row::Names), Kind::Quiet),
            DiskOp::Open { .. } | DiskOp::Read { .. } | DiskOp::Length { .. } => (row, Kind::Quiet),
            DiskOp::Close { .. } | DiskOp::FreeSpace => return None,
            DiskOp::MakeDirectory { .. } | DiskOp::Rename { .. } | DiskOp::Link { .. } => {
                unreachable!("these change names")
            }
        };
        let moment = operation.performed.map_or(operation.submitted, |(moment, _)| moment);
        // What has no name has no lane, and opening what is not there is no change of names either.
        let row = row.unwrap_or(Row::Names);
        let file = match row {
            Row::File(lane) => self.gathered.lanes[lane].name_at(moment),
            Row::Asked | Row::Answered | Row::Readers | Row::Machine | Row::Names => "a file without a name",
        };
        let mut words = words::operation_on(op, file);
        let outcome = operation.performed.and_then(|(_, result)| words::outcome(op, result));
        let is_in_flight = operation.performed.is_none();
        if is_in_flight {
            words.push_str("; still under way when the life ended");
        }
        words.extend(outcome.iter().map(|outcome| format!("; {outcome}")));
        if let Kind::Write(fate) | Kind::Zeros(fate) | Kind::NameChange(fate) | Kind::Removal(fate) = kind
            && fate != Fate::Untold
        {
            words.push_str(&format!("; {}", fate.words()));
        }
        let result = operation.performed.map(|(_, result)| result);
        let is_news = matches!(result, Some(Err(kind)) if words::is_news(*kind));
        Some(Mark {
            label: words::label(op) + &result.map_or(String::new(), |result| failure(op, result)),
            words,
            span: Some((operation.submitted, operation.delivered)),
            is_failed: outcome.is_some() && !is_news,
            is_in_flight,
            ..Mark::new(moment, row, kind)
        })
    }
}

/// What a label says about a failure.
fn failure(op: &DiskOp, result: &Result<DiskReply, DiskErrorKind>) -> String {
    match result {
        Err(kind) => format!(" ✗ {}", words::error(*kind)),
        Ok(DiskReply::Written(taken)) if *taken < words::length(op) => format!(" ✗ {taken} only"),
        Ok(_) => String::new(),
    }
}

fn alerted(moment: Moment, alert: &Alert) -> Mark {
    let about = alert.database.as_ref().map_or(String::new(), |name| format!(" about {name}"));
    let (label, what, error) = match &alert.kind {
        AlertKind::LogFailed(error) => ("log failed", "the log failed, and goes on in a new segment", error),
        AlertKind::ReadOnly(error) => ("read-only", "no more writes until it is opened again", error),
        AlertKind::NoSpace(error) => ("no space", "reads go on, and each write tries again", error),
        AlertKind::Damage(error) => ("damage", "acknowledged data is missing or damaged", error),
        AlertKind::CatalogRebuilt(error) => ("catalog rebuilt", "the catalog could not be read and was rebuilt", error),
        AlertKind::CheckpointFailed(error) => ("checkpoint failed", "a checkpoint failed, and the log grows on", error),
        AlertKind::PreparationFailed(error) => ("not prepared", "preparing something ahead of need failed", error),
    };
    let words = format!("alert{about}: {what}: {error}");
    Mark { label: format!("alert: {label}"), words, ..Mark::new(moment, Row::Machine, Kind::Alert) }
}
