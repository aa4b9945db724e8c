//! What clients ask for: much change, every content different.
//!
//! It never knows what the engine does; it looks at the models only to ask for something that has an
//! effect more often than not. Most lives have few documents, which are changed all the time; some have hundreds, in more
//! collections, and ask for many operations at a time; some open and close their databases over and over. Where memory
//! is tight, one request is sent at a time, and it succeeds or fails as a whole: whether there was room for it is known
//! from its answer alone.

mod space;

use docdb_engine::Options;
use docdb_protocol::{Action, Atomicity, CollectionName, Document, DocumentId, Expectation, Operation, Request, TxId};

use self::space::{Place, Space};
use crate::choice::Choices;
use crate::oracle::{Checker, Tracked, opening};

/// The databases a run may use.
pub const DATABASES: [&str; 4] = ["alpha", "beta.x", "gamma", "é"];

/// Most runs use as many of them at most. Of the others, somebody asks for several at a time, and just before a shutdown.
const DATABASES_USUAL: usize = 3;

/// So many in a thousand runs have such others.
const LATE_PER_MILLE: u64 = 120;

/// So many in a thousand runs have clients that pursue what was written last, with so many in a thousand of their requests.
const PURSUED_PER_MILLE: u64 = 150;
const PURSUING_PER_MILLE: u64 = 150;

/// Where memory is tight, so many in a thousand documents are as long as what they replace.
const SAME_LENGTH_PER_MILLE: u64 = 300;

/// An engine that lets fewer requests wait than this is asked for more than it lets wait.
const QUEUE_SHORT: usize = 64;

/// What the engine's limits say about what can be asked of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Whether the memory for documents may be full.
    pub memory_is_tight: bool,
    /// How many requests may wait, where that is few.
    pub queue_max: Option<usize>,
}

impl Shape {
    /// The shape of these limits.
    #[must_use]
    pub fn of(options: &Options) -> Shape {
        Shape {
            memory_is_tight: options.memory_bytes_max < Options::default().memory_bytes_max,
            queue_max: Some(options.pending_requests_max).filter(|most| *most < QUEUE_SHORT),
        }
    }
}

/// The clients of one run.
#[derive(Clone, Debug)]
pub struct Workload {
    databases: usize,
    window: usize,
    is_tight: bool,
    /// Whether databases are asked one after the other.
    in_turns: bool,
    turn: usize,
    /// Whether databases are opened and closed all the time.
    is_restless: bool,
    space: Space,
    written: u64,
    has_late: bool,
    pursues: bool,
}

impl Workload {
    /// Clients that ask for as much at a time, in as many databases, as is chosen.
    #[must_use]
    pub fn chosen(choices: &mut Choices, shape: Shape) -> Workload {
        let databases = 1 + small(choices.choice("workload/databases", DATABASES_USUAL as u64));
        let window = [1, 4, 12][small(choices.choice("workload/window", 3))];
        let window = match shape {
            Shape { memory_is_tight: true, .. } => 1,
            Shape { queue_max: Some(most), .. } => window.max(most + 2),
            Shape { queue_max: None, .. } => window,
        };
        Workload {
            databases,
            window,
            is_tight: shape.memory_is_tight,
            in_turns: choices.chance("workload/in_turns", 150),
            turn: 0,
            is_restless: choices.chance("workload/restless", 100),
            space: Space::chosen(choices),
            written: 0,
            // All of them are asked for at a time.
            has_late: choices.chance("together/at_all", LATE_PER_MILLE) && shape.queue_max.is_none(),
            pursues: choices.chance("pursue/at_all", PURSUED_PER_MILLE),
        }
    }

