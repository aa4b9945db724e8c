//! Recoveries from a disk that cannot be trusted: what is missing must be said.

use std::collections::BTreeSet;

use crate::database::Database;
use crate::state::{Content, Key, State, text};
use crate::{Mismatch, mismatch};

/// What a view shows after such a recovery.
#[derive(Clone, Copy)]
pub struct Doubtful<'view> {
    /// The documents that can be read.
    pub found: &'view State,
    /// The documents that are reported as damaged.
    pub damaged: &'view BTreeSet<Key>,
    /// Whether more is missing than the documents named: then nobody knows of what is not found whether it was there.
    pub is_unnamed: bool,
    /// Whether it says of a document that it may be missing, with others between two that are there.
    pub may_be_missing: &'view dyn Fn(&Key) -> bool,
    /// Whether the opening reported damage, of whatever it may be: then it has changed nothing.
    pub is_read_only: bool,
    /// This many transactions at least must have survived.
    pub low: u64,
    /// Whether a document of this content may be reported as damaged.
    pub may_be_damaged: &'view dyn Fn(&Content) -> bool,
}

impl Database {
    /// The first view after a crash or a closing, said to be the state after `tx`. Takes the place of
    /// [`Database::publish`] when the disk gave reason to doubt it. Says whether acknowledged transactions are gone.
    ///
    /// # Errors
    /// When something is shown that is wrong, or something is missing and nobody says so.
    pub fn recover_doubtful(&mut self, tx: u64, shown: &Doubtful<'_>) -> Result<bool, Mismatch> {
        assert!(!self.open, "only a recovery is doubtful");
        let high = self.recoverable();
        let low = if shown.is_unnamed { tx.max(shown.low) } else { tx };
        if tx > high {
            return mismatch!("recovered {tx} transactions; {high} were submitted, not counting those that were lost");
        }
        if tx < shown.low && !shown.is_unnamed {
            let least = shown.low;
            return mismatch!(
                "recovered {tx} transactions in silence; {least} must have survived, {high} were submitted"
            );
        }
        let last = if shown.is_unnamed { high } else { tx };
        let mut first_difference = None;
        for candidate in low..=last {
            let state = self.state_after(candidate).expect("at most the newest");
            match doubtful_difference(state, shown) {
                None => {
                    let is_shorter = candidate < self.must_survive();
                    self.acknowledged = self.acknowledged.min(candidate);
                    self.seen = self.seen.min(candidate);
                    // What is open for reading alone has changed nothing: the next opening may read what this one
                    // could not, so nothing is settled.
                    if !shown.is_read_only {
                        self.settle(candidate);
                    }
                    // What was seen before is gone, for those who asked before they could know it, too.
                    self.items.iter_mut().for_each(|item| {
                        item.published_at_submit = item.published_at_submit.min(candidate);
                    });
                    self.open = true;
                    self.published = candidate;
                    self.seen = candidate;
                    return Ok(is_shorter);
                }
                Some(difference) => drop(first_difference.get_or_insert((candidate, difference))),
            }
        }
        let (candidate, difference) = first_difference.unwrap_or((low, "no such state".to_owned()));
        mismatch!("the damaged view of transaction {tx}, compared with the state after {candidate}: {difference}")
    }

    /// The database is gone as a whole.
    pub fn forget(&mut self) {
        (self.acknowledged, self.seen, self.published) = (0, 0, 0);
        self.open = false;
        self.settle(0);
    }
}

fn doubtful_difference(expected: &State, shown: &Doubtful<'_>) -> Option<String> {
    for (key, content) in expected {
        match shown.found.get(key) {
            Some(found) if found == content => {}
            Some(found) => {
                return Some(format!("{}/{} is {}, expected {}", key.0, key.1, text(found), text(content)));
            }
            None if shown.is_unnamed || (shown.may_be_missing)(key) => {}
            None if !shown.damaged.contains(key) => {
                return Some(format!("{}/{} is missing in silence ({})", key.0, key.1, text(content)));
            }
            None if !(shown.may_be_damaged)(content) => {
                return Some(format!("{}/{} is reported as damaged and was not hit", key.0, key.1));
            }
            None => {}
        }
    }
    if let Some((key, found)) = shown.found.iter().find(|(key, _)| !expected.contains_key(*key)) {
        return Some(format!("{}/{} is {}, expected nothing", key.0, key.1, text(found)));
    }
    let invented = shown.damaged.iter().find(|key| !expected.contains_key(*key)).filter(|_| !shown.is_unnamed);
    invented.map(|key| format!("{}/{} is reported as damaged and was never there", key.0, key.1))
}
