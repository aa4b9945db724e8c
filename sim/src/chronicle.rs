//! What happened in a world, event by event, in the order it happened.
//!
//! The one stream that everybody who watches a run reads: the person who replays a seed, the timeline, the
//! search for the first difference between two runs, the refinement of the models. It sees the engine at its
//! seams alone (disk, clients, readers), so nothing in it depends on the engine's inside.
//!
//! Invariant: events stand in their true order; one of the disk's follows the submission it belongs to.
//! It keeps nothing unless it is asked to: a run that nobody watches pays for no copy.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use docdb_engine::{Alert, DiskErrorKind, DiskOp, DiskReply, OpId, RequestId, View};
use docdb_protocol::{DatabaseId, Request, Response};

use crate::disk::{CrashKind, FaultKind, SimDisk, Unit};
use crate::oracle::Differs;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asked.
    Requested {
        /// Names the request.
        id: RequestId,
        /// What it asked.
        request: Request,
    },
    /// The operator asked the engine to stop.
    ShutdownAsked,
    /// The engine's timer came.
    Timer,
    /// The engine wants an operation done.
    Submitted {
        /// Names the operation.
        id: OpId,
        /// The operation.
        op: DiskOp,
    },
    /// The disk carried the operation out, or failed it; the engine does not know yet.
    Performed {
        /// The operation.
        id: OpId,
        /// How it ended.
        result: Result<DiskReply, DiskErrorKind>,
    },
    /// A fault struck. It comes before the event that shows what became of the operation it struck.
    Fault {
        /// Of which kind.
        kind: FaultKind,
        /// In which file, by a name it has, where it concerns one.
        file: Option<String>,
        /// At which byte of it, where it has a place.
        offset: Option<u64>,
    },
    /// The engine learned how the operation ended.
    Delivered {
        /// The operation.
        id: OpId,
    },
    /// The engine answered a client.
    Answered {
        /// The request.
        id: RequestId,
        /// The answer.
        response: Response,
    },
    /// Readers see this state from now on.
    Published {
        /// Of which database.
        database: DatabaseId,
        /// The state; `None` when the database was closed.
        view: Option<View>,
    },
    /// The engine raised an alert.
    Alerted(Alert),
    /// The engine has shut down.
    Stopped,
    /// A crash began; what survives is decided next.
    Crashed(CrashKind),
    /// The crash asked what becomes of something: `answer` of `0..bound`.
    Decided {
        /// Of what.
        unit: Unit,
        /// How much of it survived; the largest number is all of it.
        answer: u64,
        /// How many answers there were.
        bound: u64,
    },
    /// A new process started on what the crash had left.
    Restarted,
}

/// An event and when it happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The world's step.
    pub step: u64,
    /// What happened.
    pub event: Event,
}

/// What becomes, in a captured crash, of all that is not certain to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What the run itself decided; it must have crashed at this step.
    AsDecided,
    /// All of it: power goes after everything was written.
    All,
    /// Nothing of it.
    None,
}

/// A crash whose files are wanted. The run goes on as if nothing were.
#[derive(Clone, Debug)]
pub struct Capture {
    step: u64,
    keep: Keep,
    image: Option<SimDisk>,
    crashes: Vec<u64>,
}

/// The disk on both sides of a crash.
#[derive(Clone, Debug)]
pub struct Sides {
    /// Just before it, as it was seen.
    pub before: SimDisk,
    /// Just after it.
    pub after: SimDisk,
}

/// What there is to see about a broken promise, besides its message.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The first document that is not as it must be, when a document is what it is about.
    pub differs: Option<Differs>,
    /// A specification refused a step of the engine, before any document needed to differ.
    pub is_by_specification: bool,
}

/// The names of all files with their numbers in [`Unit`], from an event on.
#[derive(Clone, Debug)]
pub struct Names {
    /// So many entries had been kept when the names changed to this.
    pub entries: usize,
    /// The number of each file, by name.
    pub numbers: BTreeMap<String, u64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    entries: Option<Vec<Entry>>,
    telling: bool,
    until: Option<u64>,
    /// Something happened behind that step.
    is_cut: bool,
    hashes: Option<Vec<u64>>,
    names: Vec<Names>,
    before_crash: Option<SimDisk>,
    crashed: Vec<Sides>,
    broken: Option<Broken>,
    capture: Option<Capture>,
}

impl Chronicle {
    /// Prints on the error output what happens from now on.
    pub fn tell(&mut self) {
        self.telling = true;
    }

    /// Hears of nothing behind this step.
    pub fn until(&mut self, step: u64) {
        self.until = Some(step);
    }

    /// Keeps the hash of the run before each step.
    pub fn keep_hashes(&mut self) {
        self.hashes.get_or_insert_default();
    }

    /// The hashes that were kept; the first one stands before step 1.
    #[must_use]
    pub fn hashes(&self) -> &[u64] {
        self.hashes.as_deref().unwrap_or(&[])
    }

    /// Wants the files as they would be after a crash at this step.
    pub fn capture(&mut self, step: u64, keep: Keep) {
        self.capture = Some(Capture { step, keep, image: None, crashes: Vec::new() });
    }

