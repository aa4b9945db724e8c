//! Removing what a checkpoint has made superfluous, once both copies of its metadata are durable.
//!
//! ```text
//! list the folder                      tables that no metadata names any more, and those that failed attempts left
//! unlink each; unlink the segments that lie wholly below the snapshot
//! ```
//!
//! A name that comes back after a crash is no part of the data: tables count when metadata names them, and what lies below a
//! snapshot is no part of the log. So nothing is synced, and what cannot be removed now is removed at the next checkpoint.

use std::collections::BTreeSet;
use std::sync::Arc;

use docdb_protocol::{Error, ErrorCode};

use super::listing::{Listing, Page};
use super::opening::Subject;
use crate::disk::{DiskError, DiskErrorKind, DiskOp, DiskPath};
use crate::io::{DiskResult, Progress, disk_error};
use crate::log::sealed;
use crate::metadata::StoreName;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Trim {
    subject: Subject,
    /// The numbers of the live tables.
    live: BTreeSet<u64>,
    /// Epochs of the segments to remove, the oldest last.
    segments: Vec<u64>,
    /// Those that are removed.
    trimmed: Vec<u64>,
    files: Vec<DiskPath>,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    List(Listing),
    UnlinkFile,
    /// The oldest first, so that what is left of the log is one stretch.
    UnlinkSegment(u64),
}

impl Trim {
    pub(crate) fn new(subject: Subject, live: BTreeSet<u64>, segments: Vec<u64>, names_max: u32) -> (Trim, DiskOp) {
        let (listing, first) = Listing::new(subject.directory.clone(), names_max);
        let mut segments = segments;
        segments.sort_unstable_by(|one, next| next.cmp(one));
        let (trimmed, files) = (Vec::new(), Vec::new());
        (Trim { subject, live, segments, trimmed, files, step: Step::List(listing) }, first)
    }

    /// Done with the epochs of the segments that are gone.
    pub(crate) fn step(&mut self, result: DiskResult) -> Progress<Vec<u64>> {
        match &mut self.step {
            Step::List(listing) => match listing.step(result) {
                Ok(Page { names, more }) => {
                    self.listed(&names);
                    more.map_or_else(|| self.next(), Progress::Submit)
                }
                Err(error) => self.failed(&error),
            },
            Step::UnlinkFile => self.next(),
            Step::UnlinkSegment(epoch) => {
                let epoch = *epoch;
                let is_gone = result.as_ref().map_or_else(|error| error.kind == DiskErrorKind::NotFound, |_| true);
                if is_gone {
                    self.trimmed.push(epoch);
                }
                self.next()
            }
        }
    }

    fn listed(&mut self, names: &[Arc<str>]) {
        for name in names {
            let is_left = match StoreName::parse(&self.subject.name, name) {
                Some(StoreName::Table(number)) => !self.live.contains(&number),
                Some(StoreName::NewManifest) => true,
                Some(StoreName::Manifest) | None => false,
            };
            if is_left {
                self.files.push(self.subject.directory.join(name));
            }
        }
    }

    fn next(&mut self) -> Progress<Vec<u64>> {
        if let Some(path) = self.files.pop() {
            self.step = Step::UnlinkFile;
            return Progress::Submit(DiskOp::Unlink { path });
        }
        match self.segments.pop() {
            Some(epoch) => {
                self.step = Step::UnlinkSegment(epoch);
                let path = self.subject.directory.join(&sealed(&self.subject.name, epoch));
                Progress::Submit(DiskOp::Unlink { path })
            }
            None => Progress::Done(std::mem::take(&mut self.trimmed)),
        }
    }

    fn failed(&self, error: &DiskError) -> Progress<Vec<u64>> {
        let error: Error = disk_error(ErrorCode::FileRead, &self.subject.directory, error);
        Progress::Failed(error.database(self.subject.name.as_str()))
    }
}
