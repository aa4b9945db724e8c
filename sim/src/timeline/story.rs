//! What a person should read first: the history of the document that differs, what is not durable, and the last moments.
//!
//! It picks from a timeline and adds nothing.

use super::model::{Crash, Fate, Kind, Life, Mark, Moment, Row, Timeline};

/// Things in one list; of more, the last ones.
const TOLD_MAX: usize = 14;

/// The last moments in the list.
const LAST_MAX: usize = 10;

/// A line of a story.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'timeline> {
    /// A request, with its answer if there was one.
    Asked(&'timeline Mark, Option<&'timeline Mark>),
    Mark(&'timeline Mark),
    Crash(&'timeline Crash),
}

impl Told<'_> {
    fn moment(self) -> Moment {
        match self {
            Told::Asked(mark, _) | Told::Mark(mark) => mark.moment,
            Told::Crash(crash) => crash.moment,
        }
    }
}

/// Some lines, and how many before them were left out.
#[derive(Debug, Default)]
pub(super) struct Story<'timeline> {
    pub(super) left_out: usize,
    pub(super) told: Vec<Told<'timeline>>,
}

/// Whatever the document that differs has to do with, and the crashes since that took something.
pub(super) fn of_document(timeline: &Timeline) -> Story<'_> {
    let marks = || timeline.lives.iter().flat_map(|life| &life.marks).filter(|mark| mark.is_concerned);
    let answer = |to: &Mark| marks().find(|mark| mark.row == Row::Answered && mark.request == to.request);
    let mut told: Vec<Told<'_>> = Vec::new();
    for mark in marks() {
        match mark.row {
            Row::Asked => told.push(Told::Asked(mark, answer(mark))),
            Row::Answered => {}
            Row::Readers | Row::Machine | Row::Names | Row::File(_) => told.push(Told::Mark(mark)),
        }
    }
    let Some(first) = told.first().map(|told| told.moment()) else { return Story::default() };
    let crashes = timeline.lives.iter().filter_map(|life| life.crash.as_ref());
    told.extend(crashes.filter(|crash| crash.moment > first && crash.took_something()).map(Told::Crash));
    told.sort_by_key(|told| told.moment());
    let left_out = told.len().saturating_sub(TOLD_MAX);
    Story { left_out, told: told.split_off(left_out) }
}

/// What a power loss could take when the run ends. Zeros are not worth a word, and nobody misses what was to be removed.
pub(super) fn at_risk(timeline: &Timeline) -> Vec<&Mark> {
    let last = timeline.lives.last().map_or(&[][..], |life| &life.marks);
    let is_at_risk = |mark: &&Mark| matches!(mark.kind, Kind::Write(Fate::AtRisk) | Kind::NameChange(Fate::AtRisk));
    last.iter().filter(is_at_risk).collect()
}

/// What happened last, but for what changes nothing; and the last crash that took something.
pub(super) fn last_moments(timeline: &Timeline) -> Vec<Told<'_>> {
    let marks = timeline.lives.iter().rev().flat_map(|life| life.marks.iter().rev());
    let is_worth_a_word = |mark: &&Mark| !matches!(mark.kind, Kind::Quiet | Kind::Named);
    let mut last: Vec<Told<'_>> = marks.filter(is_worth_a_word).take(LAST_MAX).map(Told::Mark).collect();
    let mut crashes = timeline.lives.iter().rev().filter_map(|life| life.crash.as_ref());
    last.extend(crashes.find(|crash| crash.took_something()).map(Told::Crash));
    last.sort_by_key(|told| told.moment());
    last
}

/// The last life at whose end something was taken.
pub(super) fn last_loss(timeline: &Timeline) -> Option<usize> {
    timeline.lives.iter().rposition(|life| life.crash.as_ref().is_some_and(Crash::took_something))
}

/// How many of each sort of thing happened in a life, in words.
pub(super) fn summary(life: &Life) -> String {
    let count = |is: &dyn Fn(&Mark) -> bool| life.marks.iter().filter(|mark| is(mark)).count();
    let counts = [
        (count(&|mark| mark.kind == Kind::Request), "request"),
        (count(&|mark| matches!(mark.kind, Kind::Write(_))), "write"),
        (count(&|mark| matches!(mark.kind, Kind::Sync | Kind::SyncDirectory)), "sync"),
        (count(&|mark| mark.kind == Kind::Fault), "fault"),
    ];
    let words = |(count, what): &(usize, &str)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" });
    let told: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(words).collect();
    if told.is_empty() { "nothing but reading".to_owned() } else { told.join(", ") }
}

/// What a crash took, in a few words.
pub(super) fn taken(crash: &Crash, timeline: &Timeline) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (lane, survival) in crash.files.iter().filter(|(_, survival)| survival.took_something()) {
        let name = timeline.lanes[*lane].name_at(crash.moment);
        let gone = survival.sectors - survival.kept;
        let what = match (&survival.name, gone) {
            (Some((Some(_), None)), _) => "is gone".to_owned(),
            (Some((None, Some(_))), _) => "is there again".to_owned(),
            (Some((Some(_), Some(now))), _) => format!("is called {now} again"),
            (Some((None, None)) | None, 0) => "has another length".to_owned(),
            (Some((None, None)) | None, gone) => format!("lost {gone} of {} unsynced sectors", survival.sectors),
        };
        parts.push(format!("{name} {what}"));
    }
    let names = crash.names.iter().filter(|(_, survived)| !survived);
    if parts.is_empty() {
        parts.extend(names.map(|(what, _)| format!("it undid: {what}")));
    }
    if parts.is_empty() { "it took nothing".to_owned() } else { parts.join("; ") }
}

/// Whether a life shows what the document that differs went through.
pub(super) fn is_concerned(life: &Life) -> bool {
    life.marks.iter().any(|mark| mark.is_concerned)
}
