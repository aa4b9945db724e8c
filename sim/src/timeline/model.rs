//! A run as it is drawn: lives between crashes, lanes for files, and marks in their true order.
//!
//! Plain data. It knows nothing of HTML, and nothing of how a chronicle holds it (that is `gather`).

use std::collections::BTreeMap;

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// One a file, in the order they came into being.
    pub lanes: Vec<Lane>,
    /// From one start of the process to the next crash; in their order.
    pub lives: Vec<Life>,
}

/// Names a lane: its place in [`Timeline::lanes`].
pub type LaneId = usize;

/// A file. It keeps its lane however it is called.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its number in the simulated disk.
    pub number: u64,
    /// What it is called from when on; no name once it was removed.
    pub names: Vec<(Moment, Option<String>)>,
}

/// When something happened: the place of its event in the chronicle, which orders what happened in one step, and the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// How many events came before.
    pub event: usize,
    /// The world's step.
    pub step: u64,
}

/// From a start of the process to its end.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// What happened, in its order.
    pub marks: Vec<Mark>,
    /// How it ended; `None` when the run ended with it.
    pub crash: Option<Crash>,
}

/// One thing that is drawn.
#[derive(Clone, Debug)]
pub struct Mark {
    /// When.
    pub moment: Moment,
    /// Where.
    pub row: Row,
    /// What it is.
    pub kind: Kind,
    /// A few letters, drawn beside it.
    pub label: String,
    /// The whole of it in words.
    pub words: String,
    /// What it has to do with the document that differs, in words, where that is less than the whole.
    pub brief: Option<String>,
    /// The request that it is, or answers.
    pub request: Option<u64>,
    /// From when to when it was under way, for an operation of the disk: submitted, and its completion delivered to the engine.
    pub span: Option<(Moment, Option<Moment>)>,
    /// It ended with an error.
    pub is_failed: bool,
    /// It was submitted and never carried out.
    pub is_in_flight: bool,
    /// The document that differs has to do with it.
    pub is_concerned: bool,
}

/// Where a mark is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// What clients ask.
    Asked,
    /// What they are answered.
    Answered,
    /// What readers see.
    Readers,
    /// What befalls the machine as a whole, and what its operator does and hears.
    Machine,
    /// Names and directories.
    Names,
    /// A file.
    File(LaneId),
}

/// What a mark is. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// An answer that is what was asked for.
    Answer,
    /// An answer that is an error.
    Refusal,
    /// A state that readers see from now on.
    View,
    /// Something that the operator does.
    Operator,
    /// An alert.
    Alert,
    /// Bytes.
    Write(Fate),
    /// Zeros, with space taken for them.
    Zeros(Fate),
    /// A sync of a file.
    Sync,
    /// A name is made, or given to something else.
    NameChange(Fate),
    /// A name is removed.
    Removal(Fate),
    /// A file has another name.
    Named,
    /// A sync of a directory.
    SyncDirectory,
    /// Something that changes nothing: reads, openings, listings; several in a row are one mark.
    Quiet,
    /// A fault strikes.
    Fault,
}

/// What became of a change. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A sync that succeeded covers it, and nothing took it away.
    Synced,
    /// No sync covers it, and the run ends: a power loss could take it.
    AtRisk,
    /// No sync covered it, and the crash left it.
    Kept,
    /// No sync covered it, and the crash took it.
    Lost,
    /// The crash took some of its sectors.
    Partly {
        /// So many are still there.
        kept: usize,
        /// Of so many that nothing later replaced.
        of: usize,
    },
    /// A sync that succeeded covered it, and it is gone all the same.
    Broken,
    /// Something later took its place in the same life.
    Replaced,
    /// Its file had no name any more when the life ended.
    Removed,
    /// It failed, or nobody knows.
    Untold,
}

/// What died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Nothing: the process had stopped, and was started again.
    Stopped,
    /// The process.
    Process,
    /// Power.
    Power,
}

/// A crash, and what it left.
#[derive(Clone, Debug)]
pub struct Crash {
    /// When.
    pub moment: Moment,
    /// What died.
    pub death: Death,
    /// Whether it took the power away too, after a stop.
    pub is_power_cut: bool,
    /// What became of each file to which anything could happen.
    pub files: BTreeMap<LaneId, Survival>,
    /// What became of changes of names that were not durable, in words, and whether each survived.
    pub names: Vec<(String, bool)>,
}

/// What a crash left of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survival {
    /// Sectors that were not synced.
    pub sectors: usize,
    /// Of these: as they were written last.
    pub kept: usize,
    /// As they were written before the last time.
    pub older: usize,
    /// As they were when they were synced last.
    pub lost: usize,
    /// Torn: a new beginning and an old end.
    pub torn: usize,
    /// Showing what the device held before.
    pub garbage: usize,
    /// Lengths in bytes before and after, where they differ.
    pub length: Option<(u64, u64)>,
    /// Names before and after, where they differ.
    pub name: Option<(Option<String>, Option<String>)>,
    /// Operations on it that were under way, in words.
    pub in_flight: Vec<String>,
}

impl Crash {
    /// Whether it took anything.
    #[must_use]
    pub fn took_something(&self) -> bool {
        self.files.values().any(Survival::took_something) || self.names.iter().any(|(_, survived)| !survived)
    }
}

impl Survival {
    /// Whether the crash took something.
    #[must_use]
    pub fn took_something(&self) -> bool {
        let is_shorter = self.length.is_some_and(|(before, after)| after < before);
        self.kept < self.sectors || is_shorter || self.name.is_some()
    }
}

impl Lane {
    /// What the file is called at some moment: the name that it has, or else the last that it had.
    #[must_use]
    pub fn name_at(&self, moment: Moment) -> &str {
        let until = self.names.iter().take_while(|(from, _)| *from <= moment);
        let named = until.filter_map(|(_, name)| name.as_deref()).last();
        named.or_else(|| self.first_name()).unwrap_or("a file without a name")
    }

    /// Whether it has a name at some moment.
    #[must_use]
    pub fn is_named_at(&self, moment: Moment) -> bool {
        self.names.iter().take_while(|(from, _)| *from <= moment).last().is_some_and(|(_, name)| name.is_some())
    }

    /// The first name that it ever had.
    #[must_use]
    pub fn first_name(&self) -> Option<&str> {
        self.names.iter().find_map(|(_, name)| name.as_deref())
    }
}

impl Fate {
    /// In words, as the end of a sentence about a change.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Fate::Synced => "durable: a sync covers it".to_owned(),
            Fate::AtRisk => "NOT DURABLE: no sync covers it when the run ends".to_owned(),
            Fate::Kept => "not synced; the crash left it".to_owned(),
            Fate::Lost => "not synced; LOST in the crash".to_owned(),
            Fate::Partly { kept, of } => format!("not synced; {kept} of {of} sectors SURVIVED the crash"),
            Fate::Broken => "a sync had covered it, and the crash showed that it is GONE".to_owned(),
            Fate::Replaced => "replaced by something later".to_owned(),
            Fate::Removed => "its file was removed".to_owned(),
            Fate::Untold => "what became of it cannot be told".to_owned(),
        }
    }
}