    /// The names of the databases that are used.
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        if self.has_late { &DATABASES } else { &DATABASES[..self.databases] }
    }

    /// Whether some databases are asked for late.
    pub(crate) fn has_late(&self) -> bool {
        self.has_late
    }

    /// Whether some client has nothing to wait for.
    #[must_use]
    pub fn wants_more(&self, checker: &Checker) -> bool {
        checker.waiting() < self.window
    }

    /// The next request; `None` when there is nothing to ask before some database is open.
    pub fn next(&mut self, checker: &Checker, choices: &mut Choices) -> Option<Request> {
        let number = if self.in_turns {
            self.turn += 1;
            self.turn % self.databases
        } else {
            small(choices.choice("workload/database", self.databases as u64))
        };
        let tracked = &checker.databases()[number];
        let weights = if self.is_restless { [20, 8, 5, 4, 3] } else { [29, 8, 1, 1, 1] };
        let kind = choices.weighted("workload/kind", &weights);
        if kind == 4 {
            return Some([Request::ListDatabases, Request::Stats][small(choices.choice("workload/list", 2))].clone());
        }
        // Writing to a database that this process did not open is legal, and rare; on a disk that loses databases its id
        // may be another one's by now.
        let Some(id) = tracked.id.filter(|_| tracked.opened || (kind == 1 && !checker.is_in_doubt())) else {
            return (!checker.is_opening(number)).then(|| opening(tracked));
        };
        match kind {
            2 => Some(Request::CloseDatabase { database: id }),
            3 => Some(opening(tracked)),
            _ => {
                let (operations, atomicity) = self.operations(tracked, choices);
                Some(Request::Execute { database: id, operations, atomicity })
            }
        }
    }

    /// A write that succeeds in any healthy database.
    pub fn certain_write(&mut self, tracked: &Tracked) -> Option<Request> {
        // Above every number that an insertion was given so far: each of these wrote a document too.
        let id = DocumentId::Number(1_000_000 + self.written);
        let action = Action::Create(id, self.document(0));
        let operation = Operation { collection: CollectionName::default_collection(), action };
        Some(Request::Execute { database: tracked.id?, operations: vec![operation], atomicity: Atomicity::EachAlone })
    }

    fn document(&mut self, pad: usize) -> Document {
        self.written += 1;
        let text = format!("{{\"n\":{},\"pad\":\"{}\"}}", self.written, "x".repeat(pad));
        Document::parse(text.as_bytes()).expect("the simulator's documents are valid JSON")
    }

    fn chosen_document(&mut self, choices: &mut Choices) -> Document {
        let weights = if self.space.is_wide() { [30, 2, 1] } else { [6, 4, 2] };
        let pad = match choices.weighted("workload/size", &weights) {
            0 => choices.choice("workload/pad", 60),
            1 => 300 + choices.choice("workload/pad", 300),
            _ => 600 + choices.choice("workload/pad", 1500),
        };
        self.document(small(pad))
    }

    /// What takes the place of a document: where memory is tight, often as long as that one.
    fn replacing(&mut self, asked: &Asked<'_>, place: &Place, choices: &mut Choices) -> Document {
        let len = asked.len(place).filter(|_| self.is_tight && choices.chance("same/length", SAME_LENGTH_PER_MILLE));
        match len.and_then(|len| len.checked_sub(self.document(0).len())) {
            Some(pad) => self.document(pad),
            None => self.chosen_document(choices),
        }
    }

    fn operations(&mut self, tracked: &Tracked, choices: &mut Choices) -> (Vec<Operation>, Atomicity) {
        let is_whole = choices.choice("workload/atomicity", 2) == 1 || self.is_tight;
        let atomicity = if is_whole { Atomicity::AllOrNothing } else { Atomicity::EachAlone };
        let newest = tracked.model.state_after(tracked.model.newest()).expect("the newest state is in the history");
        if !newest.is_empty() && choices.chance("workload/sweep", 8) {
            return (self.space.sweep(newest), atomicity);
        }
        if self.pursues && !self.is_tight && choices.chance("pursue/one", PURSUING_PER_MILLE) {
            return (self.pursuit(tracked, choices), Atomicity::AllOrNothing);
        }
        let counts = if self.space.is_wide() { [1, 3, 20, 60] } else { [1, 2, 3, 5] };
        let count = counts[choices.weighted("workload/operations", &[3, 1, 1, 1])];
        // Of a long transaction nearly each would fail.
        let fails = if count > 5 { 4 } else { 125 };
        let reads_only = choices.chance("workload/reads_only", 167);
        let mut asked = Asked { tracked, operations: Vec::new() };
        for _ in 0..count {
            let mut place = self.space.place(asked.tracked, choices);
            let read = reads_only || choices.chance("workload/read", 200);
            if read && atomicity == Atomicity::AllOrNothing && !asked.exists(&place) {
                // What is not there fails the whole.
                match self.space.near(&place, newest).filter(|near| asked.exists(near)) {
                    Some(near) if !choices.chance("workload/fails", fails) => place = near,
                    Some(_) | None => {}
                }
            }
            if choices.chance("workload/expects", if count > 5 { 10 } else { 60 }) {
                let action = Action::Expect(place.id.clone(), asked.expectation(&place, fails, choices));
                asked.operations.push(Operation { collection: place.collection.clone(), action });
            }
            let action = if read { Action::Read(place.id.clone()) } else { self.write(&asked, &place, fails, choices) };
            asked.operations.push(Operation { collection: place.collection, action });
        }
        (asked.operations, atomicity)
    }

    /// A transaction about what was written last, which another operation may fail: what it says rests on what may not be
    /// durable yet.
    fn pursuit(&mut self, tracked: &Tracked, choices: &mut Choices) -> Vec<Operation> {
        let mut places = Vec::new();
        for _ in 0..2 {
            places.push(self.space.last(tracked).unwrap_or_else(|| self.space.place(tracked, choices)));
            places.push(self.space.place(tracked, choices));
        }
        let count = 2 + small(choices.choice("pursue/count", 3));
        let mut operations = Vec::new();
        for place in places.into_iter().take(count) {
            let id = place.id;
            let action = match choices.choice("pursue/action", 6) {
                0 => Action::Delete(id),
                1 => Action::Update(id, self.document(3)),
                2 => Action::Create(id, self.document(3)),
                3 => Action::Read(id),
                4 => Action::Insert(self.document(3)),
                _ => Action::Put(id, self.document(3)),
            };
            operations.push(Operation { collection: place.collection, action });
        }
        operations
    }

    fn write(&mut self, asked: &Asked<'_>, place: &Place, fails: u64, choices: &mut Choices) -> Action {
        let id = place.id.clone();
        // Around the last number it is insertions that are refused.
        let insertions = if self.space.is_at_last_numbers() { 9 } else { 1 };
        match choices.weighted("workload/write", &[17, 2, insertions]) {
            0 => {
                let exists = asked.exists(place) ^ choices.chance("workload/fails", fails);
                match (exists, choices.chance("workload/delete", 250)) {
                    (false, _) => Action::Create(id, self.chosen_document(choices)),
                    (true, true) => Action::Delete(id),
                    (true, false) => Action::Update(id, self.replacing(asked, place, choices)),
                }
            }
            1 => Action::Put(id, self.replacing(asked, place, choices)),
            _ => Action::Insert(self.chosen_document(choices)),
        }
    }
}

