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

/// Letters of a label; it fits into a strip.
const LABEL_LETTERS_MAX: usize = 48;
const _: () = assert!((LABEL_LETTERS_MAX as u32 + 5) * LETTER_TENTHS / 10 < RIGHT - LEFT, "a label fits into a strip");

/// Letters that stand beside a crash in a line, which are a little larger.
const PANEL_LETTERS: usize = 60;

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
        let (x, width) = (self.place_of(mark), width(mark, more));
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
        | Kind::Removal(_)
        | Kind::SyncDirectory => 8 + text + if mark.is_concerned { 12 } else { 0 },
    }
}

/// The words that are drawn with a mark.
pub(super) fn label(mark: &Mark, more: usize) -> String {
    let label = whole_label(mark, more);
    if label.chars().count() <= LABEL_LETTERS_MAX {
        return label;
    }
    label.chars().take(LABEL_LETTERS_MAX - 1).chain(['…']).collect()
}

fn whole_label(mark: &Mark, more: usize) -> String {
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

/// What is to be said about a row at a crash, in lines that fit beside it.
fn words(crash: &Crash, row: Row) -> Vec<(String, Tone)> {
    sentences(crash, row)
        .iter()
        .flat_map(|(words, tone)| wrapped(words).into_iter().map(|line| (line, *tone)))
        .collect()
}

fn wrapped(words: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        match line.as_str() {
            "" => line.push_str(word),
            so_far if so_far.chars().count() + word.chars().count() < PANEL_LETTERS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}

fn sentences(crash: &Crash, row: Row) -> Vec<(String, Tone)> {
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
        let tone = if after < before { Tone::Lost } else { Tone::Kept };
        lines.push((format!("length {before} → {after} bytes"), tone));
    }
    lines.extend(in_flight.iter().map(|what| (format!("under way: {what}"), Tone::Calm)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chronicle::Chronicle;
    use crate::replay::Origin;
    use crate::run::Setup;
    use crate::timeline::timeline;

    #[test]
    fn time_runs_to_the_right_and_nothing_stands_on_anything() {
        for seed in 0..20 {
            let mut chronicle = Chronicle::default();
            chronicle.keep();
            let (_, chronicle) =
                Origin::Seed(seed, Setup::default()).run(chronicle).expect("this build can run a seed");
            for life in &timeline(&chronicle).lives {
                let strips = strips(life);
                let drawn: usize = strips.iter().flat_map(|strip| &strip.marks).map(|placed| 1 + placed.more).sum();
                assert_eq!(drawn, life.marks.len(), "seed {seed}: every mark is drawn, or counted");
                assert_eq!(
                    strips.iter().filter(|strip| strip.end.is_some()).count(),
                    1,
                    "seed {seed}: a life ends once"
                );
                for strip in &strips {
                    check(strip, seed);
                }
            }
        }
    }

    fn check(strip: &Strip<'_>, seed: u64) {
        let mut free: BTreeMap<Row, u32> = BTreeMap::new();
        let mut x = 0;
        for placed in &strip.marks {
            assert!(placed.x > x, "seed {seed}: {:?} is not behind what came before", placed.mark);
            assert!(placed.x >= free.get(&placed.mark.row).copied().unwrap_or(LEFT), "seed {seed}: {:?}", placed.mark);
            assert!(placed.x + placed.width <= RIGHT, "seed {seed}: {:?} leaves the page", placed.mark);
            x = placed.x;
            free.insert(placed.mark.row, placed.x + placed.width);
            assert!(
                strip.rows.iter().any(|row| row.row == placed.mark.row),
                "seed {seed}: no row for {:?}",
                placed.mark
            );
        }
        if let Some(end) = strip.end {
            let taken = free.values().copied().max().unwrap_or_default();
            assert!(end.x >= taken && end.x <= RIGHT, "seed {seed}: the end stands before what came before");
            assert!(end.crash.is_none() || end.x + PANEL <= RIGHT, "seed {seed}: no room for what the crash left");
        }
        for rows in strip.rows.windows(2) {
            assert_eq!(rows[0].y + rows[0].height, rows[1].y, "seed {seed}: rows stand below one another");
        }
        for row in &strip.rows {
            assert!(u32::try_from(row.left.len()).expect("few") * LINE <= row.height, "seed {seed}: {row:?}");
        }
    }

    #[test]
    fn long_words_go_on_in_the_next_line() {
        let words = format!("kept: {} and so on", "a".repeat(PANEL_LETTERS));
        assert_eq!(
            wrapped(&words),
            ["kept:".to_owned(), format!("  {}", "a".repeat(PANEL_LETTERS)), "  and so on".to_owned()]
        );
    }
}
