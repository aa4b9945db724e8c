//! The catalog, and closing.

use docdb_models::spec::closing::{
    BATCHES, Broken, Closing, Phase, Shut, State, lost_ends_are_noticed, stored_ends_are_true, the_catalog_is_whole,
    what_exists_is_named,
};
use stateright::Property;

use crate::{Checked, breaks, holds};

const WHOLE: &str = "the catalog is whole";
const NAMED: &str = "what exists is named";
const TRUE: &str = "stored ends are true";
const NOTICED: &str = "lost ends are noticed";

fn properties() -> Vec<Property<Checked<Closing>>> {
    vec![
        Property::always(WHOLE, |_, state: &State| the_catalog_is_whole(state)),
        Property::always(NAMED, |_, state: &State| what_exists_is_named(state)),
        Property::always(TRUE, |_, state: &State| stored_ends_are_true(state)),
        Property::always(NOTICED, |_, state: &State| lost_ends_are_noticed(state)),
        Property::sometimes("a database is closed with everything in it", |_, state: &State| {
            state.closed == Some(BATCHES)
        }),
        Property::sometimes("it is opened again and grows", |_, state: &State| {
            state.durable == Some(1) && state.end == BATCHES
        }),
        Property::sometimes("a lost end is met", |_, state: &State| state.phase == Phase::Damaged),
        Property::sometimes("a closing goes without its end", |_, state: &State| {
            state.phase == Phase::Shut(Shut::Excused)
        }),
        Property::sometimes("what a failed sync left unsure is durable after all", |_, state: &State| {
            state.pending.is_empty() && state.known.is_some() && state.durable == state.known
        }),
        Property::sometimes("a closing is durable in the journal", |_, state: &State| {
            state.takes_changes && state.durable == Some(BATCHES)
        }),
        Property::sometimes("what a failed change left is seen by the next process", |_, state: &State| {
            !state.appended.is_empty() && state.known.is_none() && state.memory == Some(BATCHES)
        }),
        Property::sometimes("a rename waits for the root's sync", |_, state: &State| state.pending.len() == 2),
    ]
}

#[test]
fn holds_in_every_state() {
    holds("closing", Closing::default(), properties());
}

#[test]
fn every_mistake_has_a_counterexample() {
    for (broken, law) in [
        (Broken::EndNotStored, NOTICED),
        (Broken::StoredTooSoon, TRUE),
        (Broken::RenameBeforeSync, WHOLE),
        (Broken::RootNotSynced, NAMED),
        (Broken::ReadIsDurable, NAMED),
        (Broken::ToldBeforeCatalog, NAMED),
        (Broken::ChangeNotSynced, NAMED),
        (Broken::ChangeSyncRetried, NAMED),
        (Broken::JournalGoesOn, NAMED),
        (Broken::ReadJournalGoesOn, NAMED),
    ] {
        breaks(&format!("closing, {broken:?}"), Closing { broken: Some(broken) }, properties(), law);
    }
}
