//! The bytes of the wire protocol.
