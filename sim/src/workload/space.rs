//! Where a life's documents are: how many collections and ids there are, and in which order they are taken.
//!
//! It looks at the newest state of a model, and decides only where something happens, never what.

use std::sync::Arc;

use docdb_models::{Key, State};
use docdb_protocol::{Action, CollectionName, DocumentId, Operation};

use super::small;
use crate::choice::Choices;
use crate::oracle::Tracked;

/// All collections that a life may have; the last one's name is as long as names may be.
const COLLECTIONS: [&str; 6] =
    ["_default", "notes", "_defaul", "notes2", "A", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"];

/// Most lives have so many of them.
const COLLECTIONS_USUAL: usize = 2;

/// Small ones, and ones that only fit into as many bits as they are promised.
const NUMBERS: [u64; 8] = [0, 1, 2, 3, 1 << 32, (1 << 32) + 1, 1 << 63, u64::MAX];

/// Around the last number that an insertion may be given.
const LAST_NUMBERS: [u64; 8] = [1, 2, 3, (1 << 53) - 3, (1 << 53) - 2, (1 << 53) - 1, 1 << 53, u64::MAX];

/// A life whose few documents are around the last number: so rarely, in thousandths.
const LAST_NUMBERS_CHANCE: u64 = 60;

/// Equal beginnings, the shortest and the longest, and one that looks like a number.
const TEXTS: [&str; 6] = [" ", "a", "a ", "ab", "1", "é/\u{10ffff}"];

/// The longest of all are made of this, in these lengths.
const LONG_TEXT: char = 'x';
const LONG_LENGTHS: [usize; 2] = [254, 255];

/// A life with many documents has at least so many before it stops growing, and so many more by choice.
const DOCUMENTS_WIDE: u64 = 80;
const DOCUMENTS_WIDER: u64 = 200;

/// Documents that are deleted at a time, when all of a collection are.
const SWEEP_MAX: usize = 100;

/// One document's place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) collection: CollectionName,
    pub(super) name: Arc<str>,
    pub(super) id: DocumentId,
}

/// The order in which ids are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    /// The same few, over and over.
    Few,
    /// Each one above the last.
    Ascending,
    /// Each one below the last.
    Descending,
    /// Anywhere.
    Random,
    /// Anywhere among as many as there are to be.
    Dense,
}

/// What ids are, in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Numbers,
    Texts,
    Both,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Space {
    collections: Vec<(CollectionName, Arc<str>)>,
    ids: Ids,
    kind: Kind,
    /// Of few ids, those that are numbers.
    numbers: [u64; 8],
    /// Documents of a life that has many.
    documents: u64,
    taken: u64,
}

impl Space {
    pub(super) fn chosen(choices: &mut Choices) -> Space {
        let count = [COLLECTIONS_USUAL, COLLECTIONS.len()][choices.weighted("workload/collections", &[6, 1])];
        let collection = |name: &&str| {
            (CollectionName::parse(name).expect("the simulator's names are valid"), Arc::<str>::from(*name))
        };
        let orders = [Ids::Few, Ids::Ascending, Ids::Descending, Ids::Random, Ids::Dense];
        let ids = orders[choices.weighted("workload/ids", &[44, 1, 1, 1, 1])];
        let more = if ids == Ids::Few { 0 } else { choices.choice("workload/documents", DOCUMENTS_WIDER) };
        let kind = [Kind::Numbers, Kind::Texts, Kind::Both][choices.weighted("workload/id_kind", &[3, 1, 2])];
        let numbers = if choices.chance("workload/last_numbers", LAST_NUMBERS_CHANCE) { LAST_NUMBERS } else { NUMBERS };
        Space {
            kind,
            numbers,
            collections: COLLECTIONS[..count].iter().map(collection).collect(),
            ids,
            documents: DOCUMENTS_WIDE + more,
            taken: 0,
        }
    }

    /// Whether there are many documents.
    pub(super) fn is_wide(&self) -> bool {
        self.ids != Ids::Few
    }

