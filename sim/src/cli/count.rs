//! Numbers of things, of which there is at least one.

/// Reads a number from 1 on.
pub(crate) fn parse<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number > 0).and_then(|number: u64| T::try_from(number).ok());
    number.ok_or_else(|| format!("{text:?} is no number from 1 on"))
}
