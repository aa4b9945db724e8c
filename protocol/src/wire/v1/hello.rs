//! The first call of a connection and its answer: versions, features, limits.
//!
//! Their layout stays what it is in every later version, and what stands behind the fields known here is passed over. So a
//! client and a server of any two versions understand each other far enough to say that they do not.

use super::fields::{put_text8, text8};
use super::{Figures, VERSION};
use crate::error::{Error, ErrorCode};
use crate::wire::read::Cursor;

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that it speaks.
    pub version_min: u16,
    /// The highest version that it speaks.
    pub version_max: u16,
    /// What it would use, a bit each; none has a meaning so far.
    pub features: u64,
    /// Its name and version, for logs: at most 255 bytes.
    pub client: String,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from now on.
    pub version: u16,
    /// Those of the features that the client would use which it may use.
    pub features: u64,
    /// Its name and version: at most 255 bytes.
    pub server: String,
    /// What it bounds, by name.
    pub limits: Figures,
}

impl Hello {
    /// Of a client that speaks this version alone.
    #[must_use]
    pub fn new(client: &str) -> Hello {
        Hello { version_min: VERSION, version_max: VERSION, features: 0, client: client.to_owned() }
    }

    /// The version that both speak.
    ///
    /// # Errors
    /// [`ErrorCode::UnsupportedVersion`], which says what is spoken here.
    pub fn version(&self) -> Result<u16, Error> {
        if (self.version_min..=self.version_max).contains(&VERSION) {
            return Ok(VERSION);
        }
        let (from, to) = (self.version_min, self.version_max);
        let detail = format!("the client speaks versions {from} to {to}, the server version {VERSION}");
        Err(Error::new(ErrorCode::UnsupportedVersion).detail(detail))
    }

    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Hello, Error> {
        let (version_min, version_max) = (cursor.u16()?, cursor.u16()?);
        let hello = Hello { version_min, version_max, features: cursor.u64()?, client: text8(cursor)? };
        cursor.skip_rest();
        Ok(hello)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version_min.to_le_bytes());
        out.extend_from_slice(&self.version_max.to_le_bytes());
        out.extend_from_slice(&self.features.to_le_bytes());
        put_text8(out, &self.client);
    }
}

impl Welcome {
    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Welcome, Error> {
        let (version, features) = (cursor.u16()?, cursor.u64()?);
        let welcome = Welcome { version, features, server: text8(cursor)?, limits: Figures::take(cursor)? };
        cursor.skip_rest();
        Ok(welcome)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.features.to_le_bytes());
        put_text8(out, &self.server);
        self.limits.put(out);
    }
}
