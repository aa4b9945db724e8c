//! Reads and counts: what a view shows, found out in every way a reader has.
//!
//! A scan and a lookup must agree, wherever the scan begins; ids must ascend, what stands between two of them is absent, and
//! the counts must be those of what is shown. It knows nothing of what the database should contain.

use std::collections::BTreeSet;
use std::sync::Arc;

use docdb_engine::{Lookup, View};
use docdb_models::{Key, State};
use docdb_protocol::{DocumentId, ErrorCode};

use super::figures::memory_is_counted;
use super::{Violation, violation};

/// No collection has this name.
const NO_COLLECTION: &str = "nobody's";

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
        if view.is_unwritten() && matches!(scan.last(), Some(Err((DocumentId(u64::MAX), _)))) {
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
    // What is withheld for want of space is no damage.
    let is_whole = !view.is_unwritten();
    for collection in collections.iter().map(String::as_str).chain([NO_COLLECTION]).filter(|_| is_whole) {
        scans_begin_anywhere(view, collection, &shown)?;
    }
    // Where nothing names what is lost, documents are held that nobody is shown: their collection's name may be lost.
    let count = shown.found.len() as u64;
    if view.documents() < count || (view.documents() > count && !shown.is_unnamed) {
        return violation!("the view counts {} documents and shows {count}", view.documents());
    }
    if !shown.is_damaged() && is_whole {
        let bytes = shown.found.values().map(|content| content.len() as u64).sum();
        memory_is_counted(view, bytes, count)?;
    }
    Ok(shown)
}

/// Scans from some places on, and looks up what is not there: which places, the view itself decides.
fn scans_begin_anywhere(view: &View, collection: &str, shown: &Shown) -> Result<(), Violation> {
    let name: Arc<str> = collection.into();
    let all = || (Arc::clone(&name), 0)..=(Arc::clone(&name), u64::MAX);
    let found = || shown.found.range(all()).map(|((_, id), _)| *id);
    let damaged = || shown.damaged.range(all()).map(|(_, id)| *id);
    // Another place in each view.
    let count = found().count();
    let at = usize::try_from(view.last_tx().0 % (count as u64 + 1)).expect("at most a count in memory");
    let middle = found().nth(at).unwrap_or(view.last_tx().0);
    for from in [middle, middle.wrapping_add(1), u64::MAX] {
        let mut expected = found().chain(damaged()).filter(|id| *id >= from).collect::<Vec<u64>>();
        expected.sort_unstable();
        expected.extend(shown.is_unnamed.then_some(u64::MAX));
        let mut scanned = Vec::with_capacity(expected.len());
        for entry in view.scan(collection, DocumentId(from)) {
            scanned.push(match entry {
                Ok((id, _)) | Err((id, _)) => id.0,
            });
        }
        if scanned != expected {
            return violation!("{collection} was scanned from {from} on as {scanned:?}, and holds {expected:?}");
        }
        let is_there = expected.first() == Some(&from);
        let absent = matches!(view.lookup(collection, DocumentId(from)), Lookup::Absent);
        if !is_there && absent == shown.is_unnamed {
            return violation!("{collection}/{from}, which is not there, was looked up as absent: {absent}");
        }
    }
    Ok(())
}
