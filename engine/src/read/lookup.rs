//! Looks up one key in one table: found, absent, damaged, or the place of the bytes that are needed.
//!
//! ```text
//! the section whose fences hold the key?  its filter: no? -> absent here
//!                                         its index: no block? -> absent here
//!                                         the block: the entry, or absent here
//! absent here:  a damaged range over the key?  its filter: no? -> absent.  else damaged
//! ```
//!
//! Invariants: an entry of a table is its answer, whatever damaged ranges the table has: they hide what is deeper. Nothing
//! that is lost makes a key absent: without a filter every key may be there, without an index or a block it is damaged.

use docdb_protocol::TxId;

use super::part::PartRef;
use crate::table::{Entry, Footer, Key, KeyHash, PartError, PartPlace, Version};

/// A lookup under way. It can be started again, for the same key in another table.
#[derive(Clone, Debug)]
pub struct Lookup {
    key: Key,
    hash: KeyHash,
    state: State,
}

/// What the lookup waits for.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing: it has not begun, or is done.
    Idle,
    /// The filter part of the section.
    Filter { section: usize },
    /// The index part of the section.
    Index { section: usize },
    /// The block that has the key if the section has it.
    Block { section: usize, place: PartPlace },
    /// The filter part of the damaged range that covers the key.
    RangeFilter { range: usize },
}

/// What a lookup says.
#[derive(Clone, Copy, Debug)]
pub enum Step<'part> {
    /// It needs the part there, decoded.
    Need(PartPlace),
    /// It is done.
    Answer(Answer<'part>),
}

/// What one table knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'part> {
    /// Its version: a document, a tombstone, or a document whose bytes are lost.
    Found {
        /// The transaction that wrote it.
        tx: TxId,
        /// What it wrote.
        version: Version<'part>,
    },
    /// The table says nothing of it.
    Absent,
    /// It cannot be said. What is deeper, and not newer, is hidden.
    Damaged(Damage),
    /// A later version wrote what is needed.
    Newer(PartPlace),
}

/// Why it cannot be said what a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is damaged of this table; `None` where the table knew of the damage.
    pub place: Option<PartPlace>,
    /// The newest transaction that may have written it. What is deeper and newer than this is not hidden.
    pub newest: TxId,
}

impl Lookup {
    /// For a key in any number of tables, one after the other.
    #[must_use]
    pub fn new(key: Key) -> Lookup {
        Lookup { key, hash: KeyHash::of(&key), state: State::Idle }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key's hash, for filters of damaged ranges.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        self.hash
    }

    /// Begins in the table of this footer, and forgets where it was.
    pub fn start(&mut self, footer: &Footer) -> Step<'static> {
        match footer.section_of(&self.key) {
            // A part that was made again, from blocks some of which are lost, is nowhere in the file, and its filter says maybe.
            Some(section) => self.need(State::Filter { section }, footer.sections[section].filter),
            None => self.absent_here(footer),
        }
    }

    /// Goes on with the part that was needed, of the table of this footer.
    ///
    /// # Panics
    /// When it is another kind of part, or none was needed.
    pub fn feed<'part>(&mut self, footer: &Footer, part: PartRef<'part>) -> Step<'part> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => panic!("the lookup needs nothing"),
            State::Filter { section } => {
                let place = footer.sections[section].filter;
                match part {
                    PartRef::Filter(filter) if !filter.may_contain(self.hash) => self.absent_here(footer),
                    // A lost filter says maybe.
                    PartRef::Filter(_) | PartRef::Damaged => {
                        self.need(State::Index { section }, footer.sections[section].index)
                    }
                    PartRef::Newer => Step::Answer(Answer::Newer(place)),
                    PartRef::Index(_) | PartRef::Block(_) => panic!("a filter part was needed"),
                }
            }
            State::Index { section } => {
                let place = footer.sections[section].index;
                match part {
                    PartRef::Index(index) => match index.find(&self.key) {
                        Some(block) => {
                            let place = index.place(block);
                            self.need(State::Block { section, place }, place)
                        }
                        None => self.absent_here(footer),
                    },
                    PartRef::Damaged => damaged(place, footer),
                    PartRef::Newer => Step::Answer(Answer::Newer(place)),
                    PartRef::Filter(_) | PartRef::Block(_) => panic!("an index part was needed"),
                }
            }
            State::Block { section, place } => match part {
                PartRef::Block(block) => {
                    let fences = &footer.sections[section];
                    if !block.is_within(&fences.first_key, &fences.last_key) {
                        return damaged(place, footer);
                    }
                    match block.find(&self.key) {
                        Ok(Some(Entry { tx, version, .. })) => Step::Answer(Answer::Found { tx, version }),
                        Ok(None) => self.absent_here(footer),
                        Err(PartError::Damaged) => damaged(place, footer),
                        Err(PartError::Newer) => Step::Answer(Answer::Newer(place)),
                    }
                }
                PartRef::Damaged => damaged(place, footer),
                PartRef::Newer => Step::Answer(Answer::Newer(place)),
                PartRef::Filter(_) | PartRef::Index(_) => panic!("a block was needed"),
            },
            State::RangeFilter { range } => match part {
                PartRef::Filter(filter) if !filter.may_contain(self.hash) => Step::Answer(Answer::Absent),
                PartRef::Filter(_) | PartRef::Damaged => in_range(footer, range),
                PartRef::Newer => {
                    let place = footer.damaged_ranges[range].filter.expect("it was asked for");
                    Step::Answer(Answer::Newer(place))
                }
                PartRef::Index(_) | PartRef::Block(_) => panic!("a filter part was needed"),
            },
        }
    }

    fn need(&mut self, state: State, place: PartPlace) -> Step<'static> {
        self.state = state;
        Step::Need(place)
    }

    /// No section has the key: only a damaged range may speak of it.
    fn absent_here(&mut self, footer: &Footer) -> Step<'static> {
        match footer.damaged_range_of(&self.key) {
            None => Step::Answer(Answer::Absent),
            Some(range) => match footer.damaged_ranges[range].filter {
                Some(place) => self.need(State::RangeFilter { range }, place),
                None => in_range(footer, range),
            },
        }
    }
}

fn in_range(footer: &Footer, range: usize) -> Step<'static> {
    Step::Answer(Answer::Damaged(Damage { place: None, newest: footer.damaged_ranges[range].newest }))
}

fn damaged(place: PartPlace, footer: &Footer) -> Step<'static> {
    Step::Answer(Answer::Damaged(Damage { place: Some(place), newest: footer.last_tx }))
}