    /// The files that were wanted; `None` when there was no such step, or no crash at it.
    #[must_use]
    pub fn captured(&self) -> Option<&SimDisk> {
        self.capture.as_ref()?.image.as_ref()
    }

    /// The steps at which the run crashed, when files were wanted.
    #[must_use]
    pub fn crashes(&self) -> &[u64] {
        self.capture.as_ref().map_or(&[], |capture| &capture.crashes)
    }

    /// The names of all files, each time they changed, while entries are kept.
    #[must_use]
    pub fn names(&self) -> &[Names] {
        &self.names
    }

    /// The disk on both sides of each crash, while entries are kept.
    #[must_use]
    pub fn crashed(&self) -> &[Sides] {
        &self.crashed
    }

    /// How the promise was broken; `None` when none was, or it happened unheard.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// The run broke a promise, and this is to be seen about it. Who did not hear of what broke it has nothing to see.
    pub fn found_broken(&mut self, broken: Broken) {
        self.broken = (!self.is_cut).then_some(broken);
    }

    /// Names may have changed.
    pub(crate) fn see_names(&mut self, disk: &SimDisk) {
        let Some(entries) = self.entries.as_ref().filter(|_| !self.is_cut) else { return };
        let numbers = disk.file_numbers();
        if self.names.last().is_none_or(|last| last.numbers != numbers) {
            self.names.push(Names { entries: entries.len(), numbers });
        }
    }

    /// Whether anybody wants to hear of the ends of steps.
    pub(crate) fn watches_steps(&self) -> bool {
        self.hashes.is_some() || self.capture.is_some()
    }

    /// A step begins, or the run ends: `step` is over.
    pub(crate) fn step_over(&mut self, step: u64, disk: &SimDisk, hash: impl FnOnce() -> u64) {
        if let Some(hashes) = &mut self.hashes {
            hashes.push(hash());
        }
        if let Some(capture) = &mut self.capture {
            capture.before_crash(step, disk);
        }
    }

    /// A crash begins.
    pub(crate) fn crash_begins(&mut self, step: u64, disk: &SimDisk) {
        if self.entries.is_some() {
            self.before_crash = Some(disk.clone());
        }
        if let Some(capture) = &mut self.capture {
            capture.before_crash(step, disk);
            capture.crashes.push(step);
        }
    }

    /// A crash is over.
    pub(crate) fn crash_over(&mut self, step: u64, disk: &SimDisk) {
        if let Some(before) = self.before_crash.take() {
            self.crashed.push(Sides { before, after: disk.clone() });
            self.see_names(disk);
        }
        if let Some(capture) = &mut self.capture
            && (capture.step, capture.keep, &capture.image.is_none()) == (step, Keep::AsDecided, &true)
        {
            capture.image = Some(disk.clone());
        }
    }

    /// Keeps what happens from now on.
    pub fn keep(&mut self) {
        self.entries.get_or_insert_default();
    }

    /// What was kept.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or(&[])
    }

    /// Whether anybody watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.telling || self.entries.is_some()
    }

    /// Takes an event.
    pub(crate) fn note(&mut self, step: u64, event: &Event) {
        if self.until.is_some_and(|until| step > until) {
            self.is_cut = true;
            return;
        }
        if self.telling {
            // A person who closed the pipe wants to hear no more.
            drop(writeln!(std::io::stderr(), "{step:>6} {event}"));
        }
        if let Some(entries) = &mut self.entries {
            entries.push(Entry { step, event: event.clone() });
        }
    }
}

impl Capture {
    fn before_crash(&mut self, step: u64, disk: &SimDisk) {
        if step != self.step || self.keep == Keep::AsDecided || self.image.is_some() {
            return;
        }
        let mut image = disk.clone();
        let all = self.keep == Keep::All;
        image.crash(CrashKind::Power, &mut |_, bound| if all { bound - 1 } else { 0 });
        self.image = Some(image);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Requested { id, request } => write!(formatter, "request {}: {request:?}", id.0),
            Event::ShutdownAsked => write!(formatter, "shutdown asked"),
            Event::Timer => write!(formatter, "timer"),
            Event::Submitted { id, op } => write!(formatter, "  submit {} {op:?}", id.0),
            Event::Performed { id, result } => write!(formatter, "  disk {} -> {result:?}", id.0),
            Event::Fault { kind, file, offset } => {
                write!(formatter, "  FAULT {kind}")?;
                if let Some(file) = file {
                    write!(formatter, " in {file}")?;
                }
                offset.map_or(Ok(()), |offset| write!(formatter, " at {offset}"))
            }
            Event::Delivered { id } => write!(formatter, "  told {}", id.0),
            Event::Answered { id, response } => write!(formatter, "answer {}: {response:?}", id.0),
            Event::Published { database, view } => {
                write!(formatter, "published database {database} at {:?}", view.as_ref().map(View::last_tx))
            }
            Event::Alerted(alert) => write!(formatter, "alert {alert:?}"),
            Event::Stopped => write!(formatter, "stopped"),
            Event::Crashed(kind) => write!(formatter, "CRASH {kind:?}"),
            Event::Decided { unit, answer, bound } => write!(formatter, "  {unit:?}: {answer} of 0..{bound}"),
            Event::Restarted => write!(formatter, "RESTART"),
        }
    }
}
