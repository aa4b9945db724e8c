//! The reference model of a database: sequential, in memory, obvious.
//!
//! It owns the answer to one question: what may the engine have said, and what may be found after a
//! crash? Transactions are a plain list and every state is kept whole, so that each rule can be read
//! off the code.
//!
//! Beside it, [`spec`] holds the engine's protocols as state machines that are model-checked.
//!
//! It shares no code with the engine (only the plain types of docdb-protocol), and it never knows of a
//! disk, a log or a view. A bug would have to be made twice, in two ways, to go unnoticed.

mod answer;
mod database;
mod difference;
mod doubt;
mod execute;
pub mod spec;
mod state;

pub use answer::Allowance;
pub use database::{Database, Ticket};
pub use difference::Difference;
pub use doubt::Doubtful;
pub use state::{Content, Key, State, Transaction, Write};

/// The engine said or stored something that no correct engine can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl std::fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

/// Builds a [`Mismatch`] from a formatted message.
macro_rules! mismatch {
    ($($argument:tt)*) => { Err($crate::Mismatch(format!($($argument)*))) };
}
pub(crate) use mismatch;