    /// Whether its numbers are around the last one that an insertion may be given.
    pub(super) fn is_at_last_numbers(&self) -> bool {
        self.ids == Ids::Few && self.numbers == LAST_NUMBERS
    }

    /// Where the next operation happens.
    pub(super) fn place(&mut self, tracked: &Tracked, choices: &mut Choices) -> Place {
        // What is on its way to the log is where mistakes are made.
        if let Some(key) = tracked.model.last_written()
            && choices.chance("workload/hot", 120)
            && let Some(place) = self.of(key)
        {
            return place;
        }
        let number = small(choices.choice("workload/collection", self.collections.len() as u64));
        let newest = tracked.model.state_after(tracked.model.newest()).expect("the newest state is in the history");
        let held = newest.len() as u64;
        let id = match self.ids {
            Ids::Few => self.few(small(choices.choice("workload/id", NUMBERS.len() as u64))),
            Ids::Ascending | Ids::Descending | Ids::Random | Ids::Dense => {
                let grows = if held < self.documents { 800 } else { 100 };
                if held > 0 && !choices.chance("workload/new", grows) {
                    let at = small(choices.choice("workload/id", held));
                    let key = newest.keys().nth(at).and_then(|key| self.of(key));
                    if let Some(place) = key {
                        return place;
                    }
                }
                self.take()
            }
        };
        let (collection, name) = self.collections[number].clone();
        Place { collection, name, id }
    }

    /// What was written last.
    pub(super) fn last(&self, tracked: &Tracked) -> Option<Place> {
        tracked.model.last_written().and_then(|key| self.of(key))
    }

    /// The `at`-th of the few ids.
    fn few(&self, at: usize) -> DocumentId {
        let is_text = match self.kind {
            Kind::Numbers => false,
            Kind::Texts => true,
            Kind::Both => at % 2 == 1,
        };
        if !is_text {
            return DocumentId::Number(self.numbers[at]);
        }
        let long = |at: usize| LONG_TEXT.to_string().repeat(LONG_LENGTHS[at]);
        text(&TEXTS.get(at).map_or_else(|| long(at - TEXTS.len()), ToString::to_string))
    }

    /// The id of a new document.
    fn take(&mut self) -> DocumentId {
        self.taken += 1;
        // Multiplied by an odd number, different ids stay different.
        let scattered = self.taken.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let number = match self.ids {
            Ids::Few | Ids::Ascending => self.taken,
            Ids::Descending => u64::MAX - self.taken,
            Ids::Random => scattered,
            Ids::Dense => scattered % self.documents,
        };
        let is_text = match self.kind {
            Kind::Numbers => false,
            Kind::Texts => true,
            Kind::Both => scattered & 1 == 1,
        };
        // In digits of one length, texts stand in the order of the numbers.
        if is_text { text(&format!("{number:020}")) } else { DocumentId::Number(number) }
    }

    /// The next document that is there, from this place on, or the first of all.
    pub(super) fn near(&self, place: &Place, newest: &State) -> Option<Place> {
        let from: Key = (place.name.clone(), place.id.clone());
        let next = newest.range(from..).next().or_else(|| newest.first_key_value());
        next.and_then(|(key, _)| self.of(key))
    }

    /// The deletion of all that a collection has, or as much of it as fits into one request.
    pub(super) fn sweep(&self, newest: &State) -> Vec<Operation> {
        let first = newest.keys().next().map(|(name, _)| name.clone());
        let of_first = newest.keys().filter(|(name, _)| Some(name) == first.as_ref()).take(SWEEP_MAX);
        let places = of_first.filter_map(|key| self.of(key));
        places.map(|Place { collection, id, .. }| Operation { collection, action: Action::Delete(id) }).collect()
    }

    fn of(&self, key: &Key) -> Option<Place> {
        let (collection, name) = self.collections.iter().find(|(_, name)| *name == key.0)?.clone();
        Some(Place { collection, name, id: key.1.clone() })
    }
}

fn text(text: &str) -> DocumentId {
    DocumentId::text(text).expect("the simulator's texts break no rule")
}
