//! Makes a failing run small: removes and lowers choices until none can go and the run still fails alike.
//!
//! A candidate is the record with something left out or lowered; it is run, and what it then chose is recorded anew. It
//! takes the place of the record when it fails in the same way (see [`Kind`]) and is smaller (see [`Size`]). So the
//! record is always that of a real run, and the search ends because sizes cannot fall for ever.
//!
//! It goes from coarse to fine: whole rounds, spans of steps, what lies between two rounds, all answers of one label, single
//! choices, single numbers; and again from the start as long as something went. It reads no clock: the caller says
//! when it has had enough.

use std::collections::BTreeSet;

use crate::choice::{Choice, Choices};
use crate::run::{Report, Setup, Verdict, run_with};

/// What sort of failure a run ended with. Two runs failed alike when this is equal: a violation's words
/// without names, numbers and contents; a panic's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind(String);

/// Words of a message that say its sort.
const KIND_WORDS_MAX: usize = 9;

impl Kind {
    /// The sort of a verdict; `None` when all was well.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Option<Kind> {
        match verdict {
            Verdict::Kept => None,
            Verdict::Violation(message) => Some(Kind(class_of(message))),
            Verdict::Harness(message) => Some(Kind(format!("harness: {}", class_of(message)))),
        }
    }
}

/// A message's words: the text before the first quoted or bracketed value, without what differs from run to run.
fn class_of(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("panic at ") {
        return format!("panic at {}", rest.split(": ").next().unwrap_or(rest));
    }
    // The name of the database comes first, and says nothing about the failure.
    let text = match message.strip_prefix("database ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, rest)| rest),
        None => message,
    };
    let text = text.split(['"', '{', '[', '(']).next().unwrap_or(text);
    let varies = |word: &&str| {
        word.chars().any(|c| c.is_ascii_digit()) || word.contains('/') || crate::workload::DATABASES.contains(word)
    };
    let words = text.split_whitespace().filter(|word| !varies(word)).take(KIND_WORDS_MAX);
    words.collect::<Vec<&str>>().join(" ")
}

/// How large a run is; smaller is better to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    weight: u64,
    values: u128,
}

impl Size {
    fn of(report: &Report) -> Size {
        let set = report.trace.iter().filter(|choice| choice.value != 0).count() as u64;
        // A crash is worth four requests, a request ten choices, a choice ten steps.
        let weight = 400 * report.tally.crashes + 100 * report.tally.requests + 10 * set + report.steps;
        Size { weight, values: report.trace.iter().map(|choice| u128::from(choice.value)).sum() }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest failing run; its `trace` is what to keep.
    pub report: Report,
    /// Runs that were tried.
    pub runs: u64,
    /// Whether nothing more can go; otherwise the caller had enough before.
    pub complete: bool,
}

/// Shrinks `failing`, which was recorded. `enough` is asked before each run, with the number of runs so far; `progress` hears of
/// each smaller run. `None` when the run did not fail.
pub fn shrink(
    failing: &Report,
    setup: &Setup,
    enough: &dyn Fn(u64) -> bool,
    progress: &dyn Fn(&Report),
) -> Option<Shrunk> {
    let kind = Kind::of(&failing.verdict)?;
    let size = Size::of(failing);
    let mut search = Search { best: failing.clone(), size, kind, setup, runs: 0, enough, progress, had_enough: false };
    loop {
        let before = search.size;
        search.leave_out(&[Units::Rounds, Units::Steps, Units::Seams]);
        search.zero_labels();
        search.leave_out(&[Units::Steps, Units::Requests]);
        search.zero_spans();
        search.leave_out(&[Units::Choices]);
        search.lower();
        if search.size == before || search.had_enough {
            break;
        }
    }
    Some(Shrunk { report: search.best, runs: search.runs, complete: !search.had_enough })
}

/// What is left out as one.
#[derive(Clone, Copy, Debug)]
enum Units {
    /// From one crash to the next.
    Rounds,
    /// One step of the world, with what failed in it and what was asked.
    Steps,
    /// A crash, so that the rounds before and after it become one.
    Seams,
    /// What one request was made of.
    Requests,
    /// One choice.
    Choices,
}

struct Search<'a> {
    best: Report,
    size: Size,
    kind: Kind,
    setup: &'a Setup,
    runs: u64,
    enough: &'a dyn Fn(u64) -> bool,
    progress: &'a dyn Fn(&Report),
    had_enough: bool,
}

