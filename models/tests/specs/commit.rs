//! The way of a batch.

use docdb_models::spec::commit::{
    Broken, Commit, Engine, Phase, State, Unknown, readers_come_first, what_is_told_is_on_the_platter,
    what_was_told_is_there,
};
use stateright::Property;

use crate::{Checked, breaks, holds};

const ON_THE_PLATTER: &str = "what is told is on the platter";
const THERE: &str = "what was told is there";

fn properties() -> Vec<Property<Checked<Commit>>> {
    vec![
        Property::always(ON_THE_PLATTER, |_, state: &State| what_is_told_is_on_the_platter(state)),
        Property::always(THERE, |_, state: &State| what_was_told_is_there(state)),
        Property::always("readers come first", |_, state: &State| readers_come_first(state)),
        Property::sometimes("everything is acknowledged", |_, state: &State| {
            state.told.acknowledged == docdb_models::spec::commit::TRANSACTIONS
        }),
        Property::sometimes("a batch goes on in a new segment", |_, state: &State| {
            matches!(state.engine, Engine::Up { phase: Phase::Moving { tail: Some(_), .. }, .. })
        }),
        Property::sometimes("a database latches", |_, state: &State| {
            matches!(state.engine, Engine::Up { phase: Phase::Latched, .. })
        }),
        Property::sometimes("an unknown outcome was: written", |_, state: &State| state.told.unknown == Unknown::Kept),
        Property::sometimes("an unknown outcome was: lost", |_, state: &State| state.told.unknown == Unknown::Lost),
        Property::sometimes(
            "a crash leaves more than was acknowledged",
            |_, state: &State| matches!(state.engine, Engine::Up { published, .. } if published > 1 + state.told.acknowledged),
        ),
    ]
}

#[test]
fn holds_in_every_state() {
    holds("commit", Commit::default(), properties());
}

#[test]
fn every_mistake_has_a_counterexample() {
    for (broken, law) in [
        (Broken::AckBeforeSync, ON_THE_PLATTER),
        (Broken::AckBeforeSync, "readers come first"),
        (Broken::PublishBeforeSync, ON_THE_PLATTER),
        (Broken::PublishBeforeSync, THERE),
        (Broken::RetryFailedSync, ON_THE_PLATTER),
        (Broken::RetryFailedSync, THERE),
        (Broken::TailNotWritten, THERE),
        (Broken::GivenUpStaysVisible, ON_THE_PLATTER),
    ] {
        breaks(&format!("commit, {broken:?}"), Commit { broken: Some(broken) }, properties(), law);
    }
}
