//! The JSON validator.

use crate::error::{Error, ErrorCode};

/// Checks that `bytes` are one JSON value.
///
/// # Errors
/// [`ErrorCode::InvalidJson`] with the offset of the first byte that cannot be.
pub fn validate(bytes: &[u8]) -> Result<(), Error> {
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(ErrorCode::InvalidJson).offset(error.column() as u64)),
    }
}