impl Search<'_> {
    /// Runs a candidate and keeps it when it is better.
    fn try_out(&mut self, candidate: &[Choice]) -> bool {
        self.had_enough |= (self.enough)(self.runs);
        if self.had_enough {
            return false;
        }
        self.runs += 1;
        let report = run_with(self.best.seed, Choices::replayed(candidate).recording(), self.setup);
        let size = Size::of(&report);
        let better = size < self.size && Kind::of(&report.verdict).as_ref() == Some(&self.kind);
        if better {
            (self.progress)(&report);
            self.best = report;
            self.size = size;
        }
        better
    }

    /// Leaves out spans of units, from all of them down to one.
    fn leave_out(&mut self, kinds: &[Units]) {
        for kind in kinds {
            let mut count = spans(&self.best.trace, *kind).len().div_ceil(2);
            while count > 0 && !self.had_enough {
                // From the end: what comes late is needed least often, and leaving it out disturbs nothing before it.
                let mut at = spans(&self.best.trace, *kind).len();
                while at > 0 && !self.had_enough {
                    let units = spans(&self.best.trace, *kind);
                    at = at.min(units.len());
                    let first = at.saturating_sub(count);
                    let mut left = self.best.trace.clone();
                    for (from, to) in units[first..at].iter().rev() {
                        left.drain(from..to);
                    }
                    self.try_out(&left);
                    at = first;
                }
                count /= 2;
            }
        }
    }

    /// Makes all answers of a label zero at once.
    fn zero_labels(&mut self) {
        let labels: BTreeSet<&str> =
            self.best.trace.iter().filter(|choice| choice.value != 0).map(|choice| choice.label).collect();
        for label in labels {
            let zeroed: Vec<Choice> = self
                .best
                .trace
                .iter()
                .map(|choice| if choice.label == label { Choice { value: 0, ..*choice } } else { *choice })
                .collect();
            self.try_out(&zeroed);
        }
    }

    /// Makes spans of answers zero that are not, from many down to one.
    fn zero_spans(&mut self) {
        let mut count = self.best.trace.len().div_ceil(4);
        while count > 0 && !self.had_enough {
            let mut at = usize::MAX;
            while at > 0 && !self.had_enough {
                let set: Vec<usize> = (0..self.best.trace.len()).filter(|i| self.best.trace[*i].value != 0).collect();
                at = at.min(set.len());
                let first = at.saturating_sub(count);
                let mut zeroed = self.best.trace.clone();
                set[first..at].iter().for_each(|index| zeroed[*index].value = 0);
                self.try_out(&zeroed);
                at = first;
            }
            count /= 2;
        }
    }

    /// Lowers each number that is larger than one.
    fn lower(&mut self) {
        let mut index = self.best.trace.len();
        while index > 0 && !self.had_enough {
            index = (index - 1).min(self.best.trace.len() - 1);
            let value = self.best.trace[index].value;
            for lower in [1, value / 2, value.saturating_sub(1)] {
                let lowered = self.best.trace.get(index).is_some_and(|choice| lower > 0 && lower < choice.value);
                if lowered {
                    let mut candidate = self.best.trace.clone();
                    candidate[index].value = lower;
                    self.try_out(&candidate);
                }
            }
            index = index.min(self.best.trace.len());
        }
    }
}

/// The units of a record, as ranges of it, in order.
fn spans(trace: &[Choice], units: Units) -> Vec<(usize, usize)> {
    let starts = |begins: &dyn Fn(usize) -> bool| {
        let at: Vec<usize> = (0..trace.len()).filter(|index| begins(*index)).collect();
        at.iter().enumerate().map(|(n, from)| (*from, at.get(n + 1).copied().unwrap_or(trace.len()))).collect()
    };
    let label = |index: usize| trace.get(index).map_or("", |choice| choice.label);
    match units {
        Units::Choices => starts(&|_| true),
        Units::Rounds => starts(&|index| label(index) == "run/round"),
        // The question whether there is one more step belongs to the step.
        Units::Steps => starts(&|index| {
            let asks = |index: usize| label(index) == "run/on" || label(index) == "run/cut_short";
            asks(index) || (label(index) == "clock/pass" && (index == 0 || !asks(index - 1)))
        }),
        Units::Requests => starts(&|index| label(index) == "workload/database")
            .into_iter()
            .map(|(from, to): (usize, usize)| {
                (from, (from..to).find(|index| !label(*index).starts_with("workload/")).unwrap_or(to))
            })
            .collect(),
        Units::Seams => (0..trace.len())
            .filter(|index| label(*index) == "run/moment")
            .filter_map(|moment| {
                let next = (moment..trace.len()).find(|index| label(*index) == "run/on")?;
                // The answer that there are no more steps goes too.
                let ended = moment > 0 && label(moment - 1) == "run/on" && trace[moment - 1].value == 0;
                Some((moment - usize::from(ended), next))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(message: &str) -> Option<Kind> {
        Kind::of(&Verdict::Violation(message.to_owned()))
    }

    #[test]
    fn the_sort_of_a_failure_does_not_depend_on_names_numbers_or_contents() {
        let one = class("database alpha: the view of transaction 20: _default/1 is \"{\\\"n\\\":2}\" (3 seen)");
        let two = class("database beta.x: the view of transaction 3: notes/7 is \"{}\" (99 seen)");
        assert_eq!(one, two);
        assert_ne!(one, class("database alpha: 3 was acknowledged while readers saw 0"));
        assert_eq!(class("panic at engine/src/a.rs:7: index 3"), class("panic at engine/src/a.rs:7: index 4"));
        assert_ne!(class("panic at engine/src/a.rs:7: index 3"), class("panic at engine/src/a.rs:8: index 3"));
        assert_eq!(Kind::of(&Verdict::Kept), None);
    }
}
