//! Listing a directory, one page of names after another.
//!
//! It keeps no names: the job that lists takes each page as it comes. Behind a page that is not full there is no other.

use std::sync::Arc;

use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath, DiskReply};
use crate::io::DiskResult;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    path: DiskPath,
    /// Names in one page.
    names_max: u32,
    /// The last name of the last page.
    after: Arc<str>,
}

/// Some of the names, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) names: Vec<Arc<str>>,
    /// What asks for the next page, where there may be one.
    pub(super) more: Option<DiskOp>,
}

impl Listing {
    /// Begins with the first page.
    pub(super) fn new(path: DiskPath, names_max: u32) -> (Listing, DiskOp) {
        let listing = Listing { path, names_max, after: "".into() };
        let first = listing.next();
        (listing, first)
    }

    /// Takes the page that the disk answered.
    ///
    /// # Errors
    /// When the disk failed.
    pub(super) fn step(&mut self, result: DiskResult) -> Result<Page, DiskError> {
        let DiskReply::Names(names) = result? else { return Err(DiskError::new(DiskErrorKind::Io)) };
        if let Some(last) = names.last() {
            self.after = Arc::clone(last);
        }
        let is_full = names.len() as u64 == u64::from(self.names_max);
        Ok(Page { names, more: is_full.then(|| self.next()) })
    }

    fn next(&self) -> DiskOp {
        DiskOp::List { path: self.path.clone(), after: Arc::clone(&self.after), limit: self.names_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_is_followed_by_another_from_its_last_name_on() {
        let path = DiskPath::root().join("a");
        let list = |after: &str| DiskOp::List { path: path.clone(), after: after.into(), limit: 2 };
        let (mut listing, first) = Listing::new(path.clone(), 2);
        assert_eq!(first, list(""));
        let mut step = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).into()).collect();
            listing.step(Ok(DiskReply::Names(names))).unwrap().more
        };
        assert_eq!(step(&["b", "c"]), Some(list("c")));
        assert_eq!(step(&["d", "e"]), Some(list("e")));
        assert_eq!(step(&[]), None);
        assert!(listing.step(Err(DiskError::new(DiskErrorKind::Gone))).is_err());
        assert!(listing.step(Ok(DiskReply::Done)).is_err(), "no page");
    }
}
