//! Reading from one table: pure machines that answer, or say which bytes they need.
//!
//! ```text
//! footer = cached, or Footer::decode_named(..) of bytes read at the place that the metadata names
//! step = lookup.start(&footer)
//! while step is Need(place):  step = lookup.feed(&footer, cached part, or what the bytes at place decode to)
//! ```
//!
//! Whoever drives a machine reads the bytes, keeps what it likes of the decoded parts (they are immutable, and shared by
//! [`std::sync::Arc`]), and tells a failed read from damage: a machine is never fed for a read that failed, it waits or is dropped.
//!
//! Nothing here reads a file, waits, or knows a second table: what a newer table says of a key, and which damage hides what is
//! deeper, the caller decides by what each table answered.

mod bounds;
mod lookup;
mod part;
mod scan;
#[cfg(test)]
mod tests;

pub use bounds::{Bounds, DamagedKeys, Direction, End};
pub use lookup::{Answer, Damage, Lookup, Step};
pub use part::{Part, PartRef};
pub use scan::{Scan, ScanStep};
