//! The DocDB admin shell: commands in, requests to a backend, plain text out.
//!
//! One line goes `command` (bytes to a command) -> `session` (what is open, what to do) -> `backend`
//! (a data directory opened here, or a daemon's socket). `import`, `split`, `entry` and `export` move whole files.
//!
//! The shell never changes a document's bytes: what is stored is what stood on the line or in the file,
//! and what is printed is what is stored.

pub mod args;
pub mod backend;
mod command;
mod editor;
mod entry;
mod export;
mod import;
mod input;
mod interrupt;
mod json_error;
mod output;
mod pretty;
mod script;
mod session;
mod shown;
mod split;
mod terminal;

pub use input::{run_commands, run_files, run_standard_input};
pub use interrupt::Interrupt;
pub use session::Session;
pub use terminal::run_terminal;
