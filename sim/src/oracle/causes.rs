//! What an error is allowed for: an operation failed so, of the database that was asked or of the catalog, since what was
//! asked for began.
//!
//! A failure is remembered for as long as somebody may be answered with it: until readers see the database anew, or nothing
//! of it is under way and nobody waits for it. What a spare meets answers nobody, nor does what the active segment or the
//! journal meets: another one is made. What a checkpoint meets answers nobody either: the log grows on. And where an opening finds no space for a new segment, the database is open for
//! reading: that refuses writes, and nobody who asks for the opening.

use std::collections::BTreeSet;

use docdb_protocol::ErrorCode;

use super::due::code_of;
use super::touched::{Deed, End, Part, Touch, Touches};

/// Where failures are kept that are the catalog's, those of creations beside one another, and each database's own.
const CATALOG: usize = 0;
const CREATIONS: usize = 1;
const DATABASES: usize = 2;

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cause {
    code: ErrorCode,
    /// An opening goes on for reading alone.
    is_mild: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Causes {
    /// By place.
    failed: Vec<Vec<Cause>>,
    /// Those whose failures are over when this turn of the engine is.
    over: Vec<usize>,
    /// Databases of whose new segment the header may be written.
    headers: BTreeSet<usize>,
}

impl Causes {
    /// The engine asks for an operation.
    pub(super) fn submitted(&mut self, touch: &Touch) {
        let Some(database) = touch.database.filter(|_| touch.part == Part::Next) else { return };
        match touch.deed {
            Deed::Remove => drop(self.headers.remove(&database)),
            Deed::Write { offset: 0, .. } => drop(self.headers.insert(database)),
            _ => {}
        }
    }

    /// An operation has ended, of which the engine hears now.
    /// Until this process has a catalog, a start asks the folders for what they know.
    pub(super) fn delivered(&mut self, touch: &Touch, end: End, has_catalog: bool) {
        let code = match end {
            End::Failed(kind) => code_of(touch.deed, kind),
            End::Short => ErrorCode::DiskFull,
            End::Well | End::AsGoodAsWell => return,
        };
        let place = match (touch.part, touch.deed) {
            (Part::Spare | Part::Store, _) | (Part::Active | Part::Journal, Deed::Write { .. } | Deed::Sync) => return,
            (Part::Databases, _) | (_, Deed::FreeSpace) => CREATIONS,
            _ => place(touch.database.filter(|_| has_catalog)),
        };
        let is_of_segment =
            touch.part == Part::Next && !touch.database.is_some_and(|database| self.headers.contains(&database));
        let is_mild = code == ErrorCode::DiskFull && (is_of_segment || touch.deed == Deed::FreeSpace);
        self.push(place, Cause { code, is_mild });
    }

    fn push(&mut self, place: usize, cause: Cause) {
        if self.failed.len() <= place {
            self.failed.resize(place + 1, Vec::new());
        }
        self.failed[place].push(cause);
    }

    /// An operator hears that a database is shown as far as it is proven, for this reason.
    pub(super) fn is_glimpsed(&mut self, database: usize, code: ErrorCode) {
        self.push(place(Some(database)), Cause { code, is_mild: true });
    }

    /// What failed of a database, or of the catalog, is made good.
    pub(super) fn is_over(&mut self, database: Option<usize>) {
        self.over.push(place(database));
    }

    fn may_concern(database: Option<usize>) -> impl Iterator<Item = usize> {
        [CATALOG, CREATIONS].into_iter().chain(database.map(|database| DATABASES + database))
    }

    /// Whether anything failed that may be blamed for what a client of this database is answered.
    pub(super) fn any(&self, database: usize) -> bool {
        Causes::may_concern(Some(database)).any(|at| self.failed.get(at).is_some_and(|failed| !failed.is_empty()))
    }

    /// Whether an operation failed that is told like this: of the catalog, or of the database.
    /// `is_opening` where somebody asked for the opening alone.
    pub(super) fn excuse(&self, database: Option<usize>, code: ErrorCode, is_opening: bool) -> bool {
        let is_it = |cause: &Cause| cause.code == code && !(is_opening && cause.is_mild);
        Causes::may_concern(database).any(|at| self.failed.get(at).is_some_and(|failed| failed.iter().any(is_it)))
    }

    /// The engine has said all that it says at this moment. `is_waited_for` says whether anybody waits for a database, or
    /// at all.
    pub(super) fn turn_over(
        &mut self,
        touches: &Touches,
        has_catalog: bool,
        is_waited_for: impl Fn(Option<usize>) -> bool,
    ) {
        for over in std::mem::take(&mut self.over) {
            if let Some(failed) = self.failed.get_mut(over) {
                failed.clear();
            }
        }
        for (place, failed) in self.failed.iter_mut().enumerate().filter(|(_, failed)| !failed.is_empty()) {
            let of = place.checked_sub(DATABASES);
            // A start that failed is told to everybody who comes.
            let is_of_start = of.is_none() && !has_catalog;
            let may_be_told = is_of_start || is_waited_for(of) || touches.is_busy_beside_spares(of);
            if !may_be_told {
                failed.clear();
            }
        }
    }
}

fn place(database: Option<usize>) -> usize {
    database.map_or(CATALOG, |database| DATABASES + database)
}
