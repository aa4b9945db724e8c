//! What is wrong with a configuration, and where.
//!
//! Owns the form of these messages: the place, what is wrong there, what would be right.

use std::fmt;

/// From this similarity on, of 1, a name is taken for another one that was mistyped.
const SIMILAR: f64 = 0.82;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: `FILE:LINE: KEY`, the name of a variable, or a flag.
    place: String,
    message: String,
}

/// All mistakes of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl ConfigError {
    pub(crate) fn new(place: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError { place: place.into(), message: message.into() }
    }
}

impl ConfigErrors {
    /// One after the other, in the order of the sources.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

/// The name among `known` that was probably meant by `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    let similarity = |other: &str| strsim::jaro_winkler(&name, &other.to_lowercase());
    known
        .into_iter()
        .map(|other| (similarity(other), other))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, other)| other)
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            error.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
