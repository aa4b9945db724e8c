//! What is shown beside a lost part that names no documents: only what was written behind all that is lost. Anything older may
//! have been replaced there, so that to show it is a wrong answer in the making.
//!
//! It does not know which part is lost. But of what was written behind the oldest document that is shown, nothing may be
//! missing without its name.

use std::collections::BTreeSet;

use docdb_engine::{Lookup, View};
use docdb_models::Database;

use super::views::Shown;
use super::{Violation, violation};

/// The view is one of those, as far as the model knows what was written.
///
/// # Errors
/// When a document is shown that is older than something that is missing.
pub(super) fn newer_than_all_that_is_lost(view: &View, shown: &Shown, model: &Database) -> Result<(), Violation> {
    let version = |(collection, id): &docdb_models::Key| match view.lookup(collection, id) {
        Lookup::Found(_, tx) => Some(tx.0),
        Lookup::Absent | Lookup::Damaged(_) => None,
    };
    let last = view.last_tx().0;
    let (Some(oldest), Some(state)) = (shown.found.keys().filter_map(version).min(), model.state_after(last)) else {
        return Ok(());
    };
    // The name of a collection may be lost too, and nothing in it is found without.
    let known: BTreeSet<&str> = view.collections().map(docdb_protocol::CollectionName::as_str).collect();
    let written = (oldest..=last).filter_map(|tx| model.transaction(tx)).flatten();
    for key in written.map(|write| &write.key).filter(|key| known.contains(&*key.0)) {
        let is_missing = state.contains_key(key) && !shown.found.contains_key(key) && !shown.damaged.contains(key);
        if is_missing {
            return violation!(
                "a document of transaction {oldest} is shown for certain, and {key:?}, written later, is lost without its name"
            );
        }
    }
    Ok(())
}
