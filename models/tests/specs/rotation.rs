//! Going on in a new segment.

use docdb_models::spec::rotation::{Broken, Part, Rotation, Stage, State, the_log_is_found, what_was_used_is_the_log};
use stateright::Property;

use crate::{Checked, breaks, holds};

const FOUND: &str = "the log is found";
const USED: &str = "what was used is the log";

fn properties() -> Vec<Property<Checked<Rotation>>> {
    vec![
        Property::always(FOUND, |_, state: &State| the_log_is_found(state)),
        Property::always(USED, |_, state: &State| what_was_used_is_the_log(state)),
        Property::sometimes("a new segment with a tail is used", |_, state: &State| state.used && state.tailed),
        Property::sometimes("an opening finishes the renames", |_, state: &State| state.finished),
        Property::sometimes("a process gives up after the old segment lost its name", |_, state: &State| {
            state.stage == Stage::Latched
        }),
        Property::sometimes("a header is written whose sync failed", |_, state: &State| state.header == Part::Unsure),
        Property::sometimes("a crash between the renames", |_, state: &State| {
            state.stage == Stage::Found && state.pending.is_empty()
        }),
    ]
}

#[test]
fn holds_in_every_state() {
    holds("rotation", Rotation::default(), properties());
}

/// MUTANTS.md says why leaving these two steps out changes nothing.
#[test]
fn two_steps_are_there_for_caution() {
    for spared in [Broken::TailSyncedWithHeader, Broken::PromotedNotSynced] {
        holds(&format!("rotation, {spared:?}"), Rotation { broken: Some(spared) }, properties());
    }
}

#[test]
fn every_mistake_has_a_counterexample() {
    for (broken, law) in [
        (Broken::SealBeforeHeaderSync, FOUND),
        (Broken::NextNotSynced, FOUND),
        (Broken::NoDirectorySync, FOUND),
        (Broken::NoDirectorySync, USED),
        (Broken::UndoAfterSeal, FOUND),
        (Broken::RetryFailedSync, FOUND),
    ] {
        breaks(&format!("rotation, {broken:?}"), Rotation { broken: Some(broken) }, properties(), law);
    }
}
