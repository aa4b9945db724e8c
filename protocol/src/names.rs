//! Names of databases and collections, as types that cannot be wrong.
//!
//! A database's name becomes the name of a folder and of its files, so whatever could leave that
//! folder is refused here, once, and no other part has to look again.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};
use crate::limits::NAME_BYTES_MAX;

/// 1 to 64 bytes of UTF-8 without `/`, `\`, `..` or NUL, and not `.` alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseName(Arc<str>);

/// 1 to 64 bytes of UTF-8 without `/`, `.` or NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionName(Arc<str>);

impl DatabaseName {
    /// # Errors
    /// [`ErrorCode::InvalidDatabaseName`] when a rule is broken.
    pub fn parse(name: &str) -> Result<DatabaseName, Error> {
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        if !fits || name == "." || name.contains("..") || name.contains(['/', '\\', '\0']) {
            return Err(Error::new(ErrorCode::InvalidDatabaseName).detail(name));
        }
        Ok(DatabaseName(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl CollectionName {
    /// The collection that always exists.
    pub const DEFAULT: &'static str = "_default";

    /// # Errors
    /// [`ErrorCode::InvalidCollectionName`] when a rule is broken.
    pub fn parse(name: &str) -> Result<CollectionName, Error> {
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        if !fits || name.contains(['/', '.', '\0']) {
            return Err(Error::new(ErrorCode::InvalidCollectionName).detail(name));
        }
        Ok(CollectionName(name.into()))
    }

    /// `_default`.
    #[must_use]
    pub fn default_collection() -> CollectionName {
        CollectionName(CollectionName::DEFAULT.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for DatabaseName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for CollectionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// So that a sorted map keyed by names can be asked with plain text, without building a name.
impl std::borrow::Borrow<str> for DatabaseName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for CollectionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names_that_could_leave_their_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a..b", "../a", "a\0b", &"x".repeat(65)] {
            let error = DatabaseName::parse(bad).expect_err("the name breaks a rule");
            assert_eq!(error.code(), ErrorCode::InvalidDatabaseName, "{bad:?}");
        }
        for good in ["a", ".a", "a.b", "Ärger", "with space", &"x".repeat(64)] {
            assert_eq!(DatabaseName::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn collection_names_with_a_dot_slash_or_nul_are_refused() {
        for bad in ["", ".", "a.b", "a/b", "a\0b", &"x".repeat(65)] {
            let error = CollectionName::parse(bad).expect_err("the name breaks a rule");
            assert_eq!(error.code(), ErrorCode::InvalidCollectionName, "{bad:?}");
        }
        for good in ["a", "_default", "a\\b", "Ärger", &"x".repeat(64)] {
            assert_eq!(CollectionName::parse(good).unwrap().as_str(), good);
        }
    }
}
