//! After a violation: the document that shows it, if one does.
//!
//! It judges nothing. It looks at the last thing that was said and compares it with what the model holds; the judgement was
//! made by others, and many a violation has no document: an order was wrong, an answer too soon.

use docdb_engine::{RequestId, View};
use docdb_models::{Difference, State};
use docdb_protocol::{DatabaseId, Reply, Request, Response};

use super::views::contents_of;
use super::{Checker, Tracked};
use crate::chronicle::{Entry, Event};

/// A document that is not as it must be.
#[derive(Clone, Debug)]
pub struct Differs {
    /// The database's name.
    pub database: String,
    /// The document, as it had to be and as it was found.
    pub document: Difference,
    /// Where it was found.
    pub place: Place,
}

/// Where a document was found that is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In what readers are shown, said to be the state after a transaction; compared with the state after another one
    /// when that is no state that could be shown.
    View {
        /// The transaction that it is said to come after.
        said: u64,
        /// The transaction after which the model was asked.
        compared: u64,
    },
    /// In the answer to a request.
    Answer(RequestId),
}

impl Checker {
    /// The first document that differs, in the last event of a run that broke a promise.
    #[must_use]
    pub fn first_difference(&self, entries: &[Entry]) -> Option<Differs> {
        match &entries.last()?.event {
            Event::Published { database, view: Some(view) } => {
                let tracked = self.databases.iter().find(|tracked| tracked.id == Some(*database))?;
                tracked.differs_from(view)
            }
            Event::Answered { id, response } => {
                let request = entries.iter().rev().find_map(|entry| match &entry.event {
                    Event::Requested { id: asked, request } if asked == id => Some(request),
                    _ => None,
                })?;
                self.answer_differs(*id, request, response, entries)
            }
            _ => None,
        }
    }

    fn answer_differs(
        &self,
        id: RequestId,
        request: &Request,
        response: &Response,
        entries: &[Entry],
    ) -> Option<Differs> {
        match (request, response) {
            // Whose a view was is known only now that its id was answered.
            (Request::OpenDatabase { name, .. }, Ok(Reply::Database(id))) => {
                let tracked = self.databases.iter().find(|tracked| tracked.name == *name)?;
                tracked.differs_from(last_view(*id, entries)?)
            }
            (Request::Execute { database, .. }, _) => {
                let tracked = self.databases.iter().find(|tracked| tracked.id == Some(*database))?;
                let document = tracked.model.wrong_read(id.0, response)?;
                Some(Differs { database: tracked.name.as_str().to_owned(), document, place: Place::Answer(id) })
            }
            _ => None,
        }
    }
}

impl Tracked {
    fn differs_from(&self, view: &View) -> Option<Differs> {
        let shown = contents_of(view).ok()?;
        let said = view.last_tx().0;
        // What is no state at all is compared with the nearest that is one.
        let low = self.model.must_survive().min(self.model.newest());
        let compared = said.clamp(low, self.model.newest());
        let mut expected: State = self.model.state_after(compared)?.clone();
        // What is said to be damaged is not said to be otherwise.
        expected.retain(|key, _| shown.found.contains_key(key) || !(shown.is_unnamed || shown.damaged.contains(key)));
        let document = Difference::first(&expected, &shown.found)?;
        Some(Differs { database: self.name.as_str().to_owned(), document, place: Place::View { said, compared } })
    }
}

/// What readers of this database are shown, as long as its process lives.
fn last_view(database: DatabaseId, entries: &[Entry]) -> Option<&View> {
    let alive = entries.iter().rev().take_while(|entry| !matches!(entry.event, Event::Restarted));
    let mut views = alive.filter_map(|entry| match &entry.event {
        Event::Published { database: shown, view } if *shown == database => Some(view.as_ref()),
        _ => None,
    });
    views.next().flatten()
}
