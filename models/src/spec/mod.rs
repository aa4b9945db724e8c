//! The protocols of the engine as small state machines, each checked in every state it can reach.
//!
//! A specification is three things: a state with what the engine believes, what is true of the disk, and what
//! was answered and shown; a list of actions, the engine's and the world's; and one pure function, [`Spec::step`],
//! that says whether an action may happen in a state and what it leads to. The model checker walks that
//! function over every order of actions within a scope (`tests/specs`); the simulator feeds it what a real
//! engine did (`docdb-sim`, `refine`). It is the same function, so what was checked is what the engine
//! is held to.
//!
//! Invariants: a step is deterministic once its action is known, so every choice of the world (what
//! survives a crash, whether a sync fails) is in the action; states hold numbers, never histories, so that a
//! run may be as long as it likes.
//!
//! Nothing here knows bytes, paths or the engine's types. A broken variant of a specification lifts one
//! guard or leaves one step out; a test demands its counterexample.

use std::fmt::Debug;
use std::hash::Hash;

pub mod checkpoint;
pub mod closing;
pub mod commit;
pub mod evidence;
pub mod opening;
pub mod rotation;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process: the cache survives.
    Process,
    /// Power: only the disk survives.
    Power,
}

/// A protocol as a state machine. See the module.
pub trait Spec: Send + Sync + 'static {
    /// What the engine believes, what is true, what was answered and shown.
    type State: Clone + Debug + PartialEq + Eq + Hash + Send + Sync;
    /// One thing that the engine or the world does.
    type Action: Clone + Debug + PartialEq + Eq + Hash + Send + Sync;

    /// Where everything begins.
    fn initial(&self) -> Self::State;

    /// The state after `action`; `None` when it may not happen in `state`.
    fn step(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// Everything that a crash can do to `state`: each is an action that may happen in it.
    fn crashes(&self, state: &Self::State, kind: Crash) -> Vec<Self::Action>;

    /// What the model checker tries in `state`: everything that could be enabled within the scope.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;
}
