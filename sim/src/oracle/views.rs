//! Reads and counts: what a view shows, found out in every way a reader has.
//!
//! A scan and a lookup must agree, ids must ascend, and the counts must be those of what is shown. It knows nothing of
//! what the database should contain.

use std::collections::BTreeSet;
use std::sync::Arc;

use docdb_engine::{Lookup, View};
use docdb_models::{Key, State};
use docdb_protocol::{DocumentId, ErrorCode};

use super::{Violation, violation};

/// What a view shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) found: State,
    /// Documents that are there and cannot be told.
    pub(super) damaged: BTreeSet<Key>,
    /// Whether a part of the log is lost that names no documents: whatever is not found cannot be told.
    pub(super) is_unnamed: bool,
}

impl Shown {
    /// Whether anything is damaged at all.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_unnamed || !self.damaged.is_empty()
    }
}

/// Scans everything that a view shows, and looks each document up as well.
pub(super) fn contents_of(view: &View) -> Result<Shown, Violation> {
    let mut shown = Shown { is_unnamed: !view.damage().is_empty(), ..Shown::default() };
    let collections: Vec<String> = view.collections().map(|name| name.as_str().to_owned()).collect();
    if !collections.is_sorted() || !collections.iter().any(|name| name == "_default") {
        return violation!("the collections are {collections:?}");
    }
    for collection in &collections {
        let name: Arc<str> = collection.as_str().into();
        let mut scan: Vec<_> = view.scan(collection, DocumentId(0)).collect();
        if shown.is_unnamed && !matches!(scan.pop(), Some(Err((DocumentId(u64::MAX), _)))) {
            return violation!("{collection}: a part of the log is lost, and a scan ends as if none were");
        }
        if view.is_unwritten()
            && matches!(scan.last(), Some(Err((DocumentId(u64::MAX), error))) if error.code() == ErrorCode::DiskFull)
        {
            scan.pop();
        }
        let mut after = None;
        for scanned in scan {
            let id = match scanned {
                Ok((id, _)) | Err((id, _)) => id,
            };
            if after.is_some_and(|after| after >= id) {
                return violation!("{collection}/{id} was scanned after {after:?}");
            }
            after = Some(id);
            match (scanned, view.lookup(collection, id)) {
                (Ok((_, document)), Lookup::Found(found)) if found == document => {
                    shown.found.insert((Arc::clone(&name), id.0), Arc::clone(document.shared()));
                }
                (Err((id, error)), Lookup::Damaged(_)) if error.code() == ErrorCode::CorruptRecord => {
                    shown.damaged.insert((Arc::clone(&name), id.0));
                }
                (scanned, looked_up) => {
                    return violation!("{collection}/{id} was scanned as {scanned:?} and looked up as {looked_up:?}");
                }
            }
        }
    }
    // Where nothing names what is lost, documents are held that nobody is shown: their collection's name may be lost.
    let count = shown.found.len() as u64;
    if view.documents() < count || (view.documents() > count && !shown.is_unnamed) {
        return violation!("the view counts {} documents and shows {count}", view.documents());
    }
    Ok(shown)
}
