//! Lays a life out in strips, as music is in staves: time runs to the right, and on in the next strip.
//!
//! Invariants: within a strip a mark stands to the right of every mark that came before it, whatever their rows, so the order
//! is true to the last event; within a row no two marks overlap; nothing goes beyond the right edge.
//! Widths are those of a font in which each letter is as wide as the others.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Crash, Death, Kind, LaneId, Life, Mark, Moment, Row, Survival};

/// Where time begins: names of rows stand to the left of it. In pixels, as all of these.
pub(super) const LEFT: u32 = 190;

/// The right edge.
pub(super) const RIGHT: u32 = 1290;

/// The room of a line of text.
pub(super) const LINE: u32 = 13;

/// The room above the rows, for the steps.
pub(super) const TOP: u32 = 20;

/// What a row takes at least.
const ROW_HEIGHT_MIN: u32 = 24;

/// From one mark to the next, at least.
const ADVANCE: u32 = 10;

/// Between two marks in a row.
const GAP: u32 = 5;

/// What a letter takes.
const LETTER_TENTHS: u32 = 61;

/// What the words beside a crash take.
const PANEL: u32 = 420;

/// A part of a life that fits into the width of a page.
#[derive(Debug)]
pub(super) struct Strip<'life> {
    pub(super) marks: Vec<Placed<'life>>,
    pub(super) rows: Vec<Placement>,
    pub(super) height: u32,
    /// Where the life ends, when it does so in this strip.
    pub(super) end: Option<End<'life>>,
}

/// A mark, or several that change nothing, in their place.
#[derive(Debug)]
pub(super) struct Placed<'life> {
    pub(super) x: u32,
    pub(super) width: u32,
    pub(super) mark: &'life Mark,
    /// How many more like it stand for the same.
    pub(super) more: usize,
}

/// A row in its place, with what a crash did to it.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) row: Row,
    pub(super) y: u32,
    pub(super) height: u32,
    pub(super) left: Vec<(String, Tone)>,
}

/// How a line about a crash is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Something survived that need not have.
    Kept,
    /// Something is gone.
    Lost,
    /// Nothing was at stake.
    Calm,
}

/// The end of a life.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'life> {
    pub(super) x: u32,
    /// `None` when the run ends.
    pub(super) crash: Option<&'life Crash>,
}

/// All strips of a life.
pub(super) fn strips(life: &Life) -> Vec<Strip<'_>> {
    let mut strips = Vec::new();
    let mut paper = Paper::default();
    for (mark, more) in grouped(&life.marks) {
        if !paper.has_room_for(mark, more) {
            strips.push(std::mem::take(&mut paper).finish(None));
        }
        paper.place(mark, more);
    }
    let panel = if life.crash.is_some() { PANEL } else { GAP };
    if paper.taken() + GAP + panel > RIGHT {
        strips.push(std::mem::take(&mut paper).finish(None));
    }
    strips.push(paper.finish(Some(life.crash.as_ref())));
    strips
}

/// Marks that change nothing, with nothing but such between them, are one in each row.
fn grouped(marks: &[Mark]) -> Vec<(&Mark, usize)> {
    let mut groups: Vec<(&Mark, usize)> = Vec::new();
    let mut open: BTreeMap<Row, usize> = BTreeMap::new();
    for mark in marks {
        let is_quiet = mark.kind == Kind::Quiet && !mark.is_failed && !mark.is_in_flight;
        match open.get(&mark.row) {
            Some(group) if is_quiet => groups[*group].1 += 1,
            _ => {
                if is_quiet {
                    open.insert(mark.row, groups.len());
                } else {
                    open.clear();
                }
                groups.push((mark, 0));
            }
        }
    }
    groups
}

/// A strip that is being filled.
struct Paper<'life> {
    marks: Vec<Placed<'life>>,
    x: u32,
    free: BTreeMap<Row, u32>,
}

impl Default for Paper<'_> {
    fn default() -> Self {
        Paper { marks: Vec::new(), x: LEFT, free: BTreeMap::new() }
    }
}

impl<'life> Paper<'life> {
    fn place_of(&self, mark: &Mark) -> u32 {
        let after_all = if self.marks.is_empty() { LEFT + GAP } else { self.x + ADVANCE };
        after_all.max(self.free.get(&mark.row).map_or(0, |free| free + GAP))
    }

    /// Up to where anything is drawn.
    fn taken(&self) -> u32 {
        self.free.values().copied().max().unwrap_or(LEFT).max(self.x)
    }

    fn has_room_for(&self, mark: &Mark, more: usize) -> bool {
        self.marks.is_empty() || self.place_of(mark) + width(mark, more) <= RIGHT
    }

    fn place(&mut self, mark: &'life Mark, more: usize) {
        // A label longer than a strip is cut where it is drawn.
        let (x, width) = (self.place_of(mark), width(mark, more).min(RIGHT - LEFT - GAP));
        self.free.insert(mark.row, x + width);
        self.x = x;
        self.marks.push(Placed { x, width, mark, more });
    }

