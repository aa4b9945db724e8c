//! Looking up the view of a database, which opens one again that was closed, and what a view answers to a read.
//!
//! A lookup takes the same steps whether its caller waits for it or not: [`ViewLookup::step`] has them. Nothing here reads a
//! file or knows how an opening is done: the engine opens what it is asked about.

use std::sync::Arc;

use docdb_engine::View;
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DocumentId, Error, ErrorCode, Operation, OperationReply,
    OperationResult, Request,
};

use crate::DocDb;

/// How often a lookup opens a database that others keep closing, before it gives up.
const OPENINGS_MAX: usize = 8;

/// Who is given the view that was looked up.
type Then = Box<dyn FnOnce(Result<Arc<View>, Error>) + Send>;

/// A lookup that is going on.
struct ViewLookup {
    database: DatabaseId,
    openings_left: usize,
}

/// What a lookup needs next.
enum Step {
    Found(Arc<View>),
    /// This request opens the database. When it is answered, the lookup goes on.
    Open(Request),
    GivenUp(Error),
}

impl ViewLookup {
    fn new(database: DatabaseId) -> ViewLookup {
        ViewLookup { database, openings_left: OPENINGS_MAX }
    }

    /// `published` is what readers of the database see now, if it is open.
    fn step(&mut self, published: Option<Arc<View>>) -> Step {
        if let Some(view) = published {
            return Step::Found(view);
        }
        if self.openings_left == 0 {
            let detail = "other clients close it as often as it is opened";
            return Step::GivenUp(Error::new(ErrorCode::DbNotOpen).detail(detail));
        }
        self.openings_left -= 1;
        // The engine opens a database by its id for a read, and it does not matter what the read finds. By its name it
        // could open another one, that was created in the place of this one.
        let read =
            Operation { collection: CollectionName::default_collection(), action: Action::Read(DocumentId::FIRST) };
        let (database, operations) = (self.database, vec![read]);
        Step::Open(Request::Execute { database, operations, atomicity: Atomicity::EachAlone })
    }
}

impl DocDb {
    /// What readers of a database see now; it is opened when it is closed. Takes no lock of the engine's where it is open.
    /// The view stays as it is, and keeps its memory, for as long as it is held.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().expect("a directory for the example");
    /// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
    /// let library = docdb.database("library")?;
    /// library.close()?;
    /// assert_eq!(docdb.view(library.id())?.documents(), 0);
    /// # Ok::<(), docdb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::DbNotFound`], and whatever keeps the database from being opened.
    pub fn view(&self, database: DatabaseId) -> Result<Arc<View>, Error> {
        let mut lookup = ViewLookup::new(database);
        loop {
            match lookup.step(self.published(database)) {
                Step::Found(view) => return Ok(view),
                Step::Open(request) => drop(self.request(request)?),
                Step::GivenUp(error) => return Err(error),
            }
        }
    }

    /// As [`DocDb::view`], without waiting. `then` is called exactly once: by this thread, where the database is open, else
    /// as [`DocDb::submit`] calls it.
    pub fn submit_view(&self, database: DatabaseId, then: impl FnOnce(Result<Arc<View>, Error>) + Send + 'static) {
        self.go_on(ViewLookup::new(database), Box::new(then));
    }

    fn go_on(&self, mut lookup: ViewLookup, then: Then) {
        match lookup.step(self.published(lookup.database)) {
            Step::Found(view) => then(Ok(view)),
            Step::Open(request) => {
                let docdb = self.clone();
                self.submit(request, move |response| match response {
                    Ok(_) => docdb.go_on(lookup, then),
                    Err(error) => then(Err(error)),
                });
            }
            Step::GivenUp(error) => then(Err(error)),
        }
    }

    fn published(&self, database: DatabaseId) -> Option<Arc<View>> {
        self.running.core.view(database)
    }
}

/// Answers a read from a view: the document, [`ErrorCode::DocNotFound`], or why what was stored is not known.
///
/// ```
/// # let directory = tempfile::tempdir().expect("a directory for the example");
/// # let docdb = docdb::DocDb::open(directory.path().join("data"))?;
/// let library = docdb.database("library")?;
/// let missing = docdb::read(&*library.view()?, "books", &7_u64.into());
/// assert_eq!(missing.unwrap_err().code(), docdb::ErrorCode::DocNotFound);
/// # Ok::<(), docdb::Error>(())
/// ```
///
/// # Errors
/// As said.
pub fn read(view: &View, collection: &str, id: &DocumentId) -> OperationResult {
    match view.lookup(collection, id) {
        docdb_engine::Lookup::Found(document, _) => Ok(OperationReply::Document(document.clone())),
        docdb_engine::Lookup::Absent => Err(Error::new(ErrorCode::DocNotFound).document(id)),
        docdb_engine::Lookup::Damaged(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_opens_a_database_a_few_times_and_then_gives_up() {
        let mut lookup = ViewLookup::new(DatabaseId::FIRST);
        for _ in 0..OPENINGS_MAX {
            assert!(matches!(lookup.step(None), Step::Open(_)));
        }
        match lookup.step(None) {
            Step::GivenUp(error) => assert_eq!(error.code(), ErrorCode::DbNotOpen),
            Step::Found(_) | Step::Open(_) => panic!("nothing opened it"),
        }
    }
}
