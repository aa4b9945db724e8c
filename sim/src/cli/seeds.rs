//! Ranges of seeds, `A..B` without B.

/// Seeds from `first` to the one before `end`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) end: u64,
}

/// Reads `A..B`.
pub(crate) fn parse(text: &str) -> Result<Seeds, String> {
    let numbers = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match numbers {
        Some((first, end)) if first < end => Ok(Seeds { first, end }),
        _ => Err(format!("{text:?} is no range of seeds such as 0..1000")),
    }
}
