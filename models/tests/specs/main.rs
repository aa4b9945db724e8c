//! Every specification, in every state that it can reach within its scope; and every broken variant, which
//! must have a counterexample. Each test prints the number of states that it saw, and holds CHECKS.md to it.
//!
//! `cargo test -p docdb-models --test specs -- --nocapture`
#![expect(clippy::print_stdout, reason = "what was seen is the point of these tests")]

use docdb_models::spec::Spec;
use stateright::{Checker, Model, Property};

mod checkpoint;
mod closing;
mod commit;
mod evidence;
mod opening;
mod rotation;

/// A specification as the checker wants it.
struct Checked<S: Spec> {
    spec: S,
    properties: Vec<Property<Checked<S>>>,
}

impl<S: Spec> Model for Checked<S> {
    type State = S::State;
    type Action = S::Action;

    fn init_states(&self) -> Vec<S::State> {
        vec![self.spec.initial()]
    }

    fn actions(&self, state: &S::State, actions: &mut Vec<S::Action>) {
        actions.extend(self.spec.actions(state));
    }

    fn next_state(&self, state: &S::State, action: S::Action) -> Option<S::State> {
        self.spec.step(state, &action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.properties.clone()
    }
}

/// Walks every state; every `always` holds in all of them, every `sometimes` in one at least.
fn holds<S: Spec>(name: &str, spec: S, properties: Vec<Property<Checked<S>>>) {
    let checker = Checked { spec, properties }.checker().spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, depth {depth}");
    checker.assert_properties();
    let ledger = concat!(env!("CARGO_MANIFEST_DIR"), "/../CHECKS.md");
    let ledger = std::fs::read_to_string(ledger).expect("CHECKS.md stands at the top");
    let row = format!("| `{name}` | {states} | {depth} |");
    assert!(ledger.contains(&row), "CHECKS.md says something else than {row}");
}

/// The mistake is found: some state breaks the property `broken`. Prints the shortest way there.
fn breaks<S: Spec>(name: &str, spec: S, mut properties: Vec<Property<Checked<S>>>, broken: &'static str) {
    properties.retain(|property| property.name == broken);
    let checker = Checked { spec, properties }.checker().spawn_bfs().join();
    let path = checker.discovery(broken).unwrap_or_else(|| panic!("{name}: {broken:?} holds in spite of the mistake"));
    println!("{name} breaks {broken:?}: {:?}", path.into_actions());
}
