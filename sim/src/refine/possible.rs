//! Every state that a specification could be in, given what has been seen.
//!
//! After a crash there are several, for what survived is the world's secret; what the engine does next
//! rules out those in which it could not have been done. Usually there is one.
//!
//! Invariant: there is at least one, and no state stands here twice.

use docdb_models::spec::{Crash, Spec};

use super::{Refused, refusal};

/// More than any crash of a healthy run leaves; beyond it something is wrong with the reading.
const STATES_MAX: usize = 16_384;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Possible<S: Spec> {
    name: &'static str,
    spec: S,
    states: Vec<S::State>,
    taken: u64,
}

impl<S: Spec> Possible<S> {
    pub(super) fn new(name: &'static str, spec: S) -> Possible<S> {
        let states = vec![spec.initial()];
        Possible { name, spec, states, taken: 0 }
    }

    /// The states, at least one.
    pub(super) fn states(&self) -> &[S::State] {
        &self.states
    }

    /// How many actions it has taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The action happened. An error when no state allows it.
    pub(super) fn feed(&mut self, action: &S::Action) -> Result<(), Refused> {
        self.taken += 1;
        // The usual case, without a second list.
        if let [state] = self.states.as_mut_slice() {
            return match self.spec.step(state, action) {
                Some(after) => {
                    *state = after;
                    Ok(())
                }
                None => Err(refusal::<S>(self.name, action, &self.states)),
            };
        }
        self.feed_each(|_, actions| actions.push(action.clone()))
            .map_err(|()| refusal::<S>(self.name, action, &self.states))
    }

    /// One of several actions happened, which depend on the state.
    pub(super) fn feed_any(&mut self, actions: impl Fn(&S::State, &mut Vec<S::Action>)) -> Result<(), Refused> {
        self.taken += 1;
        self.feed_each(&actions).map_err(|()| {
            let mut tried = Vec::new();
            self.states.iter().for_each(|state| actions(state, &mut tried));
            refusal::<S>(self.name, &tried, &self.states)
        })
    }

    fn feed_each(&mut self, actions: impl Fn(&S::State, &mut Vec<S::Action>)) -> Result<(), ()> {
        let mut after: Vec<S::State> = Vec::new();
        let mut tried = Vec::new();
        for state in &self.states {
            tried.clear();
            actions(state, &mut tried);
            for next in tried.iter().filter_map(|action| self.spec.step(state, action)) {
                if !after.contains(&next) {
                    after.push(next);
                }
            }
        }
        if after.is_empty() {
            return Err(());
        }
        assert!(after.len() <= STATES_MAX, "{}: {} states are possible", self.name, after.len());
        self.states = after;
        Ok(())
    }

    /// The process or the machine died: whatever may be left.
    pub(super) fn crash(&mut self, kind: Crash) {
        let spec = &self.spec;
        let mut after: Vec<S::State> = Vec::new();
        for state in &self.states {
            for next in spec.crashes(state, kind).iter().filter_map(|crash| spec.step(state, crash)) {
                if !after.contains(&next) {
                    after.push(next);
                }
            }
        }
        assert!(!after.is_empty(), "{}: a crash is possible in every state", self.name);
        self.states = after;
    }
}
