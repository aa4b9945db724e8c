//! The simulator of DocDB: the engine over a simulated disk and clock, from a seed.
//!
//! It owns the fault model (see [`disk`]), the workload, and the judgement of what the engine did.
//! Every run can be replayed exactly from its seed.
//!
//! It never looks into the engine: it sees what a client, a reader and a disk see.

pub mod blame;
pub mod choice;
pub mod chronicle;
pub mod clock;
pub mod disk;
pub mod exhaust;
pub mod explain;
pub mod hash;
mod life;
pub mod marks;
pub mod materialize;
#[cfg(feature = "planted-bugs")]
pub mod mutants;
pub mod oracle;
pub mod profile;
pub mod pulse;
pub mod refine;
pub mod replay;
pub mod run;
pub mod shrink;
pub mod timeline;
pub mod trace;
mod witness;
pub mod workload;
pub mod world;
