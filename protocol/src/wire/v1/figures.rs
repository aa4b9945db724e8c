//! Numbers by name: statistics and limits, which grow without a new version.
//!
//! A reader looks up the names that it knows and passes over the others. It never says what a name means.

use super::fields::{put_text8, text8};
use crate::error::Error;
use crate::request::Stats;
use crate::wire::read::Cursor;

/// Length of the name, value.
const FIGURE_BYTES_MIN: usize = 1 + 8;

const DATABASES: &str = "databases";
const DATABASES_OPEN: &str = "databases_open";
const TRANSACTIONS: &str = "transactions";
const LOG_BYTES: &str = "log_bytes";
const MEMORY_BYTES: &str = "memory_bytes";

/// Names and numbers, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures(Vec<(String, u64)>);

impl Figures {
    /// None.
    #[must_use]
    pub fn new() -> Figures {
        Figures::default()
    }

    /// One more. A name has at most 255 bytes; what is longer is cut.
    #[must_use]
    pub fn with(mut self, name: &str, value: u64) -> Figures {
        self.0.push((name.to_owned(), value));
        self
    }

    /// One more, where it is known.
    #[must_use]
    pub fn with_known(self, name: &str, value: Option<u64>) -> Figures {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The first of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The counts of the data directory; what is not named is 0.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |name| self.get(name).unwrap_or(0);
        Stats {
            databases: count(DATABASES),
            databases_open: count(DATABASES_OPEN),
            transactions: count(TRANSACTIONS),
            log_bytes: count(LOG_BYTES),
            memory_bytes: count(MEMORY_BYTES),
        }
    }

    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Figures, Error> {
        let count = usize::from(cursor.u16()?);
        cursor.has_items(count, FIGURE_BYTES_MIN)?;
        let figure = |_| Ok((text8(cursor)?, cursor.u64()?));
        (0..count).map(figure).collect::<Result<_, Error>>().map(Figures)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let count = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for (name, value) in self.0.iter().take(usize::from(count)) {
            put_text8(out, name);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// At least the bytes that it takes.
    pub(super) fn bytes_max(&self) -> usize {
        2 + self.0.iter().map(|(name, _)| FIGURE_BYTES_MIN + name.len()).sum::<usize>()
    }
}

impl From<&Stats> for Figures {
    fn from(stats: &Stats) -> Figures {
        let Stats { databases, databases_open, transactions, log_bytes, memory_bytes } = *stats;
        Figures::new()
            .with(DATABASES, databases)
            .with(DATABASES_OPEN, databases_open)
            .with(TRANSACTIONS, transactions)
            .with(LOG_BYTES, log_bytes)
            .with(MEMORY_BYTES, memory_bytes)
    }
}