    fn finish(self, end: Option<Option<&'life Crash>>) -> Strip<'life> {
        let x = self.taken() + GAP;
        let end = end.map(|crash| End { x, crash });
        let mut rows: BTreeSet<Row> = self.marks.iter().map(|placed| placed.mark.row).collect();
        let crash = end.and_then(|end| end.crash);
        if let Some(crash) = crash {
            rows.extend(
                crash.files.iter().filter(|(_, it)| **it != Survival::default()).map(|(lane, _)| Row::File(*lane)),
            );
            rows.extend((!crash.names.is_empty()).then_some(Row::Names));
        }
        let mut y = TOP;
        let mut placements = Vec::new();
        for row in rows {
            let left = crash.map_or(Vec::new(), |crash| words(crash, row));
            let lines = u32::try_from(left.len()).expect("few lines");
            let height = ROW_HEIGHT_MIN.max(lines * LINE + 8);
            placements.push(Placement { row, y, height, left });
            y += height;
        }
        Strip { marks: self.marks, rows: placements, height: y.max(TOP + ROW_HEIGHT_MIN), end }
    }
}

impl Strip<'_> {
    /// Where a moment is, if it is in this strip: at the last mark that is not later.
    pub(super) fn x_of(&self, moment: Moment) -> Option<u32> {
        self.marks.iter().take_while(|placed| placed.mark.moment <= moment).last().map(|placed| placed.x)
    }
}

/// How wide a mark is drawn, with its words.
fn width(mark: &Mark, more: usize) -> u32 {
    let text = text_width(&label(mark, more));
    match mark.kind {
        Kind::Quiet if !mark.is_failed => 6 + text,
        Kind::Sync => 8 + text,
        Kind::Fault | Kind::Named => 12 + text,
        Kind::Quiet
        | Kind::Request
        | Kind::Answer
        | Kind::Refusal
        | Kind::View
        | Kind::Operator
        | Kind::Alert
        | Kind::Write(_)
        | Kind::Zeros(_)
        | Kind::NameChange(_)
        | Kind::SyncDirectory => 8 + text + if mark.is_concerned { 12 } else { 0 },
    }
}

/// The words that are drawn with a mark.
pub(super) fn label(mark: &Mark, more: usize) -> String {
    match mark.kind {
        Kind::Quiet if mark.is_failed => mark.label.clone(),
        Kind::Quiet if more > 0 => format!("×{}", more + 1),
        Kind::Quiet => String::new(),
        Kind::Sync => mark.label.strip_prefix("sync").unwrap_or_default().to_owned(),
        _ => mark.label.clone(),
    }
}

pub(super) fn text_width(text: &str) -> u32 {
    (u32::try_from(text.chars().count()).expect("a short text") * LETTER_TENTHS).div_ceil(10)
}

/// What is to be said about a row at a crash.
fn words(crash: &Crash, row: Row) -> Vec<(String, Tone)> {
    match row {
        Row::File(lane) => file_words(crash, lane),
        Row::Names => {
            let words = |(what, survived): &(String, bool)| match survived {
                true => (format!("kept, though not synced: {what}"), Tone::Kept),
                false => (format!("LOST: {what}"), Tone::Lost),
            };
            crash.names.iter().map(words).collect()
        }
        Row::Asked | Row::Answered | Row::Readers | Row::Machine => Vec::new(),
    }
}

fn file_words(crash: &Crash, lane: LaneId) -> Vec<(String, Tone)> {
    let Some(survival) = crash.files.get(&lane).filter(|survival| **survival != Survival::default()) else {
        let words = match (crash.death, crash.is_power_cut) {
            (Death::Process, _) | (_, false) => "as it was",
            (Death::Stopped | Death::Power, true) => "all of it was durable",
        };
        return vec![(words.to_owned(), Tone::Calm)];
    };
    let mut lines = Vec::new();
    let Survival { sectors, kept, older, lost, torn, garbage, length, name, in_flight } = survival;
    match name {
        Some((Some(_), None)) => lines.push(("THE FILE IS GONE: it has no name any more".to_owned(), Tone::Lost)),
        Some((Some(_), Some(now))) => lines.push((format!("it is called {now}"), Tone::Lost)),
        Some((None, Some(now))) => lines.push((format!("it is there again, as {now}"), Tone::Lost)),
        Some((None, None)) | None => {}
    }
    if *sectors > 0 {
        let mut parts = vec![format!("{kept} of {sectors} unsynced sectors kept")];
        for (count, what) in [
            (lost, "as last synced"),
            (older, "of an earlier write"),
            (torn, "TORN"),
            (garbage, "showing stale garbage"),
        ] {
            if *count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        lines.push((parts.join(", "), if kept < sectors { Tone::Lost } else { Tone::Kept }));
    }
    if let Some((before, after)) = length {
        lines.push((format!("length {before} → {after} bytes"), Tone::Lost));
    }
    lines.extend(in_flight.iter().map(|what| (format!("under way: {what}"), Tone::Calm)));
    lines
}
