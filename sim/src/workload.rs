//! What clients ask for: few documents, much change, every content different.
//!
//! It never knows what the engine does; it looks at the models only to ask for something that has an
//! effect more often than not. In an `AllOrNothing` request with writes it reads only what the request
//! wrote before: otherwise success would depend on which published state the read saw. Where memory is tight, one request
//! is sent at a time, and it succeeds or fails as a whole: whether there was room for it is known from its answer alone.

use docdb_protocol::{Action, Atomicity, CollectionName, Document, DocumentId, Operation, Request};

use crate::choice::Choices;
use crate::oracle::{Checker, Tracked, opening};

/// The databases a run may use.
pub const DATABASES: [&str; 3] = ["alpha", "beta.x", "gamma"];

const COLLECTIONS: [&str; 2] = ["_default", "notes"];
/// Small ones, and ones that only fit into as many bits as they are promised.
const IDS: [u64; 8] = [0, 1, 2, 3, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX];

/// The clients of one run.
#[derive(Clone, Debug)]
pub struct Workload {
    databases: usize,
    window: usize,
    is_tight: bool,
    written: u64,
}

impl Workload {
    /// Clients that ask for as much at a time, in as many databases, as is chosen.
    #[must_use]
    pub fn chosen(choices: &mut Choices, is_tight: bool) -> Workload {
        let databases = 1 + small(choices.choice("workload/databases", DATABASES.len() as u64));
        let window = [1, 4, 12][small(choices.choice("workload/window", 3))];
        Workload { databases, window: if is_tight { 1 } else { window }, is_tight, written: 0 }
    }

    /// The names of the databases that are used.
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        &DATABASES[..self.databases]
    }

    /// Whether some client has nothing to wait for.
    #[must_use]
    pub fn wants_more(&self, checker: &Checker) -> bool {
        checker.waiting() < self.window
    }

    /// The next request; `None` when there is nothing to ask before some database is open.
    pub fn next(&mut self, checker: &Checker, choices: &mut Choices) -> Option<Request> {
        let number = small(choices.choice("workload/database", self.databases as u64));
        let tracked = &checker.databases()[number];
        let kind = choices.weighted("workload/kind", &[29, 8, 1, 1, 1]);
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
        let document_id = DocumentId(1_000_000 + self.written);
        let action = Action::Create(self.document(0));
        let operation = Operation { collection: CollectionName::default_collection(), document_id, action };
        Some(Request::Execute { database: tracked.id?, operations: vec![operation], atomicity: Atomicity::EachAlone })
    }

    fn document(&mut self, pad: usize) -> Document {
        self.written += 1;
        let text = format!("{{\"n\":{},\"pad\":\"{}\"}}", self.written, "x".repeat(pad));
        Document::parse(text.as_bytes()).expect("the simulator's documents are valid JSON")
    }

    fn chosen_document(&mut self, choices: &mut Choices) -> Document {
        let pad = match choices.weighted("workload/size", &[6, 4, 2]) {
            0 => choices.choice("workload/pad", 60),
            1 => 300 + choices.choice("workload/pad", 300),
            _ => 600 + choices.choice("workload/pad", 1500),
        };
        self.document(small(pad))
    }

    fn operations(&mut self, tracked: &Tracked, choices: &mut Choices) -> (Vec<Operation>, Atomicity) {
        let is_whole = choices.choice("workload/atomicity", 2) == 1 || self.is_tight;
        let atomicity = if is_whole { Atomicity::AllOrNothing } else { Atomicity::EachAlone };
        let count = [1, 2, 3, 5][choices.weighted("workload/operations", &[3, 1, 1, 1])];
        let reads_only = choices.chance("workload/reads_only", 167);
        let mut operations: Vec<Operation> = Vec::new();
        for _ in 0..count {
            let mut at = (
                COLLECTIONS[small(choices.choice("workload/collection", 2))],
                DocumentId(IDS[small(choices.choice("workload/id", IDS.len() as u64))]),
            );
            let read = reads_only || choices.chance("workload/read", 200);
            if read && !reads_only && atomicity == Atomicity::AllOrNothing {
                // Only what this request wrote.
                let Some(earlier) = operations.iter().find(|earlier| earlier.action != Action::Read) else { continue };
                at = (if earlier.collection.as_str() == "notes" { "notes" } else { "_default" }, earlier.document_id);
            }
            let action = if read { Action::Read } else { self.write(tracked, at, &operations, choices) };
            let collection = CollectionName::parse(at.0).expect("the simulator's names are valid");
            operations.push(Operation { collection, document_id: at.1, action });
        }
        if operations.is_empty() {
            let collection = CollectionName::default_collection();
            operations.push(Operation { collection, document_id: DocumentId(0), action: Action::Read });
        }
        (operations, atomicity)
    }

    fn write(
        &mut self,
        tracked: &Tracked,
        (collection, id): (&'static str, DocumentId),
        earlier: &[Operation],
        choices: &mut Choices,
    ) -> Action {
        let newest = tracked.model.state_after(tracked.model.newest()).expect("the newest state is in the history");
        let same = |operation: &&Operation| {
            operation.collection.as_str() == collection
                && operation.document_id == id
                && operation.action != Action::Read
        };
        let exists = earlier.iter().rev().find(same).map_or_else(
            || newest.contains_key(&(collection.into(), id.0)),
            |operation| operation.action != Action::Delete,
        );
        // One in eight is expected to fail.
        let exists = exists ^ choices.chance("workload/fails", 125);
        match (exists, choices.chance("workload/delete", 250)) {
            (false, _) => Action::Create(self.chosen_document(choices)),
            (true, true) => Action::Delete,
            (true, false) => Action::Update(self.chosen_document(choices)),
        }
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
