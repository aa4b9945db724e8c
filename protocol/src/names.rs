//! Names of databases and collections, as types that cannot be wrong.
//!
//! A database's name becomes the name of a folder and of its files, so whatever could leave that
//! folder is refused here, once, and no other part has to look again.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};
use crate::limits::NAME_BYTES_MAX;

/// 1 to 64 bytes of UTF-8 without `/`, `\`, `..` or control characters (Unicode's category Cc), and not `.` alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseName(Arc<str>);

/// 1 to 64 bytes of UTF-8 without `/`, `.` or control characters (Unicode's category Cc).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionName(Arc<str>);

/// What names of both kinds have in common.
fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control)
}

impl DatabaseName {
    /// # Errors
    /// [`ErrorCode::InvalidDatabaseName`] when a rule is broken.
    pub fn parse(name: &str) -> Result<DatabaseName, Error> {
        let fits = is_name(name) && name != "." && !name.contains("..") && !name.contains(['/', '\\']);
        if !fits {
            let rule = "1 to 64 bytes without /, \\, .. or control characters, and not . alone";
            return Err(Error::new(ErrorCode::InvalidDatabaseName).detail(format!("{name:?}; a name has {rule}")));
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
        if !is_name(name) || name.contains(['/', '.']) {
            let rule = "1 to 64 bytes without /, . or control characters";
            return Err(Error::new(ErrorCode::InvalidCollectionName).detail(format!("{name:?}; a name has {rule}")));
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
        for bad in
            ["", ".", "..", "a/b", "a\\b", "a..b", "../a", "a\0b", "a\nb", "a\u{1b}b", "a\u{85}b", &"x".repeat(65)]
        {
            let error = DatabaseName::parse(bad).expect_err("the name breaks a rule");
            assert_eq!(error.code(), ErrorCode::InvalidDatabaseName, "{bad:?}");
        }
        for good in ["a", ".a", "a.b", "Ärger", "with space", &"x".repeat(64)] {
            assert_eq!(DatabaseName::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn collection_names_with_a_dot_a_slash_or_a_control_character_are_refused() {
        for bad in ["", ".", "a.b", "a/b", "a\0b", "a\nb", "a\u{1b}b", "a\u{85}b", &"x".repeat(65)] {
            let error = CollectionName::parse(bad).expect_err("the name breaks a rule");
            assert_eq!(error.code(), ErrorCode::InvalidCollectionName, "{bad:?}");
        }
        for good in ["a", "_default", "a\\b", "Ärger", &"x".repeat(64)] {
            assert_eq!(CollectionName::parse(good).unwrap().as_str(), good);
        }
    }
}
