//! The engine that the simulator runs: DocDB's own, or, with the feature `planted-bugs`, a copy of it with mistakes.
//!
//! The build script makes the copy from `engine/src` and `sim/mistakes`, so the engine's sources know nothing of mistakes
//! and no release contains one. In the copy every mistake asks at run time whether it is the one that is planted: one
//! build holds all of them. Lines keep their numbers, so a panic or a compiler's message names the line of the original.
//!
//! It adds nothing to the engine but the switch in `planted.rs`, and never runs in a program for users.

// The engine is linted where it lies; here each mistake stands on one line, whatever its shape.
#![cfg_attr(feature = "planted-bugs", allow(clippy::all))]

#[cfg(not(feature = "planted-bugs"))]
pub use docdb_engine::*;

#[cfg(feature = "planted-bugs")]
mod planted;

#[cfg(feature = "planted-bugs")]
pub use planted::{Bug, Planted, plant, planted};

#[cfg(feature = "planted-bugs")]
include!(concat!(env!("OUT_DIR"), "/engine/src/lib.rs"));