/// A request being made.
struct Asked<'run> {
    tracked: &'run Tracked,
    operations: Vec<Operation>,
}

impl Asked<'_> {
    /// What a client expects that read the document before, and that may have been overtaken since.
    fn expectation(&self, place: &Place, fails: u64, choices: &mut Choices) -> Expectation {
        let model = &self.tracked.model;
        let version = model.version_after(model.newest(), &(place.name.clone(), place.id.clone()));
        match version {
            Some(tx) if choices.chance("workload/fails", fails) => Expectation::Version(TxId(tx.saturating_sub(1))),
            None if choices.chance("workload/fails", fails) => Expectation::Version(TxId(model.newest())),
            Some(tx) => Expectation::Version(TxId(tx)),
            None => Expectation::Absent,
        }
    }

    /// How long the document is that was there before this request.
    fn len(&self, place: &Place) -> Option<usize> {
        let model = &self.tracked.model;
        let newest = model.state_after(model.newest())?;
        newest.get(&(place.name.clone(), place.id.clone())).map(|content| content.len())
    }

    /// Whether a document is there once all of this request so far is done.
    fn exists(&self, place: &Place) -> bool {
        let same = |operation: &&Operation| {
            operation.action.document_id() == Some(&place.id)
                && operation.collection == place.collection
                && !operation.action.is_read()
        };
        let model = &self.tracked.model;
        let newest = model.state_after(model.newest()).expect("the newest state is in the history");
        self.operations.iter().rev().find(same).map_or_else(
            || newest.contains_key(&(place.name.clone(), place.id.clone())),
            |operation| !matches!(operation.action, Action::Delete(_)),
        )
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
