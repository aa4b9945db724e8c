//! wip
pub mod file_disk;
mod system_clock;
pub use system_clock::SystemClock;
