//! Reads and counts: what a view shows, found out in every way a reader has.
//!
//! A scan and a lookup must agree, wherever the scan begins; ids must ascend, what stands between two of them is absent, and
//! the counts must be those of what is shown. It knows nothing of what the database should contain.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds as _};
use std::sync::Arc;

use docdb_engine::{Lookup, Scanned, View};
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
    /// Documents that are there and whose content is lost.
    pub(super) damaged: BTreeSet<Key>,
    /// Whether a part of the log is lost that names no documents: nobody knows of what is not found whether it was there.
    pub(super) is_unnamed: bool,
    /// Whether tables have lost what stood between some keys.
    pub(super) has_gaps: bool,
}

impl Shown {
    /// Whether anything is damaged at all.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_unnamed || self.has_gaps || !self.damaged.is_empty()
    }
}

/// Scans everything that a view shows, and looks each document up as well.
pub(super) fn contents_of(view: &View) -> Result<Shown, Violation> {
    let mut shown = Shown { is_unnamed: !view.damage().is_empty(), has_gaps: view.has_gaps(), ..Shown::default() };
    let collections: Vec<String> = view.collections().map(|name| name.as_str().to_owned()).collect();
    if !collections.is_sorted() || !collections.iter().any(|name| name == "_default") {
        return violation!("the collections are {collections:?}");
    }
    for collection in &collections {
        let name: Arc<str> = collection.as_str().into();
        let mut scan: Vec<_> = view.scan(collection, Bound::Unbounded).collect();
        let names_none = |scanned: Option<&Scanned<'_>>| matches!(scanned, Some(Err(error)) if !error.names_document());
        if shown.is_unnamed && !(names_none(scan.last()) && scan.pop().is_some()) {
            return violation!("{collection}: a part of the log is lost, and a scan ends as if none were");
        }
        if (view.is_unwritten() || shown.has_gaps) && names_none(scan.last()) {
            scan.pop();
        }
        let mut after = None;
        for scanned in scan {
            let Some(id) = id_of(&scanned) else { return violation!("{collection}: a scan has {scanned:?} within") };
            if after.as_ref().is_some_and(|after| *after >= id) {
                return violation!("{collection}/{id} was scanned after {after:?}");
            }
            after = Some(id.clone());
            match (scanned, view.lookup(collection, &id)) {
                (Ok((_, document)), Lookup::Found(found, _)) if found == document => {
                    shown.found.insert((Arc::clone(&name), id), Arc::clone(document.shared()));
                }
                (Err(error), Lookup::Damaged(_)) if error.code() == ErrorCode::CorruptRecord => {
                    shown.damaged.insert((Arc::clone(&name), id));
                }
                (scanned, looked_up) => {
                    return violation!("{collection}/{id} was scanned as {scanned:?} and looked up as {looked_up:?}");
                }
            }
        }
    }
    for collection in collections.iter().map(String::as_str).chain([NO_COLLECTION]) {
        let count = shown.found.keys().filter(|(name, _)| &**name == collection).count() as u64;
        let counted = view.count(collection);
        // Documents older than a lost part are held, and not shown.
        if counted < count || (counted > count && !shown.is_unnamed) {
            return violation!("{collection} is said to have {counted} documents and shows {count}");
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
    if !shown.is_damaged() {
        memory_is_counted(view, &shown.found)?;
    }
    Ok(shown)
}

/// What a view withholds, it says of each document, and at the end of each scan that would come upon one; and of no other.
/// `known` are documents that may be withheld.
pub(super) fn withheld_is_told<'a>(view: &View, known: impl Iterator<Item = &'a Key>) -> Result<(), Violation> {
    let mut collections: BTreeMap<&str, BTreeSet<&DocumentId>> = BTreeMap::new();
    for (collection, id) in known {
        let withheld = collections.entry(collection).or_default();
        match (view.is_withheld(collection, id), view.lookup(collection, id)) {
            (true, Lookup::Damaged(error)) if error.code() != ErrorCode::CorruptRecord => drop(withheld.insert(id)),
            (false, Lookup::Found(..) | Lookup::Absent) => {}
            (is_withheld, looked_up) => {
                return violation!("{collection}/{id} is withheld: {is_withheld}, and was looked up as {looked_up:?}");
            }
        }
    }
    for (collection, withheld) in collections {
        let places = withheld.iter().flat_map(|id| [Bound::Included(*id), Bound::Excluded(*id)]);
        let places: Vec<Bound<&DocumentId>> = places.chain([Bound::Unbounded]).collect();
        for (from, to) in places.iter().flat_map(|from| places.iter().map(|to| (*from, *to))) {
            let is_due = withheld.iter().any(|id| is_within(id, from, to));
            let is_told = view.loss(collection, from, to).is_some();
            if is_told != is_due {
                return violation!("{collection}: from {from:?} to {to:?} something is said to be lost: {is_told}");
            }
        }
        for from in places {
            let is_due = withheld.range::<DocumentId, _>((from, Bound::Unbounded)).next().is_some();
            let is_told = matches!(view.scan(collection, from).last(), Some(Err(error)) if !error.names_document());
            if is_told != is_due {
                return violation!("{collection}: a scan from {from:?} on ends with an error: {is_told}");
            }
        }
    }
    Ok(())
}

/// Scans from some places on, and looks up what is not there: which places, the view itself decides.
fn scans_begin_anywhere(view: &View, collection: &str, shown: &Shown) -> Result<(), Violation> {
    let keys = shown.found.keys().chain(&shown.damaged).filter(|(name, _)| &**name == collection);
    let held: BTreeSet<DocumentId> = keys.map(|(_, id)| id.clone()).collect();
    // Another place in each view.
    let newest = view.last_tx().0;
    let at = usize::try_from(newest % (held.len() as u64 + 1)).expect("at most a count in memory");
    let middle = held.iter().nth(at).cloned().unwrap_or(DocumentId::Number(newest));
    let text = |text: &str| DocumentId::text(text).expect("the judge's texts break no rule");
    let places = [next(&middle), DocumentId::Number(u64::MAX), text(" "), text("m"), middle];
    for (from, to) in places.iter().zip(places.iter().cycle().skip(1)) {
        scans_back(view, collection, &held, (Bound::Included(from), Bound::Included(to)))?;
        scans_back(view, collection, &held, (Bound::Excluded(from), Bound::Excluded(to)))?;
    }
    for id in &places {
        for from in [Bound::Included(id), Bound::Excluded(id)] {
            let expected = held.range((from, Bound::Unbounded)).cloned().map(Some);
            let ends_with_loss = view.loss(collection, from, Bound::Unbounded).is_some();
            if shown.is_unnamed != ends_with_loss && !(shown.has_gaps && ends_with_loss) {
                return violation!(
                    "{collection}: a scan from {from:?} on says that something is lost: {ends_with_loss}"
                );
            }
            let expected: Vec<Option<DocumentId>> = expected.chain(ends_with_loss.then_some(None)).collect();
            let scanned: Vec<Option<DocumentId>> = view.scan(collection, from).map(|entry| id_of(&entry)).collect();
            if scanned != expected {
                return violation!("{collection} was scanned from {from:?} on as {scanned:?}, and holds {expected:?}");
            }
            let to = if let Bound::Included(id) = from { Bound::Excluded(id) } else { Bound::Included(id) };
            scans_back(view, collection, &held, (Bound::Unbounded, to))?;
            scans_back(view, collection, &held, (from, Bound::Unbounded))?;
            // A gap between keys may lie there or not.
            if view.loss(collection, from, to).is_some() != shown.is_unnamed && !shown.has_gaps {
                return violation!("{collection}: from {from:?} to {to:?} something is lost: {}", shown.is_unnamed);
            }
        }
        let absent = matches!(view.lookup(collection, id), Lookup::Absent);
        let may_be_there = shown.is_unnamed || view.may_be_lost(collection, id);
        if !held.contains(id) && absent == may_be_there {
            return violation!("{collection}/{id}, which is not there, was looked up as absent: {absent}");
        }
    }
    Ok(())
}

/// A range in descending order is the same range.
fn scans_back(
    view: &View,
    collection: &str,
    held: &BTreeSet<DocumentId>,
    (from, to): (Bound<&DocumentId>, Bound<&DocumentId>),
) -> Result<(), Violation> {
    let expected = held.iter().filter(|id| is_within(id, from, to));
    let expected: Vec<Option<DocumentId>> = expected.rev().cloned().map(Some).collect();
    let back: Vec<Option<DocumentId>> = view.range_back(collection, from, to).map(|entry| id_of(&entry)).collect();
    if back != expected {
        return violation!(
            "{collection} was scanned back, from {from:?} to {to:?}, as {back:?}, and holds {expected:?}"
        );
    }
    let mut forth: Vec<Option<DocumentId>> = view.range(collection, from, to).map(|entry| id_of(&entry)).collect();
    forth.reverse();
    if forth != back {
        return violation!(
            "{collection} from {from:?} to {to:?} is {back:?} in one direction and {forth:?} in the other"
        );
    }
    Ok(())
}

/// Whether an id lies between two bounds.
fn is_within(id: &DocumentId, from: Bound<&DocumentId>, to: Bound<&DocumentId>) -> bool {
    (from, to).contains(id)
}

/// The document that it is about; `None` where nothing names what is lost.
fn id_of(scanned: &Scanned<'_>) -> Option<DocumentId> {
    match scanned {
        Ok((id, _)) => Some(id.clone()),
        Err(error) => error.context().and_then(|context| context.document.clone()),
    }
}

/// The id that follows directly, or nearly so.
fn next(id: &DocumentId) -> DocumentId {
    match id {
        DocumentId::Number(number) => DocumentId::Number(number.saturating_add(1)),
        DocumentId::Text(text) => DocumentId::text(&format!("{} ", text.as_str())).unwrap_or_else(|_| id.clone()),
    }
}
