//! Checkpoints, their two copies of metadata, and the log that is trimmed behind them.

use docdb_models::spec::checkpoint::{Broken, Checkpoint, Stage, State, everything_is_found};
use stateright::Property;

use crate::{Checked, breaks, holds};

const FOUND: &str = "everything is found";

fn properties() -> Vec<Property<Checked<Checkpoint>>> {
    vec![
        Property::always(FOUND, |_, state: &State| everything_is_found(state)),
        Property::sometimes("a table stands for a log that is gone", |_, state: &State| {
            state.engine.is_none() && state.log.iter().any(|segment| segment.is_overwritten)
        }),
        Property::sometimes("two tables are live", |_, state: &State| {
            state.engine.is_some_and(|engine| engine.metadata.tables == 3 && engine.is_proven)
        }),
        Property::sometimes("a lost manifest is made up for by the record", |_, state: &State| {
            state.manifest.is_none() && state.engine.is_some_and(|engine| !engine.is_proven)
        }),
        Property::sometimes("a lost record is made up for by the manifest", |_, state: &State| {
            state.record.is_none() && state.engine.is_some_and(|engine| !engine.is_proven)
        }),
        Property::sometimes("an opening writes both copies anew", |_, state: &State| {
            state.engine.is_some_and(|engine| !engine.is_proven && engine.stage == Stage::ManifestDurable)
        }),
        Property::sometimes("metadata is written again behind a failed sync", |_, state: &State| {
            state.renamed.len() == 2
        }),
    ]
}

#[test]
fn holds_in_every_state() {
    holds("checkpoint", Checkpoint::default(), properties());
}

#[test]
fn one_step_is_there_for_caution() {
    let broken = Some(Broken::OverwrittenTooSoon);
    holds("checkpoint, OverwrittenTooSoon", Checkpoint { broken }, properties());
}

#[test]
fn every_mistake_has_a_counterexample() {
    for broken in [
        Broken::TableNotSynced,
        Broken::NameNotSynced,
        Broken::ManifestNotSynced,
        Broken::RenameNotSynced,
        Broken::RecordNotSynced,
        Broken::TrimBeforeRecord,
        Broken::FailedSyncRetried,
        Broken::FailureOfOthersIgnored,
        Broken::RecordSyncRetried,
        Broken::UndoneAfterRename,
        Broken::UndoneAgain,
        Broken::ReadIsDurable,
    ] {
        breaks(&format!("checkpoint, {broken:?}"), Checkpoint { broken: Some(broken) }, properties(), FOUND);
    }
}
