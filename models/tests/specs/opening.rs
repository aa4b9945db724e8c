//! Opening a log.

use docdb_models::spec::opening::{
    Broken, Engine, Opening, State, TRANSACTIONS, claims_are_true, damage_is_damage, damage_is_reported,
    what_is_shown_is_on_the_platter,
};
use stateright::Property;

use crate::{Checked, breaks, holds};

const ON_THE_PLATTER: &str = "what is shown is on the platter";
const TRUE: &str = "claims are true";
const DAMAGE: &str = "damage is damage";
const REPORTED: &str = "damage is reported";

fn properties() -> Vec<Property<Checked<Opening>>> {
    vec![
        Property::always(ON_THE_PLATTER, |_, state: &State| what_is_shown_is_on_the_platter(state)),
        Property::always(TRUE, |_, state: &State| claims_are_true(state)),
        Property::always(DAMAGE, |_, state: &State| damage_is_damage(state)),
        Property::always(REPORTED, |_, state: &State| damage_is_reported(state)),
        Property::sometimes("everything is shown", |_, state: &State| state.shown == TRANSACTIONS),
        Property::sometimes("what was read is written again", |_, state: &State| state.rewritten),
        Property::sometimes("a torn tail is dropped and the log opens", |_, state: &State| {
            state.torn && state.engine == Engine::Open
        }),
        Property::sometimes("a crash within an opening", |_, state: &State| {
            state.rewritten && matches!(state.engine, Engine::Vouched { .. })
        }),
        Property::sometimes("without space, what is proven is shown", |_, state: &State| {
            state.engine == Engine::Glimpsed && state.shown > 0
        }),
        Property::sometimes("damage is met", |_, state: &State| state.engine == Engine::Damaged),
    ]
}

#[test]
fn holds_in_every_state() {
    holds("opening", Opening::default(), properties());
}

#[test]
fn every_mistake_has_a_counterexample() {
    for (broken, law) in [
        (Broken::TailNotRewritten, ON_THE_PLATTER),
        (Broken::TailNotRewritten, DAMAGE),
        (Broken::ResumeBehindBadRecord, TRUE),
        (Broken::ResumeBehindBadRecord, DAMAGE),
        (Broken::PublishBeforePromoted, ON_THE_PLATTER),
        (Broken::UnprovenShown, ON_THE_PLATTER),
        (Broken::DamageIsTornTail, REPORTED),
        (Broken::TornTailIsDamage, DAMAGE),
        (Broken::WatermarkAhead, TRUE),
    ] {
        breaks(&format!("opening, {broken:?}"), Opening { broken: Some(broken) }, properties(), law);
    }
}
