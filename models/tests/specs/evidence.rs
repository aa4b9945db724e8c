//! Deciding a write by evidence, while memtables freeze and leave.

use docdb_models::spec::evidence::{
    Broken, Deciding, State, decisions_are_right, one_gathering_suffices, views_are_true,
};
use stateright::Property;

use crate::{Checked, breaks, holds};

const RIGHT: &str = "decisions are right";
const TRUE: &str = "views are true";
const ONE: &str = "one gathering suffices";

fn properties() -> Vec<Property<Checked<Deciding>>> {
    vec![
        Property::always(RIGHT, |_, state: &State| decisions_are_right(state)),
        Property::always(TRUE, |_, state: &State| views_are_true(state)),
        Property::always(ONE, |_, state: &State| one_gathering_suffices(state)),
        Property::sometimes("evidence decides beside a memtable that knows nothing", |_, state: &State| {
            let request = state.request.filter(|request| request.evidence.is_some() && request.decided.is_some());
            request.is_some() && state.pending.frozen.is_some() && state.tables.key.is_some()
        }),
        Property::sometimes("a memtable leaves while the key is gathered", |_, state: &State| {
            state.left_beside && state.request.is_some_and(|request| request.gathering.is_some())
        }),
        Property::sometimes("a freeze waits for its batch", |_, state: &State| {
            state.pending.frozen.is_some() && state.published.frozen.is_none()
        }),
        Property::sometimes("a table holds what was deleted since", |_, state: &State| {
            state.tables.key.is_some() && state.published.truth.is_none()
        }),
    ]
}

#[test]
fn holds_in_every_state() {
    holds("evidence", Deciding::default(), properties());
}

#[test]
fn every_mistake_has_a_counterexample() {
    for (broken, law) in [
        (Broken::TombstoneForgotten, RIGHT),
        (Broken::StaleBelieved, RIGHT),
        (Broken::WaitingNotBroughtUp, ONE),
        (Broken::GatheringNotBroughtUp, ONE),
        (Broken::GatheringDatedLate, RIGHT),
        (Broken::PendingSeen, RIGHT),
        (Broken::FrozenNotAsked, RIGHT),
        (Broken::FreezeStays, TRUE),
        (Broken::DecisionStays, RIGHT),
        (Broken::LeavesBeforeDurable, TRUE),
    ] {
        breaks(&format!("evidence, {broken:?}"), Deciding { broken: Some(broken) }, properties(), law);
    }
}
