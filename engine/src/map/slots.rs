//! One node's entries: a sorted array of slots in one allocation, shared between clones and copied when one of them changes.
//!
//! It knows nothing of the tree that it is part of.

use std::borrow::Borrow;
use std::hint::black_box;
use std::iter::repeat_with;
use std::sync::Arc;

/// A node has room for up to so many entries more than it holds, or for as many again when it grows at its end.
pub(super) const ROOM: usize = 4;

/// What a map holds: a clone of it raises a count, or none.
pub(crate) trait Shared: Clone {
    /// Reads the count that a clone raises, for the sake of having its cache line; nothing depends on what is read.
    fn load_count(&self) -> usize;
}

/// Entries in ascending order, and empty slots behind them.
#[derive(Debug)]
pub(super) struct Slots<K, T>(pub(super) Arc<[Option<(K, T)>]>);

impl<K, T> Clone for Slots<K, T> {
    fn clone(&self) -> Slots<K, T> {
        Slots(Arc::clone(&self.0))
    }
}

impl<K: Clone + Ord, T: Shared> Slots<K, T> {
    /// A node of `slots` slots, which are at least as many as there are entries.
    pub(super) fn new(entries: impl Iterator<Item = (K, T)>, slots: usize) -> Slots<K, T> {
        Slots(entries.map(Some).chain(repeat_with(|| None)).take(slots).collect())
    }

    /// How many slots a node of `len` entries has.
    pub(super) fn roomy(len: usize, fanout: usize) -> usize {
        (len + 1).next_multiple_of(ROOM).min(fanout)
    }

    pub(super) fn len(&self) -> usize {
        self.0.partition_point(Option::is_some)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &(K, T)> + Clone {
        self.0.iter().flatten()
    }

    pub(super) fn get(&self, at: usize) -> Option<&(K, T)> {
        self.0.get(at)?.as_ref()
    }

    /// The slots to be changed: copied first where another map shares them.
    ///
    /// Each raise of a count waits for its own cache line, since no processor overlaps them. Plain loads it does
    /// overlap: so all lines are asked for first.
    pub(super) fn own(&mut self) -> &mut [Option<(K, T)>] {
        if Arc::get_mut(&mut self.0).is_none() {
            let counts = self.entries().map(|(_, value)| value.load_count());
            black_box(counts.fold(0, usize::wrapping_add));
        }
        Arc::make_mut(&mut self.0)
    }

    /// How many keys are below `key`.
    pub(super) fn below<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.0.partition_point(|slot| slot.as_ref().is_some_and(|(other, _)| other.borrow() < key))
    }

    /// As a node's children: the one whose range holds `key`.
    pub(super) fn child_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.0[1..].partition_point(|slot| slot.as_ref().is_some_and(|(bound, _)| bound.borrow() <= key))
    }

    /// As a node's children.
    pub(super) fn child(&self, at: usize) -> &T {
        &self.get(at).expect("an inner node has a child for every key").1
    }

    /// Puts an entry at its place. What is full already is split: in the middle, or behind the last entry when entries
    /// arrive in ascending order, so that nodes filled in order stay full.
    pub(super) fn insert(&mut self, at: usize, key: K, value: T, fanout: usize) -> Option<(K, Slots<K, T>)> {
        let (len, entry) = (self.len(), (key, value));
        if len < self.0.len() {
            let slots = self.own();
            slots[len] = Some(entry);
            slots[at..=len].rotate_right(1);
            return None;
        }
        if len < fanout {
            let slots = if at == len { (2 * len).min(fanout) } else { 0 }.max(Self::roomy(len + 1, fanout));
            let (before, behind) = self.own().split_at_mut(at);
            let (before, behind) =
                (before.iter_mut().filter_map(Option::take), behind.iter_mut().filter_map(Option::take));
            *self = Slots::new(before.chain([entry]).chain(behind), slots);
            return None;
        }
        let middle = if at == len { len } else { len / 2 };
        let mut right = Slots::new(self.entries().skip(middle).cloned(), Self::roomy(len - middle, fanout));
        if middle < len {
            *self = Slots::new(self.entries().take(middle).cloned(), Self::roomy(middle, fanout));
        }
        let (key, value) = entry;
        let unsplit = if at < middle {
            self.insert(at.min(self.len()), key, value, fanout)
        } else {
            right.insert(at - middle, key, value, fanout)
        };
        assert!(unsplit.is_none(), "half of a node has room for an entry");
        let (bound, _) = right.get(0).expect("the new entry or those from the middle on are there");
        Some((bound.clone(), right))
    }

    /// Takes an entry out, and gives room back that is not needed any more.
    pub(super) fn remove(&mut self, at: usize, fanout: usize) -> Option<(K, T)> {
        let slots = self.own();
        let removed = slots[at].take();
        slots[at..].rotate_left(1);
        let len = self.len();
        if self.0.len() > len + 2 * ROOM {
            *self = Slots::new(self.own().iter_mut().filter_map(Option::take), Self::roomy(len, fanout));
        }
        removed
    }

    /// One node of what was two.
    pub(super) fn joined(&self, right: impl Iterator<Item = (K, T)>, len: usize, fanout: usize) -> Slots<K, T> {
        Slots::new(self.entries().cloned().chain(right), Self::roomy(len, fanout))
    }
}
