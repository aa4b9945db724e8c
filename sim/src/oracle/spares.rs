//! Segments that are prepared ahead of need: a spare is begun as soon as half of the active segment is used, it is twice as
//! long, a new segment is made of it, and one that failed is begun again behind the next segment.
//!
//! It sees operations and how they end, and counts what is written; nothing else decides when a spare is due.

use std::collections::BTreeMap;

use docdb_engine::{FileId, Options, SECTOR_BYTES};

use super::touched::{Deed, End, Part, Touch};
use super::{Violation, violation};
use crate::refine::written::SEGMENT_HEADER_BYTES;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Spares {
    /// How long each file is that was allocated, and up to where it is written.
    files: BTreeMap<FileId, Extent>,
    logs: BTreeMap<usize, Log>,
    /// How long segments are.
    bytes_min: u64,
    bytes_max: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    allocated: u64,
    written: u64,
}

/// The spare of one log.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    None,
    Making {
        /// How long it has to be.
        bytes: u64,
    },
    Ready,
    Failed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Log {
    active: Option<FileId>,
    /// The segment that is being made.
    next: Option<FileId>,
    is_promoted: bool,
    spare: State,
    /// Whether one was ready when the segment that is being made was begun.
    was_ready: bool,
    /// Set for the turn in which one has to be begun: how long.
    due: Option<u64>,
}

impl Spares {
    /// The engine that runs from now on has these limits.
    pub(super) fn bound(&mut self, options: &Options) {
        self.crashed();
        self.bytes_min = options.segment_bytes_min.max(SEGMENT_HEADER_BYTES);
        self.bytes_max = options.segment_bytes_max.max(self.bytes_min);
    }

    /// The process died.
    pub(super) fn crashed(&mut self) {
        self.files.clear();
        self.logs.clear();
    }

    /// The engine asks for an operation. `is_shown` says whether readers see the database.
    ///
    /// # Errors
    /// When a spare is begun that nobody needs, or left where it is needed.
    pub(super) fn submitted(&mut self, touch: &Touch, is_shown: bool) -> Result<(), Violation> {
        let Some(database) = touch.database else { return Ok(()) };
        let log = self.logs.entry(database).or_default();
        match (touch.part, touch.deed) {
            (Part::Spare, Deed::Remove) => {
                if let Some(bytes) = log.due.take() {
                    log.spare = State::Making { bytes };
                }
            }
            (Part::Spare, Deed::Create) if !matches!(log.spare, State::Making { .. }) => {
                return violation!("a spare is begun that is not due: {log:?}");
            }
            (Part::Spare, Deed::Close) if matches!(log.spare, State::Ready) => log.spare = State::None,
            (Part::Next, Deed::Remove) => log.was_ready = matches!(log.spare, State::Ready),
            (Part::Next, Deed::Create) => {
                if is_shown && log.was_ready && matches!(log.spare, State::Ready) {
                    return violation!("another file is made for a segment, and a spare is ready");
                }
                log.next = touch.file;
            }
            (Part::Next, Deed::Become) => (log.spare, log.next) = (State::None, None),
            (Part::Next, Deed::Allocate { .. } | Deed::Write { .. } | Deed::Sync) => log.next = touch.file,
            (Part::Active, Deed::Write { .. }) => log.active = touch.file,
            _ => {}
        }
        if let (Deed::Write { offset, bytes }, Some(file)) = (touch.deed, touch.file) {
            let extent = self.files.entry(file).or_default();
            extent.written = extent.written.max(offset + bytes);
        }
        Ok(())
    }

    /// An operation has ended, of which the engine hears now. `may_begin` says whether readers see the database, and nobody
    /// closes it.
    ///
    /// # Errors
    /// When a spare is not as long as it has to be.
    pub(super) fn delivered(&mut self, touch: &Touch, end: End, may_begin: bool) -> Result<(), Violation> {
        let (Some(database), End::Well) = (touch.database, end) else { return Ok(()) };
        if let (Deed::Allocate { until }, Some(file)) = (touch.deed, touch.file) {
            let extent = self.files.entry(file).or_default();
            extent.allocated = extent.allocated.max(until);
        }
        let extent = touch.file.and_then(|file| self.files.get(&file)).copied().unwrap_or_default();
        let log = self.logs.entry(database).or_default();
        match (touch.part, touch.deed) {
            (Part::Spare, Deed::Sync) => {
                if let State::Making { bytes } = log.spare
                    && bytes != extent.allocated
                {
                    return violation!("a spare is {} bytes long, and has to be {bytes}", extent.allocated);
                }
                log.spare = State::Ready;
            }
            (Part::Active, Deed::Become) => log.is_promoted = true,
            (Part::Folder, Deed::SyncNames) if std::mem::take(&mut log.is_promoted) => {
                log.active = log.next.take();
                if matches!(log.spare, State::Failed) {
                    log.spare = State::None;
                }
                self.has_grown(database, may_begin);
            }
            (Part::Active, Deed::Sync) if log.active == touch.file => self.has_grown(database, may_begin),
            _ => {}
        }
        Ok(())
    }

    /// A batch is durable in the active segment.
    fn has_grown(&mut self, database: usize, may_begin: bool) {
        let log = self.logs.entry(database).or_default();
        let Some(Extent { allocated, written }) = log.active.and_then(|file| self.files.get(&file)).copied() else {
            return;
        };
        let used = written.next_multiple_of(SECTOR_BYTES as u64).saturating_sub(SEGMENT_HEADER_BYTES);
        if may_begin && used > 0 && used >= allocated / 2 && matches!(log.spare, State::None) {
            log.due = Some((2 * allocated).clamp(self.bytes_min, self.bytes_max));
        }
    }

    /// An operator hears that the spare of a database could not be made.
    pub(super) fn failed(&mut self, database: usize) {
        self.logs.entry(database).or_default().spare = State::Failed;
    }

    /// Readers see nothing of a database any more.
    pub(super) fn closed(&mut self, database: usize) {
        self.logs.remove(&database);
    }

    /// The engine has said all that it says at this moment. `is_open` says whether a database takes writes.
    ///
    /// # Errors
    /// When a spare was due that was not begun.
    pub(super) fn turn_over(&mut self, is_open: impl Fn(usize) -> bool) -> Result<(), Violation> {
        for (database, log) in &mut self.logs {
            if log.due.take().is_some_and(|_| is_open(*database)) {
                return violation!("half of a segment is used, and no spare is begun: {log:?}");
            }
        }
        Ok(())
    }
}
