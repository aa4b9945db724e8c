//! Mistakes that `host/tests/interleavings` plants in the core, to show that it would notice them.
//!
//! That test compiles the core's sources with a `planted!` of its own. Here it is always `false`: no
//! build of this crate contains any of them.

macro_rules! planted {
    ($mistake:ident) => {
        false
    };
}

pub(crate) use planted;
