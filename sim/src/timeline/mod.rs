//! A run as a page for people: lanes for files, marks for what happened, and what each crash left.
//!
//! `gather` reads a chronicle, `fate` and `crash` find out what became of every change, `marks` puts it into a [`model`] that is
//! plain data; `strip` lays it out, `draw` and `page` write it as one HTML page that needs nothing else.
//!
//! It judges nothing, and it never looks at a run but through its chronicle. The same run gives the same bytes.

mod concern;
mod crash;
mod draw;
mod fate;
mod gather;
mod html;
mod marks;
pub mod model;
mod page;
mod story;
mod strip;
mod words;

pub use marks::timeline;
pub use page::{Subject, page};
