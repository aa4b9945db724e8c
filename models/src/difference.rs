//! The first document in which what was found differs from what had to be there.
//!
//! It judges nothing: what is asked here was refused already, and a person wants to see the document.

use std::fmt;

use docdb_protocol::{ErrorCode, OperationReply, Reply, Response};

use crate::database::{Database, Ticket};
use crate::execute::{Expected, key_of};
use crate::state::{Content, Key, State, text};

/// One document, as it had to be and as it was found; `None` where there is none. The two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which document.
    pub key: Key,
    /// What had to be there.
    pub expected: Option<Content>,
    /// What was there.
    pub found: Option<Content>,
}

impl Difference {
    /// The first document in which two states differ: one that is missing or different before one that should not be
    /// there. `None` when they are equal.
    #[must_use]
    pub fn first(expected: &State, found: &State) -> Option<Difference> {
        let wrong = expected.iter().find(|(key, content)| found.get(*key) != Some(*content));
        let invented = || found.iter().find(|(key, _)| !expected.contains_key(*key));
        let (key, _) = wrong.or_else(invented)?;
        let of = |state: &State| state.get(key).cloned();
        Some(Difference { key: key.clone(), expected: of(expected), found: of(found) })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (collection, id) = &self.key;
        match (&self.expected, &self.found) {
            (Some(expected), None) => write!(formatter, "{collection}/{id} is missing (expected {})", text(expected)),
            (expected, found) => {
                let words = |content: &Option<Content>| content.as_deref().map_or("nothing".to_owned(), text);
                write!(formatter, "{collection}/{id} is {}, expected {}", words(found), words(expected))
            }
        }
    }
}

impl Database {
    /// The first read of a refused answer that shows a document as it was in no state that the read may see; compared
    /// with the newest of these.
    #[must_use]
    pub fn wrong_read(&self, ticket: Ticket, response: &Response) -> Option<Difference> {
        let item = self.items.iter().find(|item| item.ticket == ticket)?;
        let Ok(Reply::Executed(results)) = response else { return None };
        for ((operation, expected), result) in item.operations.iter().zip(&item.outcome.expected).zip(results) {
            let found: Option<Content> = match result {
                Ok(OperationReply::Document(document)) => Some(document.shared().clone()),
                Err(error) if error.code() == ErrorCode::DocNotFound => None,
                Ok(OperationReply::Written(_) | OperationReply::Inserted(..) | OperationReply::AsExpected) | Err(_) => {
                    continue;
                }
            };
            let Some(key) = key_of(operation) else { continue };
            let after = |tx: u64| self.state_after(tx).and_then(|state| state.get(&key)).cloned();
            let allowed: Vec<Option<Content>> = match expected {
                Expected::Read(content) => vec![content.clone()],
                Expected::PublishedRead => {
                    (item.published_at_submit.min(self.published)..=self.published).map(after).collect()
                }
                Expected::Written(_)
                | Expected::Inserted(..)
                | Expected::Fails(_)
                | Expected::Holds
                | Expected::PublishedExpectation
                | Expected::NotRun => continue,
            };
            if !allowed.contains(&found) {
                let expected = allowed.into_iter().last().flatten();
                return Some(Difference { key, expected, found });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use docdb_protocol::DocumentId;

    use super::*;

    fn state(documents: &[(u64, &str)]) -> State {
        let content = |text: &str| -> Content { text.as_bytes().into() };
        documents.iter().map(|(id, text)| ((Arc::from("c"), DocumentId::Number(*id)), content(text))).collect()
    }

    #[test]
    fn what_is_wrong_comes_before_what_should_not_be_there() {
        let words = |expected: &[(u64, &str)], found: &[(u64, &str)]| {
            Difference::first(&state(expected), &state(found)).map(|difference| difference.to_string())
        };
        assert_eq!(words(&[(1, "1")], &[(1, "1")]), None);
        assert_eq!(words(&[(2, "1")], &[(1, "1")]).as_deref(), Some("c/2 is missing (expected \"1\" (1 bytes))"));
        assert_eq!(
            words(&[(2, "1")], &[(1, "1"), (2, "2")]).as_deref(),
            Some("c/2 is \"2\" (1 bytes), expected \"1\" (1 bytes)")
        );
        assert_eq!(words(&[], &[(1, "1")]).as_deref(), Some("c/1 is \"1\" (1 bytes), expected nothing"));
    }
}
